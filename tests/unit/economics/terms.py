"""Terms to calculate with: those of the sorting example, whatever else may be added to them."""

from dataclasses import replace
from pathlib import Path

from offchain.cli.taskfile import read_task_file

SORTING = Path(__file__).parents[3] / "examples" / "sorting.toml"
TERMS = replace(
    read_task_file(SORTING).params(18),
    unit_price=10**16,
    max_work_units=64,
    max_epoch_units=512,
    max_epochs=0,
    sampling_bps=5_000,
    fraud_slash=5 * 10**18,
    trainer_bond=10 * 10**18,
    verifier_fee=5 * 10**17,
    challenge_bond=10**18,
    quorum_bps=6_667,
)
