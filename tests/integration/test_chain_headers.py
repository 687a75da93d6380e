"""Seeds come of one block that is fixed before it is made: of its prevrandao, shown by its header, else of its hash."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from assay_core.chain.connection import Chain
from assay_core.chain.deploy import DeploySettings, deploy
from assay_core.chain.event_store import EventStore
from assay_core.chain.events import EpochClosed, EpochSealed, TaskOpened
from assay_core.chain.follow import TaskFollower
from assay_core.chain.headers import header_of
from assay_core.chain.keys import development_account
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.sender import Receipt, Sender
from assay_core.protocol.encoding import epoch_seed
from assay_core.protocol.errors import Reverted
from assay_core.protocol.types import Epoch, PolicyVersion, Role, Root, Seed, SubmissionKind, TaskId
from assay_protocol.devnet.anvil import Anvil
from tests.conftest import SenderOf
from tests.integration.stage import PARAMS, UNIT

pytestmark = pytest.mark.chain

FIRST = Epoch(0)
SPEC, POLICY, SUBMISSION = (Root(bytes([number]) * 32) for number in (1, 2, 3))
MEMORY = 256  # blocks of which a chain remembers the hash
WAIT = 5


@dataclass
class Task:
    """One task with a trainer and a verifier; its first epoch is closed, and its seed's block is named."""

    chain: Chain
    anvil: Anvil
    sender: Sender
    task_id: TaskId
    seed_block: int

    def seal(self, header: bytes | None) -> Receipt:
        return self.sender.send(self.chain.attestations.seal_epoch(self.task_id, header))

    def ripen(self) -> None:
        """Let the seed's block be made, and one after it."""
        self.anvil.mine(self.seed_block + 1 - self.chain.web3.eth.block_number)

    def header(self, number: int | None = None) -> bytes:
        header = header_of(self.chain.web3, self.seed_block if number is None else number)
        assert header is not None
        return header

    def seed_of(self, randomness: bytes) -> Seed:
        return epoch_seed(randomness, self.chain.commitments.running_hash_of(self.task_id), self.task_id, FIRST)

    def ledger(self) -> TaskLedger:
        return TaskFollower(self.chain, EventStore(None, self.chain.deployment), self.task_id).refresh()

    def refusal(self, header: bytes | None) -> str:
        with pytest.raises(Reverted) as refused:
            self.seal(header)
        return refused.value.error


def make_task(chain: Chain, anvil: Anvil, sender: Sender) -> Task:
    token, staking = chain.token, chain.staking
    sender.send(token.approve(chain.registry.address, 500 * UNIT))
    call = chain.registry.open_task(replace(PARAMS, max_submissions_each=1), SPEC, "assay:0x01", POLICY, 500 * UNIT)
    task_id = sender.send(call).event(TaskOpened).task_id
    sender.send(token.approve(staking.address, 1_000 * UNIT))
    for role, amount in ((Role.TRAINER, PARAMS.trainer_bond), (Role.VERIFIER, PARAMS.verifier_bond)):
        sender.send(staking.bond(role, amount))
    terms_hash = chain.registry.origin_of(task_id).terms_hash
    sender.send(chain.verifiers.enlist(task_id, terms_hash, PARAMS.verifier_bond))
    sender.send(chain.commitments.enlist(task_id, terms_hash))
    submission = chain.commitments.commit_submission(
        task_id, FIRST, SubmissionKind.FULL, SUBMISSION, 1, PolicyVersion(0), is_last=True
    )
    return Task(chain, anvil, sender, task_id, sender.send(submission).event(EpochClosed).seed_block)


@pytest.fixture
def task(chain: Chain, anvil: Anvil, sender_of: SenderOf) -> Task:
    return make_task(chain, anvil, sender_of("initiator"))


@pytest.fixture
def waiting_task(tmp_path: Path) -> Iterator[Task]:
    """On a chain of its own, whose contracts wait some blocks for a header."""
    node = Anvil()
    node.start()
    try:
        settings = DeploySettings(unbonding_period_s=1_200, header_wait=WAIT)
        chain = Chain.connect(deploy("waits", node.rpc_url, settings=settings, folder=tmp_path))
        yield make_task(chain, node, Sender(chain, development_account()))
    finally:
        node.stop()


def prevrandao(chain: Chain, number: int) -> bytes:
    return bytes(chain.web3.eth.get_block(number)["mixHash"])  # pyright: ignore[reportTypedDictNotRequiredAccess]


def block_hash(chain: Chain, number: int) -> bytes:
    return bytes(chain.web3.eth.get_block(number)["hash"])  # pyright: ignore[reportTypedDictNotRequiredAccess]


def test_with_its_header_the_seed_is_of_the_blocks_prevrandao(task: Task) -> None:
    task.ripen()
    sealed = task.seal(task.header()).event(EpochSealed)
    assert sealed.seed == task.seed_of(prevrandao(task.chain, task.seed_block))
    assert task.chain.attestations.seed_of(task.task_id, FIRST) == sealed.seed == task.ledger().epochs[FIRST].seed
    assert prevrandao(task.chain, task.seed_block) not in (bytes(32), prevrandao(task.chain, task.seed_block - 1))


def test_without_a_header_where_nobody_waits_for_one_the_seed_is_of_the_blocks_hash(task: Task) -> None:
    assert task.chain.attestations.header_wait() == 0
    task.ripen()
    sealed = task.seal(None).event(EpochSealed)
    assert sealed.seed == task.seed_of(block_hash(task.chain, task.seed_block))
    assert sealed.seed != task.seed_of(prevrandao(task.chain, task.seed_block))


def test_a_wrong_header_is_refused(task: Task) -> None:
    task.ripen()
    of_another_block = task.header(task.seed_block - 1)
    altered_at_its_end = task.header()[:-1] + b"\x00"
    assert altered_at_its_end != task.header()
    for header in (of_another_block, altered_at_its_end, with_other_prevrandao(task), b"\x00"):
        assert task.refusal(header) == "WrongHeader"
    task.seal(task.header())


def with_other_prevrandao(task: Task) -> bytes:
    own = prevrandao(task.chain, task.seed_block)
    assert task.header().count(own) == 1
    return task.header().replace(own, keccak(own))


def test_who_seals_and_when_changes_nothing(task: Task, sender_of: SenderOf) -> None:
    task.ripen()
    task.anvil.mine(40)
    task.sender = sender_of("somebody else")
    sealed = task.seal(task.header()).event(EpochSealed)
    assert sealed.seed == task.seed_of(prevrandao(task.chain, task.seed_block))


def test_nobody_seals_before_the_block_is_made(task: Task) -> None:
    assert task.refusal(None) == "EpochNotReady"


def test_a_block_that_the_chain_has_forgotten_is_replaced_by_one_to_come(task: Task) -> None:
    task.ripen()
    forgotten = task.seed_block
    task.anvil.mine(MEMORY + 1)
    assert task.refusal(task.header()) == task.refusal(None) == "SeedBlockForgotten"
    named = task.sender.send(task.chain.commitments.close_epoch(task.task_id))
    task.seed_block = named.event(EpochClosed).seed_block
    assert task.seed_block > named.event(EpochClosed).block_number > forgotten + MEMORY
    assert task.ledger().epochs[FIRST].seed_block == task.seed_block
    task.ripen()
    sealed = task.seal(task.header()).event(EpochSealed)
    assert sealed.seed == task.seed_of(prevrandao(task.chain, task.seed_block))


def test_where_headers_are_waited_for_only_a_header_will_do_at_first(waiting_task: Task) -> None:
    task = waiting_task
    task.ripen()
    assert task.refusal(None) == "HeaderAwaited"
    task.anvil.mine(WAIT - 1)
    snapshot = task.anvil.snapshot()
    assert task.seal(task.header()).event(EpochSealed).seed == task.seed_of(prevrandao(task.chain, task.seed_block))
    task.anvil.revert(snapshot)
    task.sender = Sender(task.chain, development_account())
    assert task.seal(None).event(EpochSealed).seed == task.seed_of(block_hash(task.chain, task.seed_block))


def test_headers_of_blocks_that_are_not_there_are_none(task: Task) -> None:
    assert header_of(task.chain.web3, task.chain.web3.eth.block_number + 1) is None
