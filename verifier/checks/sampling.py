"""Check 7: the tokens are those that the declared sampler draws from the declared policy with the seeded uniforms.

Catches what TOPLOC cannot: another model's tokens prefilled through the right one, a wrong temperature, edited or
hand-picked completions. A uniform has to lie within its token's interval of the cumulative distribution; another
machine's rounding moves the interval's ends a little, and now and then a token with it.
"""

from collections.abc import Sequence

import numpy as np

from offchain.protocol.encoding import Json
from offchain.protocol.errors import Reason
from offchain.protocol.spec import CheckSpec
from verifier.checks.prefilled import Prefilled
from verifier.verdict import Finding, measure

NAME_LOGPROBS = "sampling logprobs"
NAME_TOKENS = "sampling tokens"


def check_logprobs(checked: Sequence[Prefilled], limits: CheckSpec) -> Finding:
    """The largest mean |claimed - recomputed logprob| of a completion."""
    worst, evidence = 0.0, None
    for item in checked:
        errors_T = np.abs(item.row.logprobs_T.astype(np.float64) - item.prefill.logprobs_T)
        error = float(errors_T.mean())
        if not error <= worst:
            worst = error
            evidence = {"group": item.group, "member": item.member, "largest_at_token": int(errors_T.argmax())}
    detail = f"claimed logprobs differ from recomputed ones by at most {worst:.3g} on average over a completion"
    return measure(NAME_LOGPROBS, Reason.SAMPLING_MISMATCH, worst, limits.max_logprob_error, detail, evidence=evidence)


def check_tokens(checked: Sequence[Prefilled], limits: CheckSpec) -> Finding:
    """The share of tokens whose uniform lies further than `max_cdf_error` outside of the token's interval."""
    outliers = 0
    tokens = 0
    worst, evidence = 0.0, dict[str, Json]()
    for item in checked:
        errors_T = item.interval_errors_T
        outliers += int((~(errors_T <= limits.max_cdf_error)).sum())
        tokens += len(errors_T)
        if (error := float(errors_T.max())) > worst:
            worst, at = error, int(errors_T.argmax())
            evidence = {
                "group": item.group,
                "member": item.member,
                "token": at,
                "uniform": repr(float(item.uniforms_T[at])),
                "cdf_below": repr(float(item.prefill.cdf_below_T[at])),
                "cdf_upto": repr(float(item.prefill.cdf_upto_T[at])),
            }
    detail = f"{outliers} of {tokens} tokens are not what the seeded sampler draws; the worst misses by {worst:.3g}"
    share = outliers / tokens if tokens else 0.0
    return measure(NAME_TOKENS, Reason.SAMPLING_MISMATCH, share, limits.max_cdf_outliers, detail, evidence=evidence)
