"""What became of a submission, in plain words: pure, from the ledger and the verifiers' statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay_core.chain.ledger import CommittedSubmission, EpochRecord, TaskLedger
from assay_core.inspect import wording as words
from assay_core.inspect.dispute import dispute_json, dispute_pairs
from assay_core.inspect.earnings import SubmissionEarning, earning_of, policy_of
from assay_core.inspect.epochs import phase_words
from assay_core.inspect.evidence import FindingView, Statement, VerdictView
from assay_core.inspect.formatting import fields, jsonable, moment
from assay_core.protocol.amounts import Money, plain
from assay_core.protocol.economics import epoch_fee, quorum_of, stake_of
from assay_core.protocol.encoding import must_replay
from assay_core.protocol.types import (
    SCORE_FRAUD,
    SCORE_UNAVAILABLE,
    SCORE_UNPAID,
    Address,
    PolicyState,
    SubmissionId,
    TaskParams,
    score_at,
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything known about one submission."""

    submission_id: SubmissionId
    ledger: TaskLedger
    record: EpochRecord
    committed: CommittedSubmission
    earning: SubmissionEarning
    statements: tuple[Statement, ...]
    money: Money

    @property
    def score(self) -> int | None:
        return self.earning.score

    @property
    def is_replayed(self) -> bool | None:
        """Whether the epoch's seed drew this submission for a full replay; None until the epoch is sealed."""
        if self.record.seed is None:
            return None
        return must_replay(self.record.seed, self.committed.submission.index, self.ledger.task.params.sampling_bps)

    @property
    def verdict(self) -> VerdictView | None:
        """The verdict that explains the outcome: one that agrees with the settled score, else any."""
        said = [each.verdict for each in self.statements if each.verdict is not None]
        agreeing = [verdict for verdict in said if verdict.score == self.score]
        return next(iter([*agreeing, *said]), None)


def explain(
    ledger: TaskLedger, record: EpochRecord, committed: CommittedSubmission, said: Sequence[Statement], money: Money
) -> Explanation:
    """All that is known about one submission; `said` is what verifiers' evidence says, if any was fetched."""
    earning = earning_of(ledger, record, committed)
    return Explanation(earning.submission_id, ledger, record, committed, earning, tuple(said), money)


def to_lines(told: Explanation) -> list[str]:
    """The whole story, the outcome first."""
    return [
        *_outcome(told),
        "",
        *_origin(told),
        "",
        "what was checked",
        *(f"  {line}" for line in _checks(told)),
        "",
        "who attested",
        *(f"  {line}" for line in _attestations(told)),
        "",
        *_dispute(told),
        *_policy(told),
        "to check it yourself",
        f"  assay explain {told.submission_id} --save DIR    fetches submission, policy, spec, case and evidence",
        "  assay verify DIR/submission    repeats what they checked, then all there is, with no chain and no service",
    ]


def to_json(told: Explanation) -> dict[str, Any]:
    """The same facts for programs."""
    submission, record, verdict = told.committed.submission, told.record, told.verdict
    return {
        "submission": str(told.submission_id),
        "trainer": submission.trainer,
        "manifest_root": submission.manifest_root,
        "kind": submission.kind,
        "units": submission.units,
        "policy_version": submission.policy_version,
        "staleness": told.ledger.staleness_of(told.committed),
        "commit_tx": told.committed.tx_hash,
        "phase": phase_words(record),
        "state": told.earning.state,
        "score": told.score,
        "reason": verdict.reason if verdict else None,
        "is_replayed": told.is_replayed,
        "earned_wei": told.earning.earned_wei,
        "claimed_wei": told.earning.claimed_wei,
        "slashed_wei": told.earning.slashed_wei,
        "findings": [jsonable(finding) for finding in verdict.findings] if verdict else None,
        "attestations": [_attestation_json(told, who) for who in _verifiers(record)],
        "void_because": why_void(record, told.ledger.task.params) if record.is_void else None,
        "dispute": dispute_json(record, dispute) if (dispute := record.disputes.get(submission.index)) else None,
        "plant": _plant_json(told),
        "next_policy": {"state": policy_of(record), "version": record.policy.version if record.policy else None},
    }


def why_void(record: EpochRecord, params: TaskParams) -> str:
    """Why an epoch that is void found no judgement."""
    if record.attest_by == 0:
        quorum = quorum_of(record.weight_at_seal, params.quorum_bps)
        if quorum >= _at_stake(record, params):
            return "it was sealed too late: the time to judge it was over"
        return "its electorate was too light: the weight of a quorum did not cover what the epoch could pay and slash"
    return "nobody settled it in time" if record.is_attested else "it found no quorum of verifiers"


def _at_stake(record: EpochRecord, params: TaskParams) -> int:
    """What an epoch can pay and slash, in wei: a quorum of its verifiers has to weigh at least as much."""
    submissions = [committed.submission for committed in record.submissions]
    cost = sum(submission.units * params.kinds[submission.kind].unit_price for submission in submissions)
    return cost + params.verifier_fee + stake_of(params, sum(submission.units for submission in submissions))


def _outcome(told: Explanation) -> list[str]:
    head = f"submission {told.submission_id}: {told.earning.state}"
    if told.record.is_void:
        why = why_void(told.record, told.ledger.task.params)
        return [head, f"  its epoch is void, for {why}", *_void_ending(told), *_plant(told)]
    if told.score is None:
        return [head, f"  its epoch is {phase_words(told.record)}; there is no score yet"]
    lines = [f"{head}, score {words.score(told.score)}"]
    verdict = told.verdict
    is_refused = told.score in (SCORE_UNPAID, SCORE_FRAUD)
    if is_refused and verdict is not None and verdict.score == told.score and verdict.reason is not None:
        lines.append(f"  because {words.reason(verdict.reason)} ({verdict.reason})")
        lines += [f"  {line}" for line in _excess(verdict.failed)]
    return [*lines, *(_plant(told) if told.earning.is_planted else _ending(told))]


def _void_ending(told: Explanation) -> list[str]:
    lines = ["  nobody is paid and nobody is slashed for its submissions"]
    if told.earning.is_releasable:
        lines.append("  `assay rewards claim` frees the part of its trainer's bond that answered for it")
    return lines


def _ending(told: Explanation) -> list[str]:
    """What the score costs or earns."""
    earning, money = told.earning, told.money
    if told.score == SCORE_FRAUD:
        slash = earning.slashed_wei or stake_of(told.ledger.task.params, told.committed.submission.units)
        return [f"  its trainer {'lost' if earning.slashed_wei else 'loses'} {money.show(slash)} of its bond"]
    lines: list[str] = []
    if told.score == SCORE_UNAVAILABLE:
        lines.append("  its bytes could not be had before the verifiers stopped waiting: it is not paid, and no fraud")
    if earning.claimed_wei:
        lines.append(f"  it earned {money.show(earning.claimed_wei)}, claimed")
    elif earning.earned_wei:
        when = "to be claimed with `assay rewards claim`" if earning.is_final else f"once final{_window(told.record)}"
        lines.append(f"  it earns {money.show(earning.earned_wei)}, {when}")
    return lines


def _plant(told: Explanation) -> list[str]:
    """What a planted fraud was, and whom it found out."""
    index = told.committed.submission.index
    commitment = told.record.plants.get(index)
    if commitment is None:
        return []
    plant = told.ledger.plants.get(commitment)
    planter = f" by {plant.planter}" if plant is not None else ""
    return [
        f"  it was a fraud planted{planter} to see who checks, committed to as one before anybody judged it",
        "  it is neither paid nor slashed, and its bond is free again",
        *(f"  {who} paid it and lost {told.money.show(wei)}" for who, wei in _paid_plant(told).items()),
    ]


def _paid_plant(told: Explanation) -> dict[Address, int]:
    index = told.committed.submission.index
    return {who: wei for (place, who), wei in told.record.paid_plants.items() if place == index}


def _plant_json(told: Explanation) -> dict[str, Any] | None:
    commitment = told.record.plants.get(told.committed.submission.index)
    if commitment is None:
        return None
    plant = told.ledger.plants.get(commitment)
    slashes = [{"verifier": who, "amount_wei": wei} for who, wei in _paid_plant(told).items()]
    return {"commitment": commitment, "planter": plant.planter if plant else None, "slashes": slashes}


def _excess(failed: FindingView | None) -> list[str]:
    """By how much a check failed. Where nothing is allowed at all, its detail says it."""
    if failed is None or failed.threshold <= 0 or not failed.measured > failed.threshold:
        return []
    times = failed.measured / failed.threshold
    return [
        f"measured {failed.measured:.4g} where at most {failed.threshold:.4g} is allowed, {times:.3g} times as much: "
        f"{words.check(failed.check)}"
    ]


def _dispute(told: Explanation) -> list[str]:
    dispute = told.record.disputes.get(told.committed.submission.index)
    waiting = len(told.record.unrevealed_challenges)
    hidden = (
        [f"{waiting} challenges in its epoch are not revealed yet: nobody knows of which submission"] if waiting else []
    )
    if dispute is None:
        return ["who disputed it", *(f"  {line}" for line in hidden), ""] if hidden else []
    lines = [*fields(dispute_pairs(told.record, dispute, told.money)), *hidden]
    return ["who disputed it", *(f"  {line}" for line in lines), ""]


def _policy(told: Explanation) -> list[str]:
    """What became of the policy of its epoch."""
    record, state = told.record, policy_of(told.record)
    if record.policy is not None:
        line = f"policy version {record.policy.version}"
    elif state is PolicyState.SKIPPED:
        fee = told.money.show(epoch_fee(told.ledger.task.params, record.paid))
        line = f"no policy: too few verifiers signed it in time; it was skipped, and the epoch's fee of {fee} forfeited"
    elif state is PolicyState.NOT_DUE:
        line = "no policy: nothing in its epoch was paid"
    elif record.is_settled:
        line = "no policy yet: the verifiers are making it"
    else:
        return []
    return ["what its epoch led to", f"  {line}", ""]


def _window(record: EpochRecord) -> str:
    return f" (it can be challenged until {moment(record.challenge_by)})" if record.challenge_by else ""


def _origin(told: Explanation) -> list[str]:
    submission = told.committed.submission
    staleness = told.ledger.staleness_of(told.committed)
    age = "the newest" if staleness == 0 else f"{staleness} behind the newest"
    block, _ = told.committed.position
    return [
        f"made by {submission.trainer}, {submission.units} units, a {words.kind(submission.kind)} submission",
        f"from policy version {submission.policy_version} ({age} at that time)",
        f"committed in block {block}, transaction 0x{told.committed.tx_hash.hex()}",
        f"manifest {submission.manifest_root.hex()}",
    ]


def _checks(told: Explanation) -> list[str]:
    verdict = told.verdict
    if verdict is None:
        problems = sorted({each.problem for each in told.statements if each.problem})
        return [f"no evidence to be had: {problem}" for problem in problems] or ["nothing revealed yet"]
    lines = [_finding_line(finding) for finding in verdict.findings]
    if verdict.failed is not None:
        lines.append("checks go from cheap to dear and stop at the first that decides")
    if told.is_replayed is False:
        rate = plain(told.ledger.task.params.sampling_bps, 4)
        lines.append(f"not drawn for a replay of its training (each submission is, with probability {rate})")
    return lines


def _finding_line(finding: FindingView) -> str:
    has_passed = finding.reason is None
    return words.finding(finding.check, finding.measured, finding.threshold, finding.detail, has_passed=has_passed)


def _verifiers(record: EpochRecord) -> list[Address]:
    return sorted({*record.members, *record.commitments, *record.reveals, *record.absences})


def _attestations(told: Explanation) -> list[str]:
    lines: list[str] = []
    for who in _verifiers(told.record):
        entry = _attestation_json(told, who)
        if not entry["revealed"]:
            slashed = told.record.absences.get(who)
            did = "committed, not revealed" if entry["committed"] else "has committed nothing"
            lines.append(f"{who} {did}" + (f": lost {told.money.show(slashed)}" if slashed else ""))
            continue
        reason = f", {entry['reason']}" if entry["reason"] else ""
        problem = f"; its evidence: {entry['problem']}" if entry["problem"] else ""
        lines.append(f"{who} said {words.score(entry['score'])}{reason}{problem}")
        lines += [f"  {line}" for line in _dissent(told, who)]
    return [*lines, *_turnout(told.record)] or ["nobody yet"]


def _turnout(record: EpochRecord) -> list[str]:
    """How many of the epoch's verifiers revealed, and how much weight that is."""
    if not record.verifiers_at_seal:
        return []
    weight = sum(reveal.weight for reveal in record.reveals.values())
    share = 100 * weight / record.weight_at_seal if record.weight_at_seal else 0.0
    return [f"{len(record.reveals)} of {record.verifiers_at_seal} verifiers revealed, {share:.3g} % of the weight"]


def _dissent(told: Explanation, who: Address) -> list[str]:
    """What a verifier found that differs from the outcome."""
    verdict = next((each.verdict for each in told.statements if each.verifier == who), None)
    if verdict is None or told.score is None or verdict.score == told.score or verdict.failed is None:
        return []
    return [f"unlike the outcome, for it found: {_finding_line(verdict.failed)}"]


def _attestation_json(told: Explanation, who: Address) -> dict[str, Any]:
    """The score is that of the report on chain; only the reason is the evidence's."""
    record = told.record
    reveal = record.reveals.get(who)
    said = next((each for each in told.statements if each.verifier == who), None)
    verdict = said.verdict if said else None
    return {
        "verifier": who,
        "weight_wei": reveal.weight if reveal else record.weights.get(who),
        "committed": who in record.commitments,
        "revealed": reveal is not None,
        "report_hash": reveal.report_hash.hex() if reveal else None,
        "evidence_root": reveal.evidence_root.hex() if reveal else None,
        "score": score_at(reveal.report, told.committed.submission.index) if reveal else None,
        "reason": verdict.reason if verdict else None,
        "problem": said.problem if said and said.problem else None,
        "absence_slash_wei": record.absences.get(who),
    }
