"""What reasons and checks mean, in the words of a person."""

from assay_core.protocol.types import (
    SCORE_FOUND_FRAUD,
    SCORE_FRAUD,
    SCORE_UNAVAILABLE,
    SCORE_UNPAID,
    SCORE_VOID,
    SubmissionKind,
)

REASONS = {
    "unavailable": "the verifiers could not fetch it from any relay in time",
    "malformed": "its files break the format",
    "wrong_identity": "it names another task, epoch, trainer or policy than it was committed for",
    "stale_policy": "it was made with a policy that is too old, or that was never published",
    "wrong_prompts": "it answers other prompts than those that its seed dictates",
    "bad_termination": "a completion ends neither with the end token nor at the length limit, or ends implausibly",
    "wrong_reward": "it claims rewards that the environment does not give",
    "proof_mismatch": "its proofs do not match the policy: another model, or other tokens, produced the completions",
    "sampling_mismatch": "its tokens are not those that the seeded sampler draws from the policy",
    "bad_update": "its update cannot follow from its rollouts and its trace",
    "replay_mismatch": "training again on its rollouts gives another update than the one submitted",
}

CHECKS = {
    "bytes": "files, sizes and format",
    "identity": "task, epoch, trainer, policy",
    "prompts": "prompts derived from the seed",
    "termination": "how completions end",
    "rewards": "rewards recomputed",
    "toploc": "proofs against a prefill",
    "update norm": "size of the update",
    "update trace": "trace of training",
    "update against others": "size of the update beside the others'",
    "duplicates": "likeness to other submissions",
    "sampling logprobs": "probabilities that were claimed",
    "sampling tokens": "tokens against the seeded sampler",
    "termination plausible": "ends that the policy would draw",
    "replay choice": "training repeated, elements that the update keeps",
    "replay direction": "training repeated, direction of the update",
    "replay length": "training repeated, length of the update",
    "replay largest": "training repeated, largest elements of the update",
    "replay first moment": "training repeated, AdamW's first moment",
    "replay second moment": "training repeated, AdamW's second moment",
    "training steps": "each step of training is one of AdamW's",
    "training states": "states of training, and the update between them",
}


def reason(code: str | None) -> str:
    """A reason's meaning; an unknown code as it is."""
    return "" if code is None else REASONS.get(code, code.replace("_", " "))


def check(name: str) -> str:
    """What a check looks at; an unknown name as it is."""
    return CHECKS.get(name, name.replace("_", " "))


def finding(name: str, measured: float, threshold: float, detail: str, *, has_passed: bool) -> str:
    """One check's outcome. Where nothing is allowed at all, the detail says what there is to say."""
    compared = "" if threshold == 0 else f" (measured {measured:.4g}, allowed {threshold:.4g})"
    return f"{'ok    ' if has_passed else 'FAILED'} {check(name)}: {detail}{compared}"


SCORES = {
    SCORE_UNPAID: "not paid",
    SCORE_VOID: "void",
    SCORE_FOUND_FRAUD: "fraud, found by a challenge",
    SCORE_UNAVAILABLE: "unavailable",
    SCORE_FRAUD: "fraud",
}


def score(value: int | None) -> str:
    """What a score byte means."""
    return "not judged yet" if value is None else SCORES.get(value, f"{value} %")


KINDS = {
    SubmissionKind.FULL: "full",  # rollouts and the training on them
    SubmissionKind.ROLLOUTS: "rollout",
    SubmissionKind.TRAINING: "training",
    SubmissionKind.LABELS: "label",
}


def kind(value: SubmissionKind) -> str:
    """What submissions of a kind are called: `full submissions`."""
    return KINDS[value]


# What to do about a revert, beside what the error's name and values say.
HINTS = {
    "NotInitiator": "only the task's initiator may do this: sign with its key",
    "UnknownTask": "see `assay task list`",
    "TaskIsClosed": "the task takes nothing any more",
    "NothingToRefund": "nothing is free: close the task first, or wait until its last epoch is final",
    "WrongTerms": "the task has other terms than those that were read: see `assay task show`",
    "CheatingPays": "raise the slash or the sampling rate: see `assay economics`",
    "StillActive": "it has had a submission in one of the last two sealed epochs: it can only leave by itself",
    "NotEnlisted": "it is not enlisted for this task",
    "AlreadyEnlisted": "it is enlisted already",
    "InsufficientBond": "that much of its bond is not free: claim what is final, or bond more (`assay stake bond`)",
    "WeightTooSmall": "lock at least the task's verifier bond",
    "ElectorateFull": "all places are taken: displace a verifier with less weight",
    "NotHeavier": "only a verifier with less weight can be displaced",
    "StillAnswerable": "the bond answers for what was done in that task for an unbonding period",
    "NothingToRelease": "nothing is set aside for that task, or it is still enlisted there: `assay stake leave`",
    "ZeroAmount": "the amount must be above 0",
    "WorkerKeyTaken": "that key works for another operator: make a new one with `assay keys new`",
    "BadWorkerSignature": "the worker key's consent is of another nonce or operator: sign it again",
    "ConsentExpired": "the worker key's consent is too old: sign it again",
    "ERC20InsufficientBalance": "the balance does not suffice: see `assay token balance`",
    "ERC20InsufficientAllowance": "the allowance changed meanwhile: run the command again",
    "StillChallengeable": "wait until the challenge window has passed",
    "NotFinal": "wait until the epoch is final",
    "OpenChallenges": "scores of the epoch are challenged: see `assay challenge show SUBMISSION`",
    "PolicyPending": "wait until the epoch's policy is published or skipped",
    "FeeForfeited": "the epoch's policy was due and skipped: nobody gets its fee",
    "SameScore": "that is the score it has: name another with --score",
    "TooEarly": "wait until then",
    "TooLate": "its window has passed",
    "NothingToPay": "it is not decided yet, or all that it owes is paid",
    "NotYourSeat": "the last seat of a pool takes the place of one that is left: look again at which are yours",
    "WrongEpoch": "the epoch was sealed meanwhile: the next submission counts for the next",
    "RepeatedRoot": "it has committed this very submission already",
    "TooManySubmissions": "the next submission counts for the next epoch",
    "KindNotAskedFor": "the task has no price for submissions of this kind: see `assay task show`",
    "EpochNotReady": "its window is not over, or the block of its seed is not there yet: wait",
    "CommitClosed": "the epoch takes no further submissions: the next submission counts for the next",
    "NotAWorkerKey": "this key works for nobody",
    "IsFraud": "a fraud is slashed, not claimed",
    "WrongSubmission": "it is claimed or slashed already",
    "WrongChallenge": "it is revealed, expired or claimed already: see `assay challenge show SUBMISSION`",
    "WrongDispute": "the dispute is at another stage: see `assay challenge show SUBMISSION`",
    "NoChallengeWindow": "the task has no challenge window: nothing can be planted there",
    "LeftUndecided": "its score was challenged and no panel decided: nobody is blamed",
    "NotAJuror": "it is not on the panel, or has voted",
    # ballots: attestations of verifiers, votes of jurors, challenges
    "EmptyCommitment": "a commitment cannot be empty",
    "AlreadyCommitted": "it has committed already, and what is committed cannot be changed",
    "AlreadyRevealed": "it has revealed already",
    "NotCommitted": "it has not committed to anything there",
    "CommitmentMismatch": "this is not what was committed to: it was another score, salt or account",
    "WasPresent": "it did its duty: nothing is taken",
    "AlreadyPenalised": "it was slashed for that already",
    # seeds
    "SeedBlockTooRecent": "wait for the next block",
    "SeedBlockForgotten": "nobody came in time: name another block (`closeEpoch`, `summonPanel`), then try again",
    "HeaderAwaited": "the node shows no header of the seed's block: use another --rpc-url, or wait until that block",
    "WrongHeader": "the node shows another header than the chain has: use another --rpc-url",
}


def refusal(error_name: str, message: str) -> str:
    """A revert's message together with what to do about it."""
    hint = HINTS.get(error_name)
    return message if hint is None else f"{message}: {hint}"
