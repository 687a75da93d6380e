// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where an epoch stands. `Committing` is the open epoch of Commitments; the rest happens here.
enum EpochPhase {
    Committing,
    AttestCommit,
    AttestReveal,
    Attested, // quorum reached and reveals over: waits for `settle`
    Challengeable,
    Final,
    Void,
    Missed // reveals over without a quorum: waits for `voidEpoch`
}

/// @title Judgement of sealed epochs by the weight of their verifiers.
/// @notice A report is one byte per submission: 0 not paid, 1-100 percent of the price, 254 unavailable (its bytes
///         could not be had in time), 255 fraud; any other byte counts as 0. Reports are on chain when they count: they
///         come with the reveal, so that anybody can settle.
interface IAttestations {
    /*//////////////////////////////////////////////////////////////
                                 EVENTS
    //////////////////////////////////////////////////////////////*/

    /// @param attestBy end of the commit phase, a Unix time; 0 when the epoch is void at once for want of verifiers
    event EpochSealed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        bytes32 seed,
        uint16 submissions,
        uint16 verifiers,
        uint128 weight,
        uint40 attestBy
    );
    /// @param sealedReport for the verifier alone: what it needs to reveal if it loses everything else
    event AttestationCommitted(
        uint256 indexed taskId, uint64 indexed epoch, address indexed verifier, bytes32 commitment, bytes sealedReport
    );
    event AttestationRevealed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        address indexed verifier,
        uint128 weight,
        bytes report,
        bytes32 evidenceRoot
    );
    /// The quorum has revealed.
    event EpochAttested(uint256 indexed taskId, uint64 indexed epoch, uint128 weight);
    /// @param first index of `scores`
    event ScoresSettled(uint256 indexed taskId, uint64 indexed epoch, uint16 first, bytes scores);
    /// All submissions have their scores. Aggregation follows.
    event EpochSettled(uint256 indexed taskId, uint64 indexed epoch, uint16 paid, uint40 challengeBy);
    /// An appeal has changed a score.
    event ScoreCorrected(uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, uint8 score);
    event EpochFinal(uint256 indexed taskId, uint64 indexed epoch);
    event EpochVoid(uint256 indexed taskId, uint64 indexed epoch);
    event AbsenceSlashed(uint256 indexed taskId, uint64 indexed epoch, address indexed verifier, uint128 amount);

    /*//////////////////////////////////////////////////////////////
                                 ERRORS
    //////////////////////////////////////////////////////////////*/

    error WrongPhase(uint256 taskId, uint64 epoch, EpochPhase phase);
    error NotEnlistedAtSeal(uint256 taskId, uint64 epoch, address verifier);
    error SealedReportTooLong(uint256 length, uint256 max);
    error BadReport(uint256 length, uint256 submissions);
    error ReportsUnsorted(bytes32 reportHash);
    error UnknownReport(bytes32 reportHash);
    error ReportsIncomplete(uint256 weight, uint256 revealed);
    error StillChallengeable(uint256 taskId, uint64 epoch, uint40 challengeBy);
    error OpenChallenges(uint256 taskId, uint64 epoch, uint256 count);
    /// Not more than half of the weight: a chain that stood still is no reason to slash most of them.
    error TooFewRevealed(uint256 taskId, uint64 epoch, uint128 revealedWeight);
    error NotFinal(uint256 taskId, uint64 epoch);
    error NotAuthorised(address caller);

    /*//////////////////////////////////////////////////////////////
                                 EPOCHS
    //////////////////////////////////////////////////////////////*/

    /// @notice Seals the task's closed epoch; anybody may. seed = keccak256(abi.encode(randomness, runningHash, taskId,
    ///         epoch)), where the randomness is the prevrandao of block `EpochClosed.seedBlock`: who calls, and when,
    ///         changes nothing. An epoch whose quorum weighs less than what it can pay and slash is void at once, since
    ///         nobody can join it any more; so is one that is sealed later than an attest window after its commit
    ///         window.
    /// @param taskId which task
    /// @param header RLP of that block's header; reverts with WrongHeader
    /// @return epoch that was sealed
    function sealEpochWith(uint256 taskId, bytes calldata header) external returns (uint64 epoch);

    /// @notice As `sealEpochWith`, for chains whose headers nobody can show: the randomness is the hash of that block.
    ///         Reverts with HeaderAwaited for `HEADER_WAIT` blocks.
    /// @param taskId which task
    /// @return epoch that was sealed
    function sealEpoch(uint256 taskId) external returns (uint64 epoch);

    /// @notice Commits the caller's operator to a report.
    /// @param taskId which task
    /// @param epoch in AttestCommit
    /// @param commitment keccak256(abi.encode(seed, verifier, keccak256(report), salt)): it holds for the submissions
    ///        that were sealed under this seed, and for no others
    /// @param sealedReport report and salt, encrypted by the verifier for itself, so that it can reveal after a loss of
    ///        its database; only told, at most submissions + 128 bytes; may be empty
    function commitAttestation(uint256 taskId, uint64 epoch, bytes32 commitment, bytes calldata sealedReport) external;

    /// @notice Reveals a report; it counts from now on.
    /// @param taskId which task
    /// @param epoch in AttestReveal
    /// @param report one byte per submission of the epoch, no more and no less
    /// @param salt of the commitment
    /// @param evidenceRoot manifest root of the evidence bundle; only told
    function revealAttestation(uint256 taskId, uint64 epoch, bytes calldata report, bytes32 salt, bytes32 evidenceRoot)
        external;

    /// @notice Settles submissions from where the call before stopped; anybody may. Where reports differ, each
    ///         submission is decided by itself: fraud if the quorum of enlisted weight says so; unavailable if half of
    ///         the revealed weight does; else the median by revealed weight, where fraud and unavailable count as 0.
    /// @param taskId which task
    /// @param epoch in Attested
    /// @param reports every distinct report revealed, in ascending order of their hashes
    /// @param count most submissions to settle in this call
    function settle(uint256 taskId, uint64 epoch, bytes[] calldata reports, uint16 count) external;

    /// @notice Ends the challenge window; claims and slashes follow.
    /// @param taskId which task
    /// @param epoch in Challengeable, its window over, no challenge open
    function finalise(uint256 taskId, uint64 epoch) external;

    /// @notice Ends an epoch that found no quorum, or that nobody settled for UNBONDING_PERIOD: nobody is paid or
    ///         slashed for its submissions.
    /// @param taskId which task
    /// @param epoch in Missed, or Attested for too long
    function voidEpoch(uint256 taskId, uint64 epoch) external;

    /// @notice Slashes a verifier that did not reveal in an epoch in which somebody did, once reveals are over.
    /// @param taskId which task
    /// @param epoch sealed
    /// @param verifier that judged it; reverts with WasPresent when it revealed
    function slashAbsence(uint256 taskId, uint64 epoch, address verifier) external;

    /*//////////////////////////////////////////////////////////////
                            OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @notice Keeps a challengeable epoch from becoming final; only Appeals.
    /// @param taskId which task
    /// @param epoch in Challengeable, before its end
    /// @return challengeBy end of its challenge window
    function holdChallenge(uint256 taskId, uint64 epoch) external returns (uint40 challengeBy);

    /// @notice Ends what `holdChallenge` began; only Appeals.
    /// @param taskId which task
    /// @param epoch of the challenges
    /// @param count how many of them
    function releaseChallenges(uint256 taskId, uint64 epoch, uint16 count) external;

    /// @notice Changes the score of one submission; only Appeals, while it holds the epoch.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param score that an appeal gave
    /// @param isFound whether it is a fraud whose finder waits in Appeals for the reporter's share
    function correctScore(uint256 taskId, uint64 epoch, uint16 index, uint8 score, bool isFound) external;

    /*//////////////////////////////////////////////////////////////
                                 VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @notice Scores that can no longer change, as they are stored: 253 is a fraud whose finder waits in Appeals; 252
    ///         stands for every submission of a void epoch. Reverts with NotFinal if one still can.
    /// @param taskId which task
    /// @param places of submissions, see Submissions.place
    /// @return scores a byte for each
    function finalScoresOf(uint256 taskId, uint256[] calldata places) external view returns (bytes memory scores);

    /// @notice Score of one submission of a settled epoch.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @return the score
    function scoreOf(uint256 taskId, uint64 epoch, uint16 index) external view returns (uint8);

    /// @notice Where an epoch stands.
    /// @param taskId which task
    /// @param epoch any
    /// @return the phase; Committing also for one that has not opened
    function phaseOf(uint256 taskId, uint64 epoch) external view returns (EpochPhase);

    /// @notice The seed of an epoch.
    /// @param taskId which task
    /// @param epoch any
    /// @return the seed; 0 while it is not sealed
    function seedOf(uint256 taskId, uint64 epoch) external view returns (bytes32);

    /// @notice The quorum of an epoch.
    /// @param taskId which task
    /// @param epoch sealed
    /// @return the least weight that is one
    function quorumOf(uint256 taskId, uint64 epoch) external view returns (uint128);

    /// @notice When the phases of a sealed epoch end; brought forward when all have acted.
    /// @param taskId which task
    /// @param epoch sealed
    /// @return attestBy end of the commit phase
    /// @return revealBy end of the reveal phase
    /// @return challengeBy end of the challenge window; 0 until it is settled
    /// @return paid how many submissions earn something; 0 until it is settled
    function scheduleOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (uint40 attestBy, uint40 revealBy, uint40 challengeBy, uint16 paid);

    /// @notice What a verifier did in an epoch.
    /// @param taskId which task
    /// @param epoch sealed
    /// @param verifier whom
    /// @return reportHash first 31 bytes of keccak256(report); 0: it did not reveal
    /// @return weight with which it judges the epoch
    /// @return differences submissions settled as paid or fraud that its report judges otherwise
    function attestationOf(uint256 taskId, uint64 epoch, address verifier)
        external
        view
        returns (bytes31 reportHash, uint128 weight, uint16 differences);

    /// @notice Blocks for which a header is waited for before a block's hash serves.
    function HEADER_WAIT() external view returns (uint8);

    /// @notice Counts of an epoch.
    /// @param taskId which task
    /// @param epoch sealed
    /// @return submissions in it
    /// @return settled how many of them have a score
    /// @return verifiers that judge it
    /// @return committed of them
    /// @return revealed of them
    /// @return revealedWeight of those that revealed
    /// @return weight of all
    function tallyOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (
            uint16 submissions,
            uint16 settled,
            uint16 verifiers,
            uint16 committed,
            uint16 revealed,
            uint128 revealedWeight,
            uint128 weight
        );
}
