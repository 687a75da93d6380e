// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {IAppeals} from "./interfaces/IAppeals.sol";
import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {ICommitments, Work} from "./interfaces/ICommitments.sol";
import {IPayouts, WorkRef} from "./interfaces/IPayouts.sol";
import {IPolicies, PolicyState} from "./interfaces/IPolicies.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Scores} from "./libraries/Scores.sol";
import {Terms} from "./libraries/Terms.sol";
import {Works} from "./libraries/Works.sol";

/// @title Who gets what, once an epoch is final.
/// @dev Holds no money: it tells the registry whom to pay, and Commitments whom to slash. Loops run over what callers
///      hand in.
contract Payouts is IPayouts {
    using BitMaps for BitMaps.BitMap;
    using SafeCast for uint256;
    using Terms for address;

    ITaskRegistry public immutable REGISTRY;
    ICommitments public immutable COMMITMENTS;
    IAttestations public immutable ATTESTATIONS;
    IPolicies public immutable POLICIES;
    IAppeals public immutable APPEALS;
    /// @inheritdoc IPayouts
    uint16 public immutable REPORTER_BPS;

    mapping(uint256 taskId => mapping(address verifier => BitMaps.BitMap)) private _feesClaimed;

    /// @param reporterBps at most what the margin of `CheatingPays` leaves, because a cheat may report itself
    constructor(Deployment memory deployment, uint16 reporterBps) {
        uint256 max = Economics.BPS - Economics.BPS * Economics.BPS / Economics.MARGIN_BPS - 1;
        require(reporterBps <= max, ReporterShareTooLarge(reporterBps, max));
        REGISTRY = deployment.registry;
        COMMITMENTS = deployment.commitments;
        ATTESTATIONS = deployment.attestations;
        POLICIES = deployment.policies;
        APPEALS = deployment.appeals;
        REPORTER_BPS = reporterBps;
    }

    /*//////////////////////////////////////////////////////////////
                                TRAINERS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IPayouts
    /// @dev Reads each work into memory once: cheaper by 500 gas a work than checked reads of calldata.
    function claim(WorkRef[] memory works) external returns (uint256) {
        require(works.length > 0, NoWorks());
        return _claim(works, works[0].work.trainer);
    }

    /// @inheritdoc IPayouts
    function claimTo(WorkRef[] memory works, address to) external returns (uint256) {
        require(works.length > 0, NoWorks());
        address trainer = works[0].work.trainer;
        require(msg.sender == trainer, NotTheTrainer(msg.sender, trainer));
        return _claim(works, to);
    }

    /// @inheritdoc IPayouts
    function slashFraud(WorkRef calldata ref) external returns (uint256 amount) {
        (uint256 taskId, uint64 epoch, Work calldata work) = (ref.taskId, ref.epoch, ref.work);
        uint256[] memory places = new uint256[](1);
        places[0] = Works.place(epoch, work.index);
        uint8 score = uint8(ATTESTATIONS.finalScoresOf(taskId, places)[0]);
        bool isFound = score == Scores.FOUND_FRAUD;
        require(isFound || score == Scores.FRAUD, NotFraud(taskId, epoch, work.index, score));
        address reporter = isFound ? address(APPEALS) : msg.sender;
        uint128 toReporter;
        (amount, toReporter) = COMMITMENTS.settleFraud(taskId, epoch, work, reporter, REPORTER_BPS);
        emit FraudSlashed(taskId, epoch, work.trainer, work.index, amount, reporter, toReporter);
        if (isFound) APPEALS.reward(taskId, epoch, work.index, toReporter);
    }

    /*//////////////////////////////////////////////////////////////
                                VERIFIERS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IPayouts
    function claimFees(uint256 taskId, uint64[] calldata epochs, address verifier) external returns (uint256 amount) {
        uint256 fee = REGISTRY.paramsOf(taskId).verifierFee;
        BitMaps.BitMap storage claimed = _feesClaimed[taskId][verifier];
        uint256 shares;
        for (uint256 i; i < epochs.length; ++i) {
            uint64 epoch = epochs[i];
            // One epoch a turn, as many as the caller hands in; so in `_feeOf`.
            // slither-disable-next-line calls-loop
            require(ATTESTATIONS.phaseOf(taskId, epoch) == EpochPhase.Final, NotFinal(taskId, epoch));
            PolicyState state = _policyOf(taskId, epoch);
            require(state != PolicyState.Pending, PolicyPending(taskId, epoch));
            require(state != PolicyState.Skipped, FeeForfeited(taskId, epoch));
            require(!claimed.get(epoch), AlreadyClaimed(taskId, epoch, verifier));
            (uint256 share, uint256 earned, bool revealed) = _feeOf(taskId, epoch, verifier, fee);
            require(revealed, NotRevealed(taskId, epoch, verifier));

            claimed.set(epoch);
            shares += share;
            amount += earned;
            emit FeesClaimed(taskId, epoch, verifier, earned);
        }
        REGISTRY.pay(taskId, verifier, amount.toUint128(), shares.toUint128());
    }

    /// @inheritdoc IPayouts
    function feeOf(uint256 taskId, uint64 epoch, address verifier) external view returns (uint256 earned) {
        if (ATTESTATIONS.phaseOf(taskId, epoch) != EpochPhase.Final) return 0;
        PolicyState state = _policyOf(taskId, epoch);
        bool isDue = state == PolicyState.Published || state == PolicyState.NotDue;
        if (!isDue || _feesClaimed[taskId][verifier].get(epoch)) return 0;
        (, earned,) = _feeOf(taskId, epoch, verifier, REGISTRY.paramsOf(taskId).verifierFee);
    }

    /*//////////////////////////////////////////////////////////////
                                INTERNALS
    //////////////////////////////////////////////////////////////*/

    function _claim(WorkRef[] memory works, address to) private returns (uint256 amount) {
        uint256 count = works.length;
        uint256 taskId = works[0].taskId;
        address trainer = works[0].work.trainer;
        uint256[] memory places = new uint256[](count);
        bytes32[] memory hashes = new bytes32[](count);
        uint64 units;
        for (uint256 i; i < count; ++i) {
            WorkRef memory ref = works[i];
            if (ref.taskId != taskId) revert MixedTasks(taskId, ref.taskId);
            if (ref.work.trainer != trainer) revert MixedTrainers(trainer, ref.work.trainer);
            places[i] = Works.place(ref.epoch, ref.work.index);
            hashes[i] = Works.hash(ref.work);
            units += ref.work.units;
        }
        bytes memory scores = ATTESTATIONS.finalScoresOf(taskId, places);
        // Reverts unless these are the works that were committed, and unclaimed.
        COMMITMENTS.settleWorks(taskId, trainer, units, places, hashes);
        uint256 released;
        (amount, released) = _sum(taskId, works, scores);
        REGISTRY.pay(taskId, to, amount.toUint128(), released.toUint128());
    }

    /// What works earn, and what was reserved for them.
    function _sum(uint256 taskId, WorkRef[] memory works, bytes memory scores)
        private
        returns (uint256 amount, uint256 released)
    {
        uint128[4] memory prices = REGISTRY.termsOf(taskId).pricesAt();
        for (uint256 i; i < works.length; ++i) {
            WorkRef memory ref = works[i];
            Work memory work = ref.work;
            uint8 score = uint8(scores[i]);
            if (score == Scores.FRAUD || score == Scores.FOUND_FRAUD) revert IsFraud(taskId, ref.epoch, work.index);
            uint256 full = score == Scores.VOID ? 0 : uint256(work.units) * prices[uint256(work.kind)];
            uint256 earned = Scores.isPaid(score) ? full * score / Scores.FULL : 0;
            released += full;
            amount += earned;
            emit Claimed(taskId, ref.epoch, work.trainer, work.index, earned);
        }
    }

    /// What became of the policy of an epoch. Nothing is due where nothing of it is paid, even before anybody says so.
    function _policyOf(uint256 taskId, uint64 epoch) private view returns (PolicyState state) {
        // slither-disable-next-line calls-loop
        state = POLICIES.stateOf(taskId, epoch);
        if (state != PolicyState.Pending) return state;
        // slither-disable-next-line calls-loop
        (,,, uint16 paid) = ATTESTATIONS.scheduleOf(taskId, epoch);
        return paid == 0 ? PolicyState.NotDue : state;
    }

    /// The verifier's share of the fee, and what of it agreement with the outcome has earned.
    function _feeOf(uint256 taskId, uint64 epoch, address verifier, uint256 fee)
        private
        view
        returns (uint256 share, uint256 earned, bool revealed)
    {
        // slither-disable-next-line calls-loop
        (bytes31 reportHash, uint128 weight, uint16 agreements) = ATTESTATIONS.attestationOf(taskId, epoch, verifier);
        if (reportHash == bytes31(0)) return (0, 0, false);
        // slither-disable-next-line calls-loop
        (uint16 works,,,,,, uint128 enlistedWeight) = ATTESTATIONS.tallyOf(taskId, epoch);
        share = Economics.feeShare(fee, weight, enlistedWeight);
        earned = share * agreements / works; // no epoch is sealed without works
        revealed = true;
    }
}
