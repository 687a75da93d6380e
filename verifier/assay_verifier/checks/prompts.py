"""Check 3: every prompt that the trainer's seed dictates, and no other."""

from collections.abc import Sequence
from typing import Protocol

from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import Prompt
from assay_core.protocol.errors import Reason
from assay_verifier.verdict import Finding, failed, passed

NAME = "prompts"


class Encoder(Protocol):
    def encode(self, text: str) -> list[int]: ...


def check(rollouts: Rollouts, prompts: Sequence[Prompt], encoder: Encoder) -> Finding:
    """That row i of each group carries the token ids of prompt i; the reader has already counted rows and groups."""
    wrong = [
        group
        for group, prompt in enumerate(prompts)
        if any(row.prompt_ids != tuple(encoder.encode(prompt.text)) for row in rollouts.group(group)[:1])
    ]
    if len(prompts) != rollouts.groups:
        detail = f"{rollouts.groups} groups were rolled out, the seed dictates {len(prompts)}"
        return failed(NAME, Reason.WRONG_PROMPTS, abs(rollouts.groups - len(prompts)), 0, detail)
    if wrong:
        group = wrong[0]
        detail = f"{len(wrong)} of {len(prompts)} prompts are not those of the trainer's seed, first in group {group}"
        evidence = {
            "group": group,
            "claimed_ids": list(rollouts.group(group)[0].prompt_ids),
            "expected_text": prompts[group].text,
        }
        return failed(NAME, Reason.WRONG_PROMPTS, len(wrong), 0, detail, evidence=evidence)
    return passed(NAME, 0, 0, f"all {len(prompts)} prompts follow from the trainer's seed")
