// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {ICommitments} from "./interfaces/ICommitments.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";
import {Economics} from "./libraries/Economics.sol";

/// @title The electorate of each task: who judges which epoch, with what weight.
/// @dev Holds no money. The totals of a task are the sums of its verifiers' weights at the open epoch and at the one
///      after: `_setWeight` keeps both by looking at a verifier before and after.
contract Verifiers is IVerifiers {
    using Checkpoints for Checkpoints.Trace208;

    struct Enlistment {
        uint128 collateral; // of its bond, what answers for the task
        uint40 leftAt;
        uint40 since; // the first epoch for which it answers; for others it did before, and no more
        bool isEnlisted;
    }

    struct Roll {
        uint128 weight; // in the open epoch
        uint128 nextWeight; // in the one after
        uint16 count;
        uint16 nextCount;
    }

    /// @inheritdoc IVerifiers
    uint16 public constant MAX_VERIFIERS = 64;

    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    ICommitments public immutable COMMITMENTS;
    address public immutable ATTESTATIONS;
    address public immutable APPEALS;
    address public immutable PLANTS;

    mapping(uint256 taskId => Roll) private _rolls;
    mapping(uint256 taskId => mapping(address verifier => Enlistment)) private _enlistments;
    mapping(uint256 taskId => mapping(address verifier => Checkpoints.Trace208)) private _weights; // by epoch

    constructor(Deployment memory deployment) {
        STAKING = deployment.staking;
        REGISTRY = deployment.registry;
        COMMITMENTS = deployment.commitments;
        ATTESTATIONS = address(deployment.attestations);
        APPEALS = address(deployment.appeals);
        PLANTS = address(deployment.plants);
    }

    /*//////////////////////////////////////////////////////////////
                                VERIFIERS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IVerifiers
    function enlist(uint256 taskId, bytes32 termsHash, uint128 weight, address displaced) external {
        (,, bytes32 actual) = REGISTRY.originOf(taskId);
        require(termsHash == actual, WrongTerms(taskId, termsHash, actual));
        uint128 needed = REGISTRY.paramsOf(taskId).verifierBond;
        require(weight >= needed, WeightTooSmall(weight, needed));
        address verifier = STAKING.operatorOf(msg.sender);
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        require(!enlistment.isEnlisted, AlreadyEnlisted(taskId, verifier));
        // It unlocks by Staking, which calls nobody.
        // slither-disable-next-line reentrancy-no-eth,reentrancy-benign
        if (enlistment.collateral > 0) _release(taskId, verifier, enlistment);

        if (displaced != address(0)) _displace(taskId, displaced, weight);
        (enlistment.collateral, enlistment.isEnlisted) = (weight, true);
        // Who comes while the open epoch has submissions judges from the next one on: trainers looked at the electorate
        // before they committed. Who has left then, and comes back at once, still judges it with its former weight.
        uint64 fromEpoch = _setWeight(taskId, verifier, _nextWithAPlace(taskId), weight);
        enlistment.since = uint40(fromEpoch);
        require(_rolls[taskId].nextCount <= MAX_VERIFIERS, ElectorateFull(taskId, MAX_VERIFIERS));
        emit VerifierEnlisted(taskId, verifier, weight, fromEpoch);
        STAKING.lock(Role.Verifier, verifier, weight);
    }

    /// @inheritdoc IVerifiers
    function delist(uint256 taskId) external {
        address verifier = STAKING.operatorOf(msg.sender);
        require(_enlistments[taskId][verifier].isEnlisted, NotEnlisted(taskId, verifier));
        _leave(taskId, verifier);
    }

    /// @inheritdoc IVerifiers
    function releaseBond(uint256 taskId, address verifier) external {
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        bool isHeld = !enlistment.isEnlisted && enlistment.collateral > 0;
        require(isHeld, NothingToRelease(taskId, verifier));
        _release(taskId, verifier, enlistment);
    }

    /*//////////////////////////////////////////////////////////////
                             OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IVerifiers
    function seal(uint256 taskId) external returns (uint128 weight, uint16 verifiers) {
        require(msg.sender == ATTESTATIONS, NotAuthorised(msg.sender));
        Roll storage roll = _rolls[taskId];
        (weight, verifiers) = (roll.weight, roll.count);
        // Commitments has gone on to the next epoch; nothing is planned for the one after it yet.
        (roll.weight, roll.count) = (roll.nextWeight, roll.nextCount);
    }

    /// @inheritdoc IVerifiers
    function slash(
        uint256 taskId,
        uint64 epoch,
        address verifier,
        uint16 bps,
        address recipient,
        uint16 recipientBps,
        uint128 cap
    ) external returns (uint128 taken, uint128 toRecipient) {
        bool isKnown = msg.sender == ATTESTATIONS || msg.sender == APPEALS || msg.sender == PLANTS;
        require(isKnown, NotAuthorised(msg.sender));
        uint256 share = Economics.shareUp(weightAt(taskId, epoch, verifier), bps);
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        // What was released has answered for those; what is locked now is for later ones.
        uint128 collateral = epoch < enlistment.since ? 0 : enlistment.collateral;
        taken = share < collateral ? uint128(share) : collateral;
        if (taken == 0) return (0, 0);
        enlistment.collateral = collateral - taken;
        toRecipient = uint128(uint256(taken) * recipientBps / Economics.BPS);
        if (toRecipient > cap) toRecipient = cap;
        _weaken(taskId, verifier, enlistment, taken);
        STAKING.slash(Role.Verifier, verifier, taken, recipient, toRecipient);
    }

    /*//////////////////////////////////////////////////////////////
                                  VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IVerifiers
    function electorateOf(uint256 taskId) external view returns (uint128 weight, uint16 verifiers) {
        Roll storage roll = _rolls[taskId];
        return (roll.weight, roll.count);
    }

    /// @inheritdoc IVerifiers
    function isEnlisted(uint256 taskId, address verifier) external view returns (bool) {
        return _enlistments[taskId][verifier].isEnlisted;
    }

    /// @inheritdoc IVerifiers
    function collateralOf(uint256 taskId, address verifier) external view returns (uint128 amount, uint40 until) {
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        return (enlistment.collateral, enlistment.isEnlisted ? 0 : _answerableUntil(enlistment));
    }

    /// @inheritdoc IVerifiers
    function weightAt(uint256 taskId, uint64 epoch, address verifier) public view returns (uint128) {
        return uint128(_weights[taskId][verifier].upperLookupRecent(uint48(epoch))); // weights have 128 bits
    }

    /*//////////////////////////////////////////////////////////////
                                INTERNALS
    //////////////////////////////////////////////////////////////*/

    /// Who is displaced leaves as by itself.
    function _displace(uint256 taskId, address displaced, uint128 weight) private {
        require(_rolls[taskId].nextCount >= MAX_VERIFIERS, ElectorateFull(taskId, MAX_VERIFIERS));
        require(_enlistments[taskId][displaced].isEnlisted, NotEnlisted(taskId, displaced));
        uint128 other = uint128(_weights[taskId][displaced].latest());
        require(weight > other, NotHeavier(weight, other));
        _leave(taskId, displaced);
    }

    /// Ends an enlistment: at once while the open epoch has no submissions, else after it.
    function _leave(uint256 taskId, address verifier) private {
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        (enlistment.isEnlisted, enlistment.leftAt) = (false, uint40(block.timestamp));
        uint64 fromEpoch = _setWeight(taskId, verifier, _nextWithoutSubmissions(taskId), 0);
        emit VerifierDelisted(taskId, verifier, fromEpoch);
    }

    function _release(uint256 taskId, address verifier, Enlistment storage enlistment) private {
        uint40 from = _answerableUntil(enlistment);
        require(block.timestamp >= from, StillAnswerable(taskId, verifier, from));
        uint128 amount = enlistment.collateral;
        enlistment.collateral = 0;
        emit VerifierBondReleased(taskId, verifier, amount);
        STAKING.unlock(Role.Verifier, verifier, amount);
    }

    /// What is left of a verifier after a slash: in epochs that are not closed yet, and never in sealed ones.
    function _weaken(uint256 taskId, address verifier, Enlistment storage enlistment, uint128 taken) private {
        if (!enlistment.isEnlisted) {
            (, uint48 last,) = _weights[taskId][verifier].latestCheckpoint();
            emit VerifierSlashed(taskId, verifier, taken, 0, last);
            return;
        }
        uint128 weight = enlistment.collateral; // the same while it is enlisted
        // An open epoch that has submissions keeps the judges it had when they came: anyone who slashes must not void
        // it.
        uint64 fromEpoch = _setWeight(taskId, verifier, _nextWithoutSubmissions(taskId), weight);
        emit VerifierSlashed(taskId, verifier, taken, weight, fromEpoch);
        if (weight < REGISTRY.paramsOf(taskId).verifierBond) _leave(taskId, verifier);
    }

    /// Changes a weight from an epoch on, at the earliest from where it last changed, and with it the totals.
    function _setWeight(uint256 taskId, address verifier, uint64 fromEpoch, uint128 weight) private returns (uint64) {
        Checkpoints.Trace208 storage trace = _weights[taskId][verifier];
        (bool exists, uint48 last,) = trace.latestCheckpoint();
        if (exists && last > fromEpoch) fromEpoch = last;
        (uint64 epoch,,,) = COMMITMENTS.openEpochOf(taskId);
        Roll memory roll = _rolls[taskId];
        (uint128 weight_, uint128 nextWeight) = _pair(taskId, epoch, verifier);
        (roll.weight, roll.nextWeight) = (roll.weight - weight_, roll.nextWeight - nextWeight);
        (roll.count, roll.nextCount) = (roll.count - _one(weight_), roll.nextCount - _one(nextWeight));
        trace.push(uint48(fromEpoch), weight);
        (weight_, nextWeight) = _pair(taskId, epoch, verifier);
        (roll.weight, roll.nextWeight) = (roll.weight + weight_, roll.nextWeight + nextWeight);
        (roll.count, roll.nextCount) = (roll.count + _one(weight_), roll.nextCount + _one(nextWeight));
        _rolls[taskId] = roll;
        return fromEpoch;
    }

    /// A verifier's weight in an epoch, and in the one after.
    function _pair(uint256 taskId, uint64 epoch, address verifier) private view returns (uint128, uint128) {
        return (weightAt(taskId, epoch, verifier), weightAt(taskId, epoch + 1, verifier));
    }

    /// The first epoch whose judges nobody has counted on yet.
    function _nextWithoutSubmissions(uint256 taskId) private view returns (uint64) {
        (uint64 epoch,,, uint16 submissions) = COMMITMENTS.openEpochOf(taskId);
        return submissions > 0 ? epoch + 1 : epoch;
    }

    /// The same, if it has a place: who has left since the open epoch's first submission keeps its own in it.
    function _nextWithAPlace(uint256 taskId) private view returns (uint64) {
        (uint64 epoch,, bool isClosed, uint16 submissions) = COMMITMENTS.openEpochOf(taskId);
        bool isFixed = isClosed || submissions > 0 || _rolls[taskId].count >= MAX_VERIFIERS;
        return isFixed ? epoch + 1 : epoch;
    }

    /// When what a former verifier has locked no longer answers.
    function _answerableUntil(Enlistment storage enlistment) private view returns (uint40) {
        return enlistment.leftAt + STAKING.UNBONDING_PERIOD();
    }

    function _one(uint128 weight) private pure returns (uint16) {
        return weight > 0 ? 1 : 0;
    }
}
