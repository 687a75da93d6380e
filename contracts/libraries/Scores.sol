// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Economics} from "./Economics.sol";

/// @title From the reports of many verifiers to one score per work.
library Scores {
    uint8 internal constant FULL = 100;
    uint8 internal constant FRAUD = 255;
    /// As it is stored: a fraud that a challenger found, to whom the reporter's part of the slash belongs.
    uint8 internal constant FOUND_FRAUD = 254;

    /// The score that `report` gives to work `index`: a missing or meaningless byte counts as 0.
    function scoreAt(bytes calldata report, uint256 index) internal pure returns (uint8) {
        if (index >= report.length) return 0;
        uint8 score = uint8(report[index]);
        return score <= FULL || score == FRAUD ? score : 0;
    }

    /// The score on which the stake decides: fraud if the quorum says so, else the median by weight, a fraud vote
    /// counting as 0; where the halves are equal, the lower one.
    /// @param scores one per distinct report, as `scoreAt` gives them
    /// @param weights the stake behind each
    /// @param quorumBps share of `enlistedWeight` that makes a fraud
    function decide(uint8[] memory scores, uint256[] memory weights, uint256 quorumBps, uint256 enlistedWeight)
        internal
        pure
        returns (uint8)
    {
        uint256 total;
        uint256 fraud;
        bool equal = true;
        for (uint256 i; i < scores.length; ++i) {
            total += weights[i];
            if (scores[i] == FRAUD) fraud += weights[i];
            equal = equal && scores[i] == scores[0];
        }
        if (fraud > 0 && Economics.reachesQuorum(fraud, quorumBps, enlistedWeight)) return FRAUD;
        if (equal) return scores[0] == FRAUD ? 0 : scores[0];

        uint8 low = 0;
        uint8 high = FULL;
        while (low < high) {
            uint8 middle = (low + high) / 2;
            uint256 upTo = fraud;
            for (uint256 i; i < scores.length; ++i) {
                if (scores[i] <= middle) upTo += weights[i];
            }
            if (upTo * 2 >= total) high = middle;
            else low = middle + 1;
        }
        return low;
    }
}
