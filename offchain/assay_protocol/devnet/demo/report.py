"""What a demo run has shown, in words: for the end of its screen. Pure."""

from collections.abc import Sequence
from pathlib import Path

from assay_core.inspect.formatting import table
from assay_protocol.devnet.demo.outcome import Aftermath, DemoOutcome, GroupSubmission, Spread, Traffic
from assay_protocol.devnet.demo.view import kilobytes


def report_lines(out: Path, outcome: DemoOutcome) -> list[str]:
    """What was sent, then each broken promise, or all that were kept."""
    if failures := outcome.failures():
        verdict = [f"✗ {failure}" for failure in failures]
    else:
        verdict = [f"✓ {promise}" for promise in _kept(outcome)]
    return [*_sent(outcome.traffic), "", *_spread(outcome.spread), *verdict, f"summary, picture and logs: {out}"]


def _kept(outcome: DemoOutcome) -> list[str]:
    """What a run without failures has shown."""
    rewards = outcome.rewards
    return [
        f"the policy learned: mean held-out reward {rewards[0]:.3f} → {rewards[-1]:.3f}",
        "both cheats were slashed and earned nothing; no honest trainer was slashed",
        "every honest trainer had all its submissions accepted and claimed exactly what the contracts owe it",
        "all verifiers derived the same policies",
        *(_survived(each, outcome.group) for each in outcome.aftermath),
    ]


def _survived(death: Aftermath, group: GroupSubmission | None) -> str:
    if group is not None and death.name == group.assistant:
        return (
            f"{group.leader} shared {group.shared} of its {group.inner_steps} inner steps with an assistant, which was "
            f"killed amid one at {death.at_s:.0f} s; all {death.submissions} submissions since were accepted"
        )
    return (
        f"{death.name} was killed at {death.at_s:.0f} s; since then {death.policies} policy versions were published, "
        f"and all {death.submissions} submissions that honest trainers committed were accepted"
    )


def _spread(spread: Spread) -> list[str]:
    """What a new policy costs anyone who follows the task."""
    if not spread.versions or not spread.made_bytes:
        return []
    whole, fetched = spread.bundle_bytes / spread.versions, spread.fetched_bytes / spread.versions
    return [
        f"a new policy is {kilobytes(whole)}; who has the version before fetched {kilobytes(fetched)} of it, the "
        "step that leads there, and made the rest",
        "",
    ]


def _sent(traffic: Sequence[Traffic]) -> list[str]:
    """Bytes of each honest trainer beside those of data-parallel training."""
    head = (
        "trainer",
        "submissions",
        "inner steps",
        "updates sent",
        "per inner step",
        "data-parallel",
        "fewer",
        "whole submissions",
    )
    rows = [
        (
            each.name,
            str(each.submissions),
            str(each.inner_steps),
            kilobytes(each.update_bytes),
            kilobytes(each.update_bytes / max(1, each.inner_steps)),
            kilobytes(each.data_parallel_bytes),
            f"{each.times_fewer:.0f}×",
            kilobytes(each.submission_bytes),
        )
        for each in traffic
    ]
    return table(rows, head, frozenset(range(1, len(head))))
