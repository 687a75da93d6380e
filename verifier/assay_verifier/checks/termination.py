"""Check 4: each completion ends where the sampler would have ended it.

`check` looks at the tokens alone. `check_plausible` needs the prefill, and comes after the checks that expose fraud:
an end of sequence that the policy would practically never draw shows that a completion was cut short, unless the seeded
uniform did hit its sliver. Both earn 0 only: they look at every completion, and honest luck must not cost a bond.
"""

from collections.abc import Collection, Sequence

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import TaskSpec
from assay_verifier.checks.prefilled import Prefilled
from assay_verifier.verdict import Finding, failed, measure, passed

NAME = "termination"
NAME_PLAUSIBLE = "termination plausible"


def check(rollouts: Rollouts, spec: TaskSpec, eos_ids: Collection[int]) -> Finding:
    """One EOS, and that last, when `finish` is "eos"; exactly the length limit and no EOS when it is "length"."""
    for position, row in enumerate(rollouts.completions):
        if fault := _fault(row, spec.sampler.max_new_tokens, eos_ids):
            group, member = divmod(position, rollouts.group_size)
            detail = f"completion {member} of group {group} {fault}"
            evidence = {"group": group, "member": member, "finish": row.finish, "tokens": len(row.completion_ids)}
            return failed(NAME, Reason.BAD_TERMINATION, 1, 0, detail, evidence=evidence)
    return passed(NAME, 0, 0, "every completion ends with its end of sequence or at the length limit")


def _fault(row: Completion, max_new_tokens: int, eos_ids: Collection[int]) -> str | None:
    if any(token in eos_ids for token in row.completion_ids[:-1]):
        return "goes on after its end of sequence"
    ends_with_eos = row.completion_ids[-1] in eos_ids
    if row.finish == "eos" and not ends_with_eos:
        return "claims an end of sequence that is not there"
    if row.finish == "length" and ends_with_eos:
        return "claims to have met the length limit but ends its sequence"
    if row.finish == "length" and len(row.completion_ids) != max_new_tokens:
        return f"stops after {len(row.completion_ids)} of {max_new_tokens} tokens without an end of sequence"
    return None


def check_plausible(checked: Sequence[Prefilled], min_eos_probability: float) -> Finding:
    """No drawn EOS less probable than the minimum; measured as how many times too improbable the worst one is."""
    worst, where = 0.0, None
    for item in checked:
        probability = float(item.prefill.eos_probability_T[-1])
        if item.row.finish != "eos" or item.ends_inside:
            continue
        ratio = min_eos_probability / max(probability, 1e-300)
        if ratio > worst:
            worst, where = ratio, item
    detail = "every end of sequence is one that the policy plausibly draws"
    if where is not None and worst > 1.0:
        detail = (
            f"completion {where.member} of group {where.group} ends with probability {min_eos_probability / worst:.3g}"
        )
    evidence = None if where is None else {"group": where.group, "member": where.member}
    return measure(NAME_PLAUSIBLE, Reason.BAD_TERMINATION, worst, 1.0, detail, evidence=evidence)
