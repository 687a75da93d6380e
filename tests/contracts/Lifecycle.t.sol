// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {IPayouts, WorkRef} from "../../contracts/interfaces/IPayouts.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// Tasks from their first epoch to their last refund, and the corners they may be driven into.
contract LifecycleTest is Network {
    bytes private constant GOOD = hex"646464";

    // epochs

    function test_Epoch_WithoutWorks_WaitsAndCostsNothing() public {
        uint256 taskId = _staffedTask();
        _wait(10_000);
        (,, uint40 commitBy,) = registry.epochOf(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotReady.selector, taskId, 0, commitBy));
        attestations.sealEpoch(taskId);
        vm.prank(initiator);
        registry.closeTask(taskId);
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 1000 * UNIT, "all of it back");
    }

    function test_Void_PaysNobodyAndSlashesNobodyForItsWorks() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, hex"ff6464");
        _wait(100);
        _reveal(taskId, 0, verifier, hex"ff6464");
        attestations.voidEpoch(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1)));
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claimFees(taskId, new uint64[](1));
        vm.assertTrue(registry.isEnlisted(taskId, trainer), "still enlisted");
        _commitAllAndSeal(taskId);
        _judge(taskId, 1, GOOD);
        payouts.claim(_refs(_ref(taskId, 1, trainer, 0)));
        vm.assertEq(token.balanceOf(trainer), 10 * UNIT, "the next epoch is as any other");
    }

    /// The money for one epoch at a time: the next opens when the former has given back enough.
    function test_RunDry_InMidEpoch_GoesOnWithWhatComesBack() public {
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        _assertOpen(taskId, 1, false);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotOpen.selector, taskId));
        registry.commitWork(taskId, 1, ROOT, 10, 0);
        _judge(taskId, 0, hex"ff0000");
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1)));
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        _assertOpen(taskId, 1, false);
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0)); // 45 of the bond, and its work's 10
        registry.fundTask(taskId, 0);
        _assertOpen(taskId, 1, true);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.assertTrue(registry.sealable(taskId), "the slashed trainer is not waited for");
    }

    function test_EnlistAndDelist_WhileDry_IsCountedWhenTheEpochOpens() public {
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        vm.prank(trainer);
        registry.delist(taskId, trainer);
        _enlistTrainer(taskId, outsider);
        _fund(initiator, address(registry), 103 * UNIT);
        vm.prank(initiator);
        registry.fundTask(taskId, 103 * UNIT);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.assertFalse(registry.sealable(taskId), "the new one is waited for");
        _commit(taskId, outsider);
        vm.assertTrue(registry.sealable(taskId), "all who are enlisted");
    }

    /// Three epochs on their way, one of them void in the end: everybody gets what is theirs, the initiator the rest.
    function test_CloseTask_WithOpenEpochs_RefundsToTheWei() public {
        uint256 taskId = _sealedTask(); // epoch 0
        _commitAllAndSeal(taskId); // epoch 1
        _commitAllAndSeal(taskId); // epoch 2
        _commit(taskId, trainer); // epoch 3
        vm.prank(initiator);
        registry.closeTask(taskId);
        _attest(taskId, 0, hex"64ff32");
        _attest(taskId, 1, hex"640021");
        _settle(taskId, 0, hex"64ff32");
        _settle(taskId, 1, hex"640021");
        _wait(100);
        attestations.finalise(taskId, 0);
        attestations.finalise(taskId, 1);
        attestations.voidEpoch(taskId, 2);
        attestations.sealEpoch(taskId);
        _judge(taskId, 3, hex"64");
        _assertOpen(taskId, 4, false);

        registry.refundTask(taskId);
        uint256 paid = _payOut(taskId);
        registry.refundTask(taskId);
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(budget + reserved, 0, "nothing stays behind");
        vm.assertEq(token.balanceOf(address(registry)), 0, "held");
        vm.assertEq(token.balanceOf(initiator) + paid, 1000 * UNIT + 45 * UNIT, "funded, and nine tenths of a slash");
    }

    function test_RefundTask_WhileTheLastEpochIsJudged_Reverts() public {
        TaskParams memory params = _params();
        params.maxEpochs = 1;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        (,, uint40 commitBy,) = registry.epochOf(taskId, 0);
        bytes memory notReady = abi.encodeWithSelector(ITaskRegistry.EpochNotReady.selector, taskId, 0, commitBy);
        vm.expectRevert(notReady);
        registry.refundTask(taskId);
        _attest(taskId, 0, GOOD);
        vm.expectRevert(notReady);
        registry.refundTask(taskId);
        _settle(taskId, 0, GOOD);
        vm.expectRevert(notReady);
        registry.refundTask(taskId);
        _finalise(taskId, 0);
        registry.refundTask(taskId);
    }

    function test_ManyTasks_AtOnce_EachHasItsOwnMoneyAndBonds() public {
        uint256[8] memory tasks;
        for (uint256 i; i < 8; ++i) {
            tasks[i] = _staffedTask();
        }
        vm.assertEq(registry.neededBondOf(trainer), 480 * UNIT, "one bond a task");
        vm.assertEq(attestations.neededBondOf(verifier), 800 * UNIT, "one bond a task");
        for (uint256 i; i < 8; ++i) {
            _commitAllAndSeal(tasks[i]);
        }
        for (uint256 i; i < 8; ++i) {
            _attest(tasks[i], 0, i % 2 == 0 ? bytes(hex"ff6464") : bytes(hex"006464"));
        }
        for (uint256 i; i < 8; ++i) {
            _settle(tasks[i], 0, i % 2 == 0 ? bytes(hex"ff6464") : bytes(hex"006464"));
        }
        _wait(100);
        for (uint256 i; i < 8; ++i) {
            attestations.finalise(tasks[i], 0);
        }
        payouts.slashFraud(_ref(tasks[2], 0, trainer, 0));
        payouts.claim(_refs(_ref(tasks[5], 0, secondTrainer, 1)));
        uint256 held;
        for (uint256 i; i < 8; ++i) {
            (uint256 budget, uint256 reserved) = _money(tasks[i]);
            uint256 expected = uint256(1000 * UNIT) + (i == 2 ? 45 * UNIT : 0) - (i == 5 ? 10 * UNIT : 0);
            vm.assertEq(budget + reserved, expected, "a task's money");
            vm.assertTrue(
                registry.isEnlisted(tasks[i], trainer) == (i != 2), "a slash of one task ends that enlistment"
            );
            (uint128 collateral,) = registry.collateralOf(tasks[i], trainer);
            vm.assertEq(collateral, i == 2 ? 10 * UNIT : 60 * UNIT, "collateral");
            held += budget + reserved;
        }
        vm.assertEq(token.balanceOf(address(registry)), held, "held = owed");
    }

    // keys

    function test_HotKey_ChangedInMidEpoch_TheNewOneGoesOn() public {
        uint256 taskId = _staffedTask();
        address former = _nameWorker(trainer, 50);
        vm.prank(former);
        registry.commitWork(taskId, 0, ROOT, 10, 0);
        address next = _nameWorker(trainer, 51);
        vm.prank(next);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.AlreadyCommitted.selector, taskId, 0, trainer));
        registry.commitWork(taskId, 0, ROOT, 10, 0);
        vm.prank(former);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotEnlisted.selector, taskId, former));
        registry.commitWork(taskId, 0, ROOT, 10, 0);
        _nextBlock();
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        attestations.sealEpoch(taskId);

        former = _nameWorker(verifier, 60);
        bytes32 commitment = _commitment(taskId, 0, verifier, GOOD);
        vm.prank(former);
        attestations.commitAttestation(taskId, 0, commitment);
        next = _nameWorker(verifier, 61);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        vm.prank(former);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotCommitted.selector, taskId, 0, former));
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
        vm.prank(next);
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
        _reveal(taskId, 0, secondVerifier, GOOD);
        _reveal(taskId, 0, thirdVerifier, GOOD);
        _settle(taskId, 0, GOOD);

        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        signatures[0] = _signPolicy(60, taskId, 0, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, former));
        attestations.publishPolicy(taskId, 0, ROOT, "", _firstOnly(signatures));
        signatures[0] = _signPolicy(61, taskId, 0, ROOT);
        attestations.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    // seeds

    /// The running hash never starts anew: a chain that gives the same randomness twice does not give the same seed twice.
    function test_Seed_WithTheSameRandomnessTwice_Differs() public {
        uint256 taskId = _staffedTask();
        vm.prevrandao(bytes32(uint256(7)));
        _commitAllAndSeal(taskId);
        _commitAllAndSeal(taskId);
        vm.assertTrue(attestations.seedOf(taskId, 0) != attestations.seedOf(taskId, 1), "the same works, another seed");
        uint256 other = _openTask();
        address[3] memory trainers = [secondTrainer, trainer, thirdTrainer];
        for (uint256 i; i < 3; ++i) {
            _enlistTrainer(other, trainers[i]);
        }
        _enlistVerifier(other, verifier, 100 * UNIT);
        for (uint256 i; i < 3; ++i) {
            _commit(other, trainers[i]);
        }
        attestations.sealEpoch(other);
        vm.assertTrue(attestations.seedOf(taskId, 0) != attestations.seedOf(other, 0), "other works, another seed");
    }

    // bonds that try to get away

    /// A cheat has itself slashed in a task of its own first: that takes nothing that answers elsewhere.
    function test_Trainer_SlashedInItsOwnTaskFirst_StillPaysHere() public {
        uint256 taskId = _sealedTask();
        uint256 own = _openTask();
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotBonded.selector, trainer, 60 * UNIT, 120 * UNIT));
        registry.enlist(own);
        _enlistTrainer(own, trainer);
        _enlistVerifier(own, outsider, 100 * UNIT); // the cheat's own
        _commit(own, trainer);
        attestations.sealEpoch(own);
        _commitReport(own, 0, outsider, hex"ff");
        _reveal(own, 0, outsider, hex"ff");
        _settle(own, 0, hex"ff");
        _attest(taskId, 0, hex"ff6464");
        _settle(taskId, 0, hex"ff6464");
        _wait(100);
        attestations.finalise(own, 0);
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.slashFraud(_ref(own, 0, trainer, 0)), 50 * UNIT, "the cheat's own task");
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 50 * UNIT, "all that it owes here");
    }

    /// It leaves for another task, or for good, while its last works are judged: the bond stays until they are.
    function test_Trainer_WhoLeaves_TakesItsBondNowhere() public {
        uint256 taskId = _sealedTask();
        uint256 other = _openTask();
        vm.prank(trainer);
        registry.delist(taskId, trainer);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotBonded.selector, trainer, 60 * UNIT, 120 * UNIT));
        registry.enlist(other);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 60 * UNIT);
        uint256 due = _now() + UNBONDING;
        _judge(taskId, 0, hex"ff6464");
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillUnbonding.selector, trainer, due));
        staking.withdraw(Role.Trainer);
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 50 * UNIT, "taken");
    }

    /// The longest that an epoch may take, with every call made in time: the bond of who left at once is still there.
    function test_Trainer_WhoLeavesAtOnce_AnswersThroughTheLongestEpoch() public {
        TaskParams memory params = _params();
        (params.revealWindow, params.appealWindow) = (149, 876); // 2,499 of the 2,500 that unbonding takes
        params.quorumBps = 6666;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _wait(150);
        _commit(taskId, trainer);
        vm.startPrank(trainer);
        registry.delist(taskId, trainer);
        staking.requestUnbond(Role.Trainer, 60 * UNIT);
        vm.stopPrank();
        uint256 start = _now();
        (,, uint40 commitBy,) = registry.epochOf(taskId, 0);
        _until(commitBy);
        attestations.sealEpoch(taskId);
        _commitReport(taskId, 0, verifier, hex"64");
        _commitReport(taskId, 0, secondVerifier, hex"64");
        _until(commitBy + 99);
        _commitReport(taskId, 0, thirdVerifier, "withheld");
        _reveal(taskId, 0, verifier, hex"64");
        _reveal(taskId, 0, secondVerifier, hex"64");
        _until(commitBy + 99 + 148);
        _reveal(taskId, 0, thirdVerifier, "withheld");
        _until(commitBy + 99 + 148 + 149);
        _settle(taskId, 0, hex"64");
        _wait(99);
        _challenge(taskId, 0, 0, 255);
        _commitVote(taskId, 0, 0, verifier, 255);
        _commitVote(taskId, 0, 0, secondVerifier, 255);
        _wait(876);
        _revealVote(taskId, 0, 0, verifier, 255);
        _wait(875);
        _revealVote(taskId, 0, 0, secondVerifier, 255);
        _wait(149);
        challenges.decide(taskId, 0, 0, new bytes[](0)); // the reports' bytes are lost
        attestations.finalise(taskId, 0);
        vm.assertLe(_now() - start, UNBONDING - 1, "in time");
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 50 * UNIT, "taken");
    }

    function test_Verifier_SlashedInAnotherTaskFirst_StillPaysHere() public {
        uint256 taskId = _sealedTask();
        uint256 own = _openTask();
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotBonded.selector, verifier, 0, 100 * UNIT));
        attestations.enlist(own); // all of its bond answers already
        _enlistVerifier(own, verifier, 100 * UNIT);
        _enlistTrainer(own, outsider);
        _commit(own, outsider);
        attestations.sealEpoch(own);
        _wait(100);
        attestations.voidEpoch(own, 0);
        attestations.voidEpoch(taskId, 0);
        attestations.slashAbsence(own, 0, verifier);
        (uint128 here,) = attestations.collateralOf(taskId, verifier);
        (uint128 there,) = attestations.collateralOf(own, verifier);
        vm.assertTrue(here == 100 * UNIT && there == 95 * UNIT, "each its own");
        attestations.slashAbsence(taskId, 0, verifier);
        vm.assertEq(_bonded(verifier, Role.Verifier), 190 * UNIT, "both");
    }

    function test_Verifier_WhoUnbondsEarly_StillPays() public {
        uint256 taskId = _sealedTask();
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillEnlisted.selector, verifier, 1));
        staking.requestUnbond(Role.Verifier, 1);
        vm.prank(verifier);
        attestations.delist(taskId);
        vm.prank(verifier);
        staking.requestUnbond(Role.Verifier, 100 * UNIT);
        _wait(100);
        attestations.voidEpoch(taskId, 0);
        attestations.slashAbsence(taskId, 0, verifier);
        (, uint128 unbonding,,) = staking.bondOf(verifier, Role.Verifier);
        vm.assertEq(unbonding, 95 * UNIT, "left");
    }

    function test_Verifier_ReleaseBond_OnceItNoLongerAnswers() public {
        uint256 taskId = _sealedTask();
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NothingToRelease.selector, taskId, verifier));
        attestations.releaseBond(taskId, verifier);
        vm.prank(verifier);
        attestations.delist(taskId);
        uint256 from = _now() + UNBONDING;
        _wait(UNBONDING - 1);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.StillAnswerable.selector, taskId, verifier, from));
        attestations.releaseBond(taskId, verifier);
        _wait(1);
        vm.expectEmit(address(attestations));
        emit IAttestations.VerifierBondReleased(taskId, verifier, 100 * UNIT);
        attestations.releaseBond(taskId, verifier);
        (uint128 collateral, uint40 until) = attestations.collateralOf(taskId, verifier);
        vm.assertEq(collateral, 0, "released");
        vm.assertEq(until, from, "until");
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NothingToRelease.selector, taskId, verifier));
        attestations.releaseBond(taskId, verifier);
        attestations.voidEpoch(taskId, 0);
        attestations.slashAbsence(taskId, 0, verifier);
        vm.assertEq(_bonded(verifier, Role.Verifier), 100 * UNIT, "too late");
    }

    // nothing to be gained

    function test_Bond_AfterTheSeal_AddsNoWeight() public {
        uint256 taskId = _sealedTask();
        _bond(verifier, Role.Verifier, 1000 * UNIT);
        _attest(taskId, 0, GOOD);
        (, uint128 weight,,, uint128 enlistedWeight) = attestations.attestationOf(taskId, 0, verifier);
        vm.assertEq(weight, 100 * UNIT, "as enlisted");
        vm.assertEq(enlistedWeight, 300 * UNIT, "as sealed");
        _settle(taskId, 0, GOOD);
        _finalise(taskId, 0);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), UNIT, "a third of the fee");
    }

    /// Who reveals late has seen the others' reports, but can reveal only what it had committed to; who comes later than
    /// that has not voted.
    function test_Vote_Late_GainsNothing() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, hex"000000");
        _wait(100);
        vm.prank(thirdVerifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestReveal));
        attestations.commitAttestation(taskId, 0, keccak256("late"));
        _reveal(taskId, 0, verifier, GOOD);
        bytes32 committed = _commitment(taskId, 0, secondVerifier, hex"000000");
        bytes32 copied = _commitment(taskId, 0, secondVerifier, GOOD);
        vm.prank(secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.CommitmentMismatch.selector, committed, copied));
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
        _wait(100);
        vm.prank(secondVerifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Missed));
        attestations.revealAttestation(taskId, 0, keccak256(hex"000000"), SALT, EVIDENCE);
        attestations.voidEpoch(taskId, 0);
        attestations.slashAbsence(taskId, 0, secondVerifier);
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        vm.assertEq(_bonded(secondVerifier, Role.Verifier), 95 * UNIT, "committed, never revealed");
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 95 * UNIT, "never committed");
    }

    /// The second work is crafted so that honest verifiers see fraud, half, or full. It earns the median; the works beside
    /// it earn all, and each verifier loses at most that work's part of its fee.
    function test_CraftedWork_SplitsVerifiers_AndCostsOnlyItself() public {
        uint256 taskId = _sealedTask();
        (bytes memory a, bytes memory b, bytes memory c) = (bytes(hex"64ff64"), bytes(hex"643264"), bytes(hex"646464"));
        _attest(taskId, 0, a, b, c);
        attestations.settle(taskId, 0, _sorted(a, b, c));
        _finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFraud.selector, taskId, 0, 1, 50));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1)));
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        vm.assertEq(token.balanceOf(trainer), 10 * UNIT, "the first");
        vm.assertEq(token.balanceOf(secondTrainer), 5 * UNIT, "the crafted one");
        vm.assertEq(token.balanceOf(thirdTrainer), 10 * UNIT, "the third");
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), uint256(UNIT) * 2 / 3, "two of three works");
        vm.assertEq(payouts.feeOf(taskId, 0, secondVerifier), UNIT, "the median");
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), uint256(UNIT) * 2 / 3, "two of three works");
        vm.expectRevert(abi.encodeWithSelector(IAttestations.WasPresent.selector, taskId, 0, verifier));
        attestations.slashAbsence(taskId, 0, verifier);
    }

    // leaving each phase

    /// Without a verifier no epoch is sealed; somebody who wants it judged can bond and enlist.
    function test_Phase_WithoutVerifiers_IsLeftByANewOne() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _commit(taskId, trainer);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NoVerifiers.selector, taskId));
        attestations.sealEpoch(taskId);
        _enlistVerifier(taskId, initiator, 100 * UNIT);
        attestations.sealEpoch(taskId);
        _wait(100);
        attestations.voidEpoch(taskId, 0);
    }

    /// With nobody but an outsider left to act, time and its calls end every phase.
    function test_EveryPhase_IsLeftByAnOutsider() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _wait(100);
        vm.startPrank(outsider);
        attestations.sealEpoch(taskId); // Committing
        vm.stopPrank();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        _assertPhase(taskId, 0, EpochPhase.AttestReveal); // AttestCommit
        _wait(100);
        _assertPhase(taskId, 0, EpochPhase.Missed); // AttestReveal
        vm.prank(outsider);
        attestations.voidEpoch(taskId, 0); // Missed
        _commit(taskId, secondTrainer);
        _wait(100);
        attestations.sealEpoch(taskId);
        _attest(taskId, 1, GOOD);
        _wait(1000);
        vm.prank(outsider);
        attestations.settle(taskId, 1, _list(GOOD)); // Attested
        _wait(100);
        vm.prank(outsider);
        attestations.finalise(taskId, 1); // Challengeable
        _commit(taskId, thirdTrainer);
        _wait(100);
        attestations.sealEpoch(taskId);
        _attest(taskId, 2, "nobody has these bytes");
        _wait(UNBONDING);
        vm.prank(outsider);
        attestations.voidEpoch(taskId, 2); // Attested, and nobody can settle it
        _assertPhase(taskId, 2, EpochPhase.Void);
    }

    function _payOut(uint256 taskId) private returns (uint256 paid) {
        WorkRef[] memory refs = new WorkRef[](3);
        (refs[0], refs[1], refs[2]) =
        (_ref(taskId, 0, trainer, 0), _ref(taskId, 1, trainer, 0), _ref(taskId, 3, trainer, 0));
        paid += payouts.claim(refs);
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        paid += payouts.claim(_refs(_ref(taskId, 1, secondTrainer, 1)));
        paid += payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        paid += payouts.claim(_refs(_ref(taskId, 1, thirdTrainer, 2)));
        uint64[] memory epochs = new uint64[](3);
        (epochs[1], epochs[2]) = (1, 3);
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            vm.prank(all[i]);
            paid += payouts.claimFees(taskId, epochs);
        }
        vm.assertEq(paid, 30 * UNIT + 5 * UNIT + 3.3 ether + 9 * UNIT, "works and fees");
    }

    function _until(uint256 time) private {
        _wait(time - _now());
    }

    function _firstOnly(bytes[] memory all) private pure returns (bytes[] memory first) {
        first = new bytes[](1);
        first[0] = all[0];
    }

    function _assertOpen(uint256 taskId, uint64 epoch, bool expected) private view {
        (,,, uint64 openEpoch,, bool isOpen,) = registry.stateOf(taskId);
        vm.assertEq(openEpoch, epoch, "epoch");
        vm.assertTrue(isOpen == expected, "open");
    }

    function _wrongPhase(uint256 taskId, EpochPhase phase) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAttestations.WrongPhase.selector, taskId, 0, phase);
    }
}
