"""The follower against real nodes: one that restarts, and one that changes its mind."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assay_core.chain.connection import Chain
from assay_core.chain.deploy import DeploySettings, deploy
from assay_core.chain.event_store import EventStore
from assay_core.chain.events import Bonded, TaskFunded, TaskOpened
from assay_core.chain.follow import Follower, TaskFollower
from assay_core.chain.keys import development_account
from assay_core.chain.node_logs import NodeLogs
from assay_core.chain.sender import Sender
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Role, Root, TaskId
from assay_protocol.devnet.anvil import Anvil
from tests.integration import chain_walk
from tests.integration.chain_walk import UNIT

pytestmark = pytest.mark.chain

PARAMS = replace(chain_walk.PARAMS, max_epochs=0)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Anvil]:
    """A chain of its own, which may be stopped and started again."""
    node = Anvil(state=tmp_path / "chain.json")
    node.start()
    yield node
    node.stop()


@pytest.fixture
def there(node: Anvil, tmp_path: Path) -> Chain:
    settings = DeploySettings(unbonding_period_s=1_000)
    return Chain.connect(deploy("local-own", node.rpc_url, settings=settings, folder=tmp_path))


def open_task(chain: Chain, sender: Sender) -> TaskId:
    budget = 200 * UNIT
    sender.send(chain.token.approve(chain.registry.address, 2 * budget))
    root = Root(b"r" * 32)
    return sender.send(chain.registry.open_task(PARAMS, root, "assay:0x72", root, budget)).event(TaskOpened).task_id


def test_following_survives_a_node_that_restarts(node: Anvil, there: Chain, tmp_path: Path) -> None:
    initiator = Sender(there, development_account())
    task_id = open_task(there, initiator)
    path = tmp_path / "events.sqlite"
    follower = TaskFollower(there, EventStore(path, there.deployment), task_id)
    assert follower.refresh().task.funded_wei == 200 * UNIT

    node.stop()
    with pytest.raises(Unavailable):
        follower.refresh()
    node.start()
    before = follower.refresh()
    initiator.send(there.registry.fund_task(task_id, 5))
    ledger = follower.refresh()
    assert ledger is before  # the chain is the same: nothing was folded twice
    assert ledger.task.funded_wei == 200 * UNIT + 5

    after_a_crash = TaskFollower(there, EventStore(path, there.deployment), task_id)
    assert after_a_crash.refresh().task == ledger.task


def test_a_reorganisation_takes_events_back(node: Anvil, there: Chain) -> None:
    initiator = Sender(there, development_account())
    task_id = open_task(there, initiator)
    store = EventStore(None, there.deployment)
    follower = TaskFollower(there, store, task_id)
    opened = follower.refresh()
    initiator.send(there.registry.fund_task(task_id, 5))
    node.mine(2)
    assert follower.refresh().task.funded_wei == 200 * UNIT + 5

    node.reorganise(3)  # the funding, and the two empty blocks
    after = follower.refresh()
    assert after is not opened and after.task.funded_wei == 200 * UNIT
    assert [type(event) for event in store.events() if isinstance(event, TaskFunded)] == [TaskFunded]
    assert store.generation() == 1


def test_a_chain_that_went_back_is_followed_back(node: Anvil, there: Chain) -> None:
    """What was told of a task that is no more must not linger."""
    snapshot = node.snapshot()
    task_id = open_task(there, Sender(there, development_account()))
    store = EventStore(None, there.deployment)
    follower = TaskFollower(there, store, task_id)
    assert follower.refresh().is_known
    node.revert(snapshot)
    with pytest.raises(Stop, match=f"there is no task {task_id}"):
        follower.refresh()
    assert open_task(there, Sender(there, development_account())) == task_id
    assert follower.refresh().task.funded_wei == 200 * UNIT


def test_an_unknown_task_is_named(chain: Chain) -> None:
    with pytest.raises(Stop, match=r"there is no task 42 on this network: .assay task list. shows"):
        TaskFollower(chain, EventStore(None, chain.deployment), TaskId(42)).refresh()


def test_events_without_a_task_are_kept_too(chain: Chain, sender_of: Callable[[str], Sender]) -> None:
    trainer = sender_of("trainer")
    trainer.send(chain.token.approve(chain.staking.address, 7))
    trainer.send(chain.staking.bond(Role.TRAINER, 7))
    store = EventStore(None, chain.deployment)
    Follower(NodeLogs(chain.web3), store, chain.deployment, step=3).catch_up()
    (bonded,) = (event for event in store.events() if isinstance(event, Bonded))
    assert (bonded.operator, bonded.role, bonded.amount) == (trainer.address, Role.TRAINER, 7)


def test_following_a_node_that_is_down_is_unavailable(node: Anvil, there: Chain) -> None:
    node.stop()
    with pytest.raises(Unavailable, match=r"block latest: ConnectionError\); try again"):
        Follower(NodeLogs(there.web3), EventStore(None, there.deployment), there.deployment).catch_up()
