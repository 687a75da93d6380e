// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {IPayouts, WorkRef} from "./interfaces/IPayouts.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Scores} from "./libraries/Scores.sol";

/// @title Who gets what, once an epoch is final.
/// @dev Holds no money: it tells the registry whom to pay, and Staking whom to slash. Loops run over what callers hand in.
contract Payouts is IPayouts {
    using BitMaps for BitMaps.BitMap;

    error ReporterShareTooLarge(uint16 reporterBps, uint256 max);

    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    IAttestations public immutable ATTESTATIONS;
    /// @inheritdoc IPayouts
    uint16 public immutable REPORTER_BPS;

    mapping(uint256 taskId => mapping(address verifier => BitMaps.BitMap)) private _feesClaimed;

    /// @param reporterBps at most what the margin of `CheatingPays` leaves, because a cheat may report itself
    constructor(IStaking staking, ITaskRegistry registry, IAttestations attestations, uint16 reporterBps) {
        uint256 max = Economics.BPS - Economics.BPS * Economics.BPS / Economics.MARGIN_BPS - 1;
        require(reporterBps <= max, ReporterShareTooLarge(reporterBps, max));
        STAKING = staking;
        REGISTRY = registry;
        ATTESTATIONS = attestations;
        REPORTER_BPS = reporterBps;
    }

    /// @inheritdoc IPayouts
    function claim(WorkRef[] calldata works) external returns (uint256 amount) {
        require(works.length > 0, NoWorks());
        uint256 taskId = works[0].taskId;
        address trainer = works[0].work.trainer;
        uint256 unitPrice = REGISTRY.paramsOf(taskId).unitPrice;
        uint256 units;
        for (uint256 i; i < works.length; ++i) {
            WorkRef calldata ref = works[i];
            require(ref.taskId == taskId, MixedTasks(taskId, ref.taskId));
            require(ref.work.trainer == trainer, MixedTrainers(trainer, ref.work.trainer));
            uint8 score = _finalScore(ref);
            require(score != Scores.FRAUD, IsFraud(taskId, ref.epoch, ref.work.index));

            uint256 earned = Economics.payout(ref.work.units, unitPrice, score);
            units += ref.work.units;
            amount += earned;
            emit Claimed(taskId, ref.epoch, trainer, ref.work.index, earned);
            REGISTRY.settleWork(taskId, ref.epoch, ref.work); // reverts unless it is the work committed, and unclaimed
        }
        REGISTRY.pay(taskId, trainer, amount, units * unitPrice);
    }

    /// @inheritdoc IPayouts
    function claimFees(uint256 taskId, uint64[] calldata epochs) external returns (uint256 amount) {
        address verifier = STAKING.operatorOf(msg.sender);
        uint256 fee = REGISTRY.paramsOf(taskId).verifierFee;
        BitMaps.BitMap storage claimed = _feesClaimed[taskId][verifier];
        uint256 shares;
        for (uint256 i; i < epochs.length; ++i) {
            uint64 epoch = epochs[i];
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
        (uint256 taskId, address trainer) = (ref.taskId, ref.work.trainer);
        uint8 score = _finalScore(ref);
        require(score == Scores.FRAUD, NotFraud(taskId, ref.epoch, ref.work.index, score));
        REGISTRY.settleWork(taskId, ref.epoch, ref.work);

        // What was taken is known only after the call, which goes to contracts of this deployment and their token.
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        uint128 reporterAmount = uint128(uint256(params.fraudSlash) * REPORTER_BPS / Economics.BPS);
        (uint128 taken, uint128 toReporter) =
            STAKING.slash(trainer, Role.Trainer, params.fraudSlash, msg.sender, reporterAmount, address(REGISTRY));
        amount = taken;
        emit FraudSlashed(taskId, ref.epoch, trainer, ref.work.index, taken, msg.sender, toReporter);
        if (taken > toReporter) REGISTRY.credit(taskId, taken - toReporter);
        REGISTRY.pay(taskId, trainer, 0, uint256(ref.work.units) * params.unitPrice);
        if (REGISTRY.isEnlisted(taskId, trainer)) {
            (uint128 bonded,,,) = STAKING.bondOf(trainer, Role.Trainer);
            if (bonded < params.trainerBond) REGISTRY.delist(taskId, trainer);
        }
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
        (bytes32 reportHash, uint128 weight, uint16 differences, uint16 works, uint128 enlistedWeight) =
            ATTESTATIONS.attestationOf(taskId, epoch, verifier);
        if (reportHash == bytes32(0)) return (0, 0, false);
        share = Economics.feeShare(fee, weight, enlistedWeight);
        earned = share * (works - differences) / works; // no epoch is sealed without works
        revealed = true;
    }

    function _finalScore(WorkRef calldata ref) private view returns (uint8 score) {
        bool isFinal;
        (score, isFinal) = ATTESTATIONS.outcomeOf(ref.taskId, ref.epoch, ref.work.index);
        require(isFinal, NotFinal(ref.taskId, ref.epoch));
    }
}
