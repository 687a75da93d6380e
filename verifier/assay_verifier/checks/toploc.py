"""Check 6: the TOPLOC proofs commit to the hidden states of the declared policy (arXiv:2501.16007).

One prefill serves all completions. A proof that is short, surplus or broken is malformed; one that decodes and lies far
from what we recomputed was made by another model, other weights or another prompt.
"""

from collections.abc import Sequence
from statistics import fmean

from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import ToplocSpec
from assay_core.toploc import Distance, Hidden, check_all
from assay_verifier.checks.prefilled import Prefilled
from assay_verifier.verdict import Finding, failed, passed

NAME = "toploc"


def check(checked: Sequence[Prefilled], limits: ToplocSpec) -> Finding:
    """The first chunk outside of the thresholds, else the mean error of all, else the most exponent mismatches.

    The mean over a submission tells small systematic errors (a policy quantised to 8 bits) from the bad luck of one
    proof.

    Raises MalformedProof: too few or too many proofs, or one of the wrong length.
    """
    distances = check_all(
        [Hidden(item.prefill.hidden_NH, len(item.row.prompt_ids)) for item in checked],
        [item.row.proofs for item in checked],
        topk=limits.topk,
        chunk_tokens=limits.chunk_tokens,
    )
    worst = 0
    wrong: list[tuple[Prefilled, int, Distance]] = []
    for item, chunks in zip(checked, distances, strict=True):
        for chunk, distance in enumerate(chunks):
            worst = max(worst, distance.exponent_mismatches)
            if not distance.within(limits):
                wrong.append((item, chunk, distance))
    chunks = sum(len(each) for each in distances)
    if not wrong:
        mean = fmean(distance.mantissa_mean for each in distances for distance in each) if chunks else 0.0
        if not mean <= limits.max_submission_mantissa_mean:
            detail = (
                f"the mantissas in {chunks} proofs are off by {mean:.3g} on average, though no single proof is far off"
            )
            return failed(NAME, Reason.PROOF_MISMATCH, mean, limits.max_submission_mantissa_mean, detail)
        detail = (
            f"{chunks} proofs match the declared policy; at most {worst} exponents of a proof differ, mantissas by "
            f"{mean:.3g} on average"
        )
        return passed(NAME, worst, limits.max_exponent_mismatches, detail)
    item, chunk, distance = wrong[0]
    measured, threshold, what = _exceeded(distance, limits)
    detail = (
        f"{len(wrong)} of {chunks} proofs do not match the declared policy; first chunk {chunk} of completion "
        f"{item.member} of group {item.group}, by its {what}"
    )
    evidence = {
        "group": item.group,
        "member": item.member,
        "chunk": chunk,
        "proof": item.row.proofs[chunk].hex(),
        "exponent_mismatches": distance.exponent_mismatches,
        "mantissa_mean": repr(distance.mantissa_mean),
        "mantissa_median": repr(distance.mantissa_median),
    }
    return failed(NAME, Reason.PROOF_MISMATCH, measured, threshold, detail, evidence=evidence)


def _exceeded(distance: Distance, limits: ToplocSpec) -> tuple[float, float, str]:
    """Which of the three thresholds is exceeded first: measured, threshold, its name."""
    if not distance.exponent_mismatches <= limits.max_exponent_mismatches:
        return distance.exponent_mismatches, limits.max_exponent_mismatches, "exponent mismatches"
    if not distance.mantissa_mean <= limits.max_mantissa_mean:
        return distance.mantissa_mean, limits.max_mantissa_mean, "mean mantissa error"
    return distance.mantissa_median, limits.max_mantissa_median, "median mantissa error"
