// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Economics} from "../../contracts/libraries/Economics.sol";
import {Sampling} from "../../contracts/libraries/Sampling.sol";
import {Scores} from "../../contracts/libraries/Scores.sol";
import {Network} from "./Network.sol";

contract LibrariesTest is Network {
    /// At the needed slash cheating does not pay; one wei below, it does.
    function testFuzz_NeededSlash_IsTheLeastThatSuffices(uint128 gain, uint16 samplingBps) public pure {
        uint256 p = _bound(samplingBps, 1, 10_000);
        uint256 needed = Economics.neededSlash(gain, p);
        uint256 temptation = uint256(gain) * (10_000 - p) * 12_000;
        vm.assertGe(needed * p * 10_000, temptation, "cheating pays");
        if (needed > 0) vm.assertLe((needed - 1) * p * 10_000 + 1, temptation, "more than needed");
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

    function testFuzz_ScoreAt_IsOneOfTheScores(bytes calldata report, uint256 index) public pure {
        uint8 score = Scores.scoreAt(report, index);
        if (index >= report.length) vm.assertEq(score, 0, "missing");
        else if (uint8(report[index]) <= 100 || report[index] == 0xff) vm.assertEq(score, uint8(report[index]), "kept");
        else vm.assertEq(score, 0, "meaningless");
    }

    /// Fraud exactly when the quorum says so; else half of the weight lies at or below the score, and less than half below.
    function testFuzz_Decide_FraudByQuorumElseMedian(uint8[6] memory votes, uint64[6] memory stakes) public pure {
        uint8[] memory scores = new uint8[](6);
        uint256[] memory weights = new uint256[](6);
        uint256 total;
        uint256 fraud;
        for (uint256 i; i < 6; ++i) {
            scores[i] = votes[i] % 4 == 0 ? 255 : votes[i] % 101;
            weights[i] = uint256(stakes[i]) + 1;
            total += weights[i];
            if (scores[i] == 255) fraud += weights[i];
        }
        uint8 score = Scores.decide(scores, weights, 6667, total);
        if (fraud * 10_000 >= 6667 * total) {
            vm.assertEq(score, 255, "the quorum says fraud");
            return;
        }
        vm.assertLe(score, 100, "no quorum for fraud");
        uint256 below;
        uint256 upTo;
        for (uint256 i; i < 6; ++i) {
            uint8 vote = scores[i] == 255 ? 0 : scores[i];
            if (vote < score) below += weights[i];
            if (vote <= score) upTo += weights[i];
        }
        vm.assertGe(upTo * 2, total, "too low");
        vm.assertTrue(score == 0 || below * 2 < total, "too high");
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

    /// In whatever order, and however split, the same stakes decide the same.
    function testFuzz_Decide_NeitherOrderNorSplittingMatters(uint8[4] memory votes, uint64[4] memory stakes)
        public
        pure
    {
        (uint8[] memory scores, uint256[] memory weights) = (new uint8[](4), new uint256[](4));
        (uint8[] memory others, uint256[] memory halves) = (new uint8[](8), new uint256[](8));
        uint256 total;
        for (uint256 i; i < 4; ++i) {
            scores[i] = votes[i] % 3 == 0 ? 255 : votes[i] % 101;
            weights[i] = uint256(stakes[i]) + 2;
            (others[7 - i], others[i]) = (scores[i], scores[i]);
            (halves[7 - i], halves[i]) = (weights[i] / 2, weights[i] - weights[i] / 2);
            total += weights[i];
        }
        vm.assertEq(
            Scores.decide(scores, weights, 6667, total), Scores.decide(others, halves, 6667, total), "another score"
        );
    }

    function testFuzz_MustReplay_GrowsWithTheRate(bytes32 seed, uint16 index, uint16 rate, uint16 more) public pure {
        uint16 low = uint16(_bound(rate, 0, 10_000));
        uint16 high = uint16(_bound(more, low, 10_000));
        vm.assertFalse(Sampling.mustReplay(seed, index, 0), "a rate of 0");
        vm.assertTrue(Sampling.mustReplay(seed, index, 10_000), "a rate of 1");
        vm.assertTrue(!Sampling.mustReplay(seed, index, low) || Sampling.mustReplay(seed, index, high), "a higher rate");
    }

    /// The draws of `uniform_bps(derive(seed, "replay", index))` in offchain/protocol/encoding.py.
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
    /// How many of 2,000 works are picked lies within five standard deviations of the rate.
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
}
