"""Builds a trainer out of its settings. The only place that knows which implementation does the I/O."""

import gc
import importlib.util
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from assay_core.chain.connection import Chain
from assay_core.chain.deployment import load_deployment
from assay_core.chain.event_store import EventStore
from assay_core.chain.follow import TaskFollower
from assay_core.chain.keys import load_account, read_password
from assay_core.chain.sender import Sender
from assay_core.daemon.status import Status, StatusFile
from assay_core.daemon.stopping import StopFlag, stopped_by, stopped_by_signals
from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import TaskId
from assay_core.transport.cache_eviction import Tidier
from assay_core.transport.choose import open_engine
from assay_trainer.deviations import Deviation
from assay_trainer.journal import Journal, exclusive
from assay_trainer.onchain import OnChain, PlantsOnChain
from assay_trainer.planter import Planter
from assay_trainer.settings import AssistantSettings, TrainerSettings
from assay_trainer.submission_builder import Fetcher, TrainingGroup
from assay_trainer.worker import Worker


def run_trainer(settings: TrainerSettings, deviation: Deviation | None = None, stop: StopFlag | None = None) -> None:
    """Run until the task is over, or `stop` (by default SIGINT and SIGTERM) asks to end.

    Raises Stop: the operator must act. Unavailable at the very start (node down) is raised too; later it is waited for.
    """
    with stopped_by(stop) as flag, built_worker(settings, flag, deviation) as worker:
        gc.freeze()  # what is loaded by now stays: the collector need not walk through all of torch each time
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
        status = StatusFile(settings.status_file or state / "status.jsonl", logging.getLogger("trainer"))
        sender = Sender(chain, account)
        planter = _planter(settings, chain, sender, state, status)
        with (
            open_engine(
                settings.engine,
                relays=relays,
                cache=state / "cache",
                chain_id=deployment.chain_id,
                account=account,
                tables=settings.engines,
            ) as transport,
            _opened_group(settings, transport, status, stop) as group,
        ):
            try:
                yield Worker(
                    OnChain(chain, TaskFollower(chain, store, task_id), sender, task_id),
                    transport,
                    account,
                    Journal(state),
                    status,
                    stop,
                    load_policy=load_policy,
                    make_environment=make_environment,
                    deviation=deviation,
                    poll_s=settings.poll_s,
                    tidy_cache=Tidier(transport.cache),
                    group=group,
                    works_each=settings.works_each,
                    planter=planter,
                )
            finally:
                store.close()


def _planter(settings: TrainerSettings, chain: Chain, trainer: Sender, state: Path, status: Status) -> Planter | None:
    """None where nothing was ever planted, nor shall be. Raises Stop: the key that pays cannot be opened."""
    directory = state / "plants"
    if settings.plant_rate == 0 and not directory.is_dir():
        return None
    payer = trainer
    if settings.planter_keystore is not None:
        password = read_password(settings.planter_password_file or settings.password_file)
        payer = Sender(chain, load_account(settings.planter_keystore, password))
    task_id = TaskId(settings.task_id)
    keys, rate = PlantsOnChain(chain, trainer, payer, task_id), settings.plant_rate
    return Planter(task_id, keys, directory, rate, status, puts_decoys=settings.decoys)


@contextmanager
def _opened_group(
    settings: TrainerSettings, fetcher: Fetcher, status: Status, stop: StopFlag
) -> Generator[TrainingGroup | None]:
    """None, and no engine imported, where no group is wanted. Raises Stop: no place to listen, no secret, no engine."""
    if settings.group is None:
        yield None
        return
    _require_engine()
    from assay_trainer.group.leader import Leader
    from assay_trainer.group.secret import make_secret
    from assay_trainer.group.server import parse_place

    host, port = parse_place(settings.group)
    secret_file = settings.group_secret or settings.state_dir / "group.secret"
    secret = make_secret(secret_file)
    with Leader(host, port, secret, fetcher, status, stop, exchange_s=settings.group_wait_s) as leader:
        status("assistants may join", leader=f"http://{host}:{leader.port}", secret_file=str(secret_file))
        yield leader


def run_assistant(settings: AssistantSettings) -> None:
    """Help a leader until SIGINT or SIGTERM asks to end. Raises Stop: the operator must act."""
    _require_engine()
    from assay_trainer.group.assistant import Assistant
    from assay_trainer.group.client import LeaderClient
    from assay_trainer.group.secret import read_secret

    torch.set_num_threads(settings.threads)
    leader = LeaderClient(settings.leader, read_secret(settings.group_secret))
    with exclusive(settings.state_dir), stopped_by_signals() as stop:
        Assistant(
            leader,
            settings.state_dir / "cache",
            StatusFile(settings.status_file or settings.state_dir / "status.jsonl", logging.getLogger("assistant")),
            stop,
            load_policy=load_policy,
            host=settings.group_host,
            poll_s=settings.poll_s,
        ).run()


def _require_engine() -> None:
    """Keep torchft from telling all it does, before it is imported. Raises Stop: it is not installed."""
    os.environ.setdefault("RUST_LOG", "error")
    logging.getLogger("torchft").setLevel(logging.CRITICAL)  # a member that is lost is no error: we say so ourselves
    if importlib.util.find_spec("torchft") is None:
        raise Stop("training in a group needs a package: pip install 'assay-protocol[sync]'")
