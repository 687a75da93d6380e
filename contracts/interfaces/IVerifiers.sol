// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The electorate of each task: who judges which epoch, with what weight.
/// @notice A verifier's weight is bond that it locks for one task. Weights are kept by epoch: what happens later never
///         changes who judges a sealed epoch, or with what weight. Who joins before an epoch closes judges it. Who
///         leaves still judges the open epoch if that has submissions, so that nobody vetoes a seal by leaving.
interface IVerifiers {
    /*//////////////////////////////////////////////////////////////
                                 EVENTS
    //////////////////////////////////////////////////////////////*/

    /// @param fromEpoch first epoch that it judges
    event VerifierEnlisted(uint256 indexed taskId, address indexed verifier, uint128 weight, uint64 fromEpoch);
    /// @param fromEpoch first epoch that it no longer judges
    event VerifierDelisted(uint256 indexed taskId, address indexed verifier, uint64 fromEpoch);
    /// VerifierDelisted follows where less than `verifierBond` is left.
    /// @param weight that is left from `fromEpoch` on; 0 for one that has left before
    event VerifierSlashed(
        uint256 indexed taskId, address indexed verifier, uint128 amount, uint128 weight, uint64 fromEpoch
    );
    event VerifierBondReleased(uint256 indexed taskId, address indexed verifier, uint128 amount);

    /*//////////////////////////////////////////////////////////////
                                 ERRORS
    //////////////////////////////////////////////////////////////*/

    error WrongTerms(uint256 taskId, bytes32 meant, bytes32 termsHash);
    error WeightTooSmall(uint256 weight, uint256 needed);
    error AlreadyEnlisted(uint256 taskId, address verifier);
    error NotEnlisted(uint256 taskId, address verifier);
    /// Its former bond still answers for the task.
    error StillAnswerable(uint256 taskId, address verifier, uint40 from);
    error NothingToRelease(uint256 taskId, address verifier);
    /// All places are taken: name a verifier with less weight to take its place.
    error ElectorateFull(uint256 taskId, uint256 max);
    error NotHeavier(uint256 weight, uint256 displaced);
    error NotAuthorised(address caller);

    /*//////////////////////////////////////////////////////////////
                               VERIFIERS
    //////////////////////////////////////////////////////////////*/

    /// @notice Makes the caller's operator a verifier of a task and locks `weight` of its bond. It judges the open
    ///         epoch, if that takes submissions and has a place; else the one after.
    /// @param taskId which task
    /// @param termsHash the one that the caller has seen; reverts with WrongTerms when the task has another
    /// @param weight at least `verifierBond`
    /// @param displaced zero; or, where all MAX_VERIFIERS places are taken, a verifier with less weight, which leaves
    function enlist(uint256 taskId, bytes32 termsHash, uint128 weight, address displaced) external;

    /// @notice Ends the caller's enlistment. It still judges sealed epochs, and the open one if that has submissions.
    ///         Its bond answers until UNBONDING_PERIOD has passed; then `releaseBond` frees it.
    /// @param taskId which task
    function delist(uint256 taskId) external;

    /// @notice Unlocks what a former verifier had locked for a task; anybody may.
    /// @param taskId which task
    /// @param verifier whose
    function releaseBond(uint256 taskId, address verifier) external;

    /*//////////////////////////////////////////////////////////////
                            OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @notice Fixes who judges an epoch that is being sealed; only Attestations.
    /// @param taskId which task
    /// @return weight of all
    /// @return verifiers how many
    function seal(uint256 taskId) external returns (uint128 weight, uint16 verifiers);

    /// @notice Takes a share of the weight with which a verifier judges an epoch; only Attestations, Appeals and
    ///         Plants. What is left judges what is not closed yet. Ends its enlistment, as `delist` does, when that is
    ///         less than `verifierBond`.
    /// @param taskId which task
    /// @param epoch in which it did what it is slashed for
    /// @param verifier whom
    /// @param bps share of its weight in that epoch, at most what is left of its bond
    /// @param recipient of a part; the rest is burnt
    /// @param recipientBps that part
    /// @param cap the most that the recipient gets
    /// @return taken all
    /// @return toRecipient part of it
    function slash(
        uint256 taskId,
        uint64 epoch,
        address verifier,
        uint16 bps,
        address recipient,
        uint16 recipientBps,
        uint128 cap
    ) external returns (uint128 taken, uint128 toRecipient);

    /*//////////////////////////////////////////////////////////////
                                 VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @notice The weight with which a verifier judges an epoch.
    /// @param taskId which task
    /// @param epoch sealed, or still to be sealed
    /// @param verifier whom
    /// @return the weight; 0: it does not judge it
    function weightAt(uint256 taskId, uint64 epoch, address verifier) external view returns (uint128);

    /// @notice The electorate that would judge the open epoch of a task, were it sealed now.
    /// @param taskId which task
    /// @return weight of all
    /// @return verifiers how many
    function electorateOf(uint256 taskId) external view returns (uint128 weight, uint16 verifiers);

    /// @notice Whether a verifier is enlisted.
    /// @param taskId which task
    /// @param verifier whom
    /// @return whether it has not left
    function isEnlisted(uint256 taskId, address verifier) external view returns (bool);

    /// @notice What of a verifier's bond answers for a task.
    /// @param taskId which task
    /// @param verifier whose
    /// @return amount locked
    /// @return until Unix time from which it can be released; 0 while it is enlisted
    function collateralOf(uint256 taskId, address verifier) external view returns (uint128 amount, uint40 until);

    /// @notice Most verifiers of one task, so that settling what they report fits a transaction.
    function MAX_VERIFIERS() external view returns (uint16);
}
