"""What a juror says in a dispute, and which jurors say nothing. Pure. Who pays for it is in chain/blame.py."""

from collections.abc import Iterator
from dataclasses import dataclass

from assay_core.chain.records import DisputeRecord
from assay_core.protocol.types import Address


@dataclass(frozen=True, slots=True)
class Vote:
    """A juror's word. `beyond`: what decides is something that the epoch's seed had not drawn."""

    score: int
    beyond: bool = False


def absent_jurors(dispute: DisputeRecord) -> Iterator[Address]:
    """Jurors of a dispute that is over who have not voted; they may have been dismissed for it already."""
    if not dispute.is_open:
        yield from sorted(dispute.seats.keys() - dispute.votes.keys())
