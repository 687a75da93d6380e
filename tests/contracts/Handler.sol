// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChallengeState, DisputePhase} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {Submission} from "../../contracts/interfaces/ICommitments.sol";
import {SubmissionRef} from "../../contracts/interfaces/IPayouts.sol";
import {PlantState} from "../../contracts/interfaces/IPlants.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {KindTerms, TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Judges} from "./Judges.sol";

/// Five operators, each trainer and verifier at once, three jurors, an initiator with two tasks, a challenger, a
/// planter, a stranger, and whatever they may think of doing. What the contracts refuse is no step; what they allow,
/// `Ledger` writes down. Chance decides who does what, in which order, within one block or over days, up to a second
/// before or after a phase ends.
contract Handler is Judges {
    constructor() {
        setUp();
        _invite();
        for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
            _openTask(_terms(taskId), 400 * UNIT);
            inflow[taskId] = 400 * UNIT;
            bytes32 termsHash = _termsHash(taskId);
            for (uint256 i; i < 5; ++i) {
                _call(operators[i], address(commitments), abi.encodeCall(commitments.enlist, (taskId, termsHash)));
                bytes memory data = abi.encodeCall(verifiers.enlist, (taskId, termsHash, _weightOf(i), address(0)));
                _call(operators[i], address(verifiers), data);
            }
        }
        for (uint256 i; i < 3; ++i) {
            _call(jurors[i], address(panels), abi.encodeCall(panels.takeSeats, (CLASS, uint16(10 + i))));
            _call(jurors[i], address(panels), abi.encodeCall(panels.takeSeats, (_smallClass(), uint16(1 + i))));
        }
        _nextBlock();
    }

    /// Bonds and allowances of everybody.
    function _invite() private {
        for (uint256 i; i < 5; ++i) {
            operators[i] = vm.addr(KEYS + i);
            _bondFor(operators[i], Role.Trainer, 600 * UNIT);
            _bondFor(operators[i], Role.Verifier, 2 * _weightOf(i) + 20 * UNIT);
            _nameWorker(operators[i], 2 * KEYS + i);
            people.push(operators[i]);
        }
        for (uint256 i; i < 3; ++i) {
            jurors[i] = vm.addr(50 + i);
            _bondFor(jurors[i], Role.Verifier, 400 * UNIT);
            people.push(jurors[i]);
        }
        address[5] memory others = [challenger, planter, stranger, outsider, initiator];
        for (uint256 i; i < 5; ++i) {
            people.push(others[i]);
        }
        for (uint256 i; i < people.length; ++i) {
            _numberOf[people[i]] = i;
            if (people[i] == stranger) continue; // has nothing, and gets nothing
            _fund(people[i], address(staking), 2000 * UNIT);
            _fund(people[i], address(registry), 2000 * UNIT);
            _fund(people[i], address(appeals), 2000 * UNIT);
            _fund(people[i], address(plants), 2000 * UNIT);
        }
    }

    function _bondFor(address who, Role role, uint128 amount) private {
        _bond(who, role, amount);
        bondedEver += amount;
    }

    function _weightOf(uint256 i) private pure returns (uint128) {
        return uint128(150 * UNIT + i * 20 * UNIT);
    }

    /// The first task has panels, and two kinds of submission; the second too few seats for any, and an end.
    function _terms(uint256 taskId) private pure returns (TaskParams memory params) {
        params = _params();
        (params.maxEpochUnits, params.verifierFee, params.maxSubmissionsEach) = (33, 3 * UNIT + 1, 2);
        (params.samplingBps, params.revealWindow, params.attestWindow, params.appealWindow) =
        (5000, WINDOW, WINDOW, WINDOW);
        params.kinds[3] = KindTerms({unitPrice: UNIT / 3, detectionBps: 5000});
        if (taskId == 2) (params.panelClass, params.maxEpochs) = (_smallClass(), 12);
    }

    // Bonds, keys, seats.

    function bond(uint256 seed, uint256 amount) external step(seed) {
        amount = _bound(amount, 0, 50 * UNIT);
        Role role = _anyRole();
        bytes memory data = abi.encodeCall(staking.bond, (role, uint128(amount)));
        if (_try("bond", _anyBonder(), address(staking), data)) bondedEver += amount;
    }

    function unbond(uint256 seed, uint256 amount) external step(seed) {
        address who = _anyBonder();
        Role role = _anyRole();
        (uint128 bonded, uint128 locked,,) = staking.bondOf(who, role);
        amount = _bound(amount, 0, (bonded - locked) / 2 + 1);
        _try("unbond", who, address(staking), abi.encodeCall(staking.requestUnbond, (role, uint128(amount))));
    }

    function withdraw(uint256 seed) external step(seed) {
        _withdraw(_anyBonder(), _anyRole());
    }

    function nameWorker(uint256 seed) external step(seed) {
        uint256 key = _chance(6) ? KEYS + _roll(5) : 2 * KEYS + _roll(7); // also an operator's own
        address who = _anyBonder();
        if (_chance(4)) {
            _try("renounce", vm.addr(key), address(staking), abi.encodeCall(staking.renounceWorkerKey, ()));
            return;
        }
        address worker = vm.addr(key);
        bool isTaken = staking.operatorOf(worker) != worker && staking.operatorOf(worker) != who;
        bytes memory consent = _consent(key, _chance(4) ? stranger : who);
        bytes memory data = abi.encodeCall(staking.setWorkerKey, (worker, type(uint256).max, consent));
        if (_try("worker", who, address(staking), data)) _must(!isTaken, "a worker key was taken over");
    }

    function seats(uint256 seed) external step(seed) {
        address who = _anyBonder();
        bytes32 class = _chance(2) ? CLASS : _smallClass();
        if (_chance(2)) {
            uint16 count = uint16(_roll(3));
            _try("take seats", _keyOf(who), address(panels), abi.encodeCall(panels.takeSeats, (class, count)));
            return;
        }
        uint32[] memory left = new uint32[](1 + _roll(2));
        for (uint256 i; i < left.length; ++i) {
            left[i] = uint32(_roll(panels.poolSize(class) + 1));
        }
        (address holder,) = panels.seatOf(class, left[0]);
        if (holder != address(0) && !_chance(4)) who = holder;
        _try("leave seats", who, address(panels), abi.encodeCall(panels.leaveSeats, (class, left)));
    }

    // Tasks.

    function fund(uint256 seed, uint256 amount) external step(seed) {
        amount = _chance(4) ? 0 : _bound(amount, 0, 100 * UNIT);
        bytes memory data = abi.encodeCall(registry.fundTask, (_current, uint128(amount)));
        _try("fund", _chance(2) ? initiator : outsider, address(registry), data);
    }

    /// Another task, with a place for its spec that no reader can make sense of.
    function openTask(uint256 seed, bytes calldata uri) external step(seed) {
        if (registry.taskCount() > TASKS + 1) return;
        TaskParams memory params = _params();
        bytes memory data = abi.encodeCall(registry.openTask, (params, bytes32(seed), string(uri), POLICY, 110 * UNIT));
        _current = registry.taskCount() + 1;
        _try("open task", initiator, address(registry), data);
    }

    function closeOrRefund(uint256 seed) external step(seed) {
        if (_chance(100)) _try("close", initiator, address(registry), abi.encodeCall(registry.closeTask, _current));
        _tryForbidden("foreign close", outsider, address(registry), abi.encodeCall(registry.closeTask, _current));
        _try("refund", outsider, address(registry), abi.encodeCall(registry.refundTask, _current));
    }

    // The two lists of a task.

    function enlist(uint256 seed) external step(seed) {
        bytes32 termsHash = _chance(16) ? bytes32(seed) : _termsHash(_current);
        address key = _keyOf(_anyOperator());
        bool isTrainer = _chance(2);
        bytes memory data = isTrainer
            ? abi.encodeCall(commitments.enlist, (_current, termsHash))
            : abi.encodeCall(
                verifiers.enlist, (_current, termsHash, uint128(100 * UNIT + _roll(100 * UNIT)), address(0))
            );
        bytes32 kind = isTrainer ? bytes32("enlist: trainer") : bytes32("enlist: verifier");
        bool done = _try(kind, key, isTrainer ? address(commitments) : address(verifiers), data);
        if (done) _must(termsHash == _termsHash(_current), "enlisted for other terms");
    }

    function delist(uint256 seed) external step(seed) {
        address who = _anyOperator();
        if (!_chance(2)) return; // else nobody stays
        if (_chance(2)) {
            address by = _chance(4) ? outsider : _keyOf(who);
            _try("delist: trainer", by, address(commitments), abi.encodeCall(commitments.delist, (_current, who)));
        } else {
            _try("delist: verifier", _keyOf(who), address(verifiers), abi.encodeCall(verifiers.delist, _current));
        }
    }

    function releaseBond(uint256 seed) external step(seed) {
        _release(_anyOperator());
    }

    // The open epoch.

    function commitSubmissions(uint256 seed) external step(seed) {
        _commitSubmissions();
    }

    function seal(uint256 seed) external step(seed) {
        _close();
        if (!_chance(4)) vm.roll(vm.getBlockNumber() + 2);
        _seal();
    }

    /// What goes on where all programs run: most do what is theirs to do now.
    function live(uint256 seed) external step(seed) {
        _commitSubmissions();
        _close();
        vm.roll(vm.getBlockNumber() + 2);
        _seal();
        _forRecent(EpochPhase.AttestCommit, _commitReports);
        _forRecent(EpochPhase.AttestReveal, _revealReports);
        _forRecent(EpochPhase.Attested, _settleEpoch);
        if (_chance(2)) _forRecent(EpochPhase.Challengeable, _commitChallenges);
        if (_chance(2)) _openPlants();
        _forOpenChallenges(_revealChallenge);
        _forOpenChallenges(_summon);
        vm.roll(vm.getBlockNumber() + 2);
        _forOpenChallenges(_drawPanel);
        _forOpenChallenges(_commitVotes);
        _forOpenChallenges(_revealVotes);
        _forOpenChallenges(_decide);
        _forRecent(EpochPhase.Missed, _voidEpoch);
        _forRecent(EpochPhase.Challengeable, _finaliseEpoch);
    }

    /// Who the epoch waits for leaves and seals in one block: the seed would be of its choice.
    function leaveAndSeal(uint256 seed) external step(seed) {
        (uint64 epoch,, bool wasClosed,) = commitments.openEpochOf(_current);
        address who = _anyOperator();
        if (_chance(3)) _try("delist: trainer", who, address(commitments), _delisting(who));
        else _try("close epoch", who, address(commitments), abi.encodeCall(commitments.closeEpoch, _current));
        if (wasClosed) return;
        _tryForbidden("sealed at once", who, address(attestations), abi.encodeCall(attestations.sealEpoch, _current));
        bytes memory data = abi.encodeCall(attestations.sealEpochWith, (_current, abi.encode(seed)));
        _tryForbidden("sealed with a forged header", who, address(attestations), data);
        _must(_openEpoch(_current) == epoch, "sealed in the block of closing");
    }

    // Judgement.

    function commitReports(uint256 seed) external step(seed) {
        _forRecent(EpochPhase.AttestCommit, _commitReports);
    }

    function revealReports(uint256 seed) external step(seed) {
        _forRecent(EpochPhase.AttestReveal, _revealReports);
    }

    function settle(uint256 seed) external step(seed) {
        _forRecent(EpochPhase.Attested, _settleEpoch);
        _forRecent(EpochPhase.Missed, _voidEpoch);
    }

    function finalise(uint256 seed) external step(seed) {
        _forRecent(EpochPhase.Challengeable, _finaliseEpoch);
    }

    function publish(uint256 seed, bytes calldata uri) external step(seed) {
        (,, uint64 next) = policies.policyOf(_current);
        uint64 epoch = _chance(3) ? next + uint64(_roll(3)) : next;
        if (_chance(2)) {
            _try("skip policy", outsider, address(policies), abi.encodeCall(policies.skipPolicy, (_current, epoch)));
        } else {
            _publish(epoch, string(uri));
        }
    }

    /// Reports, commitments and salts as raw as they come; and whatever others have put on the chain.
    function forge(uint256 seed, bytes calldata raw, bytes32 commitment, bytes32 salt) external step(seed) {
        (uint64 epoch, bool any) = _anyEpoch();
        if (!any) return;
        address who = _keyOf(_anyOperator());
        bool isCommitting = attestations.phaseOf(_current, epoch) == EpochPhase.AttestCommit;
        if (isCommitting) _try("commit anything", who, address(attestations), _commitCall(epoch, commitment, raw));
        _tryForbidden("revealed anything", who, address(attestations), _revealCall(epoch, raw, salt));
        _copyReports(epoch);
    }

    // Appeals.

    function challenge(uint256 seed) external step(seed) {
        _forRecent(EpochPhase.Challengeable, _commitChallenges);
    }

    function revealChallenges(uint256 seed) external step(seed) {
        _forOpenChallenges(_revealChallenge);
    }

    function drawPanels(uint256 seed) external step(seed) {
        _forOpenChallenges(_summon);
        if (!_chance(8)) vm.roll(vm.getBlockNumber() + 2);
        _forOpenChallenges(_drawPanel);
    }

    function commitVotes(uint256 seed) external step(seed) {
        _forOpenChallenges(_commitVotes);
    }

    function revealVotes(uint256 seed) external step(seed) {
        _forOpenChallenges(_revealVotes);
    }

    function decide(uint256 seed) external step(seed) {
        _forOpenChallenges(_decide);
    }

    function claimAppealsNow(uint256 seed) external step(seed) {
        if (_chance(2)) _claimAppeals();
        _forChallenges(_dismiss);
    }

    // Payments and slashes.

    function claim(uint256 seed) external step(seed) {
        (uint64 epoch, bool any) = _anyEpoch();
        if (any) _claimSubmissions(epoch);
    }

    function claimTogether(uint256 seed) external step(seed) {
        (uint64 epoch, bool any) = _anyEpoch();
        if (any) _claimTwice(epoch);
    }

    function claimFees(uint256 seed) external step(seed) {
        (uint64 epoch, bool any) = _anyEpoch();
        if (any) _claimFees(epoch);
    }

    function slash(uint256 seed) external step(seed) {
        (uint64 epoch, bool any) = _anyEpoch();
        if (any) _slash(epoch);
    }

    function openPlants(uint256 seed) external step(seed) {
        _openPlants();
        if (_plants.length > 0 && _chance(4)) _forfeit(_plants[_roll(_plants.length)]);
    }

    // Time.

    /// Until a moment beside the end of a phase, or any time.
    function wait(uint256 seed) external step(seed) {
        if (_chance(24)) {
            vm.roll(vm.getBlockNumber() + 300); // the chain forgets the hashes of blocks
        } else if (_chance(40)) {
            _wait(UNBONDING);
        } else {
            uint256 until = _nextDeadline() + _roll(3); // a second before, at, and after it
            _wait(until > _now() + 1 ? until - _now() - 1 : 1);
        }
    }

    function nextBlock(uint256 seed) external step(seed) {
        _wait(_roll(3) * 7 + 1);
    }

    /// Somebody without any part in all this tries what is not its to do.
    function meddle(uint256 seed) external step(seed) {
        (uint64 epoch, bool any) = _anyEpoch();
        if (any) _meddle(epoch, _anyOperator(), _roll(18));
    }

    // The end: whatever state the steps have left behind, anybody can lead everything out of it.

    /// Ends all tasks, epochs, challenges and plants, and lets everybody have what is theirs.
    function windUp() external {
        for (uint256 taskId = 1; taskId <= registry.taskCount(); ++taskId) {
            _begin(taskId);
            _current = taskId;
            _windUp();
            _end();
        }
        _begin(0);
        _withdrawAll();
        _end();
    }

    function _windUp() private {
        _try("close", initiator, address(registry), abi.encodeCall(registry.closeTask, _current));
        _wait(130); // the last window is over
        _tryToClose();
        vm.roll(vm.getBlockNumber() + 2);
        _seal();
        _wait(300);
        _forAll(_settleAll);
        _forAll(_voidEpoch);
        _openPlants();
        _wait(300);
        _forOpenChallenges(_expire);
        _wait(600);
        _forOpenChallenges(_decide);
        _forAll(_finaliseEpoch);
        _forAll(_mustHaveEnded);
        (,, uint64 next) = policies.policyOf(_current);
        for (uint64 epoch = next; epoch < _openEpoch(_current); ++epoch) {
            bytes memory data = abi.encodeCall(policies.skipPolicy, (_current, epoch));
            if (_try("skip policy", outsider, address(policies), data)) continue;
            _wait(registry.paramsOf(_current).revealWindow); // it is due, and the line has just come to it
            _must(_try("skip policy", outsider, address(policies), data), "a policy that nobody can skip");
        }
        _forAll(_claimSubmissions);
        _forChallenges(_dismiss);
        _forAll(_slash);
        _forAll(_claimFees);
        _claimAppeals();
        _try("refund", outsider, address(registry), abi.encodeCall(registry.refundTask, _current));
    }

    function _withdrawAll() private {
        _wait(2 * UNBONDING);
        for (uint256 i; i < _plants.length; ++i) {
            _forfeit(_plants[i]);
        }
        for (uint256 i; i < people.length; ++i) {
            _leaveAll(people[i]);
        }
        _wait(UNBONDING);
        for (uint256 i; i < people.length; ++i) {
            for (_current = 1; _current <= TASKS; ++_current) {
                _release(people[i]);
            }
            _unbondAll(people[i]);
        }
        _wait(UNBONDING);
        for (uint256 i; i < people.length; ++i) {
            _withdraw(people[i], Role.Trainer);
            _withdraw(people[i], Role.Verifier);
        }
        _current = 1;
    }

    function _leaveAll(address who) private {
        _call(who, address(staking), abi.encodeCall(staking.renounceWorkerKey, ()));
        for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
            _call(who, address(commitments), abi.encodeCall(commitments.delist, (taskId, who)));
            _call(who, address(verifiers), abi.encodeCall(verifiers.delist, taskId));
        }
        _leaveSeats(CLASS, who);
        _leaveSeats(_smallClass(), who);
    }

    function _leaveSeats(bytes32 class, address who) private {
        uint32[] memory seat = new uint32[](1);
        for (uint32 i = panels.poolSize(class); i > 0; --i) {
            seat[0] = i - 1; // from the highest: another takes the place of one that is left
            (address holder,) = panels.seatOf(class, i - 1);
            if (holder == who) {
                _try("leave seats", who, address(panels), abi.encodeCall(panels.leaveSeats, (class, seat)));
            }
        }
    }

    function _unbondAll(address who) private {
        for (uint8 role; role < 2; ++role) {
            (uint128 bonded, uint128 locked,,) = staking.bondOf(who, Role(role));
            _must(locked == 0, "locked for ever");
            _call(who, address(staking), abi.encodeCall(staking.requestUnbond, (Role(role), bonded)));
        }
    }

    function _mustHaveEnded(uint64 epoch) private {
        EpochPhase phase = attestations.phaseOf(_current, epoch);
        _must(phase == EpochPhase.Final || phase == EpochPhase.Void, "an epoch without an end");
    }

    // Bonds.

    function _withdraw(address who, Role role) private {
        (,, uint256 unbonding, uint256 withdrawableAt) = staking.bondOf(who, role);
        if (unbonding == 0 && !_dares()) return;
        if (!_try("withdraw", who, address(staking), abi.encodeCall(staking.withdraw, role))) return;
        withdrawnEver += unbonding;
        _must(_now() >= withdrawableAt, "withdrawn too soon");
    }

    function _release(address who) private {
        (, uint40 until) = verifiers.collateralOf(_current, who);
        bytes memory data = abi.encodeCall(verifiers.releaseBond, (_current, who));
        if (until == 0 && !_dares()) return;
        if (_try("release", outsider, address(verifiers), data)) {
            _must(_now() >= until && until > 0, "released too soon");
        }
    }

    function _delisting(address who) private view returns (bytes memory) {
        return abi.encodeCall(commitments.delist, (_current, who));
    }

    // Submissions.

    function _commitSubmissions() private {
        (, bool isOpen, bool isClosed,) = commitments.openEpochOf(_current);
        if ((!isOpen || isClosed) && !_dares()) return;
        for (uint256 i; i < 5; ++i) {
            if (!commitments.isEnlisted(_current, operators[i]) && !_dares()) continue;
            for (uint256 left = _roll(3); left > 0; --left) {
                if (!_commitSubmission(_keyOf(operators[i]))) break;
            }
        }
    }

    function _commitSubmission(address key) private returns (bool) {
        address who = staking.operatorOf(key);
        Submission memory submission = Submission({
            trainer: who,
            index: _submissionsOf(_current, _openEpoch(_current)),
            kind: _chance(3) ? SubmissionKind.Labels : _chance(16) ? SubmissionKind.Training : SubmissionKind.Full,
            units: uint16(1 + _roll(10)),
            policyVersion: uint32(_roll(3)),
            manifestRoot: _chance(8) ? ROOT : keccak256(abi.encode(_random()))
        });
        if (_chance(6)) _plant(who, submission.manifestRoot, false);
        uint64 epoch = _openEpoch(_current);
        bytes memory data = abi.encodeCall(
            commitments.commitSubmission,
            (
                _current,
                epoch,
                submission.kind,
                submission.manifestRoot,
                submission.units,
                submission.policyVersion,
                _chance(3)
            )
        );
        if (!_try("submission", key, address(commitments), data)) return false;
        _once("a root was repeated", abi.encode(_current, epoch, who, submission.manifestRoot));
        _submissions[_current][epoch].push(submission);
        _unitsInFlight[_current][who] += submission.units;
        _must(_submissions[_current][epoch].length == submission.index + 1, "an index was given twice");
        if (_chance(16)) _plant(who, submission.manifestRoot, true);
        return true;
    }

    function _close() private {
        (uint64 epoch,, bool isClosed, uint16 submissions) = commitments.openEpochOf(_current);
        (,,, uint40 commitBy) = commitments.epochOf(_current, epoch);
        // A closed one is closed again where the chain has forgotten the block of its seed.
        bool isDue = isClosed ? _chance(4) : submissions > 0 && _now() >= commitBy;
        (,, bool isTaskClosed) = registry.moneyOf(_current);
        isDue = isDue || isTaskClosed && submissions == 0;
        if (isDue || _dares()) _tryToClose();
    }

    function _tryToClose() private {
        _try("close epoch", outsider, address(commitments), abi.encodeCall(commitments.closeEpoch, _current));
        _try("abandon epoch", outsider, address(commitments), abi.encodeCall(commitments.abandonEpoch, _current));
    }

    function _seal() private {
        _observe(_current);
        vm.prevrandao(bytes32(_random()));
        (, bool isOpen, bool isClosed,) = commitments.openEpochOf(_current);
        if (!commitments.isSealable(_current) && !_dares()) return;
        if (_try("seal", outsider, address(attestations), abi.encodeCall(attestations.sealEpoch, _current))) {
            _must(isOpen && isClosed, "sealed while it took submissions");
        }
    }

    /// A commitment to a submission's being fraud: of one's own, or, what must not work, of somebody else's.
    function _plant(address trainer_, bytes32 root, bool isForeign) private {
        if (_plants.length >= 16) return; // all are looked at after every step
        PlacedPlant memory placed;
        (placed.taskId, placed.trainer, placed.root, placed.salt) = (_current, trainer_, root, bytes32(_random()));
        (placed.planter, placed.isForeign) = (isForeign ? outsider : planter, isForeign);
        placed.commitment = keccak256(abi.encode(_current, trainer_, root, placed.salt));
        bytes memory data = abi.encodeCall(plants.commitPlant, (_current, placed.commitment));
        if (!_try("plant", placed.planter, address(plants), data)) return;
        _plants.push(placed);
        if (!isForeign) _isPlanted[root] = true;
    }

    /// Opens a plant for the first submission of its author with this root; what others planted, nobody can.
    function _openPlant(PlacedPlant memory placed) private {
        (PlantState state,, uint64 epoch) = plants.plantOf(_current, placed.commitment);
        if (state != PlantState.Committed && !_dares()) return;
        if (_dares()) ++epoch;
        Submission[] storage submissions = _submissions[_current][epoch];
        for (uint256 i; i < submissions.length; ++i) {
            bool isIt = submissions[i].trainer == placed.trainer && submissions[i].manifestRoot == placed.root;
            if (isIt) _openPlantAs(epoch, submissions[i], placed);
        }
    }

    function _openPlants() private {
        for (uint256 i; i < _plants.length; ++i) {
            if (_plants[i].taskId == _current && !_chance(8)) _openPlant(_plants[i]);
        }
    }

    function _openPlantAs(uint64 epoch, Submission memory submission, PlacedPlant memory placed) private {
        EpochPhase phase = attestations.phaseOf(_current, epoch);
        if (phase < EpochPhase.Challengeable && !_dares()) return;
        bytes memory data = abi.encodeCall(plants.openPlant, (_current, epoch, submission, placed.salt));
        if (placed.isForeign) {
            _tryForbidden("opened another's plant", outsider, address(plants), data);
        } else if (_try("open plant", _keyOf(placed.trainer), address(plants), data)) {
            _ended(epoch, submission);
            (,, uint40 challengeBy,) = attestations.scheduleOf(_current, epoch);
            uint256 half = registry.paramsOf(_current).challengeWindow / 2;
            bool isInTime = phase == EpochPhase.Challengeable && _now() < challengeBy - half;
            _openedInTime[_current][epoch][submission.index] = isInTime;
            _must(phase >= EpochPhase.Challengeable && phase <= EpochPhase.Void, "opened too soon");
        }
    }

    function _forfeit(PlacedPlant memory placed) private {
        if (_chance(2)) _refund(placed);
        bytes memory data = abi.encodeCall(plants.forfeitPlant, (placed.taskId, placed.commitment));
        _try("forfeit plant", outsider, address(plants), data);
    }

    /// Of a submission that was never committed, or that nobody will pay.
    function _refund(PlacedPlant memory placed) private {
        (,, uint64 epoch) = plants.plantOf(placed.taskId, placed.commitment);
        bytes memory data =
            abi.encodeCall(plants.refundPlant, (placed.taskId, placed.trainer, placed.root, placed.salt));
        if (!_try("refund plant", outsider, address(plants), data)) return;
        Submission[] storage submissions = _submissions[placed.taskId][epoch];
        bool isThere;
        for (uint256 i; i < submissions.length; ++i) {
            isThere = isThere || submissions[i].trainer == placed.trainer && submissions[i].manifestRoot == placed.root;
        }
        bool isVoid = attestations.phaseOf(placed.taskId, epoch) == EpochPhase.Void;
        _must(!isThere || isVoid, "refunded though it guards");
    }

    // Payments.

    function _claimSubmissions(uint64 epoch) private {
        EpochPhase phase = attestations.phaseOf(_current, epoch);
        if (phase != EpochPhase.Final && phase != EpochPhase.Void && !_dares()) return;
        Submission[] storage submissions = _submissions[_current][epoch];
        for (uint256 i; i < submissions.length; ++i) {
            if (_endings[_nameOf(_current, epoch, submissions[i])] > 0 && !_dares()) continue;
            uint8 score = attestations.scoreOf(_current, epoch, submissions[i].index);
            SubmissionRef[] memory refs = _refs(SubmissionRef(_current, epoch, submissions[i]));
            bytes memory data = abi.encodeCall(payouts.claim, (refs));
            if (!_try("claim: submission", outsider, address(payouts), data)) continue;
            _ended(epoch, submissions[i]);
            uint256 amount = abi.decode(_returned, (uint256));
            _must(phase == EpochPhase.Final || phase == EpochPhase.Void, "paid too soon");
            if (phase == EpochPhase.Void || score > 100) score = 0;
            uint256 price = registry.paramsOf(_current).kinds[uint256(submissions[i].kind)].unitPrice;
            _must(amount == submissions[i].units * price * score / 100, "paid another amount");
        }
    }

    /// One submission twice in a claim; and submissions of others beside it.
    function _claimTwice(uint64 epoch) private {
        Submission[] storage submissions = _submissions[_current][epoch];
        if (submissions.length == 0) return;
        SubmissionRef[] memory refs = new SubmissionRef[](2);
        refs[0] = SubmissionRef(_current, epoch, submissions[_roll(submissions.length)]);
        refs[1] = refs[0];
        _tryForbidden("claimed twice at once", outsider, address(payouts), abi.encodeCall(payouts.claim, (refs)));
        bytes memory data = abi.encodeCall(payouts.claimTo, (_refs(refs[0]), stranger));
        _tryForbidden("claimed to another", outsider, address(payouts), data);
        refs[1].submission.trainer = stranger;
        _tryForbidden("claimed another's", stranger, address(payouts), abi.encodeCall(payouts.claim, (refs)));
    }

    function _claimFees(uint64 epoch) private {
        uint64[] memory epochs = new uint64[](1);
        epochs[0] = epoch;
        for (uint256 i; i < BONDERS; ++i) {
            if (!_mayJudge(epoch, people[i])) continue;
            uint256 told = payouts.feeOf(_current, epoch, people[i]);
            // Also where nothing is earned: the claim gives what was reserved for it back to the task.
            bytes memory data = abi.encodeCall(payouts.claimFees, (_current, epochs, people[i]));
            if (!_try("claim: fee", outsider, address(payouts), data)) continue;
            _once("fee claimed twice", abi.encode(_current, epoch, people[i]));
            _must(abi.decode(_returned, (uint256)) == told, "another fee than was told");
            _must(attestations.phaseOf(_current, epoch) == EpochPhase.Final, "fee paid too soon");
        }
    }

    // Slashes.

    function _slash(uint64 epoch) private {
        Submission[] storage submissions = _submissions[_current][epoch];
        for (uint256 i; i < submissions.length; ++i) {
            _slashFraud(epoch, submissions[i]);
        }
        for (uint256 k; k < BONDERS; ++k) {
            if (_mayJudge(epoch, people[k])) _slashJudge(epoch, people[k]);
        }
    }

    function _slashJudge(uint64 epoch, address who) private {
        for (uint16 index; index < _submissionsOf(_current, epoch); ++index) {
            _slashVerdict(epoch, index, who);
            if (_openedInTime[_current][epoch][index] || _dares()) _slashPayer(epoch, index, who);
        }
        _slashAbsent(epoch, who);
    }

    /// Whether one judges an epoch: jurors do too, who have an operator's key. Others dare to be taken for judges.
    function _mayJudge(uint64 epoch, address who) private returns (bool) {
        return verifiers.weightAt(_current, epoch, who) > 0 || _dares();
    }

    function _slashFraud(uint64 epoch, Submission memory submission) private {
        uint8 score = attestations.scoreOf(_current, epoch, submission.index);
        bool isDue = score == FRAUD && _endings[_nameOf(_current, epoch, submission)] == 0;
        if (!isDue && !_dares()) return;
        bytes memory data = abi.encodeCall(payouts.slashFraud, (SubmissionRef(_current, epoch, submission)));
        address by = _chance(2) ? outsider : challenger;
        uint256 taken = _slashing("slash: fraud", by, submission.trainer, Role.Trainer, address(payouts), data);
        if (taken == 0) return;
        _ended(epoch, submission);
        _must(taken == submission.units * SLASH_OF_UNIT, "slashed another amount");
        _must(attestations.phaseOf(_current, epoch) == EpochPhase.Final, "slashed too soon");
        _must(score == FRAUD, "slashed for what is no fraud");
        _must(!commitments.isEnlisted(_current, submission.trainer), "a fraud is still enlisted");
        uint256[] memory places = new uint256[](1);
        places[0] = uint256(epoch) << 16 | submission.index;
        if (uint8(attestations.finalScoresOf(_current, places)[0]) == 253) ++successes["slash: found fraud"];
    }

    function _slashVerdict(uint64 epoch, uint16 index, address who) private {
        (,,,,,, bool isAgainst) = appeals.disputeOf(_current, epoch, index);
        isAgainst = isAgainst && appeals.phaseOf(_current, epoch, index) == DisputePhase.Overturned;
        if (!isAgainst && !_dares()) return;
        bytes memory report = _reports[_current][epoch][who];
        bytes memory data = abi.encodeCall(appeals.slashVerdict, (_current, epoch, index, who, report));
        if (_slashing("slash: verdict", outsider, who, Role.Verifier, address(appeals), data) == 0) return;
        _once("slashed twice for one score", abi.encode(_current, epoch, index, who));
        bool isOverturned = appeals.phaseOf(_current, epoch, index) == DisputePhase.Overturned;
        _must(isOverturned && isAgainst, "slashed for what stands");
    }

    /// Who paid a plant: never as well for the same score's having been overturned.
    function _slashPayer(uint64 epoch, uint16 index, address who) private {
        bytes memory report = _reports[_current][epoch][who];
        bytes memory data = abi.encodeCall(plants.slashPaidPlant, (_current, epoch, index, who, report));
        if (_slashing("slash: paid plant", outsider, who, Role.Verifier, address(plants), data) == 0) return;
        _once("slashed twice for one score", abi.encode(_current, epoch, index, who));
        _must(attestations.phaseOf(_current, epoch) == EpochPhase.Final, "slashed too soon");
        _must(attestations.scoreOf(_current, epoch, index) == FRAUD, "slashed for what is no fraud");
        _must(_openedInTime[_current][epoch][index], "slashed for a plant opened late");
        DisputePhase dispute = appeals.phaseOf(_current, epoch, index);
        (,,,,,, bool isAgainst) = appeals.disputeOf(_current, epoch, index);
        bool isShown = dispute == DisputePhase.Upheld && isAgainst;
        _must(dispute == DisputePhase.None || isShown, "slashed what is disputed");
        uint8 paid = uint8(report[index]);
        _must(paid > 0 && paid <= 100, "slashed though it did not pay");
    }

    function _slashAbsent(uint64 epoch, address who) private {
        (bytes31 hash, uint128 weight,) = attestations.attestationOf(_current, epoch, who);
        bool isJudging = attestations.phaseOf(_current, epoch) < EpochPhase.Attested;
        if ((hash != 0 || weight == 0 || isJudging) && !_dares()) return;
        bytes memory data = abi.encodeCall(attestations.slashAbsence, (_current, epoch, who));
        if (_slashing("slash: absence", outsider, who, Role.Verifier, address(attestations), data) == 0) return;
        bytes memory which = abi.encode(_current, epoch, who);
        _once("slashed twice as absent", which);
        _must(_times[keccak256(abi.encode(bytes32("revealed twice"), which))] == 0, "slashed though it revealed");
        (, uint40 revealBy,,) = attestations.scheduleOf(_current, epoch);
        (,, uint16 voters, uint16 committed, uint16 revealed,,) = attestations.tallyOf(_current, epoch);
        bool isOver = _now() >= revealBy || committed > 0 && revealed == committed;
        _must(isOver && voters > 0, "slashed before reveals are over");
    }

    /// Takes from one bond of one, what answers for this task and no more.
    function _slashing(bytes32 kind, address by, address who, Role role, address target, bytes memory data)
        private
        returns (uint256 taken)
    {
        Role other = role == Role.Trainer ? Role.Verifier : Role.Trainer;
        (uint256 staked, uint256 before) = (token.balanceOf(address(staking)), _stake(who, role));
        (uint256 spared, uint256 answers) = (_stake(who, other), _answering(who, role));
        if (!_try(kind, by, target, data)) return 0;
        taken = before - _stake(who, role);
        slashedEver += taken;
        _must(staked - token.balanceOf(address(staking)) == taken, "slashed somebody else");
        _must(_stake(who, other) == spared, "slashed another bond");
        _must(taken <= answers, "slashed more than answers");
        _must(token.balanceOf(stranger) == 0, "a stranger got something");
    }

    function _answering(address who, Role role) private view returns (uint256 amount) {
        if (role == Role.Verifier) (amount,) = verifiers.collateralOf(_current, who);
        else (amount,) = commitments.collateralOf(_current, who);
    }

    // Meddling.

    /// What only contracts of the deployment may call.
    function _meddle(uint64 epoch, address victim, uint256 which) private {
        Submission memory submission = _submission(victim, 0);
        if (which == 0) {
            _tryOn(address(staking), abi.encodeCall(staking.slash, (Role.Trainer, victim, 1, stranger, 1)));
        }
        if (which == 1) _tryOn(address(staking), abi.encodeCall(staking.lock, (Role.Verifier, victim, 1)));
        if (which == 2) _tryOn(address(staking), abi.encodeCall(staking.unlock, (Role.Verifier, victim, 1)));
        if (which == 3) _tryOn(address(registry), abi.encodeCall(registry.pay, (_current, stranger, 1, 1)));
        if (which == 4) _tryOn(address(registry), abi.encodeCall(registry.free, (_current, 1)));
        if (which == 5) _tryOn(address(registry), abi.encodeCall(registry.reserveEpoch, (_current, epoch)));
        if (which == 6) _tryOn(address(commitments), abi.encodeCall(commitments.seal, (_current)));
        if (which == 7) _tryOn(address(commitments), abi.encodeCall(commitments.extendEpoch, (_current)));
        if (which == 8) _tryOn(address(commitments), _settlingFraud(epoch, submission));
        if (which == 9) {
            _tryOn(address(commitments), abi.encodeCall(commitments.settlePlant, (_current, epoch, submission, true)));
        }
        if (which == 10) _tryOn(address(verifiers), abi.encodeCall(verifiers.seal, (_current)));
        if (which == 11) _tryOn(address(verifiers), _slashingJudge(epoch, victim));
        if (which == 12) _tryOn(address(attestations), abi.encodeCall(attestations.holdChallenge, (_current, epoch)));
        if (which == 13) {
            _tryOn(address(attestations), abi.encodeCall(attestations.releaseChallenges, (_current, epoch, 0)));
        }
        if (which == 14) _tryOn(address(attestations), _correcting(epoch));
        if (which == 15) _tryOn(address(panels), abi.encodeCall(panels.dismiss, (_current, CLASS, victim, 1)));
        if (which == 16) _tryOn(address(appeals), abi.encodeCall(appeals.reward, (_current, epoch, 0, 1)));
        if (which == 17) _tryOn(address(staking), abi.encodeCall(staking.withdraw, (Role.Trainer)));
    }

    function _tryOn(address target, bytes memory data) private {
        _tryForbidden("meddled", stranger, target, data);
    }

    function _settlingFraud(uint64 epoch, Submission memory submission) private view returns (bytes memory) {
        return abi.encodeCall(commitments.settleFraud, (_current, epoch, submission, stranger, 10_000));
    }

    function _slashingJudge(uint64 epoch, address victim) private view returns (bytes memory) {
        return abi.encodeCall(verifiers.slash, (_current, epoch, victim, 10_000, stranger, 10_000, 1));
    }

    function _correcting(uint64 epoch) private view returns (bytes memory) {
        return abi.encodeCall(attestations.correctScore, (_current, epoch, 0, 100, false));
    }

    // Who.

    function _anyOperator() private returns (address) {
        return operators[_roll(5)];
    }

    function _anyBonder() private returns (address) {
        return people[_roll(BONDERS)];
    }

    function _anyRole() private returns (Role) {
        return _chance(2) ? Role.Trainer : Role.Verifier;
    }
}
