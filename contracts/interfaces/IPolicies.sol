// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What became of the policy of an epoch.
enum PolicyState {
    Pending, // neither published nor skipped
    Published,
    NotDue, // the epoch is void, or no submission of it was paid: fees are due without a policy
    Skipped // it was due, and too few signed in time: its fee returns to the budget
}

/// @title The policy versions of each task, signed by quorums of verifiers.
/// @notice Epochs get their policies in order. One that is late is skipped, so that a minority that does not sign
///         cannot stop a task: it costs the fee of that epoch.
interface IPolicies {
    event PolicyPublished(
        uint256 indexed taskId, uint64 indexed epoch, uint32 indexed version, bytes32 policyRoot, string uri
    );
    event PolicySkipped(uint256 indexed taskId, uint64 indexed epoch, PolicyState state);

    error EmptyRoot();
    error UriTooLong(uint256 length, uint256 max);
    error NotSettled(uint256 taskId, uint64 epoch);
    error PolicyNotDue(uint256 taskId, uint64 epoch);
    /// @param next the epoch whose policy is next
    error PolicyOutOfOrder(uint256 taskId, uint64 epoch, uint64 next);
    /// @param policyBy until then it may be published; 0: its epoch is not settled
    error PolicyStillDue(uint256 taskId, uint64 epoch, uint40 policyBy);
    error SignersUnsorted(address verifier);
    error NoQuorum(uint256 weight, uint256 needed);

    /// @notice Publishes the policy that follows from a settled epoch; anybody may. Skips what may be skipped before
    ///         it: epochs without a policy, and the next one if that is late.
    /// @param taskId which task
    /// @param epoch Challengeable or Final, with a submission that was paid
    /// @param policyRoot of the policy
    /// @param uri where to find it; at most 512 bytes, of any content
    /// @param signatures EIP-712 signatures over `Policy(uint256 taskId,uint64 epoch,bytes32 seed,bytes32 policyRoot)`
    ///        by worker or operator keys of verifiers of the epoch, in ascending order of operator; together a quorum
    function publishPolicy(
        uint256 taskId,
        uint64 epoch,
        bytes32 policyRoot,
        string calldata uri,
        bytes[] calldata signatures
    ) external;

    /// @notice Goes on without the policy of the next epoch: it is void, nothing of it was paid, or a reveal window has
    ///         passed since the end of its challenge window, and since the epoch before it got its policy or was
    ///         skipped. Anybody may.
    /// @param taskId which task
    /// @param epoch whose policy is next
    function skipPolicy(uint256 taskId, uint64 epoch) external;

    /// @notice Newest policy version of a task.
    /// @param taskId which task
    /// @return version 0: the initiator's
    /// @return policyRoot its root
    /// @return nextEpoch the epoch whose policy is next
    function policyOf(uint256 taskId) external view returns (uint32 version, bytes32 policyRoot, uint64 nextEpoch);

    /// @notice What became of the policy of an epoch.
    /// @param taskId which task
    /// @param epoch any
    /// @return the state
    function stateOf(uint256 taskId, uint64 epoch) external view returns (PolicyState);
}
