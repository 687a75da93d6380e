// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Appeals} from "../../contracts/Appeals.sol";
import {AssayToken} from "../../contracts/AssayToken.sol";
import {Attestations} from "../../contracts/Attestations.sol";
import {Commitments} from "../../contracts/Commitments.sol";
import {Panels} from "../../contracts/Panels.sol";
import {Payouts} from "../../contracts/Payouts.sol";
import {Plants} from "../../contracts/Plants.sol";
import {Policies} from "../../contracts/Policies.sol";
import {Staking} from "../../contracts/Staking.sol";
import {TaskRegistry} from "../../contracts/TaskRegistry.sol";
import {Verifiers} from "../../contracts/Verifiers.sol";
import {Deployment} from "../../contracts/interfaces/Deployment.sol";
import {DisputePhase} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {Submission} from "../../contracts/interfaces/ICommitments.sol";
import {SubmissionRef} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {KindTerms, TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Vm} from "./Vm.sol";

/// A deployment with one initiator, trainers and verifiers, and the steps of an epoch as functions.
abstract contract Network {
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    uint128 internal constant UNIT = 1 ether;
    uint40 internal constant UNBONDING = 2500;
    uint16 internal constant REPORTER_BPS = 1000;
    uint128 internal constant SEAT_BOND = 2 ether;
    uint32 internal constant MIN_WINDOW = 10;
    bytes32 internal constant ROOT = keccak256("manifest");
    bytes32 internal constant SALT = keccak256("salt");
    bytes32 internal constant POLICY = keccak256("policy");
    bytes32 internal constant EVIDENCE = keccak256("evidence");
    bytes32 internal constant CLASS = keccak256("class");

    address internal immutable initiator = vm.addr(1);
    address internal immutable outsider = vm.addr(2);
    address internal immutable trainer = vm.addr(10);
    address internal immutable secondTrainer = vm.addr(11);
    address internal immutable thirdTrainer = vm.addr(12);
    /// Keys of the three verifiers, in ascending order of address.
    uint256[3] internal verifierKeys;
    address internal verifier;
    address internal secondVerifier;
    address internal thirdVerifier;

    AssayToken internal token;
    Staking internal staking;
    TaskRegistry internal registry;
    Commitments internal commitments;
    Verifiers internal verifiers;
    Attestations internal attestations;
    Policies internal policies;
    Panels internal panels;
    Appeals internal appeals;
    Payouts internal payouts;
    Plants internal plants;

    function setUp() public virtual {
        vm.warp(1_000_000);
        vm.roll(1000);
        token = _newToken();
        Deployment memory all = _predict();
        staking = new Staking(all, UNBONDING);
        registry = new TaskRegistry(all, MIN_WINDOW);
        commitments = new Commitments(all, _sealDelay());
        verifiers = new Verifiers(all);
        attestations = new Attestations(all, 0);
        policies = new Policies(all);
        panels = new Panels(all, SEAT_BOND);
        appeals = new Appeals(all);
        payouts = new Payouts(all, REPORTER_BPS);
        plants = new Plants(all);
        _nameVerifiers([uint256(20), 21, 22]);
    }

    /// The addresses that the contracts of a deployment will have, in the order of `setUp`.
    function _predict() private view returns (Deployment memory) {
        uint256 nonce = vm.getNonce(address(this));
        address[10] memory at;
        for (uint256 i; i < 10; ++i) {
            at[i] = vm.computeCreateAddress(address(this), nonce + i);
        }
        return Deployment({
            token: token,
            staking: Staking(at[0]),
            registry: TaskRegistry(at[1]),
            commitments: Commitments(at[2]),
            verifiers: Verifiers(at[3]),
            attestations: Attestations(at[4]),
            policies: Policies(at[5]),
            panels: Panels(at[6]),
            appeals: Appeals(at[7]),
            payouts: Payouts(at[8]),
            plants: Plants(at[9])
        });
    }

    /// Another token may take its place.
    function _newToken() internal virtual returns (AssayToken) {
        return new AssayToken(address(this), 1e33);
    }

    /// Another delay may take its place.
    function _sealDelay() internal virtual returns (uint8) {
        return 1;
    }

    /// Those with these keys are the three verifiers from now on.
    function _nameVerifiers(uint256[3] memory keys) internal {
        for (uint256 i; i < 2; ++i) {
            for (uint256 j; j < 2; ++j) {
                if (vm.addr(keys[j]) > vm.addr(keys[j + 1])) (keys[j], keys[j + 1]) = (keys[j + 1], keys[j]);
            }
        }
        verifierKeys = keys;
        (verifier, secondVerifier, thirdVerifier) = (vm.addr(keys[0]), vm.addr(keys[1]), vm.addr(keys[2]));
    }

    /// One kind of submission. One submission earns 10 at most and is drawn with probability 0.2: a slash of 48 is
    /// needed.
    function _params() internal pure returns (TaskParams memory params) {
        params.kinds[0] = KindTerms({unitPrice: UNIT, detectionBps: 10_000});
        (params.trainerBond, params.verifierBond, params.fraudSlash) = (60 * UNIT, 100 * UNIT, 50 * UNIT);
        (params.challengeBond, params.jurorFee, params.verifierFee) = (UNIT, UNIT / 10, 3 * UNIT);
        (params.maxEpochUnits, params.maxSubmissionUnits, params.maxSubmissionsEach) = (100, 10, 1);
        (params.quorumBps, params.samplingBps) = (6666, 2000);
        (params.absenceSlashBps, params.verdictSlashBps) = (500, 5000);
        (params.maxStaleness, params.maxEpochs, params.protocolVersion) = (2, 0, 1);
        (params.commitWindow, params.attestWindow, params.revealWindow) = (100, 100, 100);
        (params.challengeWindow, params.appealWindow, params.panelClass) = (100, 100, CLASS);
    }

    // Time. Read through cheatcodes, because the optimizer takes a block's time and number for constants.

    function _now() internal view returns (uint256) {
        return vm.getBlockTimestamp();
    }

    function _nextBlock() internal {
        _wait(1);
    }

    function _wait(uint256 duration) internal {
        vm.warp(_now() + duration);
        vm.roll(vm.getBlockNumber() + 1);
    }

    // Money.

    function _fund(address holder, address spender, uint256 amount) internal {
        // Not as `token.transfer`: there are tokens that return nothing.
        (bool sent,) = address(token).call(abi.encodeCall(token.transfer, (holder, amount)));
        vm.prank(holder);
        (bool allowed,) = address(token).call(abi.encodeCall(token.approve, (spender, type(uint256).max)));
        require(sent && allowed);
    }

    function _bond(address operator, Role role, uint128 amount) internal {
        _fund(operator, address(staking), amount);
        vm.prank(operator);
        staking.bond(role, amount);
        _nextBlock();
    }

    // Steps of a task.

    function _openTask() internal returns (uint256) {
        return _openTask(_params(), 1000 * UNIT);
    }

    function _openTask(TaskParams memory params, uint128 budget) internal returns (uint256 taskId) {
        _fund(initiator, address(registry), budget);
        vm.prank(initiator);
        taskId = registry.openTask(params, keccak256("spec"), "ipfs://spec", POLICY, budget);
    }

    function _termsHash(uint256 taskId) internal view returns (bytes32 termsHash) {
        (,, termsHash) = registry.originOf(taskId);
    }

    function _enlistTrainer(uint256 taskId, address operator) internal {
        _bond(operator, Role.Trainer, 60 * UNIT);
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(operator);
        commitments.enlist(taskId, termsHash);
    }

    function _enlistVerifier(uint256 taskId, address operator, uint128 weight) internal {
        _bond(operator, Role.Verifier, weight);
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(operator);
        verifiers.enlist(taskId, termsHash, weight, address(0));
    }

    /// A task with three trainers and three equal verifiers.
    function _staffedTask() internal returns (uint256 taskId) {
        return _staff(_openTask());
    }

    /// Three submissions pay 30, cost 3 for verifiers and can be slashed 150: two thirds of 300 outweigh that.
    function _staff(uint256 taskId) internal returns (uint256) {
        _enlistTrainer(taskId, trainer);
        _enlistTrainer(taskId, secondTrainer);
        _enlistTrainer(taskId, thirdTrainer);
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        _enlistVerifier(taskId, secondVerifier, 100 * UNIT);
        _enlistVerifier(taskId, thirdVerifier, 100 * UNIT);
        return taskId;
    }

    function _openEpoch(uint256 taskId) internal view returns (uint64 epoch) {
        (epoch,,,) = commitments.openEpochOf(taskId);
    }

    function _commit(uint256 taskId, address operator) internal {
        (,,, uint16 submissions) = commitments.openEpochOf(taskId);
        _commitRoot(taskId, operator, _rootOf(submissions));
    }

    /// Of the submission with this index: no trainer has two with one root.
    function _rootOf(uint16 index) internal pure returns (bytes32) {
        return index == 0 ? ROOT : keccak256(abi.encode(ROOT, index));
    }

    function _commitRoot(uint256 taskId, address operator, bytes32 root) internal {
        uint64 epoch = _openEpoch(taskId);
        vm.prank(operator);
        commitments.commitSubmission(taskId, epoch, SubmissionKind.Full, root, 10, 0, false);
        vm.roll(vm.getBlockNumber() + 2); // the seed comes from the block after the one in which an epoch closes
    }

    /// All three trainers commit, in order: indices 0, 1, 2.
    function _sealedTask() internal returns (uint256 taskId) {
        taskId = _staffedTask();
        _commitAllAndSeal(taskId);
    }

    function _commitAllAndSeal(uint256 taskId) internal returns (uint64) {
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        return attestations.sealEpoch(taskId);
    }

    function _submission(address operator, uint16 index) internal pure returns (Submission memory) {
        return Submission(operator, index, SubmissionKind.Full, 10, 0, _rootOf(index));
    }

    function _ref(uint256 taskId, uint64 epoch, address operator, uint16 index)
        internal
        pure
        returns (SubmissionRef memory)
    {
        return SubmissionRef(taskId, epoch, _submission(operator, index));
    }

    function _refs(SubmissionRef memory ref) internal pure returns (SubmissionRef[] memory refs) {
        refs = new SubmissionRef[](1);
        refs[0] = ref;
    }

    function _commitment(uint256 taskId, uint64 epoch, address operator, bytes memory report)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(attestations.seedOf(taskId, epoch), operator, keccak256(report), SALT));
    }

    function _commitReport(uint256 taskId, uint64 epoch, address operator, bytes memory report) internal {
        bytes32 commitment = _commitment(taskId, epoch, operator, report);
        vm.prank(operator);
        attestations.commitAttestation(taskId, epoch, commitment, "");
    }

    function _reveal(uint256 taskId, uint64 epoch, address operator, bytes memory report) internal {
        vm.prank(operator);
        attestations.revealAttestation(taskId, epoch, report, SALT, EVIDENCE);
    }

    /// All three verifiers commit and reveal.
    function _attest(uint256 taskId, uint64 epoch, bytes memory a, bytes memory b, bytes memory c) internal {
        _commitReport(taskId, epoch, verifier, a);
        _commitReport(taskId, epoch, secondVerifier, b);
        _commitReport(taskId, epoch, thirdVerifier, c);
        _reveal(taskId, epoch, verifier, a);
        _reveal(taskId, epoch, secondVerifier, b);
        _reveal(taskId, epoch, thirdVerifier, c);
    }

    function _attest(uint256 taskId, uint64 epoch, bytes memory report) internal {
        _attest(taskId, epoch, report, report, report);
    }

    function _settle(uint256 taskId, uint64 epoch, bytes memory report) internal {
        _settle(taskId, epoch, _list(report));
    }

    function _settle(uint256 taskId, uint64 epoch, bytes[] memory reports) internal {
        attestations.settle(taskId, epoch, reports, type(uint16).max);
    }

    function _finalise(uint256 taskId, uint64 epoch) internal {
        _wait(100);
        attestations.finalise(taskId, epoch);
    }

    /// From sealed to final, all verifiers agreeing on `report`.
    function _judge(uint256 taskId, uint64 epoch, bytes memory report) internal {
        _attest(taskId, epoch, report);
        _settle(taskId, epoch, report);
        _finalise(taskId, epoch);
    }

    function _list(bytes memory report) internal pure returns (bytes[] memory reports) {
        reports = new bytes[](1);
        reports[0] = report;
    }

    /// Two or three reports in ascending order of their hashes.
    function _sorted(bytes memory a, bytes memory b) internal pure returns (bytes[] memory reports) {
        reports = new bytes[](2);
        (reports[0], reports[1]) = keccak256(a) < keccak256(b) ? (a, b) : (b, a);
    }

    function _sorted(bytes memory a, bytes memory b, bytes memory c) internal pure returns (bytes[] memory reports) {
        reports = new bytes[](3);
        (reports[0], reports[1], reports[2]) = (a, b, c);
        _sort(reports);
    }

    function _sort(bytes[] memory reports) internal pure {
        for (uint256 i; i < reports.length; ++i) {
            for (uint256 j; j + 1 < reports.length; ++j) {
                if (keccak256(reports[j]) > keccak256(reports[j + 1])) {
                    (reports[j], reports[j + 1]) = (reports[j + 1], reports[j]);
                }
            }
        }
    }

    // Appeals.

    function _juror(uint256 i) internal pure returns (address) {
        return vm.addr(1000 + i);
    }

    /// Jurors who judge nothing else, with one seat each.
    function _seatJurors(uint256 count) internal {
        for (uint256 i; i < count; ++i) {
            _bond(_juror(i), Role.Verifier, SEAT_BOND);
            vm.prank(_juror(i));
            panels.takeSeats(CLASS, 1);
        }
        _nextBlock();
    }

    function _challengeHash(uint256 taskId, uint64 epoch, address challenger, uint16 index, uint8 score)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(taskId, epoch, challenger, index, score, SALT));
    }

    /// Puts down the bond, and 15 fees of jurors, of the terms that `_params` gives.
    function _commitChallenge(uint256 taskId, uint64 epoch, uint16 index, uint8 score, address challenger)
        internal
        returns (uint32)
    {
        _fund(challenger, address(appeals), UNIT + 15 * UNIT / 10);
        vm.prank(challenger);
        return appeals.commitChallenge(taskId, epoch, _challengeHash(taskId, epoch, challenger, index, score));
    }

    /// The outsider's challenge, revealed.
    function _challenge(uint256 taskId, uint64 epoch, uint16 index, uint8 score) internal returns (uint32 id) {
        id = _commitChallenge(taskId, epoch, index, score, outsider);
        _wait(100);
        appeals.revealChallenge(taskId, epoch, id, index, score, SALT);
    }

    function _draw(uint256 taskId, uint64 epoch, address operator, uint16 index) internal {
        _wait(100);
        appeals.summonPanel(taskId, epoch, index);
        vm.roll(vm.getBlockNumber() + 2);
        appeals.drawPanel(taskId, epoch, _submission(operator, index), "");
    }

    function _commitVote(uint256 taskId, uint64 epoch, uint16 index, address juror, uint8 score, bool beyond) internal {
        (,, bytes32 seed,,,,) = appeals.disputeOf(taskId, epoch, index);
        bytes32 commitment = keccak256(abi.encode(seed, juror, keccak256(abi.encode(score, beyond)), SALT));
        vm.prank(juror);
        appeals.commitVote(taskId, epoch, index, commitment);
    }

    function _revealVote(uint256 taskId, uint64 epoch, uint16 index, address juror, uint8 score, bool beyond) internal {
        vm.prank(juror);
        appeals.revealVote(taskId, epoch, index, score, beyond, SALT);
    }

    /// Those of the first `count` jurors who are on the panel vote alike, and the dispute is decided.
    function _appeal(uint256 taskId, uint64 epoch, uint16 index, uint256 count, uint8 score, bool beyond) internal {
        for (uint256 i; i < count; ++i) {
            if (appeals.seatsOf(taskId, epoch, index, _juror(i)) == 0) continue;
            _commitVote(taskId, epoch, index, _juror(i), score, beyond);
        }
        for (uint256 i; i < count; ++i) {
            if (appeals.seatsOf(taskId, epoch, index, _juror(i)) == 0) continue;
            _revealVote(taskId, epoch, index, _juror(i), score, beyond);
        }
        appeals.decide(taskId, epoch, index);
    }

    // Signatures.

    function _domain(string memory name, address verifyingContract) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("2"),
                block.chainid,
                verifyingContract
            )
        );
    }

    function _sign(uint256 key, bytes32 domain, bytes32 structHash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
        return abi.encodePacked(r, s, v);
    }

    function _consent(uint256 workerKey, address operator) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256("WorkerKey(address operator,address worker,uint256 nonce,uint256 deadline)");
        address worker = vm.addr(workerKey);
        uint256 nonce = staking.workerNonceOf(worker);
        bytes32 structHash = keccak256(abi.encode(typeHash, operator, worker, nonce, type(uint256).max));
        return _sign(workerKey, _domain("Assay", address(staking)), structHash);
    }

    function _nameWorker(address operator, uint256 workerKey) internal returns (address worker) {
        worker = vm.addr(workerKey);
        bytes memory consent = _consent(workerKey, operator);
        vm.prank(operator);
        staking.setWorkerKey(worker, type(uint256).max, consent);
    }

    function _signPolicy(uint256 key, uint256 taskId, uint64 epoch, bytes32 root) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256("Policy(uint256 taskId,uint64 epoch,bytes32 seed,bytes32 policyRoot)");
        bytes32 structHash = keccak256(abi.encode(typeHash, taskId, epoch, attestations.seedOf(taskId, epoch), root));
        return _sign(key, _domain("Assay", address(policies)), structHash);
    }

    function _signatures(uint256 taskId, uint64 epoch, bytes32 root, uint256 count)
        internal
        view
        returns (bytes[] memory signatures)
    {
        signatures = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            signatures[i] = _signPolicy(verifierKeys[i], taskId, epoch, root);
        }
    }

    // Assertions.

    function _bonded(address operator, Role role) internal view returns (uint256 bonded) {
        (bonded,,,) = staking.bondOf(operator, role);
    }

    function _money(uint256 taskId) internal view returns (uint256 budget, uint256 reserved) {
        (budget, reserved,) = registry.moneyOf(taskId);
    }

    function _assertPhase(uint256 taskId, uint64 epoch, EpochPhase phase) internal view {
        vm.assertEq(uint256(attestations.phaseOf(taskId, epoch)), uint256(phase), "phase");
    }

    function _assertPhase(uint256 taskId, uint64 epoch, uint16 index, DisputePhase phase) internal view {
        vm.assertEq(uint256(appeals.phaseOf(taskId, epoch, index)), uint256(phase), "dispute phase");
    }

    function _bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }
}
