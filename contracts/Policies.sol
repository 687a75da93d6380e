// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {IPolicies, PolicyState} from "./interfaces/IPolicies.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "./interfaces/ITaskRegistry.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";
import {Economics} from "./libraries/Economics.sol";

/// @title The policy versions of each task, signed by quorums of verifiers.
/// @dev Holds no money. Loops run over signatures that a caller hands in, and over epochs without a policy before it,
///      which can be skipped one by one beforehand.
contract Policies is IPolicies, EIP712 {
    using SafeCast for uint256;

    struct Line {
        uint64 nextEpoch;
        uint40 since; // when it came to that epoch
        uint32 version;
        bytes32 policyRoot;
    }

    bytes32 private constant _POLICY_TYPEHASH =
        keccak256("Policy(uint256 taskId,uint64 epoch,bytes32 seed,bytes32 policyRoot)");
    uint256 private constant _MAX_URI = 512;

    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    IVerifiers public immutable VERIFIERS;
    IAttestations public immutable ATTESTATIONS;

    mapping(uint256 taskId => Line) private _lines;
    mapping(uint256 taskId => mapping(uint64 epoch => PolicyState)) private _states;

    constructor(Deployment memory deployment) EIP712("Assay", "2") {
        STAKING = deployment.staking;
        REGISTRY = deployment.registry;
        VERIFIERS = deployment.verifiers;
        ATTESTATIONS = deployment.attestations;
    }

    /// @inheritdoc IPolicies
    function publishPolicy(
        uint256 taskId,
        uint64 epoch,
        bytes32 policyRoot,
        string calldata uri,
        bytes[] calldata signatures
    ) external {
        require(policyRoot != bytes32(0), EmptyRoot());
        require(bytes(uri).length <= _MAX_URI, UriTooLong(bytes(uri).length, _MAX_URI));
        Line storage line = _lines[taskId];
        require(epoch >= line.nextEpoch, PolicyOutOfOrder(taskId, epoch, line.nextEpoch));
        // It frees by the registry, which calls nobody.
        // slither-disable-next-line reentrancy-no-eth,reentrancy-benign
        _skipUntil(taskId, epoch, line);
        EpochPhase phase = ATTESTATIONS.phaseOf(taskId, epoch);
        bool isSettled = phase == EpochPhase.Challengeable || phase == EpochPhase.Final;
        require(isSettled, NotSettled(taskId, epoch));
        (,,, uint16 paid) = ATTESTATIONS.scheduleOf(taskId, epoch);
        require(paid > 0, PolicyNotDue(taskId, epoch));
        uint256 weight = _weighSigners(taskId, epoch, policyRoot, signatures);
        uint256 needed = ATTESTATIONS.quorumOf(taskId, epoch);
        require(weight >= needed, NoQuorum(weight, needed));

        (line.nextEpoch, line.since, line.policyRoot) = (epoch + 1, block.timestamp.toUint40(), policyRoot);
        _states[taskId][epoch] = PolicyState.Published;
        emit PolicyPublished(taskId, epoch, ++line.version, policyRoot, uri);
    }

    /// @inheritdoc IPolicies
    function skipPolicy(uint256 taskId, uint64 epoch) external {
        Line storage line = _lines[taskId];
        require(epoch == line.nextEpoch, PolicyOutOfOrder(taskId, epoch, line.nextEpoch));
        uint40 since = line.since;
        (line.nextEpoch, line.since) = (epoch + 1, block.timestamp.toUint40());
        _skip(taskId, epoch, since);
    }

    /// @inheritdoc IPolicies
    function policyOf(uint256 taskId) external view returns (uint32 version, bytes32 policyRoot, uint64 nextEpoch) {
        Line storage line = _lines[taskId];
        (version, policyRoot, nextEpoch) = (line.version, line.policyRoot, line.nextEpoch);
        // Counted from 0 here.
        // slither-disable-next-line incorrect-equality
        if (version == 0) (, policyRoot,) = REGISTRY.originOf(taskId);
    }

    /// @inheritdoc IPolicies
    function stateOf(uint256 taskId, uint64 epoch) external view returns (PolicyState) {
        return _states[taskId][epoch];
    }

    /// Skips what is before an epoch. Only the first can be late: the line comes to the others just now.
    function _skipUntil(uint256 taskId, uint64 epoch, Line storage line) private {
        uint40 since = line.since;
        for (uint64 earlier = line.nextEpoch; earlier < epoch; ++earlier) {
            _skip(taskId, earlier, since);
            since = block.timestamp.toUint40();
        }
    }

    /// Goes on without the policy of an epoch, if nothing is due, or it is late. A late one costs the epoch's fee.
    /// @param since when the line came to it: before that nobody could publish it
    function _skip(uint256 taskId, uint64 epoch, uint40 since) private {
        // Epochs between two policies, as many as the caller's transaction has gas for; so in what follows.
        // slither-disable-next-line calls-loop
        EpochPhase phase = ATTESTATIONS.phaseOf(taskId, epoch);
        // slither-disable-next-line calls-loop
        (,, uint40 challengeBy, uint16 paid) = ATTESTATIONS.scheduleOf(taskId, epoch);
        bool isSettled = phase == EpochPhase.Challengeable || phase == EpochPhase.Final;
        PolicyState state = PolicyState.NotDue;
        if (phase != EpochPhase.Void && !(isSettled && paid == 0)) {
            require(isSettled, PolicyStillDue(taskId, epoch, 0));
            // slither-disable-next-line calls-loop
            uint40 policyBy = (challengeBy > since ? challengeBy : since) + REGISTRY.paramsOf(taskId).revealWindow;
            require(block.timestamp >= policyBy, PolicyStillDue(taskId, epoch, policyBy));
            state = PolicyState.Skipped;
        }
        _states[taskId][epoch] = state;
        emit PolicySkipped(taskId, epoch, state);
        if (state == PolicyState.Skipped) _forfeitFee(taskId, epoch, paid);
    }

    /// Gives back what of the fee finality does not: the share of those who revealed.
    function _forfeitFee(uint256 taskId, uint64 epoch, uint16 paid) private {
        // slither-disable-next-line calls-loop
        (,,,,, uint128 revealed, uint128 weight) = ATTESTATIONS.tallyOf(taskId, epoch);
        // slither-disable-next-line calls-loop
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        uint256 fee = Economics.epochFee(params.verifierFee, paid, params.maxSubmissionUnits, params.maxEpochUnits);
        uint256 share = Economics.feeShare(fee, revealed, weight);
        // slither-disable-next-line calls-loop
        REGISTRY.free(taskId, uint128(share)); // no more than the fee
    }

    function _weighSigners(uint256 taskId, uint64 epoch, bytes32 policyRoot, bytes[] calldata signatures)
        private
        view
        returns (uint256 weight)
    {
        bytes32 seed = ATTESTATIONS.seedOf(taskId, epoch);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(_POLICY_TYPEHASH, taskId, epoch, seed, policyRoot)));
        address last;
        for (uint256 i; i < signatures.length; ++i) {
            address key = ECDSA.recoverCalldata(digest, signatures[i]);
            // One signer a turn, as many as the caller hands in.
            // slither-disable-next-line calls-loop
            address verifier = STAKING.operatorOf(key);
            require(verifier > last, SignersUnsorted(verifier));
            // slither-disable-next-line calls-loop
            weight += VERIFIERS.weightAt(taskId, epoch, verifier);
            last = verifier;
        }
    }
}
