// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {ChallengeState, DisputePhase, IAppeals} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {IPanels} from "../../contracts/interfaces/IPanels.sol";
import {IPayouts} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Ballot} from "../../contracts/libraries/Ballot.sol";
import {Randomness} from "../../contracts/libraries/Randomness.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Disputed} from "./Disputed.sol";

contract ChallengesTest is Disputed {
    // commitChallenge

    function test_CommitChallenge_TakesTheBondAndTheJudging() external {
        uint256 taskId = _settled();
        _fund(outsider, address(appeals), UNIT + PREPAID);
        bytes32 commitment = _challengeHash(taskId, 0, outsider, 0, 255);
        vm.expectEmit(address(appeals));
        emit IAppeals.ChallengeCommitted(taskId, 0, 0, outsider, commitment);
        vm.prank(outsider);
        vm.assertEq(appeals.commitChallenge(taskId, 0, commitment), 0, "the first");
        vm.assertEq(token.balanceOf(outsider), 0, "paid");
        vm.assertEq(token.balanceOf(address(appeals)), UNIT + PREPAID, "held");
        vm.assertEq(_commitChallenge(taskId, 0, 1, 0, rival), 1, "the second");
        (address who, ChallengeState state,, uint8 score) = appeals.challengeOf(taskId, 0, 0);
        vm.assertTrue(who == outsider && state == ChallengeState.Committed && score == 0, "nothing is told yet");
        vm.assertEq(appeals.owedTo(taskId, 0, 0), 0, "nothing is owed yet");
        _assertPhase(taskId, 0, 0, DisputePhase.None);
    }

    function test_CommitChallenge_Empty_Reverts() external {
        uint256 taskId = _settled();
        vm.expectRevert(Ballot.EmptyCommitment.selector);
        appeals.commitChallenge(taskId, 0, 0);
    }

    function test_CommitChallenge_BeforeAndAfterTheWindow_Reverts() external {
        uint256 taskId = _sealedTask();
        vm.expectRevert(_wrongEpoch(taskId, EpochPhase.AttestCommit));
        appeals.commitChallenge(taskId, 0, "x");
        _attest(taskId, 0, REPORT);
        vm.expectRevert(_wrongEpoch(taskId, EpochPhase.Attested));
        appeals.commitChallenge(taskId, 0, "x");
        _settle(taskId, 0, REPORT);
        _wait(100);
        vm.expectRevert(_wrongEpoch(taskId, EpochPhase.Challengeable));
        appeals.commitChallenge(taskId, 0, "x");
        attestations.finalise(taskId, 0);
        vm.expectRevert(_wrongEpoch(taskId, EpochPhase.Final));
        appeals.commitChallenge(taskId, 0, "x");
    }

    function test_CommitChallenge_InTheLastSecond_KeepsTheEpochOpen() external {
        uint256 taskId = _settled();
        _wait(99);
        _commitChallenge(taskId, 0, 0, 0, outsider);
        _wait(1);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.OpenChallenges.selector, taskId, 0, 1));
        attestations.finalise(taskId, 0);
    }

    function test_CommitChallenge_OfATaskWithoutAWindow_Reverts() external {
        TaskParams memory params = _params();
        params.challengeWindow = 0;
        uint256 taskId = _settled(params, REPORT);
        vm.expectRevert(_wrongEpoch(taskId, EpochPhase.Challengeable));
        appeals.commitChallenge(taskId, 0, "x");
    }

    function test_CommitChallenge_OfAVoidEpoch_Reverts() external {
        uint256 taskId = _sealedTask();
        _wait(100);
        attestations.voidEpoch(taskId, 0);
        vm.expectRevert(_wrongEpoch(taskId, EpochPhase.Void));
        appeals.commitChallenge(taskId, 0, "x");
    }

    function test_CommitChallenge_WithoutTheMoney_Reverts() external {
        uint256 taskId = _settled();
        vm.prank(outsider);
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(appeals), 0, UNIT + PREPAID
            )
        );
        appeals.commitChallenge(taskId, 0, "x");
        _finalise(taskId, 0); // nothing holds it
    }

    // revealChallenge

    function test_RevealChallenge_OpensTheDispute() external {
        uint256 taskId = _settled();
        uint32 id = _commitChallenge(taskId, 0, 0, 255, outsider);
        _wait(100);
        vm.expectEmit(address(appeals));
        emit IAppeals.ChallengeRevealed(taskId, 0, id, 0, outsider, 100, 255);
        vm.prank(rival); // anybody who knows it
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
        _assertPhase(taskId, 0, 0, DisputePhase.Revealed);
        (uint8 standing, uint8 score,, uint16 seats,,,) = appeals.disputeOf(taskId, 0, 0);
        vm.assertTrue(standing == 100 && score == 100 && seats == 0, "the score stands until it is decided");
        vm.assertTrue(appeals.isChallenger(taskId, 0, 0, outsider), "a party");
        vm.assertFalse(appeals.isChallenger(taskId, 0, 1, outsider), "of this submission only");
        (, ChallengeState state, uint16 index, uint8 named) = appeals.challengeOf(taskId, 0, id);
        vm.assertTrue(state == ChallengeState.Revealed && index == 0 && named == 255, "told");
    }

    function test_RevealChallenge_OutsideItsWindow_Reverts() external {
        uint256 taskId = _settled();
        uint256 from = _now() + 100;
        uint32 id = _commitChallenge(taskId, 0, 0, 255, outsider);
        _wait(99);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.TooEarly.selector, from));
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
        _wait(101);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.TooLate.selector, from + 100));
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
    }

    function test_RevealChallenge_WithAScoreThatIsNone_Reverts() external {
        uint256 taskId = _settled();
        uint8[2] memory scores = [uint8(101), 253];
        for (uint256 i; i < 2; ++i) {
            _commitChallenge(taskId, 0, 0, scores[i], outsider);
        }
        _wait(100);
        for (uint32 i; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IAppeals.BadScore.selector, scores[i]));
            appeals.revealChallenge(taskId, 0, i, 0, scores[i], SALT);
        }
    }

    function test_RevealChallenge_OfTheScoreThatStands_Reverts() external {
        uint256 taskId = _settled();
        for (uint16 i; i < 3; ++i) {
            _commitChallenge(taskId, 0, i, uint8(REPORT[i]), outsider);
        }
        _wait(100);
        for (uint16 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IAppeals.SameScore.selector, taskId, 0, i, uint8(REPORT[i])));
            appeals.revealChallenge(taskId, 0, i, i, uint8(REPORT[i]), SALT);
        }
    }

    function test_RevealChallenge_OfASubmissionThatIsNot_Reverts() external {
        uint256 taskId = _settled();
        uint32 id = _commitChallenge(taskId, 0, 3, 50, outsider);
        _wait(100);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.UnknownSubmission.selector, taskId, 0, 3));
        appeals.revealChallenge(taskId, 0, id, 3, 50, SALT);
    }

    function test_RevealChallenge_OtherThanCommitted_Reverts() external {
        uint256 taskId = _settled();
        uint32 id = _commitChallenge(taskId, 0, 0, 255, outsider);
        _wait(100);
        vm.expectRevert(_mismatch(taskId, outsider, 0, 0));
        appeals.revealChallenge(taskId, 0, id, 0, 0, SALT);
        vm.expectRevert();
        appeals.revealChallenge(taskId, 0, id, 0, 255, bytes32("other"));
        vm.expectRevert();
        appeals.revealChallenge(taskId, 0, id, 2, 255, SALT);
    }

    /// Anyone who copies a commitment pays for it, cannot open it once it knows what is in it, and loses its bond.
    function test_RevealChallenge_ACopiedCommitment_IsWorthNothing() external {
        uint256 taskId = _settled();
        bytes32 commitment = _challengeHash(taskId, 0, outsider, 0, 255);
        _fund(rival, address(appeals), UNIT + PREPAID);
        vm.prank(rival); // sees it on its way, and is first
        uint32 copy = appeals.commitChallenge(taskId, 0, commitment);
        uint32 id = _commitChallenge(taskId, 0, 0, 255, outsider);
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
        vm.expectRevert(_mismatch(taskId, rival, 0, 255));
        appeals.revealChallenge(taskId, 0, copy, 0, 255, SALT);
        _wait(100);
        appeals.expireChallenge(taskId, 0, copy);
        vm.assertEq(appeals.owedTo(taskId, 0, copy), 0, "lost");
    }

    function test_RevealChallenge_InAnotherEpochOrTask_Reverts() external {
        uint256 taskId = _settled();
        uint256 other = _settled();
        bytes32 commitment = _challengeHash(taskId, 0, outsider, 0, 255);
        _fund(outsider, address(appeals), UNIT + PREPAID);
        vm.prank(outsider);
        uint32 id = appeals.commitChallenge(other, 0, commitment);
        _wait(100);
        vm.expectRevert();
        appeals.revealChallenge(other, 0, id, 0, 255, SALT);
    }

    function test_RevealChallenge_Twice_Reverts() external {
        uint256 taskId = _settled();
        uint32 id = _challenge(taskId, 0, 0, 255);
        vm.expectRevert(_wrongChallenge(taskId, id, ChallengeState.Revealed));
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
        vm.expectRevert(_wrongChallenge(taskId, 7, ChallengeState.None));
        appeals.revealChallenge(taskId, 0, 7, 0, 255, SALT);
    }

    /// Who challenges with its hot key does not judge with the cold one.
    function test_RevealChallenge_OfAWorkerKey_MakesItsOperatorAParty() external {
        uint256 taskId = _settled();
        address worker = _nameWorker(outsider, 50);
        uint32 id = _commitChallenge(taskId, 0, 0, 255, worker);
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 0, 255, SALT);
        vm.assertTrue(appeals.isChallenger(taskId, 0, 0, outsider), "the operator");
        vm.assertTrue(appeals.isChallenger(taskId, 0, 0, worker), "and its key");
    }

    // expireChallenge

    function test_ExpireChallenge_BurnsAllThatWasPutDown() external {
        uint256 taskId = _settled();
        uint32 id = _commitChallenge(taskId, 0, 0, 255, outsider);
        _wait(100);
        uint256 by = _now() + 100;
        vm.expectRevert(abi.encodeWithSelector(IAppeals.TooEarly.selector, by));
        appeals.expireChallenge(taskId, 0, id);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.OpenChallenges.selector, taskId, 0, 1));
        attestations.finalise(taskId, 0);
        _wait(100);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        vm.expectEmit(address(appeals));
        emit IAppeals.ChallengeExpired(taskId, 0, id, UNIT + PREPAID);
        vm.prank(rival); // anybody
        appeals.expireChallenge(taskId, 0, id);
        attestations.finalise(taskId, 0);
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + UNIT + PREPAID, "burnt");
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nothing stays behind");
        vm.expectRevert(_nothing(taskId, 0, outsider));
        appeals.claimChallenge(taskId, 0, id);
        vm.expectRevert(_wrongChallenge(taskId, id, ChallengeState.Expired));
        appeals.expireChallenge(taskId, 0, id);
    }

    function test_ExpireChallenge_OfOneThatIsRevealed_Reverts() external {
        uint256 taskId = _settled();
        uint32 id = _challenge(taskId, 0, 0, 255);
        _wait(100);
        vm.expectRevert(_wrongChallenge(taskId, id, ChallengeState.Revealed));
        appeals.expireChallenge(taskId, 0, id);
    }

    /// A challenge that expires names no submission: that one stands at index 0 here must not give it what submission 0
    /// has won.
    function test_ExpireChallenge_BesideAFinder_HasNoPartInTheReward() external {
        _seatJurors(15);
        uint256 taskId = _settled(_params(), hex"646464");
        uint32 idle = _commitChallenge(taskId, 0, 0, 0, rival); // never revealed
        uint32 id = _commitChallenge(taskId, 0, 0, 0, outsider);
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 0, 0, SALT);
        _drawOf(taskId, 0);
        _decideWith(taskId, 0, _votes(15, 0, 0, 0), false);
        appeals.slashVerdict(taskId, 0, 0, verifier, hex"646464");
        appeals.expireChallenge(taskId, 0, idle);
        vm.expectRevert(_nothing(taskId, 0, rival));
        appeals.claimChallenge(taskId, 0, idle);
        _assertClaim(taskId, id, UNIT + 10 * UNIT);
    }

    /// Somebody sees only that a finder commits, and commits to a fraud of each submission in front of it. It reveals
    /// the one that the finder has told, second, and is the finder of it: it pays the panel, and all that the others
    /// have cost.
    function test_ExpireChallenge_OfABlanketInFrontOfAFinder_CostsAll_AndTheFinderNothing() external {
        _seatJurors(15);
        uint256 taskId = _settled(_params(), hex"646464");
        for (uint16 i; i < 3; ++i) {
            _commitChallenge(taskId, 0, i, 255, rival);
        }
        uint32 honest = _commitChallenge(taskId, 0, 1, 255, outsider);
        _wait(100);
        appeals.revealChallenge(taskId, 0, honest, 1, 255, SALT);
        appeals.revealChallenge(taskId, 0, 1, 1, 255, SALT);
        _drawOf(taskId, 1);
        _decideWith(taskId, 1, _votes(15, 255, 0, 0), false);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        appeals.expireChallenge(taskId, 0, 0);
        appeals.expireChallenge(taskId, 0, 2);
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 2 * (UNIT + PREPAID), "the price of a blanket");
        _assertClaim(taskId, honest, UNIT + PREPAID); // all that it has put down
        _assertClaim(taskId, 1, UNIT);
        vm.assertEq(_claimVotes(taskId, 1), PREPAID, "whom the copy has paid");
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nothing stays behind");
    }

    /// However many commit and say nothing, at whatever time: once the reveal window is over, an outsider ends it.
    function testFuzz_Finality_IsHeldByIdleChallengesForABoundedTime(uint8 count, uint8 after_) external {
        uint256 taskId = _settled();
        uint256 challengeBy = _now() + 100;
        count = uint8(_bound(count, 1, 8));
        for (uint256 i; i < count; ++i) {
            _wait(after_ % 12);
            _commitChallenge(taskId, 0, uint16(i % 3), 50, vm.addr(600 + i));
        }
        _wait(challengeBy + 100 - _now());
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        vm.startPrank(rival);
        for (uint32 i; i < count; ++i) {
            appeals.expireChallenge(taskId, 0, i);
        }
        attestations.finalise(taskId, 0);
        vm.stopPrank();
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + count * (UNIT + PREPAID), "each costs all of it");
    }

    function _mismatch(uint256 taskId, address who, uint16 index, uint8 score) private view returns (bytes memory) {
        bytes31 committed = bytes31(_challengeHash(taskId, 0, outsider, 0, 255));
        bytes31 revealed = bytes31(_challengeHash(taskId, 0, who, index, score));
        return abi.encodeWithSelector(Ballot.CommitmentMismatch.selector, committed, revealed);
    }

    function _wrongChallenge(uint256 taskId, uint32 id, ChallengeState state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAppeals.WrongChallenge.selector, taskId, 0, id, state);
    }
}

contract DisputesTest is Disputed {
    /// Who sees a challenge takes seats, commits to one as well, and reveals that first: its seats do not judge.
    function test_DrawPanel_OfSeatsTakenAfterTheFirstChallenge_DrawsNoneOfThem() external {
        address late = vm.addr(500);
        _seatJurors(20);
        _bond(late, Role.Verifier, 64 * SEAT_BOND);
        uint256 taskId = _settled();
        uint32 honest = _commitChallenge(taskId, 0, 0, 255, outsider);
        _nextBlock();
        vm.prank(late);
        panels.takeSeats(CLASS, 64);
        _nextBlock();
        uint32 bought = _commitChallenge(taskId, 0, 0, 99, vm.addr(501));
        _wait(100);
        appeals.revealChallenge(taskId, 0, bought, 0, 99, SALT);
        appeals.revealChallenge(taskId, 0, honest, 0, 255, SALT);
        _drawOf(taskId, 0);
        vm.assertEq(appeals.seatsOf(taskId, 0, 0, late), 0, "none of them");
    }

    // summonPanel, drawPanel

    function test_SummonPanel_OnceAllRevealsAreOver_NamesTheSeedsBlock() external {
        uint256 taskId = _settled();
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.None));
        appeals.summonPanel(taskId, 0, 0);
        _challenge(taskId, 0, 0, 255);
        uint256 from = _now() + 100;
        _wait(99);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.TooEarly.selector, from));
        appeals.summonPanel(taskId, 0, 0);
        _wait(1);
        vm.expectEmit(address(appeals));
        emit IAppeals.PanelSummoned(taskId, 0, 0, vm.getBlockNumber() + 1);
        appeals.summonPanel(taskId, 0, 0);
    }

    /// Anyone who does not like the seed cannot ask for another, while the chain knows this one.
    function test_SummonPanel_Twice_OnlyWhenTheSeedIsForgotten() external {
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 255);
        _wait(100);
        appeals.summonPanel(taskId, 0, 0);
        uint256 seedBlock = vm.getBlockNumber() + 1;
        bytes memory refused = abi.encodeWithSelector(IAppeals.AlreadySummoned.selector, taskId, 0, 0, seedBlock);
        vm.expectRevert(refused);
        appeals.summonPanel(taskId, 0, 0);
        vm.roll(seedBlock + 256);
        vm.expectRevert(refused);
        appeals.summonPanel(taskId, 0, 0);
        vm.roll(seedBlock + 257);
        vm.expectRevert(abi.encodeWithSelector(Randomness.SeedBlockForgotten.selector, seedBlock));
        appeals.drawPanel(taskId, 0, _submission(trainer, 0), "");
        appeals.summonPanel(taskId, 0, 0);
        vm.roll(vm.getBlockNumber() + 2);
        appeals.drawPanel(taskId, 0, _submission(trainer, 0), "");
    }

    function test_DrawPanel_SeatsJurorsAndOpensTheirVote() external {
        uint256 taskId = _drawn(0, 255, 20);
        (,, bytes32 seed, uint16 seats, uint40 commitBy, uint40 revealBy,) = appeals.disputeOf(taskId, 0, 0);
        vm.assertTrue(seed != 0 && seats == 15, "a full panel");
        vm.assertTrue(commitBy == _now() + 100 && revealBy == _now() + 200, "windows");
        vm.assertEq(_panel(taskId, 0).length, 15, "jurors");
        _assertPhase(taskId, 0, 0, DisputePhase.AppealCommit);
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.AppealCommit));
        appeals.drawPanel(taskId, 0, _submission(trainer, 0), "");
    }

    function test_DrawPanel_NotSummoned_Reverts() external {
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 255);
        _wait(100);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotSummoned.selector, taskId, 0, 0));
        appeals.drawPanel(taskId, 0, _submission(trainer, 0), "");
    }

    function test_DrawPanel_BeforeTheSeedsBlock_Reverts() external {
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 255);
        _wait(100);
        appeals.summonPanel(taskId, 0, 0);
        uint256 seedBlock = vm.getBlockNumber() + 1;
        for (uint256 i; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Randomness.SeedBlockTooRecent.selector, seedBlock));
            appeals.drawPanel(taskId, 0, _submission(trainer, 0), "");
            vm.roll(seedBlock);
        }
    }

    /// Who names another trainer would have the true one judge its own submission.
    function test_DrawPanel_OfAnotherSubmission_Reverts() external {
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 255);
        _wait(100);
        appeals.summonPanel(taskId, 0, 0);
        vm.roll(vm.getBlockNumber() + 2);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.UnknownSubmission.selector, taskId, 0, 0));
        appeals.drawPanel(taskId, 0, _submission(secondTrainer, 0), "");
    }

    /// Anyone who judged, trained or challenged has seats as well, and others have seats: nobody of the former is
    /// drawn. Where fewer than 15 are left, nobody is.
    function testFuzz_DrawPanel_OfNobodyWhoIsAParty(uint8 jurors, uint8 challengers, uint256 salt) external {
        jurors = uint8(_bound(jurors, 0, 24));
        challengers = uint8(_bound(challengers, 1, 6));
        if (jurors < challengers) jurors = challengers;
        uint256 taskId = _staff(_openTask(_params(), 1000 * UNIT));
        _seatJurors(jurors);
        address[4] memory parties = [verifier, secondVerifier, thirdVerifier, trainer];
        for (uint256 i; i < 4; ++i) {
            _bond(parties[i], Role.Verifier, 3 * SEAT_BOND);
            vm.prank(parties[i]);
            panels.takeSeats(CLASS, 3);
        }
        _nextBlock();
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, REPORT);
        _settle(taskId, 0, REPORT);
        for (uint256 i; i < challengers; ++i) {
            _commitChallenge(taskId, 0, 0, uint8(i), _juror(i));
        }
        _wait(100);
        for (uint32 i; i < challengers; ++i) {
            appeals.revealChallenge(taskId, 0, i, 0, uint8(i), SALT);
        }
        vm.roll(vm.getBlockNumber() + salt % 1000);
        _drawOf(taskId, 0);
        for (uint256 i; i < 4; ++i) {
            vm.assertEq(appeals.seatsOf(taskId, 0, 0, parties[i]), 0, "who judged or trained");
        }
        uint256 seats;
        for (uint256 i; i < jurors; ++i) {
            uint256 count = appeals.seatsOf(taskId, 0, 0, _juror(i));
            vm.assertTrue(i >= challengers || count == 0, "who challenged");
            seats += count;
        }
        vm.assertEq(seats, jurors - challengers < 15 ? 0 : 15, "of the others, or nobody");
    }

    /// The challenger takes seats before it reveals, and the block in which it commits.
    function test_DrawPanel_OfSeatsTakenWithTheChallenge_Never() external {
        _seatJurors(15);
        uint256 taskId = _settled();
        _bond(rival, Role.Verifier, 40 * SEAT_BOND);
        uint32 id = _commitChallenge(taskId, 0, 0, 0, outsider);
        vm.prank(rival); // its friend, in the same block
        panels.takeSeats(CLASS, 40);
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 0, 0, SALT);
        _drawOf(taskId, 0);
        vm.assertEq(appeals.seatsOf(taskId, 0, 0, rival), 0, "too late");
        vm.assertEq(_panel(taskId, 0).length, 15, "those who were there");
    }

    // commitVote, revealVote

    function test_CommitVote_ByAll_EndsThePhaseEarly() external {
        uint256 taskId = _drawn(0, 0, 15);
        _wait(10);
        for (uint256 i; i < 15; ++i) {
            _assertPhase(taskId, 0, 0, DisputePhase.AppealCommit);
            _commitVote(taskId, 0, 0, _juror(i), 0, false);
        }
        _assertPhase(taskId, 0, 0, DisputePhase.AppealReveal);
        (,,,, uint40 commitBy, uint40 revealBy,) = appeals.disputeOf(taskId, 0, 0);
        vm.assertTrue(commitBy == _now() && revealBy == _now() + 100, "a whole window to reveal");
    }

    function test_CommitVote_ByAWorkerKey_IsItsOperatorsVote() external {
        uint256 taskId = _drawn(0, 0, 15);
        address worker = _nameWorker(_juror(1), 50);
        bytes32 commitment = _voteHash(taskId, 0, _juror(1), 0, false);
        vm.expectEmit(address(appeals));
        emit IAppeals.VoteCommitted(taskId, 0, 0, _juror(1), commitment);
        vm.prank(worker);
        appeals.commitVote(taskId, 0, 0, commitment);
        worker = _nameWorker(_juror(1), 51); // the hot key may change in between
        _wait(100);
        vm.expectEmit(address(appeals));
        emit IAppeals.VoteRevealed(taskId, 0, 0, _juror(1), 0, false, 1);
        vm.prank(worker);
        appeals.revealVote(taskId, 0, 0, 0, false, SALT);
    }

    function test_CommitVote_ByWhoIsNotOnThePanel_Reverts() external {
        uint256 taskId = _drawn(0, 0, 15);
        address[3] memory strangers = [outsider, verifier, _juror(15)];
        for (uint256 i; i < 3; ++i) {
            vm.prank(strangers[i]);
            vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAJuror.selector, taskId, 0, 0, strangers[i]));
            appeals.commitVote(taskId, 0, 0, "x");
        }
    }

    function test_CommitVote_EmptyOrTwice_Reverts() external {
        uint256 taskId = _drawn(0, 0, 15);
        vm.prank(_juror(0));
        vm.expectRevert(Ballot.EmptyCommitment.selector);
        appeals.commitVote(taskId, 0, 0, 0);
        _commitVote(taskId, 0, 0, _juror(0), 0, false);
        vm.prank(_juror(0));
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyCommitted.selector, _juror(0)));
        appeals.commitVote(taskId, 0, 0, "x");
    }

    function test_CommitVote_OutsideItsPhase_Reverts() external {
        _seatJurors(15);
        uint256 taskId = _settled();
        vm.prank(_juror(0));
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.None));
        appeals.commitVote(taskId, 0, 0, "x");
        _challenge(taskId, 0, 0, 0);
        vm.prank(_juror(0));
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.Revealed));
        appeals.commitVote(taskId, 0, 0, "x");
        _drawOf(taskId, 0);
        _commitVote(taskId, 0, 0, _juror(0), 0, false);
        _wait(100);
        vm.prank(_juror(1));
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.AppealReveal));
        appeals.commitVote(taskId, 0, 0, "x");
    }

    function test_RevealVote_OutsideItsPhase_Reverts() external {
        uint256 taskId = _drawn(0, 0, 15);
        _commitVote(taskId, 0, 0, _juror(0), 0, false);
        vm.prank(_juror(0));
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.AppealCommit));
        appeals.revealVote(taskId, 0, 0, 0, false, SALT);
        _wait(200);
        vm.prank(_juror(0));
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.Decidable));
        appeals.revealVote(taskId, 0, 0, 0, false, SALT);
    }

    function test_RevealVote_WithAScoreThatIsNone_Reverts() external {
        uint256 taskId = _drawn(0, 0, 15);
        _commitVote(taskId, 0, 0, _juror(0), 101, false);
        _commitVote(taskId, 0, 0, _juror(1), 253, false);
        _wait(100);
        vm.prank(_juror(0));
        vm.expectRevert(abi.encodeWithSelector(IAppeals.BadScore.selector, 101));
        appeals.revealVote(taskId, 0, 0, 101, false, SALT);
        vm.prank(_juror(1));
        vm.expectRevert(abi.encodeWithSelector(IAppeals.BadScore.selector, 253));
        appeals.revealVote(taskId, 0, 0, 253, false, SALT);
    }

    /// Neither another's commitment nor one's own for another dispute can be opened, nor another vote than one's own.
    function test_RevealVote_ACopiedCommitment_Reverts() external {
        uint256 taskId = _drawn(0, 0, 15);
        bytes32 commitment = _voteHash(taskId, 0, _juror(0), 0, false);
        _commitVote(taskId, 0, 0, _juror(0), 0, false);
        vm.prank(_juror(1));
        appeals.commitVote(taskId, 0, 0, commitment);
        _wait(100);
        bytes31 own = bytes31(_voteHash(taskId, 0, _juror(1), 0, false));
        vm.prank(_juror(1));
        vm.expectRevert(abi.encodeWithSelector(Ballot.CommitmentMismatch.selector, bytes31(commitment), own));
        appeals.revealVote(taskId, 0, 0, 0, false, SALT);
        vm.prank(_juror(0));
        vm.expectRevert();
        appeals.revealVote(taskId, 0, 0, 0, true, SALT); // whether it is beyond is part of the vote
        vm.prank(_juror(2));
        vm.expectRevert(abi.encodeWithSelector(Ballot.NotCommitted.selector, _juror(2)));
        appeals.revealVote(taskId, 0, 0, 0, false, SALT);
        _revealVote(taskId, 0, 0, _juror(0), 0, false);
        vm.prank(_juror(0));
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyRevealed.selector, _juror(0)));
        appeals.revealVote(taskId, 0, 0, 0, false, SALT);
    }

    // decide

    function test_Decide_OutsideItsPhase_Reverts() external {
        uint256 taskId = _drawn(0, 0, 15);
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.AppealCommit));
        appeals.decide(taskId, 0, 0);
        _decideWith(taskId, 0, _votes(15, 0, 0, 0), false);
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.Overturned));
        appeals.decide(taskId, 0, 0);
        vm.expectRevert(_wrongDispute(taskId, 1, DisputePhase.None));
        appeals.decide(taskId, 0, 1);
    }

    function test_Decide_TheScoreStands_BurnsTheBond() external {
        uint256 taskId = _drawn(0, 255, 15);
        _voteWith(taskId, 0, _votes(11, 100, 4, 255), false);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        vm.expectEmit(address(appeals));
        emit IAppeals.DisputeDecided(taskId, 0, 0, 100, DisputePhase.Upheld, true);
        appeals.decide(taskId, 0, 0);
        _assertScore(taskId, 0, 100, DisputePhase.Upheld);
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + UNIT, "burnt");
        vm.assertEq(_claimVotes(taskId, 0), 11 * UNIT / 10, "who was with the outcome");
        _assertClaim(taskId, 0, 4 * UNIT / 10); // what judging did not use
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nothing stays behind");
        attestations.finalise(taskId, 0);
    }

    function test_Decide_FraudByTwoThirds_IsOverturned() external {
        uint256 taskId = _drawn(0, 255, 15);
        _voteWith(taskId, 0, _votes(10, 255, 5, 100), false);
        vm.expectEmit(address(appeals));
        emit IAppeals.DisputeDecided(taskId, 0, 0, 255, DisputePhase.Overturned, true);
        vm.expectEmit(address(attestations));
        emit IAttestations.ScoreCorrected(taskId, 0, 0, 255);
        appeals.decide(taskId, 0, 0);
        _assertScore(taskId, 0, 255, DisputePhase.Overturned);
        attestations.finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.IsFraud.selector, taskId, 0, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 50 * UNIT, "slashed");
    }

    /// 9 of 15 are less than two thirds: no fraud, and their votes count as 0.
    function test_Decide_FraudWithoutTwoThirds_BecomesNothing() external {
        uint256 taskId = _drawn(0, 255, 15);
        _decideWith(taskId, 0, _votes(9, 255, 6, 100), false);
        _assertScore(taskId, 0, 0, DisputePhase.Overturned);
        vm.assertEq(_claimVotes(taskId, 0), 0, "nobody has voted for 0");
        _assertClaim(taskId, 0, UNIT + PREPAID);
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nothing stays behind");
    }

    function test_Decide_TrainerAgainstItsFraudScore_IsPaidAfterAll() external {
        _seatJurors(15);
        uint256 taskId = _settled();
        uint32 id = _commitChallenge(taskId, 0, 1, 100, secondTrainer); // with its own money
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 1, 100, SALT);
        _drawOf(taskId, 1);
        _decideWith(taskId, 1, _votes(11, 100, 4, 255), false);
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1))), 10 * UNIT, "paid");
        vm.expectRevert();
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.assertTrue(commitments.isEnlisted(taskId, secondTrainer), "still a trainer");
    }

    function test_Decide_APanelThatConfirmsAFraud_LeavesIt() external {
        uint256 taskId = _drawn(1, 0, 15);
        _decideWith(taskId, 1, _votes(15, 255, 0, 0), false);
        _assertScore(taskId, 1, 255, DisputePhase.Upheld);
        vm.assertEq(_claimVotes(taskId, 1), PREPAID, "whose judging it has paid");
        vm.assertEq(token.balanceOf(address(appeals)), 0, "the bond is burnt");
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1)), 50 * UNIT, "slashed");
    }

    /// Seven stay away, as they were bribed to, and the eight who come confirm the fraud: it stays one.
    function test_Decide_MostVotesConfirmAFraud_ItStandsNoMatterWhoStaysAway() external {
        uint256 taskId = _drawn(1, 0, 15);
        _decideWith(taskId, 1, _votes(8, 255, 7, ABSENT), false);
        _assertScore(taskId, 1, 255, DisputePhase.Upheld);
        vm.assertEq(_claimVotes(taskId, 1), 8 * UNIT / 10, "their fee");
    }

    function test_Decide_MostVotesAcquit_TheFraudIsNone() external {
        uint256 taskId = _drawn(1, 0, 15);
        _decideWith(taskId, 1, _votes(7, 255, 8, 0), false);
        _assertScore(taskId, 1, 0, DisputePhase.Overturned);
    }

    /// All honest seats of the class belong to verifiers of the task, who cannot sit: a single seat more is all that
    /// may judge. It would be the whole panel, and acquit a fraud that all verifiers have called one.
    function test_Decide_OneSeatThatMayJudge_AcquitsNoFraud() external {
        uint256 taskId = _staffedTask();
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            _bond(all[i], Role.Verifier, 10 * SEAT_BOND);
            vm.prank(all[i]);
            panels.takeSeats(CLASS, 10);
        }
        _seatJurors(1);
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, REPORT);
        _settle(taskId, 0, REPORT);
        uint32 id = _challenge(taskId, 0, 1, 100);
        _drawOf(taskId, 1);
        vm.assertEq(appeals.seatsOf(taskId, 0, 1, _juror(0)), 0, "nobody judges");
        vm.prank(_juror(0));
        vm.expectRevert(_wrongDispute(taskId, 1, DisputePhase.Decidable));
        appeals.commitVote(taskId, 0, 1, "x");
        appeals.decide(taskId, 0, 1);
        _assertScore(taskId, 1, 255, DisputePhase.Undecided);
        _assertClaim(taskId, id, UNIT / 2 + PREPAID);
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nothing stays behind");
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1)), 50 * UNIT, "slashed");
    }

    /// An initiator that lowers what submissions are paid with a few seats of its own.
    function test_Decide_FewerSeatsThanAPanelHas_LowerNobodysPay() external {
        uint256 taskId = _drawn(0, 0, 14);
        appeals.decide(taskId, 0, 0);
        _assertScore(taskId, 0, 100, DisputePhase.Undecided);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAJuror.selector, taskId, 0, 0, _juror(0)));
        appeals.dismissJuror(taskId, 0, 0, _juror(0)); // nor is it blamed for not voting
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 10 * UNIT, "paid in full");
    }

    function test_Decide_AThirdScore_ReturnsTheBondAndNoMore() external {
        uint256 taskId = _drawn(0, 255, 15);
        _decideWith(taskId, 0, _votes(15, 40, 0, 0), false);
        _assertScore(taskId, 0, 40, DisputePhase.Overturned);
        appeals.slashVerdict(taskId, 0, 0, verifier, REPORT);
        _claimVotes(taskId, 0);
        _assertClaim(taskId, 0, UNIT);
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nobody has found it: all of the slash is burnt");
    }

    /// An appeal that decides nothing has delayed the epoch: half of the bond is burnt for that.
    function test_Decide_FewerThanHalfOfTheSeats_ChangeNothing() external {
        uint256 taskId = _drawn(0, 255, 15);
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        _decideWith(taskId, 0, _votes(7, 255, 8, ABSENT), false);
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + UNIT / 2, "burnt");
        _assertScore(taskId, 0, 100, DisputePhase.Undecided);
        vm.assertEq(_claimVotes(taskId, 0), 7 * UNIT / 10, "who came has its fee");
        _assertClaim(taskId, 0, UNIT / 2 + 8 * UNIT / 10);
        vm.assertEq(token.balanceOf(address(appeals)), 0, "nothing stays behind");
    }

    function test_Decide_MoreThanHalfOfTheSeats_AreEnough() external {
        uint256 taskId = _drawn(0, 0, 15);
        _decideWith(taskId, 0, _votes(8, 0, 7, ABSENT), false);
        _assertScore(taskId, 0, 0, DisputePhase.Overturned);
    }

    function test_Decide_WithoutAPanel_ChangesNothing() external {
        uint256 taskId = _drawn(0, 255, 0);
        appeals.decide(taskId, 0, 0); // nobody to wait for
        _assertScore(taskId, 0, 100, DisputePhase.Undecided);
        _assertClaim(taskId, 0, UNIT / 2 + PREPAID);
    }

    function test_Decide_NobodyDrewThePanel_ChangesNothing() external {
        _seatJurors(15);
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 255);
        _wait(100);
        appeals.summonPanel(taskId, 0, 0);
        _wait(99);
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.Revealed));
        appeals.decide(taskId, 0, 0);
        _wait(1);
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.Decidable));
        appeals.drawPanel(taskId, 0, _submission(trainer, 0), "");
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.Decidable));
        appeals.summonPanel(taskId, 0, 0);
        appeals.decide(taskId, 0, 0);
        _assertScore(taskId, 0, 100, DisputePhase.Undecided);
        _assertClaim(taskId, 0, UNIT / 2 + PREPAID);
        attestations.finalise(taskId, 0);
    }

    /// Half of the votes cast, and not of the seats: a few could else unpay who has done nothing wrong.
    function test_Decide_HalfOfTheVotesSeeNothing_ChangesNothing() external {
        uint256 taskId = _drawn(0, 255, 15);
        _decideWith(taskId, 0, abi.encodePacked(_votes(7, 254, 2, 0), _votes(5, 0, 1, ABSENT)), false);
        _assertScore(taskId, 0, 100, DisputePhase.Undecided);
        vm.assertEq(_claimVotes(taskId, 0), 7 * UNIT / 10, "who had nothing to judge earns nothing");
        _assertClaim(taskId, 0, UNIT / 2 + PREPAID - 7 * UNIT / 10);
    }

    /// Two of three verifiers pay submissions of which no byte exists.
    function testFuzz_Decide_MostSeatsSeeNothingOfWhatIsPaid_UnpaysItAndBlamesNobody(uint8 seeing, bool named)
        external
    {
        _seatJurors(15);
        uint256 taskId = _staffedTask();
        _commitAllAndSeal(taskId);
        (bytes memory theirs, bytes memory honest) = (bytes(hex"646464"), bytes(hex"fefefe"));
        _attest(taskId, 0, theirs, theirs, honest);
        _settle(taskId, 0, _sorted(theirs, honest));
        _challenge(taskId, 0, 0, named ? 254 : 0);
        _drawOf(taskId, 0);
        uint256 nothing = _bound(seeing, 8, 15);
        _decideWith(taskId, 0, _votes(nothing, 254, 15 - nothing, ABSENT), false);
        _assertScore(taskId, 0, 254, DisputePhase.Overturned);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAgainstVerifiers.selector, taskId, 0, 0));
        appeals.slashVerdict(taskId, 0, 0, verifier, theirs);
        vm.assertEq(_claimVotes(taskId, 0), 0, "nobody had anything to judge");
        _assertClaim(taskId, 0, UNIT + PREPAID);
        attestations.finalise(taskId, 0);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 0, "not paid");
        vm.assertEq(_bonded(trainer, Role.Trainer), 60 * UNIT, "nor slashed");
    }

    /// A fraud whose author takes its bytes away stays one.
    function test_Decide_MostSeatsSeeNothingOfAFraud_ChangesNothing() external {
        uint256 taskId = _drawn(1, 100, 15);
        _decideWith(taskId, 1, _votes(15, 254, 0, 0), false);
        _assertScore(taskId, 1, 255, DisputePhase.Undecided);
    }

    function test_Decide_SeveralInOneEpoch_EachByItself() external {
        _seatJurors(20);
        uint256 taskId = _settled();
        _commitChallenge(taskId, 0, 0, 0, outsider);
        _commitChallenge(taskId, 0, 2, 100, rival);
        _wait(100);
        appeals.revealChallenge(taskId, 0, 0, 0, 0, SALT);
        appeals.revealChallenge(taskId, 0, 1, 2, 100, SALT);
        _drawOf(taskId, 0);
        _drawOf2(taskId, 2);
        _decideWith(taskId, 0, _votes(15, 0, 0, 0), false);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.OpenChallenges.selector, taskId, 0, 1));
        attestations.finalise(taskId, 0);
        _decideWith(taskId, 2, _votes(15, 100, 0, 0), false);
        attestations.finalise(taskId, 0);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 0, "one");
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 255, "not disputed");
        vm.assertEq(attestations.scoreOf(taskId, 0, 2), 100, "the other");
    }

    /// A juror with several seats has as many votes, and as many fees.
    function test_Decide_ByTheSeatsBehindAVote() external {
        _seatJurors(5);
        _bond(_juror(5), Role.Verifier, 10 * SEAT_BOND);
        vm.prank(_juror(5));
        panels.takeSeats(CLASS, 10);
        _nextBlock();
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 30);
        _drawOf(taskId, 0);
        vm.assertEq(appeals.seatsOf(taskId, 0, 0, _juror(5)), 10, "seats");
        _decideWith(taskId, 0, abi.encodePacked(_votes(5, 100, 0, 0), uint8(30)), false);
        _assertScore(taskId, 0, 30, DisputePhase.Overturned);
        vm.assertEq(appeals.claimVote(taskId, 0, 0, _juror(5)), UNIT, "ten fees");
    }

    // dismissJuror

    function test_DismissJuror_OfWhoDidNotVote_KeepsItOutOfLaterPanels() external {
        uint256 taskId = _drawn(0, 0, 15);
        address[] memory jurors = _panel(taskId, 0);
        bytes memory refused = abi.encodeWithSelector(IAppeals.NotAJuror.selector, taskId, 0, 0, jurors[0]);
        vm.expectRevert(_wrongDispute(taskId, 0, DisputePhase.AppealCommit));
        appeals.dismissJuror(taskId, 0, 0, jurors[14]);
        _decideWith(taskId, 0, _votes(14, 0, 1, ABSENT), false);
        vm.expectRevert(refused);
        appeals.dismissJuror(taskId, 0, 0, jurors[0]); // it has voted
        vm.expectEmit(address(panels));
        emit IPanels.JurorDismissed(taskId, jurors[14]);
        appeals.dismissJuror(taskId, 0, 0, jurors[14]);
        refused = abi.encodeWithSelector(IAppeals.NotAJuror.selector, taskId, 0, 0, jurors[14]);
        vm.expectRevert(refused);
        appeals.dismissJuror(taskId, 0, 0, jurors[14]); // twice
        refused = abi.encodeWithSelector(IAppeals.NotAJuror.selector, taskId, 0, 0, outsider);
        vm.expectRevert(refused);
        appeals.dismissJuror(taskId, 0, 0, outsider);
    }

    function test_DismissJuror_OfWhoCommittedAndDidNotReveal() external {
        uint256 taskId = _drawn(0, 0, 15);
        address[] memory jurors = _panel(taskId, 0);
        for (uint256 i; i < 15; ++i) {
            _commitVote(taskId, 0, 0, jurors[i], 0, false);
        }
        for (uint256 i; i < 14; ++i) {
            _revealVote(taskId, 0, 0, jurors[i], 0, false);
        }
        _wait(100);
        appeals.decide(taskId, 0, 0);
        appeals.dismissJuror(taskId, 0, 0, jurors[14]);
        vm.expectRevert(_nothing(taskId, 0, jurors[14]));
        appeals.claimVote(taskId, 0, 0, jurors[14]);
    }

    /// Somebody opens a task of the class whose terms nobody serves: no fee, and a challenge costs one wei.
    function test_DismissJuror_InAHostileTask_LeavesPanelsOfOtherTasksWhole() external {
        _seatJurors(15);
        TaskParams memory params = _params();
        (params.challengeBond, params.jurorFee) = (1, 0);
        uint256 hostile = _settled(params, REPORT);
        _challenge(hostile, 0, 0, 0);
        _drawOf(hostile, 0);
        _wait(200);
        appeals.decide(hostile, 0, 0);
        for (uint256 i; i < 15; ++i) {
            appeals.dismissJuror(hostile, 0, 0, _juror(i));
        }
        uint256 taskId = _settled();
        _challenge(taskId, 0, 0, 255);
        _drawOf(taskId, 0);
        _decideWith(taskId, 0, _votes(15, 255, 0, 0), false);
        _assertScore(taskId, 0, 255, DisputePhase.Overturned);
    }

    /// Challenges, panels that nobody draws, jurors that never come: an outsider makes the epoch final, a reveal window
    /// and three appeal windows after its challenge window at the latest.
    function testFuzz_Finality_IsHeldByDisputesForABoundedTime(uint8 jurors, uint256 dice) external {
        _seatJurors(13 + jurors % 4);
        uint256 taskId = _settled();
        uint256 by = _now() + 100 + 100 + 300;
        uint256 count = 1 + dice % 5;
        for (uint32 i; i < count; ++i) {
            _commitChallenge(taskId, 0, uint16(i % 3), uint8(10 + i), vm.addr(600 + i));
        }
        _wait(100);
        for (uint32 i; i < count; ++i) {
            if (dice >> (8 + i) & 1 == 0) appeals.revealChallenge(taskId, 0, i, uint16(i % 3), uint8(10 + i), SALT);
        }
        _wait(199); // as late as may be
        for (uint16 index; index < 3; ++index) {
            if (dice >> (20 + index) & 1 == 0) continue;
            try appeals.summonPanel(taskId, 0, index) {} catch {}
            vm.roll(vm.getBlockNumber() + 2);
            try appeals.drawPanel(taskId, 0, _submission(_trainerOf(index), index), "") {} catch {}
            address[] memory panel = _panel(taskId, index);
            if (panel.length > 0) _commitVote(taskId, 0, index, panel[0], 5, false); // and never reveals
        }
        _wait(by - _now());
        vm.startPrank(rival);
        for (uint32 i; i < count; ++i) {
            try appeals.expireChallenge(taskId, 0, i) {} catch {}
        }
        for (uint16 index; index < 3; ++index) {
            try appeals.decide(taskId, 0, index) {} catch {}
        }
        attestations.finalise(taskId, 0);
        vm.stopPrank();
    }

    function _drawOf2(uint256 taskId, uint16 index) private {
        appeals.summonPanel(taskId, 0, index);
        vm.roll(vm.getBlockNumber() + 2);
        appeals.drawPanel(taskId, 0, _submission(_trainerOf(index), index), "");
    }

    function _voteHash(uint256 taskId, uint16 index, address juror, uint8 score, bool beyond)
        private
        view
        returns (bytes32)
    {
        (,, bytes32 seed,,,,) = appeals.disputeOf(taskId, 0, index);
        return keccak256(abi.encode(seed, juror, keccak256(abi.encode(score, beyond)), SALT));
    }
}
