"""What a task file does not say about those who act on it."""

from dataclasses import dataclass
from fractions import Fraction

from assay_core.protocol.types import TaskParams

# In steady state, rounded up: see what it costs in docs/protocol.md.
COMMIT_GAS = 106_000
ATTEST_GAS = 152_000  # commit and reveal: per verifier and epoch
SETTLE_GAS = 2_300  # per submission
CLAIM_GAS = 100_000
PLANT_GAS = 345_000  # to commit to a plant, commit its submission and open it


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Costs are 0 unless somebody says otherwise: then nobody has costs.

    `submission_wei`: an honest submission, for its trainer. `read_wei`: to fetch a submission and prefill it, for a
    verifier;
    `check_wei`: to replay one that was drawn. `fake_wei`: to make a planted fraud. `gas_price`: wei of the token per
    gas. `verifiers` of equal stake attest, with `weight_wei` each; None: the least that the terms allow. `epoch_s` lies
    between one seal and the next; None: as long as it may, the commit window. `reporter_bps` is the deployment's.
    """

    submission_wei: int = 0
    read_wei: int = 0
    check_wei: int = 0
    fake_wei: int = 0
    gas_price: Fraction = Fraction(0)
    verifiers: int = 3
    weight_wei: int | None = None
    epoch_s: int | None = None
    reporter_bps: int = 1_000

    def gas_wei(self, gas: int) -> Fraction:
        return gas * self.gas_price

    def epoch_of(self, params: TaskParams) -> int:
        return self.epoch_s or params.commit_window

    def weight_of(self, params: TaskParams) -> int:
        """The weight of one verifier."""
        return params.verifier_bond if self.weight_wei is None else self.weight_wei
