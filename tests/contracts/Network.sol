// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {AssayToken} from "../../contracts/AssayToken.sol";
import {Attestations} from "../../contracts/Attestations.sol";
import {Challenges} from "../../contracts/Challenges.sol";
import {Payouts} from "../../contracts/Payouts.sol";
import {Staking} from "../../contracts/Staking.sol";
import {TaskRegistry} from "../../contracts/TaskRegistry.sol";
import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {ChallengePhase, IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {WorkRef} from "../../contracts/interfaces/IPayouts.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams, Work} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Vm} from "./Vm.sol";

/// A deployment with one initiator, trainers and verifiers, and the steps of an epoch as functions.
abstract contract Network {
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    uint128 internal constant UNIT = 1 ether;
    uint40 internal constant UNBONDING = 2500;
    uint16 internal constant REPORTER_BPS = 1000;
    bytes32 internal constant ROOT = keccak256("manifest");
    bytes32 internal constant SALT = keccak256("salt");
    bytes32 internal constant POLICY = keccak256("policy");
    bytes32 internal constant EVIDENCE = keccak256("evidence");

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
    Attestations internal attestations;
    Challenges internal challenges;
    Payouts internal payouts;

    function setUp() public virtual {
        vm.warp(1_000_000);
        vm.roll(1000);
        token = _newToken();
        uint256 nonce = vm.getNonce(address(this));
        address[5] memory predicted;
        for (uint256 i; i < 5; ++i) {
            predicted[i] = vm.computeCreateAddress(address(this), nonce + i);
        }
        staking = new Staking(token, predicted[1], predicted[2], UNBONDING);
        registry =
            new TaskRegistry(token, IStaking(predicted[0]), IAttestations(predicted[2]), predicted[3], predicted[4], 1);
        attestations = new Attestations(IStaking(predicted[0]), ITaskRegistry(predicted[1]), predicted[3]);
        challenges = new Challenges(
            IStaking(predicted[0]), ITaskRegistry(predicted[1]), IAttestations(predicted[2]), predicted[4]
        );
        payouts = new Payouts(
            IStaking(predicted[0]),
            ITaskRegistry(predicted[1]),
            IAttestations(predicted[2]),
            IChallenges(predicted[3]),
            REPORTER_BPS
        );
        _sortVerifiers();
    }

    /// Another token may take its place.
    function _newToken() internal virtual returns (AssayToken) {
        return new AssayToken(address(this), 1e33);
    }

    function _sortVerifiers() private {
        uint256[3] memory keys = [uint256(20), 21, 22];
        for (uint256 i; i < 2; ++i) {
            for (uint256 j; j < 2; ++j) {
                if (vm.addr(keys[j]) > vm.addr(keys[j + 1])) (keys[j], keys[j + 1]) = (keys[j + 1], keys[j]);
            }
        }
        verifierKeys = keys;
        (verifier, secondVerifier, thirdVerifier) = (vm.addr(keys[0]), vm.addr(keys[1]), vm.addr(keys[2]));
    }

    function _params() internal pure returns (TaskParams memory) {
        return TaskParams({
            unitPrice: UNIT,
            trainerBond: 60 * UNIT,
            verifierBond: 100 * UNIT,
            fraudSlash: 50 * UNIT, // one work earns 10 at most, and is replayed with probability 0.2: 48 needed
            absenceSlash: 5 * UNIT,
            verdictSlash: 20 * UNIT,
            challengeBond: UNIT,
            verifierFee: 3 * UNIT,
            maxEpochUnits: 100,
            maxWorkUnits: 10,
            quorumBps: 6667,
            samplingBps: 2000,
            maxStaleness: 2,
            maxEpochs: 0,
            commitWindow: 100,
            attestWindow: 100,
            revealWindow: 100,
            challengeWindow: 100,
            appealWindow: 100
        });
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

    function _enlistTrainer(uint256 taskId, address operator) internal {
        _bond(operator, Role.Trainer, 60 * UNIT);
        vm.prank(operator);
        registry.enlist(taskId);
    }

    function _enlistVerifier(uint256 taskId, address operator, uint128 bond) internal {
        _bond(operator, Role.Verifier, bond);
        vm.prank(operator);
        attestations.enlist(taskId);
        _nextBlock();
    }

    /// A task with three trainers and three equal verifiers.
    function _staffedTask() internal returns (uint256 taskId) {
        return _staff(_openTask());
    }

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
        (,,, epoch,,,) = registry.stateOf(taskId);
    }

    function _commit(uint256 taskId, address operator) internal {
        uint64 epoch = _openEpoch(taskId);
        vm.prank(operator);
        registry.commitWork(taskId, epoch, ROOT, 10, 0);
        vm.roll(vm.getBlockNumber() + 1); // no epoch is sealed in the block of its last work
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

    function _ref(uint256 taskId, uint64 epoch, address operator, uint16 index) internal pure returns (WorkRef memory) {
        return WorkRef(taskId, epoch, Work(operator, index, 10, 0, ROOT));
    }

    function _refs(WorkRef memory ref) internal pure returns (WorkRef[] memory refs) {
        refs = new WorkRef[](1);
        refs[0] = ref;
    }

    function _commitment(uint256 taskId, uint64 epoch, address operator, bytes memory report)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(taskId, epoch, operator, keccak256(report), SALT));
    }

    function _commitReport(uint256 taskId, uint64 epoch, address operator, bytes memory report) internal {
        vm.prank(operator);
        attestations.commitAttestation(taskId, epoch, _commitment(taskId, epoch, operator, report));
    }

    function _reveal(uint256 taskId, uint64 epoch, address operator, bytes memory report) internal {
        vm.prank(operator);
        attestations.revealAttestation(taskId, epoch, keccak256(report), SALT, EVIDENCE);
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
        attestations.settle(taskId, epoch, _list(report));
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
        for (uint256 i; i < 2; ++i) {
            for (uint256 j; j < 2; ++j) {
                if (keccak256(reports[j]) > keccak256(reports[j + 1])) {
                    (reports[j], reports[j + 1]) = (reports[j + 1], reports[j]);
                }
            }
        }
    }

    // Challenges.

    /// The outsider puts down the bond of the terms that `_params` gives.
    function _challenge(uint256 taskId, uint64 epoch, uint16 index, uint8 score) internal {
        _challenge(taskId, epoch, index, score, outsider);
    }

    function _challenge(uint256 taskId, uint64 epoch, uint16 index, uint8 score, address challenger) internal {
        _fund(challenger, address(registry), UNIT);
        vm.prank(challenger);
        challenges.challenge(taskId, epoch, index, score);
    }

    function _vote(uint256 taskId, uint64 epoch, uint16 index, address operator, uint8 score)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(taskId, epoch, index, operator, score, SALT));
    }

    function _commitVote(uint256 taskId, uint64 epoch, uint16 index, address operator, uint8 score) internal {
        vm.prank(operator);
        challenges.commitAppeal(taskId, epoch, index, _vote(taskId, epoch, index, operator, score));
    }

    function _revealVote(uint256 taskId, uint64 epoch, uint16 index, address operator, uint8 score) internal {
        vm.prank(operator);
        challenges.revealAppeal(taskId, epoch, index, score, SALT);
    }

    /// All three verifiers commit and reveal.
    function _appeal(uint256 taskId, uint64 epoch, uint16 index, uint8 a, uint8 b, uint8 c) internal {
        _commitVote(taskId, epoch, index, verifier, a);
        _commitVote(taskId, epoch, index, secondVerifier, b);
        _commitVote(taskId, epoch, index, thirdVerifier, c);
        _revealVote(taskId, epoch, index, verifier, a);
        _revealVote(taskId, epoch, index, secondVerifier, b);
        _revealVote(taskId, epoch, index, thirdVerifier, c);
    }

    // Signatures.

    function _domain(string memory name, address verifyingContract) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
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
        bytes32 typeHash = keccak256("WorkerKey(address operator,address worker)");
        bytes32 structHash = keccak256(abi.encode(typeHash, operator, vm.addr(workerKey)));
        return _sign(workerKey, _domain("Assay", address(staking)), structHash);
    }

    function _nameWorker(address operator, uint256 workerKey) internal returns (address worker) {
        worker = vm.addr(workerKey);
        bytes memory consent = _consent(workerKey, operator);
        vm.prank(operator);
        staking.setWorkerKey(worker, consent);
    }

    function _signPolicy(uint256 key, uint256 taskId, uint64 epoch, bytes32 root) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256("Policy(uint256 taskId,uint64 epoch,bytes32 policyRoot)");
        return _sign(key, _domain("Assay", address(attestations)), keccak256(abi.encode(typeHash, taskId, epoch, root)));
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
        (, budget, reserved,,,,) = registry.stateOf(taskId);
    }

    function _assertPhase(uint256 taskId, uint64 epoch, EpochPhase phase) internal view {
        vm.assertEq(uint256(attestations.phaseOf(taskId, epoch)), uint256(phase), "phase");
    }

    function _assertPhase(uint256 taskId, uint64 epoch, uint16 index, ChallengePhase phase) internal view {
        vm.assertEq(uint256(challenges.phaseOf(taskId, epoch, index)), uint256(phase), "challenge phase");
    }

    function _bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }
}
