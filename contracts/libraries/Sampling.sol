// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

import {Economics} from "./Economics.sol";

/// @title Which submissions the seed of an epoch picks for a full replay.
library Sampling {
    /// As `uniform_bps(derive(seed, "replay", index))` of offchain/assay_core/protocol/encoding.py: labels with their
    /// lengths before.
    function mustReplay(bytes32 seed, uint16 index, uint16 samplingBps) internal pure returns (bool) {
        string memory label = Strings.toString(index);
        bytes memory text = abi.encodePacked(seed, uint32(6), "replay", uint32(bytes(label).length), label);
        return uint256(sha256(text)) % Economics.BPS < samplingBps;
    }
}
