// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssayToken} from "../../contracts/AssayToken.sol";
import {DisputePhase, IAppeals} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {IPayouts} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Disputed} from "./Disputed.sol";
import {Intruder, TokenWithHooks} from "./Hooks.sol";

/// What a decided dispute costs, and whom; what it brings, and whom.
contract VerdictsTest is Disputed {
    address private immutable _heavy = vm.addr(800);
    address private immutable _other = vm.addr(801);

    bytes private constant GOOD = hex"646464";
    bytes private constant FOUND = hex"ff6464";

    // slashVerdict

    function test_SlashVerdict_TakesOfTheWeight_HalfForTheFinder() external {
        uint256 taskId = _overturned(0, 255, false);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        vm.expectEmit(address(appeals));
        emit IAppeals.VerdictSlashed(taskId, 0, 0, verifier, 50 * UNIT, 10 * UNIT);
        vm.prank(rival); // anybody
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
        vm.assertEq(_bonded(verifier, Role.Verifier), 50 * UNIT, "half of its weight");
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 40 * UNIT, "ten challenge bonds at most for the finder");
        vm.expectRevert(abi.encodeWithSelector(IAppeals.AlreadySlashed.selector, taskId, 0, 0, verifier));
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
        appeals.slashVerdict(taskId, 0, 0, secondVerifier, REPORT);
        appeals.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 140 * UNIT, "in all of a dispute");
        _assertClaim(taskId, 0, UNIT + 10 * UNIT);
    }

    function test_SlashVerdict_AfterTheFindersClaim_CanBeClaimedToo() external {
        TaskParams memory params = _params();
        params.challengeBond = 9 * UNIT;
        uint256 taskId = _overturnedWith(params, 0, 255, false);
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
        _assertClaim(taskId, 0, 9 * UNIT + 25 * UNIT);
        appeals.slashVerdict(taskId, 0, 0, secondVerifier, REPORT);
        _assertClaim(taskId, 0, 25 * UNIT);
        vm.expectRevert(_nothing(taskId, 0, outsider));
        appeals.claimChallenge(taskId, 0, 0);
    }

    /// The trap: only what the seed had not drawn shows that it is a fraud.
    function test_SlashVerdict_WhereOnlyWhatWasNotDrawnShowsIt_Reverts() external {
        uint256 taskId = _overturned(0, 255, true);
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAgainstVerifiers.selector, taskId, 0, 0));
            appeals.slashVerdict(taskId, 0, 0, all[i], REPORT);
        }
        attestations.finalise(taskId, 0);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        _assertClaim(taskId, 0, UNIT + 5 * UNIT); // the reporter's share of the cheat's slash
    }

    /// Two thirds of the panel must say that what was drawn shows it; those who looked further do not add to them.
    function test_SlashVerdict_WhereTooFewBlame_Reverts() external {
        uint256 taskId = _drawn(0, 255, 15);
        address[] memory jurors = _panel(taskId, 0);
        for (uint256 i; i < 15; ++i) {
            _commitVote(taskId, 0, 0, jurors[i], 255, i < 6);
        }
        for (uint256 i; i < 15; ++i) {
            _revealVote(taskId, 0, 0, jurors[i], 255, i < 6);
        }
        appeals.decide(taskId, 0, 0);
        _assertScore(taskId, 0, 255, DisputePhase.Overturned);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAgainstVerifiers.selector, taskId, 0, 0));
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
    }

    /// The median of different votes is nobody's fault: no two thirds stand behind exactly that.
    function test_SlashVerdict_WithoutTwoThirdsBehindTheNewScore_Reverts() external {
        uint256 taskId = _drawn(0, 20, 15);
        bytes memory scores = _votes(15, 20, 0, 0);
        for (uint256 i; i < 6; ++i) {
            scores[i] = bytes1(uint8(i < 3 ? 10 : 30));
        }
        _decideWith(taskId, 0, scores, false);
        _assertScore(taskId, 0, 20, DisputePhase.Overturned);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAgainstVerifiers.selector, taskId, 0, 0));
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
        _assertClaim(taskId, 0, UNIT + 6 * UNIT / 10);
    }

    function test_SlashVerdict_WhereTheScoreStands_Reverts() external {
        uint256 taskId = _drawn(0, 255, 15);
        bytes memory refused = abi.encodeWithSelector(IAppeals.NotAgainstVerifiers.selector, taskId, 0, 0);
        vm.expectRevert(refused);
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
        _decideWith(taskId, 0, _votes(15, 100, 0, 0), false);
        vm.expectRevert(refused);
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
    }

    /// The bytes came once verifiers had looked for them: their score is put right, and they are not to blame for it.
    function test_SlashVerdict_OfThoseWhoCouldNotHaveTheBytes_Reverts() external {
        _seatJurors(15);
        bytes memory missing = hex"fe6464";
        uint256 taskId = _settled(_params(), missing);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 254, "unavailable");
        _disputed(taskId, 0, 100);
        (,,,,,, bool isAgainst) = appeals.disputeOf(taskId, 0, 0);
        vm.assertFalse(isAgainst, "nobody is to blame");
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAgainstVerifiers.selector, taskId, 0, 0));
        appeals.slashVerdict(taskId, 0, 0, verifier, missing);
        _assertScore(taskId, 0, 100, DisputePhase.Overturned);
        _assertClaim(taskId, 0, UNIT);
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 10 * UNIT, "and the trainer is paid");
    }

    /// However few may judge: nothing is decided, at once, and nobody is slashed.
    function testFuzz_SlashVerdict_WhereTooFewMayJudge_Never(uint8 jurors, uint8 index) external {
        uint16 submission = uint16(index % 3);
        uint256 taskId = _drawn(submission, submission == 0 ? 255 : 50, _bound(jurors, 0, 14));
        appeals.decide(taskId, 0, submission);
        _assertScore(taskId, submission, uint8(REPORT[submission]), DisputePhase.Undecided);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAgainstVerifiers.selector, taskId, 0, submission));
        appeals.slashVerdict(taskId, 0, submission, verifier, REPORT);
        attestations.finalise(taskId, 0);
    }

    function test_SlashVerdict_OfOneWhoGaveAnotherScore_Reverts() external {
        uint256 taskId = _splitBetween(GOOD, GOOD, hex"286464");
        _disputed(taskId, 0, 10);
        bytes memory other = hex"286464";
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotBehindScore.selector, taskId, 0, 0, thirdVerifier));
        appeals.slashVerdict(taskId, 0, 0, thirdVerifier, other); // not right either, but not what stood
        bytes31 revealed = bytes31(keccak256(other));
        vm.expectRevert(abi.encodeWithSelector(IAppeals.WrongReport.selector, bytes31(keccak256(GOOD)), revealed));
        appeals.slashVerdict(taskId, 0, 0, thirdVerifier, GOOD);
        appeals.slashVerdict(taskId, 0, 0, verifier, GOOD);
    }

    /// A colluding majority pays rubbish: its lightest member alone says the median. Anyone who pays as much, or more,
    /// is behind it.
    function test_SlashVerdict_OfAllWhoErrToTheSideOfTheMedian() external {
        uint256 taskId = _judgedByFour(hex"00", hex"63", hex"64", hex"00", 10_000 * UNIT, 9950 * UNIT);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 99, "rubbish is paid");
        _blame(taskId, 0);
        appeals.slashVerdict(taskId, 0, 0, secondVerifier, hex"63");
        appeals.slashVerdict(taskId, 0, 0, _heavy, hex"64");
        vm.assertEq(_bonded(_heavy, Role.Verifier), 5000 * UNIT, "half of all that paid it");
        _assertNotBehind(taskId, verifier, hex"00");
    }

    /// More than half and less than a quorum calls a good submission fraud: the score is 0, though nobody has given
    /// that.
    function test_SlashVerdict_OfWhoCallsAGoodSubmissionFraud_WhereThatCountsAsZero() external {
        uint256 taskId = _judgedByFour(hex"64", hex"64", hex"ff", hex"64", 800 * UNIT, 600 * UNIT);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 0, "not paid");
        _blame(taskId, 100);
        appeals.slashVerdict(taskId, 0, 0, _heavy, hex"ff");
        vm.assertEq(_bonded(_heavy, Role.Verifier), 400 * UNIT, "half of its weight");
        _assertNotBehind(taskId, verifier, hex"64");
    }

    /// Whose bytes did not come said so: it errs to no side.
    function test_SlashVerdict_OfWhoCouldNotGetTheBytes_Reverts() external {
        uint256 taskId = _judgedByFour(hex"64", hex"64", hex"00", hex"fe", 800 * UNIT, 600 * UNIT);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 0, "not paid");
        _blame(taskId, 100);
        _assertNotBehind(taskId, _other, hex"fe");
        appeals.slashVerdict(taskId, 0, 0, _heavy, hex"00");
    }

    function test_SlashVerdict_OfWhoDisagreesWithWhatIsUpheld_Reverts() external {
        uint256 taskId = _judgedByFour(hex"64", hex"64", hex"64", hex"00", 800 * UNIT, 600 * UNIT);
        _blame(taskId, 100);
        _assertPhase(taskId, 0, 0, DisputePhase.Upheld);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAgainstVerifiers.selector, taskId, 0, 0));
        appeals.slashVerdict(taskId, 0, 0, _other, hex"00");
    }

    function test_SlashVerdict_OfOneWithoutAReport_Reverts() external {
        uint256 taskId = _overturned(0, 255, false);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.WrongReport.selector, bytes31(keccak256(REPORT)), bytes31(0)));
        appeals.slashVerdict(taskId, 0, 0, outsider, REPORT);
    }

    /// Those who pay a fraud together differ by a hair, so that only one of them gives the median: all of them have
    /// paid it.
    function test_SlashVerdict_OfThosePayingAFraudByAHairsDifference() external {
        uint256 taskId = _splitBetween(hex"626464", hex"636464", GOOD);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 99, "the median");
        _disputed(taskId, 0, 255);
        appeals.slashVerdict(taskId, 0, 0, verifier, hex"626464");
        appeals.slashVerdict(taskId, 0, 0, secondVerifier, hex"636464");
        appeals.slashVerdict(taskId, 0, 0, thirdVerifier, GOOD);
    }

    /// Some saw the fraud, some saw nothing in time, and one paid it: who has seen it, or could not, is not to blame.
    function test_SlashVerdict_OfThoseWhoSawTheFraudOrNothing_Reverts() external {
        uint256 taskId = _splitBetween(FOUND, hex"fe6464", GOOD);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 0, "neither a quorum nor a half");
        _disputed(taskId, 0, 255);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotBehindScore.selector, taskId, 0, 0, verifier));
        appeals.slashVerdict(taskId, 0, 0, verifier, FOUND);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotBehindScore.selector, taskId, 0, 0, secondVerifier));
        appeals.slashVerdict(taskId, 0, 0, secondVerifier, hex"fe6464");
        appeals.slashVerdict(taskId, 0, 0, thirdVerifier, GOOD);
    }

    function test_SlashVerdict_OfAFalseFraud_TakesThoseWhoCalledItThat() external {
        uint256 taskId = _splitBetween(FOUND, FOUND, GOOD);
        _disputed(taskId, 0, 100);
        appeals.slashVerdict(taskId, 0, 0, verifier, FOUND);
        appeals.slashVerdict(taskId, 0, 0, secondVerifier, FOUND);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotBehindScore.selector, taskId, 0, 0, thirdVerifier));
        appeals.slashVerdict(taskId, 0, 0, thirdVerifier, GOOD);
    }

    function test_SlashVerdict_OfOneWhoHasLeft_TakesWhatStillAnswers() external {
        _seatJurors(15);
        uint256 taskId = _settled();
        vm.prank(thirdVerifier);
        verifiers.delist(taskId);
        _disputed(taskId, 0, 255);
        appeals.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 50 * UNIT, "left");
    }

    function test_SlashVerdict_OnceTheBondIsReleased_TakesNothing() external {
        uint256 taskId = _overturned(0, 255, false);
        vm.prank(thirdVerifier);
        verifiers.delist(taskId);
        _wait(UNBONDING);
        verifiers.releaseBond(taskId, thirdVerifier);
        vm.expectEmit(address(appeals));
        emit IAppeals.VerdictSlashed(taskId, 0, 0, thirdVerifier, 0, 0);
        appeals.slashVerdict(taskId, 0, 0, thirdVerifier, REPORT);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 100 * UNIT, "whole");
    }

    // the guilty

    /// Two of three are lazy and pay a fraud. They do not judge it again: no vote of theirs, nor their absence, spares
    /// them.
    function test_Guilty_HaveNoVoteInTheirOwnCase() external {
        uint256 taskId = _splitBetween(GOOD, GOOD, FOUND);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 100, "paid");
        for (uint256 i; i < 2; ++i) {
            address guilty = i == 0 ? verifier : secondVerifier;
            _bond(guilty, Role.Verifier, 20 * SEAT_BOND);
            vm.prank(guilty);
            panels.takeSeats(CLASS, 20);
        }
        _disputed(taskId, 0, 255);
        vm.assertEq(appeals.seatsOf(taskId, 0, 0, verifier) + appeals.seatsOf(taskId, 0, 0, secondVerifier), 0, "seats");
        _assertScore(taskId, 0, 255, DisputePhase.Overturned);
        appeals.slashVerdict(taskId, 0, 0, verifier, GOOD);
        appeals.slashVerdict(taskId, 0, 0, secondVerifier, GOOD);
        attestations.finalise(taskId, 0);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        _assertClaim(taskId, 0, UNIT + 10 * UNIT + 5 * UNIT);
    }

    /// An overturned score costs three verifiers half of their weight. The epoch in flight, which was sealed before, is
    /// judged by what they had then.
    function test_Slashed_StillJudgeTheEpochInFlight() external {
        _seatJurors(15);
        TaskParams memory params = _params();
        params.quorumBps = 6666;
        uint256 taskId = _openTask(params, 1000 * UNIT);
        _staff(taskId);
        address fourth = vm.addr(78);
        _enlistVerifier(taskId, fourth, 100 * UNIT);
        _bondTrainersMore();
        _commitAllAndSeal(taskId);
        address[4] memory all = [verifier, secondVerifier, thirdVerifier, fourth];
        for (uint256 i; i < 4; ++i) {
            _commitReport(taskId, 0, all[i], i < 3 ? GOOD : FOUND); // three are lazy
        }
        for (uint256 i; i < 4; ++i) {
            _reveal(taskId, 0, all[i], i < 3 ? GOOD : FOUND);
        }
        _settle(taskId, 0, _sorted(GOOD, FOUND));
        _challenge(taskId, 0, 0, 255);
        _drawOf(taskId, 0);
        uint64 next = _commitAllAndSeal(taskId);
        _decideWith(taskId, 0, _votes(15, 255, 0, 0), false);
        for (uint256 i; i < 3; ++i) {
            appeals.slashVerdict(taskId, 0, 0, all[i], GOOD);
        }
        for (uint256 i; i < 4; ++i) {
            _commitReport(taskId, next, all[i], GOOD);
        }
        for (uint256 i; i < 4; ++i) {
            _reveal(taskId, next, all[i], GOOD);
        }
        _assertPhase(taskId, next, EpochPhase.Attested);
        (,,,,, uint128 revealed, uint128 weight) = attestations.tallyOf(taskId, next);
        vm.assertTrue(revealed == 400 * UNIT && weight == 400 * UNIT, "the weights of its seal");
        _settle(taskId, next, GOOD);
        _wait(100);
        attestations.finalise(taskId, next);
    }

    // finders

    /// Anyone who sees a challenge coming puts another before it, naming any score. It costs its bond only if the score
    /// stands, and takes nothing from who has found what holds.
    function test_Finder_WhoIsFrontRunWithAnotherScore_HasTheReward() external {
        _seatJurors(15);
        uint256 taskId = _settled(_params(), GOOD);
        uint32 other = _commitChallenge(taskId, 0, 0, 50, rival);
        uint32 id = _commitChallenge(taskId, 0, 0, 255, outsider);
        _wait(100);
        appeals.revealChallenge(taskId, 0, other, 0, 50, SALT);
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
        _drawOf(taskId, 0);
        _decideWith(taskId, 0, _votes(15, 255, 0, 0), false);
        appeals.slashVerdict(taskId, 0, 0, verifier, GOOD);
        appeals.slashVerdict(taskId, 0, 0, secondVerifier, GOOD);
        attestations.finalise(taskId, 0);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        _assertClaim(taskId, other, UNIT + PREPAID); // that it was revealed first costs it nothing
        _assertClaim(taskId, id, UNIT + 10 * UNIT + 5 * UNIT); // the finder pays the panel
        vm.assertEq(_claimVotes(taskId, 0), PREPAID, "jurors");
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nothing stays behind");
    }

    /// Who committed first has found it, in whatever order they reveal.
    function testFuzz_Finder_IsWhoCommittedFirst(uint8 order, uint8 count) external {
        _seatJurors(15);
        uint256 taskId = _settled(_params(), GOOD);
        count = uint8(_bound(count, 2, 5));
        _commitChallenge(taskId, 0, 0, 40, vm.addr(599)); // another score
        for (uint256 i; i < count; ++i) {
            _commitChallenge(taskId, 0, 0, 255, vm.addr(600 + i));
        }
        _wait(100);
        for (uint32 i; i < count; ++i) {
            appeals.revealChallenge(taskId, 0, 1 + (order % count + i) % count, 0, 255, SALT);
        }
        appeals.revealChallenge(taskId, 0, 0, 0, 40, SALT);
        _drawOf(taskId, 0);
        _decideWith(taskId, 0, _votes(15, 255, 0, 0), false);
        appeals.slashVerdict(taskId, 0, 0, verifier, GOOD);
        for (uint32 i; i <= count; ++i) {
            // It pays the judging, anyone who revealed first.
            _assertClaim(taskId, i, i == 1 ? UNIT + 10 * UNIT : UNIT + PREPAID);
        }
    }

    /// Who committed first but did not reveal has found nothing.
    function test_Finder_WhoDidNotReveal_LeavesTheRewardToTheNext() external {
        _seatJurors(15);
        uint256 taskId = _settled(_params(), GOOD);
        _commitChallenge(taskId, 0, 0, 255, rival);
        uint32 id = _commitChallenge(taskId, 0, 0, 255, outsider);
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
        _drawOf(taskId, 0);
        _decideWith(taskId, 0, _votes(15, 255, 0, 0), false);
        appeals.slashVerdict(taskId, 0, 0, verifier, GOOD);
        _assertClaim(taskId, id, UNIT + 10 * UNIT);
    }

    /// Verifiers challenge what they have paid themselves: they get back less than half of what that costs them.
    function test_Finder_OfItsOwnFault_LosesMoreThanItWins() external {
        _seatJurors(15);
        TaskParams memory params = _params();
        params.challengeBond = 50 * UNIT - PREPAID; // with the judging no more than the slash
        uint256 taskId = _settled(params, GOOD);
        _fund(verifier, address(appeals), 50 * UNIT);
        bytes32 commitment = _challengeHash(taskId, 0, verifier, 0, 255);
        vm.prank(verifier);
        appeals.commitChallenge(taskId, 0, commitment);
        _wait(100);
        appeals.revealChallenge(taskId, 0, 0, 0, 255, SALT);
        _drawOf(taskId, 0);
        _decideWith(taskId, 0, _votes(15, 255, 0, 0), false);
        appeals.slashVerdict(taskId, 0, 0, verifier, GOOD);
        _assertClaim(taskId, 0, 50 * UNIT - PREPAID + 25 * UNIT);
        vm.assertEq(_bonded(verifier, Role.Verifier), 50 * UNIT, "50 lost, 25 won");
    }

    // slashFraud of a fraud that a challenge found

    function test_SlashFraud_FoundByAChallenge_RewardsTheChallenger() external {
        uint256 taskId = _overturned(0, 255, false);
        attestations.finalise(taskId, 0);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(payouts));
        emit IPayouts.FraudSlashed(taskId, 0, trainer, 0, 50 * UNIT, address(appeals), 5 * UNIT);
        vm.prank(rival);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(token.balanceOf(rival), 0, "who calls only calls");
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 45 * UNIT, "the rest is burnt");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 10 * UNIT, "the submission's money returns to the budget");
        _assertClaim(taskId, 0, UNIT + 5 * UNIT);
    }

    function test_SlashFraud_FoundWhileTheChallengerSaidOtherwise_RewardsTheReporter() external {
        uint256 taskId = _drawn(0, 0, 15);
        _decideWith(taskId, 0, _votes(15, 255, 0, 0), false);
        attestations.finalise(taskId, 0);
        vm.prank(rival);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(token.balanceOf(rival), 5 * UNIT, "the reporter's share");
        _assertClaim(taskId, 0, UNIT);
    }

    function test_Reward_ByAnybodyButPayouts_Reverts() external {
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAuthorised.selector, outsider));
        appeals.reward(1, 0, 0, 1);
    }

    // claimChallenge, claimVote

    function test_ClaimChallenge_BeforeTheDecision_Reverts() external {
        uint256 taskId = _drawn(0, 255, 15);
        vm.expectRevert(_nothing(taskId, 0, outsider));
        appeals.claimChallenge(taskId, 0, 0);
        vm.expectRevert(_nothing(taskId, 0, address(0)));
        appeals.claimChallenge(taskId, 0, 7); // there is none
    }

    function test_ClaimChallenge_Twice_Reverts() external {
        uint256 taskId = _overturned(0, 255, false);
        vm.expectEmit(address(appeals));
        emit IAppeals.AppealPaid(taskId, 0, 0, outsider, UNIT);
        vm.prank(rival); // anybody
        appeals.claimChallenge(taskId, 0, 0);
        vm.assertEq(token.balanceOf(outsider), UNIT, "to the challenger");
        vm.expectRevert(_nothing(taskId, 0, outsider));
        appeals.claimChallenge(taskId, 0, 0);
    }

    function test_ClaimVote_BeforeTheDecision_Reverts() external {
        uint256 taskId = _drawn(0, 255, 15);
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.AppealCommit));
        appeals.claimVote(taskId, 0, 0, _juror(0));
        _wait(200);
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.Decidable));
        appeals.claimVote(taskId, 0, 0, _juror(0));
    }

    function test_ClaimVote_TwiceOrForAnotherVote_Reverts() external {
        uint256 taskId = _drawn(0, 255, 15);
        address[] memory jurors = _panel(taskId, 0);
        _decideWith(taskId, 0, _votes(14, 255, 1, 100), false);
        vm.expectEmit(address(appeals));
        emit IAppeals.AppealPaid(taskId, 0, 0, jurors[0], UNIT / 10);
        vm.prank(rival); // anybody
        appeals.claimVote(taskId, 0, 0, jurors[0]);
        vm.assertEq(token.balanceOf(jurors[0]), UNIT / 10, "to the juror");
        vm.expectRevert(_nothing(taskId, 0, jurors[0]));
        appeals.claimVote(taskId, 0, 0, jurors[0]);
        vm.expectRevert(_nothing(taskId, 0, jurors[14]));
        appeals.claimVote(taskId, 0, 0, jurors[14]);
        vm.expectRevert(_nothing(taskId, 0, outsider));
        appeals.claimVote(taskId, 0, 0, outsider);
    }

    /// What is owed to challengers and jurors outlives the task and its refund.
    function test_Claim_AfterTheRefund_IsStillPaid() external {
        uint256 taskId = _overturned(0, 255, false);
        attestations.finalise(taskId, 0);
        vm.prank(initiator);
        registry.closeTask(taskId);
        registry.refundTask(taskId);
        _wait(10 * UNBONDING);
        vm.assertEq(_claimVotes(taskId, 0), PREPAID, "jurors");
        _assertClaim(taskId, 0, UNIT);
    }

    /// A panel says so of a submission that has been disputed by the outsider.
    function _overturned(uint16 index, uint8 score, bool beyond) private returns (uint256) {
        return _overturnedWith(_params(), index, score, beyond);
    }

    function _overturnedWith(TaskParams memory params, uint16 index, uint8 score, bool beyond)
        private
        returns (uint256 taskId)
    {
        _seatJurors(15);
        taskId = _settled(params, REPORT);
        _fund(outsider, address(appeals), params.challengeBond);
        _challenge(taskId, 0, index, score);
        _burnRest(outsider);
        _drawOf(taskId, index);
        _decideWith(taskId, index, _votes(15, score, 0, 0), beyond);
    }

    /// What `_challenge` has given it too much.
    function _burnRest(address who) private {
        uint256 left = token.balanceOf(who);
        vm.prank(who);
        require(token.transfer(Tokens.BURNT, left));
    }

    /// Each verifier reports something else, and the epoch is settled. There are fifteen jurors.
    function _splitBetween(bytes memory a, bytes memory b, bytes memory c) private returns (uint256 taskId) {
        _seatJurors(15);
        taskId = _sealedTask();
        _attest(taskId, 0, a, b, c);
        bool isPair = keccak256(a) == keccak256(b);
        _settle(taskId, 0, isPair ? _sorted(a, c) : _sorted(a, b, c));
    }

    /// The panel says what the outsider has said.
    function _disputed(uint256 taskId, uint16 index, uint8 score) private {
        _challenge(taskId, 0, index, score);
        _drawOf(taskId, index);
        _decideWith(taskId, index, _votes(15, score, 0, 0), false);
    }

    function _bondTrainersMore() private {
        _bond(trainer, Role.Trainer, 100 * UNIT);
        _bond(secondTrainer, Role.Trainer, 100 * UNIT);
        _bond(thirdTrainer, Role.Trainer, 100 * UNIT);
    }

    /// One submission, judged by two of 100, one of `heavy` and one of `light`.
    function _judgedByFour(bytes memory a, bytes memory b, bytes memory c, bytes memory d, uint128 heavy, uint128 light)
        private
        returns (uint256 taskId)
    {
        _seatJurors(20);
        taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        address[4] memory all = [verifier, secondVerifier, _heavy, _other];
        uint128[4] memory weights = [100 * UNIT, 100 * UNIT, heavy, light];
        for (uint256 i; i < 4; ++i) {
            _enlistVerifier(taskId, all[i], weights[i]);
        }
        _commit(taskId, trainer);
        attestations.sealEpoch(taskId);
        bytes[4] memory reports = [a, b, c, d];
        for (uint256 i; i < 4; ++i) {
            _commitReport(taskId, 0, all[i], reports[i]);
        }
        for (uint256 i; i < 4; ++i) {
            _reveal(taskId, 0, all[i], reports[i]);
        }
        _settle(taskId, 0, _distinct(reports));
    }

    function _distinct(bytes[4] memory reports) private pure returns (bytes[] memory distinct) {
        distinct = new bytes[](4);
        uint256 count;
        for (uint256 i; i < 4; ++i) {
            bool isKnown;
            for (uint256 k; k < count; ++k) {
                isKnown = isKnown || keccak256(distinct[k]) == keccak256(reports[i]);
            }
            if (!isKnown) distinct[count++] = reports[i];
        }
        assembly ("memory-safe") {
            mstore(distinct, count)
        }
        _sort(distinct);
    }

    /// All of a panel say so, from what was drawn.
    function _blame(uint256 taskId, uint8 score) private {
        _challenge(taskId, 0, 0, score == attestations.scoreOf(taskId, 0, 0) ? 50 : score);
        _draw(taskId, 0, trainer, 0);
        _appeal(taskId, 0, 0, 20, score, false);
    }

    function _assertNotBehind(uint256 taskId, address who, bytes memory report) private {
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotBehindScore.selector, taskId, 0, 0, who));
        appeals.slashVerdict(taskId, 0, 0, who, report);
    }
}

contract AppealsMoneyTest is Disputed {
    uint32 private _count;
    uint256 private _given; // put down by challengers
    uint256 private _burntBefore;
    uint256 private _dice;

    function testFuzz_Balance_CoversWhatIsOwed_AndEndsAtZero(uint256 dice) external {
        _dice = dice;
        uint256[5] memory pools = [uint256(0), 14, 15, 17, 20];
        _seatJurors(pools[_roll(5)]);
        uint256 taskId = _settled();
        _challengeAtRandom(taskId);
        for (uint16 index; index < 3; ++index) {
            _drawAtRandom(taskId, index);
        }
        for (uint16 index; index < 3; ++index) {
            _voteAtRandom(taskId, index);
            _revealAtRandom(taskId, index); // where all have committed
        }
        _wait(100);
        for (uint16 index; index < 3; ++index) {
            _revealAtRandom(taskId, index);
        }
        _wait(400);
        for (uint16 index; index < 3; ++index) {
            try appeals.decide(taskId, 0, index) {} catch {}
        }
        for (uint32 i; i < _count; ++i) {
            try appeals.expireChallenge(taskId, 0, i) {} catch {}
        }
        attestations.finalise(taskId, 0);
        _slashAndClaim(taskId);
        _slashAndClaim(taskId); // what the last slashes have brought
        vm.assertEq(token.balanceOf(address(appeals)), 0, "something stays behind");
    }

    function _challengeAtRandom(uint256 taskId) private {
        _count = uint32(1 + _roll(6));
        uint16[6] memory indices;
        uint8[6] memory scores;
        for (uint32 i; i < _count; ++i) {
            (indices[i], scores[i]) = (uint16(_roll(3)), _score());
            _commitChallenge(taskId, 0, indices[i], scores[i], _roll(4) == 0 ? _juror(_roll(20)) : vm.addr(600 + i));
            if (_roll(2) == 0) _wait(1);
        }
        _wait(100);
        for (uint32 i; i < _count; ++i) {
            if (_roll(4) == 0) continue;
            try appeals.revealChallenge(taskId, 0, i, indices[i], scores[i], SALT) {} catch {} // what stands, reverts
        }
        _wait(100);
    }

    function _drawAtRandom(uint256 taskId, uint16 index) private {
        if (_roll(8) == 0) return;
        try appeals.summonPanel(taskId, 0, index) {} catch {}
        vm.roll(vm.getBlockNumber() + 2);
        try appeals.drawPanel(taskId, 0, _submission(_trainerOf(index), index), "") {} catch {}
    }

    mapping(uint16 index => mapping(uint256 juror => uint8)) private _said;

    /// Most say the same.
    function _voteAtRandom(uint256 taskId, uint16 index) private {
        address[] memory jurors = _panel(taskId, index);
        uint8 common = _score();
        uint256 stray = 2 + _roll(6);
        for (uint256 i; i < jurors.length; ++i) {
            uint8 score = _roll(stray) == 0 ? _score() : common;
            _said[index][i] = _roll(stray) == 0 ? ABSENT : score;
            if (_said[index][i] != ABSENT) _commitVote(taskId, 0, index, jurors[i], score, false);
        }
    }

    function _revealAtRandom(uint256 taskId, uint16 index) private {
        if (appeals.phaseOf(taskId, 0, index) != DisputePhase.AppealReveal) return;
        address[] memory jurors = _panel(taskId, index);
        for (uint256 i; i < jurors.length; ++i) {
            if (_said[index][i] == ABSENT || _roll(12) == 0) continue;
            _revealVote(taskId, 0, index, jurors[i], _said[index][i], false);
        }
    }

    /// In an order that chance decides; after each step what is owed is there.
    function _slashAndClaim(uint256 taskId) private {
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 step; step < 60; ++step) {
            uint16 index = uint16(step % 3);
            uint256 which = _roll(4);
            if (which == 0) try appeals.slashVerdict(taskId, 0, index, all[_roll(3)], REPORT) {} catch {}
            if (which == 1) try payouts.slashFraud(_ref(taskId, 0, _trainerOf(index), index)) {} catch {}
            if (which == 2) try appeals.claimChallenge(taskId, 0, uint32(_roll(_count))) {} catch {}
            if (which == 3) try appeals.claimVote(taskId, 0, index, _juror(_roll(20))) {} catch {}
            if (step % 10 == 0) _assertCovered(taskId);
        }
        for (uint16 index; index < 3; ++index) {
            _claimVotes(taskId, index);
        }
        _assertCovered(taskId);
        for (uint32 i; i < _count; ++i) {
            try appeals.claimChallenge(taskId, 0, i) {} catch {}
        }
    }

    function _assertCovered(uint256 taskId) private view {
        uint256 owed;
        for (uint32 i; i < _count; ++i) {
            owed += appeals.owedTo(taskId, 0, i);
        }
        vm.assertLe(owed, token.balanceOf(address(appeals)), "owes more than it has");
    }

    function _score() private returns (uint8) {
        uint8[5] memory scores = [uint8(0), 50, 100, 255, 254];
        return scores[_roll(10) == 0 ? 4 : _roll(4)];
    }

    function _roll(uint256 sides) private returns (uint256) {
        _dice = uint256(keccak256(abi.encode(_dice)));
        return _dice % sides;
    }
}

contract AppealsReentrancyTest is Disputed {
    Intruder private _intruder;

    function _newToken() internal override returns (AssayToken) {
        return new TokenWithHooks();
    }

    function setUp() public override {
        super.setUp();
        _intruder = new Intruder();
    }

    function test_ClaimChallenge_Reentered_PaysOnce() external {
        _seatJurors(15);
        uint256 taskId = _settled();
        _commitChallenge(taskId, 0, 0, 0, address(_intruder));
        _commitChallenge(taskId, 0, 2, 9, outsider); // somebody else's money is there to be taken
        _wait(100);
        appeals.revealChallenge(taskId, 0, 0, 0, 0, SALT);
        _drawOf(taskId, 0);
        _decideWith(taskId, 0, _votes(15, 0, 0, 0), false);
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
        _intruder.plan(address(appeals), abi.encodeCall(appeals.claimChallenge, (taskId, 0, 0)));
        appeals.claimChallenge(taskId, 0, 0);
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), UNIT + 10 * UNIT, "once");
    }

    function test_ClaimVote_Reentered_PaysOnce() external {
        _bond(address(_intruder), Role.Verifier, 15 * SEAT_BOND);
        vm.prank(address(_intruder));
        panels.takeSeats(CLASS, 15);
        _nextBlock();
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 0);
        _drawOf(taskId, 0);
        _commitVote(taskId, 0, 0, address(_intruder), 0, false);
        _revealVote(taskId, 0, 0, address(_intruder), 0, false);
        appeals.decide(taskId, 0, 0);
        _intruder.plan(address(appeals), abi.encodeCall(appeals.claimVote, (taskId, 0, 0, address(_intruder))));
        appeals.claimVote(taskId, 0, 0, address(_intruder));
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), PREPAID, "once");
    }

    /// While its bond comes in, it takes something out: what came in would be counted short.
    function test_CommitChallenge_Reentered_CountsNothingTwice() external {
        uint256 taskId = _settled();
        _fund(address(_intruder), address(appeals), 2 * (UNIT + PREPAID));
        _intruder.plan(address(appeals), abi.encodeCall(appeals.commitChallenge, (taskId, 0, bytes32("again"))));
        vm.prank(address(_intruder));
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, UNIT + PREPAID, 2 * (UNIT + PREPAID)));
        appeals.commitChallenge(taskId, 0, "first");
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nothing came in");
    }

    function test_OpenPlant_Reentered_PaysOnce() external {
        uint256 taskId = _staff(_openTask());
        uint128 deposit = plants.depositOf(taskId);
        _fund(address(_intruder), address(plants), deposit);
        vm.prank(address(_intruder));
        plants.commitPlant(taskId, keccak256(abi.encode(taskId, address(0), bytes32(0), SALT)));
        _fund(outsider, address(plants), deposit);
        vm.prank(outsider);
        plants.commitPlant(taskId, "somebody else's");
        _intruder.plan(address(plants), abi.encodeCall(plants.refundPlant, (taskId, address(0), bytes32(0), SALT)));
        plants.refundPlant(taskId, address(0), bytes32(0), SALT);
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), deposit, "once");
    }

    function _assertRefused() private view {
        vm.assertEq(_intruder.attempts(), 1, "tried");
        vm.assertFalse(_intruder.hasSucceeded(), "refused");
    }
}
