// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Work} from "../interfaces/ITaskRegistry.sol";

/// @title What the chain remembers of a work.
library Works {
    function hash(Work memory work) internal pure returns (bytes32) {
        return keccak256(abi.encode(work.index, work.trainer, work.units, work.policyVersion, work.manifestRoot));
    }

    /// An epoch and a work's index in it as one word: arrays of these are cheaper to hand over than two of their parts.
    function place(uint64 epoch, uint16 index) internal pure returns (uint256) {
        return uint256(epoch) << 16 | index;
    }

    /// An epoch's running hash after one more work. 152 bits are enough for what only has to be unforeseeable.
    function fold(bytes19 runningHash, bytes32 workHash) internal pure returns (bytes19) {
        return bytes19(keccak256(abi.encode(runningHash, workHash)));
    }
}
