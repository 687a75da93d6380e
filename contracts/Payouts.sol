// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {IChallenges} from "./interfaces/IChallenges.sol";
import {IPayouts, WorkRef} from "./interfaces/IPayouts.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {ITaskRegistry, Work} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Scores} from "./libraries/Scores.sol";
import {Works} from "./libraries/Works.sol";

/// @title Who gets what, once an epoch is final.
/// @dev Holds no money: it tells the registry whom to pay, and Staking whom to slash. Loops run over what callers hand in.
contract Payouts is IPayouts {
    using BitMaps for BitMaps.BitMap;

    error ReporterShareTooLarge(uint16 reporterBps, uint256 max);

    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    IAttestations public immutable ATTESTATIONS;
    IChallenges public immutable CHALLENGES;
    /// @inheritdoc IPayouts
    uint16 public immutable REPORTER_BPS;

    mapping(uint256 taskId => mapping(address verifier => BitMaps.BitMap)) private _feesClaimed;

    /// @param reporterBps at most what the margin of `CheatingPays` leaves, because a cheat may report itself
    constructor(
        IStaking staking,
        ITaskRegistry registry,
        IAttestations attestations,
        IChallenges challenges,
        uint16 reporterBps
    ) {
        uint256 max = Economics.BPS - Economics.BPS * Economics.BPS / Economics.MARGIN_BPS - 1;
        require(reporterBps <= max, ReporterShareTooLarge(reporterBps, max));
        STAKING = staking;
        REGISTRY = registry;
        ATTESTATIONS = attestations;
        CHALLENGES = challenges;
        REPORTER_BPS = reporterBps;
    }

    /// @inheritdoc IPayouts
    /// @dev Reads each work into memory once: cheaper by 500 gas a work than checked reads of calldata.
    function claim(WorkRef[] memory works) external returns (uint256 amount) {
        uint256 count = works.length;
        require(count > 0, NoWorks());
        uint256 taskId = works[0].taskId;
        address trainer = works[0].work.trainer;
        uint256[] memory places = new uint256[](count);
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            WorkRef memory ref = works[i];
            Work memory work = ref.work;
            if (ref.taskId != taskId) revert MixedTasks(taskId, ref.taskId);
            if (work.trainer != trainer) revert MixedTrainers(trainer, work.trainer);
            places[i] = Works.place(ref.epoch, work.index);
            hashes[i] = Works.hash(work);
        }
        bytes memory scores = ATTESTATIONS.finalScoresOf(taskId, places);
        // Reverts unless these are the works that were committed, and unclaimed.
        uint256 unitPrice = REGISTRY.settleWorks(taskId, trainer, places, hashes);

        uint256 released;
        for (uint256 i; i < count; ++i) {
            WorkRef memory ref = works[i];
            uint256 score = uint8(scores[i]);
            if (score > Scores.FULL) revert IsFraud(taskId, ref.epoch, ref.work.index);
            uint256 earned;
            unchecked {
                // units (16 bits) × price (128) × score (8), a few of them: far from 256 bits
                uint256 full = ref.work.units * unitPrice;
                earned = full * score / Scores.FULL;
                released += full;
                amount += earned;
            }
            emit Claimed(taskId, ref.epoch, trainer, ref.work.index, earned);
        }
        REGISTRY.pay(taskId, trainer, amount, released);
    }

    /// @inheritdoc IPayouts
    function claimFees(uint256 taskId, uint64[] calldata epochs) external returns (uint256 amount) {
        address verifier = STAKING.operatorOf(msg.sender);
        uint256 fee = REGISTRY.paramsOf(taskId).verifierFee;
        BitMaps.BitMap storage claimed = _feesClaimed[taskId][verifier];
        uint256 shares;
        for (uint256 i; i < epochs.length; ++i) {
            uint64 epoch = epochs[i];
            // One epoch a turn, as many as the caller hands in; so in `_feeOf`.
            // slither-disable-next-line calls-loop
            require(ATTESTATIONS.phaseOf(taskId, epoch) == EpochPhase.Final, NotFinal(taskId, epoch));
            require(!claimed.get(epoch), AlreadyClaimed(taskId, epoch, verifier));
            (uint256 share, uint256 earned, bool revealed) = _feeOf(taskId, epoch, verifier, fee);
            require(revealed, NotRevealed(taskId, epoch, verifier));

            claimed.set(epoch);
            shares += share;
            amount += earned;
            emit FeesClaimed(taskId, epoch, verifier, earned);
        }
        REGISTRY.pay(taskId, verifier, amount, shares);
    }

    /// @inheritdoc IPayouts
    function slashFraud(WorkRef calldata ref) external returns (uint256 amount) {
        (uint256 taskId, uint64 epoch, Work calldata work) = (ref.taskId, ref.epoch, ref.work);
        uint256[] memory places = new uint256[](1);
        places[0] = Works.place(epoch, work.index);
        uint8 score = uint8(ATTESTATIONS.finalScoresOf(taskId, places)[0]);
        // Not `require`, which would work out the error's values in every case.
        if (score <= Scores.FULL) revert NotFraud(taskId, epoch, work.index, score);
        bool isFound = score == Scores.FOUND_FRAUD;
        address reporter = isFound ? address(CHALLENGES) : msg.sender;
        uint128 toReporter;
        (amount, toReporter) = REGISTRY.settleFraud(taskId, epoch, work, reporter, REPORTER_BPS);
        emit FraudSlashed(taskId, epoch, work.trainer, work.index, amount, reporter, toReporter);
        if (isFound) CHALLENGES.reward(taskId, epoch, work.index, toReporter);
    }

    /// @inheritdoc IPayouts
    function feeOf(uint256 taskId, uint64 epoch, address verifier) external view returns (uint256 earned) {
        if (ATTESTATIONS.phaseOf(taskId, epoch) != EpochPhase.Final) return 0;
        if (_feesClaimed[taskId][verifier].get(epoch)) return 0;
        (, earned,) = _feeOf(taskId, epoch, verifier, REGISTRY.paramsOf(taskId).verifierFee);
    }

    /// The verifier's share of the fee, and what of it agreement with the outcome has earned.
    function _feeOf(uint256 taskId, uint64 epoch, address verifier, uint256 fee)
        private
        view
        returns (uint256 share, uint256 earned, bool revealed)
    {
        // slither-disable-next-line calls-loop
        (bytes32 reportHash, uint128 weight, uint16 differences, uint16 works, uint128 enlistedWeight) =
            ATTESTATIONS.attestationOf(taskId, epoch, verifier);
        if (reportHash == bytes32(0)) return (0, 0, false);
        share = Economics.feeShare(fee, weight, enlistedWeight);
        earned = share * (works - differences) / works; // no epoch is sealed without works
        revealed = true;
    }
}
