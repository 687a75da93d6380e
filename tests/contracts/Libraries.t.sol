// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Economics} from "../../contracts/libraries/Economics.sol";
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
}
