// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where a challenge stands. The last three are for good.
enum ChallengePhase {
    None,
    AppealCommit,
    AppealReveal,
    Decidable, // votes are in, or their time is over: waits for `decide`
    Upheld, // the score stands: the challenger has lost its bond
    Overturned, // the appeal gave another score
    Undecided // less than the quorum revealed: the score stands, the challenger gets its bond back
}

/// @title Disputes: one work of a settled epoch put before its verifiers again.
/// @notice Those judge who were enlisted when the epoch was sealed, with the weight they have left: stake that comes later
///         decides nothing. Each work can be challenged once. The appeal gives the score as `settle` does: fraud only if
///         the quorum says so, else the median; so it ends well whatever score the challenger named. Epochs do not become
///         final, and so nobody is paid or slashed for their works, while a challenge is open.
interface IChallenges {
    /// @param standing the score that is disputed
    /// @param score the challenger's
    event Challenged(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint16 indexed index,
        address challenger,
        uint8 standing,
        uint8 score,
        uint128 bond,
        uint40 commitBy
    );
    event AppealCommitted(
        uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, address verifier, bytes32 commitment
    );
    event AppealRevealed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint16 indexed index,
        address verifier,
        uint8 score,
        uint128 weight
    );
    /// @param score what holds from now on
    /// @param phase Upheld, Overturned or Undecided
    event ChallengeDecided(
        uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, uint8 score, ChallengePhase phase
    );
    /// @param toChallenger part of `amount`; the rest is the task's
    event VerdictSlashed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint16 indexed index,
        address verifier,
        uint128 amount,
        uint128 toChallenger
    );
    event AppealAbsenceSlashed(
        uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, address verifier, uint128 amount
    );
    /// A challenger's bond and winnings, or a verifier's share of a lost bond.
    event ChallengeClaimed(
        uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, address to, uint128 amount
    );

    error BadScore(uint8 score);
    error SameScore(uint256 taskId, uint64 epoch, uint16 index, uint8 score);
    error AlreadyChallenged(uint256 taskId, uint64 epoch, uint16 index);
    error WrongChallengePhase(uint256 taskId, uint64 epoch, uint16 index, ChallengePhase phase);
    error EmptyCommitment();
    error NotEnlistedAtSeal(uint256 taskId, uint64 epoch, address verifier);
    error AlreadyVoted(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error NotCommitted(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error CommitmentMismatch(bytes32 commitment, bytes32 revealed);
    error ReportsMissing(uint256 missing, uint256 graceBy);
    error NotAgainstVerifiers(uint256 taskId, uint64 epoch, uint16 index);
    error WrongReport(bytes32 reportHash, bytes32 revealed);
    error NotBehindScore(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error Excused(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error WasPresent(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error AlreadySlashed(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error NothingToClaim(uint256 taskId, uint64 epoch, uint16 index, address to);
    error NotAuthorised(address caller);

    /// Disputes the score of one work within the challenge window; anybody may. `score` is the one that would be right.
    /// Takes `challengeBond` of the token, which the registry must be allowed to pull.
    function challenge(uint256 taskId, uint64 epoch, uint16 index, uint8 score) external;

    /// commitment = keccak256(abi.encode(taskId, epoch, index, verifier, score, salt)), verifier being the operator.
    function commitAppeal(uint256 taskId, uint64 epoch, uint16 index, bytes32 commitment) external;

    function revealAppeal(uint256 taskId, uint64 epoch, uint16 index, uint8 score, bytes32 salt) external;

    /// Ends a challenge; anybody may. `reports` are those behind the outcome, as `settle` took them: needed (and looked at)
    /// only when the score changes, so that fees follow agreement with the new one. Once a further reveal window has passed
    /// some may be missing: for those the fee stays as it is.
    function decide(uint256 taskId, uint64 epoch, uint16 index, bytes[] calldata reports) external;

    /// Takes `verdictSlash` from a verifier whose `report` gave the score that was overturned, if the quorum stands behind
    /// the new one. Excused is who voted for the new score in the appeal, unless the score was fraud, or the work was one
    /// that had to be replayed. Half goes to the challenger if it had named the new score; the rest to the budget.
    function slashVerdict(uint256 taskId, uint64 epoch, uint16 index, address verifier, bytes calldata report) external;

    /// Takes `absenceSlash` from a verifier that did not reveal in an appeal that is over, to the budget.
    function slashAbsence(uint256 taskId, uint64 epoch, uint16 index, address verifier) external;

    /// Pays `to` what a decided challenge owes it now: to the challenger its bond, unless it lost, and what it has won; to
    /// each verifier who voted for a score that was upheld its share of the bond, by weight. Anybody may call.
    function claim(uint256 taskId, uint64 epoch, uint16 index, address to) external returns (uint128 amount);

    /// Adds to what a challenger has won: the reporter's part of the slash for the fraud it found; only Payouts.
    function reward(uint256 taskId, uint64 epoch, uint16 index, uint128 amount) external;

    function phaseOf(uint256 taskId, uint64 epoch, uint16 index) external view returns (ChallengePhase);
    /// @return challenger zero when there is no such challenge
    /// @return standing the score that was disputed
    /// @return score the challenger's until the appeal has decided, then the appeal's
    /// @return commitBy end of the commit phase
    /// @return revealBy end of the reveal phase
    /// @return revealedWeight weight of those who revealed
    function challengeOf(uint256 taskId, uint64 epoch, uint16 index)
        external
        view
        returns (
            address challenger,
            uint8 standing,
            uint8 score,
            uint40 commitBy,
            uint40 revealBy,
            uint128 revealedWeight
        );
    /// What `claim` would pay.
    function owedTo(uint256 taskId, uint64 epoch, uint16 index, address to) external view returns (uint128);
    /// Whether an epoch's seed says that a work must be replayed: uint256(sha256(seed, "replay", index)) % 10,000 below
    /// the sampling rate, each label with its length before it.
    function mustReplay(uint256 taskId, uint64 epoch, uint16 index) external view returns (bool);
}
