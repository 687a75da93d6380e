// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Attestations} from "../../contracts/Attestations.sol";
import {Commitments} from "../../contracts/Commitments.sol";
import {Deployment} from "../../contracts/interfaces/Deployment.sol";
import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {ICommitments, Submission} from "../../contracts/interfaces/ICommitments.sol";
import {SubmissionRef} from "../../contracts/interfaces/IPayouts.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {KindTerms, TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Randomness} from "../../contracts/libraries/Randomness.sol";
import {Submissions} from "../../contracts/libraries/Submissions.sol";
import {Network} from "./Network.sol";

contract CommitmentsTest is Network {
    // enlist

    function test_Enlist_LocksTheTrainerBond() public {
        uint256 taskId = _openTask();
        _bond(trainer, Role.Trainer, 100 * UNIT);
        bytes32 termsHash = _termsHash(taskId);
        vm.expectEmit(address(commitments));
        emit ICommitments.TrainerEnlisted(taskId, trainer);
        vm.prank(trainer);
        commitments.enlist(taskId, termsHash);
        _assertLock(taskId, trainer, 60 * UNIT, 0);
        _assertTrainers(taskId, 1, 1);
        vm.assertTrue(commitments.isEnlisted(taskId, trainer), "enlisted");
    }

    function test_Enlist_ByTheWorkerKey_EnlistsItsOperator() public {
        uint256 taskId = _openTask();
        _bond(trainer, Role.Trainer, 60 * UNIT);
        _enlist(taskId, _nameWorker(trainer, 50));
        vm.assertTrue(commitments.isEnlisted(taskId, trainer), "operator");
        _assertLock(taskId, trainer, 60 * UNIT, 0);
    }

    /// Anyone who opens another task under the number that a trainer has seen has nothing of its bond.
    function test_Enlist_ForOtherTermsThanItHasSeen_Reverts() public {
        bytes32 meant = _termsHash(_openTask());
        TaskParams memory hostile = _params();
        (hostile.fraudSlash, hostile.trainerBond) = (1000 * UNIT, 1000 * UNIT);
        uint256 taskId = _openTask(hostile, 1000 * UNIT);
        bytes32 actual = _termsHash(taskId);
        _bond(trainer, Role.Trainer, 1000 * UNIT);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.WrongTerms.selector, taskId, meant, actual));
        commitments.enlist(taskId, meant);
        (, uint128 locked,,) = staking.bondOf(trainer, Role.Trainer);
        vm.assertEq(locked, 0, "locked");
    }

    function test_Enlist_WithTooSmallABond_Reverts() public {
        uint256 taskId = _openTask();
        _bond(trainer, Role.Trainer, 60 * UNIT - 1);
        _assertEnlistReverts(taskId, trainer, _insufficient(trainer, 60 * UNIT - 1, 60 * UNIT));
    }

    function test_Enlist_InTheBlockOfTheBond_Reverts() public {
        uint256 taskId = _openTask();
        _fund(trainer, address(staking), 60 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 60 * UNIT);
        _assertEnlistReverts(taskId, trainer, _insufficient(trainer, 0, 60 * UNIT));
    }

    function test_Enlist_ForASecondTask_NeedsASecondBond() public {
        (uint256 first, uint256 second) = (_openTask(), _openTask());
        _enlistTrainer(first, trainer);
        _assertEnlistReverts(second, trainer, _insufficient(trainer, 0, 60 * UNIT));
        _enlistTrainer(second, trainer);
        (, uint128 locked,,) = staking.bondOf(trainer, Role.Trainer);
        vm.assertEq(locked, 120 * UNIT, "locked");
    }

    function test_Enlist_Twice_Reverts() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _assertEnlistReverts(
            taskId, trainer, abi.encodeWithSelector(ICommitments.AlreadyEnlisted.selector, taskId, trainer)
        );
    }

    function test_Enlist_OnceTheLastEpochHasClosed_Reverts() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        vm.prank(initiator);
        registry.closeTask(taskId);
        _enlistVerifier(taskId, outsider, 100 * UNIT); // four submissions need more weight
        _enlistTrainer(taskId, outsider); // it may still commit to it
        _commit(taskId, outsider);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        _bond(initiator, Role.Trainer, 60 * UNIT);
        bytes memory closed = abi.encodeWithSelector(ICommitments.TaskIsClosed.selector, taskId);
        _assertEnlistReverts(taskId, initiator, closed);
        attestations.sealEpoch(taskId);
        _assertEnlistReverts(taskId, initiator, closed);
    }

    // delist

    function test_Delist_NotEnlisted_Reverts() public {
        uint256 taskId = _openTask();
        _assertDelistReverts(taskId, trainer, trainer, _notEnlisted(taskId, trainer));
    }

    function test_Delist_ByItself_UnlocksTheBond() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        vm.expectEmit(address(commitments));
        emit ICommitments.TrainerDelisted(taskId, trainer);
        _delist(taskId, trainer, trainer);
        _assertLock(taskId, trainer, 0, 0);
        _assertTrainers(taskId, 0, 0);
    }

    function test_Delist_ByTheWorkerKey() public {
        uint256 taskId = _staffedTask();
        _delist(taskId, _nameWorker(trainer, 50), trainer);
        vm.assertFalse(commitments.isEnlisted(taskId, trainer), "enlisted");
    }

    /// A submission in flight keeps what it may cost locked, until it is claimed, and not a second longer.
    function test_Delist_WithASubmissionInFlight_KeepsItsCollateral() public {
        uint256 taskId = _sealedTask();
        _delist(taskId, trainer, trainer);
        _assertLock(taskId, trainer, 50 * UNIT, 1);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 10 * UNIT);
        vm.prank(trainer);
        vm.expectRevert(_insufficient(trainer, 0, 1));
        staking.requestUnbond(Role.Trainer, 1);
        _judge(taskId, 0, hex"006464");
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        _assertLock(taskId, trainer, 0, 0);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 50 * UNIT);
    }

    function test_Delist_OfAnActiveTrainer_Reverts() public {
        uint256 taskId = _staffedTask();
        _assertDelistReverts(taskId, outsider, trainer, _stillActive(taskId, trainer));
    }

    /// Two whole epochs without a submission are asked for, in which it was there from the beginning.
    function test_Delist_OfOneWhoWasThereForLessThanTwoEpochs_Reverts() public {
        uint256 taskId = _staffedTask();
        _bond(secondTrainer, Role.Trainer, 100 * UNIT);
        for (uint256 i; i < 2; ++i) {
            _commit(taskId, secondTrainer);
            _closeAndSeal(taskId);
            _assertDelistReverts(taskId, outsider, trainer, _stillActive(taskId, trainer));
        }
        _commit(taskId, secondTrainer);
        _closeAndSeal(taskId);
        _delist(taskId, outsider, trainer);
        _assertDelistReverts(taskId, outsider, secondTrainer, _stillActive(taskId, secondTrainer));
    }

    function test_Delist_OfOneWhoSkippedTwoEpochs_IsNotWaitedForAnyMore() public {
        uint256 taskId = _sealedTask();
        _bond(trainer, Role.Trainer, 200 * UNIT);
        _bond(secondTrainer, Role.Trainer, 200 * UNIT);
        for (uint256 i; i < 2; ++i) {
            _commit(taskId, trainer);
            _commit(taskId, secondTrainer);
            _assertDelistReverts(taskId, outsider, thirdTrainer, _stillActive(taskId, thirdTrainer));
            _closeAndSeal(taskId);
        }
        _delist(taskId, outsider, thirdTrainer);
        _assertDelistReverts(taskId, outsider, trainer, _stillActive(taskId, trainer));
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        vm.assertTrue(commitments.isSealable(taskId), "nobody waits for who has left");
    }

    function test_Delist_OfOneThatASlashHasDelisted_Reverts() public {
        uint256 taskId = _slashedTask();
        _assertDelistReverts(taskId, trainer, trainer, _notEnlisted(taskId, trainer));
        _assertLock(taskId, trainer, 0, 0);
    }

    function test_Slashed_IsNotWaitedFor() public {
        uint256 taskId = _slashedTask();
        _commit(taskId, secondTrainer);
        _assertTrainers(taskId, 2, 1);
        _commit(taskId, thirdTrainer);
        vm.assertTrue(commitments.isSealable(taskId), "nobody waits for the slashed");
    }

    function test_Slashed_WhenItAloneWasWaitedFor_ClosesTheEpoch() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"ff6464");
        _claim(taskId, 0, secondTrainer, 1);
        _claim(taskId, 0, thirdTrainer, 2);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochClosed(taskId, 1, 2, vm.getBlockNumber() + 1);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        _assertIsClosed(taskId, true);
    }

    function test_Delist_AndEnlistAgainAfterItsLastSubmission_IsNotWaitedFor() public {
        uint256 taskId = _staffedTask();
        _bond(trainer, Role.Trainer, 60 * UNIT);
        _commit(taskId, trainer);
        _delist(taskId, trainer, trainer);
        _assertTrainers(taskId, 2, 2);
        _enlist(taskId, trainer);
        _assertTrainers(taskId, 3, 2);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.assertTrue(commitments.isSealable(taskId), "all have committed");
    }

    // commitSubmission

    function test_CommitSubmission_RemembersAndEmits() public {
        uint256 taskId = _staffedTask();
        address worker = _nameWorker(secondTrainer, 50);
        _commit(taskId, trainer);
        bytes32 before = commitments.runningHashOf(taskId);
        vm.expectEmit(address(commitments));
        emit ICommitments.SubmissionCommitted(taskId, 0, secondTrainer, 1, SubmissionKind.Full, 7, 3, ROOT);
        vm.prank(worker);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 7, 3, false);

        bytes32 hash = Submissions.hash(Submission(secondTrainer, 1, SubmissionKind.Full, 7, 3, ROOT));
        vm.assertEq(commitments.submissionHash(taskId, 0, 1), hash, "hash");
        vm.assertEq(commitments.runningHashOf(taskId), keccak256(abi.encode(before, hash)), "running hash");
        (uint16 submissions, uint32 units, uint128 cost, uint40 commitBy) = commitments.epochOf(taskId, 0);
        vm.assertEq(submissions, 2, "submissions");
        vm.assertEq(units, 17, "units");
        vm.assertEq(cost, 17 * UNIT, "cost");
        vm.assertEq(commitBy, 1_000_100, "commitBy");
        _assertLock(taskId, secondTrainer, 60 * UNIT, 1); // the bond counts towards the first submission
    }

    function test_CommitSubmission_NoOpenEpoch_Reverts() public {
        vm.expectRevert();
        commitments.commitSubmission(7, 0, SubmissionKind.Full, ROOT, 1, 0, false);
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        _assertCommitReverts(taskId, trainer, 1, 1, abi.encodeWithSelector(ICommitments.EpochNotOpen.selector, taskId));
    }

    function test_CommitSubmission_EmptyRoot_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(trainer);
        vm.expectRevert(ICommitments.EmptyRoot.selector);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, 0, 1, 0, false);
    }

    function test_CommitSubmission_BadUnits_Reverts() public {
        uint256 taskId = _staffedTask();
        _assertCommitReverts(taskId, trainer, 0, 0, abi.encodeWithSelector(ICommitments.BadUnits.selector, 0, 10));
        _assertCommitReverts(taskId, trainer, 0, 11, abi.encodeWithSelector(ICommitments.BadUnits.selector, 11, 10));
    }

    function test_CommitSubmission_FullEpoch_RevertsAndCloses() public {
        TaskParams memory params = _params();
        params.maxEpochUnits = 15;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commit(taskId, trainer);
        bytes memory full = abi.encodeWithSelector(ICommitments.EpochFull.selector, taskId, 0, 5);
        _assertCommitReverts(taskId, secondTrainer, 0, 6, full);
        _assertIsClosed(taskId, false);
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochClosed(taskId, 0, 2, vm.getBlockNumber() + 1);
        vm.prank(secondTrainer);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 5, 0, false);
        _assertIsClosed(taskId, true);
        _assertCommitReverts(taskId, thirdTrainer, 0, 1, _commitClosed(taskId, 0));
    }

    function test_CommitSubmission_NotEnlisted_Reverts() public {
        uint256 taskId = _staffedTask();
        _assertCommitReverts(taskId, outsider, 0, 1, _notEnlisted(taskId, outsider));
    }

    function test_CommitSubmission_Slashed_Reverts() public {
        uint256 taskId = _slashedTask();
        _bond(trainer, Role.Trainer, 500 * UNIT);
        _assertCommitReverts(taskId, trainer, 1, 1, _notEnlisted(taskId, trainer));
        _enlist(taskId, trainer); // anyone who bonds again may come again
        _commit(taskId, trainer);
    }

    /// A transaction that comes late lands nowhere, rather than as a useless submission of the next epoch.
    function test_CommitSubmission_ForAnotherEpoch_Reverts() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        bytes4 wrong = ICommitments.WrongEpoch.selector;
        _assertCommitReverts(taskId, secondTrainer, 1, 10, abi.encodeWithSelector(wrong, taskId, 1, 0));
        _closeAndSeal(taskId);
        _assertCommitReverts(taskId, secondTrainer, 0, 10, abi.encodeWithSelector(wrong, taskId, 0, 1));
        vm.assertEq(commitments.submissionHash(taskId, 1, 0), bytes32(0), "nothing committed");
    }

    function test_CommitSubmission_AfterTheWindow_Reverts() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _wait(100);
        _assertCommitReverts(taskId, secondTrainer, 0, 1, _commitClosed(taskId, 0));
    }

    function test_CommitSubmission_FirstAfterAnEmptyWindow_StartsItAgain() public {
        uint256 taskId = _staffedTask();
        _wait(150);
        uint40 commitBy = uint40(_now()) + 100;
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochOpened(taskId, 0, commitBy);
        _commit(taskId, trainer);
        _assertIsClosed(taskId, false); // others have their window
        _commit(taskId, secondTrainer);
    }

    function test_CommitSubmission_FirstAfterTheLastWindowOfAClosedTask_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(initiator);
        registry.closeTask(taskId);
        _wait(100);
        _assertCommitReverts(taskId, trainer, 0, 1, _commitClosed(taskId, 0));
    }

    // kinds

    function test_CommitSubmission_OfAKindWithoutAPrice_Reverts() public {
        uint256 taskId = _staffedTask();
        for (uint256 kind = 1; kind < 4; ++kind) {
            vm.prank(trainer);
            vm.expectRevert(abi.encodeWithSelector(ICommitments.KindNotAskedFor.selector, taskId, SubmissionKind(kind)));
            commitments.commitSubmission(taskId, 0, SubmissionKind(kind), ROOT, 1, 0, false);
        }
    }

    function test_CommitSubmission_OfNoKind_Reverts() public {
        uint256 taskId = _staffedTask();
        bytes memory data =
            abi.encodeCall(commitments.commitSubmission, (taskId, 0, SubmissionKind.Labels, ROOT, 1, 0, false));
        data[4 + 95] = 0x04; // the third word
        vm.prank(trainer);
        (bool success,) = address(commitments).call(data);
        vm.assertFalse(success, "there are four kinds");
    }

    /// Each kind costs and pays its own price; two submissions that differ in their kind only are two submissions.
    function test_CommitSubmission_OfEveryKind_EarnsItsOwnPrice() public {
        TaskParams memory params = _params();
        (params.maxSubmissionsEach, params.samplingBps, params.fraudSlash) = (4, 10_000, 15 * UNIT);
        for (uint256 kind; kind < 4; ++kind) {
            params.kinds[kind] = KindTerms(uint128(UNIT / (kind + 1)), 10_000);
        }
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        uint256 sum;
        for (uint256 kind; kind < 4; ++kind) {
            vm.prank(trainer);
            commitments.commitSubmission(taskId, 0, SubmissionKind(kind), _rootOf(uint16(kind)), 10, 0, false);
            sum += 10 * (UNIT / (kind + 1));
            (,, uint128 cost,) = commitments.epochOf(taskId, 0);
            vm.assertEq(cost, sum, "cost");
        }
        _closeAndSeal(taskId);
        (, uint256 reserved) = _money(taskId);
        vm.assertEq(reserved, sum + 3 * UNIT + 103 * UNIT, "reserved: the submissions, the fee, the next epoch");
        _judge(taskId, 0, hex"64646464");
        for (uint16 kind; kind < 4; ++kind) {
            SubmissionRef memory ref = _ref(taskId, 0, trainer, kind);
            ref.submission.kind = SubmissionKind(kind);
            vm.assertEq(payouts.claim(_refs(ref)), 10 * (UNIT / (kind + 1)), "its own price");
        }
    }

    function test_Claim_OfAnotherKind_Reverts() public {
        TaskParams memory params = _params();
        params.kinds[1] = KindTerms(UNIT / 10, 10_000);
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        vm.prank(trainer);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Rollouts, ROOT, 10, 0, false);
        _closeAndSeal(taskId);
        _judge(taskId, 0, hex"64");
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0))); // as a Full one, at ten times the price
    }

    // several submissions of one trainer

    function test_CommitSubmission_Several_LocksForEach() public {
        uint256 taskId = _severalTask(3);
        _commit(taskId, trainer);
        _assertLock(taskId, trainer, 60 * UNIT, 1);
        _assertCommitReverts(taskId, trainer, 0, 10, _insufficient(trainer, 0, 40 * UNIT));
        _bond(trainer, Role.Trainer, 40 * UNIT);
        _commit(taskId, trainer);
        _assertLock(taskId, trainer, 100 * UNIT, 2);
    }

    function test_CommitSubmission_WithBondOfTheSameBlock_Reverts() public {
        uint256 taskId = _severalTask(3);
        _commit(taskId, trainer);
        _fund(trainer, address(staking), 40 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 40 * UNIT);
        _assertCommitReverts(taskId, trainer, 0, 10, _insufficient(trainer, 0, 40 * UNIT));
    }

    function test_CommitSubmission_UpToTheMost_ThenReverts() public {
        uint256 taskId = _severalTask(3);
        _bond(trainer, Role.Trainer, 200 * UNIT);
        for (uint256 i; i < 3; ++i) {
            _assertTrainers(taskId, 3, 3);
            _commit(taskId, trainer);
        }
        _assertTrainers(taskId, 3, 2);
        bytes memory many = abi.encodeWithSelector(ICommitments.TooManySubmissions.selector, taskId, 0, trainer, 3);
        _assertCommitReverts(taskId, trainer, 0, 1, many);
        _delist(taskId, trainer, trainer);
        _enlist(taskId, trainer);
        _assertCommitReverts(taskId, trainer, 0, 1, many); // leaving and coming again counts nothing again
    }

    /// Else one plant would cover both: the fraud that is found, or its twin where the fraud is paid.
    function test_CommitSubmission_WithTheRootOfAnotherOfItsSubmissions_Reverts() public {
        uint256 taskId = _severalTask(3);
        _bond(trainer, Role.Trainer, 200 * UNIT);
        _commitRoot(taskId, trainer, ROOT);
        bytes memory repeated =
            abi.encodeWithSelector(ICommitments.RepeatedRoot.selector, taskId, uint64(0), trainer, ROOT);
        vm.startPrank(trainer);
        vm.expectRevert(repeated);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 1, 0, false);
        vm.stopPrank();
        _delist(taskId, trainer, trainer);
        _enlist(taskId, trainer);
        vm.prank(trainer);
        vm.expectRevert(repeated); // leaving and coming again forgets nothing
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 10, 0, true);
        _commitRoot(taskId, secondTrainer, ROOT); // of another trainer
        _commitRoot(taskId, trainer, keccak256("another"));
        _closeAndSeal(taskId);
        _commitRoot(taskId, trainer, ROOT); // in another epoch
    }

    function test_CommitSubmission_ItsLast_IsNotWaitedFor() public {
        uint256 taskId = _severalTask(3);
        _bond(trainer, Role.Trainer, 200 * UNIT);
        _commitLast(taskId, trainer);
        _assertTrainers(taskId, 3, 2);
        bytes memory many = abi.encodeWithSelector(ICommitments.TooManySubmissions.selector, taskId, 0, trainer, 3);
        _assertCommitReverts(taskId, trainer, 0, 1, many);
        _commitLast(taskId, secondTrainer);
        _commitLast(taskId, thirdTrainer);
        _assertIsClosed(taskId, true);
        _nextBlock();
        _nextBlock();
        attestations.sealEpoch(taskId);
        _assertTrainers(taskId, 3, 3);
        _commit(taskId, trainer); // of the next epoch
    }

    function test_Delist_AndEnlistAgainAmidItsSubmissions_IsWaitedFor() public {
        uint256 taskId = _severalTask(3);
        _bond(trainer, Role.Trainer, 200 * UNIT);
        _commit(taskId, trainer);
        _delist(taskId, trainer, trainer);
        _assertTrainers(taskId, 2, 2);
        _assertLock(taskId, trainer, 50 * UNIT, 1);
        _enlist(taskId, trainer);
        _assertTrainers(taskId, 3, 3);
        _assertLock(taskId, trainer, 60 * UNIT, 1);
        _commitLast(taskId, trainer);
        _assertTrainers(taskId, 3, 2);
    }

    function test_Fraud_OfOneOfSeveral_LeavesTheOthersTheirCollateral() public {
        uint256 taskId = _severalTask(3);
        _bond(trainer, Role.Trainer, 90 * UNIT);
        for (uint256 i; i < 3; ++i) {
            _commit(taskId, trainer);
        }
        _closeAndSeal(taskId);
        _judge(taskId, 0, hex"ff64ff");
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        _assertLock(taskId, trainer, 100 * UNIT, 2);
        _claim(taskId, 0, trainer, 1);
        _assertLock(taskId, trainer, 50 * UNIT, 1);
        payouts.slashFraud(_ref(taskId, 0, trainer, 2));
        _assertLock(taskId, trainer, 0, 0);
        vm.assertEq(_bonded(trainer, Role.Trainer), 50 * UNIT, "once for each");
    }

    // closing

    function test_Close_ByTheLastSubmission_NamesTheSeedsBlock() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochClosed(taskId, 0, 3, vm.getBlockNumber() + 1);
        _commit(taskId, thirdTrainer);
        _assertIsClosed(taskId, true);
        _assertTrainers(taskId, 3, 0);
    }

    function test_Close_WhenTheLastOneWaitedForLeaves() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _delist(taskId, thirdTrainer, thirdTrainer);
        _assertIsClosed(taskId, true);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 0));
        attestations.sealEpoch(taskId);
    }

    function test_Close_WithoutSubmissions_WaitsNoMatterWhoLeaves() public {
        uint256 taskId = _staffedTask();
        _delist(taskId, trainer, trainer);
        _delist(taskId, secondTrainer, secondTrainer);
        _delist(taskId, thirdTrainer, thirdTrainer);
        _assertIsClosed(taskId, false);
        _enlistTrainer(taskId, outsider);
        _commit(taskId, outsider);
        _assertIsClosed(taskId, true);
    }

    function test_CloseEpoch_OnceItsWindowIsOver() public {
        uint256 taskId = _staffedTask();
        bytes memory notReady = abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 0);
        _wait(100);
        vm.expectRevert(notReady); // no submissions
        commitments.closeEpoch(taskId);
        _commit(taskId, trainer);
        _wait(99);
        vm.expectRevert(notReady); // the window is not over
        commitments.closeEpoch(taskId);
        _wait(1);
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochClosed(taskId, 0, 1, vm.getBlockNumber() + 1);
        vm.prank(outsider);
        commitments.closeEpoch(taskId);
        vm.expectRevert(notReady); // closed already
        commitments.closeEpoch(taskId);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotReady.selector, 7, 0));
        commitments.closeEpoch(7);
    }

    function test_Close_AtTheMostSubmissions() public {
        TaskParams memory params = _params();
        (params.maxEpochUnits, params.maxSubmissionsEach) = (20_000, 2000);
        uint256 taskId = _openTask(params, 100_000 * UNIT);
        _enlistTrainer(taskId, trainer);
        _bond(trainer, Role.Trainer, 6000 * UNIT);
        vm.startPrank(trainer);
        for (uint256 i; i < 1023; ++i) {
            commitments.commitSubmission(taskId, 0, SubmissionKind.Full, _rootOf(uint16(i)), 1, 0, false);
        }
        vm.stopPrank();
        _assertIsClosed(taskId, false);
        vm.prank(trainer);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, _rootOf(1023), 1, 0, false);
        _assertIsClosed(taskId, true);
        _assertLock(taskId, trainer, 5120 * UNIT, 1024);
        vm.assertEq(commitments.MAX_SUBMISSIONS(), 1024, "as many as a report is long");
    }

    /// The chain knows no hash of a block that old: another is named. Nobody can bring that about who does not keep
    /// everybody from sealing for that long.
    function test_CloseEpoch_OnceTheSeedsBlockIsForgotten_NamesAnother() public {
        uint256 taskId = _closedTask();
        uint256 seedBlock = vm.getBlockNumber() - 1;
        bytes memory notReady = abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 0);
        vm.roll(seedBlock + 256);
        vm.expectRevert(notReady);
        commitments.closeEpoch(taskId);
        vm.roll(seedBlock + 257);
        vm.expectRevert(abi.encodeWithSelector(Randomness.SeedBlockForgotten.selector, seedBlock));
        attestations.sealEpoch(taskId);
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochClosed(taskId, 0, 3, seedBlock + 258);
        commitments.closeEpoch(taskId);
        vm.expectRevert(notReady);
        attestations.sealEpoch(taskId);
        vm.roll(seedBlock + 259);
        attestations.sealEpoch(taskId);
        (uint16 submissions,,,) = commitments.epochOf(taskId, 0);
        vm.assertEq(submissions, 3, "the same submissions");
    }

    // abandonEpoch

    function test_AbandonEpoch_OfAClosedTask_FreesWhatWasReserved() public {
        uint256 taskId = _staffedTask();
        bytes memory notReady = abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 0);
        _wait(100);
        vm.expectRevert(notReady); // the task goes on
        commitments.abandonEpoch(taskId);
        vm.prank(initiator);
        registry.closeTask(taskId);
        _wait(99);
        vm.expectRevert(notReady); // somebody may still commit
        commitments.abandonEpoch(taskId);
        _wait(1);
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochAbandoned(taskId, 0);
        vm.prank(outsider);
        commitments.abandonEpoch(taskId);
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(budget, 1000 * UNIT, "budget");
        vm.assertEq(reserved, 0, "reserved");
        vm.expectRevert(notReady);
        commitments.abandonEpoch(taskId);
        commitments.openEpoch(taskId);
        _assertCommitReverts(taskId, trainer, 0, 1, abi.encodeWithSelector(ICommitments.EpochNotOpen.selector, taskId));
        _delist(taskId, trainer, trainer);
        _assertLock(taskId, trainer, 0, 0);
    }

    function test_AbandonEpoch_WithASubmission_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(initiator);
        registry.closeTask(taskId);
        _commit(taskId, trainer);
        _wait(100);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 0));
        commitments.abandonEpoch(taskId);
    }

    // seal

    function test_Seal_ByAnybodyButAttestations_Reverts() public {
        uint256 taskId = _closedTask();
        vm.expectRevert(abi.encodeWithSelector(ICommitments.NotAuthorised.selector, address(this)));
        commitments.seal(taskId);
    }

    function test_Seal_BeforeItIsClosed_Reverts() public {
        uint256 taskId = _staffedTask();
        bytes memory notReady = abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 0);
        vm.expectRevert(notReady);
        attestations.sealEpoch(taskId);
        _commit(taskId, trainer);
        _wait(100);
        vm.expectRevert(notReady); // its window is over, but nobody has closed it
        attestations.sealEpoch(taskId);
        _closeAndSeal(taskId);
    }

    function test_Seal_RunDry_Reverts() public {
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 1));
        attestations.sealEpoch(taskId);
    }

    function test_Seal_KeepsTheEpochAndOpensTheNext() public {
        uint256 taskId = _closedTask();
        bytes32 runningHash = commitments.runningHashOf(taskId);
        _assertEpoch(taskId, 0, 3, 30 * UNIT, 1_000_100);
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochOpened(taskId, 1, uint40(_now() + 100));
        attestations.sealEpoch(taskId);
        _assertEpoch(taskId, 0, 3, 30 * UNIT, 1_000_100);
        vm.assertEq(commitments.runningHashOf(taskId), runningHash, "the next goes on from it");
        (uint64 epoch, bool isOpen, bool isClosed, uint16 submissions) = commitments.openEpochOf(taskId);
        vm.assertTrue(epoch == 1 && isOpen && !isClosed && submissions == 0, "the next is open");
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(reserved, 136 * UNIT, "30 units and a fee, and the next epoch");
        vm.assertEq(budget, 864 * UNIT, "the rest");
    }

    function test_EpochOf_OneThatNeverWas_IsEmpty() public {
        _assertEpoch(_sealedTask(), 2, 0, 0, 0);
    }

    // the end of a submission

    function test_Claim_Twice_Reverts() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"646464");
        SubmissionRef[] memory twice = new SubmissionRef[](2);
        (twice[0], twice[1]) = (_ref(taskId, 0, trainer, 0), _ref(taskId, 0, trainer, 0));
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        payouts.claim(twice);
        _claim(taskId, 0, trainer, 0);
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.assertEq(commitments.submissionHash(taskId, 0, 0), bytes32(0), "ended");
    }

    function test_Claim_OfAVoidEpoch_UnlocksAndPaysNothing() public {
        uint256 taskId = _sealedTask();
        _wait(200);
        attestations.voidEpoch(taskId, 0);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 0, "paid");
        _assertLock(taskId, trainer, 60 * UNIT, 0);
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
    }

    function test_Ends_ByAnybodyElse_Reverts() public {
        uint256 taskId = _sealedTask();
        Submission memory submission = _submission(trainer, 0);
        address[5] memory callers = [outsider, trainer, address(attestations), address(registry), address(appeals)];
        for (uint256 i; i < callers.length; ++i) {
            _assertMayNotEnd(callers[i], taskId, submission, true, true);
        }
        _assertMayNotEnd(address(payouts), taskId, submission, false, true);
        _assertMayNotEnd(address(plants), taskId, submission, true, false);
        vm.prank(address(attestations));
        vm.expectRevert(abi.encodeWithSelector(ICommitments.NotAuthorised.selector, address(attestations)));
        commitments.extendEpoch(taskId);
    }

    function test_SettlePlant_OfASettledEpoch_FreesItsMoney() public {
        uint256 taskId = _sealedTask();
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.prank(address(plants));
        commitments.settlePlant(taskId, 0, _submission(trainer, 0), true);
        (uint256 budget_, uint256 reserved_) = _money(taskId);
        vm.assertEq(budget_, budget + 10 * UNIT, "budget");
        vm.assertEq(reserved_, reserved - 10 * UNIT, "reserved");
        _assertLock(taskId, trainer, 60 * UNIT, 0);
        bytes32 hash = Submissions.plantHash(Submissions.hash(_submission(trainer, 0)));
        vm.assertEq(commitments.submissionHash(taskId, 0, 0), hash, "a plant");
        vm.prank(address(plants));
        vm.expectRevert(_wrongSubmission(taskId, 0, 0));
        commitments.settlePlant(taskId, 0, _submission(trainer, 0), true);
    }

    /// Claimed, slashed or opened as a plant: anyone who tries what in whatever order, each submission ends once.
    function testFuzz_End_ComesOnceForEachSubmission(uint8[24] memory attempts) public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"64ff00");
        address[3] memory trainers = [trainer, secondTrainer, thirdTrainer];
        uint256[3] memory ended;
        for (uint256 i; i < attempts.length; ++i) {
            uint16 index = attempts[i] % 3;
            if (_tryToEnd(_ref(taskId, 0, trainers[index], index), attempts[i] / 3 % 3)) ++ended[index];
            vm.assertLe(ended[index], 1, "once");
            (, uint32 inFlight) = commitments.collateralOf(taskId, trainers[index]);
            vm.assertEq(inFlight, 1 - ended[index], "in flight");
        }
        vm.assertLe(token.balanceOf(trainer), 10 * UNIT, "paid once");
        vm.assertGe(_bonded(secondTrainer, Role.Trainer), 10 * UNIT, "slashed once");
    }

    // helpers

    function _tryToEnd(SubmissionRef memory ref, uint256 how) private returns (bool) {
        if (how == 0) {
            try payouts.claim(_refs(ref)) {
                return true;
            } catch {}
        } else if (how == 1) {
            try payouts.slashFraud(ref) {
                return true;
            } catch {}
        } else {
            vm.prank(address(plants));
            try commitments.settlePlant(ref.taskId, ref.epoch, ref.submission, true) {
                return true;
            } catch {}
        }
        return false;
    }

    function _assertMayNotEnd(
        address caller,
        uint256 taskId,
        Submission memory submission,
        bool asPayouts,
        bool asPlants
    ) private {
        bytes memory refused = abi.encodeWithSelector(ICommitments.NotAuthorised.selector, caller);
        vm.startPrank(caller);
        if (asPayouts) {
            vm.expectRevert(refused);
            commitments.settleSubmissions(taskId, trainer, 10, new uint256[](1), new bytes32[](1));
            vm.expectRevert(refused);
            commitments.settleFraud(taskId, 0, submission, caller, 10_000);
        }
        if (asPlants) {
            vm.expectRevert(refused);
            commitments.settlePlant(taskId, 0, submission, true);
        }
        vm.stopPrank();
    }

    function _enlist(uint256 taskId, address who) private {
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(who);
        commitments.enlist(taskId, termsHash);
    }

    function _delist(uint256 taskId, address caller, address who) private {
        vm.prank(caller);
        commitments.delist(taskId, who);
    }

    function _claim(uint256 taskId, uint64 epoch, address who, uint16 index) private {
        payouts.claim(_refs(_ref(taskId, epoch, who, index)));
    }

    function _commitLast(uint256 taskId, address who) private {
        (uint64 epoch,,, uint16 submissions) = commitments.openEpochOf(taskId);
        vm.prank(who);
        commitments.commitSubmission(taskId, epoch, SubmissionKind.Full, _rootOf(submissions), 10, 0, true);
    }

    function _closeAndSeal(uint256 taskId) private {
        _wait(100);
        commitments.closeEpoch(taskId);
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
    }

    function _closedTask() private returns (uint256 taskId) {
        taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
    }

    /// Three trainers with up to so many submissions each.
    function _severalTask(uint16 maxSubmissionsEach) private returns (uint256) {
        TaskParams memory params = _params();
        params.maxSubmissionsEach = maxSubmissionsEach;
        return _staff(_openTask(params, 1000 * UNIT));
    }

    /// The first trainer's submission of epoch 0 was a fraud; epoch 1 takes submissions.
    function _slashedTask() private returns (uint256 taskId) {
        taskId = _sealedTask();
        _judge(taskId, 0, hex"ff6464");
        _claim(taskId, 0, secondTrainer, 1);
        _claim(taskId, 0, thirdTrainer, 2);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
    }

    function _assertEnlistReverts(uint256 taskId, address who, bytes memory why) private {
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(who);
        vm.expectRevert(why);
        commitments.enlist(taskId, termsHash);
    }

    function _assertDelistReverts(uint256 taskId, address caller, address who, bytes memory why) private {
        vm.prank(caller);
        vm.expectRevert(why);
        commitments.delist(taskId, who);
    }

    function _assertCommitReverts(uint256 taskId, address who, uint64 epoch, uint16 units, bytes memory why) private {
        (,,, uint16 submissions) = commitments.openEpochOf(taskId);
        vm.prank(who);
        vm.expectRevert(why);
        commitments.commitSubmission(taskId, epoch, SubmissionKind.Full, _rootOf(submissions), units, 0, false);
    }

    function _assertLock(uint256 taskId, address who, uint256 locked, uint256 inFlight) private view {
        (uint128 locked_, uint32 inFlight_) = commitments.collateralOf(taskId, who);
        vm.assertEq(locked_, locked, "collateral");
        vm.assertEq(inFlight_, inFlight, "in flight");
        (, uint128 all,,) = staking.bondOf(who, Role.Trainer);
        vm.assertEq(all, locked, "locked of its bond");
    }

    /// Submissions of ten units each.
    function _assertEpoch(uint256 taskId, uint64 epoch, uint256 submissions, uint256 cost, uint256 commitBy)
        private
        view
    {
        (uint16 submissions_, uint32 units, uint128 cost_, uint40 commitBy_) = commitments.epochOf(taskId, epoch);
        vm.assertEq(submissions_, submissions, "submissions");
        vm.assertEq(units, 10 * submissions, "units");
        vm.assertEq(cost_, cost, "cost");
        vm.assertEq(commitBy_, commitBy, "commitBy");
    }

    function _assertTrainers(uint256 taskId, uint256 trainers, uint256 waiting) private view {
        (uint16 trainers_, uint16 waiting_) = commitments.trainersOf(taskId);
        vm.assertEq(trainers_, trainers, "trainers");
        vm.assertEq(waiting_, waiting, "waiting");
    }

    function _assertIsClosed(uint256 taskId, bool expected) private view {
        (,, bool isClosed,) = commitments.openEpochOf(taskId);
        vm.assertTrue(isClosed == expected, "closed");
    }

    function _insufficient(address who, uint256 free, uint256 needed) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IStaking.InsufficientBond.selector, who, free, needed);
    }

    function _notEnlisted(uint256 taskId, address who) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICommitments.NotEnlisted.selector, taskId, who);
    }

    function _stillActive(uint256 taskId, address who) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICommitments.StillActive.selector, taskId, who);
    }

    function _commitClosed(uint256 taskId, uint64 epoch) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICommitments.CommitClosed.selector, taskId, epoch);
    }

    function _wrongSubmission(uint256 taskId, uint64 epoch, uint16 index) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICommitments.WrongSubmission.selector, taskId, epoch, index);
    }
}

contract SealDelayTest is Network {
    function _sealDelay() internal pure override returns (uint8) {
        return 4;
    }

    function test_Deploy_WithoutASealDelay_Reverts() public {
        Deployment memory nothing;
        vm.expectRevert(ICommitments.BadSealDelay.selector);
        new Commitments(nothing, 0);
    }

    /// Anyone who proposes the last submission's block cannot know the randomness of a block so much later.
    function test_Seal_WaitsForAsManyBlocksAsTheDelay() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        uint256 last = vm.getBlockNumber();
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochClosed(taskId, 0, 3, last + 4);
        _commit(taskId, thirdTrainer);
        for (uint256 i; i < 5; ++i) {
            vm.roll(last + i);
            vm.assertFalse(commitments.isSealable(taskId), "too soon to be sealed");
            vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 0));
            attestations.sealEpoch(taskId);
        }
        vm.roll(last + 5);
        vm.assertTrue(commitments.isSealable(taskId), "sealable");
        attestations.sealEpoch(taskId);
    }
}

/// An operator that is a contract: a trainer whom the open epoch waits for. It leaves, and seals, or lets all fail.
contract Grinder {
    Commitments private immutable COMMITMENTS;
    Attestations private immutable ATTESTATIONS;

    constructor(Commitments commitments, Attestations attestations) {
        (COMMITMENTS, ATTESTATIONS) = (commitments, attestations);
    }

    function leave(uint256 taskId) public {
        COMMITMENTS.delist(taskId, address(this));
    }

    function enlist(uint256 taskId, bytes32 termsHash) external {
        COMMITMENTS.enlist(taskId, termsHash);
    }

    function leaveAndSeal(uint256 taskId) external {
        leave(taskId);
        ATTESTATIONS.sealEpoch(taskId);
    }
}

/// Nobody chooses a seed: not by closing, not by waiting, not by coming or going, not by who calls.
contract SeedTest is Network {
    uint256 private _taskId;
    Grinder private _grinder;
    uint256 private _seedBlock;

    function setUp() public override {
        super.setUp();
        TaskParams memory params = _params();
        params.commitWindow = 300;
        _taskId = _staff(_openTask(params, 1000 * UNIT));
        _grinder = new Grinder(commitments, attestations);
        _bond(address(_grinder), Role.Trainer, 120 * UNIT);
        _bond(outsider, Role.Trainer, 60 * UNIT);
        _bond(outsider, Role.Verifier, 1000 * UNIT);
        _bond(initiator, Role.Verifier, 1000 * UNIT);
    }

    /// Anyone who the epoch waits for leaves in a block of its choice; what that block is like does not matter.
    function test_Leave_AndSealInOneTransaction_Reverts() public {
        _grinder.enlist(_taskId, _termsHash(_taskId));
        _commitAll();
        vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotReady.selector, _taskId, 0));
        _grinder.leaveAndSeal(_taskId);
        vm.assertTrue(commitments.isEnlisted(_taskId, address(_grinder)), "undone");
        _grinder.leave(_taskId);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotReady.selector, _taskId, 0));
        attestations.sealEpoch(_taskId);
    }

    /// It can leave whenever it likes: the seed comes from a block after, anyone who seals when, and in whatever block.
    function testFuzz_Seed_ComesFromTheNamedBlock(uint8 waits, uint8 later, bytes32 randao, bool isGrinder) public {
        _grinder.enlist(_taskId, _termsHash(_taskId));
        _commitAll();
        vm.roll(vm.getBlockNumber() + waits);
        uint256 seedBlock = vm.getBlockNumber() + 1;
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochClosed(_taskId, 0, 3, seedBlock);
        _grinder.leave(_taskId);
        bytes32 runningHash = commitments.runningHashOf(_taskId);
        vm.roll(seedBlock + 1 + uint256(later) % 255);
        vm.prevrandao(randao);
        vm.prank(isGrinder ? address(_grinder) : outsider);
        attestations.sealEpoch(_taskId);
        bytes32 expected = keccak256(abi.encode(blockhash(seedBlock), runningHash, _taskId, uint64(0)));
        vm.assertEq(attestations.seedOf(_taskId, 0), expected, "another seed");
    }

    /// Enlisting does not undo that an epoch is ready: neither before it can be sealed, nor after.
    function test_Enlist_AfterTheClose_UndoesNothing() public {
        _commitAll();
        _grinder.enlist(_taskId, _termsHash(_taskId));
        vm.assertTrue(commitments.isSealable(_taskId), "still ready");
        _grinder.leave(_taskId);
        _grinder.enlist(_taskId, _termsHash(_taskId));
        vm.assertTrue(commitments.isSealable(_taskId), "still ready");
        attestations.sealEpoch(_taskId);
        (uint16 trainers, uint16 waiting) = commitments.trainersOf(_taskId);
        vm.assertTrue(trainers == 4 && waiting == 4, "the next waits for it");
    }

    /// Whatever anybody does between the close and the seal: it stays closed, with the same submissions, the same
    /// judges and the same block of its seed; once it is ready it stays so; and it is sealed.
    function testFuzz_Readiness_StaysWhateverIsDone(uint16[24] memory actions) public {
        _judgedEpoch();
        _commitAll();
        vm.roll(vm.getBlockNumber() - 1);
        _seedBlock = vm.getBlockNumber();
        bytes32 runningHash = commitments.runningHashOf(_taskId);
        bytes32 before = _state();
        bool wasReady;
        for (uint256 i; i < actions.length; ++i) {
            _act(actions[i]);
            vm.assertEq(_state(), before, "closed as it was, with the same submissions and the same judges");
            bool isReady = commitments.isSealable(_taskId);
            vm.assertTrue(isReady || !wasReady, "ready for good");
            wasReady = isReady;
        }
        vm.roll(vm.getBlockNumber() + 1);
        attestations.sealEpoch(_taskId);
        _assertPhase(_taskId, 1, EpochPhase.AttestCommit);
        bytes32 expected = keccak256(abi.encode(blockhash(_seedBlock), runningHash, _taskId, uint64(1)));
        vm.assertEq(attestations.seedOf(_taskId, 1), expected, "another seed");
    }

    /// What an open epoch is made of.
    function _state() private view returns (bytes32) {
        (uint64 epoch, bool isOpen, bool isClosed, uint16 submissions) = commitments.openEpochOf(_taskId);
        vm.assertTrue(epoch == 1 && isOpen && isClosed && submissions == 3, "closed");
        (uint128 weight, uint16 count) = verifiers.electorateOf(_taskId);
        return keccak256(abi.encode(commitments.runningHashOf(_taskId), weight, count));
    }

    function _act(uint256 action) private {
        address[4] memory trainers = [trainer, secondTrainer, thirdTrainer, outsider];
        address[4] memory judges = [verifier, secondVerifier, outsider, initiator];
        (address who, address judge) = (trainers[action % 4], judges[action % 4]);
        uint256 what = action / 4 % 13;
        if (what == 0) {
            try payouts.slashFraud(_ref(_taskId, 0, secondTrainer, 1)) {} catch {}
        } else if (what == 1) {
            try attestations.slashAbsence(_taskId, 0, thirdVerifier) {} catch {}
        } else if (what == 2) {
            try payouts.claim(_refs(_ref(_taskId, 0, trainer, 0))) {} catch {}
        } else if (what == 3) {
            _tryAs(who, address(commitments), abi.encodeCall(commitments.delist, (_taskId, who)));
        } else if (what == 4) {
            _tryAs(who, address(commitments), _enlistment());
        } else if (what == 5) {
            _tryAs(who, address(commitments), _commitment());
        } else if (what == 6) {
            _tryAs(initiator, address(registry), abi.encodeCall(registry.closeTask, (_taskId)));
        } else if (what == 7) {
            _tryAs(who, address(registry), abi.encodeCall(registry.fundTask, (_taskId, 0)));
        } else if (what == 8) {
            _tryAs(who, address(commitments), _turn(action / 52));
        } else if (what == 9) {
            _tryAs(judge, address(verifiers), abi.encodeCall(verifiers.delist, (_taskId)));
        } else if (what == 10) {
            _tryAs(judge, address(verifiers), _judgeship());
        } else if (what == 11) {
            vm.prank(address(appeals));
            verifiers.slash(_taskId, 0, judge, uint16(action % 10_001), address(0), 0, 0);
        } else {
            vm.roll(vm.getBlockNumber() + 1);
            vm.warp(_now() + 10); // 24 times: still before the last moment in which it can be sealed
        }
    }

    function _enlistment() private view returns (bytes memory) {
        return abi.encodeCall(commitments.enlist, (_taskId, _termsHash(_taskId)));
    }

    function _judgeship() private view returns (bytes memory) {
        return abi.encodeCall(verifiers.enlist, (_taskId, _termsHash(_taskId), 100 * UNIT, address(0)));
    }

    function _commitment() private view returns (bytes memory) {
        return abi.encodeCall(commitments.commitSubmission, (_taskId, 1, SubmissionKind.Full, ROOT, 1, 0, true));
    }

    function _turn(uint256 which) private view returns (bytes memory) {
        if (which % 3 == 0) return abi.encodeCall(commitments.closeEpoch, (_taskId));
        if (which % 3 == 1) return abi.encodeCall(commitments.abandonEpoch, (_taskId));
        return abi.encodeCall(commitments.openEpoch, (_taskId));
    }

    /// What it tries need not succeed.
    function _tryAs(address who, address target, bytes memory data) private {
        vm.prank(who);
        (bool success,) = target.call(data);
        success;
    }

    function _commitAll() private {
        _commit(_taskId, trainer);
        _commit(_taskId, secondTrainer);
        _commit(_taskId, thirdTrainer);
    }

    /// Epoch 0: a fraud that is not slashed yet, a verifier that was absent, submissions that are not claimed.
    function _judgedEpoch() private {
        _bond(trainer, Role.Trainer, 100 * UNIT);
        _bond(secondTrainer, Role.Trainer, 100 * UNIT);
        _bond(thirdTrainer, Role.Trainer, 100 * UNIT);
        _commitAll();
        attestations.sealEpoch(_taskId);
        _commitReport(_taskId, 0, verifier, hex"64ff64");
        _commitReport(_taskId, 0, secondVerifier, hex"64ff64");
        _wait(100);
        _reveal(_taskId, 0, verifier, hex"64ff64");
        _reveal(_taskId, 0, secondVerifier, hex"64ff64");
        _settle(_taskId, 0, hex"64ff64");
        _finalise(_taskId, 0);
    }
}

/// One trainer with submissions in two tasks does whatever it likes, beside a count of what is in flight.
contract CollateralTest is Network {
    struct Item {
        uint256 which; // of the two tasks
        SubmissionRef ref;
        bool isJudged;
        bool hasEnded;
    }

    uint256[2] private _tasks;
    uint256[2] private _inFlight;
    uint256[2] private _units; // of these submissions
    Item[] private _items;

    function setUp() public override {
        super.setUp();
        TaskParams memory params = _params();
        params.kinds[0].unitPrice = 1;
        (params.trainerBond, params.fraudSlash, params.verifierFee, params.verifierBond) = (60, 48, 0, 10_000);
        (params.challengeBond, params.jurorFee) = (1, 0);
        params.maxSubmissionsEach = 5;
        for (uint256 i; i < 2; ++i) {
            _tasks[i] = _openTask(params, 1e6);
            _enlistVerifier(_tasks[i], verifier, 10_000);
            _enlistVerifier(_tasks[i], secondVerifier, 10_000);
            _enlistVerifier(_tasks[i], thirdVerifier, 10_000);
        }
        _bond(trainer, Role.Trainer, 500);
    }

    /// What is locked for a task is the larger of its bond, while enlisted, and of what its units in flight may cost;
    /// no wei answers for two tasks; and all of it comes free. forge-config: default.fuzz.runs = 64
    function testFuzz_Lock_EqualsTheBondOrWhatIsInFlight(uint16[40] memory actions) public {
        for (uint256 i; i < actions.length; ++i) {
            _act(actions[i] & 1, actions[i] / 2);
            _assertLocks();
        }
        for (uint256 i; i < 2; ++i) {
            _tryJudge(i, 0);
            vm.prank(trainer);
            try commitments.delist(_tasks[i], trainer) {} catch {}
        }
        for (uint256 i; i < _items.length; ++i) {
            _tryEnd(i, 0);
            _tryEnd(i, 1);
        }
        _assertLocks();
        (, uint128 locked,,) = staking.bondOf(trainer, Role.Trainer);
        vm.assertEq(locked, 0, "all of it is free in the end");
    }

    function _act(uint256 which, uint256 action) private {
        uint256 taskId = _tasks[which];
        uint256 what = action % 9;
        if (what == 0) {
            bytes32 termsHash = _termsHash(taskId);
            vm.prank(trainer);
            try commitments.enlist(taskId, termsHash) {} catch {}
        } else if (what == 1) {
            vm.prank(trainer);
            try commitments.delist(taskId, trainer) {} catch {}
        } else if (what < 5) {
            _tryCommit(which, action / 9 % 4 == 0, uint16(1 + action / 36 % 10));
        } else if (what == 5) {
            _tryJudge(which, action);
        } else if (what == 6) {
            (, uint128 free) = staking.freeBond(Role.Trainer, trainer);
            vm.prank(trainer);
            if (free > 60) staking.requestUnbond(Role.Trainer, free - 60);
            else staking.operatorOf(trainer);
            _bond(trainer, Role.Trainer, 60);
        } else if (_items.length > 0) {
            _tryEnd(action / 9 % _items.length, action / 9 % 3);
        }
    }

    function _tryCommit(uint256 which, bool isLast, uint16 units) private {
        uint256 taskId = _tasks[which];
        (uint64 epoch,,, uint16 index) = commitments.openEpochOf(taskId);
        vm.prank(trainer);
        try commitments.commitSubmission(taskId, epoch, SubmissionKind.Full, _rootOf(index), units, 0, isLast) {
            ++_inFlight[which];
            _units[which] += units;
            SubmissionRef memory ref = _ref(taskId, epoch, trainer, index);
            ref.submission.units = units;
            _items.push(Item(which, ref, false, false));
        } catch {}
    }

    /// Closes, seals and judges the open epoch, if it has submissions: each of them paid, not paid or a fraud.
    function _tryJudge(uint256 which, uint256 salt) private {
        uint256 taskId = _tasks[which];
        (uint64 epoch,,, uint16 submissions) = commitments.openEpochOf(taskId);
        if (submissions == 0) return;
        _wait(100);
        try commitments.closeEpoch(taskId) {} catch {}
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
        bytes memory report = new bytes(submissions);
        for (uint256 i; i < submissions; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(salt, i))) % 3;
            report[i] = draw == 0 ? bytes1(0xff) : draw == 1 ? bytes1(0x64) : bytes1(0);
        }
        // One that is sealed too late is void: its submissions are over as well.
        if (attestations.phaseOf(taskId, epoch) != EpochPhase.Void) _judge(taskId, epoch, report);
        for (uint256 i; i < _items.length; ++i) {
            if (_items[i].which == which && _items[i].ref.epoch == epoch) _items[i].isJudged = true;
        }
    }

    function _tryEnd(uint256 i, uint256 how) private {
        Item storage item = _items[i];
        bool success;
        if (how == 0) {
            try payouts.claim(_refs(item.ref)) {
                success = true;
            } catch {}
        } else if (how == 1) {
            try payouts.slashFraud(item.ref) {
                success = true;
            } catch {}
        } else if (item.isJudged) {
            // What a void epoch had reserved is free already.
            bool isReserved = attestations.phaseOf(item.ref.taskId, item.ref.epoch) != EpochPhase.Void;
            vm.prank(address(plants));
            try commitments.settlePlant(item.ref.taskId, item.ref.epoch, item.ref.submission, isReserved) {
                success = true;
            } catch {}
        }
        if (!success) return;
        vm.assertTrue(item.isJudged && !item.hasEnded, "once, and not before it is judged");
        item.hasEnded = true;
        --_inFlight[item.which];
        _units[item.which] -= item.ref.submission.units;
    }

    function _assertLocks() private view {
        uint256 sum;
        for (uint256 i; i < 2; ++i) {
            (uint128 locked, uint32 inFlight) = commitments.collateralOf(_tasks[i], trainer);
            vm.assertEq(inFlight, _inFlight[i], "in flight");
            uint256 bond = commitments.isEnlisted(_tasks[i], trainer) ? 60 : 0;
            uint256 submissions = (48 * _units[i] + 9) / 10; // 48 for ten units, which are a submission of full size
            vm.assertEq(locked, bond > submissions ? bond : submissions, "locked for the task");
            sum += locked;
        }
        (uint128 bonded, uint128 all,,) = staking.bondOf(trainer, Role.Trainer);
        vm.assertEq(all, sum, "locked for both");
        vm.assertLe(all, bonded, "and there");
    }
}
