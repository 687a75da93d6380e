// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Economics} from "./Economics.sol";

/// @title From the reports of many verifiers to one score per submission.
library Scores {
    uint8 internal constant FULL = 100;
    /// As `finalScoresOf` tells it: a submission of a void epoch.
    uint8 internal constant VOID = 252;
    /// As it is stored: a fraud that a challenger found, to whom the reporter's part of the slash belongs.
    uint8 internal constant FOUND_FRAUD = 253;
    /// Its bytes could not be had in time: pays nothing, and costs no verifier a fee.
    uint8 internal constant UNAVAILABLE = 254;
    uint8 internal constant FRAUD = 255;

    /// Whether somebody may give this score.
    function isScore(uint8 score) internal pure returns (bool) {
        return score <= FULL || score >= UNAVAILABLE;
    }

    /// What a score pays, in hundredths of the price.
    function payOf(uint8 score) internal pure returns (uint8) {
        return score <= FULL ? score : 0;
    }

    /// Whether a submission with this score earns something.
    function isPaid(uint8 score) internal pure returns (bool) {
        return score > 0 && score <= FULL;
    }

    /// The score that `report` gives to work `index`: a missing or meaningless byte counts as 0.
    function scoreAt(bytes calldata report, uint256 index) internal pure returns (uint8) {
        if (index >= report.length) return 0;
        uint8 score = uint8(report[index]);
        return isScore(score) ? score : 0;
    }

    /// The score on which the weight decides: fraud if the quorum says so; unavailable if half of the weight does; else
    /// the median by weight, with fraud and unavailable counting as 0; where the halves are equal, the lower one.
    /// @param scores one for each voter, or each group of voters; `isScore` holds for all
    /// @param weights behind each
    /// @param quorumBps share of `enlistedWeight` that makes a fraud
    function decide(uint8[] memory scores, uint256[] memory weights, uint256 quorumBps, uint256 enlistedWeight)
        internal
        pure
        returns (uint8)
    {
        // Weight by score; fraud and unavailable beside each other above the scores that pay.
        uint256[] memory behind = new uint256[](uint256(FULL) + 1);
        uint256 total;
        uint256 fraud;
        uint256 unavailable;
        for (uint256 i; i < scores.length; ++i) {
            uint256 weight = weights[i];
            total += weight;
            if (scores[i] == FRAUD) fraud += weight;
            else if (scores[i] == UNAVAILABLE) unavailable += weight;
            else behind[scores[i]] += weight;
        }
        if (fraud > 0 && Economics.reachesQuorum(fraud, quorumBps, enlistedWeight)) return FRAUD;
        if (unavailable * 2 >= total) return UNAVAILABLE;
        uint256 upTo = fraud + unavailable;
        for (uint8 score; score < FULL; ++score) {
            upTo += behind[score];
            if (upTo * 2 >= total) return score;
        }
        return FULL;
    }
}
