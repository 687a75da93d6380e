"""What a task has brought a verifier, and may cost it."""

from assay_core.protocol.amounts import Money
from assay_core.protocol.types import Address, Epoch, EpochPhase, Root
from assay_verifier.account import account_of
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import Chronicle

WE, OTHER = (Address(f"0x{digit * 40}") for digit in "12")
ROOT = Root(b"\x05" * 32)
MONEY = Money("wei", 0)


def test_disagreements_with_what_was_settled_are_counted() -> None:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(WE, OTHER)
    for byte in (6, 7, 8):
        chronicle.submission(TRAINER, Root(bytes([byte]) * 32))
    chronicle.seal()
    for verifier, report in ((WE, bytes([100, 100, 0])), (OTHER, bytes([100, 255, 0]))):
        chronicle.commit(verifier, bytes(32))
        chronicle.reveal(verifier, report, ROOT)
    chronicle.settle(bytes([100, 255, 0]))
    phases = {Epoch(0): EpochPhase.CHALLENGEABLE}
    ours, theirs = (account_of(chronicle.ledger, phases, each, MONEY) for each in (WE, OTHER))
    assert (ours.differing_reports, ours.differing_scores) == (1, 1)
    assert (theirs.differing_reports, theirs.differing_scores) == (0, 0)
    assert ours.would_lose == "5 wei for an epoch missed, 20 wei for a verdict that is overturned"


def test_an_epoch_counts_as_missed_once_its_time_for_reports_has_passed() -> None:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(WE, OTHER)
    chronicle.submission(TRAINER, ROOT)
    chronicle.seal()
    chronicle.commit(OTHER, bytes(32))
    chronicle.reveal(OTHER, bytes([100]), ROOT)

    def missed(phase: EpochPhase, who: Address) -> int:
        return account_of(chronicle.ledger, {Epoch(0): phase}, who, MONEY).missed_epochs

    assert missed(EpochPhase.ATTEST_REVEAL, WE) == 0
    assert (missed(EpochPhase.ATTESTED, WE), missed(EpochPhase.ATTESTED, OTHER)) == (1, 0)
