"""What became of a work, in plain words: pure, from the ledger and the verifiers' statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from offchain.chain.ledger import CommittedWork, EpochRecord, TaskLedger
from offchain.cli import words
from offchain.cli.amounts import Money, plain
from offchain.cli.dispute import challenge_json, challenge_pairs
from offchain.cli.earnings import WorkEarning, works_of
from offchain.cli.evidence import FindingView, Statement, VerdictView
from offchain.cli.following import phase_of
from offchain.cli.output import fields, jsonable, moment
from offchain.protocol.encoding import must_replay
from offchain.protocol.types import SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID, Address, WorkId


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything known about one work."""

    work_id: WorkId
    ledger: TaskLedger
    record: EpochRecord
    committed: CommittedWork
    earning: WorkEarning
    statements: tuple[Statement, ...]
    money: Money

    @property
    def score(self) -> int | None:
        return self.record.score_of(self.committed.work.index)

    @property
    def is_replayed(self) -> bool | None:
        """Whether the epoch's seed drew this work for a full replay; None until the epoch is sealed."""
        if self.record.seed is None:
            return None
        return must_replay(self.record.seed, self.committed.work.index, self.ledger.task.params.sampling_bps)

    @property
    def verdict(self) -> VerdictView | None:
        """The verdict that explains the outcome: one that agrees with the settled score, else any."""
        said = [each.verdict for each in self.statements if each.verdict is not None]
        agreeing = [verdict for verdict in said if verdict.score == self.score]
        return next(iter([*agreeing, *said]), None)


def explain(
    ledger: TaskLedger, record: EpochRecord, committed: CommittedWork, said: Sequence[Statement], money: Money
) -> Explanation:
    earning = next(each for each in works_of(ledger, committed.work.trainer) if each.work_id.epoch == record.epoch)
    return Explanation(earning.work_id, ledger, record, committed, earning, tuple(said), money)


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
        "to check it yourself",
        f"  assay explain {told.work_id} --save DIR    fetches work, policy, spec, case and evidence",
        "  assay verify DIR/work    repeats what they checked, then all there is, with no chain and no service",
    ]


def to_json(told: Explanation) -> dict[str, Any]:
    work, record, verdict = told.committed.work, told.record, told.verdict
    return {
        "work": str(told.work_id),
        "trainer": work.trainer,
        "manifest_root": work.manifest_root,
        "units": work.units,
        "policy_version": work.policy_version,
        "staleness": told.ledger.staleness_of(told.committed),
        "commit_tx": told.committed.tx_hash,
        "phase": phase_of(record),
        "state": told.earning.state,
        "score": told.score,
        "reason": verdict.reason if verdict else None,
        "is_replayed": told.is_replayed,
        "earned_wei": told.earning.earned_wei,
        "claimed_wei": told.earning.claimed_wei,
        "slashed_wei": told.earning.slashed_wei,
        "findings": [jsonable(finding) for finding in verdict.findings] if verdict else None,
        "attestations": [_attestation_json(told, who) for who in _verifiers(record)],
        "challenge": challenge_json(dispute) if (dispute := record.challenges.get(work.index)) else None,
    }


def _outcome(told: Explanation) -> list[str]:
    earning, money = told.earning, told.money
    head = f"work {told.work_id}: {earning.state}"
    if told.record.is_void:
        return [head, "  its epoch found no quorum of verifiers: nobody is paid and nobody is slashed for it"]
    if told.score is None:
        return [head, f"  its epoch is {phase_of(told.record)}; there is no score yet"]
    lines = [f"{head}, score {words.score(told.score)}"]
    verdict = told.verdict
    if told.score in (SCORE_UNPAID, SCORE_FRAUD) and verdict is not None and verdict.reason is not None:
        lines.append(f"  because {words.reason(verdict.reason)} ({verdict.reason})")
        lines += [f"  {line}" for line in _excess(verdict.failed)]
    if told.score == SCORE_FRAUD:
        slash = earning.slashed_wei or told.ledger.task.params.fraud_slash
        lines.append(f"  its trainer {'lost' if earning.slashed_wei else 'loses'} {money.show(slash)} of its bond")
    elif earning.claimed_wei is not None:
        lines.append(f"  it earned {money.show(earning.claimed_wei)}, claimed")
    elif told.score <= SCORE_FULL and earning.earned_wei:
        when = "to be claimed with `assay rewards claim`" if earning.is_final else f"once final{_window(told.record)}"
        lines.append(f"  it earns {money.show(earning.earned_wei)}, {when}")
    return lines


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
    dispute = told.record.challenges.get(told.committed.work.index)
    if dispute is None:
        return []
    return ["who disputed it", *(f"  {line}" for line in fields(challenge_pairs(dispute, told.money))), ""]


def _window(record: EpochRecord) -> str:
    return f" (it can be challenged until {moment(record.challenge_by)})" if record.challenge_by else ""


def _origin(told: Explanation) -> list[str]:
    work = told.committed.work
    staleness = told.ledger.staleness_of(told.committed)
    age = "the newest" if staleness == 0 else f"{staleness} behind the newest"
    block, _ = told.committed.position
    return [
        f"made by {work.trainer}, {work.units} units, from policy version {work.policy_version} ({age} at that time)",
        f"committed in block {block}, transaction 0x{told.committed.tx_hash.hex()}",
        f"manifest {work.manifest_root.hex()}",
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
        lines.append(f"not drawn for a replay of its training (each work is, with probability {rate})")
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
        elif entry["score"] is None:
            lines.append(f"{who} revealed report {entry['report_hash'][:16]}…; its evidence: {entry['problem']}")
        else:
            lines.append(
                f"{who} said {words.score(entry['score'])}" + (f", {entry['reason']}" if entry["reason"] else "")
            )
            lines += [f"  {line}" for line in _dissent(told, who)]
    enlisted = told.record.verifiers_at_seal
    return (
        [*lines, f"{len(told.record.reveals)} of {enlisted} enlisted verifiers revealed"]
        if enlisted
        else lines or ["nobody yet"]
    )


def _dissent(told: Explanation, who: Address) -> list[str]:
    """What a verifier found that differs from the outcome."""
    verdict = next((each.verdict for each in told.statements if each.verifier == who), None)
    if verdict is None or told.score is None or verdict.score == told.score or verdict.failed is None:
        return []
    return [f"unlike the outcome, for it found: {_finding_line(verdict.failed)}"]


def _attestation_json(told: Explanation, who: Address) -> dict[str, Any]:
    reveal = told.record.reveals.get(who)
    said = next((each for each in told.statements if each.verifier == who), None)
    verdict = said.verdict if said else None
    return {
        "verifier": who,
        "committed": who in told.record.commitments,
        "revealed": reveal is not None,
        "report_hash": reveal.report_hash.hex() if reveal else None,
        "evidence_root": reveal.evidence_root.hex() if reveal else None,
        "score": verdict.score if verdict else None,
        "reason": verdict.reason if verdict else None,
        "problem": said.problem if said and said.problem else None,
        "absence_slash_wei": told.record.absences.get(who),
    }
