// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {ChallengePhase} from "../../contracts/interfaces/IChallenges.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// Five operators, each trainer and verifier at once, an initiator with two tasks, a challenger, a stranger, and whatever
/// they may think of doing. What the contracts refuse is no step; what they allow is written down here as an outsider would
/// see it, from the token's balances and from what each may lose.
contract Handler is Network {
    uint256 public constant TASKS = 2;
    uint16 private constant _WORKS = 5; // one of each operator at most

    address[5] public operators;
    address public immutable challenger = vm.addr(40);
    address public immutable stranger = vm.addr(41);
    /// What has come into the registry and gone out of it, by task.
    mapping(uint256 taskId => uint256) public inflow;
    mapping(uint256 taskId => uint256) public outflow;
    uint256 public bondedEver;
    uint256 public slashedEver;
    uint256 public early;
    uint256 public doublePayments;
    uint256 public unfairSlashes;
    uint256 public meddlings;
    /// How often each kind of step succeeded, so that a run can show that it got that far.
    mapping(bytes32 kind => uint256) public successes;

    uint256 private _current; // the task of the step under way
    uint256 private _held;
    uint256 private _staked;
    mapping(bytes32 => uint256) private _payments;
    mapping(bytes32 => bytes) private _reports;
    mapping(bytes32 => bytes[]) private _settled;
    mapping(bytes32 => uint8) private _votes;
    mapping(bytes32 => uint256) private _dueAt;
    bytes private constant _WITHHELD = hex"323232323232";

    /// Attributes the registry's change of balance to the task of the step.
    modifier step(uint256 seed) {
        _current = seed % TASKS + 1;
        (_held, _staked) = (token.balanceOf(address(registry)), token.balanceOf(address(staking)));
        _;
        _book();
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
        (params.attestWindow, params.revealWindow) = (300, 300);
        (params.challengeWindow, params.appealWindow) = (200, 300);
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
        _fund(challenger, address(registry), 10_000 * UNIT);
        _nextBlock();
    }

    // Bonds.

    function bond(uint256 who, uint256 flag, uint256 amount) external step(0) {
        bool isTrainer = flag % 2 == 0;
        amount = _bound(amount, 0, 50 * UNIT);
        _call(_operator(who), address(staking), abi.encodeCall(staking.bond, (_role(isTrainer), uint128(amount))));
    }

    function unbond(uint256 who, uint256 flag, uint256 amount) external step(0) {
        bool isTrainer = flag % 2 == 0;
        amount = _bound(amount, 0, 200 * UNIT);
        bytes memory data = abi.encodeCall(staking.requestUnbond, (_role(isTrainer), uint128(amount)));
        if (_call(_operator(who), address(staking), data)) {
            _dueAt[_place(_operator(who), isTrainer ? 1 : 0, 0)] = _now() + UNBONDING;
        }
    }

    function withdraw(uint256 who, uint256 flag) external step(0) {
        bool isTrainer = flag % 2 == 0;
        if (!_call(_operator(who), address(staking), abi.encodeCall(staking.withdraw, (_role(isTrainer))))) return;
        ++successes["withdrawal"];
        if (_now() < _dueAt[_place(_operator(who), isTrainer ? 1 : 0, 0)]) ++early;
    }

    function enlist(uint256 who, uint256 seed, uint256 flag) external step(seed) {
        if (flag % 2 == 0) _call(_operator(who), address(registry), abi.encodeCall(registry.enlist, _current));
        else _call(_operator(who), address(attestations), abi.encodeCall(attestations.enlist, _current));
    }

    function delist(uint256 who, uint256 by, uint256 seed, uint256 flag) external step(seed) {
        if (seed % 16 > 1) return; // else nobody stays
        address caller = by % 2 == 0 ? outsider : _operator(who);
        if (flag % 2 == 0) {
            _call(caller, address(registry), abi.encodeCall(registry.delist, (_current, _operator(who))));
        } else {
            _call(caller, address(attestations), abi.encodeCall(attestations.delist, _current));
        }
    }

    function releaseBond(uint256 who, uint256 seed) external step(seed) {
        _releaseBond(_operator(who));
    }

    // The task's money.

    function fund(uint256 seed, uint256 amount) external step(seed) {
        amount = _bound(amount, 0, 100 * UNIT);
        _call(initiator, address(registry), abi.encodeCall(registry.fundTask, (_current, uint128(amount))));
    }

    function closeOrRefund(uint256 seed) external step(seed) {
        if (seed % 400 < 2) _call(initiator, address(registry), abi.encodeCall(registry.closeTask, _current));
        _count("refund", outsider, address(registry), abi.encodeCall(registry.refundTask, _current));
    }

    // An epoch.

    function commitWorks(uint256 seed) external step(seed) {
        for (uint256 i; i < 5; ++i) {
            if ((seed >> (8 * i)) % 4 == 0) continue;
            bytes memory data = abi.encodeCall(registry.commitWork, (_current, _openEpoch(_current), ROOT, 10, 0));
            _call(operators[i], address(registry), data);
        }
    }

    function seal(uint256 seed) external step(seed) {
        vm.prevrandao(bytes32(seed >> 128));
        _call(outsider, address(attestations), abi.encodeCall(attestations.sealEpoch, _current));
    }

    function commitReports(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (!any) return;
        bytes[4] memory choice = [bytes(hex"643264646464"), hex"64ff64646464", hex"ff0064326464", _WITHHELD];
        for (uint256 i; i < 5; ++i) {
            uint256 chance = (seed >> (8 * i)) % 64;
            if (chance == 0) continue;
            bytes memory report = choice[chance < 6 ? chance / 2 + 1 : seed >> 64 & 1];
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
            if ((seed >> (8 * i)) % 32 == 0) continue;
            bytes32 hash = keccak256(_reports[_place(operators[i], _current, epoch)]);
            bytes memory data = abi.encodeCall(attestations.revealAttestation, (_current, epoch, hash, SALT, EVIDENCE));
            _call(operators[i], address(attestations), data);
        }
    }

    function settle(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (any) _settleEpoch(epoch);
    }

    function finalise(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (any) _finaliseEpoch(epoch);
    }

    function showReport(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (!any || seed % 8 > 3) return; // some are never shown
        bytes memory data = abi.encodeCall(attestations.showReport, (_current, epoch, _WITHHELD));
        _count("shown", outsider, address(attestations), data);
    }

    // Challenges: of every work of an epoch that has one.

    function challenge(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (!any) return;
        uint8[4] memory scores = [uint8(255), 0, 100, 50];
        bytes memory data =
            abi.encodeCall(challenges.challenge, (_current, epoch, uint16(seed >> 8) % 3, scores[(seed >> 24) % 4]));
        _call(challenger, address(challenges), data);
    }

    function commitAppeals(uint256 seed) external step(seed) {
        _forRecent(seed >> 8, _commitAppeals);
    }

    function revealAppeals(uint256 seed) external step(seed) {
        _forRecent(seed >> 8, _revealAppeals);
    }

    function decide(uint256 seed) external step(seed) {
        _forRecent(_decide);
    }

    // Payments and slashes.

    function claim(uint256 who, uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (any) _claim(_operator(who), epoch);
    }

    function claimFees(uint256 who, uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (any) _claimFees(_operator(who), epoch);
    }

    function claimChallenges(uint256 seed) external step(seed) {
        _forRecent(_claimChallenges);
    }

    function slash(uint256 who, uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch, bool any) = _epoch(back);
        if (any) _slash(_operator(who), epoch);
    }

    function wait(uint256 duration) external step(0) {
        _wait(_bound(duration, 1, 120));
    }

    /// Somebody without any part in all this tries what is not its to do, and nothing moves.
    function meddle(uint256 seed, uint256 back) external step(seed) {
        (uint64 epoch,) = _epoch(back);
        address victim = _operator(seed >> 8);
        bytes[15] memory calls = [
            abi.encodeCall(staking.requestUnbond, (Role.Verifier, 1)),
            abi.encodeCall(staking.withdraw, (Role.Trainer)),
            abi.encodeCall(staking.slash, (victim, Role.Trainer, 1, stranger, 1, false)),
            abi.encodeCall(staking.enlisted, (victim, Role.Verifier, false)),
            abi.encodeCall(registry.closeTask, (_current)),
            abi.encodeCall(registry.pay, (_current, stranger, 1, 1)),
            abi.encodeCall(registry.release, (_current, 1)),
            abi.encodeCall(registry.releaseEpoch, (_current, epoch)),
            abi.encodeCall(registry.credit, (_current, 1, 1)),
            abi.encodeCall(registry.hold, (_current, challenger, 1)),
            abi.encodeCall(attestations.slashVerifier, (_current, epoch, victim, 1, 0)),
            abi.encodeCall(attestations.closeChallenge, (_current, epoch, 0, 0, true, new bytes[](0))),
            abi.encodeCall(challenges.reward, (_current, epoch, 0, 1)),
            abi.encodeCall(challenges.claim, (_current, epoch, 0, stranger)),
            abi.encodeCall(registry.settleFraud, (_current, epoch, _ref(_current, epoch, victim, 0).work, stranger, 1))
        ];
        uint256 which = (seed >> 16) % 15;
        address[4] memory targets = [address(staking), address(registry), address(attestations), address(challenges)];
        address target = targets[which < 4 ? 0 : which < 10 || which == 14 ? 1 : which < 12 ? 2 : 3];
        bytes32 before = _everybodysMoney();
        if (_call(stranger, target, calls[which]) || _everybodysMoney() != before) ++meddlings;
    }

    // The end: whatever state the steps above have left behind, somebody can lead everything out of it.

    /// Ends both tasks, all epochs and challenges, and lets everybody have what is theirs.
    function windUp() external {
        _bond(outsider, Role.Verifier, 100 * UNIT);
        bondedEver += 100 * UNIT;
        for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
            _windUp(taskId);
        }
        _withdrawAll();
        require(token.balanceOf(address(staking)) == 0, "bonds that nobody can have back");
    }

    // What is held and owed.

    function owedByStaking() external view returns (uint256 owed) {
        for (uint256 i; i < 5; ++i) {
            owed += _stake(operators[i], true) + _stake(operators[i], false);
        }
    }

    function owedByRegistry(uint256 taskId) external view returns (uint256) {
        (uint256 budget, uint256 reserved) = _money(taskId);
        return budget + reserved;
    }

    function heldBy(uint256 which) external view returns (uint256) {
        address[6] memory holders = [
            address(staking), address(registry), address(attestations), address(payouts), address(challenges), stranger
        ];
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
        uint128 needed = isTrainer ? registry.neededBondOf(who) : attestations.neededBondOf(who);
        return needed == setAside && answering <= _stake(who, isTrainer);
    }

    function _stake(address who, bool isTrainer) private view returns (uint256) {
        (uint128 bonded, uint128 unbonding,,) = staking.bondOf(who, _role(isTrainer));
        return uint256(bonded) + unbonding;
    }

    function _collateral(address who, bool isTrainer) private view returns (uint256 amount) {
        (amount,) = isTrainer ? registry.collateralOf(_current, who) : attestations.collateralOf(_current, who);
    }

    function _everybodysMoney() private view returns (bytes32 digest) {
        for (uint256 i; i < 5; ++i) {
            uint256 held = token.balanceOf(operators[i]);
            digest = keccak256(abi.encode(digest, held, _stake(operators[i], true), _stake(operators[i], false)));
        }
        for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
            (uint256 budget, uint256 reserved) = _money(taskId);
            digest = keccak256(abi.encode(digest, budget, reserved));
        }
        return keccak256(
            abi.encode(digest, token.balanceOf(initiator), token.balanceOf(challenger), token.balanceOf(stranger))
        );
    }

    function _book() private {
        uint256 held = token.balanceOf(address(registry));
        if (held > _held) inflow[_current] += held - _held;
        else outflow[_current] += _held - held;
        uint256 staked = token.balanceOf(address(staking));
        if (staked > _staked) bondedEver += staked - _staked;
        _nextBlock();
    }

    // Steps, for one epoch.

    function _settleEpoch(uint64 epoch) private {
        bytes[] memory reports = _revealed(epoch);
        bytes memory data = abi.encodeCall(attestations.settle, (_current, epoch, reports));
        if (_call(outsider, address(attestations), data)) _settled[_place(address(0), _current, epoch)] = reports;
        data = abi.encodeCall(attestations.voidEpoch, (_current, epoch));
        _count("void", outsider, address(attestations), data);
    }

    function _finaliseEpoch(uint64 epoch) private {
        bytes memory data = abi.encodeCall(attestations.finalise, (_current, epoch));
        _count("final", outsider, address(attestations), data);
    }

    function _commitAppeals(uint64 epoch, uint256 seed) private {
        for (uint16 index; index < _WORKS; ++index) {
            if (challenges.phaseOf(_current, epoch, index) != ChallengePhase.AppealCommit) continue;
            (, uint8 standing, uint8 claimed,,,) = challenges.challengeOf(_current, epoch, index);
            for (uint256 i; i < 5; ++i) {
                uint256 chance = (seed >> (8 * i)) % 32;
                if (chance == 0) continue;
                uint8 score = chance == 1 ? 70 : (chance == 2) == (seed >> 64 & 1 == 0) ? standing : claimed;
                bytes32 vote = _vote(_current, epoch, index, operators[i], score);
                bytes memory data = abi.encodeCall(challenges.commitAppeal, (_current, epoch, index, vote));
                if (_call(operators[i], address(challenges), data)) _votes[vote] = 1;
            }
        }
    }

    function _revealAppeals(uint64 epoch, uint256 seed) private {
        for (uint16 index; index < _WORKS; ++index) {
            if (challenges.phaseOf(_current, epoch, index) != ChallengePhase.AppealReveal) continue;
            for (uint256 i; i < 5; ++i) {
                if ((seed >> (8 * i)) % 32 > 0) _revealAppeal(epoch, index, operators[i]);
            }
        }
    }

    function _revealAppeal(uint64 epoch, uint16 index, address who) private {
        (, uint8 standing, uint8 claimed,,,) = challenges.challengeOf(_current, epoch, index);
        uint8[3] memory scores = [standing, claimed, 70];
        for (uint256 k; k < 3; ++k) {
            if (_votes[_vote(_current, epoch, index, who, scores[k])] == 0) continue;
            bytes memory data = abi.encodeCall(challenges.revealAppeal, (_current, epoch, index, scores[k], SALT));
            _call(who, address(challenges), data);
        }
    }

    function _decide(uint64 epoch) private {
        bytes[] memory reports = _settled[_place(address(0), _current, epoch)];
        for (uint16 index; index < _WORKS; ++index) {
            if (challenges.phaseOf(_current, epoch, index) != ChallengePhase.Decidable) continue;
            bytes memory data = abi.encodeCall(challenges.decide, (_current, epoch, index, reports));
            require(_call(outsider, address(challenges), data), "a challenge without an end");
            ChallengePhase outcome = challenges.phaseOf(_current, epoch, index);
            if (outcome == ChallengePhase.Upheld) ++successes["upheld"];
            else if (outcome == ChallengePhase.Overturned) ++successes["overturned"];
            else ++successes["undecided"];
        }
    }

    /// Whoever does not know a work's index can try them all.
    function _claim(address who, uint64 epoch) private {
        for (uint16 index; index < _WORKS; ++index) {
            bytes memory data = abi.encodeCall(payouts.claim, (_refs(_ref(_current, epoch, who, index))));
            if (_call(outsider, address(payouts), data)) _paid("work", who, epoch, 0);
        }
    }

    function _claimFees(address who, uint64 epoch) private {
        uint64[] memory epochs = new uint64[](1);
        epochs[0] = epoch;
        bytes memory data = abi.encodeCall(payouts.claimFees, (_current, epochs));
        if (_call(who, address(payouts), data)) _paid("fee", who, epoch, 0);
    }

    function _claimChallenges(uint64 epoch) private {
        for (uint16 index; index < _WORKS; ++index) {
            if (uint256(challenges.phaseOf(_current, epoch, index)) < uint256(ChallengePhase.Upheld)) continue;
            bytes memory data = abi.encodeCall(challenges.claim, (_current, epoch, index, challenger));
            _count("challenger", outsider, address(challenges), data); // several times: later slashes add to it
            for (uint256 i; i < 5; ++i) {
                data = abi.encodeCall(challenges.claim, (_current, epoch, index, operators[i]));
                if (_call(outsider, address(challenges), data)) _paid("share", operators[i], epoch, index);
            }
        }
    }

    function _slash(address who, uint64 epoch) private {
        bytes memory data;
        for (uint16 index; index < _WORKS; ++index) {
            data = abi.encodeCall(payouts.slashFraud, (_ref(_current, epoch, who, index)));
            if (_slashing("fraud", who, true, address(payouts), data, epoch, index)) {
                _paid("work", who, epoch, 0);
                (address found,, uint8 claimed,,,) = challenges.challengeOf(_current, epoch, index);
                bool isFound = found != address(0) && claimed == 255
                    && challenges.phaseOf(_current, epoch, index) == ChallengePhase.Overturned;
                if (isFound) ++successes["found fraud"];
            }
            if (challenges.phaseOf(_current, epoch, index) == ChallengePhase.None) continue;
            bytes memory report = _reports[_place(who, _current, epoch)];
            data = abi.encodeCall(challenges.slashVerdict, (_current, epoch, index, who, report));
            _slashing("verdict", who, false, address(challenges), data, epoch, index);
            data = abi.encodeCall(challenges.slashAbsence, (_current, epoch, index, who));
            _slashing("appeal absence", who, false, address(challenges), data, epoch, index);
        }
        (bytes32 reportHash,,,,) = attestations.attestationOf(_current, epoch, who);
        bool isWithheld = reportHash != 0 || keccak256(_reports[_place(who, _current, epoch)]) == keccak256(_WITHHELD);
        data = abi.encodeCall(attestations.slashAbsence, (_current, epoch, who));
        _slashing(
            isWithheld ? bytes32("withheld") : bytes32("absence"), who, false, address(attestations), data, epoch, 0
        );
    }

    /// A slash takes from one bond only, and only what was set aside for this task.
    function _slashing(
        bytes32 kind,
        address who,
        bool isTrainer,
        address target,
        bytes memory data,
        uint64 epoch,
        uint16 index
    ) private returns (bool success) {
        (uint256 stake, uint256 other) = (_stake(who, isTrainer), _stake(who, !isTrainer));
        uint256 collateral = _collateral(who, isTrainer);
        success = _call(outsider, target, data);
        uint256 taken = stake - _stake(who, isTrainer);
        slashedEver += taken;
        if (taken != collateral - _collateral(who, isTrainer) || _stake(who, !isTrainer) != other) ++unfairSlashes;
        if (success) _paid(kind, who, epoch, index);
    }

    /// A work, a fee, a share, a slash of each kind: each at most once, and only after a decision.
    function _paid(bytes32 kind, address who, uint64 epoch, uint16 index) private {
        EpochPhase phase = attestations.phaseOf(_current, epoch);
        bool isDecided = phase == EpochPhase.Final;
        if (kind == "absence" || kind == "withheld") {
            isDecided =
                isDecided || phase == EpochPhase.Void || (phase == EpochPhase.Challengeable && kind == "absence");
        } else if (kind == "verdict") {
            isDecided = challenges.phaseOf(_current, epoch, index) == ChallengePhase.Overturned;
        } else if (kind == "share") {
            isDecided = challenges.phaseOf(_current, epoch, index) == ChallengePhase.Upheld;
        } else if (kind == "appeal absence") {
            isDecided = uint256(challenges.phaseOf(_current, epoch, index)) >= uint256(ChallengePhase.Upheld);
        }
        if (!isDecided) ++early;
        ++successes[kind];
        if (kind == "withheld") kind = "absence"; // one or the other
        if (++_payments[keccak256(abi.encode(kind, index, _place(who, _current, epoch)))] > 1) ++doublePayments;
    }

    /// Appeals may outlast the epoch that is the newest: the three newest ones.
    function _forRecent(uint256 seed, function(uint64, uint256) act) private {
        uint64 end = _openEpoch(_current);
        for (uint64 epoch = end > 3 ? end - 3 : 0; epoch < end; ++epoch) {
            act(epoch, seed);
        }
    }

    function _forRecent(function(uint64) act) private {
        uint64 end = _openEpoch(_current);
        for (uint64 epoch = end > 3 ? end - 3 : 0; epoch < end; ++epoch) {
            act(epoch);
        }
    }

    function _releaseBond(address who) private {
        _count("release", outsider, address(registry), abi.encodeCall(registry.releaseBond, (_current, who)));
        _count("release", outsider, address(attestations), abi.encodeCall(attestations.releaseBond, (_current, who)));
    }

    // Winding up.

    function _windUp(uint256 taskId) private step(taskId - 1) {
        _call(initiator, address(registry), abi.encodeCall(registry.closeTask, taskId));
        if (registry.sealable(taskId) || _worksOf(taskId, _openEpoch(taskId)) > 0) _sealLast(taskId);
        uint64 end = _openEpoch(taskId);
        _wait(600); // the votes are in, or their time is over
        _forEach(end, _settleEpoch);
        _wait(300); // reports may be missing from now on
        _forEach(end, _settleEpoch);
        _wait(600); // appeals are over
        _forEach(end, _decide);
        _forEach(end, _finaliseEpoch);
        _wait(2 * UNBONDING);
        _forEach(end, _settleEpoch); // void what nobody could settle
        for (uint64 epoch; epoch < end; ++epoch) {
            EpochPhase phase = attestations.phaseOf(taskId, epoch);
            require(phase == EpochPhase.Final || phase == EpochPhase.Void, "an epoch without an end");
            _payOut(epoch);
        }
        _count("refund", outsider, address(registry), abi.encodeCall(registry.refundTask, taskId));
        (uint256 budget,) = _money(taskId);
        require(budget == 0, "money that nobody can have back");
    }

    /// Whoever wants an epoch judged that no verifier is left for can bond and enlist.
    function _sealLast(uint256 taskId) private {
        _wait(100);
        if (_call(outsider, address(attestations), abi.encodeCall(attestations.sealEpoch, taskId))) return;
        require(_call(outsider, address(attestations), abi.encodeCall(attestations.enlist, taskId)), "no verifier");
        _nextBlock();
        require(_call(outsider, address(attestations), abi.encodeCall(attestations.sealEpoch, taskId)), "no seal");
        _call(outsider, address(attestations), abi.encodeCall(attestations.delist, taskId));
    }

    function _forEach(uint64 end, function(uint64) act) private {
        for (uint64 epoch; epoch < end; ++epoch) {
            act(epoch);
        }
    }

    function _payOut(uint64 epoch) private {
        for (uint256 i; i < 5; ++i) {
            _claim(operators[i], epoch);
            _claimFees(operators[i], epoch);
            _slash(operators[i], epoch);
        }
        _claimChallenges(epoch);
    }

    function _withdrawAll() private {
        for (uint256 i; i < 6; ++i) {
            address who = i < 5 ? operators[i] : outsider;
            for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
                _call(who, address(registry), abi.encodeCall(registry.delist, (taskId, who)));
                _call(who, address(attestations), abi.encodeCall(attestations.delist, taskId));
            }
            for (uint8 role; role < 2; ++role) {
                (uint128 bonded,,,) = staking.bondOf(who, Role(role));
                _call(who, address(staking), abi.encodeCall(staking.requestUnbond, (Role(role), bonded)));
            }
        }
        _wait(UNBONDING);
        for (uint256 i; i < 6; ++i) {
            address who = i < 5 ? operators[i] : outsider;
            for (uint8 role; role < 2; ++role) {
                _count("withdrawal", who, address(staking), abi.encodeCall(staking.withdraw, (Role(role))));
            }
            for (_current = 1; _current <= TASKS; ++_current) {
                _releaseBond(who);
            }
            require(registry.neededBondOf(who) == 0 && attestations.neededBondOf(who) == 0, "set aside for ever");
        }
    }

    function _call(address caller, address target, bytes memory data) private returns (bool success) {
        vm.prank(caller);
        (success,) = target.call(data);
    }

    function _count(bytes32 kind, address caller, address target, bytes memory data) private {
        if (_call(caller, target, data)) ++successes[kind];
    }

    function _worksOf(uint256 taskId, uint64 epoch) private view returns (uint16 works) {
        (works,,,) = registry.epochOf(taskId, epoch);
    }

    /// One of the three newest sealed epochs of the task.
    function _epoch(uint256 back) private view returns (uint64 epoch, bool any) {
        uint64 openEpoch = _openEpoch(_current);
        if (openEpoch == 0) return (0, false);
        back = back % 8 < 6 ? 0 : back % 8 - 5; // mostly the newest
        return (openEpoch > back ? openEpoch - 1 - uint64(back) : 0, true);
    }

    /// Every distinct report revealed, in ascending order of hashes, but for the one whose bytes nobody has.
    function _revealed(uint64 epoch) private view returns (bytes[] memory reports) {
        bytes[] memory found = new bytes[](5);
        uint256 count;
        for (uint256 i; i < 5; ++i) {
            (bytes32 hash,,,,) = attestations.attestationOf(_current, epoch, operators[i]);
            if (hash == bytes32(0) || hash == keccak256(_WITHHELD)) continue;
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
