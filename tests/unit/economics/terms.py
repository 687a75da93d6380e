"""Terms to calculate with: like those of the sorting example, and independent of it."""

from pathlib import Path

from assay_core.protocol.types import KindTerms, PanelClass, SubmissionKind, TaskParams, kinds_of

ROOT = Path(__file__).parents[3]
SORTING = ROOT / "examples" / "sorting.toml"
TOKEN = 10**18
# the costs of docs/economics.md
DOCUMENTED = (
    *("--read-cost", "0.002", "--check-cost", "0.01", "--plant-cost", "0.01"),
    *("--gas-price", "0.05", "--coin-price", "1000"),
)
PLAYED = ("lazy", "challenged", "lazy")  # how those of its tables begin that are not of formulas
# costs under which planting matters
PLANTING = ("--read-cost", "0.002", "--check-cost", "0.01", "--plant-cost", "0.02")
TERMS = TaskParams(
    kinds=kinds_of({SubmissionKind.FULL: KindTerms(unit_price=TOKEN // 100, detection_bps=10_000)}),
    trainer_bond=10 * TOKEN,
    verifier_bond=30 * TOKEN,
    fraud_slash=5 * TOKEN,
    challenge_bond=TOKEN,
    juror_fee=TOKEN // 10,
    verifier_fee=TOKEN // 2,
    max_epoch_units=512,
    max_submission_units=64,
    max_submissions_each=1,
    quorum_bps=6_666,
    sampling_bps=5_000,
    absence_slash_bps=100,
    verdict_slash_bps=5_000,
    max_staleness=2,
    max_epochs=0,
    protocol_version=1,
    commit_window=600,
    attest_window=600,
    reveal_window=300,
    challenge_window=30,
    appeal_window=600,
    panel_class=PanelClass(bytes(32)),
)


def changed(folder: Path, old: str, new: str) -> Path:
    """The sorting example with something else in one place."""
    text = SORTING.read_text()
    assert old in text
    path = folder / "task.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def documented_tables() -> list[list[str]]:
    """Lines of each table of docs/economics.md."""
    page = (ROOT / "docs" / "economics.md").read_text()
    blocks = [block.split("```")[0].strip("\n").splitlines() for block in page.split("\n```\n")[1::2]]
    return [block for block in blocks if not block[0].startswith("assay ")]
