// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Submission} from "./ICommitments.sol";

/// Where the dispute about one submission stands. The last three are for good.
enum DisputePhase {
    None,
    Revealed, // waits for the end of all reveals, then for `summonPanel` and `drawPanel`
    AppealCommit,
    AppealReveal,
    Decidable, // votes are in, or time is over: waits for `decide`
    Upheld, // the score stands
    Overturned, // the panel gave another score
    Undecided // no full panel, or fewer than half of its seats voted: the score stands, half of the bond is burnt
}

/// Where one challenge stands.
enum ChallengeState {
    None,
    Committed,
    Revealed,
    Expired, // not revealed in time: all that was put down is burnt
    Claimed
}

/// @title Appeals: scores of settled epochs put before people who did not give them.
/// @notice Anybody commits to a challenge within the challenge window, so that nobody can copy it, and reveals it in
///         the reveal window after. Then a panel is drawn from the pool of jurors of the task's class, without the
///         verifiers of the epoch and the trainer. All challenges of one submission are one dispute. The epoch is not
///         final meanwhile.
interface IAppeals {
    /*//////////////////////////////////////////////////////////////
                                 EVENTS
    //////////////////////////////////////////////////////////////*/

    /// @param id counts from 0 in each epoch
    event ChallengeCommitted(
        uint256 indexed taskId, uint64 indexed epoch, uint32 indexed id, address challenger, bytes32 commitment
    );
    /// @param standing the score that is disputed
    /// @param score the challenger's
    event ChallengeRevealed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint32 indexed id,
        uint16 index,
        address challenger,
        uint8 standing,
        uint8 score
    );
    event ChallengeExpired(uint256 indexed taskId, uint64 indexed epoch, uint32 indexed id, uint256 burnt);
    /// Told again when the chain has forgotten the seed's block before anybody drew.
    /// @param seedBlock of which the panel's seed comes; it can be drawn after
    event PanelSummoned(uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, uint256 seedBlock);
    /// @param jurors one for each seat; none where fewer than PANEL_SEATS may judge: then it can be decided at once
    event PanelDrawn(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint16 indexed index,
        bytes32 seed,
        address[] jurors,
        uint40 commitBy
    );
    event VoteCommitted(
        uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, address juror, bytes32 commitment
    );
    event VoteRevealed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint16 indexed index,
        address juror,
        uint8 score,
        bool beyond,
        uint16 seats
    );
    /// @param score what holds from now on
    /// @param isAgainstVerifiers whether two thirds of the seats gave this score from what the seed had drawn, so that
    ///        who was behind another may be slashed for it; never where the old one was that the bytes could not be
    ///        had, since they may have come later
    event DisputeDecided(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint16 indexed index,
        uint8 score,
        DisputePhase phase,
        bool isAgainstVerifiers
    );
    event VerdictSlashed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint16 indexed index,
        address verifier,
        uint128 amount,
        uint128 toFinder
    );
    /// What a challenge owed its challenger, or a dispute a juror.
    event AppealPaid(uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, address to, uint128 amount);

    /*//////////////////////////////////////////////////////////////
                                 ERRORS
    //////////////////////////////////////////////////////////////*/

    error BadScore(uint8 score);
    error SameScore(uint256 taskId, uint64 epoch, uint16 index, uint8 score);
    error UnknownSubmission(uint256 taskId, uint64 epoch, uint16 index);
    error WrongChallenge(uint256 taskId, uint64 epoch, uint32 id, ChallengeState state);
    error WrongDispute(uint256 taskId, uint64 epoch, uint16 index, DisputePhase phase);
    error AlreadySummoned(uint256 taskId, uint64 epoch, uint16 index, uint256 seedBlock);
    error NotSummoned(uint256 taskId, uint64 epoch, uint16 index);
    error TooEarly(uint256 from);
    error TooLate(uint256 by);
    error NotAJuror(uint256 taskId, uint64 epoch, uint16 index, address juror);
    error NotAgainstVerifiers(uint256 taskId, uint64 epoch, uint16 index);
    error WrongReport(bytes31 reportHash, bytes31 revealed);
    error NotBehindScore(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error AlreadySlashed(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error NothingToPay(uint256 taskId, uint64 epoch, uint16 index, address to);
    error NotAuthorised(address caller);

    /*//////////////////////////////////////////////////////////////
                               CHALLENGES
    //////////////////////////////////////////////////////////////*/

    /// @notice Commits to a challenge; anybody may, while the epoch is Challengeable. Takes `challengeBond` and the
    ///         judging of one dispute, PANEL_SEATS × `jurorFee`, from the caller.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param commitment keccak256(abi.encode(taskId, epoch, challenger, index, score, salt))
    /// @return id of the challenge in this epoch
    function commitChallenge(uint256 taskId, uint64 epoch, bytes32 commitment) external returns (uint32 id);

    /// @notice Reveals a challenge in the reveal window after the challenge window; anybody who knows it may.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param id of the challenge
    /// @param index of the submission
    /// @param score that would be right
    /// @param salt of the commitment
    function revealChallenge(uint256 taskId, uint64 epoch, uint32 id, uint16 index, uint8 score, bytes32 salt) external;

    /// @notice Ends a challenge that was not revealed in time: its bond and the prepaid judging are burnt, so that
    ///         nobody commits to many and reveals the one that somebody else has found. Anybody may.
    /// @param taskId which task
    /// @param epoch of the challenge
    /// @param id of the challenge
    function expireChallenge(uint256 taskId, uint64 epoch, uint32 id) external;

    /*//////////////////////////////////////////////////////////////
                                DISPUTES
    //////////////////////////////////////////////////////////////*/

    /// @notice Fixes the block of which the seed of a dispute's panel comes, once all reveals are over; anybody may,
    ///         again when the chain has forgotten it.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    function summonPanel(uint256 taskId, uint64 epoch, uint16 index) external;

    /// @notice Draws the panel of a dispute after `PanelSummoned.seedBlock`; anybody may. Seats nobody where fewer than
    ///         PANEL_SEATS may judge.
    ///         seed = keccak256(abi.encode(randomness, taskId, epoch, index)): as in IAttestations.sealEpochWith.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param submission that is disputed, as it was committed
    /// @param header of the seed's block; empty where nobody can show it, after HEADER_WAIT blocks
    function drawPanel(uint256 taskId, uint64 epoch, Submission calldata submission, bytes calldata header) external;

    /// @notice Commits a juror of the panel to its vote.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param commitment keccak256(abi.encode(panelSeed, juror, keccak256(abi.encode(score, beyond)), salt))
    function commitVote(uint256 taskId, uint64 epoch, uint16 index, bytes32 commitment) external;

    /// @notice Reveals a juror's vote.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param score that is right
    /// @param beyond whether only what the seed had not drawn shows it: then no verifier is to blame
    /// @param salt of the commitment
    function revealVote(uint256 taskId, uint64 epoch, uint16 index, uint8 score, bool beyond, bytes32 salt) external;

    /// @notice Ends a dispute; anybody may. The score follows the rule of `settle` with a seat as the unit of weight
    ///         and two thirds of the seats as the quorum. A fraud that stands is confirmed by more than half of the
    ///         votes. Where fewer than PANEL_SEATS may judge, or fewer than half of them vote, nothing is decided.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    function decide(uint256 taskId, uint64 epoch, uint16 index) external;

    /// @notice Slashes a verifier whose report gave the score that was overturned, or paid what is fraud, where two
    ///         thirds of the panel say that what the seed had drawn shows another. Half of it, up to ten times
    ///         `challengeBond` a dispute, waits for who found it; the rest is burnt. Anybody may.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param verifier whom
    /// @param report that it revealed
    function slashVerdict(uint256 taskId, uint64 epoch, uint16 index, address verifier, bytes calldata report) external;

    /// @notice Keeps a juror of a decided dispute that did not vote out of later panels of the task; anybody may.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param juror whom
    function dismissJuror(uint256 taskId, uint64 epoch, uint16 index, address juror) external;

    /*//////////////////////////////////////////////////////////////
                                 MONEY
    //////////////////////////////////////////////////////////////*/

    /// @notice Pays a challenger what its decided challenge owes it now; anybody may, again when more has come in.
    ///         Its bond, or half of it where nothing was decided, unless the score was upheld; the prepaid judging;
    ///         and, for the finder, who was the first to name the score that holds now, its reward. What jurors earn
    ///         goes off what the finder had prepaid, or where there is none, who had revealed first.
    /// @param taskId which task
    /// @param epoch of the challenge
    /// @param id of the challenge
    /// @return amount that was paid
    function claimChallenge(uint256 taskId, uint64 epoch, uint32 id) external returns (uint128 amount);

    /// @notice Pays a juror `jurorFee` for each of its seats, if it voted with the outcome, or nothing was decided.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param juror whom
    /// @return amount that was paid
    function claimVote(uint256 taskId, uint64 epoch, uint16 index, address juror) external returns (uint128 amount);

    /// @notice Adds the reporter's share of a fraud's slash, sent here, to what waits for its finder; only Payouts.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param amount of the share
    function reward(uint256 taskId, uint64 epoch, uint16 index, uint128 amount) external;

    /*//////////////////////////////////////////////////////////////
                                 VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @notice Where a dispute stands.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @return the phase
    function phaseOf(uint256 taskId, uint64 epoch, uint16 index) external view returns (DisputePhase);

    /// @notice A dispute.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @return standing the score that was disputed
    /// @return score that the panel gave; the standing one until it has
    /// @return seed of the panel; 0 until it is drawn
    /// @return seats of the panel; 0 also where too few may judge
    /// @return commitBy end of the commit phase
    /// @return revealBy end of the reveal phase
    /// @return isAgainstVerifiers see DisputeDecided
    function disputeOf(uint256 taskId, uint64 epoch, uint16 index)
        external
        view
        returns (
            uint8 standing,
            uint8 score,
            bytes32 seed,
            uint16 seats,
            uint40 commitBy,
            uint40 revealBy,
            bool isAgainstVerifiers
        );

    /// @notice A challenge.
    /// @param taskId which task
    /// @param epoch of the challenge
    /// @param id of the challenge
    /// @return challenger who made it
    /// @return state where it stands
    /// @return index of the submission, once revealed
    /// @return score that it names, once revealed
    function challengeOf(uint256 taskId, uint64 epoch, uint32 id)
        external
        view
        returns (address challenger, ChallengeState state, uint16 index, uint8 score);

    /// @notice Seats of a juror in the panel of a dispute.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param juror whom
    /// @return how many; 0: it is not on the panel
    function seatsOf(uint256 taskId, uint64 epoch, uint16 index, address juror) external view returns (uint16);

    /// @notice Whether somebody has challenged a submission, and so cannot judge it.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @param account whom
    /// @return whether it, or its worker key, has revealed a challenge of this submission
    function isChallenger(uint256 taskId, uint64 epoch, uint16 index, address account) external view returns (bool);

    /// @notice What `claimChallenge` would pay.
    /// @param taskId which task
    /// @param epoch of the challenge
    /// @param id of the challenge
    /// @return the amount
    function owedTo(uint256 taskId, uint64 epoch, uint32 id) external view returns (uint128);
}
