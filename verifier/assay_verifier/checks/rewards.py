"""Check 5: the environment gives each completion the reward that the trainer claims."""

from collections.abc import Sequence
from typing import Protocol

from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import Environment, Prompt
from assay_core.protocol.errors import Reason
from assay_verifier.verdict import Finding, failed, measure

NAME = "rewards"


class Decoder(Protocol):
    def decode(self, token_ids: Sequence[int]) -> str: ...


def check(
    rollouts: Rollouts, prompts: Sequence[Prompt], environment: Environment, decoder: Decoder, tolerance: float
) -> Finding:
    """The largest |claimed - recomputed| over all completions. Raises Malformed: a token id outside the vocabulary."""
    worst, evidence = 0.0, None
    for position, row in enumerate(rollouts.completions):
        group, member = divmod(position, rollouts.group_size)
        text = decoder.decode(row.completion_ids)
        reward = environment.reward(prompts[group], text)
        if not 0 <= reward <= 1:  # nor when it is not a number: the environment's fault, so nobody's bond
            detail = f"the environment gives completion {member} of group {group} the reward {reward}"
            return failed(NAME, Reason.WRONG_REWARD, 1, 0, detail, fraud=False)
        error = abs(row.reward - reward)
        if error > worst:
            worst = error
            evidence = {
                "group": group,
                "member": member,
                "claimed": repr(row.reward),
                "recomputed": repr(reward),
                "completion": text[:500],
            }
    detail = f"the claimed rewards differ from the environment's by at most {worst:.3g}"
    return measure(NAME, Reason.WRONG_REWARD, worst, tolerance, detail, evidence=evidence)
