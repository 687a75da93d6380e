// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Submission} from "../../contracts/interfaces/ICommitments.sol";
import {TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Ballot} from "../../contracts/libraries/Ballot.sol";
import {Economics} from "../../contracts/libraries/Economics.sol";
import {Sampling} from "../../contracts/libraries/Sampling.sol";
import {Scores} from "../../contracts/libraries/Scores.sol";
import {Terms, SubmissionTerms} from "../../contracts/libraries/Terms.sol";
import {Submissions} from "../../contracts/libraries/Submissions.sol";
import {Network} from "./Network.sol";

contract LibrariesTest is Network {
    // Economics

    /// At the needed slash cheating does not pay; one wei below, it does.
    function testFuzz_NeededSlash_IsTheLeastThatSuffices(uint128 gain, uint16 samplingBps, uint16 detectionBps)
        public
        pure
    {
        (uint256 sampled, uint256 detected) = (_bound(samplingBps, 1, 10_000), _bound(detectionBps, 1, 10_000));
        uint256 needed = Economics.neededSlash(gain, sampled, detected);
        uint256 p = sampled * detected; // of 10^8
        uint256 temptation = uint256(gain) * (1e8 - p) * 12_000;
        vm.assertGe(needed * p * 10_000, temptation, "cheating pays");
        if (needed > 0) vm.assertLe((needed - 1) * p * 10_000 + 1, temptation, "more than needed");
    }

    function test_NeededSlash_WhereEveryCheatIsFound_IsNothing() public pure {
        vm.assertEq(Economics.neededSlash(type(uint144).max, 10_000, 10_000), 0, "no slash is needed");
        vm.assertEq(Economics.neededSlash(0, 1, 1), 0, "nothing to gain");
    }

    /// Half of the detection asks for as much as half of the sampling.
    function testFuzz_NeededSlash_IsOfTheProductOfBothRates(uint128 gain, uint16 a, uint16 b) public pure {
        (uint256 sampled, uint256 detected) = (_bound(a, 1, 10_000), _bound(b, 1, 10_000));
        uint256 needed = Economics.neededSlash(gain, sampled, detected);
        vm.assertEq(needed, Economics.neededSlash(gain, detected, sampled), "the same probability");
        if (detected > 1) {
            vm.assertGe(Economics.neededSlash(gain, sampled, detected - 1), needed, "fewer are found: no less");
        }
    }

    function testFuzz_FeeShares_NeverExceedTheFee(uint128 fee, uint64[5] memory weights) public pure {
        uint256 total;
        uint256 paid;
        for (uint256 i; i < 5; ++i) {
            total += weights[i];
        }
        vm.assume(total > 0);
        for (uint256 i; i < 5; ++i) {
            paid += Economics.feeShare(fee, weights[i], total);
        }
        vm.assertLe(paid, fee, "paid more than the fee");
        vm.assertLe(fee - paid, 4, "lost more than a wei a verifier");
    }

    /// Never more than the fee, all of it for a full epoch, and never less for one more submission that is paid.
    function testFuzz_EpochFee_GrowsWithTheSubmissionsThatArePaid(
        uint128 fee,
        uint16 paid,
        uint16 submission,
        uint32 full
    ) public pure {
        submission = uint16(_bound(submission, 1, type(uint16).max));
        full = uint32(_bound(full, submission, type(uint32).max));
        uint256 due = Economics.epochFee(fee, paid, submission, full);
        vm.assertLe(due, fee, "more than the fee");
        vm.assertGe(Economics.epochFee(fee, uint256(paid) + 1, submission, full), due, "less for more");
        vm.assertEq(Economics.epochFee(fee, 0, submission, full), 0, "something for nothing");
        vm.assertEq(Economics.epochFee(fee, uint256(full) / submission + 1, submission, full), fee, "a full epoch");
    }

    function testFuzz_RewardCap_IsTenBondsIfThatFits(uint120 bond) public pure {
        uint256 ten = uint256(bond) * 10;
        vm.assertEq(Economics.rewardCap(bond), ten < type(uint96).max ? ten : type(uint96).max, "cap");
    }

    function testFuzz_ShareUp_RoundsUp(uint128 amount, uint16 bps) public pure {
        uint256 share = Economics.shareUp(amount, _bound(bps, 0, 10_000));
        vm.assertEq(share, Math.ceilDiv(uint256(amount) * _bound(bps, 0, 10_000), 10_000), "rounded up");
        vm.assertLe(share, amount, "no more than all");
    }

    /// Two ways to ask the same: Attestations counts from the least weight that suffices, appeals compare products.
    function testFuzz_ReachesQuorum_FromTheLeastWeightOn(uint128 weight, uint16 quorumBps, uint128 enlisted)
        public
        pure
    {
        uint256 quorum = _bound(quorumBps, 5001, 10_000);
        uint256 needed = Math.ceilDiv(uint256(enlisted) * quorum, Economics.BPS);
        vm.assertTrue(Economics.reachesQuorum(weight, quorum, enlisted) == (weight >= needed), "another bound");
        vm.assertTrue(Economics.reachesQuorum(needed, quorum, enlisted), "the least");
        vm.assertTrue(needed == 0 || !Economics.reachesQuorum(needed - 1, quorum, enlisted), "one wei less");
    }

    // Scores

    function testFuzz_ScoreAt_IsOneOfTheScores(bytes calldata report, uint256 index) public pure {
        uint8 score = Scores.scoreAt(report, index);
        if (index >= report.length) {
            vm.assertEq(score, 0, "missing");
        } else if (uint8(report[index]) <= 100 || uint8(report[index]) >= 254) {
            vm.assertEq(score, uint8(report[index]), "kept");
        } else {
            vm.assertEq(score, 0, "meaningless");
        }
    }

    /// Of all bytes, those that somebody may give, and those that pay.
    function test_Scores_AreTheseBytesAndNoOthers() public pure {
        for (uint256 i; i < 256; ++i) {
            uint8 score = uint8(i);
            vm.assertTrue(Scores.isScore(score) == (score <= 100 || score == 254 || score == 255), "is a score");
            vm.assertTrue(Scores.isPaid(score) == (score >= 1 && score <= 100), "is paid");
        }
        vm.assertFalse(Scores.isScore(Scores.VOID), "nobody gives what a void epoch is told as");
        vm.assertFalse(Scores.isScore(Scores.FOUND_FRAUD), "nor what is stored only");
    }

    /// Fraud exactly when the quorum says so; unavailable when half does; else half of the weight lies at or below the
    /// score, and less than half below.
    function testFuzz_Decide_FraudUnavailableOrMedian(uint8[6] memory votes, uint64[6] memory stakes, uint64 absent)
        public
        pure
    {
        (uint8[] memory scores, uint256[] memory weights, uint256 total) = _votes(votes, stakes);
        uint256 enlisted = total + absent;
        uint8 score = Scores.decide(scores, weights, 6667, enlisted);
        uint256 fraud = _behind(scores, weights, 255);
        if (fraud > 0 && fraud * 10_000 >= 6667 * enlisted) {
            vm.assertEq(score, 255, "the quorum says fraud");
            return;
        }
        if (_behind(scores, weights, 254) * 2 >= total) {
            vm.assertEq(score, 254, "half says unavailable");
            return;
        }
        vm.assertLe(score, 100, "neither");
        uint256 below;
        uint256 upTo;
        for (uint256 i; i < 6; ++i) {
            uint8 vote = scores[i] >= 254 ? 0 : scores[i];
            if (vote < score) below += weights[i];
            if (vote <= score) upTo += weights[i];
        }
        vm.assertGe(upTo * 2, total, "too low");
        vm.assertTrue(score == 0 || below * 2 < total, "too high");
    }

    /// In whatever order, and however split, the same stakes decide the same.
    function testFuzz_Decide_NeitherOrderNorSplittingMatters(uint8[6] memory votes, uint64[6] memory stakes)
        public
        pure
    {
        (uint8[] memory scores, uint256[] memory weights, uint256 total) = _votes(votes, stakes);
        (uint8[] memory others, uint256[] memory halves) = (new uint8[](12), new uint256[](12));
        for (uint256 i; i < 6; ++i) {
            (others[11 - i], others[i]) = (scores[i], scores[i]);
            (halves[11 - i], halves[i]) = (weights[i] / 2, weights[i] - weights[i] / 2);
        }
        vm.assertEq(
            Scores.decide(scores, weights, 6667, total), Scores.decide(others, halves, 6667, total), "another score"
        );
    }

    /// Less than half of the weight neither pays for what the others reject, nor keeps them from paying.
    function testFuzz_Decide_AMinorityDecidesNothing(uint8 minority, uint8 majority, uint64 stake) public pure {
        (uint8[] memory scores, uint256[] memory weights) = (new uint8[](2), new uint256[](2));
        (scores[0], scores[1]) = (_vote(minority), majority % 101);
        (weights[0], weights[1]) = (uint256(stake) + 1, uint256(stake) + 2);
        vm.assertEq(Scores.decide(scores, weights, 5001, weights[0] + weights[1]), scores[1], "of the majority");
    }

    function test_Decide_Ties_AreDecidedLow() public pure {
        vm.assertEq(_ofTwo(40, 60), 40, "the lower median");
        vm.assertEq(_ofTwo(255, 60), 0, "half of a fraud is no fraud, and no pay");
        vm.assertEq(_ofTwo(254, 60), 254, "half of unavailable is unavailable");
        vm.assertEq(_ofTwo(254, 255), 254, "half of fraud is no fraud");
        vm.assertEq(_ofTwo(255, 255), 255, "all of a fraud is a fraud");
        vm.assertEq(_ofTwo(100, 100), 100, "full");
        vm.assertEq(_ofTwo(0, 100), 0, "nothing");
    }

    // Sampling

    function testFuzz_MustReplay_GrowsWithTheRate(bytes32 seed, uint16 index, uint16 rate, uint16 more) public pure {
        uint16 low = uint16(_bound(rate, 0, 10_000));
        uint16 high = uint16(_bound(more, low, 10_000));
        vm.assertFalse(Sampling.mustReplay(seed, index, 0), "a rate of 0");
        vm.assertTrue(Sampling.mustReplay(seed, index, 10_000), "a rate of 1");
        vm.assertTrue(!Sampling.mustReplay(seed, index, low) || Sampling.mustReplay(seed, index, high), "a higher rate");
    }

    /// The draws of `uniform_bps(derive(seed, "replay", index))` in offchain/assay_core/protocol/encoding.py.
    function test_MustReplay_DrawsAsVerifiersDo() public pure {
        bytes32 seed = bytes32(uint256(0x0707070707070707070707070707070707070707070707070707070707070707));
        uint16[5] memory indices = [uint16(0), 1, 9, 10, 4095];
        uint16[5] memory draws = [uint16(5181), 6031, 7265, 7985, 6181];
        for (uint256 i; i < 5; ++i) {
            vm.assertFalse(Sampling.mustReplay(seed, indices[i], draws[i]), "at its draw");
            vm.assertTrue(Sampling.mustReplay(seed, indices[i], draws[i] + 1), "above its draw");
        }
    }

    /// forge-config: default.fuzz.runs = 8
    /// How many of 2,000 submissions are picked lies within five standard deviations of the rate.
    function testFuzz_MustReplay_PicksTheShareThatTheRateSays(bytes32 seed, uint16 rate) public pure {
        uint256 p = _bound(rate, 500, 9500);
        uint256 picked;
        for (uint16 index; index < 2000; ++index) {
            if (Sampling.mustReplay(seed, index, uint16(p))) ++picked;
        }
        uint256 deviation = Math.sqrt(2000 * p * (10_000 - p)) / 10_000 + 1;
        uint256 expected = 2000 * p / 10_000;
        vm.assertLe(picked > expected ? picked - expected : expected - picked, 5 * deviation, "not the rate");
    }

    // Submissions

    function testFuzz_Submissions_HashIsThatOfTheInterface(
        address who,
        uint16 index,
        uint8 kind,
        uint16 units,
        uint32 version
    ) public pure {
        Submission memory submission = Submission(who, index, SubmissionKind(kind % 4), units, version, ROOT);
        bytes32 hash = keccak256(abi.encode(index, who, kind % 4, units, version, ROOT));
        vm.assertEq(Submissions.hash(submission), hash, "hash");
        vm.assertTrue(Submissions.plantHash(hash) != hash, "a plant is no submission any more");
    }

    function testFuzz_Submissions_PlacesAreDistinct(uint64 epoch, uint16 index, uint64 other, uint16 otherIndex)
        public
        pure
    {
        uint256 place = Submissions.place(epoch, index);
        vm.assertEq(place >> 16, epoch, "epoch");
        vm.assertEq(uint16(place), index, "index");
        bool isSame = epoch == other && index == otherIndex;
        vm.assertTrue((place == Submissions.place(other, otherIndex)) == isSame, "one place for each submission");
    }

    function _ofTwo(uint8 a, uint8 b) private pure returns (uint8) {
        (uint8[] memory scores, uint256[] memory weights) = (new uint8[](2), new uint256[](2));
        (scores[0], scores[1]) = (a, b);
        (weights[0], weights[1]) = (1, 1);
        uint8 score = Scores.decide(scores, weights, 6667, 2);
        (scores[0], scores[1]) = (b, a);
        vm.assertEq(Scores.decide(scores, weights, 6667, 2), score, "in either order");
        return score;
    }

    function _votes(uint8[6] memory votes, uint64[6] memory stakes)
        private
        pure
        returns (uint8[] memory scores, uint256[] memory weights, uint256 total)
    {
        (scores, weights) = (new uint8[](6), new uint256[](6));
        for (uint256 i; i < 6; ++i) {
            scores[i] = _vote(votes[i]);
            weights[i] = uint256(stakes[i]) + 2;
            total += weights[i];
        }
    }

    function _behind(uint8[] memory scores, uint256[] memory weights, uint8 score) private pure returns (uint256 sum) {
        for (uint256 i; i < scores.length; ++i) {
            if (scores[i] == score) sum += weights[i];
        }
    }

    /// One of three is a fraud, one of three unavailable.
    function _vote(uint8 seed) private pure returns (uint8) {
        if (seed % 3 == 0) return 255;
        return seed % 3 == 1 ? 254 : seed % 101;
    }
}

/// Keeps terms as TaskRegistry does, without its checks.
contract TermsKeeper {
    uint256 private _count;

    function store(TaskParams calldata params, address initiator, bytes32 policyRoot, bytes32 termsHash)
        external
        returns (address)
    {
        return Terms.store(params, initiator, policyRoot, termsHash, bytes32(++_count));
    }

    function paramsAt(address terms) external view returns (TaskParams memory) {
        return Terms.paramsAt(terms);
    }

    function submissionTermsAt(address terms) external view returns (SubmissionTerms memory) {
        return Terms.submissionTermsAt(terms);
    }

    function originAt(address terms) external view returns (address, bytes32, bytes32) {
        return Terms.originAt(terms);
    }
}

contract TermsTest is Network {
    /// Every field of every width, also those that no task may have.
    function testFuzz_Terms_GiveBackWhatWasStored(
        TaskParams calldata params,
        address initiator_,
        bytes32 policyRoot,
        bytes32 termsHash
    ) public {
        TermsKeeper keeper = new TermsKeeper();
        address terms = keeper.store(params, initiator_, policyRoot, termsHash);
        vm.assertEq(
            keccak256(abi.encode(keeper.paramsAt(terms))), keccak256(abi.encode(params)), "another set of terms"
        );
        vm.assertEq(
            keccak256(abi.encode(keeper.submissionTermsAt(terms))),
            keccak256(abi.encode(_part(params))),
            "another part of them"
        );
        (address who, bytes32 root, bytes32 hash) = keeper.originAt(terms);
        vm.assertEq(who, initiator_, "initiator");
        vm.assertEq(root, policyRoot, "policy");
        vm.assertEq(hash, termsHash, "terms hash");
    }

    function _part(TaskParams memory params) private pure returns (SubmissionTerms memory part) {
        for (uint256 kind; kind < 4; ++kind) {
            part.unitPrices[kind] = params.kinds[kind].unitPrice;
        }
        (part.trainerBond, part.fraudSlash, part.verifierFee) =
        (params.trainerBond, params.fraudSlash, params.verifierFee);
        (part.maxEpochUnits, part.maxSubmissionUnits, part.maxSubmissionsEach) =
        (params.maxEpochUnits, params.maxSubmissionUnits, params.maxSubmissionsEach);
        (part.maxEpochs, part.commitWindow, part.attestWindow) =
        (params.maxEpochs, params.commitWindow, params.attestWindow);
    }

    /// All bits set, and none: no field runs into its neighbours.
    function test_Terms_OfExtremes_GiveBackWhatWasStored() public {
        TermsKeeper keeper = new TermsKeeper();
        TaskParams memory params;
        address terms = keeper.store(params, address(0), 0, 0);
        vm.assertEq(keccak256(abi.encode(keeper.paramsAt(terms))), keccak256(abi.encode(params)), "none");
        vm.assertEq(terms.code.length, 327, "length");
        params = _full();
        terms = keeper.store(params, address(type(uint160).max), bytes32(type(uint256).max), bytes32(uint256(1)));
        vm.assertEq(keccak256(abi.encode(keeper.paramsAt(terms))), keccak256(abi.encode(params)), "all");
        (address who, bytes32 root, bytes32 hash) = keeper.originAt(terms);
        vm.assertEq(who, address(type(uint160).max), "initiator");
        vm.assertEq(root, bytes32(type(uint256).max), "policy");
        vm.assertEq(hash, bytes32(uint256(1)), "terms hash");
    }

    function test_Terms_CannotBeRun() public {
        TermsKeeper keeper = new TermsKeeper();
        address terms = keeper.store(_full(), outsider, POLICY, ROOT);
        vm.assertEq(uint8(terms.code[0]), 0, "STOP");
        bytes32 before = keccak256(terms.code);
        (bool success, bytes memory returned) = terms.call(hex"ff");
        vm.assertTrue(success && returned.length == 0, "does nothing");
        vm.assertEq(keccak256(terms.code), before, "and stays");
    }

    function _full() private pure returns (TaskParams memory params) {
        for (uint256 kind; kind < 4; ++kind) {
            (params.kinds[kind].unitPrice, params.kinds[kind].detectionBps) = (type(uint128).max, type(uint16).max);
        }
        (params.trainerBond, params.verifierBond) = (type(uint128).max, type(uint128).max);
        (params.fraudSlash, params.challengeBond) = (type(uint128).max, type(uint128).max);
        (params.jurorFee, params.verifierFee) = (type(uint128).max, type(uint128).max);
        (params.maxEpochUnits, params.maxSubmissionUnits) = (type(uint32).max, type(uint16).max);
        (params.maxSubmissionsEach, params.quorumBps) = (type(uint16).max, type(uint16).max);
        (params.samplingBps, params.absenceSlashBps) = (type(uint16).max, type(uint16).max);
        (params.verdictSlashBps, params.maxStaleness) = (type(uint16).max, type(uint16).max);
        (params.maxEpochs, params.protocolVersion) = (type(uint16).max, type(uint16).max);
        (params.commitWindow, params.attestWindow) = (type(uint32).max, type(uint32).max);
        (params.revealWindow, params.challengeWindow) = (type(uint32).max, type(uint32).max);
        (params.appealWindow, params.panelClass) = (type(uint32).max, bytes32(type(uint256).max));
    }
}

/// One ballot, without the rules of those who hold it.
contract BallotBox {
    using Ballot for Ballot.Box;

    Ballot.Box private _box;

    function open(uint16 voters, uint256 commitWindow, uint256 revealWindow) external {
        _box.open(voters, commitWindow, revealWindow);
    }

    function commit(address voter, bytes32 commitment) external {
        _box.commit(voter, commitment);
    }

    function reveal(bytes32 subject, address voter, bytes32 content, bytes32 salt) external {
        _box.reveal(subject, voter, content, salt);
    }

    function penalise(address voter) external {
        _box.penalise(voter);
    }

    function revealedBy(address voter) external view returns (bytes31) {
        return _box.revealedBy(voter);
    }

    function stage() external view returns (Ballot.Stage) {
        return _box.stageOf();
    }

    function counts() external view returns (uint16 committed, uint16 revealed, uint40 commitBy, uint40 revealBy) {
        return (_box.committed, _box.revealed, _box.commitBy, _box.revealBy);
    }
}

contract BallotTest is Network {
    bytes32 private constant SUBJECT = keccak256("subject");
    bytes32 private constant CONTENT = keccak256("content");
    address private constant A = address(0xa);
    address private constant B = address(0xb);

    BallotBox private _box;

    function setUp() public override {
        vm.warp(1_000_000);
        _box = new BallotBox();
        _box.open(2, 100, 50);
    }

    function test_Stages_ByTime() public {
        _box.commit(A, _of(A, CONTENT));
        _assertStage(Ballot.Stage.Commit);
        vm.warp(1_000_099);
        _assertStage(Ballot.Stage.Commit);
        vm.warp(1_000_100);
        _assertStage(Ballot.Stage.Reveal);
        vm.warp(1_000_149);
        _assertStage(Ballot.Stage.Reveal);
        vm.warp(1_000_150);
        _assertStage(Ballot.Stage.Over);
    }

    function test_Stages_EndEarlyWhenAllHaveActed() public {
        _box.commit(A, _of(A, CONTENT));
        vm.warp(1_000_010);
        _box.commit(B, _of(B, CONTENT));
        _assertStage(Ballot.Stage.Reveal);
        (,, uint40 commitBy, uint40 revealBy) = _box.counts();
        vm.assertEq(commitBy, 1_000_010, "commitBy");
        vm.assertEq(revealBy, 1_000_060, "a whole reveal window from then on");
        _box.reveal(SUBJECT, A, CONTENT, SALT);
        _assertStage(Ballot.Stage.Reveal);
        vm.warp(1_000_020);
        _box.reveal(SUBJECT, B, CONTENT, SALT);
        _assertStage(Ballot.Stage.Over);
        (,,, revealBy) = _box.counts();
        vm.assertEq(revealBy, 1_000_020, "revealBy");
    }

    function test_Stages_NobodyCommitted_IsOverWithTheCommitWindow() public {
        vm.warp(1_000_100);
        _assertStage(Ballot.Stage.Over);
    }

    function test_Stages_WithoutVoters_IsOverAtOnce() public {
        BallotBox empty = new BallotBox();
        empty.open(0, 100, 50);
        vm.assertEq(uint256(empty.stage()), uint256(Ballot.Stage.Over), "stage");
    }

    function test_Commit_Empty_Reverts() public {
        vm.expectRevert(Ballot.EmptyCommitment.selector);
        _box.commit(A, 0);
    }

    function test_Commit_Twice_Reverts() public {
        _box.commit(A, _of(A, CONTENT));
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyCommitted.selector, A));
        _box.commit(A, _of(A, "other"));
        _box.reveal(SUBJECT, A, CONTENT, SALT);
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyCommitted.selector, A));
        _box.commit(A, _of(A, "other"));
        _box.penalise(B);
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyCommitted.selector, B));
        _box.commit(B, _of(B, CONTENT));
    }

    function test_Reveal_Twice_Reverts() public {
        _box.commit(A, _of(A, CONTENT));
        _box.reveal(SUBJECT, A, CONTENT, SALT);
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyRevealed.selector, A));
        _box.reveal(SUBJECT, A, CONTENT, SALT);
    }

    /// The first preimage of what is stored once something is revealed is no second commitment: a state of its own says
    /// so.
    function test_Reveal_OfAReportThatIsACommitment_Reverts() public {
        bytes32 trap = _of(A, CONTENT); // the content of the first reveal is the commitment of a second
        _box.commit(A, _of(A, trap));
        _box.reveal(SUBJECT, A, trap, SALT);
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyRevealed.selector, A));
        _box.reveal(SUBJECT, A, CONTENT, SALT);
        (, uint16 revealed,,) = _box.counts();
        vm.assertEq(revealed, 1, "once");
    }

    function test_Reveal_NotCommitted_Reverts() public {
        vm.expectRevert(abi.encodeWithSelector(Ballot.NotCommitted.selector, A));
        _box.reveal(SUBJECT, A, CONTENT, SALT);
        _box.penalise(A);
        vm.expectRevert(abi.encodeWithSelector(Ballot.NotCommitted.selector, A));
        _box.reveal(SUBJECT, A, CONTENT, SALT);
    }

    function test_Reveal_OfAnythingElse_Reverts() public {
        _box.commit(A, _of(A, CONTENT));
        _box.commit(B, _of(A, CONTENT)); // copied
        _assertMismatch(keccak256("another subject"), A, CONTENT, SALT);
        _assertMismatch(SUBJECT, A, keccak256("another content"), SALT);
        _assertMismatch(SUBJECT, A, CONTENT, keccak256("another salt"));
        _assertMismatch(SUBJECT, B, CONTENT, SALT);
    }

    function test_Penalise_WhoRevealed_Reverts() public {
        _box.commit(A, _of(A, CONTENT));
        _box.reveal(SUBJECT, A, CONTENT, SALT);
        vm.expectRevert(abi.encodeWithSelector(Ballot.WasPresent.selector, A));
        _box.penalise(A);
    }

    /// Also one whose content could be taken for the mark of an absence.
    function testFuzz_Penalise_WhoRevealedWhatever_Reverts(bytes32 content) public {
        _box.commit(A, _of(A, content));
        _box.reveal(SUBJECT, A, content, SALT);
        vm.assertEq(_box.revealedBy(A), bytes31(content), "told");
        vm.expectRevert(abi.encodeWithSelector(Ballot.WasPresent.selector, A));
        _box.penalise(A);
    }

    function test_Penalise_Twice_Reverts() public {
        _box.commit(A, _of(A, CONTENT));
        _box.penalise(A);
        vm.expectRevert(abi.encodeWithSelector(Ballot.AlreadyPenalised.selector, A));
        _box.penalise(A);
        vm.assertEq(_box.revealedBy(A), 0, "revealed nothing");
    }

    function test_RevealedBy_OneWhoOnlyCommitted_IsNothing() public {
        _box.commit(A, CONTENT);
        vm.assertEq(_box.revealedBy(A), 0, "a commitment is no content");
    }

    /// Anyone who does what in whatever order: never more reveals than commitments, nor more of these than voters; and
    /// each voter counts once.
    function testFuzz_Counts_OneOfEachForEachVoter(uint8[24] memory actions) public {
        uint256[2] memory reveals;
        for (uint256 i; i < actions.length; ++i) {
            (address voter, uint256 which) = actions[i] & 1 == 0 ? (A, 0) : (B, 1);
            bytes32 content = actions[i] & 2 == 0 ? CONTENT : _of(voter, CONTENT);
            uint256 action = actions[i] / 4 % 3;
            if (action == 0) {
                try _box.commit(voter, _of(voter, content)) {} catch {}
            } else if (action == 1) {
                try _box.reveal(SUBJECT, voter, content, SALT) {
                    ++reveals[which];
                } catch {}
            } else {
                try _box.penalise(voter) {} catch {}
            }
        }
        (uint16 committed, uint16 revealed,,) = _box.counts();
        vm.assertLe(reveals[0], 1, "one reveal each");
        vm.assertLe(reveals[1], 1, "one reveal each");
        vm.assertEq(revealed, reveals[0] + reveals[1], "counted");
        vm.assertTrue(revealed <= committed && committed <= 2, "in order");
    }

    function _assertMismatch(bytes32 subject, address voter, bytes32 content, bytes32 salt) private {
        bytes31 revealed = bytes31(keccak256(abi.encode(subject, voter, content, salt)));
        vm.expectRevert(abi.encodeWithSelector(Ballot.CommitmentMismatch.selector, bytes31(_of(A, CONTENT)), revealed));
        _box.reveal(subject, voter, content, salt);
    }

    function _assertStage(Ballot.Stage expected) private view {
        vm.assertEq(uint256(_box.stage()), uint256(expected), "stage");
    }

    function _of(address voter, bytes32 content) private pure returns (bytes32) {
        return keccak256(abi.encode(SUBJECT, voter, content, SALT));
    }
}
