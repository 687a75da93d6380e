"""What an epoch waits for: of whom, until when."""

from assay_core.chain.events import TrainerEnlisted
from assay_core.inspect.waiting import Wait, named, wait_of
from assay_core.protocol.types import Address, Epoch, Root
from tests.unit.trainer.ground import RIVAL, TRAINER, ListedChain
from tests.unit.verifier.chronicle import Chronicle
from tests.unit.verifier.honest import TRAINER as COMMITTER

SOME, POLICY = Root(b"\x01" * 32), Root(b"\x02" * 32)


def waited_for(chain: ListedChain) -> Wait | None:
    return wait_of(chain.refresh(), chain.refresh().epochs[Epoch(0)])


def test_an_open_epoch_waits_for_those_who_have_committed_nothing() -> None:
    chain = ListedChain(SOME, POLICY)
    assert waited_for(chain) == Wait("submissions to epoch 0 from a trainer")
    chain.add(TrainerEnlisted, trainer=TRAINER)
    chain.add(TrainerEnlisted, trainer=RIVAL)
    assert waited_for(chain) == Wait(f"submissions to epoch 0 from {TRAINER}, {RIVAL}")
    chain.commit_as(TRAINER, SOME)
    assert waited_for(chain) == Wait(f"submissions to epoch 0 from {RIVAL}", 1_100)
    chain.shut()
    assert waited_for(chain) == Wait("epoch 0 to be sealed")


def test_a_sealed_epoch_waits_for_verifiers_then_for_its_window() -> None:
    chronicle = Chronicle(POLICY)
    chronicle.submission(COMMITTER, SOME)
    chronicle.seal()
    record = chronicle.ledger.epochs[Epoch(0)]
    first = wait_of(chronicle.ledger, record)
    assert first is not None and first.what.startswith(("reports on epoch 0 from 0x", "epoch 0 to be settled"))
    chronicle.settle(bytes([100]))
    assert wait_of(chronicle.ledger, record) == Wait("the challenge window of epoch 0", record.challenge_by)


def test_an_epoch_that_is_over_waits_for_nothing() -> None:
    chain = ListedChain(SOME, POLICY)
    chain.commit_as(RIVAL, SOME)
    chain.seal()
    chain.void(0)
    assert waited_for(chain) is None


def test_of_many_a_few_are_named() -> None:
    assert named([Address(name) for name in "abcde"]) == "a, b, c and 2 more"
