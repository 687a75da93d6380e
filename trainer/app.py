"""Builds a trainer out of its settings. The only place that knows which implementation does the I/O."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import torch

from offchain.chain.connection import Chain
from offchain.chain.deployment import load_deployment
from offchain.chain.event_store import EventStore
from offchain.chain.follow import TaskFollower
from offchain.chain.keys import load_account, read_password
from offchain.chain.sender import Sender
from offchain.environments import make_environment
from offchain.policy import load_policy
from offchain.protocol.types import TaskId
from offchain.shardcast.client import RelayClient
from offchain.shardcast.tidying import Tidier
from trainer.deviations import Deviation
from trainer.journal import Journal, exclusive
from trainer.onchain import OnChain
from trainer.settings import TrainerSettings
from trainer.status import StatusFile
from trainer.stopping import StopFlag
from trainer.worker import Worker


def run_trainer(settings: TrainerSettings, deviation: Deviation | None = None) -> None:
    """Run until the task is over, or SIGINT or SIGTERM asks to end. Raises Stop: the operator must act.

    Unavailable at the very start (node down) is raised too; later it is waited for.
    """
    with stopped_by_signals() as stop, built_worker(settings, stop, deviation) as worker:
        worker.run()


@contextmanager
def built_worker(settings: TrainerSettings, stop: StopFlag, deviation: Deviation | None = None) -> Generator[Worker]:
    """A worker with its connections; closes them in the end. `deviation` makes a cheat of it, see deviations.py.

    Raises Stop: unknown network or task, missing key, wrong password, state in use. Unavailable: the node is down.
    """
    torch.set_num_threads(settings.threads)
    state = settings.state_dir / f"task-{settings.task_id}"
    deployment = load_deployment(settings.network)
    account = load_account(settings.keystore, read_password(settings.password_file))
    chain = Chain.connect(deployment, settings.rpc_url)
    task_id = TaskId(settings.task_id)
    with exclusive(state):
        store = EventStore(state / "events.db", deployment)
        relays = settings.relays or deployment.relays
        with RelayClient(relays, state / "cache", chain_id=deployment.chain_id) as transport:
            try:
                yield Worker(
                    OnChain(chain, TaskFollower(chain, store, task_id), Sender(chain, account), task_id),
                    transport,
                    account,
                    Journal(state),
                    StatusFile(settings.status_file or state / "status.jsonl"),
                    stop,
                    load_policy=load_policy,
                    make_environment=make_environment,
                    deviation=deviation,
                    poll_s=settings.poll_s,
                    tidy_cache=Tidier(transport.cache),
                )
            finally:
                store.close()


@contextmanager
def stopped_by_signals() -> Generator[StopFlag]:
    """A flag that SIGINT and SIGTERM set; a second signal ends the process as if we were not here."""
    flag = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        flag.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask_to_stop)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
