// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The arithmetic of money: payouts and fees round down, slashes round up.
library Economics {
    uint256 internal constant BPS = 10_000;
    /// A slash must outweigh the gain of cheating by this factor.
    uint256 internal constant MARGIN_BPS = 12_000;
    /// In challenge bonds: what makes up for a challenge, and is not worth bribing a panel for.
    uint256 internal constant REWARD_CAP = 10;
    /// Of a panel; fewer decide nothing.
    uint16 internal constant PANEL_SEATS = 15;

    /// Least slash with which cheating does not pay: gain × (1 − p) × margin / p, rounded up.
    /// @param gain the most that one submission can earn; below 2^160
    /// @param samplingBps probability that a submission is drawn, in basis points; not 0
    /// @param detectionBps probability that a cheat is found in a submission that is drawn; not 0
    function neededSlash(uint256 gain, uint256 samplingBps, uint256 detectionBps) internal pure returns (uint256) {
        uint256 found = samplingBps * detectionBps;
        uint256 numerator = gain * (BPS * BPS - found) * MARGIN_BPS;
        uint256 denominator = found * BPS;
        return (numerator + denominator - 1) / denominator;
    }

    /// What the verifiers of an epoch share. `fee` is for an epoch full of submissions; only submissions that are paid
    /// count, as if each had `maxSubmissionUnits`: nobody earns a fee with rubbish, and rubbish takes none from others.
    function epochFee(uint256 fee, uint256 paidSubmissions, uint256 maxSubmissionUnits, uint256 maxEpochUnits)
        internal
        pure
        returns (uint256)
    {
        uint256 units = paidSubmissions * maxSubmissionUnits;
        return units < maxEpochUnits ? fee * units / maxEpochUnits : fee; // all factors but the fee are below 2^32
    }

    /// The part of what an epoch's verifiers share that falls to `weight` of the epoch's `enlistedWeight`.
    function feeShare(uint256 fee, uint256 weight, uint256 enlistedWeight) internal pure returns (uint256) {
        return fee * weight / enlistedWeight; // both factors are below 2^128
    }

    /// The most that one finding brings who found it: a multiple of the task's challenge bond.
    function rewardCap(uint256 challengeBond) internal pure returns (uint96) {
        uint256 cap = challengeBond * REWARD_CAP;
        return cap < type(uint96).max ? uint96(cap) : type(uint96).max;
    }

    /// `bps` of an amount, rounded up.
    function shareUp(uint256 amount, uint256 bps) internal pure returns (uint256) {
        return (amount * bps + BPS - 1) / BPS;
    }

    /// Whether `weight` is at least `quorumBps` of `enlistedWeight`.
    function reachesQuorum(uint256 weight, uint256 quorumBps, uint256 enlistedWeight) internal pure returns (bool) {
        return weight * BPS >= quorumBps * enlistedWeight;
    }
}
