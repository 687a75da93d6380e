"""Terms to calculate with: like those of the sorting example, and independent of it."""

from pathlib import Path

from assay_core.protocol.types import KindTerms, PanelClass, TaskParams, WorkKind, kinds_of

SORTING = Path(__file__).parents[3] / "examples" / "sorting.toml"
TOKEN = 10**18
TERMS = TaskParams(
    kinds=kinds_of({WorkKind.FULL: KindTerms(unit_price=TOKEN // 100, detection_bps=10_000)}),
    trainer_bond=10 * TOKEN,
    verifier_bond=30 * TOKEN,
    fraud_slash=5 * TOKEN,
    challenge_bond=TOKEN,
    juror_fee=TOKEN // 10,
    verifier_fee=TOKEN // 2,
    max_epoch_units=512,
    max_work_units=64,
    max_works_each=1,
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
