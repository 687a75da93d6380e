// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Where an epoch stands. `Committing` is the registry's open epoch; the rest happens here.
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

/// @title Judgement of sealed epochs by the stake of their verifiers.
/// @notice A report is one byte per work: 0 not paid, 1-100 percent of the price, 255 fraud. Any other byte, and a byte
///         that is missing, counts as 0.
interface IAttestations {
    event VerifierEnlisted(uint256 indexed taskId, address indexed verifier, uint128 weight);
    event VerifierDelisted(uint256 indexed taskId, address indexed verifier);
    event VerifierBondReleased(uint256 indexed taskId, address indexed verifier, uint128 amount);
    event EpochSealed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        bytes32 seed,
        uint16 works,
        uint16 verifiers,
        uint128 weight,
        uint40 attestBy
    );
    event AttestationCommitted(
        uint256 indexed taskId, uint64 indexed epoch, address indexed verifier, bytes32 commitment
    );
    event AttestationRevealed(
        uint256 indexed taskId, uint64 indexed epoch, address indexed verifier, bytes32 reportHash, bytes32 evidenceRoot
    );
    /// The quorum has revealed. Aggregation follows `EpochSettled`.
    event EpochAttested(uint256 indexed taskId, uint64 indexed epoch, uint128 weight);
    event EpochSettled(uint256 indexed taskId, uint64 indexed epoch, bytes scores, uint40 challengeBy);
    /// The bytes of a report that `settle` went without.
    event ReportShown(uint256 indexed taskId, uint64 indexed epoch, bytes32 reportHash);
    event PolicyPublished(
        uint256 indexed taskId, uint64 indexed epoch, uint32 indexed version, bytes32 policyRoot, string uri
    );
    event EpochFinal(uint256 indexed taskId, uint64 indexed epoch);
    event EpochVoid(uint256 indexed taskId, uint64 indexed epoch);
    event AbsenceSlashed(uint256 indexed taskId, uint64 indexed epoch, address indexed verifier, uint128 amount);

    error WrongPhase(uint256 taskId, uint64 epoch, EpochPhase phase);
    error AlreadyEnlisted(uint256 taskId, address verifier);
    error NotEnlisted(uint256 taskId, address verifier);
    error NotEnlistedAtSeal(uint256 taskId, uint64 epoch, address verifier);
    error NotBonded(address verifier, uint256 bonded, uint256 needed);
    error TooSoonToEnlist(uint256 taskId, address verifier, uint40 from);
    error NothingToRelease(uint256 taskId, address verifier);
    error StillAnswerable(uint256 taskId, address verifier, uint40 from);
    error NoVerifiers(uint256 taskId);
    error AlreadyAttested(uint256 taskId, uint64 epoch, address verifier);
    error EmptyCommitment();
    error NotCommitted(uint256 taskId, uint64 epoch, address verifier);
    error CommitmentMismatch(bytes32 commitment, bytes32 revealed);
    error ReportsUnsorted(bytes32 reportHash);
    error UnknownReport(bytes32 reportHash);
    error ReportsIncomplete(uint256 weight, uint256 revealed);
    error StillChallengeable(uint256 taskId, uint64 epoch, uint40 challengeBy);
    error ChallengeClosed(uint256 taskId, uint64 epoch, uint40 challengeBy);
    error UnknownWork(uint256 taskId, uint64 epoch, uint16 index);
    error OpenChallenges(uint256 taskId, uint64 epoch, uint256 count);
    error EmptyRoot();
    error PolicyOutOfOrder(uint256 taskId, uint64 epoch, uint64 newest);
    error SignersUnsorted(address verifier);
    error NoQuorum(uint256 weight, uint256 needed);
    error WasPresent(uint256 taskId, uint64 epoch, address verifier);
    error AlreadySlashed(uint256 taskId, uint64 epoch, address verifier);
    error NotAuthorised(address caller);
    error UnknownTask(uint256 taskId);
    error NotFinal(uint256 taskId, uint64 epoch);

    /// Enlists the caller's operator for a task; its weight, at least verifierBond, is all of its active bond that is not
    /// set aside for other tasks, and is now set aside for this one. Counts for epochs that are sealed in later blocks.
    /// Locks the bond against unbonding until `delist`. Only slashes for what it does in this task lower the weight;
    /// nothing raises it but enlisting anew.
    function enlist(uint256 taskId) external;

    /// Ends the caller's enlistment for epochs sealed from now on; it still owes its attestation, and its vote in appeals,
    /// to those sealed before. Its weight goes on answering for this task, and for no other, until UNBONDING_PERIOD has
    /// passed; then it may enlist for this task again. Fees stay claimable through one further enlistment.
    function delist(uint256 taskId) external;

    /// Frees what a former verifier's bond still had set aside for a task; anybody may call.
    function releaseBond(uint256 taskId, address verifier) external;

    /// Ends the commit phase of the task's open epoch; fixes seed = keccak256(abi.encode(prevrandao, runningHash)) and
    /// the enlisted weight. Anybody may call.
    function sealEpoch(uint256 taskId) external returns (uint64 epoch);

    /// commitment = keccak256(abi.encode(taskId, epoch, verifier, reportHash, salt)), verifier being the operator.
    function commitAttestation(uint256 taskId, uint64 epoch, bytes32 commitment) external;

    /// reportHash = keccak256(report). `evidenceRoot` is the manifest root of the evidence bundle (it holds the report's
    /// bytes); it is only emitted.
    function revealAttestation(uint256 taskId, uint64 epoch, bytes32 reportHash, bytes32 salt, bytes32 evidenceRoot)
        external;

    /// Hands in the bytes of every distinct report revealed, in ascending order of their hashes. Stores the scores and
    /// starts the challenge window. Once a further reveal window has passed, reports may be missing (whoever revealed one
    /// may hold its bytes back) as long as those handed in carry the quorum; a missing one counts as not revealed.
    function settle(uint256 taskId, uint64 epoch, bytes[] calldata reports) external;

    /// Publishes the policy that follows from a settled epoch. `signatures` are EIP-712 signatures by (worker or operator
    /// keys of) verifiers enlisted at the seal, in ascending order of operator, over
    /// `Policy(uint256 taskId,uint64 epoch,bytes32 policyRoot)`; their weight must reach the quorum.
    function publishPolicy(
        uint256 taskId,
        uint64 epoch,
        bytes32 policyRoot,
        string calldata uri,
        bytes[] calldata signatures
    ) external;

    /// Ends the challenge window; claims and slashes follow.
    function finalise(uint256 taskId, uint64 epoch) external;

    /// Ends an epoch that found no quorum, or that nobody could settle for UNBONDING_PERIOD: nobody is paid or slashed for
    /// its works.
    function voidEpoch(uint256 taskId, uint64 epoch) external;

    /// Hands in the bytes of a revealed report that `settle` went without, or of an epoch that nobody could settle: its
    /// verifiers were present after all. Anybody may call.
    function showReport(uint256 taskId, uint64 epoch, bytes calldata report) external;

    /// Takes `absenceSlash`, to the task's budget, from a verifier that was enlisted at the seal of a settled or void epoch
    /// and did not commit or did not reveal; and, once the epoch is final or void and one more reveal window has passed,
    /// from one whose report nobody has seen. Ends its enlistment when less than verifierBond is left.
    function slashAbsence(uint256 taskId, uint64 epoch, address verifier) external;

    /// Takes up to `amount` from a verifier that was enlisted at the seal, to the task: `heldBps` of what was taken is
    /// reserved, the rest the budget's. Only Challenges, which emits the amounts.
    function slashVerifier(uint256 taskId, uint64 epoch, address verifier, uint128 amount, uint16 heldBps)
        external
        returns (uint128 taken, uint128 held);

    /// Keeps a challengeable epoch from becoming final; returns the score that stands and how many may judge it again.
    /// Only Challenges.
    function openChallenge(uint256 taskId, uint64 epoch, uint16 index) external returns (uint8 score, uint16 verifiers);

    /// Ends a challenge with the score on which the appeal decided; `isWon` when it is the challenger's. Where it is not the
    /// one that stood, agreement is counted anew in `reports`, which are those behind the outcome, as `settle` took them, but
    /// for `missing` ones. Only Challenges.
    function closeChallenge(
        uint256 taskId,
        uint64 epoch,
        uint16 index,
        uint8 score,
        bool isWon,
        bytes[] calldata reports
    ) external returns (uint256 missing);

    /// Scores of works of one task that can no longer change, a byte for each of `places` (see Works.place), as stored: a
    /// fraud that a challenger found is 254; reverts with `NotFinal` if one still can.
    function finalScoresOf(uint256 taskId, uint256[] calldata places) external view returns (bytes memory scores);

    /// Score of one work of a settled epoch.
    function scoreOf(uint256 taskId, uint64 epoch, uint16 index) external view returns (uint8);
    function phaseOf(uint256 taskId, uint64 epoch) external view returns (EpochPhase);
    function seedOf(uint256 taskId, uint64 epoch) external view returns (bytes32);
    /// Newest policy version of a task (0: the initiator's) and its root.
    function policyOf(uint256 taskId) external view returns (uint32 version, bytes32 policyRoot);
    function isEnlisted(uint256 taskId, address verifier) external view returns (bool);
    /// What of a verifier's bond is set aside for tasks.
    function neededBondOf(address verifier) external view returns (uint128);
    /// What of a verifier's bond answers for its verdicts in a task; for one that left until `until` (0: still enlisted).
    function collateralOf(uint256 taskId, address verifier) external view returns (uint128 amount, uint40 until);
    /// What a verifier revealed: its report's hash (0: nothing, or nothing that counted), its weight, the works on which
    /// it differed from the outcome, how many works there were, the epoch's enlisted weight.
    function attestationOf(uint256 taskId, uint64 epoch, address verifier)
        external
        view
        returns (bytes32 reportHash, uint128 weight, uint16 differences, uint16 works, uint128 enlistedWeight);
    /// Verifiers enlisted at the seal, those that committed, those that revealed, and the weight revealed.
    function tallyOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (uint16 verifiers, uint16 committed, uint16 revealed, uint128 revealedWeight, uint128 enlistedWeight);
}
