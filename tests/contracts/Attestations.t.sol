// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Ballot} from "../../contracts/libraries/Ballot.sol";
import {Randomness} from "../../contracts/libraries/Randomness.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Judged} from "./Judged.sol";

contract SealTest is Judged {
    function test_SealEpoch_FixesWhoJudgesIt() external {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        bytes32 seed = _expectedSeed(taskId, 0, vm.getBlockNumber() - 1);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochSealed(taskId, 0, seed, 3, 3, 300 * UNIT, uint40(_now() + 100));
        vm.prank(outsider);
        vm.assertEq(attestations.sealEpoch(taskId), 0, "epoch");
        vm.assertEq(attestations.seedOf(taskId, 0), seed, "seed");
        vm.assertEq(attestations.quorumOf(taskId, 0), 199.98 ether, "quorum");
        (uint40 attestBy, uint40 revealBy, uint40 challengeBy, uint16 paid) = attestations.scheduleOf(taskId, 0);
        vm.assertTrue(attestBy == _now() + 100 && revealBy == _now() + 200, "windows");
        vm.assertTrue(challengeBy == 0 && paid == 0, "not settled");
        _assertPhase(taskId, 0, EpochPhase.AttestCommit);
        _assertPhase(taskId, 1, EpochPhase.Committing);
    }

    function test_SealEpoch_WhenNothingIsClosed_Reverts() external {
        uint256 taskId = _staffedTask();
        vm.expectRevert();
        attestations.sealEpoch(taskId);
        _commit(taskId, trainer);
        vm.expectRevert();
        attestations.sealEpoch(taskId);
    }

    /// Anyone who calls, and whenever: the seed is that of one block, which was named before it was made.
    function testFuzz_SealEpoch_WheneverItIsCalled_HasTheSameSeed(uint8 later, address caller) external {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        uint256 seedBlock = vm.getBlockNumber() - 1;
        bytes32 seed = _expectedSeed(taskId, 0, seedBlock);
        vm.warp(_now() + later);
        vm.roll(seedBlock + 1 + later);
        vm.prevrandao(keccak256(abi.encode(later)));
        vm.prank(caller);
        attestations.sealEpoch(taskId);
        vm.assertEq(attestations.seedOf(taskId, 0), seed, "seed");
    }

    function test_SealEpoch_OfAForgottenSeed_WaitsForAnother() external {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        uint256 seedBlock = vm.getBlockNumber() - 1;
        vm.roll(seedBlock + 257);
        vm.expectRevert(abi.encodeWithSelector(Randomness.SeedBlockForgotten.selector, seedBlock));
        attestations.sealEpoch(taskId);
        commitments.closeEpoch(taskId);
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
    }

    /// Who could corrupt a quorum for less than it wins by it would.
    function test_SealEpoch_ByTooSmallAnElectorate_IsVoidAtOnce() external {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _enlistVerifier(taskId, verifier, 100 * UNIT); // 66.66 of it are a quorum
        _enlistTrainer(taskId, secondTrainer);
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        bytes32 seed = _expectedSeed(taskId, 0, vm.getBlockNumber() - 1);
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochSealed(taskId, 0, seed, 2, 1, 100 * UNIT, 0);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochVoid(taskId, 0);
        attestations.sealEpoch(taskId);
        _assertPhase(taskId, 0, EpochPhase.Void);
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(budget, before, "its money is free for the next");
        vm.assertEq(reserved, 103 * UNIT, "which is open");
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 0, "nobody is paid");
        (, uint32 inFlight) = commitments.collateralOf(taskId, trainer);
        vm.assertEq(inFlight, 0, "or answers");
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Void));
        attestations.slashAbsence(taskId, 0, verifier); // nor absent
    }

    /// By then the bonds of those who left while it was open need not answer any more.
    function testFuzz_SealEpoch_LaterThanItCanBeJudged_IsVoid(uint16 late) external {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        (,,, uint40 commitBy) = commitments.epochOf(taskId, 0);
        vm.warp(commitBy + _bound(late, 0, 200));
        attestations.sealEpoch(taskId);
        _assertPhase(taskId, 0, _bound(late, 0, 200) > 100 ? EpochPhase.Void : EpochPhase.AttestCommit);
    }

    /// Three honest submissions of full size are as much as the electorate can judge; one unit more puts a tenth of a
    /// submission at stake, not all of another.
    function test_SealEpoch_WithASmallSubmissionBesideFullOnes_PutsAsMuchAtStakeAsItsUnits() external {
        uint256 taskId = _staffedTask(); // 199.98 are a quorum; three submissions put 183 at stake, and one unit 6 more
        _enlistTrainer(taskId, outsider);
        vm.prank(outsider);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 1, 0, true);
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        attestations.sealEpoch(taskId);
        _assertPhase(taskId, 0, EpochPhase.AttestCommit);
    }

    /// To the wei: what a quorum weighs, and what it has to outweigh.
    function testFuzz_SealEpoch_OnlyWhereAQuorumOutweighsWhatIsAtStake(uint96 extra, uint16 quorumBps) external {
        TaskParams memory params = _params();
        params.quorumBps = uint16(_bound(quorumBps, 5001, 10_000));
        uint256 taskId = _openTask(params, 1000 * UNIT);
        _enlistTrainer(taskId, trainer);
        _enlistTrainer(taskId, secondTrainer);
        uint128 weight = uint128(_bound(extra, 100 * UNIT, 300 * UNIT));
        _enlistVerifier(taskId, verifier, weight);
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        uint256 quorum = (uint256(weight) * params.quorumBps + 9999) / 10_000;
        attestations.sealEpoch(taskId);
        // 2 submissions of 10 + 50, and the fee
        _assertPhase(taskId, 0, quorum < 123 * UNIT ? EpochPhase.Void : EpochPhase.AttestCommit);
    }
}

contract AttestationsTest is Judged {
    // commitAttestation

    function test_CommitAttestation_TellsTheSealedReport() external {
        uint256 taskId = _sealedTask();
        bytes memory forItself = new bytes(131); // a byte for each of three submissions, and 128
        vm.expectEmit(address(attestations));
        emit IAttestations.AttestationCommitted(taskId, 0, verifier, keccak256("x"), forItself);
        vm.prank(verifier);
        attestations.commitAttestation(taskId, 0, keccak256("x"), forItself);
        vm.prank(secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.SealedReportTooLong.selector, 132, 131));
        attestations.commitAttestation(taskId, 0, keccak256("x"), new bytes(132));
    }

    function test_CommitAttestation_Empty_Reverts() external {
        uint256 taskId = _sealedTask();
        vm.prank(verifier);
        vm.expectRevert(Ballot.EmptyCommitment.selector);
        attestations.commitAttestation(taskId, 0, 0, "");
    }

    function test_CommitAttestation_Twice_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyCommitted.selector, verifier));
        attestations.commitAttestation(taskId, 0, keccak256("x"), "");
    }

    function test_CommitAttestation_ByAnOutsider_Reverts() external {
        uint256 taskId = _sealedTask();
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, outsider));
        attestations.commitAttestation(taskId, 0, keccak256("x"), "");
    }

    function test_CommitAttestation_OutsideItsPhase_Reverts() external {
        uint256 taskId = _staffedTask();
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Committing));
        attestations.commitAttestation(taskId, 0, keccak256("x"), "");
        _commitAllAndSeal(taskId);
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        vm.prank(secondVerifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestReveal));
        attestations.commitAttestation(taskId, 0, keccak256("x"), "");
    }

    // revealAttestation

    function test_RevealAttestation_ByWorkerKeys_ReachesTheQuorum() external {
        uint256 taskId = _sealedTask();
        address worker = _nameWorker(verifier, 50);
        bytes32 commitment = _commitment(taskId, 0, verifier, GOOD);
        vm.prank(worker);
        attestations.commitAttestation(taskId, 0, commitment, "");
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.AttestCommit);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.AttestReveal); // ends early: all have committed
        vm.expectEmit(address(attestations));
        emit IAttestations.AttestationRevealed(taskId, 0, verifier, 100 * UNIT, GOOD, EVIDENCE);
        vm.prank(worker);
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochAttested(taskId, 0, 200 * UNIT);
        _reveal(taskId, 0, secondVerifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.AttestReveal); // the third may still come
        _reveal(taskId, 0, thirdVerifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.Attested);
        (uint16 submissions, uint16 settled, uint16 count, uint16 committed, uint16 revealed, uint128 revealedWeight,) =
            attestations.tallyOf(taskId, 0);
        vm.assertTrue(submissions == 3 && settled == 0 && count == 3 && committed == 3 && revealed == 3, "counts");
        vm.assertEq(revealedWeight, 300 * UNIT, "weight");
    }

    function test_RevealAttestation_OutsideItsPhase_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestCommit));
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
        _wait(200);
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Missed));
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
    }

    function test_RevealAttestation_OfAnotherLength_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, hex"6464");
        _wait(100);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.BadReport.selector, 2, 3));
        attestations.revealAttestation(taskId, 0, hex"6464", SALT, EVIDENCE);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.BadReport.selector, 4, 3));
        attestations.revealAttestation(taskId, 0, hex"64646464", SALT, EVIDENCE);
    }

    function test_RevealAttestation_NotCommitted_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        vm.prank(secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(Ballot.NotCommitted.selector, secondVerifier));
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
    }

    function test_RevealAttestation_ACopiedCommitment_Reverts() external {
        uint256 taskId = _sealedTask();
        bytes32 commitment = _commitment(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, verifier, GOOD);
        _commitRaw(taskId, secondVerifier, commitment);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        _reveal(taskId, 0, verifier, GOOD);
        bytes31 own = bytes31(_commitment(taskId, 0, secondVerifier, GOOD));
        vm.prank(secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(Ballot.CommitmentMismatch.selector, bytes31(commitment), own));
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
    }

    function test_RevealAttestation_OtherThanCommitted_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        vm.prank(verifier);
        vm.expectRevert();
        attestations.revealAttestation(taskId, 0, hex"646464", SALT, EVIDENCE);
        vm.prank(verifier);
        vm.expectRevert();
        attestations.revealAttestation(taskId, 0, GOOD, bytes32("other"), EVIDENCE);
    }

    function test_RevealAttestation_Twice_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyRevealed.selector, verifier));
        attestations.revealAttestation(taskId, 0, GOOD, SALT, EVIDENCE);
    }

    /// A submission is swapped by a reorganisation: what was said of the former history does not fit the new seed, and
    /// nobody is slashed for another's submission.
    function test_RevealAttestation_OfAnotherHistory_Reverts() external {
        uint256 first = _sealedTask();
        bytes32 commitment = _commitment(first, 0, verifier, hex"ff6464");
        uint256 second = _staffedTask(); // the same task, in which the second trainer comes first
        _commit(second, secondTrainer);
        _commit(second, trainer);
        _commit(second, thirdTrainer);
        attestations.sealEpoch(second);
        _commitRaw(second, verifier, commitment);
        _wait(100);
        vm.prank(verifier);
        vm.expectRevert();
        attestations.revealAttestation(second, 0, hex"ff6464", SALT, EVIDENCE);
    }

    // who reveals again

    /// A revealed report whose hash is a commitment once passed for one: its author revealed again and again. Each link
    /// of such a chain is refused, whatever is tried at each step.
    function testFuzz_Reveal_OfAChainOfHashes_CountsOnce(bytes32 salt, uint8 length) external {
        uint256 taskId = _sealedTaskOf(32); // a report is as long as a hash
        length = uint8(_bound(length, 2, 5));
        bytes32 seed = attestations.seedOf(taskId, 0);
        bytes[] memory reports = new bytes[](length);
        bytes32 commitment;
        for (uint256 k = length; k > 0; --k) {
            // The report before is this commitment itself, or its hash, so that either may be taken for the other.
            reports[k - 1] = k == length
                ? abi.encodePacked(salt)
                : k % 2 == 0 ? abi.encodePacked(commitment) : abi.encodePacked(keccak256(abi.encode(commitment)));
            commitment = keccak256(abi.encode(seed, verifier, keccak256(reports[k - 1]), salt));
        }
        _commitRaw(taskId, verifier, commitment);
        _commitReport(taskId, 0, secondVerifier, new bytes(32));
        _wait(100);
        vm.startPrank(verifier);
        attestations.revealAttestation(taskId, 0, reports[0], salt, EVIDENCE);
        for (uint256 k; k < length; ++k) {
            vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyRevealed.selector, verifier));
            attestations.revealAttestation(taskId, 0, reports[k], salt, EVIDENCE);
        }
        vm.stopPrank();
        (,,,, uint16 revealed, uint128 weight,) = attestations.tallyOf(taskId, 0);
        vm.assertTrue(revealed == 1 && weight == 8000 * UNIT, "once, with one's own weight");
    }

    /// With a third of the weight alone nobody is a quorum, and the two honest ones are not shut out.
    function test_Reveal_ByOneThird_IsNoQuorum() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, hex"ff6464");
        _commitReport(taskId, 0, secondVerifier, hex"646464");
        _commitReport(taskId, 0, thirdVerifier, hex"646464");
        _reveal(taskId, 0, verifier, hex"ff6464");
        _assertPhase(taskId, 0, EpochPhase.AttestReveal);
        _reveal(taskId, 0, secondVerifier, hex"646464");
        _reveal(taskId, 0, thirdVerifier, hex"646464");
        _settle(taskId, 0, _sorted(hex"ff6464", hex"646464"));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 100, "outvoted");
    }

    /// A commitment that is the hash of what others will reveal, or of something that means "absent", reveals nothing.
    function test_Commitment_ThatLooksLikeAReport_IsNone() external {
        uint256 taskId = _sealedTask();
        _commitRaw(taskId, thirdVerifier, keccak256(GOOD));
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _reveal(taskId, 0, verifier, GOOD);
        _reveal(taskId, 0, secondVerifier, GOOD);
        (bytes31 reportHash,,) = attestations.attestationOf(taskId, 0, thirdVerifier);
        vm.assertEq(bytes32(reportHash), bytes32(0), "no report");
        _wait(100);
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 95 * UNIT, "absent");
    }

    /// There is no report whose hash is 1, so nobody can reveal it: who committed to it is absent like any other.
    function test_Commitment_ToTheHashOne_IsAbsence() external {
        uint256 taskId = _sealedTask();
        bytes32 one = bytes32(uint256(1));
        _commitRaw(taskId, verifier, keccak256(abi.encode(attestations.seedOf(taskId, 0), verifier, one, SALT)));
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        vm.prank(verifier);
        vm.expectRevert();
        attestations.revealAttestation(taskId, 0, abi.encodePacked(one), SALT, EVIDENCE);
        _reveal(taskId, 0, secondVerifier, GOOD);
        _reveal(taskId, 0, thirdVerifier, GOOD);
        _wait(100);
        _settle(taskId, 0, GOOD); // nobody needs its report
        attestations.slashAbsence(taskId, 0, verifier);
        vm.assertEq(_bonded(verifier, Role.Verifier), 95 * UNIT, "slashed");
    }

    // slashAbsence

    function test_SlashAbsence_OfOneWhoDidNotCommit_BurnsAShareOfItsWeight() external {
        uint256 taskId = _voidTask();
        uint256 burnt = token.balanceOf(Tokens.BURNT);
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(attestations));
        emit IAttestations.AbsenceSlashed(taskId, 0, secondVerifier, 5 * UNIT);
        vm.prank(outsider);
        attestations.slashAbsence(taskId, 0, secondVerifier);
        vm.assertEq(_bonded(secondVerifier, Role.Verifier), 95 * UNIT, "from the bond");
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt + 5 * UNIT, "burnt");
        (uint256 budget,) = _money(taskId);
        vm.assertTrue(budget == before && token.balanceOf(outsider) == 0, "nobody has it");
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyPenalised.selector, secondVerifier));
        attestations.slashAbsence(taskId, 0, secondVerifier);
    }

    function test_SlashAbsence_OfOneWhoCommittedOnly() external {
        uint256 taskId = _voidTask();
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 95 * UNIT, "slashed");
    }

    /// Whatever became of the epoch: missed, void, settled or final.
    function test_SlashAbsence_OfOneWhoRevealed_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.Missed);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.TooFewRevealed.selector, taskId, 0, 100 * UNIT));
        attestations.slashAbsence(taskId, 0, verifier);
        attestations.voidEpoch(taskId, 0);
        taskId = _settledTask();
        bytes memory present = abi.encodeWithSelector(Ballot.WasPresent.selector, verifier);
        vm.expectRevert(present);
        attestations.slashAbsence(taskId, 0, verifier);
        _finalise(taskId, 0);
        _wait(UNBONDING);
        vm.expectRevert(present);
        attestations.slashAbsence(taskId, 0, verifier);
    }

    /// It commits late and reveals what nobody expected: its report is on chain with that, so nobody waits for its
    /// bytes.
    function test_SlashAbsence_WhereOneRevealsSomethingElse_NobodyIsDelayedOrSlashed() external {
        uint256 taskId = _sealedTask();
        bytes memory odd = hex"646463";
        _attest(taskId, 0, odd, GOOD, GOOD);
        _settle(taskId, 0, _sorted(odd, GOOD)); // anybody can, at once
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Ballot.WasPresent.selector, all[i]));
            attestations.slashAbsence(taskId, 0, all[i]);
        }
    }

    /// Without a challenge window, nobody can leave a report out of `settle` and have its author slashed at once.
    function test_SlashAbsence_WithoutAChallengeWindow_OfOneLeftOut_IsImpossible() external {
        TaskParams memory params = _params();
        (params.quorumBps, params.challengeWindow) = (5001, 0);
        uint256 taskId = _openTask(params, 1000 * UNIT);
        _staff(taskId);
        _enlistVerifier(taskId, vm.addr(78), 100 * UNIT);
        _commitAllAndSeal(taskId);
        bytes[4] memory reports = [bytes(hex"646464"), hex"646464", hex"646462", hex"646463"];
        address[4] memory all = [verifier, secondVerifier, thirdVerifier, vm.addr(78)];
        for (uint256 i; i < 4; ++i) {
            _commitReport(taskId, 0, all[i], reports[i]);
        }
        for (uint256 i; i < 4; ++i) {
            _reveal(taskId, 0, all[i], reports[i]);
        }
        bytes[] memory some = _sorted(reports[0], reports[3]);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ReportsIncomplete.selector, 300 * UNIT, 400 * UNIT));
        attestations.settle(taskId, 0, some, 3);
        _settle(taskId, 0, _sorted(reports[0], reports[2], reports[3]));
        attestations.finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(Ballot.WasPresent.selector, thirdVerifier));
        attestations.slashAbsence(taskId, 0, thirdVerifier);
    }

    /// A minority that blocks the quorum is slashed for it, each time; those who were there stay, with all of their
    /// weight.
    function test_SlashAbsence_OfABlockingMinority_LeavesThoseWhoWereThere() external {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _enlistVerifier(taskId, verifier, 110 * UNIT); // ten more than asked for
        _enlistVerifier(taskId, secondVerifier, 100 * UNIT);
        _enlistVerifier(taskId, thirdVerifier, 100 * UNIT);
        _commit(taskId, trainer);
        attestations.sealEpoch(taskId);
        _commitReport(taskId, 0, secondVerifier, hex"64");
        _commitReport(taskId, 0, thirdVerifier, hex"64");
        _wait(100);
        _reveal(taskId, 0, secondVerifier, hex"64");
        _reveal(taskId, 0, thirdVerifier, hex"64");
        attestations.voidEpoch(taskId, 0);
        attestations.slashAbsence(taskId, 0, verifier);
        vm.expectRevert(abi.encodeWithSelector(Ballot.WasPresent.selector, secondVerifier));
        attestations.slashAbsence(taskId, 0, secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(Ballot.WasPresent.selector, thirdVerifier));
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        vm.assertTrue(verifiers.isEnlisted(taskId, secondVerifier), "stays");
        vm.assertTrue(verifiers.isEnlisted(taskId, thirdVerifier), "stays");
        vm.assertEq(_bonded(verifier, Role.Verifier), 104.5 ether, "a twentieth of its weight");
    }

    /// The chain stood still, but for those who had committed before: they are no witnesses against most of the others.
    function testFuzz_SlashAbsence_WhereMostWereKeptAway_Reverts(uint8 who, uint96 extra) external {
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        uint128 weight = 100 * UNIT + uint128(extra % uint96(100 * UNIT + 1)); // at most half of all
        address early = all[who % 3];
        for (uint256 i; i < 3; ++i) {
            _enlistVerifier(taskId, all[i], all[i] == early ? weight : 100 * UNIT);
        }
        _commit(taskId, trainer);
        attestations.sealEpoch(taskId);
        _commitReport(taskId, 0, early, hex"64");
        _wait(100);
        _reveal(taskId, 0, early, hex"64");
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IAttestations.TooFewRevealed.selector, taskId, 0, weight));
            attestations.slashAbsence(taskId, 0, all[i]);
        }
    }

    /// A chain that stood still for a window is no reason to slash all.
    function test_SlashAbsence_WhereNobodyRevealed_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(200);
        bytes memory refused = abi.encodeWithSelector(IAttestations.TooFewRevealed.selector, taskId, 0, 0);
        vm.expectRevert(refused);
        attestations.slashAbsence(taskId, 0, secondVerifier);
        attestations.voidEpoch(taskId, 0);
        vm.expectRevert(refused);
        attestations.slashAbsence(taskId, 0, secondVerifier);
    }

    function test_SlashAbsence_BeforeRevealsAreOver_Reverts() external {
        uint256 taskId = _sealedTask();
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestCommit));
        attestations.slashAbsence(taskId, 0, verifier);
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestReveal));
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        vm.expectRevert();
        attestations.slashAbsence(taskId, 1, thirdVerifier); // not sealed
    }

    function test_SlashAbsence_OfAnOutsider_Reverts() external {
        uint256 taskId = _voidTask();
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, outsider));
        attestations.slashAbsence(taskId, 0, outsider);
    }

    /// It lets another operator name it as its hot key, so that it would be looked up as that one.
    function test_SlashAbsence_OfOneWhoActsForAnother_IsSlashedAllTheSame() external {
        uint256 taskId = _voidTask();
        vm.assertEq(_nameWorker(outsider, verifierKeys[1]), secondVerifier, "it consents");
        vm.assertEq(staking.operatorOf(secondVerifier), outsider, "and acts for another");
        attestations.slashAbsence(taskId, 0, secondVerifier);
        vm.assertEq(_bonded(secondVerifier, Role.Verifier), 95 * UNIT, "slashed");
    }

    function test_SlashAbsence_ByTheNameOfAWorkerKey_Reverts() external {
        uint256 taskId = _voidTask();
        address worker = _nameWorker(secondVerifier, 50);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, worker));
        attestations.slashAbsence(taskId, 0, worker);
    }

    /// Of any who commit and any who reveal: no more weight is revealed than enlisted, each reveals once, and exactly
    /// those who did not reveal can be slashed for it, once.
    function testFuzz_Absence_IsNotHavingRevealed(uint8 commits, uint8 reveals, bytes32 salt, bytes32 dice) external {
        uint256 taskId = _sealedTask();
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        bytes32 seed = attestations.seedOf(taskId, 0);
        bytes[3] memory reports;
        for (uint256 i; i < 3; ++i) {
            reports[i] = abi.encodePacked(dice[i % 2], dice[3 + i % 2], dice[6]); // some alike, any bytes
            if (commits & (1 << i) == 0) continue;
            _commitRaw(taskId, all[i], keccak256(abi.encode(seed, all[i], keccak256(reports[i]), salt)));
        }
        if (commits & 7 != 7) _wait(100);
        uint256 expected;
        for (uint256 k; k < 6; ++k) {
            uint256 i = k % 3;
            vm.prank(all[i]);
            try attestations.revealAttestation(taskId, 0, reports[i], salt, EVIDENCE) {
                vm.assertTrue(k < 3 && commits & (1 << i) != 0, "revealed twice, or without commitment");
                ++expected;
            } catch {}
            if (reveals & (1 << k) != 0) break;
        }
        _wait(100);
        (,,,, uint16 revealed, uint128 weight, uint128 enlisted) = attestations.tallyOf(taskId, 0);
        vm.assertTrue(revealed == expected && weight == expected * 100 * UNIT, "counted once");
        vm.assertLe(weight, enlisted, "revealed > enlisted");
        for (uint256 k; k < 6; ++k) {
            uint256 i = k % 3;
            (bytes31 hash,,) = attestations.attestationOf(taskId, 0, all[i]);
            try attestations.slashAbsence(taskId, 0, all[i]) {
                vm.assertTrue(hash == 0 && k < 3 && expected > 1, "who revealed is never absent");
            } catch {
                vm.assertTrue(hash != 0 || k >= 3 || expected < 2, "who did not, is");
            }
        }
    }

    /// As many submissions as a hash has bytes, of one trainer, under heavy verifiers.
    function _sealedTaskOf(uint16 submissions) private returns (uint256 taskId) {
        TaskParams memory params = _params();
        (params.maxSubmissionsEach, params.maxEpochUnits) = (submissions, 10 * uint32(submissions));
        taskId = _openTask(params, 10_000 * UNIT);
        _enlistTrainer(taskId, trainer);
        _bond(trainer, Role.Trainer, uint128(submissions) * 50 * UNIT);
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            _enlistVerifier(taskId, all[i], 8000 * UNIT);
        }
        for (uint256 i; i < submissions; ++i) {
            _commit(taskId, trainer);
        }
        attestations.sealEpoch(taskId);
    }
}
