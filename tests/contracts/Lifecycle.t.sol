// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DisputePhase} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {ICommitments} from "../../contracts/interfaces/ICommitments.sol";
import {IPayouts, SubmissionRef} from "../../contracts/interfaces/IPayouts.sol";
import {IPolicies} from "../../contracts/interfaces/IPolicies.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {IVerifiers} from "../../contracts/interfaces/IVerifiers.sol";
import {TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Ballot} from "../../contracts/libraries/Ballot.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Disputed} from "./Disputed.sol";

/// Tasks from their first epoch to their last refund, and the corners they may be driven into.
contract LifecycleTest is Disputed {
    bytes private constant GOOD = hex"646464";

    // epochs

    function test_Epoch_WithoutSubmissions_WaitsAndCostsNothing() external {
        uint256 taskId = _staffedTask();
        _wait(10_000);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotReady.selector, taskId, 0));
        attestations.sealEpoch(taskId);
        vm.prank(initiator);
        registry.closeTask(taskId);
        registry.refundTask(taskId);
        _wait(100); // one more window, for submissions that are under way
        vm.prank(outsider);
        commitments.abandonEpoch(taskId);
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 1000 * UNIT, "all of it back");
    }

    function test_Void_PaysNobodyAndSlashesNobodyForItsSubmissions() external {
        uint256 taskId = _richTask(1000 * UNIT);
        _commitAllAndSeal(taskId);
        _commitReport(taskId, 0, verifier, hex"ff6464");
        _wait(100);
        _reveal(taskId, 0, verifier, hex"ff6464");
        attestations.voidEpoch(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFraud.selector, taskId, 0, 0, 252));
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1))), 0, "nothing");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claimFees(taskId, new uint64[](1), verifier);
        vm.assertTrue(commitments.isEnlisted(taskId, trainer), "still enlisted");
        uint64 epoch = _commitAllAndSeal(taskId);
        _judge(taskId, epoch, GOOD);
        payouts.claim(_refs(_ref(taskId, epoch, trainer, 0)));
        vm.assertEq(token.balanceOf(trainer), 10 * UNIT, "the next epoch is as any other");
    }

    /// The money for one epoch at a time: the next opens when the former has given back enough.
    function test_RunDry_GoesOnWithWhatComesBack() external {
        uint256 taskId = _richTask(103 * UNIT);
        _commitAllAndSeal(taskId);
        _assertOpen(taskId, 1, false);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.EpochNotOpen.selector, taskId));
        commitments.commitSubmission(taskId, 1, SubmissionKind.Full, ROOT, 10, 0, false);
        _judge(taskId, 0, hex"ff0000");
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1)));
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        commitments.openEpoch(taskId);
        _assertOpen(taskId, 1, false); // 10 are not back yet
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        commitments.openEpoch(taskId); // nothing was paid, so that no fee was due
        _assertOpen(taskId, 1, true);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer); // nobody waits for the one that was slashed
        attestations.sealEpoch(taskId);
    }

    function test_EnlistAndDelist_WhileDry_IsCountedWhenTheEpochOpens() external {
        uint256 taskId = _richTask(103 * UNIT);
        _commitAllAndSeal(taskId);
        vm.prank(trainer);
        commitments.delist(taskId, trainer);
        _enlistTrainer(taskId, outsider);
        _fund(initiator, address(registry), 103 * UNIT);
        vm.prank(initiator);
        registry.fundTask(taskId, 103 * UNIT);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.assertFalse(commitments.isSealable(taskId), "the new one is waited for");
        _commit(taskId, outsider);
        vm.assertTrue(commitments.isSealable(taskId), "all who are enlisted");
    }

    // whole lives

    /// Four epochs: one with a fraud, one void, one disputed, one whose policy nobody signs. Everybody gets what is
    /// theirs, the initiator the rest, and no contract keeps anything but what is bonded.
    function test_Task_FromItsFirstEpochToItsLastRefund() external {
        _seatJurors(15);
        uint256 taskId = _richTask(1000 * UNIT);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        _playAndPublish(taskId, 0, hex"64ff32");
        _commitAllAndSeal(taskId);
        _wait(100);
        attestations.voidEpoch(taskId, 1);
        _commitAllAndSeal(taskId);
        _attest(taskId, 2, GOOD);
        _settle(taskId, 2, GOOD);
        _dispute(taskId, 2);
        attestations.finalise(taskId, 2);
        policies.skipPolicy(taskId, 1);
        _commitAllAndSeal(taskId);
        vm.prank(initiator);
        registry.closeTask(taskId);
        _commit(taskId, trainer); // to the last epoch, which is open already
        _judge(taskId, 3, GOOD);
        _wait(100);
        policies.skipPolicy(taskId, 2);
        commitments.closeEpoch(taskId);
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
        _judge(taskId, 4, hex"64");
        policies.skipPolicy(taskId, 3);
        bytes[] memory signatures = _signatures(taskId, 4, ROOT, 2);
        policies.publishPolicy(taskId, 4, ROOT, "", signatures);

        registry.refundTask(taskId);
        uint256 paid = _payOut(taskId, 5);
        vm.assertEq(paid, 75 * UNIT + 9 * UNIT / 10, "submissions, and the fees of three in two epochs");
        registry.refundTask(taskId);
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(budget + reserved, 0, "nothing stays behind");
        vm.assertEq(token.balanceOf(address(registry)), 0, "held");
        vm.assertEq(token.balanceOf(initiator) + paid, 1000 * UNIT, "what was funded, and not a wei of a slash");
        _claimAppeal(taskId, 2);
        vm.assertEq(token.balanceOf(address(appeals)), 0, "appeals");
        // Two frauds' slashes but for the reporter's and the finder's share, and three verdicts' but for ten bonds.
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 90 * UNIT + 140 * UNIT, "burnt");
    }

    function test_ManyTasks_AtOnce_EachHasItsOwnMoneyAndBonds() external {
        uint256[8] memory tasks;
        for (uint256 i; i < 8; ++i) {
            tasks[i] = _staffedTask();
        }
        for (uint256 i; i < 8; ++i) {
            _commitAllAndSeal(tasks[i]);
        }
        for (uint256 i; i < 8; ++i) {
            bytes memory report = i % 2 == 0 ? bytes(hex"ff6464") : bytes(hex"006464");
            _attest(tasks[i], 0, report);
            _settle(tasks[i], 0, report);
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
            vm.assertEq(budget + reserved, 1000 * UNIT - (i == 5 ? 10 * UNIT : 0), "a task's money");
            vm.assertTrue(commitments.isEnlisted(tasks[i], trainer) == (i != 2), "a slash ends one enlistment");
            (uint128 locked,) = commitments.collateralOf(tasks[i], trainer);
            vm.assertEq(locked, i == 2 ? 0 : 60 * UNIT, "collateral");
            held += budget + reserved;
        }
        vm.assertEq(token.balanceOf(address(registry)), held, "held = owed");
        vm.assertEq(_bonded(trainer, Role.Trainer), 8 * 60 * UNIT - 50 * UNIT, "one bond a task");
    }

    // keys

    function test_HotKey_ChangedInMidEpoch_TheNewOneGoesOn() external {
        uint256 taskId = _staffedTask();
        address former = _nameWorker(trainer, 50);
        _commit(taskId, former);
        address next = _nameWorker(trainer, 51);
        vm.prank(next);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.TooManySubmissions.selector, taskId, 0, trainer, 1));
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 10, 0, false);
        vm.prank(former);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.NotEnlisted.selector, taskId, former));
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 10, 0, false);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        attestations.sealEpoch(taskId);

        former = _nameWorker(verifier, 60);
        bytes32 commitment = _commitment(taskId, 0, verifier, GOOD);
        vm.prank(former);
        attestations.commitAttestation(taskId, 0, commitment, "");
        next = _nameWorker(verifier, 61);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        vm.prank(former);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, former));
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
        vm.prank(next);
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
        _reveal(taskId, 0, secondVerifier, GOOD);
        _reveal(taskId, 0, thirdVerifier, GOOD);
        _settle(taskId, 0, GOOD);

        bytes[] memory signatures = new bytes[](1);
        signatures[0] = _signPolicy(60, taskId, 0, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.NoQuorum.selector, 0, 199.98 ether));
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
        signatures = _signatures(taskId, 0, ROOT, 2);
        signatures[0] = _signPolicy(61, taskId, 0, ROOT);
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    // bonds that try to get away

    /// A cheat has itself slashed in a task of its own first: that takes nothing that answers elsewhere.
    function test_Trainer_SlashedInItsOwnTaskFirst_StillPaysHere() external {
        uint256 taskId = _sealedTask();
        uint256 own = _openTask();
        bytes32 termsHash = _termsHash(own);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.InsufficientBond.selector, trainer, 0, 60 * UNIT));
        commitments.enlist(own, termsHash);
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

    /// Windows as long as they may be, every call as late as it may come: the bond of the verifier that left with the
    /// first submission is still there when the last slash of that epoch falls due.
    function test_Verifier_WhoLeavesAtOnce_AnswersThroughTheLongestEpoch() external {
        _seatJurors(15);
        TaskParams memory params = _params();
        (params.attestWindow, params.revealWindow, params.appealWindow) = (149, 200, 500);
        params.commitWindow = 2500 - 1 - 2 * 149 - 2 * 200 - 100 - 3 * 500; // together a second less than UNBONDING
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commit(taskId, trainer);
        uint256 start = _now();
        vm.prank(verifier);
        verifiers.delist(taskId);
        (,,, uint40 commitBy) = commitments.epochOf(taskId, 0);
        _until(commitBy + 149); // nobody closed or sealed it before
        commitments.closeEpoch(taskId);
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
        _commitReport(taskId, 0, verifier, hex"64");
        _commitReport(taskId, 0, secondVerifier, hex"64");
        _wait(149);
        _reveal(taskId, 0, verifier, hex"64");
        _wait(199);
        _reveal(taskId, 0, secondVerifier, hex"64");
        _settle(taskId, 0, hex"64");
        _wait(99);
        uint32 id = _commitChallenge(taskId, 0, 0, 255, outsider);
        _wait(200);
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
        _wait(500);
        appeals.summonPanel(taskId, 0, 0);
        vm.roll(vm.getBlockNumber() + 2);
        appeals.drawPanel(taskId, 0, _submission(trainer, 0), "");
        address[] memory jurors = _panel(taskId, 0);
        for (uint256 i; i < 14; ++i) {
            _commitVote(taskId, 0, 0, jurors[i], 255, false);
        }
        _wait(500);
        for (uint256 i; i < 13; ++i) {
            _revealVote(taskId, 0, 0, jurors[i], 255, false);
        }
        _wait(500);
        appeals.decide(taskId, 0, 0);
        vm.assertLe(_now() - start, UNBONDING, "in time");
        vm.expectRevert();
        verifiers.releaseBond(taskId, verifier);
        appeals.slashVerdict(taskId, 0, 0, verifier, hex"64");
        vm.assertEq(_bonded(verifier, Role.Verifier), 50 * UNIT, "taken");
    }

    function test_Verifier_SlashedInAnotherTaskFirst_StillPaysHere() external {
        uint256 taskId = _sealedTask();
        uint256 own = _openTask();
        bytes32 termsHash = _termsHash(own);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IStaking.InsufficientBond.selector, verifier, 0, 100 * UNIT));
        verifiers.enlist(own, termsHash, 100 * UNIT, address(0)); // all of its bond answers already
        _enlistVerifier(own, verifier, 100 * UNIT);
        _enlistVerifier(own, outsider, 101 * UNIT);
        _enlistTrainer(own, outsider);
        _commit(own, outsider);
        attestations.sealEpoch(own);
        _commitReport(own, 0, outsider, hex"64");
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        _wait(100);
        _reveal(own, 0, outsider, hex"64");
        _reveal(taskId, 0, secondVerifier, GOOD);
        _reveal(taskId, 0, thirdVerifier, GOOD);
        attestations.slashAbsence(own, 0, verifier);
        (uint128 here,) = verifiers.collateralOf(taskId, verifier);
        (uint128 there,) = verifiers.collateralOf(own, verifier);
        vm.assertTrue(here == 100 * UNIT && there == 95 * UNIT, "each its own");
        attestations.slashAbsence(taskId, 0, verifier);
        vm.assertEq(_bonded(verifier, Role.Verifier), 190 * UNIT, "both");
    }

    // nothing to be gained

    function test_Bond_AfterTheSeal_AddsNoWeight() external {
        uint256 taskId = _sealedTask();
        _bond(verifier, Role.Verifier, 1000 * UNIT);
        _attest(taskId, 0, GOOD);
        (, uint128 weight,) = attestations.attestationOf(taskId, 0, verifier);
        (,,,,,, uint128 enlistedWeight) = attestations.tallyOf(taskId, 0);
        vm.assertTrue(weight == 100 * UNIT && enlistedWeight == 300 * UNIT, "as sealed");
    }

    /// Who reveals late has seen the others' reports, but can reveal only what it had committed to; who comes later
    /// than that has not voted.
    function test_Vote_Late_GainsNothing() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, hex"000000");
        _wait(100);
        vm.prank(thirdVerifier);
        vm.expectRevert(_wrongEpoch(taskId, EpochPhase.AttestReveal));
        attestations.commitAttestation(taskId, 0, keccak256("late"), "");
        _reveal(taskId, 0, verifier, GOOD);
        bytes31 committed = bytes31(_commitment(taskId, 0, secondVerifier, hex"000000"));
        bytes31 copied = bytes31(_commitment(taskId, 0, secondVerifier, GOOD));
        vm.prank(secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(Ballot.CommitmentMismatch.selector, committed, copied));
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
        _wait(100);
        vm.prank(secondVerifier);
        vm.expectRevert(_wrongEpoch(taskId, EpochPhase.Missed));
        attestations.revealAttestation(taskId, 0, hex"000000", SALT, EVIDENCE);
        attestations.voidEpoch(taskId, 0);
    }

    /// The second submission is crafted so that honest verifiers see fraud, half, or full. It earns the median; the
    /// submissions beside it earn all, and each verifier loses at most that submission's part of its fee.
    function test_CraftedSubmission_SplitsVerifiers_AndCostsOnlyItself() external {
        uint256 taskId = _sealedTask();
        (bytes memory a, bytes memory b, bytes memory c) = (bytes(hex"64ff64"), bytes(hex"643264"), bytes(hex"646464"));
        _attest(taskId, 0, a, b, c);
        _settle(taskId, 0, _sorted(a, b, c));
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
        _finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFraud.selector, taskId, 0, 1, 50));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 10 * UNIT, "the first");
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1))), 5 * UNIT, "the crafted one");
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2))), 10 * UNIT, "the third");
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), uint256(UNIT) * 2 / 10, "two of three submissions");
        vm.assertEq(payouts.feeOf(taskId, 0, secondVerifier), 3 * UNIT / 10, "the median");
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), uint256(UNIT) * 2 / 10, "two of three submissions");
    }

    // leaving each phase

    /// Nobody judges the task: its epoch is void at once, and its trainers are free.
    function test_Phase_WithoutVerifiers_IsLeftAtOnce() external {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _commit(taskId, trainer);
        vm.prank(outsider);
        attestations.sealEpoch(taskId);
        _assertPhase(taskId, 0, EpochPhase.Void);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.prank(trainer);
        commitments.delist(taskId, trainer);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 60 * UNIT);
    }

    /// Anyone who does what it should, and anyone who does nothing at any step: an outsider alone, with time and calls
    /// that anybody may make, ends the epoch within the windows of its terms, and the task within one epoch more. All
    /// money comes back.
    function testFuzz_EveryState_IsLeftByAnOutsiderInTime(uint256 dice) external {
        _seatJurors(dice % 3 * 8);
        uint256 taskId = _richTask(400 * UNIT);
        uint256 start = _now();
        uint8 stops = uint8((dice >> 8) % 9);
        _playUntil(taskId, stops, dice >> 16);
        vm.prank(initiator);
        registry.closeTask(taskId);
        for (uint256 i; i < 12; ++i) {
            _wait(100);
            vm.roll(vm.getBlockNumber() + 2);
            _pushOn(taskId);
        }
        vm.assertLe(_now() - start, UNBONDING, "in time");
        (uint64 open, bool isOpen,,) = commitments.openEpochOf(taskId);
        vm.assertFalse(isOpen, "no epoch is open");
        for (uint64 epoch; epoch < open; ++epoch) {
            EpochPhase phase = attestations.phaseOf(taskId, epoch);
            vm.assertTrue(phase == EpochPhase.Final || phase == EpochPhase.Void, "ended");
        }
        _payOut(taskId, open);
        try registry.refundTask(taskId) {} catch {}
        vm.assertLe(token.balanceOf(address(registry)), 2 * open, "but for a wei or two of each epoch's fee");
        _claimAppeal(taskId, 0);
        vm.assertEq(token.balanceOf(address(appeals)), 0, "appeals");
        (uint128 locked, uint32 inFlight) = commitments.collateralOf(taskId, trainer);
        vm.assertEq(inFlight, 0, "no submission is in flight");
        vm.assertEq(locked, commitments.isEnlisted(taskId, trainer) ? 60 * UNIT : 0, "nothing else is locked");
    }

    /// As far as `stops`, and no further.
    function _playUntil(uint256 taskId, uint8 stops, uint256 dice) private {
        if (stops == 0) return;
        _commit(taskId, trainer);
        if (stops == 1) return;
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        if (stops == 2) return;
        attestations.sealEpoch(taskId);
        if (stops == 3) return;
        bytes memory report = dice % 2 == 0 ? GOOD : bytes(hex"ff0064");
        _commitReport(taskId, 0, verifier, report);
        _commitReport(taskId, 0, secondVerifier, report);
        if (stops == 4) return;
        _wait(100);
        _reveal(taskId, 0, verifier, report);
        if (stops == 5) return;
        _reveal(taskId, 0, secondVerifier, report);
        if (stops == 6) return;
        _settle(taskId, 0, report);
        uint32 id = _commitChallenge(taskId, 0, 2, 0, outsider);
        if (stops == 7) return;
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 2, 0, SALT);
    }

    /// All that an outsider can call, once.
    function _pushOn(uint256 taskId) private {
        vm.startPrank(vm.addr(4321));
        try commitments.closeEpoch(taskId) {} catch {}
        try attestations.sealEpoch(taskId) {} catch {}
        try commitments.abandonEpoch(taskId) {} catch {}
        try appeals.expireChallenge(taskId, 0, 0) {} catch {}
        try appeals.summonPanel(taskId, 0, 2) {} catch {}
        vm.roll(vm.getBlockNumber() + 2);
        try appeals.drawPanel(taskId, 0, _submission(thirdTrainer, 2), "") {} catch {}
        try appeals.decide(taskId, 0, 2) {} catch {}
        for (uint64 epoch; epoch < 2; ++epoch) {
            try attestations.settle(taskId, epoch, _list(GOOD), 100) {} catch {}
            try attestations.settle(taskId, epoch, _list(hex"ff0064"), 100) {} catch {}
            try attestations.voidEpoch(taskId, epoch) {} catch {}
            try attestations.finalise(taskId, epoch) {} catch {}
            try policies.skipPolicy(taskId, epoch) {} catch {}
        }
        vm.stopPrank();
    }

    /// Whatever can be claimed and slashed of the first epochs; tells what came out of the task.
    function _payOut(uint256 taskId, uint64 epochs) private returns (uint256 paid) {
        address[3] memory trainers = [trainer, secondTrainer, thirdTrainer];
        uint64[] memory one = new uint64[](1);
        for (uint64 epoch; epoch < epochs; ++epoch) {
            one[0] = epoch;
            for (uint16 i; i < 3; ++i) {
                SubmissionRef memory ref = _ref(taskId, epoch, trainers[i], i);
                try payouts.claim(_refs(ref)) returns (uint256 amount) {
                    paid += amount;
                } catch {}
                try payouts.slashFraud(ref) {} catch {}
            }
            for (uint256 i; i < 6; ++i) {
                // Those who judged at first, and those who came after them.
                address judge = vm.addr(i < 3 ? 20 + i : 27 + i);
                try payouts.claimFees(taskId, one, judge) returns (uint256 amount) {
                    paid += amount;
                } catch {}
            }
        }
    }

    function _claimAppeal(uint256 taskId, uint64 epoch) private {
        for (uint256 i; i < 16; ++i) {
            for (uint16 index; index < 3; ++index) {
                try appeals.claimVote(taskId, epoch, index, _juror(i)) {} catch {}
            }
        }
        try appeals.claimChallenge(taskId, epoch, 0) {} catch {}
    }

    function _playAndPublish(uint256 taskId, uint64 epoch, bytes memory report) private {
        _commitAllAndSeal(taskId);
        _judge(taskId, epoch, report);
        bytes[] memory signatures = _signatures(taskId, epoch, ROOT, 2);
        policies.publishPolicy(taskId, epoch, ROOT, "", signatures);
    }

    /// The first submission of an epoch turns out to be a fraud, which all verifiers had paid.
    function _dispute(uint256 taskId, uint64 epoch) private {
        uint32 id = _commitChallenge(taskId, epoch, 0, 255, outsider);
        _wait(100);
        appeals.revealChallenge(taskId, epoch, id, 0, 255, SALT);
        _draw(taskId, epoch, trainer, 0);
        _appeal(taskId, epoch, 0, 15, 255, false);
        _assertDisputed(taskId, epoch);
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            appeals.slashVerdict(taskId, epoch, 0, all[i], GOOD);
        }
        _reenlist(taskId);
    }

    function _assertDisputed(uint256 taskId, uint64 epoch) private view {
        vm.assertTrue(appeals.phaseOf(taskId, epoch, 0) == DisputePhase.Overturned, "overturned");
    }

    /// Those who were slashed are out, and their bonds answer for a while: others judge in their place.
    function _reenlist(uint256 taskId) private {
        vm.assertFalse(verifiers.isEnlisted(taskId, verifier), "too little is left");
        _nameVerifiers([uint256(30), 31, 32]);
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        _enlistVerifier(taskId, secondVerifier, 100 * UNIT);
        _enlistVerifier(taskId, thirdVerifier, 100 * UNIT);
    }

    /// Trainers that can have many submissions in flight.
    function _richTask(uint128 budget) private returns (uint256 taskId) {
        taskId = _staff(_openTask(_params(), budget));
        address[3] memory trainers = [trainer, secondTrainer, thirdTrainer];
        for (uint256 i; i < 3; ++i) {
            _bond(trainers[i], Role.Trainer, 500 * UNIT);
        }
    }

    function _until(uint256 time) private {
        _wait(time - _now());
    }

    function _assertOpen(uint256 taskId, uint64 epoch, bool expected) private view {
        (uint64 open, bool isOpen,,) = commitments.openEpochOf(taskId);
        vm.assertTrue(open == epoch && isOpen == expected, "open epoch");
    }
}
