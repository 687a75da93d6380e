// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Work} from "../interfaces/ICommitments.sol";

/// @title What the chain remembers of a work.
library Works {
    function hash(Work memory work) internal pure returns (bytes32) {
        return
            keccak256(
                abi.encode(work.index, work.trainer, work.kind, work.units, work.policyVersion, work.manifestRoot)
            );
    }

    /// What takes the place of its hash once a work is known to be a planted fraud.
    function plantHash(bytes32 workHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(workHash, "plant"));
    }

    /// An epoch and a work's index in it as one word: arrays of these are cheaper to hand over than two of their parts.
    function place(uint64 epoch, uint16 index) internal pure returns (uint256) {
        return uint256(epoch) << 16 | index;
    }
}
