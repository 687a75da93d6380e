// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {ChallengePhase, IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {IPayouts} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Sampling} from "../../contracts/libraries/Sampling.sol";
import {Network} from "./Network.sol";

/// Two of three verifiers are the quorum here. Of the works, one got everything, one is called fraud, one got nothing.
contract ChallengesTest is Network {
    bytes private constant REPORT = hex"64ff00";

    // challenge

    function test_Challenge_TakesTheBondAndOpensAnAppeal() public {
        uint256 taskId = _settled();
        (uint256 budget, uint256 reserved) = _money(taskId);
        _fund(outsider, address(registry), UNIT);
        uint40 commitBy = uint40(_now() + 100);
        vm.expectEmit(address(challenges));
        emit IChallenges.Challenged(taskId, 0, 0, outsider, 100, 255, UNIT, commitBy);
        vm.prank(outsider);
        challenges.challenge(taskId, 0, 0, 255);
        vm.assertEq(token.balanceOf(outsider), 0, "paid");
        (uint256 budgetNow, uint256 reservedNow) = _money(taskId);
        vm.assertEq(budgetNow, budget, "budget");
        vm.assertEq(reservedNow, reserved + UNIT, "the bond is reserved");
        _assertPhase(taskId, 0, 0, ChallengePhase.AppealCommit);
        _assertPhase(taskId, 0, 1, ChallengePhase.None);
        (address who, uint8 standing, uint8 score, uint40 by, uint40 revealBy, uint128 weight) =
            challenges.challengeOf(taskId, 0, 0);
        vm.assertEq(who, outsider, "challenger");
        vm.assertTrue(standing == 100 && score == 255, "scores");
        vm.assertTrue(by == commitBy && revealBy == commitBy + 100, "windows");
        vm.assertEq(weight, 0, "weight");
        vm.assertEq(challenges.owedTo(taskId, 0, 0, outsider), 0, "nothing before the decision");
    }

    function test_Challenge_WithAScoreThatIsNone_Reverts() public {
        uint256 taskId = _settled();
        vm.expectRevert(abi.encodeWithSelector(IChallenges.BadScore.selector, 101));
        challenges.challenge(taskId, 0, 0, 101);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.BadScore.selector, 254));
        challenges.challenge(taskId, 0, 0, 254);
    }

    function test_Challenge_WithTheScoreThatStands_Reverts() public {
        uint256 taskId = _settled();
        uint8[3] memory standing = [uint8(100), 255, 0];
        for (uint16 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IChallenges.SameScore.selector, taskId, 0, i, standing[i]));
            challenges.challenge(taskId, 0, i, standing[i]);
        }
    }

    function test_Challenge_OfAWorkAlreadyChallenged_Reverts() public {
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.AlreadyChallenged.selector, taskId, 0, 0));
        challenges.challenge(taskId, 0, 0, 50);
        _decideWith(taskId, 0, 100, 100, 100);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.AlreadyChallenged.selector, taskId, 0, 0));
        challenges.challenge(taskId, 0, 0, 50);
    }

    function test_Challenge_BeforeAndAfterTheWindow_Reverts() public {
        uint256 taskId = _sealedTask();
        vm.expectRevert(_wrongEpochPhase(taskId, EpochPhase.AttestCommit));
        challenges.challenge(taskId, 0, 0, 0);
        _attest(taskId, 0, REPORT);
        vm.expectRevert(_wrongEpochPhase(taskId, EpochPhase.Attested));
        challenges.challenge(taskId, 0, 0, 0);
        _settle(taskId, 0, REPORT);
        _wait(100);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ChallengeClosed.selector, taskId, 0, _now()));
        challenges.challenge(taskId, 0, 0, 0);
        attestations.finalise(taskId, 0);
        vm.expectRevert(_wrongEpochPhase(taskId, EpochPhase.Final));
        challenges.challenge(taskId, 0, 0, 0);
    }

    function test_Challenge_InTheLastSecond_StillCounts() public {
        uint256 taskId = _settled();
        _wait(99);
        _challenge(taskId, 0, 0, 0);
        _wait(1);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.OpenChallenges.selector, taskId, 0, 1));
        attestations.finalise(taskId, 0);
    }

    function test_Challenge_OfATaskWithoutAChallengeWindow_Reverts() public {
        TaskParams memory params = _params();
        params.challengeWindow = 0;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, REPORT);
        _settle(taskId, 0, REPORT);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ChallengeClosed.selector, taskId, 0, _now()));
        challenges.challenge(taskId, 0, 0, 0);
    }

    function test_Challenge_OfAVoidEpoch_Reverts() public {
        uint256 taskId = _sealedTask();
        _wait(100);
        attestations.voidEpoch(taskId, 0);
        vm.expectRevert(_wrongEpochPhase(taskId, EpochPhase.Void));
        challenges.challenge(taskId, 0, 0, 0);
    }

    function test_Challenge_OfAWorkThatIsNot_Reverts() public {
        uint256 taskId = _settled();
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownWork.selector, taskId, 0, 3));
        challenges.challenge(taskId, 0, 3, 50);
    }

    function test_Challenge_WithoutTheBond_Reverts() public {
        uint256 taskId = _settled();
        vm.prank(outsider);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(registry), 0, UNIT)
        );
        challenges.challenge(taskId, 0, 0, 0);
        _assertPhase(taskId, 0, 0, ChallengePhase.None);
    }

    // commitAppeal

    function test_CommitAppeal_ByAll_EndsThePhaseEarly() public {
        uint256 taskId = _challenged(0, 0);
        vm.expectEmit(address(challenges));
        emit IChallenges.AppealCommitted(taskId, 0, 0, verifier, _vote(taskId, 0, 0, verifier, 0));
        _commitVote(taskId, 0, 0, verifier, 0);
        _commitVote(taskId, 0, 0, secondVerifier, 0);
        _assertPhase(taskId, 0, 0, ChallengePhase.AppealCommit);
        _wait(10);
        _commitVote(taskId, 0, 0, thirdVerifier, 0);
        _assertPhase(taskId, 0, 0, ChallengePhase.AppealReveal);
        (,,, uint40 commitBy, uint40 revealBy,) = challenges.challengeOf(taskId, 0, 0);
        vm.assertEq(commitBy, _now(), "over");
        vm.assertEq(revealBy, _now() + 100, "a whole window to reveal");
    }

    function test_CommitAppeal_ByAWorkerKey_IsItsOperatorsVote() public {
        uint256 taskId = _challenged(0, 0);
        address worker = _nameWorker(verifier, 50);
        bytes32 commitment = _vote(taskId, 0, 0, verifier, 0);
        vm.prank(worker);
        challenges.commitAppeal(taskId, 0, 0, commitment);
        worker = _nameWorker(verifier, 51); // the hot key may change in between
        _wait(100);
        vm.prank(worker);
        challenges.revealAppeal(taskId, 0, 0, 0, SALT);
    }

    function test_CommitAppeal_Empty_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        vm.prank(verifier);
        vm.expectRevert(IChallenges.EmptyCommitment.selector);
        challenges.commitAppeal(taskId, 0, 0, 0);
    }

    function test_CommitAppeal_Twice_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.AlreadyVoted.selector, taskId, 0, 0, verifier));
        challenges.commitAppeal(taskId, 0, 0, keccak256("x"));
    }

    function test_CommitAppeal_OutsideItsPhase_Reverts() public {
        uint256 taskId = _settled();
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, 0, ChallengePhase.None));
        challenges.commitAppeal(taskId, 0, 0, keccak256("x"));
        _challenge(taskId, 0, 0, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        _wait(100);
        vm.prank(secondVerifier);
        vm.expectRevert(_wrongPhase(taskId, 0, ChallengePhase.AppealReveal));
        challenges.commitAppeal(taskId, 0, 0, keccak256("x"));
    }

    function test_CommitAppeal_ByStakeThatCameAfterTheSeal_Reverts() public {
        uint256 taskId = _settled();
        address late = vm.addr(60);
        _enlistVerifier(taskId, late, 1000 * UNIT);
        _challenge(taskId, 0, 0, 0);
        address[2] memory strangers = [late, outsider];
        for (uint256 i; i < 2; ++i) {
            vm.prank(strangers[i]);
            vm.expectRevert(abi.encodeWithSelector(IChallenges.NotEnlistedAtSeal.selector, taskId, 0, strangers[i]));
            challenges.commitAppeal(taskId, 0, 0, keccak256("x"));
        }
    }

    function test_CommitAppeal_ByOneWhoHasLeftSince_StillVotes() public {
        uint256 taskId = _settled();
        vm.prank(verifier);
        attestations.delist(taskId);
        vm.prank(verifier);
        staking.requestUnbond(Role.Verifier, 100 * UNIT);
        _challenge(taskId, 0, 0, 0);
        _decideWith(taskId, 0, 0, 0, 100);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 0, "two of three");
    }

    function test_CommitAppeal_ByOneWithNothingLeft_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        vm.prank(address(challenges));
        attestations.slashVerifier(taskId, 0, verifier, 100 * UNIT, 0);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NotEnlistedAtSeal.selector, taskId, 0, verifier));
        challenges.commitAppeal(taskId, 0, 0, keccak256("x"));
    }

    // revealAppeal

    function test_RevealAppeal_CountsWhatIsLeftOfTheWeight() public {
        uint256 taskId = _challenged(0, 0);
        vm.prank(address(challenges));
        attestations.slashVerifier(taskId, 0, verifier, 30 * UNIT, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        _wait(100);
        vm.expectEmit(address(challenges));
        emit IChallenges.AppealRevealed(taskId, 0, 0, verifier, 0, 70 * UNIT);
        _revealVote(taskId, 0, 0, verifier, 0);
        (,,,, uint40 revealBy, uint128 weight) = challenges.challengeOf(taskId, 0, 0);
        vm.assertEq(weight, 70 * UNIT, "weight");
        vm.assertEq(revealBy, _now(), "nobody else can reveal");
        _assertPhase(taskId, 0, 0, ChallengePhase.Decidable);
    }

    function test_RevealAppeal_WithAScoreThatIsNone_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        _commitVote(taskId, 0, 0, verifier, 254);
        _wait(100);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.BadScore.selector, 254));
        challenges.revealAppeal(taskId, 0, 0, 254, SALT);
    }

    function test_RevealAppeal_NotCommitted_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        _wait(100);
        vm.prank(secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NotCommitted.selector, taskId, 0, 0, secondVerifier));
        challenges.revealAppeal(taskId, 0, 0, 0, SALT);
    }

    /// Neither another's commitment nor one's own for another work can be opened.
    function test_RevealAppeal_ACopiedCommitment_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        bytes32 commitment = _vote(taskId, 0, 0, verifier, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        vm.prank(secondVerifier);
        challenges.commitAppeal(taskId, 0, 0, commitment);
        _wait(100);
        _revealVote(taskId, 0, 0, verifier, 0);
        bytes32 own = _vote(taskId, 0, 0, secondVerifier, 0);
        vm.prank(secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.CommitmentMismatch.selector, commitment, own));
        challenges.revealAppeal(taskId, 0, 0, 0, SALT);
    }

    function test_RevealAppeal_OtherThanCommitted_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        _wait(100);
        bytes32 commitment = _vote(taskId, 0, 0, verifier, 0);
        bytes32 other = _vote(taskId, 0, 0, verifier, 1);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.CommitmentMismatch.selector, commitment, other));
        challenges.revealAppeal(taskId, 0, 0, 1, SALT);
    }

    function test_RevealAppeal_Twice_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        _commitVote(taskId, 0, 0, secondVerifier, 0);
        _wait(100);
        _revealVote(taskId, 0, 0, verifier, 0);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.AlreadyVoted.selector, taskId, 0, 0, verifier));
        challenges.revealAppeal(taskId, 0, 0, 0, SALT);
    }

    function test_RevealAppeal_OutsideItsPhase_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, 0, ChallengePhase.AppealCommit));
        challenges.revealAppeal(taskId, 0, 0, 0, SALT);
        _wait(200);
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, 0, ChallengePhase.Decidable));
        challenges.revealAppeal(taskId, 0, 0, 0, SALT);
    }

    // decide

    function test_Decide_OutsideItsPhase_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        vm.expectRevert(_wrongPhase(taskId, 0, ChallengePhase.AppealCommit));
        challenges.decide(taskId, 0, 0, _list(REPORT));
        _appeal(taskId, 0, 0, 0, 0, 0);
        challenges.decide(taskId, 0, 0, _list(REPORT));
        vm.expectRevert(_wrongPhase(taskId, 0, ChallengePhase.Overturned));
        challenges.decide(taskId, 0, 0, _list(REPORT));
    }

    function test_Decide_TheScoreStands_TheBondIsTheVoters() public {
        uint256 taskId = _challenged(0, 0);
        _appeal(taskId, 0, 0, 100, 100, 0);
        vm.expectEmit(address(challenges));
        emit IChallenges.ChallengeDecided(taskId, 0, 0, 100, ChallengePhase.Upheld);
        challenges.decide(taskId, 0, 0, new bytes[](0)); // the reports are needed only where the score changes
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 100, "score");
        vm.assertEq(challenges.owedTo(taskId, 0, 0, outsider), 0, "lost");
        vm.assertEq(challenges.owedTo(taskId, 0, 0, thirdVerifier), 0, "voted otherwise");
        _claimChallenge(taskId, 0, verifier, UNIT / 2);
        _claimChallenge(taskId, 0, secondVerifier, UNIT / 2);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NothingToClaim.selector, taskId, 0, 0, thirdVerifier));
        challenges.claim(taskId, 0, 0, thirdVerifier);
    }

    function test_Decide_FullScoreAgainstNothing_IsOverturned() public {
        uint256 taskId = _challenged(0, 0);
        _appeal(taskId, 0, 0, 0, 0, 100);
        vm.expectEmit(address(challenges));
        emit IChallenges.ChallengeDecided(taskId, 0, 0, 0, ChallengePhase.Overturned);
        challenges.decide(taskId, 0, 0, _list(REPORT));
        (,, uint8 score,,,) = challenges.challengeOf(taskId, 0, 0);
        vm.assertEq(score, 0, "the appeal's");
        _assertPaid(taskId, 0, trainer, 0);
        _claimChallenge(taskId, 0, outsider, UNIT);
    }

    function test_Decide_NothingAgainstAPartialScore_IsOverturned() public {
        uint256 taskId = _challenged(2, 80);
        _appeal(taskId, 0, 2, 80, 80, 80);
        challenges.decide(taskId, 0, 2, _list(REPORT));
        _assertPaid(taskId, 2, thirdTrainer, 8 * UNIT);
    }

    /// A trainer may defend itself, with its own money.
    function test_Decide_TrainerAgainstItsFraudScore_IsPaidAfterAll() public {
        uint256 taskId = _settled();
        _challenge(taskId, 0, 1, 100, secondTrainer);
        _decideWith(taskId, 1, 100, 100, 255);
        _wait(100);
        attestations.finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFraud.selector, taskId, 0, 1, 100));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1)));
        _claimChallenge(taskId, 1, secondTrainer, UNIT);
        vm.assertEq(token.balanceOf(secondTrainer), 11 * UNIT, "its work and its bond");
    }

    function test_Decide_TrainerAgainstItsFraudScore_LosesTheBondToo() public {
        uint256 taskId = _settled();
        _challenge(taskId, 0, 1, 100, secondTrainer);
        _decideWith(taskId, 1, 255, 255, 100);
        _wait(100);
        attestations.finalise(taskId, 0);
        vm.assertEq(challenges.owedTo(taskId, 0, 1, secondTrainer), 0, "lost");
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.assertEq(token.balanceOf(outsider), 5 * UNIT, "the reporter's part: no challenge found this fraud");
    }

    /// Less than the quorum says fraud again: then it is none, and the median of 0, 0 and 100 is 0.
    function test_Decide_FraudWithoutItsQuorum_BecomesNothing() public {
        TaskParams memory params = _params();
        uint256 taskId = _settled(params); // two of three are not enough here
        _challenge(taskId, 0, 1, 100);
        _decideWith(taskId, 1, 255, 255, 100);
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 0, "score");
        _assertPhase(taskId, 0, 1, ChallengePhase.Overturned);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NotAgainstVerifiers.selector, taskId, 0, 1));
        challenges.slashVerdict(taskId, 0, 1, verifier, REPORT);
        _claimChallenge(taskId, 1, outsider, UNIT);
    }

    function test_Decide_AThirdScore_ReturnsTheBondAndNoMore() public {
        uint256 taskId = _challenged(0, 0);
        _appeal(taskId, 0, 0, 40, 40, 100);
        challenges.decide(taskId, 0, 0, _list(REPORT));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 40, "score");
        (, uint128 before) = _verifierBond(taskId, thirdVerifier);
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        (, uint128 left) = _verifierBond(taskId, thirdVerifier);
        vm.assertEq(before - left, 20 * UNIT, "the verifier pays");
        _claimChallenge(taskId, 0, outsider, UNIT);
        _assertPaid(taskId, 0, trainer, 4 * UNIT);
    }

    function test_Decide_WithoutAQuorum_ReturnsTheBond() public {
        uint256 taskId = _challenged(0, 0);
        _commitVote(taskId, 0, 0, verifier, 0);
        _wait(100);
        _revealVote(taskId, 0, 0, verifier, 0);
        vm.expectEmit(address(challenges));
        emit IChallenges.ChallengeDecided(taskId, 0, 0, 100, ChallengePhase.Undecided);
        challenges.decide(taskId, 0, 0, new bytes[](0));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 100, "the score stands");
        vm.assertEq(challenges.owedTo(taskId, 0, 0, verifier), 0, "nobody shares the bond");
        _claimChallenge(taskId, 0, outsider, UNIT);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NothingToClaim.selector, taskId, 0, 0, outsider));
        challenges.claim(taskId, 0, 0, outsider);
        _assertPaid(taskId, 0, trainer, 10 * UNIT);
    }

    function test_Decide_WithoutAnyVote_ReturnsTheBond() public {
        uint256 taskId = _challenged(1, 0);
        _wait(100);
        _assertPhase(taskId, 0, 1, ChallengePhase.Decidable);
        challenges.decide(taskId, 0, 1, new bytes[](0));
        _assertPhase(taskId, 0, 1, ChallengePhase.Undecided);
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 255, "still fraud");
        _claimChallenge(taskId, 1, outsider, UNIT);
    }

    /// Votes of fraud that no quorum shares count as 0: then nobody has voted for the 0 that stands.
    function test_Decide_UpheldWithoutAVoteForIt_TheBondIsTheBudgets() public {
        uint256 taskId = _settled(_params());
        _challenge(taskId, 0, 2, 100);
        (uint256 budget, uint256 reserved) = _money(taskId);
        _decideWith(taskId, 2, 255, 255, 100);
        _assertPhase(taskId, 0, 2, ChallengePhase.Upheld);
        (uint256 budgetNow, uint256 reservedNow) = _money(taskId);
        vm.assertEq(budgetNow, budget + UNIT, "to the budget");
        vm.assertEq(reservedNow, reserved - UNIT, "from the reservation");
        vm.assertEq(challenges.owedTo(taskId, 0, 2, verifier), 0, "no share");
    }

    function test_Decide_ChangedScoreWithoutTheReports_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        _appeal(taskId, 0, 0, 0, 0, 0);
        uint256 graceBy = _now() + 100;
        vm.expectRevert(abi.encodeWithSelector(IChallenges.ReportsMissing.selector, 1, graceBy));
        challenges.decide(taskId, 0, 0, new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownReport.selector, keccak256("x")));
        challenges.decide(taskId, 0, 0, _list("x"));
        _assertPhase(taskId, 0, 0, ChallengePhase.Decidable);
        challenges.decide(taskId, 0, 0, _list(REPORT));
    }

    /// Whoever settled may be the only one to have the bytes: that keeps no epoch open for longer than a window.
    function test_Decide_WithoutTheReportsOnceTheWindowHasPassed_LeavesTheFees() public {
        uint256 taskId = _challenged(0, 0);
        _appeal(taskId, 0, 0, 0, 0, 0);
        uint256 graceBy = _now() + 100;
        _wait(99);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.ReportsMissing.selector, 1, graceBy));
        challenges.decide(taskId, 0, 0, new bytes[](0));
        _wait(1);
        challenges.decide(taskId, 0, 0, new bytes[](0));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 0, "score");
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), UNIT, "as settled");
    }

    /// A report that came too late to count cannot stand in for one that did.
    function test_Decide_WithAReportThatDidNotCount_Reverts() public {
        uint256 taskId = _staff(_openTask(_terms(), 1000 * UNIT));
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, REPORT, REPORT, "withheld");
        _wait(100);
        _settle(taskId, 0, REPORT);
        _challenge(taskId, 0, 0, 0);
        _appeal(taskId, 0, 0, 0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownReport.selector, keccak256("withheld")));
        challenges.decide(taskId, 0, 0, _list("withheld"));
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownReport.selector, keccak256("withheld")));
        challenges.decide(taskId, 0, 0, _sorted(REPORT, "withheld"));
        challenges.decide(taskId, 0, 0, _list(REPORT));
    }

    function test_Decide_FeesFollowTheNewScore() public {
        uint256 taskId = _staff(_openTask(_terms(), 1000 * UNIT));
        _commitAllAndSeal(taskId);
        (bytes memory a, bytes memory b, bytes memory c) = (bytes(hex"646464"), bytes(hex"006464"), bytes(hex"326464"));
        _attest(taskId, 0, a, b, c);
        attestations.settle(taskId, 0, _sorted(a, b, c));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 50, "median");
        _challenge(taskId, 0, 0, 0);
        _appeal(taskId, 0, 0, 0, 0, 0);
        challenges.decide(taskId, 0, 0, _sorted(a, b, c));
        _wait(100);
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), uint256(UNIT) * 2 / 3, "wrong before and after");
        vm.assertEq(payouts.feeOf(taskId, 0, secondVerifier), UNIT, "right after all");
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), uint256(UNIT) * 2 / 3, "right no longer");
    }

    function test_Decide_SeveralInOneEpoch_EachByItself() public {
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 255);
        _challenge(taskId, 0, 1, 100, secondTrainer);
        _challenge(taskId, 0, 2, 10, thirdTrainer);
        _wait(1);
        _decideWith(taskId, 0, 255, 255, 255);
        _decideWith(taskId, 1, 255, 255, 255);
        _wait(200);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.OpenChallenges.selector, taskId, 0, 1));
        attestations.finalise(taskId, 0);
        challenges.decide(taskId, 0, 2, new bytes[](0));
        attestations.finalise(taskId, 0);
        _assertPhase(taskId, 0, 0, ChallengePhase.Overturned);
        _assertPhase(taskId, 0, 1, ChallengePhase.Upheld);
        _assertPhase(taskId, 0, 2, ChallengePhase.Undecided);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        _claimChallenge(taskId, 0, outsider, 6 * UNIT);
        _claimChallenge(taskId, 1, verifier, UNIT / 3);
        _claimChallenge(taskId, 1, thirdVerifier, UNIT / 3);
        _claimChallenge(taskId, 1, secondVerifier, UNIT - 2 * (UNIT / 3));
        _claimChallenge(taskId, 2, thirdTrainer, UNIT);
        _assertOnlyFeesAreReserved(taskId);
    }

    /// The first 24 scores share a slot with what else a claim reads, then 32 share one.
    function test_Decide_ScoresBeyondTheFirst_ChangeAlone() public {
        TaskParams memory params = _terms();
        params.maxEpochUnits = 1000;
        uint256 taskId = _staff(_openTask(params, 2000 * UNIT));
        for (uint256 i; i < 67; ++i) {
            _enlistTrainer(taskId, vm.addr(1000 + i));
            _commit(taskId, vm.addr(1000 + i));
        }
        _commitAllAndSeal(taskId);
        bytes memory report = new bytes(70);
        for (uint256 i; i < 70; ++i) {
            report[i] = bytes1(uint8(i + 1));
        }
        _attest(taskId, 0, report);
        _settle(taskId, 0, report);
        uint16[6] memory indices = [uint16(0), 23, 24, 55, 56, 69];
        bytes memory scores = bytes.concat(report);
        for (uint256 i; i < 6; ++i) {
            uint8 score = i % 2 == 0 ? 255 : 99;
            _challenge(taskId, 0, indices[i], score);
            _appeal(taskId, 0, indices[i], score, score, score);
            challenges.decide(taskId, 0, indices[i], _list(report));
            scores[indices[i]] = bytes1(score);
            for (uint16 k; k < 70; ++k) {
                vm.assertEq(attestations.scoreOf(taskId, 0, k), uint8(scores[k]), "score");
            }
            vm.assertEq(_differences(taskId, verifier), i + 1, "differences");
        }
    }

    // money and time wait

    function test_OpenChallenge_ClaimsSlashesAndTheEndWait() public {
        uint256 taskId = _challenged(0, 0);
        _wait(100);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.OpenChallenges.selector, taskId, 0, 1));
        attestations.finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claimFees(taskId, new uint64[](1));
        vm.prank(initiator);
        registry.closeTask(taskId);
        (,, uint40 commitBy,) = registry.epochOf(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.EpochNotReady.selector, taskId, 0, commitBy));
        registry.refundTask(taskId);
        challenges.decide(taskId, 0, 0, new bytes[](0));
        attestations.finalise(taskId, 0);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        registry.refundTask(taskId);
    }

    /// What the chain owes challengers and voters outlives the task and its refund.
    function test_Claim_AfterTheRefund_IsStillPaid() public {
        uint256 taskId = _challenged(0, 0);
        _decideWith(taskId, 0, 0, 0, 0);
        vm.prank(initiator);
        registry.closeTask(taskId);
        _wait(100);
        attestations.finalise(taskId, 0);
        registry.refundTask(taskId);
        _claimChallenge(taskId, 0, outsider, UNIT);
    }

    // slashVerdict

    function test_SlashVerdict_HalfToTheChallengerWhoWasRight() public {
        uint256 taskId = _overturned(0, 255, false);
        (uint256 budget,) = _money(taskId);
        vm.expectEmit(address(challenges));
        emit IChallenges.VerdictSlashed(taskId, 0, 0, thirdVerifier, 20 * UNIT, 10 * UNIT);
        vm.prank(initiator);
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        (uint256 budgetNow,) = _money(taskId);
        vm.assertEq(budgetNow, budget + 10 * UNIT, "half to the budget");
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 80 * UNIT, "from the bond");
        vm.assertFalse(attestations.isEnlisted(taskId, thirdVerifier), "less is left than the task asks for");
        _claimChallenge(taskId, 0, outsider, 11 * UNIT);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.AlreadySlashed.selector, taskId, 0, 0, thirdVerifier));
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
    }

    function test_SlashVerdict_AfterTheChallengersClaim_CanBeClaimedToo() public {
        uint256 taskId = _overturned(0, 255, false);
        _claimChallenge(taskId, 0, outsider, UNIT);
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        _claimChallenge(taskId, 0, outsider, 10 * UNIT);
    }

    /// Cheats that only an appeal looks for excuse whoever saw them then.
    function test_SlashVerdict_OfACheatThatWasNotSampled_ExcusesWhoSawItNow() public {
        uint256 taskId = _overturned(0, 255, false);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.Excused.selector, taskId, 0, 0, verifier));
        challenges.slashVerdict(taskId, 0, 0, verifier, REPORT);
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT); // did not see it even then
    }

    function test_SlashVerdict_OfACheatThatWasSampled_ExcusesNobody() public {
        uint256 taskId = _overturned(0, 255, true);
        vm.assertTrue(challenges.mustReplay(taskId, 0, 0), "sampled");
        challenges.slashVerdict(taskId, 0, 0, verifier, REPORT);
        challenges.slashVerdict(taskId, 0, 0, secondVerifier, REPORT);
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        _claimChallenge(taskId, 0, outsider, 31 * UNIT);
    }

    /// Bytes that came late: 0 was right then.
    function test_SlashVerdict_OfANothing_ExcusesWhoSawMoreNow() public {
        uint256 taskId = _overturned(2, 100, true);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.Excused.selector, taskId, 0, 2, verifier));
        challenges.slashVerdict(taskId, 0, 2, verifier, REPORT);
        challenges.slashVerdict(taskId, 0, 2, thirdVerifier, REPORT);
    }

    function test_SlashVerdict_OfAFalseFraud_ExcusesNobody() public {
        uint256 taskId = _overturned(1, 100, false);
        challenges.slashVerdict(taskId, 0, 1, verifier, REPORT);
        challenges.slashVerdict(taskId, 0, 1, secondVerifier, REPORT);
        challenges.slashVerdict(taskId, 0, 1, thirdVerifier, REPORT);
        vm.assertEq(_bonded(verifier, Role.Verifier), 80 * UNIT, "slashed");
    }

    function test_SlashVerdict_OfOneAbsentInTheAppeal_IsNotExcused() public {
        uint256 taskId = _challenged(2, 100);
        _commitVote(taskId, 0, 2, verifier, 100);
        _commitVote(taskId, 0, 2, secondVerifier, 100);
        _wait(100);
        _revealVote(taskId, 0, 2, verifier, 100);
        _revealVote(taskId, 0, 2, secondVerifier, 100);
        challenges.decide(taskId, 0, 2, _list(REPORT));
        challenges.slashVerdict(taskId, 0, 2, thirdVerifier, REPORT);
        challenges.slashAbsence(taskId, 0, 2, thirdVerifier);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 75 * UNIT, "both");
    }

    function test_SlashVerdict_OfOneWhoGaveAnotherScore_Reverts() public {
        uint256 taskId = _staff(_openTask(_terms(), 1000 * UNIT));
        _commitAllAndSeal(taskId);
        bytes memory other = hex"00ff00";
        _attest(taskId, 0, REPORT, REPORT, other);
        attestations.settle(taskId, 0, _sorted(REPORT, other));
        _challenge(taskId, 0, 0, 10);
        _appeal(taskId, 0, 0, 10, 10, 0);
        challenges.decide(taskId, 0, 0, _sorted(REPORT, other));
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NotBehindScore.selector, taskId, 0, 0, thirdVerifier));
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, other);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.WrongReport.selector, keccak256(REPORT), keccak256(other)));
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
    }

    function test_SlashVerdict_OfOneWithoutAReport_Reverts() public {
        uint256 taskId = _overturned(0, 255, false);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.WrongReport.selector, keccak256(REPORT), bytes32(0)));
        challenges.slashVerdict(taskId, 0, 0, outsider, REPORT);
    }

    function test_SlashVerdict_WhereTheScoreStands_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        bytes memory refused = abi.encodeWithSelector(IChallenges.NotAgainstVerifiers.selector, taskId, 0, 0);
        vm.expectRevert(refused);
        challenges.slashVerdict(taskId, 0, 0, verifier, REPORT);
        _decideWith(taskId, 0, 100, 100, 0);
        vm.expectRevert(refused);
        challenges.slashVerdict(taskId, 0, 0, verifier, REPORT);
    }

    /// The median of 10, 20 and 30 is nobody's fault: no quorum stands behind exactly that.
    function test_SlashVerdict_WithoutAQuorumBehindTheNewScore_Reverts() public {
        uint256 taskId = _challenged(0, 20);
        _decideWith(taskId, 0, 10, 20, 30);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 20, "overturned");
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NotAgainstVerifiers.selector, taskId, 0, 0));
        challenges.slashVerdict(taskId, 0, 0, verifier, REPORT);
        _claimChallenge(taskId, 0, outsider, UNIT);
    }

    function test_SlashVerdict_OfOneWhoHasLeft_TakesWhatIsUnbonding() public {
        uint256 taskId = _settled();
        vm.prank(thirdVerifier);
        attestations.delist(taskId);
        vm.prank(thirdVerifier);
        staking.requestUnbond(Role.Verifier, 100 * UNIT);
        _challenge(taskId, 0, 0, 255);
        _decideWith(taskId, 0, 255, 255, 100);
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        (, uint128 unbonding,,) = staking.bondOf(thirdVerifier, Role.Verifier);
        vm.assertEq(unbonding, 80 * UNIT, "left");
    }

    function test_SlashVerdict_OnceTheBondIsFree_TakesNothing() public {
        uint256 taskId = _overturned(0, 255, false);
        vm.prank(thirdVerifier);
        attestations.delist(taskId);
        _wait(UNBONDING);
        vm.expectEmit(address(challenges));
        emit IChallenges.VerdictSlashed(taskId, 0, 0, thirdVerifier, 0, 0);
        challenges.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 100 * UNIT, "bond");
    }

    // slashAbsence

    function test_SlashAbsence_OfWhoDidNotCommitOrReveal() public {
        uint256 taskId = _challenged(0, 0);
        _commitVote(taskId, 0, 0, verifier, 100);
        _commitVote(taskId, 0, 0, secondVerifier, 100);
        _wait(100);
        _revealVote(taskId, 0, 0, verifier, 100);
        _wait(100);
        challenges.decide(taskId, 0, 0, new bytes[](0));
        (uint256 budget,) = _money(taskId);
        vm.expectEmit(address(challenges));
        emit IChallenges.AppealAbsenceSlashed(taskId, 0, 0, secondVerifier, 5 * UNIT);
        challenges.slashAbsence(taskId, 0, 0, secondVerifier);
        challenges.slashAbsence(taskId, 0, 0, thirdVerifier);
        (uint256 budgetNow,) = _money(taskId);
        vm.assertEq(budgetNow, budget + 10 * UNIT, "to the budget");
        vm.expectRevert(abi.encodeWithSelector(IChallenges.WasPresent.selector, taskId, 0, 0, verifier));
        challenges.slashAbsence(taskId, 0, 0, verifier);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.AlreadySlashed.selector, taskId, 0, 0, thirdVerifier));
        challenges.slashAbsence(taskId, 0, 0, thirdVerifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, outsider));
        challenges.slashAbsence(taskId, 0, 0, outsider);
    }

    function test_SlashAbsence_BeforeTheDecision_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        vm.expectRevert(_wrongPhase(taskId, 0, ChallengePhase.AppealCommit));
        challenges.slashAbsence(taskId, 0, 0, verifier);
        _wait(200);
        vm.expectRevert(_wrongPhase(taskId, 0, ChallengePhase.Decidable));
        challenges.slashAbsence(taskId, 0, 0, verifier);
        vm.expectRevert(_wrongPhase(taskId, 1, ChallengePhase.None));
        challenges.slashAbsence(taskId, 0, 1, verifier);
    }

    // claim

    function test_Claim_BeforeTheDecision_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NothingToClaim.selector, taskId, 0, 0, outsider));
        challenges.claim(taskId, 0, 0, outsider);
        _wait(200);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NothingToClaim.selector, taskId, 0, 0, outsider));
        challenges.claim(taskId, 0, 0, outsider);
    }

    function test_Claim_OfAShareTwice_Reverts() public {
        uint256 taskId = _challenged(0, 0);
        _decideWith(taskId, 0, 100, 100, 100);
        vm.expectEmit(address(challenges));
        emit IChallenges.ChallengeClaimed(taskId, 0, 0, verifier, UNIT / 3);
        _claimChallenge(taskId, 0, verifier, UNIT / 3);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NothingToClaim.selector, taskId, 0, 0, verifier));
        challenges.claim(taskId, 0, 0, verifier);
    }

    function test_Claim_ByAnybody_PaysWhoIsOwed() public {
        uint256 taskId = _challenged(0, 0);
        _decideWith(taskId, 0, 0, 0, 0);
        vm.prank(initiator);
        uint128 amount = challenges.claim(taskId, 0, 0, outsider);
        vm.assertEq(amount, UNIT, "amount");
        vm.assertEq(token.balanceOf(outsider), UNIT, "to the challenger");
    }

    /// Whatever the weights, and in whatever order they claim, the shares of a lost bond are the bond, to the wei.
    function testFuzz_Claim_SharesAreTheWholeBond(uint80[3] memory extra, uint128 bond, uint256 first) public {
        TaskParams memory params = _params();
        params.challengeBond = uint128(_bound(bond, 1e6, 1e30));
        uint256 taskId = _openTask(params, 1000 * UNIT);
        address[3] memory voters = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            if (extra[i] > 0) _bond(voters[i], Role.Verifier, extra[i]);
        }
        _staff(taskId);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, REPORT);
        _settle(taskId, 0, REPORT);
        _fund(outsider, address(registry), params.challengeBond);
        vm.prank(outsider);
        challenges.challenge(taskId, 0, 0, 0);
        (, uint256 reserved) = _money(taskId);
        _decideWith(taskId, 0, 100, 100, 100);
        uint256 total;
        for (uint256 i; i < 3; ++i) {
            address voter = voters[(first % 3 + i) % 3];
            total += challenges.claim(taskId, 0, 0, voter);
        }
        vm.assertEq(total, params.challengeBond, "all of it");
        (, uint256 reservedNow) = _money(taskId);
        vm.assertEq(reservedNow, reserved - params.challengeBond, "nothing stays behind");
    }

    // slashFraud of a fraud that a challenge found

    function test_SlashFraud_FoundByAChallenge_RewardsTheChallenger() public {
        uint256 taskId = _overturned(0, 255, false);
        _wait(100);
        attestations.finalise(taskId, 0);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 255, "fraud");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.IsFraud.selector, taskId, 0, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        (uint256 budget,) = _money(taskId);
        vm.expectEmit(address(payouts));
        emit IPayouts.FraudSlashed(taskId, 0, trainer, 0, 50 * UNIT, address(challenges), 5 * UNIT);
        vm.prank(initiator);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(token.balanceOf(initiator), 0, "who calls only calls");
        (uint256 budgetNow,) = _money(taskId);
        vm.assertEq(budgetNow, budget + 55 * UNIT, "the rest and the work's reservation to the budget");
        _claimChallenge(taskId, 0, outsider, 6 * UNIT);
    }

    function test_SlashFraud_FoundWhileTheChallengerSaidOtherwise_RewardsTheReporter() public {
        uint256 taskId = _challenged(0, 0);
        _decideWith(taskId, 0, 255, 255, 255);
        _wait(100);
        attestations.finalise(taskId, 0);
        vm.prank(initiator);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(token.balanceOf(initiator), 5 * UNIT, "the reporter's part");
        _claimChallenge(taskId, 0, outsider, UNIT);
    }

    function test_Reward_ByAnybodyButPayouts_Reverts() public {
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IChallenges.NotAuthorised.selector, outsider));
        challenges.reward(1, 0, 0, 1);
    }

    function test_Attestations_OnlyChallengesMayChangeAVerdict() public {
        uint256 taskId = _settled();
        bytes memory refused = abi.encodeWithSelector(IAttestations.NotAuthorised.selector, outsider);
        vm.startPrank(outsider);
        vm.expectRevert(refused);
        attestations.openChallenge(taskId, 0, 0);
        vm.expectRevert(refused);
        attestations.closeChallenge(taskId, 0, 0, 0, true, new bytes[](0));
        vm.expectRevert(refused);
        attestations.slashVerifier(taskId, 0, verifier, 1, 0);
        vm.stopPrank();
    }

    function _terms() private pure returns (TaskParams memory params) {
        params = _params();
        params.quorumBps = 6666;
    }

    function _settled() private returns (uint256) {
        return _settled(_terms());
    }

    function _settled(TaskParams memory params) private returns (uint256 taskId) {
        taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, REPORT);
        _settle(taskId, 0, REPORT);
    }

    function _challenged(uint16 index, uint8 score) private returns (uint256 taskId) {
        taskId = _settled();
        _challenge(taskId, 0, index, score);
    }

    /// The first two verifiers vote for the challenger's score, the third for the one that stands.
    function _overturned(uint16 index, uint8 score, bool isSampled) private returns (uint256 taskId) {
        taskId = _staff(_openTask(_terms(), 1000 * UNIT));
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        (,,, bytes32 runningHash) = registry.epochOf(taskId, 0);
        uint256 randao;
        while (Sampling.mustReplay(keccak256(abi.encode(randao, runningHash)), index, 2000) != isSampled) {
            ++randao;
        }
        vm.prevrandao(bytes32(randao));
        attestations.sealEpoch(taskId);
        _attest(taskId, 0, REPORT);
        _settle(taskId, 0, REPORT);
        _challenge(taskId, 0, index, score);
        _decideWith(taskId, index, score, score, uint8(REPORT[index]));
    }

    function _decideWith(uint256 taskId, uint16 index, uint8 a, uint8 b, uint8 c) private {
        _appeal(taskId, 0, index, a, b, c);
        challenges.decide(taskId, 0, index, _list(REPORT));
    }

    function _claimChallenge(uint256 taskId, uint16 index, address to, uint256 expected) private {
        vm.assertEq(challenges.owedTo(taskId, 0, index, to), expected, "owed");
        uint256 before = token.balanceOf(to);
        challenges.claim(taskId, 0, index, to);
        vm.assertEq(token.balanceOf(to) - before, expected, "claimed");
    }

    /// After the rest of its window the epoch is final, and the work pays by its score.
    function _assertPaid(uint256 taskId, uint16 index, address who, uint256 expected) private {
        _wait(100);
        attestations.finalise(taskId, 0);
        payouts.claim(_refs(_ref(taskId, 0, who, index)));
        vm.assertEq(token.balanceOf(who), expected, "paid");
    }

    /// Of epoch 0, once its works and challenges are settled.
    function _assertOnlyFeesAreReserved(uint256 taskId) private {
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            vm.prank(all[i]);
            payouts.claimFees(taskId, new uint64[](1));
        }
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(reserved, 103 * UNIT, "the open epoch, and nothing else");
        vm.assertEq(budget + reserved, token.balanceOf(address(registry)), "held = owed");
    }

    function _verifierBond(uint256 taskId, address who) private view returns (uint256 bonded, uint128 collateral) {
        bonded = _bonded(who, Role.Verifier);
        (collateral,) = attestations.collateralOf(taskId, who);
    }

    function _differences(uint256 taskId, address who) private view returns (uint256) {
        (,, uint16 differences,,) = attestations.attestationOf(taskId, 0, who);
        return differences;
    }

    function _wrongPhase(uint256 taskId, uint16 index, ChallengePhase phase) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IChallenges.WrongChallengePhase.selector, taskId, 0, index, phase);
    }

    function _wrongEpochPhase(uint256 taskId, EpochPhase phase) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAttestations.WrongPhase.selector, taskId, 0, phase);
    }
}
