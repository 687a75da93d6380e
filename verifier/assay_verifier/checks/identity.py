"""Check 2: the submission is the one committed on chain, made from a policy that was fresh enough.

A copied manifest names its author, so it is worth nothing to the copier. A mismatch earns 0 and no slash: a commitment
that lands one epoch late looks the same.
"""

from assay_core.bundle.header import SubmissionHeader
from assay_core.protocol.errors import Reason
from assay_verifier.case import Case
from assay_verifier.verdict import Finding, failed, measure

NAME = "identity"


def check(case: Case, header: SubmissionHeader) -> Finding:
    """The first difference between header and chain, or the staleness found."""
    for what, claimed, known in (
        ("task", header.task_id, case.task_id),
        ("epoch", header.epoch, case.epoch),
        ("trainer", header.trainer, case.submission.trainer),
        ("task bundle", header.spec_root.hex(), case.spec_root.hex()),
        ("seed", header.seed.hex(), case.trainer_seed.hex()),
        ("policy version", header.policy_version, case.submission.policy_version),
        ("policy root", header.policy_root.hex(), case.policy_root.hex() if case.policy_root else "not published"),
        ("number of groups", case.spec.rollout.groups, case.submission.units),
    ):
        if claimed != known:
            detail = f"the submission names {what} {claimed}, the chain says {known}"
            evidence = {"field": what, "claimed": claimed, "expected": known}
            return failed(NAME, Reason.WRONG_IDENTITY, 1, 0, detail, evidence=evidence)
    staleness = case.newest_version - case.submission.policy_version
    if staleness < 0:
        detail = f"policy version {case.submission.policy_version} was not yet published at the commitment"
        return failed(NAME, Reason.WRONG_IDENTITY, 1, 0, detail)
    detail = f"made from policy version {case.submission.policy_version}, {staleness} behind the newest"
    return measure(NAME, Reason.STALE_POLICY, staleness, case.max_staleness, detail)
