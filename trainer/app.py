"""Builds a trainer out of its settings. The only place that knows which implementation does the I/O."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import torch

from offchain.chain.connection import Chain
from offchain.chain.deployment import load_deployment
from offchain.chain.event_store import EventStore
from offchain.chain.follow import TaskFollower
from offchain.chain.keys import load_account, read_password
from offchain.chain.sender import Sender
from offchain.daemon.status import StatusFile
from offchain.daemon.stopping import StopFlag, stopped_by_signals
from offchain.environments import make_environment
from offchain.policy import load_policy
from offchain.protocol.types import TaskId
from offchain.shardcast.engines.choose import open_engine
from offchain.shardcast.tidying import Tidier
from trainer.deviations import Deviation
from trainer.journal import Journal, exclusive
from trainer.onchain import OnChain
from trainer.settings import TrainerSettings
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
        with open_engine(
            settings.engine,
            relays=relays,
            cache=state / "cache",
            chain_id=deployment.chain_id,
            account=account,
            tables=settings.engines,
        ) as transport:
            try:
                yield Worker(
                    OnChain(chain, TaskFollower(chain, store, task_id), Sender(chain, account), task_id),
                    transport,
                    account,
                    Journal(state),
                    StatusFile(settings.status_file or state / "status.jsonl", logging.getLogger("trainer")),
                    stop,
                    load_policy=load_policy,
                    make_environment=make_environment,
                    deviation=deviation,
                    poll_s=settings.poll_s,
                    tidy_cache=Tidier(transport.cache),
                )
            finally:
                store.close()
