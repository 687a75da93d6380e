"""Check 7: the tokens are those that the declared sampler draws from the declared policy with the seeded uniforms.

Catches what TOPLOC cannot: another model's tokens prefilled through the right one, a wrong temperature, truncated
sampling, edited or hand-picked completions. Each uniform has to lie within its token's interval of the cumulative
distribution. Another machine's rounding moves the interval's ends, and now and then a token with it; how often and how
far is the task's model of honest noise, and the check is a test of that hypothesis with a stated rate of false alarms.

Shapes: S sets of tokens (single tokens, completions, the whole submission).
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import CheckSpec
from assay_verifier.checks.prefilled import Prefilled, interval_errors
from assay_verifier.verdict import Finding, measure

NAME_LOGPROBS = "sampling logprobs"
NAME_TOKENS = "sampling tokens"
LEVELS = ("token", "completion", "submission")

Floats = npt.NDArray[np.float64]


def check_logprobs(checked: Sequence[Prefilled], limits: CheckSpec) -> Finding:
    """The largest mean |claimed - recomputed logprob| of a completion."""
    worst, evidence = 0.0, None
    if checked:
        claimed = np.concatenate([item.row.logprobs_T for item in checked])
        errors = np.abs(claimed - np.concatenate([item.prefill.logprobs_T for item in checked]))
        starts, lengths = _rows(checked)
        means = np.add.reduceat(errors, starts) / lengths
        position = int(means.argmax())  # not a number counts as the most
        worst, item = float(means[position]), checked[position]
        largest = int(errors[starts[position] :][: lengths[position]].argmax())
        evidence = {"group": item.group, "member": item.member, "largest_at_token": largest}
    detail = f"claimed logprobs differ from recomputed ones by at most {worst:.3g} on average over a completion"
    return measure(NAME_LOGPROBS, Reason.SAMPLING_MISMATCH, worst, limits.max_logprob_error, detail, evidence=evidence)


def check_tokens(checked: Sequence[Prefilled], limits: CheckSpec) -> Finding:
    """How improbable the uniforms' distances from their tokens' intervals are for honest noise, as -log10 of a p-value.

    The distances are added up over single tokens, completions and the submission, because cheats differ in where they
    deviate: one edited answer stands out by itself, a slightly wrong temperature only in the sum. Under the task's
    noise model an honest submission fails with probability `false_positive_rate` at most: each sum's p-value is
    Chernoff's bound, and all sums of all three levels share the rate (Bonferroni).
    """
    if not checked:
        return measure(NAME_TOKENS, Reason.SAMPLING_MISMATCH, 0.0, _threshold(limits), "no completion was drawn")
    every = np.nan_to_num(interval_errors(checked), nan=np.inf)  # NaN: no interval at all
    starts, lengths = _rows(checked)
    sums = np.add.reduceat(every, starts)
    sets = (
        (every, np.ones(len(every))),
        (sums, lengths),
        (sums.sum(keepdims=True), lengths.sum(keepdims=True)),
    )
    worst = [
        float(log10_chance(sums_S, tokens_S, limits).min()) + math.log10(len(LEVELS) * len(sums_S))
        for sums_S, tokens_S in sets
    ]
    level = int(np.argmin(worst))
    doubt = max(0.0, -worst[level])
    outside = int((every > 0).sum())
    detail = (
        f"{outside} of {len(every)} uniforms lie outside of their token's interval, {every.mean():.3g} on average and "
        f"{every.max():.3g} at most; honest noise does the like to a {LEVELS[level]} with probability 1e-{doubt:.3g}"
    )
    return measure(
        NAME_TOKENS,
        Reason.SAMPLING_MISMATCH,
        doubt,
        _threshold(limits),
        detail,
        evidence=_evidence(checked, int(every.argmax())),
    )


def log10_chance(sums_S: Floats, tokens_S: npt.NDArray[np.integer] | Floats, limits: CheckSpec) -> Floats:
    """log10 of a bound on the probability that the distances of so many honest tokens add up to at least `sums_S`.

    A distance that exceeds x with probability q exp(-x / s) at most has E[exp(y x / s)] <= 1 + q y / (1 - y), so a sum
    D over n tokens has probability exp(-y D / s) (1 + q y / (1 - y))^n at most, for each y in [0, 1); where the
    derivative in y is zero, (1 - y)(1 - (1 - q) y) = n q s / D.
    """
    share, scale = limits.cdf_noise_share, limits.cdf_noise_scale
    tiny = np.finfo(np.float64).tiny
    # 1: no more than honest noise does on average
    noise_S = tokens_S * share * scale
    ratio_S = np.where(sums_S > 0, np.minimum(noise_S, sums_S) / np.maximum(sums_S, tiny), 1.0)
    root_S = np.sqrt(share**2 + 4 * (1 - share) * ratio_S)
    # the smaller root, written without a difference of nearly equal numbers or a division by zero where q is 1
    y_S = 2 * (1 - ratio_S) / ((2 - share) + root_S)
    y_S = np.minimum(y_S, 1 - 1e-12)
    with np.errstate(invalid="ignore"):
        exponent_S = -y_S * sums_S / scale + tokens_S * np.log1p(share * y_S / (1 - y_S))
    return np.where(np.isposinf(sums_S), -np.inf, np.minimum(exponent_S, 0.0)) / math.log(10)


def _threshold(limits: CheckSpec) -> float:
    return -math.log10(limits.false_positive_rate)


def _rows(checked: Sequence[Prefilled]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where among all tokens each completion starts, and how many it has: one at least."""
    lengths = np.array([len(item.row.completion_ids) for item in checked], np.int64)
    return np.cumsum(lengths) - lengths, lengths


def _evidence(checked: Sequence[Prefilled], place: int) -> dict[str, Json]:
    """The token at this place among all, the one that is furthest out."""
    starts, _ = _rows(checked)
    position = int(np.searchsorted(starts, place, side="right")) - 1
    item, at = checked[position], place - int(starts[position])
    return {
        "group": item.group,
        "member": item.member,
        "token": at,
        "uniform": repr(float(item.uniforms_T[at])),
        "cdf_below": repr(float(item.prefill.cdf_below_T[at])),
        "cdf_upto": repr(float(item.prefill.cdf_upto_T[at])),
    }
