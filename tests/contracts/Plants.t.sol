// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {DisputePhase} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {ICommitments, Submission} from "../../contracts/interfaces/ICommitments.sol";
import {IPlants, PlantState} from "../../contracts/interfaces/IPlants.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Submissions} from "../../contracts/libraries/Submissions.sol";
import {Network} from "./Network.sol";

/// Every submission is drawn here, unless a test says otherwise. The first trainer's submission is the plant:
/// submission 0 of epoch 0.
contract PlantsTest is Network {
    bytes private constant PAID = hex"646464";
    bytes private constant FOUND = hex"ff6464";
    uint128 private constant DEPOSIT = 12 * UNIT; // a submission earns 10 at most

    address private immutable planter = vm.addr(77);

    // commitPlant

    function test_CommitPlant_TakesMoreThanASubmissionCanEarn() external {
        uint256 taskId = _open();
        vm.assertEq(plants.depositOf(taskId), DEPOSIT, "deposit");
        _fund(planter, address(plants), DEPOSIT);
        vm.expectEmit(address(plants));
        emit IPlants.PlantCommitted(taskId, _hash(taskId), planter, DEPOSIT);
        vm.prank(planter);
        plants.commitPlant(taskId, _hash(taskId));
        vm.assertEq(token.balanceOf(address(plants)), DEPOSIT, "held");
        _assertPlant(taskId, PlantState.Committed, 0);
    }

    function test_CommitPlant_OfTheDearestKind_TakesThatDeposit() external {
        TaskParams memory params = _terms();
        params.kinds[2].unitPrice = 2 * UNIT + 1;
        params.kinds[2].detectionBps = 10_000;
        vm.assertEq(plants.depositOf(_openTask(params, 1000 * UNIT)), 24 * UNIT + 12, "ten units of it, and a fifth");
    }

    function test_CommitPlant_OfAnUnknownTask_Reverts() external {
        vm.expectRevert();
        plants.commitPlant(7, keccak256("x"));
    }

    function test_CommitPlant_Empty_Reverts() external {
        uint256 taskId = _open();
        vm.expectRevert(IPlants.EmptyCommitment.selector);
        plants.commitPlant(taskId, 0);
    }

    /// Nobody could open it before somebody slashes it, nor object to what a quorum says of it.
    function test_CommitPlant_InATaskWithoutChallenges_Reverts() external {
        TaskParams memory params = _terms();
        params.challengeWindow = 0;
        uint256 taskId = _openTask(params, 1000 * UNIT);
        _fund(planter, address(plants), DEPOSIT);
        vm.prank(planter);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NoChallengeWindow.selector, taskId));
        plants.commitPlant(taskId, _hash(taskId));
    }

    function test_CommitPlant_Copied_Reverts() external {
        uint256 taskId = _open();
        _plant(taskId);
        _fund(outsider, address(plants), DEPOSIT);
        vm.prank(outsider);
        vm.expectRevert(_wrongPlant(taskId, PlantState.Committed));
        plants.commitPlant(taskId, _hash(taskId));
    }

    function test_CommitPlant_WithoutTheDeposit_Reverts() external {
        uint256 taskId = _open();
        vm.prank(planter);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(plants), 0, DEPOSIT)
        );
        plants.commitPlant(taskId, _hash(taskId));
    }

    /// By then judges may have seen the submissions: anyone who has been looked at cannot say any more that it had
    /// meant to be.
    function test_CommitPlant_OnceTheEpochIsClosed_CoversTheNext() external {
        uint256 taskId = _staff(_open());
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        _plant(taskId);
        _assertPlant(taskId, PlantState.Committed, 1);
        attestations.sealEpoch(taskId);
        _attest(taskId, 0, FOUND);
        _settle(taskId, 0, FOUND);
        vm.prank(trainer);
        vm.expectRevert(
            abi.encodeWithSelector(IPlants.PlantOfAnotherEpoch.selector, taskId, _hash(taskId), uint64(1), uint64(0))
        );
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
    }

    // openPlant

    function test_OpenPlant_OnceItsEpochIsSettled_IsNeitherPaidNorSlashed() external {
        uint256 taskId = _settled(FOUND);
        (uint256 before, uint256 reserved) = _money(taskId);
        vm.expectEmit(address(plants));
        emit IPlants.PlantOpened(taskId, 0, 0, _hash(taskId), true);
        _openIt(taskId);
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "its deposit is back");
        (uint256 budget, uint256 left) = _money(taskId);
        vm.assertTrue(budget == before + 10 * UNIT && left == reserved - 10 * UNIT, "its money is the budget's again");
        vm.assertEq(
            commitments.submissionHash(taskId, 0, 0),
            Submissions.plantHash(Submissions.hash(_submission(trainer, 0))),
            "known as a plant"
        );
        (, uint32 inFlight) = commitments.collateralOf(taskId, trainer);
        vm.assertEq(inFlight, 0, "answers for nothing");
        _wait(100);
        attestations.finalise(taskId, 0);
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(_bonded(trainer, Role.Trainer), 60 * UNIT, "its bond is whole");
        vm.assertTrue(commitments.isEnlisted(taskId, trainer), "still a trainer");
        _assertPlant(taskId, PlantState.Opened, 0);
    }

    function test_OpenPlant_ByTheWorkerKey_PaysThePlanter() external {
        uint256 taskId = _settled(FOUND);
        address worker = _nameWorker(trainer, 50);
        vm.prank(worker);
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "to who paid it");
    }

    /// The root of a submission is public while its epoch is open: anyone who would not have it paid commits to it as a
    /// plant.
    function test_OpenPlant_OfSubmissionOfAnother_Reverts() external {
        uint256 taskId = _staff(_open());
        _commit(taskId, secondTrainer);
        _fund(initiator, address(plants), DEPOSIT);
        vm.prank(initiator);
        plants.commitPlant(taskId, keccak256(abi.encode(taskId, secondTrainer, ROOT, SALT)));
        _commit(taskId, trainer);
        _commit(taskId, thirdTrainer);
        attestations.sealEpoch(taskId);
        _attest(taskId, 0, PAID);
        _settle(taskId, 0, PAID);
        address[3] memory others = [initiator, trainer, verifier];
        for (uint256 i; i < 3; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IPlants.NotTheTrainer.selector, others[i], secondTrainer));
            plants.openPlant(taskId, 0, _submission(secondTrainer, 0), SALT);
        }
        _finalise(taskId, 0);
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 0)));
        vm.assertEq(token.balanceOf(secondTrainer), 10 * UNIT, "its submission is paid");
    }

    function test_OpenPlant_Twice_Reverts() external {
        uint256 taskId = _settled(FOUND);
        _openIt(taskId);
        vm.prank(trainer);
        vm.expectRevert(_wrongPlant(taskId, PlantState.Opened));
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
    }

    function test_OpenPlant_OfASubmissionThatAnotherPlantHasOpened_Reverts() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _fund(planter, address(plants), DEPOSIT);
        vm.prank(planter);
        plants.commitPlant(taskId, keccak256(abi.encode(taskId, trainer, ROOT, bytes32("other"))));
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, FOUND);
        _settle(taskId, 0, FOUND);
        _openIt(taskId);
        vm.prank(trainer);
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        plants.openPlant(taskId, 0, _submission(trainer, 0), bytes32("other"));
    }

    function test_OpenPlant_ForAnotherSubmission_Reverts() external {
        uint256 taskId = _settled(FOUND);
        Submission memory other = _submission(trainer, 0);
        other.manifestRoot = keccak256("other");
        bytes32 commitment = keccak256(abi.encode(taskId, trainer, other.manifestRoot, SALT));
        vm.startPrank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IPlants.WrongPlant.selector, taskId, commitment, PlantState.None));
        plants.openPlant(taskId, 0, other, SALT); // no plant of this root
        other = _submission(trainer, 0);
        other.index = 1;
        vm.expectRevert(_wrongSubmission(taskId, 0, 1));
        plants.openPlant(taskId, 0, other, SALT); // another's place
        other = _submission(trainer, 0);
        other.units = 9;
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        plants.openPlant(taskId, 0, other, SALT); // not as it was committed
        vm.stopPrank();
    }

    function test_OpenPlant_WithoutItsSalt_Reverts() external {
        uint256 taskId = _settled(FOUND);
        bytes32 commitment = keccak256(abi.encode(taskId, trainer, ROOT, bytes32("guess")));
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IPlants.WrongPlant.selector, taskId, commitment, PlantState.None));
        plants.openPlant(taskId, 0, _submission(trainer, 0), bytes32("guess"));
    }

    function test_OpenPlant_BeforeItsEpochIsSettled_Reverts() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        bytes memory early = abi.encodeWithSelector(IPlants.NotSettled.selector, taskId, 0);
        vm.startPrank(trainer);
        vm.expectRevert(early);
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
        vm.stopPrank();
        _commitAllAndSeal(taskId);
        vm.prank(trainer);
        vm.expectRevert(early);
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
        _attest(taskId, 0, FOUND);
        attestations.settle(taskId, 0, _list(FOUND), 2); // one score is missing
        vm.prank(trainer);
        vm.expectRevert(early);
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
    }

    function test_OpenPlant_OnceItIsSlashed_Reverts() external {
        uint256 taskId = _settled(FOUND);
        _finalise(taskId, 0);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.prank(trainer);
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
    }

    function test_OpenPlant_OnceItIsPaid_Reverts() external {
        uint256 taskId = _settled(PAID);
        _finalise(taskId, 0);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.prank(trainer);
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
    }

    function test_OpenPlant_OfAVoidEpoch_GivesTheDepositBackAndFreesNothingTwice() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _commitAllAndSeal(taskId);
        _wait(100);
        attestations.voidEpoch(taskId, 0);
        (uint256 before, uint256 reserved) = _money(taskId);
        _openIt(taskId);
        (uint256 budget, uint256 left) = _money(taskId);
        vm.assertTrue(budget == before && left == reserved, "nothing is reserved for it any more");
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "back");
        (, uint32 inFlight) = commitments.collateralOf(taskId, trainer);
        vm.assertEq(inFlight, 0, "released");
    }

    /// A panel has looked where nobody had: who found it is paid of its slash, and no plant takes that back.
    function test_OpenPlant_OnceAPanelHasCalledItFraud_Reverts() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _seatJurors(20);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, PAID);
        _settle(taskId, 0, PAID);
        _appealTo(taskId, 255, false);
        for (uint256 i; i < 2; ++i) {
            if (i == 1) attestations.finalise(taskId, 0);
            vm.prank(trainer);
            vm.expectRevert(abi.encodeWithSelector(IPlants.FoundByAppeal.selector, taskId, 0, 0));
            plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
        }
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(_bonded(trainer, Role.Trainer), 10 * UNIT, "slashed like any other");
    }

    /// Who has put down a bond against a paid fraud is not robbed of what it finds by its author's opening it then.
    function test_OpenPlant_WhileItIsDisputed_Reverts() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _seatJurors(20);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, PAID);
        _settle(taskId, 0, PAID);
        _challenge(taskId, 0, 0, 255);
        bytes memory refusal = abi.encodeWithSelector(IPlants.StillDisputed.selector, taskId, 0, 0);
        vm.prank(trainer);
        vm.expectRevert(refusal);
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
        _draw(taskId, 0, trainer, 0);
        vm.prank(trainer);
        vm.expectRevert(refusal);
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
    }

    /// A panel that calls it worth something else takes no plant's place.
    function test_OpenPlant_OnceAPanelHasGivenItAnotherScore_Works() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _seatJurors(20);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, PAID);
        _settle(taskId, 0, PAID);
        _appealTo(taskId, 50, false);
        _openIt(taskId);
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "back");
    }

    // refundPlant

    /// Void and claimed in one transaction: `openPlant` finds no submission any more.
    function test_RefundPlant_OfAVoidEpochWhoseSubmissionIsClaimed_GivesTheDepositBack() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _commitAllAndSeal(taskId);
        _wait(100);
        attestations.voidEpoch(taskId, 0);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        (uint256 before, uint256 reserved) = _money(taskId);
        vm.expectEmit(address(plants));
        emit IPlants.PlantRefunded(taskId, _hash(taskId));
        _refundIt(taskId, outsider);
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "to who paid it");
        vm.assertEq(token.balanceOf(outsider), 0, "who calls only calls");
        (uint256 budget, uint256 left) = _money(taskId);
        vm.assertTrue(budget == before && left == reserved, "no money of the task");
        vm.expectRevert(_wrongPlant(taskId, PlantState.Opened));
        _refundIt(taskId, planter);
    }

    /// Its epoch was closed, or full, in front of the submission.
    function test_RefundPlant_WhereTheSubmissionCameTooLate_GivesTheDepositBack() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _commit(taskId, secondTrainer);
        _wait(100);
        commitments.closeEpoch(taskId);
        _refundIt(taskId, outsider);
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "back");
    }

    function test_RefundPlant_OfAnEpochThatNeverComes_GivesTheDepositBack() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        vm.prank(initiator);
        registry.closeTask(taskId);
        _wait(100);
        commitments.abandonEpoch(taskId);
        _refundIt(taskId, outsider);
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "back");
    }

    /// What it guards may be paid: the deposit stays, whichever phase the epoch is in.
    function test_RefundPlant_OfACommittedSubmission_Reverts() external {
        for (uint16 each = 1; each < 3; ++each) {
            TaskParams memory params = _terms();
            params.maxSubmissionsEach = each;
            uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
            _plant(taskId);
            _commit(taskId, trainer);
            _closeAndSeal(taskId);
            _assertHeld(taskId);
            _attest(taskId, 0, hex"64");
            _assertHeld(taskId);
            _settle(taskId, 0, hex"64");
            _assertHeld(taskId);
            _finalise(taskId, 0);
            _assertHeld(taskId);
            payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
            _assertHeld(taskId);
        }
    }

    /// Where a trainer has one submission in an epoch nobody keeps the roots: the next submission may have been it.
    function test_RefundPlant_OnceTheTrainerHasCommittedLater_DependsOnWhatIsKept() external {
        for (uint16 each = 1; each < 3; ++each) {
            TaskParams memory params = _terms();
            params.maxSubmissionsEach = each;
            uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
            _plant(taskId);
            _commit(taskId, secondTrainer);
            _closeAndSeal(taskId);
            _commit(taskId, trainer);
            if (each == 1) _assertHeld(taskId);
            else _refundIt(taskId, outsider);
        }
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "of one of them");
    }

    /// The submission may come after all: then it is a fraud like any other.
    function test_RefundPlant_BeforeItsSubmissionComes_GuardsNothingAnyMore() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _refundIt(taskId, planter);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, FOUND);
        _settle(taskId, 0, FOUND);
        vm.prank(trainer);
        vm.expectRevert(_wrongPlant(taskId, PlantState.Opened));
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
        _finalise(taskId, 0);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(_bonded(trainer, Role.Trainer), 10 * UNIT, "slashed");
    }

    function test_RefundPlant_OfWhatNobodyHasCommittedTo_Reverts() external {
        uint256 taskId = _staff(_open());
        vm.expectRevert(_wrongPlant(taskId, PlantState.None));
        _refundIt(taskId, outsider);
        _plant(taskId);
        vm.prank(initiator);
        registry.closeTask(taskId);
        _wait(2 * UNBONDING);
        commitments.abandonEpoch(taskId);
        plants.forfeitPlant(taskId, _hash(taskId));
        vm.expectRevert(_wrongPlant(taskId, PlantState.Forfeited));
        _refundIt(taskId, planter);
    }

    // forfeitPlant

    function test_ForfeitPlant_OnceNobodyHasOpenedItForLong_BurnsItsDeposit() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        uint256 from = _now() + 2 * UNBONDING;
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, FOUND);
        _settle(taskId, 0, FOUND);
        _finalise(taskId, 0);
        _wait(from - _now() - 1);
        vm.expectRevert(abi.encodeWithSelector(IPlants.StillOpenable.selector, taskId, _hash(taskId), from));
        plants.forfeitPlant(taskId, _hash(taskId));
        _wait(1);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        vm.expectEmit(address(plants));
        emit IPlants.PlantForfeited(taskId, _hash(taskId), DEPOSIT);
        vm.prank(outsider);
        plants.forfeitPlant(taskId, _hash(taskId));
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + DEPOSIT, "burnt");
        vm.assertEq(token.balanceOf(address(plants)), 0, "nothing stays behind");
        vm.expectRevert(_wrongPlant(taskId, PlantState.Forfeited));
        plants.forfeitPlant(taskId, _hash(taskId));
    }

    /// Its epoch waited for a submission for longer than a deposit lies there. Who forfeits it then has its trainer
    /// slashed.
    function test_ForfeitPlant_BeforeItsEpochIsOver_Reverts() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        uint256 from = _now() + 2 * UNBONDING;
        _wait(2 * UNBONDING);
        bytes memory refusal = abi.encodeWithSelector(IPlants.StillOpenable.selector, taskId, _hash(taskId), from);
        vm.expectRevert(refusal);
        plants.forfeitPlant(taskId, _hash(taskId));
        _commitAllAndSeal(taskId);
        vm.expectRevert(refusal);
        plants.forfeitPlant(taskId, _hash(taskId));
        _attest(taskId, 0, FOUND);
        _settle(taskId, 0, FOUND);
        vm.expectRevert(refusal);
        plants.forfeitPlant(taskId, _hash(taskId));
        _openIt(taskId);
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "back");
    }

    function test_ForfeitPlant_OfOneThatIsOpened_Reverts() external {
        uint256 taskId = _settled(FOUND);
        _openIt(taskId);
        _wait(2 * UNBONDING);
        vm.expectRevert(_wrongPlant(taskId, PlantState.Opened));
        plants.forfeitPlant(taskId, _hash(taskId));
    }

    function test_ForfeitPlant_OfOneThatIsForfeited_CannotBeOpened() external {
        uint256 taskId = _settled(FOUND);
        _finalise(taskId, 0);
        _wait(2 * UNBONDING);
        plants.forfeitPlant(taskId, _hash(taskId));
        vm.prank(trainer);
        vm.expectRevert(_wrongPlant(taskId, PlantState.Forfeited));
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
    }

    // slashPaidPlant

    function test_SlashPaidPlant_TakesOfTheWeightAndRewardsThePlanter() external {
        uint256 taskId = _foundOut(_terms());
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        vm.expectEmit(address(plants));
        emit IPlants.PaidPlantSlashed(taskId, 0, 0, thirdVerifier, 50 * UNIT, 10 * UNIT);
        vm.prank(outsider);
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 50 * UNIT, "half of its weight");
        vm.assertEq(token.balanceOf(planter), DEPOSIT + 10 * UNIT, "ten challenge bonds at most");
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 40 * UNIT, "the rest is burnt");
        vm.assertEq(token.balanceOf(outsider), 0, "who calls only calls");
        vm.expectRevert(abi.encodeWithSelector(IPlants.AlreadySlashed.selector, taskId, 0, 0, thirdVerifier));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
    }

    /// However much is taken, and whatever the bond of a challenge: no more than half of it, and no more than ten
    /// bonds.
    function testFuzz_SlashPaidPlant_GivesThePlanterHalfAtMostAndTenBondsAtMost(uint16 bps, uint96 bond) external {
        TaskParams memory params = _terms();
        params.verdictSlashBps = uint16(_bound(bps, 1, 10_000));
        uint256 slash = uint256(100 * UNIT) * params.verdictSlashBps / 10_000;
        (params.challengeBond, params.jurorFee) = (uint128(_bound(bond, 1, slash)), 0);
        uint256 taskId = _foundOut(params);
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        uint256 taken = 100 * UNIT - _bonded(thirdVerifier, Role.Verifier);
        uint256 won = token.balanceOf(planter) - DEPOSIT;
        vm.assertEq(taken, uint256(100 * UNIT) * params.verdictSlashBps / 10_000, "its share");
        vm.assertLe(won, taken / 2, "half");
        vm.assertLe(won, 10 * uint256(params.challengeBond), "ten bonds");
        vm.assertTrue(won == taken / 2 || won == 10 * uint256(params.challengeBond), "and no less than one of both");
    }

    function test_SlashPaidPlant_OfOneThatIsNotOpened_Reverts() external {
        uint256 taskId = _split(_terms());
        _finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NotAPlant.selector, taskId, 0, 0));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
    }

    /// Who is blamed has as long as the planter had to object.
    function test_SlashPaidPlant_OfOneOpenedInTheFirstHalfOfTheWindow_Works() external {
        uint256 taskId = _split(_terms());
        _wait(49);
        _openIt(taskId);
        _wait(51);
        attestations.finalise(taskId, 0);
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 50 * UNIT, "half of its weight");
    }

    /// A quorum calls a good submission fraud, and its author opens it in the last block in which somebody could
    /// object.
    function testFuzz_SlashPaidPlant_OfOneOpenedInTheSecondHalfOfTheWindow_Reverts(uint32 window, uint32 late)
        external
    {
        TaskParams memory params = _terms();
        params.challengeWindow = uint32(_bound(window, 2 * MIN_WINDOW, 300));
        uint256 taskId = _split(params);
        late = uint32(_bound(late, 0, params.challengeWindow / 2 - 1));
        _wait(params.challengeWindow - params.challengeWindow / 2 + late);
        _openIt(taskId);
        _wait(params.challengeWindow);
        attestations.finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NotAPlant.selector, taskId, 0, 0));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 100 * UNIT, "whole");
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "its deposit is back, and nothing is won");
    }

    /// Guilty verifiers that are blamed for plants of their own before others slash them save no more than one of them
    /// would.
    function test_SlashPaidPlant_OfSeveralWhoPaidIt_RewardsThePlanterWithTenBondsInAll() external {
        uint256 taskId = _paidByTwo();
        plants.slashPaidPlant(taskId, 0, 0, verifier, PAID);
        vm.assertEq(token.balanceOf(planter), DEPOSIT + 10 * UNIT, "ten bonds");
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        vm.expectEmit(address(plants));
        emit IPlants.PaidPlantSlashed(taskId, 0, 0, secondVerifier, 50 * UNIT, 0);
        plants.slashPaidPlant(taskId, 0, 0, secondVerifier, PAID);
        vm.assertEq(token.balanceOf(planter), DEPOSIT + 10 * UNIT, "and no more");
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 50 * UNIT, "all of it is burnt");
    }

    /// Its deposit comes back, and it is not slashed; but nobody could object any more, so nobody is blamed.
    function test_SlashPaidPlant_OfOneOpenedAfterTheChallengeWindow_Reverts() external {
        for (uint256 i; i < 2; ++i) {
            uint256 taskId = _split(_terms());
            _wait(100);
            if (i == 1) attestations.finalise(taskId, 0);
            uint256 before = token.balanceOf(planter);
            vm.expectEmit(address(plants));
            emit IPlants.PlantOpened(taskId, 0, 0, _hash(taskId), false);
            _openIt(taskId);
            vm.assertEq(token.balanceOf(planter), before + DEPOSIT, "its deposit is back");
            if (i == 0) attestations.finalise(taskId, 0);
            vm.expectRevert(abi.encodeWithSelector(IPlants.NotAPlant.selector, taskId, 0, 0));
            plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
            vm.expectRevert(_wrongSubmission(taskId, 0, 0));
            payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        }
    }

    /// Who paid it has objected, and nobody sat in the class to judge: who is right nobody knows.
    function test_SlashPaidPlant_WhereADisputeIsUndecided_Reverts() external {
        uint256 taskId = _split(_terms());
        _openIt(taskId);
        _leaveUndecided(taskId);
        vm.expectRevert(abi.encodeWithSelector(IPlants.LeftUndecided.selector, taskId, 0, 0));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 100 * UNIT, "whole");
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "nothing is won");
    }

    /// A quorum lies where nobody was told to look, calls that fraud, and opens it. Who looked only where it was told
    /// objects; the panel upholds the fraud, and says that what was drawn does not show it: it blames nobody.
    function test_SlashPaidPlant_WhereAnObjectionIsUpheldBeyondWhatWasDrawn_Reverts() external {
        _seatJurors(20);
        uint256 taskId = _objected();
        _appeal(taskId, 0, 0, 20, 255, true);
        _assertPhase(taskId, 0, 0, DisputePhase.Upheld);
        _assertNotBlamed(taskId);
    }

    /// What upholds a score, more than half of the votes, does not blame who has objected to it: that takes ten of 15
    /// seats.
    function testFuzz_SlashPaidPlant_OfOneWhoObjected_TakesTenSeats(uint8 bad, uint8 good) external {
        (bad, good) = (uint8(_bound(bad, 5, 15)), uint8(_bound(good, 0, 7)));
        if (bad + good > 15) good = 15 - bad;
        if (bad + good < 8 || bad <= good) return; // nothing is upheld
        _seatJurors(15);
        uint256 taskId = _objected();
        for (uint256 i; i < bad + good; ++i) {
            _commitVote(taskId, 0, 0, _juror(i), i < bad ? 255 : 100, false);
        }
        if (bad + good < 15) _wait(100);
        for (uint256 i; i < bad + good; ++i) {
            _revealVote(taskId, 0, 0, _juror(i), i < bad ? 255 : 100, false);
        }
        appeals.decide(taskId, 0, 0);
        _assertPhase(taskId, 0, 0, DisputePhase.Upheld);
        if (bad < 10) return _assertNotBlamed(taskId);
        attestations.finalise(taskId, 0);
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 50 * UNIT, "half of its weight");
    }

    /// A quorum calls the honest, drawn submission of its own trainer fraud. Opened when nobody can object any more, it
    /// would be half of what who judged it rightly has put up; opened before, it objects.
    function test_SlashPaidPlant_ByAQuorumAndItsTrainer_TakesNothingFromWhoJudgedRightly() external {
        uint256 taskId = _split(_terms());
        _leaveUndecided(taskId);
        _openIt(taskId);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NotAPlant.selector, taskId, 0, 0));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 100 * UNIT, "whole");
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "nothing is won");
    }

    function test_SlashPaidPlant_BeforeTheEpochIsFinal_Reverts() external {
        uint256 taskId = _split(_terms());
        _openIt(taskId);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NotSettled.selector, taskId, 0));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
    }

    function test_SlashPaidPlant_OfAVoidEpoch_Reverts() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _commitAllAndSeal(taskId);
        _commitReport(taskId, 0, thirdVerifier, PAID);
        _wait(100);
        _reveal(taskId, 0, thirdVerifier, PAID);
        attestations.voidEpoch(taskId, 0);
        _openIt(taskId);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NotAPlant.selector, taskId, 0, 0));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
    }

    /// Only a fraud that the seed had drawn for replay can be held against who paid it.
    function test_SlashPaidPlant_OfOneThatWasNotDrawn_Reverts() external {
        TaskParams memory params = _terms();
        params.samplingBps = 2000;
        uint256 taskId;
        do {
            taskId = _split(params); // another task, another seed
        } while (plants.isDrawn(taskId, 0, 0));
        _openIt(taskId);
        _finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NotDrawn.selector, taskId, 0, 0));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
    }

    function test_SlashPaidPlant_OfOneWhoDidNotPay_Reverts() external {
        uint256 taskId = _foundOut(_terms());
        vm.expectRevert(abi.encodeWithSelector(IPlants.DidNotPay.selector, taskId, 0, 0, verifier));
        plants.slashPaidPlant(taskId, 0, 0, verifier, FOUND);
    }

    function test_SlashPaidPlant_OfOneWhoGaveNothingOrSawNothing_Reverts() external {
        uint8[2] memory scores = [uint8(0), 254];
        for (uint256 i; i < 2; ++i) {
            bytes memory other = abi.encodePacked(scores[i], hex"6464");
            uint256 taskId = _splitWith(_terms(), other);
            _openIt(taskId);
            _finalise(taskId, 0);
            vm.expectRevert(abi.encodeWithSelector(IPlants.DidNotPay.selector, taskId, 0, 0, thirdVerifier));
            plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, other);
        }
    }

    function test_SlashPaidPlant_WithAnotherReport_Reverts() external {
        uint256 taskId = _foundOut(_terms());
        bytes31 revealed = bytes31(keccak256(FOUND));
        bytes memory refused = abi.encodeWithSelector(IPlants.WrongReport.selector, bytes31(keccak256(PAID)), revealed);
        vm.expectRevert(refused);
        plants.slashPaidPlant(taskId, 0, 0, verifier, PAID);
        refused = abi.encodeWithSelector(IPlants.WrongReport.selector, bytes31(keccak256(PAID)), bytes31(0));
        vm.expectRevert(refused);
        plants.slashPaidPlant(taskId, 0, 0, outsider, PAID); // who judged nothing
    }

    /// Its author says that it is a fraud. Who has judged it by what it is loses nothing.
    function test_SlashPaidPlant_OfAValidSubmission_Reverts() external {
        uint256 taskId = _settled(PAID);
        _openIt(taskId);
        _finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NotFoundOut.selector, taskId, 0, 0, 100));
        plants.slashPaidPlant(taskId, 0, 0, verifier, PAID);
    }

    /// A quorum that is in league with the planter calls a valid submission fraud, to slash the one who judged it
    /// rightly: it appeals, and wins what they lose.
    function test_SlashPaidPlant_OfAValidSubmission_ThatAQuorumCallsFraud_IsUndoneByAnAppeal() external {
        uint256 taskId = _split(_terms());
        _openIt(taskId);
        _seatJurors(20);
        _appealTo(taskId, 100, false);
        attestations.finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPlants.NotFoundOut.selector, taskId, 0, 0, 100));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        appeals.slashVerdict(taskId, 0, 0, verifier, FOUND);
        vm.assertEq(_bonded(verifier, Role.Verifier), 50 * UNIT, "who called it fraud pays");
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 100 * UNIT, "who did not, does not");
    }

    /// The trap: what the seed had drawn of the submission is honest, and something else of it is not. A friend
    /// appeals, the panel says what it sees. Who judged by what was drawn is blamed neither there nor here.
    function test_SlashPaidPlant_WhereOnlyAnAppealLookedFurther_Reverts() external {
        uint256 taskId = _staff(_open());
        _plant(taskId);
        _seatJurors(20);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, PAID);
        _settle(taskId, 0, PAID);
        _openIt(taskId);
        _appealTo(taskId, 255, true);
        attestations.finalise(taskId, 0);
        vm.assertTrue(plants.isDrawn(taskId, 0, 0), "drawn");
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 255, "fraud");
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IPlants.FoundByAppeal.selector, taskId, 0, 0));
            plants.slashPaidPlant(taskId, 0, 0, all[i], PAID);
            vm.assertEq(_bonded(all[i], Role.Verifier), 100 * UNIT, "nobody pays");
        }
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "nothing is won");
    }

    function test_SlashPaidPlant_OnceTheBondIsReleased_TakesNothing() external {
        uint256 taskId = _foundOut(_terms());
        vm.prank(thirdVerifier);
        verifiers.delist(taskId);
        _wait(UNBONDING);
        verifiers.releaseBond(taskId, thirdVerifier);
        vm.expectEmit(address(plants));
        emit IPlants.PaidPlantSlashed(taskId, 0, 0, thirdVerifier, 0, 0);
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 100 * UNIT, "whole");
    }

    function test_IsDrawn_FollowsFromSeedAndIndexAlone() external {
        TaskParams memory params = _terms();
        params.samplingBps = 2000;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        bytes32 seed = attestations.seedOf(taskId, 0);
        uint256 drawn;
        for (uint16 i; i < 500; ++i) {
            bytes memory number = i < 10
                ? abi.encodePacked(uint8(48 + i))
                : i < 100 ? abi.encodePacked(uint8(48 + i / 10), uint8(48 + i % 10)) : _digits(i);
            bytes memory text = abi.encodePacked(seed, uint32(6), "replay", uint32(number.length), number);
            vm.assertTrue(plants.isDrawn(taskId, 0, i) == (uint256(sha256(text)) % 10_000 < 2000), "as written down");
            if (plants.isDrawn(taskId, 0, i)) ++drawn;
        }
        vm.assertTrue(drawn > 60 && drawn < 140, "one of five");
    }

    // nothing to be gained

    /// A cheat commits to its own frauds as plants, to open the one that is found. Whatever becomes of the submission,
    /// and whatever it does then: the submission of that epoch earns it nothing, and a fraud of any other epoch costs
    /// what it costs.
    function testFuzz_Hedge_NeverProfits(uint8[3] memory scores, uint8 opens, uint8 refunds, bool claimsFirst)
        external
    {
        uint256 taskId = _staff(_open());
        _bond(trainer, Role.Trainer, 200 * UNIT);
        _bond(secondTrainer, Role.Trainer, 200 * UNIT);
        _bond(thirdTrainer, Role.Trainer, 200 * UNIT);
        uint256 rich = _bonded(trainer, Role.Trainer) + DEPOSIT;
        _plant(taskId);
        int256 allowed;
        for (uint64 epoch; epoch < 3; ++epoch) {
            uint8 score = scores[epoch] % 4 == 0 ? 255 : scores[epoch] % 4 == 1 ? 254 : scores[epoch] % 101;
            bool isOpening = opens & (1 << epoch) != 0;
            allowed += _cheat(taskId, epoch, score, isOpening, refunds >> 2 * epoch, claimsFirst);
        }
        _wait(2 * UNBONDING);
        try plants.forfeitPlant(taskId, _hash(taskId)) {} catch {}
        uint256 left = token.balanceOf(trainer) + token.balanceOf(planter) + _bonded(trainer, Role.Trainer);
        vm.assertLe(left, uint256(int256(rich) + allowed), "the plant has earned something");
        vm.assertEq(token.balanceOf(address(plants)), 0, "no deposit stays behind");
    }

    /// Plays an epoch with the same submission as in those before; tells what an epoch without plants would have
    /// brought, and 0 for the one that the plant covers.
    function _cheat(uint256 taskId, uint64 epoch, uint8 score, bool opens, uint8 refunds, bool claimsFirst)
        private
        returns (int256)
    {
        if (!commitments.isEnlisted(taskId, trainer)) {
            bytes32 termsHash = _termsHash(taskId);
            vm.prank(trainer);
            commitments.enlist(taskId, termsHash);
        }
        _commitAllAndSeal(taskId);
        bytes memory report = abi.encodePacked(score, hex"6464");
        _attest(taskId, epoch, report);
        _settle(taskId, epoch, report);
        if (refunds & 1 != 0) _tryToRefund(taskId);
        if (opens && !claimsFirst) _tryToOpen(taskId, epoch);
        _finalise(taskId, epoch);
        if (opens && epoch == 2) _tryToOpen(taskId, 0); // late
        if (score == 255) {
            try payouts.slashFraud(_ref(taskId, epoch, trainer, 0)) {} catch {}
        } else {
            try payouts.claim(_refs(_ref(taskId, epoch, trainer, 0))) {} catch {}
        }
        if (opens) _tryToOpen(taskId, epoch);
        if (refunds & 2 != 0) _tryToRefund(taskId);
        if (epoch == 0) return 0;
        if (score == 255) return -int256(uint256(50 * UNIT));
        return score <= 100 ? int256(uint256(10 * UNIT)) * int256(uint256(score)) / 100 : int256(0);
    }

    function _tryToRefund(uint256 taskId) private {
        try plants.refundPlant(taskId, trainer, ROOT, SALT) {} catch {}
    }

    function _tryToOpen(uint256 taskId, uint64 epoch) private {
        vm.prank(trainer);
        try plants.openPlant(taskId, epoch, _submission(trainer, 0), SALT) {} catch {}
    }

    /// The deposits of all who have committed, and nothing else, lie here; each comes back to who has paid it.
    function testFuzz_Deposits_AreCoveredAndComeBack(uint8 count, uint256 dice) external {
        uint256 taskId = _staff(_open());
        count = uint8(_bound(count, 1, 6));
        for (uint256 i; i < count; ++i) {
            address payer = vm.addr(700 + i);
            _fund(payer, address(plants), DEPOSIT);
            bytes32 root = i == 0 ? ROOT : bytes32(0);
            bytes32 commitment = keccak256(abi.encode(taskId, i == 0 ? trainer : address(0), root, bytes32(i)));
            vm.prank(payer);
            plants.commitPlant(taskId, commitment);
        }
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, FOUND);
        _settle(taskId, 0, FOUND);
        uint256 left = count;
        for (uint256 i; i < count; ++i) {
            uint256 next = (dice % count + i) % count;
            if (next == 0) {
                vm.prank(trainer);
                plants.openPlant(taskId, 0, _submission(trainer, 0), bytes32(0));
            } else {
                plants.refundPlant(taskId, address(0), bytes32(0), bytes32(next));
            }
            --left;
            vm.assertEq(token.balanceOf(vm.addr(700 + next)), DEPOSIT, "back");
            vm.assertEq(token.balanceOf(address(plants)), left * DEPOSIT, "covered");
        }
    }

    function _terms() private pure returns (TaskParams memory params) {
        params = _params();
        params.samplingBps = 10_000;
    }

    function _open() private returns (uint256) {
        return _openTask(_terms(), 1000 * UNIT);
    }

    function _hash(uint256 taskId) private view returns (bytes32) {
        return keccak256(abi.encode(taskId, trainer, ROOT, SALT));
    }

    function _plant(uint256 taskId) private {
        _fund(planter, address(plants), DEPOSIT);
        vm.prank(planter);
        plants.commitPlant(taskId, _hash(taskId));
    }

    function _refundIt(uint256 taskId, address by) private {
        vm.prank(by);
        plants.refundPlant(taskId, trainer, ROOT, SALT);
    }

    function _assertHeld(uint256 taskId) private {
        uint256 held = token.balanceOf(address(plants));
        vm.expectRevert(abi.encodeWithSelector(IPlants.MayBeCommitted.selector, taskId, uint64(0), trainer, ROOT));
        _refundIt(taskId, planter);
        vm.assertEq(token.balanceOf(address(plants)), held, "the deposit stays");
    }

    function _closeAndSeal(uint256 taskId) private {
        _wait(100);
        commitments.closeEpoch(taskId);
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
    }

    /// A heavy verifier and the third have found the plant, the others have paid it.
    function _paidByTwo() private returns (uint256 taskId) {
        address heavy = vm.addr(900);
        taskId = _staff(_open());
        _bond(heavy, Role.Verifier, 600 * UNIT);
        _enlistVerifier(taskId, heavy, 600 * UNIT);
        _plant(taskId);
        _commitAllAndSeal(taskId);
        address[4] memory all = [verifier, secondVerifier, thirdVerifier, heavy];
        for (uint256 i; i < 4; ++i) {
            _commitReport(taskId, 0, all[i], i < 2 ? PAID : FOUND);
        }
        for (uint256 i; i < 4; ++i) {
            _reveal(taskId, 0, all[i], i < 2 ? PAID : FOUND);
        }
        _settle(taskId, 0, _sorted(FOUND, PAID));
        _openIt(taskId);
        _finalise(taskId, 0);
    }

    function _openIt(uint256 taskId) private {
        vm.prank(trainer);
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
    }

    /// All agree.
    function _settled(bytes memory report) private returns (uint256 taskId) {
        taskId = _staff(_open());
        _plant(taskId);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, report);
        _settle(taskId, 0, report);
    }

    /// Two of three have found the plant, the third has paid it.
    function _split(TaskParams memory params) private returns (uint256) {
        return _splitWith(params, PAID);
    }

    function _splitWith(TaskParams memory params, bytes memory third) private returns (uint256 taskId) {
        taskId = _openTask(params, 1000 * UNIT);
        _staff(taskId);
        _plant(taskId);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, FOUND, FOUND, third);
        _settle(taskId, 0, _sorted(FOUND, third));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 255, "found");
    }

    function _foundOut(TaskParams memory params) private returns (uint256 taskId) {
        taskId = _split(params);
        _openIt(taskId);
        _finalise(taskId, 0);
    }

    /// Somebody challenges the fraud; nobody is there to judge.
    function _leaveUndecided(uint256 taskId) private {
        _challenge(taskId, 0, 0, 100);
        _wait(200);
        appeals.decide(taskId, 0, 0);
        _assertPhase(taskId, 0, 0, DisputePhase.Undecided);
        attestations.finalise(taskId, 0);
    }

    /// Who paid the plant that the others have found has objected, and its panel is drawn.
    function _objected() private returns (uint256 taskId) {
        taskId = _split(_terms());
        _openIt(taskId);
        uint32 id = _commitChallenge(taskId, 0, 0, 100, thirdVerifier);
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 0, 100, SALT);
        _draw(taskId, 0, trainer, 0);
    }

    function _assertNotBlamed(uint256 taskId) private {
        attestations.finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPlants.LeftUndecided.selector, taskId, 0, 0));
        plants.slashPaidPlant(taskId, 0, 0, thirdVerifier, PAID);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 100 * UNIT, "whole");
        vm.assertEq(token.balanceOf(planter), DEPOSIT, "nothing is won");
    }

    /// A full panel says so.
    function _appealTo(uint256 taskId, uint8 score, bool beyond) private {
        _challenge(taskId, 0, 0, score);
        _draw(taskId, 0, trainer, 0);
        _appeal(taskId, 0, 0, 20, score, beyond);
    }

    function _assertPlant(uint256 taskId, PlantState expected, uint64 expectedEpoch) private view {
        (PlantState state, address who, uint64 epoch) = plants.plantOf(taskId, _hash(taskId));
        vm.assertTrue(state == expected && who == planter && epoch == expectedEpoch, "plant");
    }

    function _digits(uint256 number) private pure returns (bytes memory) {
        return abi.encodePacked(uint8(48 + number / 100), uint8(48 + number / 10 % 10), uint8(48 + number % 10));
    }

    function _wrongPlant(uint256 taskId, PlantState state) private view returns (bytes memory) {
        return abi.encodeWithSelector(IPlants.WrongPlant.selector, taskId, _hash(taskId), state);
    }

    function _wrongSubmission(uint256 taskId, uint64 epoch, uint16 index) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICommitments.WrongSubmission.selector, taskId, epoch, index);
    }
}
