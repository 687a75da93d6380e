// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Attestations} from "../../contracts/Attestations.sol";
import {Staking} from "../../contracts/Staking.sol";
import {TaskRegistry} from "../../contracts/TaskRegistry.sol";
import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams, Work} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Works} from "../../contracts/libraries/Works.sol";
import {Network} from "./Network.sol";

contract TaskRegistryTest is Network {
    // openTask

    function test_OpenTask_EscrowsAndOpensEpochZero() public {
        uint256 taskId = _openTask();
        vm.assertEq(taskId, 1, "ids count from 1");
        vm.assertEq(registry.taskCount(), 1, "count");
        (address who, uint256 budget, uint256 reserved, uint64 openEpoch, uint16 trainers, bool isOpen, bool isClosed) =
            registry.stateOf(taskId);
        vm.assertEq(who, initiator, "initiator");
        vm.assertEq(reserved, 103 * UNIT, "an epoch's most: 100 units and the fee");
        vm.assertEq(budget, 897 * UNIT, "the rest");
        vm.assertEq(openEpoch, 0, "epoch");
        vm.assertEq(trainers, 0, "trainers");
        vm.assertTrue(isOpen && !isClosed, "open");
        vm.assertEq(token.balanceOf(address(registry)), 1000 * UNIT, "held");
        vm.assertEq(registry.policyRootOf(taskId), POLICY, "policy");
        (uint32 version, bytes32 root) = attestations.policyOf(taskId);
        vm.assertEq(version, 0, "version");
        vm.assertEq(root, POLICY, "initiator's policy");
    }

    function testFuzz_ParamsOf_GivesBackWhatWasOpened(TaskParams memory params) public {
        params.unitPrice = uint128(_bound(params.unitPrice, 1, 1e20));
        params.maxWorkUnits = uint16(_bound(params.maxWorkUnits, 1, type(uint16).max));
        params.maxEpochUnits = uint32(_bound(params.maxEpochUnits, params.maxWorkUnits, 1e6));
        params.samplingBps = uint16(_bound(params.samplingBps, 1, 10_000));
        params.quorumBps = uint16(_bound(params.quorumBps, 5001, 10_000));
        params.fraudSlash = uint128(_bound(params.fraudSlash, 1e30, 1e31));
        params.trainerBond = uint128(_bound(params.trainerBond, params.fraudSlash, 1e38));
        params.verifierBond = uint128(_bound(params.verifierBond, 1, 1e38));
        params.absenceSlash = uint128(_bound(params.absenceSlash, 0, params.verifierBond));
        params.verdictSlash = uint128(_bound(params.verdictSlash, 0, params.verifierBond));
        params.challengeBond = uint128(_bound(params.challengeBond, 1, type(uint128).max));
        params.verifierFee = uint128(_bound(params.verifierFee, 0, 1e30));
        params.commitWindow = uint32(_bound(params.commitWindow, 1, 199));
        params.attestWindow = uint32(_bound(params.attestWindow, 1, 199));
        params.revealWindow = uint32(_bound(params.revealWindow, 1, 199));
        params.challengeWindow = uint32(_bound(params.challengeWindow, 0, 199));
        params.appealWindow = uint32(_bound(params.appealWindow, 199, 500));
        uint256 taskId = _openTask(params, 1e32);
        vm.assertEq(
            keccak256(abi.encode(registry.paramsOf(taskId))), keccak256(abi.encode(params)), "another set of parameters"
        );
    }

    function test_OpenTask_TermsCannotBeRun() public {
        uint256 taskId = _openTask();
        bytes32 slot = keccak256(abi.encode(taskId, 2)); // the third variable: _tasks
        address terms = address(uint160(uint256(vm.load(address(registry), slot))));
        vm.assertEq(terms.code.length, 256, "terms");
        vm.assertEq(uint8(terms.code[0]), 0, "STOP");
    }

    function test_OpenTask_BadParams_Reverts() public {
        TaskParams memory params = _params();
        params.unitPrice = 0;
        _assertBad(params, "unitPrice");
        params = _params();
        params.maxWorkUnits = 0;
        _assertBad(params, "maxWorkUnits");
        params = _params();
        params.maxEpochUnits = 9;
        _assertBad(params, "maxEpochUnits");
        params = _params();
        params.trainerBond = params.fraudSlash - 1;
        _assertBad(params, "trainerBond");
        params = _params();
        (params.trainerBond, params.fraudSlash) = (0, 0);
        _assertBad(params, "trainerBond");
        params = _params();
        params.verifierBond = params.absenceSlash - 1;
        _assertBad(params, "verifierBond");
        params = _params();
        (params.verifierBond, params.absenceSlash) = (0, 0);
        _assertBad(params, "verifierBond");
        params = _params();
        params.quorumBps = 5000;
        _assertBad(params, "quorumBps");
        params.quorumBps = 10_001;
        _assertBad(params, "quorumBps");
        params = _params();
        params.samplingBps = 0;
        _assertBad(params, "samplingBps");
        params.samplingBps = 10_001;
        _assertBad(params, "samplingBps");
        params = _params();
        params.commitWindow = 0;
        _assertBad(params, "commitWindow");
        params = _params();
        params.attestWindow = 0;
        _assertBad(params, "attestWindow");
        params = _params();
        params.revealWindow = 0;
        _assertBad(params, "revealWindow");
        params = _params();
        params.verdictSlash = params.verifierBond + 1;
        _assertBad(params, "verifierBond");
        params = _params();
        params.challengeBond = 0;
        _assertBad(params, "challengeBond");
        params = _params();
        params.appealWindow = params.attestWindow - 1;
        _assertBad(params, "appealWindow");
        params = _params();
        params.revealWindow = params.appealWindow + 1;
        _assertBad(params, "appealWindow");
    }

    function test_OpenTask_WithoutChallenges_NeedsNeitherTheirBondNorTheirWindow() public {
        TaskParams memory params = _params();
        (params.challengeWindow, params.challengeBond, params.appealWindow) = (0, 0, 0);
        _openTask(params, 1000 * UNIT);
    }

    function test_OpenTask_WindowsAsLongAsUnbonding_Reverts() public {
        TaskParams memory params = _params();
        // 100 to commit, 100 to attest, thrice 100 to reveal, 100 to challenge: 1900 are left for two appeal windows.
        params.appealWindow = 950;
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WindowsTooLong.selector, UNBONDING, UNBONDING));
        registry.openTask(params, 0, "", POLICY, 1000 * UNIT);
        params.appealWindow = 949;
        _openTask(params, 1000 * UNIT);
    }

    function test_OpenTask_CheatingPays_Reverts() public {
        TaskParams memory params = _params();
        params.fraudSlash = 48 * UNIT - 1;
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.CheatingPays.selector, 48 * UNIT - 1, 48 * UNIT));
        registry.openTask(params, 0, "", POLICY, 1000 * UNIT);
        params.fraudSlash = 48 * UNIT;
        _openTask(params, 1000 * UNIT);
    }

    function test_OpenTask_WithoutPolicy_Reverts() public {
        vm.expectRevert(ITaskRegistry.EmptyRoot.selector);
        registry.openTask(_params(), 0, "", 0, 1000 * UNIT);
    }

    function test_OpenTask_BudgetBelowOneEpoch_Reverts() public {
        uint128 needed = 103 * UNIT;
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.BudgetTooSmall.selector, needed - 1, needed));
        registry.openTask(_params(), 0, "", POLICY, needed - 1);
    }

    // fundTask, closeTask, refundTask

    function test_UnknownTask_Reverts() public {
        bytes memory unknown = abi.encodeWithSelector(ITaskRegistry.UnknownTask.selector, 7);
        vm.expectRevert(unknown);
        registry.fundTask(7, 1);
        vm.expectRevert(unknown);
        registry.closeTask(7);
        vm.expectRevert(unknown);
        registry.refundTask(7);
        vm.expectRevert(unknown);
        registry.enlist(7);
        vm.expectRevert(unknown);
        registry.delist(7, trainer);
        vm.expectRevert(unknown);
        registry.paramsOf(7);
        vm.expectRevert(unknown);
        registry.policyRootOf(7);
        vm.expectRevert(unknown);
        attestations.sealEpoch(7);
        (address who,,,,,,) = registry.stateOf(7);
        vm.assertEq(who, address(0), "nobody's");
        vm.assertFalse(registry.sealable(7), "sealable");
    }

    function test_FundTask_RunDry_OpensTheNextEpoch() public {
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        _assertOpen(taskId, 1, false);
        _fund(outsider, address(registry), 50 * UNIT);
        vm.prank(outsider);
        registry.fundTask(taskId, 32 * UNIT); // 70 came back at the seal
        _assertOpen(taskId, 1, false);
        vm.prank(outsider);
        registry.fundTask(taskId, 1 * UNIT);
        _assertOpen(taskId, 1, true);
    }

    function test_FundTask_WithNothing_OpensAnEpochThatClaimsPaidFor() public {
        uint256 taskId = _staff(_openTask(_params(), 132 * UNIT));
        _commitAllAndSeal(taskId); // leaves a budget of 99
        _judge(taskId, 0, hex"000000");
        _assertOpen(taskId, 1, false);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        registry.fundTask(taskId, 0);
        _assertOpen(taskId, 1, true);
    }

    function test_CloseTask_ByAnOutsider_Reverts() public {
        uint256 taskId = _openTask();
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotInitiator.selector, outsider, initiator));
        registry.closeTask(taskId);
    }

    function test_CloseTask_WithoutWorks_EndsTheEpoch() public {
        uint256 taskId = _openTask();
        vm.prank(initiator);
        registry.closeTask(taskId);
        _assertOpen(taskId, 0, false);
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 1000 * UNIT, "all of it back");
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NothingToRefund.selector, taskId));
        registry.refundTask(taskId);
    }

    function test_CloseTask_WithWorks_LetsTheEpochRun() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        vm.prank(initiator);
        registry.closeTask(taskId);
        _assertOpen(taskId, 0, true);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotReady.selector, taskId, 0, 1_000_100));
        registry.refundTask(taskId);
        attestations.sealEpoch(taskId);
        _assertOpen(taskId, 1, false);
        (,, uint40 commitBy,) = registry.epochOf(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotReady.selector, taskId, 0, commitBy));
        registry.refundTask(taskId);
        _judge(taskId, 0, hex"646400");
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 967 * UNIT, "all but 30 units and the fee");
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 977 * UNIT, "what the claim released");
    }

    function test_Closed_Reverts() public {
        uint256 taskId = _openTask();
        vm.prank(initiator);
        registry.closeTask(taskId);
        bytes memory closed = abi.encodeWithSelector(ITaskRegistry.TaskIsClosed.selector, taskId);
        vm.expectRevert(closed);
        registry.fundTask(taskId, 1);
        vm.expectRevert(closed);
        registry.enlist(taskId);
        vm.prank(initiator);
        vm.expectRevert(closed);
        registry.closeTask(taskId);
    }

    function test_RefundTask_StillRunning_Reverts() public {
        uint256 taskId = _openTask();
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NothingToRefund.selector, taskId));
        registry.refundTask(taskId);
    }

    function test_MaxEpochs_ClosesTheTask() public {
        TaskParams memory params = _params();
        params.maxEpochs = 1;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TaskClosed(taskId);
        attestations.sealEpoch(taskId);
        _assertOpen(taskId, 1, false);
        _judge(taskId, 0, hex"646464");
        registry.refundTask(taskId);
    }

    // enlist, delist

    function test_Enlist_WithTooSmallABond_Reverts() public {
        uint256 taskId = _openTask();
        _bond(trainer, Role.Trainer, 60 * UNIT - 1);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotBonded.selector, trainer, 60 * UNIT - 1, 60 * UNIT));
        registry.enlist(taskId);
    }

    function test_Enlist_InTheBlockOfTheBond_Reverts() public {
        uint256 taskId = _openTask();
        _fund(trainer, address(staking), 60 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 60 * UNIT);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotBonded.selector, trainer, 0, 60 * UNIT));
        registry.enlist(taskId);
    }

    function test_Enlist_ForASecondTask_NeedsASecondBond() public {
        uint256 first = _openTask();
        uint256 second = _openTask();
        _enlistTrainer(first, trainer);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotBonded.selector, trainer, 60 * UNIT, 120 * UNIT));
        registry.enlist(second);
        _enlistTrainer(second, trainer);
        vm.assertEq(registry.neededBondOf(trainer), 120 * UNIT, "needed");
        vm.prank(trainer);
        registry.delist(first, trainer);
        vm.assertEq(registry.neededBondOf(trainer), 120 * UNIT, "the first still answers");
        _wait(UNBONDING);
        registry.releaseBond(first, trainer);
        vm.assertEq(registry.neededBondOf(trainer), 60 * UNIT, "needed");
    }

    function test_Enlist_Again_TakesUpWhatIsSetAside() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        vm.prank(trainer);
        registry.delist(taskId, trainer);
        vm.prank(trainer);
        registry.enlist(taskId);
        vm.assertEq(registry.neededBondOf(trainer), 60 * UNIT, "once");
        (uint128 collateral, uint40 until) = registry.collateralOf(taskId, trainer);
        vm.assertEq(collateral, 60 * UNIT, "collateral");
        vm.assertEq(until, 0, "enlisted");
    }

    // releaseBond

    function test_ReleaseBond_OfAFormerTrainer() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NothingToRelease.selector, taskId, trainer));
        registry.releaseBond(taskId, trainer);
        vm.prank(trainer);
        registry.delist(taskId, trainer);
        uint256 from = _now() + UNBONDING;
        (, uint40 until) = registry.collateralOf(taskId, trainer);
        vm.assertEq(until, from, "answers until");
        _wait(UNBONDING - 1);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.StillAnswerable.selector, taskId, trainer, from));
        registry.releaseBond(taskId, trainer);
        _wait(1);
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TrainerBondReleased(taskId, trainer, 60 * UNIT);
        vm.prank(outsider);
        registry.releaseBond(taskId, trainer);
        vm.assertEq(registry.neededBondOf(trainer), 0, "free");
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NothingToRelease.selector, taskId, trainer));
        registry.releaseBond(taskId, trainer);
    }

    function test_ReleaseBond_OfAnOutsider_Reverts() public {
        uint256 taskId = _openTask();
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NothingToRelease.selector, taskId, outsider));
        registry.releaseBond(taskId, outsider);
    }

    function test_Enlist_Twice_Reverts() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        vm.assertTrue(registry.isEnlisted(taskId, trainer), "enlisted");
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.AlreadyEnlisted.selector, taskId, trainer));
        registry.enlist(taskId);
    }

    function test_Delist_NotEnlisted_Reverts() public {
        uint256 taskId = _openTask();
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotEnlisted.selector, taskId, trainer));
        registry.delist(taskId, trainer);
    }

    function test_Delist_ByTheWorkerKey() public {
        uint256 taskId = _staffedTask();
        address worker = _nameWorker(trainer, 50);
        vm.prank(worker);
        registry.delist(taskId, trainer);
        vm.assertFalse(registry.isEnlisted(taskId, trainer), "enlisted");
    }

    function test_Delist_OfAnActiveTrainer_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.StillActive.selector, taskId, trainer));
        registry.delist(taskId, trainer);
    }

    function test_Delist_OfOneWhoEnlistedInTheSealedEpoch_Reverts() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _wait(100);
        attestations.sealEpoch(taskId);
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.StillActive.selector, taskId, secondTrainer));
        registry.delist(taskId, secondTrainer);
    }

    function test_Delist_OfOneWhoSkippedAnEpoch() public {
        uint256 taskId = _sealedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _wait(100);
        attestations.sealEpoch(taskId);
        vm.prank(outsider);
        registry.delist(taskId, thirdTrainer);
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.StillActive.selector, taskId, trainer));
        registry.delist(taskId, trainer);
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        vm.assertTrue(registry.sealable(taskId), "nobody waits for those who left");
    }

    function test_Delist_OfOneThatASlashHasDelisted_Reverts() public {
        uint256 taskId = _slashedTask();
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotEnlisted.selector, taskId, trainer));
        registry.delist(taskId, trainer);
        (,,, uint16 enlistments) = staking.bondOf(trainer, Role.Trainer);
        vm.assertEq(enlistments, 0, "enlistments");
    }

    function test_Slashed_IsNotWaitedFor() public {
        uint256 taskId = _slashedTask();
        _commit(taskId, secondTrainer);
        vm.assertFalse(registry.sealable(taskId), "the third is waited for");
        _commit(taskId, thirdTrainer);
        vm.assertTrue(registry.sealable(taskId), "nobody waits for the slashed");
    }

    function test_Delist_AndEnlistAgain_AfterCommitting_IsNotWaitedFor() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        vm.prank(trainer);
        registry.delist(taskId, trainer);
        vm.prank(trainer);
        registry.enlist(taskId);
        _commit(taskId, secondTrainer);
        vm.assertFalse(registry.sealable(taskId), "the third is waited for");
        _commit(taskId, thirdTrainer);
        vm.assertTrue(registry.sealable(taskId), "all have committed");
    }

    // commitWork

    function test_CommitWork_RemembersAndEmits() public {
        uint256 taskId = _staffedTask();
        address worker = _nameWorker(secondTrainer, 50);
        _commit(taskId, trainer);
        (,,, bytes32 before) = registry.epochOf(taskId, 0);
        vm.expectEmit(address(registry));
        emit ITaskRegistry.WorkCommitted(taskId, 0, secondTrainer, 1, 7, 3, ROOT);
        vm.prank(worker);
        registry.commitWork(taskId, 0, ROOT, 7, 3);

        bytes32 hash = keccak256(abi.encode(uint16(1), secondTrainer, uint16(7), uint32(3), ROOT));
        vm.assertEq(registry.workHash(taskId, 0, secondTrainer), hash, "hash");
        (uint16 works, uint32 units,, bytes32 runningHash) = registry.epochOf(taskId, 0);
        vm.assertEq(works, 2, "works");
        vm.assertEq(units, 17, "units");
        vm.assertEq(runningHash, bytes19(keccak256(abi.encode(before, hash))), "running hash");
    }

    function test_CommitWork_NoOpenEpoch_Reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotOpen.selector, 7));
        registry.commitWork(7, 0, ROOT, 1, 0);
    }

    function test_CommitWork_EmptyRoot_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(trainer);
        vm.expectRevert(ITaskRegistry.EmptyRoot.selector);
        registry.commitWork(taskId, 0, 0, 1, 0);
    }

    function test_CommitWork_BadUnits_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.BadUnits.selector, 0, 10));
        registry.commitWork(taskId, 0, ROOT, 0, 0);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.BadUnits.selector, 11, 10));
        registry.commitWork(taskId, 0, ROOT, 11, 0);
    }

    function test_CommitWork_FullEpoch_RevertsAndSeals() public {
        TaskParams memory params = _params();
        params.maxEpochUnits = 15;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commit(taskId, trainer);
        vm.prank(secondTrainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochFull.selector, taskId, 0, 5));
        registry.commitWork(taskId, 0, ROOT, 6, 0);
        vm.assertFalse(registry.sealable(taskId), "two are waited for");
        vm.prank(secondTrainer);
        registry.commitWork(taskId, 0, ROOT, 5, 0);
        _nextBlock();
        vm.assertTrue(registry.sealable(taskId), "full");
    }

    function test_CommitWork_NotEnlisted_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotEnlisted.selector, taskId, outsider));
        registry.commitWork(taskId, 0, ROOT, 1, 0);
    }

    function test_CommitWork_Slashed_Reverts() public {
        uint256 taskId = _slashedTask();
        _bond(trainer, Role.Trainer, 500 * UNIT);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotEnlisted.selector, taskId, trainer));
        registry.commitWork(taskId, 1, ROOT, 1, 0);
    }

    /// A transaction that comes late lands nowhere, rather than as a useless work of the next epoch.
    function test_CommitWork_ForAnotherEpoch_Reverts() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        vm.prank(secondTrainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WrongEpoch.selector, taskId, 1, 0));
        registry.commitWork(taskId, 1, ROOT, 10, 0);
        _wait(100);
        attestations.sealEpoch(taskId);
        vm.prank(secondTrainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WrongEpoch.selector, taskId, 0, 1));
        registry.commitWork(taskId, 0, ROOT, 10, 0);
        vm.assertEq(registry.workHash(taskId, 1, secondTrainer), bytes32(0), "nothing committed");
    }

    function test_CommitWork_Twice_Reverts() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.AlreadyCommitted.selector, taskId, 0, trainer));
        registry.commitWork(taskId, 0, keccak256("other"), 1, 0);
    }

    function test_CommitWork_AfterTheWindow_Reverts() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        (,, uint40 commitBy,) = registry.epochOf(taskId, 0);
        _wait(100);
        vm.prank(secondTrainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.CommitClosed.selector, taskId, 0, commitBy));
        registry.commitWork(taskId, 0, ROOT, 1, 0);
    }

    function test_CommitWork_FirstAfterAnEmptyWindow_StartsItAnew() public {
        uint256 taskId = _staffedTask();
        _wait(150);
        uint40 commitBy = uint40(_now()) + 100;
        vm.expectEmit(address(registry));
        emit ITaskRegistry.EpochOpened(taskId, 0, commitBy);
        _commit(taskId, trainer);
        vm.assertFalse(registry.sealable(taskId), "others have their window");
        _commit(taskId, secondTrainer);
    }

    // seal

    function test_Seal_ByAnybodyButAttestations_Reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotAuthorised.selector, address(this)));
        registry.seal(1);
    }

    function test_Seal_BeforeItIsReady_Reverts() public {
        uint256 taskId = _staffedTask();
        (,, uint40 commitBy,) = registry.epochOf(taskId, 0);
        bytes memory notReady = abi.encodeWithSelector(ITaskRegistry.EpochNotReady.selector, taskId, 0, commitBy);
        _wait(100);
        vm.expectRevert(notReady); // the window is over, but nobody came
        attestations.sealEpoch(taskId);
        _commit(taskId, trainer);
        (,, commitBy,) = registry.epochOf(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotReady.selector, taskId, 0, commitBy));
        attestations.sealEpoch(taskId);
        _wait(100);
        attestations.sealEpoch(taskId);
    }

    /// Else whoever commits last could look at the seed, and let the whole transaction fail unless it spares its work.
    function test_Seal_InTheBlockOfTheLastWork_Reverts() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        (,, uint40 commitBy,) = registry.epochOf(taskId, 0);
        vm.prank(thirdTrainer);
        registry.commitWork(taskId, 0, ROOT, 10, 0);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotReady.selector, taskId, 0, commitBy));
        attestations.sealEpoch(taskId);
        vm.roll(vm.getBlockNumber() + 1);
        attestations.sealEpoch(taskId);
    }

    function test_Seal_RunDry_Reverts() public {
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotOpen.selector, taskId));
        attestations.sealEpoch(taskId);
    }

    function test_Seal_KeepsTheEpochAndOpensTheNext() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        (uint16 works, uint32 units, uint40 commitBy, bytes32 runningHash) = registry.epochOf(taskId, 0);
        attestations.sealEpoch(taskId);
        (uint16 sealedWorks, uint32 sealedUnits, uint40 sealedBy, bytes32 sealedHash) = registry.epochOf(taskId, 0);
        vm.assertEq(works, sealedWorks, "works");
        vm.assertEq(units, sealedUnits, "units");
        vm.assertEq(commitBy, sealedBy, "commitBy");
        vm.assertEq(runningHash, sealedHash, "running hash");
        _assertOpen(taskId, 1, true);
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(reserved, 136 * UNIT, "30 units and a fee, and the next epoch");
        vm.assertEq(budget, 864 * UNIT, "the rest");
    }

    // the delay of a seal

    function test_Deploy_WithoutASealDelay_Reverts() public {
        vm.expectRevert(ITaskRegistry.BadSealDelay.selector);
        new TaskRegistry(token, staking, attestations, address(challenges), address(payouts), 0);
    }

    /// With a delay of four blocks whoever proposes the last work's block cannot know the seal's randomness.
    function test_Seal_WaitsForAsManyBlocksAsTheDelay() public {
        uint256 nonce = vm.getNonce(address(this));
        address[3] memory at;
        for (uint256 i; i < 3; ++i) {
            at[i] = vm.computeCreateAddress(address(this), nonce + i);
        }
        staking = new Staking(token, at[1], at[2], UNBONDING);
        registry = new TaskRegistry(token, staking, IAttestations(at[2]), address(challenges), address(payouts), 4);
        attestations = new Attestations(staking, registry, address(challenges));
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        uint256 last = vm.getBlockNumber();
        _commit(taskId, thirdTrainer);
        for (uint256 i = 1; i < 4; ++i) {
            vm.roll(last + i);
            vm.assertFalse(registry.sealable(taskId), "too soon to be sealed");
            vm.expectRevert();
            attestations.sealEpoch(taskId);
        }
        vm.roll(last + 4);
        vm.assertTrue(registry.sealable(taskId), "sealable");
        attestations.sealEpoch(taskId);
    }

    // what only the other contracts may call

    function test_Money_ByAnybodyElse_Reverts() public {
        uint256 taskId = _openTask();
        bytes memory refused = abi.encodeWithSelector(ITaskRegistry.NotAuthorised.selector, outsider);
        vm.startPrank(outsider);
        vm.expectRevert(refused);
        registry.releaseEpoch(taskId, 0);
        vm.expectRevert(refused);
        registry.release(taskId, 1);
        vm.expectRevert(refused);
        registry.settleWorks(taskId, trainer, new uint256[](1), new bytes32[](1));
        vm.expectRevert(refused);
        registry.pay(taskId, outsider, 1, 1);
        vm.expectRevert(refused);
        registry.credit(taskId, 1, 0);
        vm.expectRevert(refused);
        registry.hold(taskId, outsider, 1);
        vm.expectRevert(refused);
        registry.settleFraud(taskId, 0, _ref(taskId, 0, trainer, 0).work, outsider, 1);
        vm.stopPrank();
    }

    function testFuzz_Works_HashIsThatOfTheInterface(Work memory work) public pure {
        vm.assertEq(
            Works.hash(work),
            keccak256(abi.encode(work.index, work.trainer, work.units, work.policyVersion, work.manifestRoot)),
            "hash"
        );
    }

    function _assertBad(TaskParams memory params, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.BadParams.selector, what));
        registry.openTask(params, 0, "", POLICY, 1000 * UNIT);
    }

    function _assertOpen(uint256 taskId, uint64 epoch, bool expected) private view {
        (,,, uint64 openEpoch,, bool isOpen,) = registry.stateOf(taskId);
        vm.assertEq(openEpoch, epoch, "epoch");
        vm.assertTrue(isOpen == expected, "open");
    }

    /// The first trainer's work of epoch 0 was a fraud; epoch 1 takes works.
    function _slashedTask() private returns (uint256 taskId) {
        taskId = _sealedTask();
        _judge(taskId, 0, hex"ff6464");
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
    }
}
