// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Submission} from "../interfaces/ICommitments.sol";

/// @title What the chain remembers of a submission.
library Submissions {
    function hash(Submission memory submission) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                submission.index,
                submission.trainer,
                submission.kind,
                submission.units,
                submission.policyVersion,
                submission.manifestRoot
            )
        );
    }

    /// What takes the place of its hash once a submission is known to be a planted fraud.
    function plantHash(bytes32 submissionHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(submissionHash, "plant"));
    }

    /// An epoch and a submission's index in it as one word: arrays of these are cheaper to hand over than two of their
    /// parts.
    function place(uint64 epoch, uint16 index) internal pure returns (uint256) {
        return uint256(epoch) << 16 | index;
    }
}
