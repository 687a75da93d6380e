// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// Five operators, each trainer and verifier at once, two tasks, and whatever they may think of doing. What the contracts
/// refuse is no step; what they allow is written down here as an outsider would see it, from the token's balances.
contract Handler is Network {
    uint256 public constant TASKS = 2;

    address[5] public operators;
    /// What has come into the registry and gone out of it, by task.
    mapping(uint256 taskId => uint256) public inflow;
    mapping(uint256 taskId => uint256) public outflow;
    mapping(bytes32 place => uint256) public payments;
    uint256 public bondedEver;
    uint256 public slashedEver;
    uint256 public early;
    uint256 public doublePayments;
    /// How often each kind of step with a "once" succeeded, so that a run can show that it got that far.
    mapping(bytes32 kind => uint256) public successes;
    uint256 public finalEpochs;

    uint256 private _current; // the task of the step under way
    mapping(bytes32 => bytes) private _reports;
    mapping(bytes32 => uint256) private _dueAt;

    /// Attributes the registry's change of balance to the task of the step.
    modifier step(uint256 seed) {
        _current = seed % TASKS + 1;
        uint256 held = token.balanceOf(address(registry));
        uint256 staked = token.balanceOf(address(staking));
        _;
        uint256 after_ = token.balanceOf(address(registry));
        if (after_ > held) inflow[_current] += after_ - held;
        else outflow[_current] += held - after_;
        uint256 nowStaked = token.balanceOf(address(staking));
        if (nowStaked > staked) bondedEver += nowStaked - staked;
        _nextBlock();
    }

    constructor() {
        setUp();
        for (uint256 i; i < 5; ++i) {
            operators[i] = vm.addr(30 + i);
            _bond(operators[i], Role.Trainer, 500 * UNIT);
            _bond(operators[i], Role.Verifier, uint128(150 * UNIT + i * 20 * UNIT));
            bondedEver += 800 * UNIT + i * 40 * UNIT;
            _fund(operators[i], address(staking), 1000 * UNIT);
        }
        TaskParams memory params = _params();
        (params.maxEpochUnits, params.verifierFee) = (33, 3 * UNIT + 1);
        (params.attestWindow, params.revealWindow, params.appealWindow) = (300, 300, 300);
        for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
            _openTask(params, 300 * UNIT);
            inflow[taskId] = 300 * UNIT;
            for (uint256 i; i < 5; ++i) {
                if (i < 3) _call(operators[i], address(registry), abi.encodeCall(registry.enlist, taskId));
                _call(operators[i], address(attestations), abi.encodeCall(attestations.enlist, taskId));
                // A bond answers for one task: another half for the other.
                if (taskId < TASKS) _bond(operators[i], Role.Verifier, uint128(150 * UNIT + i * 20 * UNIT));
            }
        }
        _fund(initiator, address(registry), 10_000 * UNIT);
        _nextBlock();
    }

    function bond(uint256 who, bool isTrainer, uint128 amount) external step(0) {
        amount = uint128(_bound(amount, 0, 50 * UNIT));
        _call(_operator(who), address(staking), abi.encodeCall(staking.bond, (_role(isTrainer), amount)));
    }

    function unbond(uint256 who, bool isTrainer, uint128 amount) external step(0) {
        amount = uint128(_bound(amount, 0, 200 * UNIT));
        bytes memory data = abi.encodeCall(staking.requestUnbond, (_role(isTrainer), amount));
        if (_call(_operator(who), address(staking), data)) {
            _dueAt[_place(_operator(who), isTrainer ? 1 : 0, 0)] = _now() + UNBONDING;
        }
    }

    function withdraw(uint256 who, bool isTrainer) external step(0) {
        if (!_call(_operator(who), address(staking), abi.encodeCall(staking.withdraw, (_role(isTrainer))))) return;
        if (_now() < _dueAt[_place(_operator(who), isTrainer ? 1 : 0, 0)]) ++early;
    }

    function enlist(uint256 who, uint256 seed, bool isTrainer) external step(seed) {
        if (isTrainer) _call(_operator(who), address(registry), abi.encodeCall(registry.enlist, _current));
        else _call(_operator(who), address(attestations), abi.encodeCall(attestations.enlist, _current));
    }

    function delist(uint256 who, uint256 by, uint256 seed, bool isTrainer) external step(seed) {
        if (seed % 16 > 1) return; // else nobody stays
        address caller = by % 2 == 0 ? outsider : _operator(who);
        if (isTrainer) _call(caller, address(registry), abi.encodeCall(registry.delist, (_current, _operator(who))));
        else _call(caller, address(attestations), abi.encodeCall(attestations.delist, _current));
    }

    function fund(uint256 seed, uint128 amount) external step(seed) {
        amount = uint128(_bound(amount, 0, 100 * UNIT));
        _call(initiator, address(registry), abi.encodeCall(registry.fundTask, (_current, amount)));
    }

    function closeOrRefund(uint256 seed) external step(seed) {
        if (seed % 200 < 2) _call(initiator, address(registry), abi.encodeCall(registry.closeTask, _current));
        _call(outsider, address(registry), abi.encodeCall(registry.refundTask, _current));
    }

    function commitWorks(uint256 seed) external step(seed) {
        for (uint256 i; i < 5; ++i) {
            if ((seed >> (8 * i)) % 4 == 0) continue;
            bytes memory data = abi.encodeCall(registry.commitWork, (_current, _openEpoch(_current), ROOT, 10, 0));
            _call(operators[i], address(registry), data);
        }
    }

    function seal(uint256 seed) external step(seed) {
        _call(outsider, address(attestations), abi.encodeCall(attestations.sealEpoch, _current));
    }

    function commitReports(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (!any) return;
        bytes[3] memory choice = [bytes(hex"64326464"), hex"64ff6464", hex"ff006432"];
        for (uint256 i; i < 5; ++i) {
            if ((seed >> (8 * i)) % 16 == 0) continue;
            bytes memory report = choice[(seed >> (8 * i)) % 13 / 6];
            bytes32 commitment = _commitment(_current, epoch, operators[i], report);
            bytes memory data = abi.encodeCall(attestations.commitAttestation, (_current, epoch, commitment));
            if (_call(operators[i], address(attestations), data)) {
                _reports[_place(operators[i], _current, epoch)] = report;
            }
        }
    }

    function reveal(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (!any) return;
        for (uint256 i; i < 5; ++i) {
            if ((seed >> (8 * i)) % 16 == 0) continue;
            bytes32 hash = keccak256(_reports[_place(operators[i], _current, epoch)]);
            bytes memory data = abi.encodeCall(attestations.revealAttestation, (_current, epoch, hash, SALT, EVIDENCE));
            _call(operators[i], address(attestations), data);
        }
    }

    function decide(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (!any) return;
        bytes memory data = abi.encodeCall(attestations.settle, (_current, epoch, _revealed(epoch)));
        _call(outsider, address(attestations), data);
        _call(outsider, address(attestations), abi.encodeCall(attestations.voidEpoch, (_current, epoch)));
        data = abi.encodeCall(attestations.finalise, (_current, epoch));
        if (_call(outsider, address(attestations), data)) ++finalEpochs;
    }

    function claim(uint256 who, uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (any) _claim(_operator(who), epoch);
    }

    function claimFees(uint256 who, uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (any) _claimFees(_operator(who), epoch);
    }

    function slash(uint256 who, uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        uint256 staked = token.balanceOf(address(staking));
        if (any) _slash(_operator(who), epoch);
        slashedEver += staked - token.balanceOf(address(staking));
    }

    function wait(uint256 duration) external step(0) {
        _wait(_bound(duration, 1, 60));
    }

    function owedByStaking() external view returns (uint256 owed) {
        for (uint256 i; i < 5; ++i) {
            for (uint8 role; role < 2; ++role) {
                (uint128 bonded, uint128 unbonding,,) = staking.bondOf(operators[i], Role(role));
                owed += uint256(bonded) + unbonding;
            }
        }
    }

    function owedByRegistry(uint256 taskId) external view returns (uint256) {
        (uint256 budget, uint256 reserved) = _money(taskId);
        return budget + reserved;
    }

    function heldBy(uint256 which) external view returns (uint256) {
        address[4] memory holders = [address(staking), address(registry), address(attestations), address(payouts)];
        return token.balanceOf(holders[which]);
    }

    /// Whether what is set aside is what answers for tasks, and is really there as long as it answers.
    function areBondsSetAside() external view returns (bool) {
        for (uint256 i; i < 5; ++i) {
            if (!_isSetAside(operators[i], true) || !_isSetAside(operators[i], false)) return false;
        }
        return true;
    }

    function _isSetAside(address who, bool isTrainer) private view returns (bool) {
        uint256 setAside;
        uint256 answering;
        for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
            (uint128 amount, uint40 until) =
                isTrainer ? registry.collateralOf(taskId, who) : attestations.collateralOf(taskId, who);
            setAside += amount;
            if (until == 0 || _now() < until) answering += amount;
        }
        (uint128 bonded, uint128 unbonding,,) = staking.bondOf(who, _role(isTrainer));
        uint128 needed = isTrainer ? registry.neededBondOf(who) : attestations.neededBondOf(who);
        return needed == setAside && answering <= uint256(bonded) + unbonding;
    }

    function _call(address caller, address target, bytes memory data) private returns (bool success) {
        vm.prank(caller);
        (success,) = target.call(data);
    }

    /// Whoever does not know a work's index can try them all.
    function _claim(address who, uint64 epoch) private {
        for (uint16 index; index < 5; ++index) {
            bytes memory data = abi.encodeCall(payouts.claim, (_refs(_ref(_current, epoch, who, index))));
            if (_call(outsider, address(payouts), data)) _paid(keccak256("work"), who, epoch);
        }
    }

    function _claimFees(address who, uint64 epoch) private {
        uint64[] memory epochs = new uint64[](1);
        epochs[0] = epoch;
        bytes memory data = abi.encodeCall(payouts.claimFees, (_current, epochs));
        if (_call(who, address(payouts), data)) _paid(keccak256("fee"), who, epoch);
    }

    function _slash(address who, uint64 epoch) private {
        bytes memory data;
        for (uint16 index; index < 5; ++index) {
            data = abi.encodeCall(payouts.slashFraud, (_ref(_current, epoch, who, index)));
            if (_call(outsider, address(payouts), data)) {
                _paid(keccak256("fraud"), who, epoch);
                _paid(keccak256("work"), who, epoch);
            }
        }
        data = abi.encodeCall(attestations.slashAbsence, (_current, epoch, who));
        if (_call(outsider, address(attestations), data)) _paid(keccak256("absence"), who, epoch);
    }

    /// A work, a fee, an absence: each at most once, and only after a decision.
    function _paid(bytes32 kind, address who, uint64 epoch) private {
        EpochPhase phase = attestations.phaseOf(_current, epoch);
        bool isDecided = phase == EpochPhase.Final
            || (kind == keccak256("absence") && (phase == EpochPhase.Void || phase == EpochPhase.Challengeable));
        if (!isDecided) ++early;
        ++successes[kind];
        if (++payments[keccak256(abi.encode(kind, _place(who, _current, epoch)))] > 1) ++doublePayments;
    }

    /// One of the three newest sealed epochs of the task.
    function _epoch(uint256 back) private view returns (uint64 epoch, bool any) {
        (,,, uint64 openEpoch,,,) = registry.stateOf(_current);
        if (openEpoch == 0) return (0, false);
        back = back % 8 < 6 ? 0 : back % 8 - 5; // mostly the newest
        return (openEpoch > back ? openEpoch - 1 - uint64(back) : 0, true);
    }

    /// Every distinct report revealed, in ascending order of hashes.
    function _revealed(uint64 epoch) private view returns (bytes[] memory reports) {
        bytes[] memory found = new bytes[](5);
        uint256 count;
        for (uint256 i; i < 5; ++i) {
            (bytes32 hash,,,,) = attestations.attestationOf(_current, epoch, operators[i]);
            if (hash == bytes32(0)) continue;
            uint256 slot = count;
            bool isKnown;
            for (uint256 k; k < count; ++k) {
                isKnown = isKnown || keccak256(found[k]) == hash;
            }
            if (isKnown) continue;
            for (; slot > 0 && keccak256(found[slot - 1]) > hash; --slot) {
                found[slot] = found[slot - 1];
            }
            found[slot] = _reports[_place(operators[i], _current, epoch)];
            ++count;
        }
        reports = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            reports[i] = found[i];
        }
    }

    function _operator(uint256 seed) private view returns (address) {
        return operators[seed % 5];
    }

    function _role(bool isTrainer) private pure returns (Role) {
        return isTrainer ? Role.Trainer : Role.Verifier;
    }

    function _place(address who, uint256 taskId, uint64 epoch) private pure returns (bytes32) {
        return keccak256(abi.encode(who, taskId, epoch));
    }
}
