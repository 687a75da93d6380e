"""What the chain keeps for a verifier that loses everything but its key, and for nobody else."""

from dataclasses import replace

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import SEALED_OVERHEAD, Address, Epoch, Root, Seed, TaskId
from assay_verifier.sealed import OVERHEAD_BYTES, Envelope, Secret, Subject

CONTRACT = Address("0x00000000000000000000000000000000000000AA")
KEY, OTHER_KEY = (Account.from_key(bytes([n]) * 32) for n in (1, 2))
SUBJECT = Subject(TaskId(1), Epoch(2), Seed(b"\x03" * 32), Address(KEY.address))
SECRET = Secret(bytes([100, 0, 255]), b"\x04" * 32, Root(b"\x05" * 32))


def envelope(key: object = KEY, chain_id: int = 31_337, contract: Address = CONTRACT) -> Envelope:
    return Envelope(key, chain_id, contract)  # pyright: ignore[reportArgumentType]


ENVELOPE, SAME_KEYS = envelope(), envelope()


@given(report=st.binary(max_size=1_024))
def test_who_has_nothing_left_but_its_key_reads_what_it_had_sealed(report: bytes) -> None:
    secret = replace(SECRET, report=report)
    sealed = ENVELOPE.seal(secret, SUBJECT)
    assert SAME_KEYS.open(sealed, SUBJECT) == secret
    assert len(sealed) == len(report) + OVERHEAD_BYTES <= len(report) + SEALED_OVERHEAD


@pytest.mark.parametrize(
    "other",
    [envelope(OTHER_KEY), envelope(chain_id=1), envelope(contract=Address("0x" + "1" * 40))],
    ids=["key", "chain", "contract"],
)
def test_nobody_else_reads_it(other: Envelope) -> None:
    with pytest.raises(Malformed):
        other.open(envelope().seal(SECRET, SUBJECT), SUBJECT)


@pytest.mark.parametrize(
    "other",
    [
        replace(SUBJECT, task_id=TaskId(2)),
        replace(SUBJECT, epoch=Epoch(1)),
        replace(SUBJECT, seed=Seed(bytes(32))),
        replace(SUBJECT, verifier=Address(OTHER_KEY.address)),
    ],
    ids=["task", "epoch", "seed", "verifier"],
)
def test_a_report_of_one_epoch_does_not_pass_for_that_of_another(other: Subject) -> None:
    with pytest.raises(Malformed):
        envelope().open(envelope().seal(SECRET, SUBJECT), other)


@given(noise=st.binary(max_size=200))
def test_what_was_never_sealed_is_refused(noise: bytes) -> None:
    with pytest.raises(Malformed):
        ENVELOPE.open(noise, SUBJECT)


def test_equal_reports_cannot_be_told_by_their_seals() -> None:
    assert envelope().seal(SECRET, SUBJECT) != envelope().seal(SECRET, SUBJECT)
