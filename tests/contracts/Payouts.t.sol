// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Payouts} from "../../contracts/Payouts.sol";
import {Deployment} from "../../contracts/interfaces/Deployment.sol";
import {ICommitments} from "../../contracts/interfaces/ICommitments.sol";
import {IPayouts, SubmissionRef} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {SubmissionKind, TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Judged} from "./Judged.sol";

contract PayoutsTest is Judged {
    function test_ReporterShare_BeyondTheMargin_Reverts() external {
        Deployment memory nothing;
        new Payouts(nothing, 1666);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.ReporterShareTooLarge.selector, 1667, 1666));
        new Payouts(nothing, 1667);
    }

    // claim

    function test_Claim_PaysByScoreAndReleasesTheCollateral() external {
        uint256 taskId = _finalTask(hex"643200");
        vm.expectEmit(address(payouts));
        emit IPayouts.Claimed(taskId, 0, secondTrainer, 1, 5 * UNIT);
        vm.prank(outsider);
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1)));
        vm.assertEq(token.balanceOf(secondTrainer), 5 * UNIT, "half of ten units");
        vm.assertEq(token.balanceOf(outsider), 0, "anybody may call, nobody else is paid");
        vm.assertEq(commitments.submissionHash(taskId, 0, 1), bytes32(0), "ended");
        (, uint32 inFlight) = commitments.collateralOf(taskId, secondTrainer);
        vm.assertEq(inFlight, 0, "answers for nothing");
        (uint256 before,) = _money(taskId);
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        vm.assertEq(token.balanceOf(thirdTrainer), 0, "nothing for a score of 0");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 10 * UNIT, "but its reservation ends");
    }

    function test_Claim_OfWhatNobodySaw_PaysNothingAndReleasesIt() external {
        uint256 taskId = _finalTask(hex"fe6464");
        (uint256 before,) = _money(taskId);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 0, "nothing");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 10 * UNIT, "its reservation ends");
        (, uint32 inFlight) = commitments.collateralOf(taskId, trainer);
        vm.assertEq(inFlight, 0, "answers for nothing");
    }

    function test_Claim_ManyEpochs_InOneTransfer() external {
        uint256 taskId = _staffedTask();
        address[3] memory trainers = [trainer, secondTrainer, thirdTrainer];
        for (uint256 i; i < 3; ++i) {
            _bond(trainers[i], Role.Trainer, 100 * UNIT);
        }
        _commitAllAndSeal(taskId);
        _judge(taskId, 0, hex"646464");
        _commitAllAndSeal(taskId);
        _judge(taskId, 1, hex"326464");
        SubmissionRef[] memory refs = new SubmissionRef[](2);
        (refs[0], refs[1]) = (_ref(taskId, 0, trainer, 0), _ref(taskId, 1, trainer, 0));
        vm.assertEq(payouts.claim(refs), 15 * UNIT, "amount");
        vm.assertEq(token.balanceOf(trainer), 15 * UNIT, "paid");
    }

    function test_Claim_Twice_Reverts() external {
        uint256 taskId = _finalTask(hex"646464");
        SubmissionRef[] memory refs = new SubmissionRef[](2);
        (refs[0], refs[1]) = (_ref(taskId, 0, trainer, 0), _ref(taskId, 0, trainer, 0));
        vm.expectRevert(_wrongSubmission(taskId, 0));
        payouts.claim(refs);
        payouts.claim(_refs(refs[0]));
        vm.expectRevert(_wrongSubmission(taskId, 0));
        payouts.claim(_refs(refs[0]));
    }

    function test_Claim_OfAnotherSubmission_Reverts() external {
        uint256 taskId = _finalTask(hex"320064");
        SubmissionRef memory ref = _ref(taskId, 0, trainer, 2); // the third's score
        vm.expectRevert(_wrongSubmission(taskId, 2));
        payouts.claim(_refs(ref));
        ref = _ref(taskId, 0, trainer, 0);
        ref.submission.units = 11;
        vm.expectRevert(_wrongSubmission(taskId, 0));
        payouts.claim(_refs(ref));
        ref = _ref(taskId, 0, outsider, 0);
        vm.expectRevert(_wrongSubmission(taskId, 0));
        payouts.claim(_refs(ref));
        ref = _ref(taskId, 0, trainer, 3); // there is none
        vm.expectRevert(_wrongSubmission(taskId, 3));
        payouts.claim(_refs(ref));
    }

    function test_Claim_BeforeTheEpochIsFinal_Reverts() external {
        uint256 taskId = _sealedTask();
        SubmissionRef[] memory refs = _refs(_ref(taskId, 0, trainer, 0));
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claim(refs);
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claim(refs);
    }

    function test_Claim_OfAVoidEpoch_PaysNothingAndReleasesIt() external {
        uint256 taskId = _voidTask();
        (uint256 before, uint256 reserved) = _money(taskId);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 0, "nothing");
        (uint256 budget, uint256 left) = _money(taskId);
        vm.assertTrue(budget == before && left == reserved, "its money was free already");
        (, uint32 inFlight) = commitments.collateralOf(taskId, trainer);
        vm.assertEq(inFlight, 0, "answers for nothing");
        vm.expectRevert(_wrongSubmission(taskId, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
    }

    function test_Claim_OfAFraud_Reverts() external {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.IsFraud.selector, taskId, 0, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
    }

    function test_Claim_Nothing_Reverts() external {
        vm.expectRevert(IPayouts.NoSubmissions.selector);
        payouts.claim(new SubmissionRef[](0));
        vm.expectRevert(IPayouts.NoSubmissions.selector);
        payouts.claimTo(new SubmissionRef[](0), outsider);
    }

    function test_Claim_Mixed_Reverts() external {
        uint256 taskId = _finalTask(hex"646464");
        SubmissionRef[] memory refs = new SubmissionRef[](2);
        (refs[0], refs[1]) = (_ref(taskId, 0, trainer, 0), _ref(taskId, 0, secondTrainer, 1));
        vm.expectRevert(abi.encodeWithSelector(IPayouts.MixedTrainers.selector, trainer, secondTrainer));
        payouts.claim(refs);
        refs[1] = _ref(taskId + 1, 0, trainer, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.MixedTasks.selector, taskId, taskId + 1));
        payouts.claim(refs);
    }

    function test_ClaimTo_ByTheTrainer_PaysAnother() external {
        uint256 taskId = _finalTask(hex"646464");
        vm.prank(trainer);
        payouts.claimTo(_refs(_ref(taskId, 0, trainer, 0)), outsider);
        vm.assertEq(token.balanceOf(outsider), 10 * UNIT, "where it said");
    }

    function test_ClaimTo_ByItsWorkerKeyOrAnybody_Reverts() external {
        uint256 taskId = _finalTask(hex"646464");
        address worker = _nameWorker(trainer, 50); // can move nothing
        address[2] memory others = [worker, outsider];
        for (uint256 i; i < 2; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IPayouts.NotTheTrainer.selector, others[i], trainer));
            payouts.claimTo(_refs(_ref(taskId, 0, trainer, 0)), outsider);
        }
        SubmissionRef[] memory refs = new SubmissionRef[](2);
        (refs[0], refs[1]) = (_ref(taskId, 0, trainer, 0), _ref(taskId, 0, secondTrainer, 1));
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.MixedTrainers.selector, trainer, secondTrainer));
        payouts.claimTo(refs, trainer);
    }

    // claimFees

    function test_ClaimFees_ByWeightAndAgreement() external {
        uint256 taskId = _sealedTask();
        (bytes memory a, bytes memory b) = (bytes(hex"646464"), bytes(hex"640064"));
        _attest(taskId, 0, a, a, b);
        _settle(taskId, 0, _sorted(a, b));
        _publish(taskId);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), 0, "not final");
        _finalise(taskId, 0);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), 3 * UNIT / 10, "a third of what three submissions of ten earn");
        uint256 dissent = uint256(UNIT) * 2 / 10;
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), dissent, "two thirds of that");
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(payouts));
        emit IPayouts.FeesClaimed(taskId, 0, thirdVerifier, dissent);
        vm.prank(outsider);
        payouts.claimFees(taskId, new uint64[](1), thirdVerifier);
        vm.assertEq(token.balanceOf(thirdVerifier), dissent, "to the operator");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 3 * UNIT / 10 - dissent, "the rest to the budget");
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), 0, "claimed");
    }

    function test_ClaimFees_Twice_Reverts() external {
        uint256 taskId = _finalTask(hex"646464");
        _publish(taskId);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.AlreadyClaimed.selector, taskId, 0, verifier));
        payouts.claimFees(taskId, new uint64[](2), verifier);
        payouts.claimFees(taskId, new uint64[](1), verifier);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.AlreadyClaimed.selector, taskId, 0, verifier));
        payouts.claimFees(taskId, new uint64[](1), verifier);
    }

    function test_ClaimFees_BeforeTheEpochIsFinal_Reverts() external {
        uint256 taskId = _settledTask();
        _publish(taskId);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claimFees(taskId, new uint64[](1), verifier);
    }

    function test_ClaimFees_WithoutItsPolicy_Reverts() external {
        uint256 taskId = _finalTask(GOOD);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), 0, "not yet");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.PolicyPending.selector, taskId, 0));
        payouts.claimFees(taskId, new uint64[](1), verifier);
        _wait(100);
        policies.skipPolicy(taskId, 0);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), 0, "nor any more");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.FeeForfeited.selector, taskId, 0));
        payouts.claimFees(taskId, new uint64[](1), verifier);
    }

    /// Nobody earns a fee with rubbish: else who is alone in a task would live on it. All of it is the initiator's
    /// again.
    function testFuzz_ClaimFees_OfAnEpochThatPaidNothing_AreNone(uint8 dice) external {
        bytes[3] memory worthless = [bytes(hex"0000ff"), hex"fe00fe", hex"ffffff"];
        (uint256 before,) = _money(_openTask());
        uint256 taskId = _finalTask(worthless[dice % 3]);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), 0, "nothing to earn");
        payouts.claimFees(taskId, new uint64[](1), verifier);
        policies.skipPolicy(taskId, 0);
        payouts.claimFees(taskId, new uint64[](1), secondVerifier);
        vm.assertEq(token.balanceOf(verifier) + token.balanceOf(secondVerifier), 0, "nothing earned");
        (uint256 budget, uint256 reserved) = _money(taskId);
        // Set aside: for the next epoch its most, and for submissions what their claims or slashes release.
        vm.assertEq(budget, before - 30 * UNIT, "the fee is back");
        vm.assertEq(reserved, 133 * UNIT, "none of it is set aside");
    }

    /// A submission in place of another that is paid brings no more; one that is not paid takes nothing from who judged
    /// the rest.
    function testFuzz_ClaimFees_AreAsMuchOfTheFeeAsSubmissionsWerePaid(uint8 dice) external {
        bytes memory report = new bytes(3);
        uint256 paid;
        for (uint256 i; i < 3; ++i) {
            if (dice & (1 << i) == 0) continue;
            report[i] = 0x64;
            ++paid;
        }
        uint256 taskId = _finalTask(report);
        if (paid > 0) _publish(taskId);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), paid * UNIT / 10, "a third of a tenth for each");
    }

    /// Nine submissions that are worth nothing beside one that is paid: they are no fee for who looked at none of them,
    /// and cost none of hers who could not get them.
    function test_ClaimFees_BesideRubbish_AreForWhatIsPaidAlone() external {
        (bytes memory honest, bytes memory zeroes) = (bytes(hex"64000000000000000000"), bytes(new bytes(10)));
        bytes memory missing = hex"64fefefefefefefefefe";
        uint256 taskId = _rubbish();
        _attest(taskId, 0, honest, missing, zeroes);
        bytes[] memory reports = _sorted(honest, missing, zeroes);
        _settle(taskId, 0, reports);
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 2);
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
        _finalise(taskId, 0);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), UNIT / 10, "looked");
        vm.assertEq(payouts.feeOf(taskId, 0, secondVerifier), UNIT / 10, "could not get rubbish");
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), 0, "did not look at anything");
    }

    function test_ClaimFees_OfOneWhoMissedAFraud_LackWhatOneSubmissionEarns() external {
        uint256 taskId = _sealedTask();
        (bytes memory right, bytes memory lazy) = (bytes(hex"64ff64"), bytes(hex"646464"));
        _attest(taskId, 0, right, right, lazy);
        _settle(taskId, 0, _sorted(right, lazy));
        _publish(taskId);
        _finalise(taskId, 0);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), 2 * UNIT / 10, "two are paid");
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), UNIT / 10, "less one");
    }

    function test_ClaimFees_WithoutAReport_Reverts() external {
        uint256 taskId = _finalTask(hex"646464");
        _publish(taskId);
        vm.assertEq(payouts.feeOf(taskId, 0, outsider), 0, "no fee");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotRevealed.selector, taskId, 0, outsider));
        payouts.claimFees(taskId, new uint64[](1), outsider);
    }

    /// Whatever the weights and the reports: the fees of an epoch together are no more than what was set aside for
    /// them.
    function testFuzz_ClaimFees_TogetherAreNoMoreThanTheFee(uint96[3] memory extra, bytes32 dice) external {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            _enlistVerifier(taskId, all[i], 100 * UNIT + uint128(extra[i] % (50 * UNIT)));
        }
        _commit(taskId, trainer);
        attestations.sealEpoch(taskId);
        bytes1 odd = bytes1(uint8(dice[0]) % 100);
        bytes[3] memory reports = [bytes(hex"64"), dice[1] < 0x80 ? bytes(hex"64") : abi.encodePacked(odd), hex"64"];
        for (uint256 i; i < 3; ++i) {
            _commitReport(taskId, 0, all[i], reports[i]);
        }
        for (uint256 i; i < 3; ++i) {
            _reveal(taskId, 0, all[i], reports[i]);
        }
        bool isAlike = keccak256(reports[0]) == keccak256(reports[1]);
        _settle(taskId, 0, isAlike ? _list(reports[0]) : _sorted(reports[0], reports[1]));
        _publish(taskId);
        _finalise(taskId, 0);
        (, uint256 before) = _money(taskId);
        uint256 fee = attestations.scoreOf(taskId, 0, 0) == 0 ? 0 : 3 * UNIT / 10;
        uint256 paid;
        for (uint256 i; i < 3; ++i) {
            paid += payouts.claimFees(taskId, new uint64[](1), all[i]);
        }
        (, uint256 reserved) = _money(taskId);
        vm.assertLe(paid, fee, "paid");
        vm.assertLe(before - reserved, fee, "released");
        vm.assertGe(before - reserved + 2, fee, "but for what rounding leaves");
    }

    // slashFraud

    function test_SlashFraud_BurnsTheBondAndRewardsTheReporter() external {
        uint256 taskId = _finalTask(hex"ff6464");
        (uint256 before,) = _money(taskId);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        vm.expectEmit(address(payouts));
        emit IPayouts.FraudSlashed(taskId, 0, trainer, 0, 50 * UNIT, outsider, 5 * UNIT);
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(token.balanceOf(outsider), 5 * UNIT, "a tenth to the reporter");
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 45 * UNIT, "the rest is burnt");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 10 * UNIT, "the submission's reservation to the budget, and nothing of the slash");
        vm.assertEq(_bonded(trainer, Role.Trainer), 10 * UNIT, "left");
        vm.assertFalse(commitments.isEnlisted(taskId, trainer), "enlisted");
        vm.expectRevert(_wrongSubmission(taskId, 0));
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
    }

    /// Each submission answers with a bond of its own: a second fraud takes as much as the first.
    function test_SlashFraud_OfASecondSubmission_TakesAsMuchAgain() external {
        uint256 taskId = _staffedTask();
        address[3] memory trainers = [trainer, secondTrainer, thirdTrainer];
        for (uint256 i; i < 3; ++i) {
            _bond(trainers[i], Role.Trainer, 40 * UNIT);
        }
        _commitAllAndSeal(taskId);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, hex"ff6464");
        _judge(taskId, 1, hex"ff6464");
        _settle(taskId, 0, hex"ff6464");
        _finalise(taskId, 0);
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 50 * UNIT, "the first");
        vm.assertEq(payouts.slashFraud(_ref(taskId, 1, trainer, 0)), 50 * UNIT, "the second");
        vm.assertEq(_bonded(trainer, Role.Trainer), 0, "all of it");
    }

    /// However long nobody calls, and wherever its owner has gone: what answers for a submission stays until it is
    /// ended.
    function test_SlashFraud_LongAfterItsTrainerLeft_TakesAllTheSame() external {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.prank(trainer);
        commitments.delist(taskId, trainer);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 10 * UNIT); // what is not locked
        _wait(10 * UNBONDING);
        vm.prank(trainer);
        vm.expectRevert();
        staking.requestUnbond(Role.Trainer, 1);
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 50 * UNIT, "taken");
        vm.assertEq(_bonded(trainer, Role.Trainer), 0, "left");
    }

    /// A cheat reports itself: it loses nine tenths of what it would.
    function test_SlashFraud_ByTheCheatItself_CostsMoreThanItWins() external {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.prank(trainer);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(_bonded(trainer, Role.Trainer) + token.balanceOf(trainer), 15 * UNIT, "of sixty");
    }

    function test_SlashFraud_OfAnHonestSubmission_Reverts() external {
        uint256 taskId = _finalTask(hex"ff64fe");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFraud.selector, taskId, 0, 1, 100));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFraud.selector, taskId, 0, 2, 254));
        payouts.slashFraud(_ref(taskId, 0, thirdTrainer, 2));
    }

    function test_SlashFraud_OfAVoidEpoch_Reverts() external {
        uint256 taskId = _voidTask();
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFraud.selector, taskId, 0, 0, 252));
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
    }

    function test_SlashFraud_OfOneNamedFalsely_Reverts() external {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.expectRevert(_wrongSubmission(taskId, 0));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 0));
    }

    function test_SlashFraud_BeforeTheEpochIsFinal_Reverts() external {
        uint256 taskId = _sealedTask();
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
    }

    /// One submission of full size, and nine of one unit.
    function _rubbish() private returns (uint256 taskId) {
        TaskParams memory params = _params();
        params.maxSubmissionsEach = 9;
        taskId = _openTask(params, 1000 * UNIT);
        _enlistTrainer(taskId, trainer);
        _enlistTrainer(taskId, secondTrainer);
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        _enlistVerifier(taskId, secondVerifier, 100 * UNIT);
        _enlistVerifier(taskId, thirdVerifier, 100 * UNIT);
        vm.prank(trainer);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 10, 0, true);
        for (uint256 i; i < 9; ++i) {
            vm.prank(secondTrainer);
            commitments.commitSubmission(
                taskId, 0, SubmissionKind.Full, keccak256(abi.encode("rubbish", i)), 1, 0, false
            );
        }
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
    }

    function _finalTask(bytes memory report) private returns (uint256 taskId) {
        taskId = _sealedTask();
        _judge(taskId, 0, report);
    }

    function _publish(uint256 taskId) private {
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function _wrongSubmission(uint256 taskId, uint16 index) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICommitments.WrongSubmission.selector, taskId, 0, index);
    }
}
