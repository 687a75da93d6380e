"""What reasons and checks mean, in the words of a person."""

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
    "duplicate": "it repeats another work",
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
    "replay": "training repeated",
}


def reason(code: str | None) -> str:
    """A reason's meaning; an unknown code as it is."""
    return "" if code is None else REASONS.get(code, code.replace("_", " "))


def score(value: int | None) -> str:
    """What a score byte means."""
    if value is None:
        return "not judged yet"
    if value == 255:
        return "fraud"
    return "not paid" if value == 0 else f"{value} %"
