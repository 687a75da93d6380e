"""Builds a trainer out of its settings. The only place that knows which implementation does the I/O."""

import gc
import importlib.util
import logging
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import torch
from eth_utils.address import is_address

from assay_core.chain.connection import Chain
from assay_core.chain.deployment import load_deployment
from assay_core.chain.event_store import EventStore
from assay_core.chain.follow import TaskFollower
from assay_core.chain.keys import open_account
from assay_core.chain.node_logs import NodeLogs
from assay_core.chain.pace import pace_of
from assay_core.chain.rpc import provider_of
from assay_core.chain.sender import Clock, Sender
from assay_core.chain.signers import Signer
from assay_core.daemon.heartbeat import FILE_NAME, BalanceReader, Sources
from assay_core.daemon.lock import locks_folder, only_one
from assay_core.daemon.status import Status, StatusFile
from assay_core.daemon.stopping import Interrupted, StopFlag, StoppableClock, stopped_by, stopped_by_signals
from assay_core.environments import make_environment
from assay_core.inspect.waiting import Wait
from assay_core.policy import load_policy
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import TaskId
from assay_core.transport.cache_eviction import Tidier
from assay_core.transport.choose import open_engine
from assay_trainer.adversaries import Adversary
from assay_trainer.journal import Journal, exclusive
from assay_trainer.monitoring import opened_monitor
from assay_trainer.node import Node
from assay_trainer.onchain import OnChain, PlantsOnChain
from assay_trainer.planter import Planter
from assay_trainer.pulse import Counted, Pulse
from assay_trainer.settings import AssistantSettings, TrainerSettings
from assay_trainer.submission_builder import Fetcher, Policies, TrainingGroup
from assay_trainer.worker import Worker


def run_trainer(
    settings: TrainerSettings,
    adversary: Adversary | None = None,
    stop: StopFlag | None = None,
    *,
    wants_to_leave: Callable[[Wait], bool] = lambda wait: False,
) -> None:
    """Run until the task is over, or `stop` (by default SIGINT and SIGTERM) asks to end.

    `wants_to_leave` is asked at such an end where others will wait for us: whether to end our enlistment. Raises Stop:
    the operator must act. Unavailable at the very start (node down), or when leaving; else it is waited for.
    """
    with stopped_by(stop) as flag:
        worker = _run_worker(settings, flag, adversary)
    # By now signals do again what they did before: somebody who does not want to wait for this can end it.
    if flag.is_set() and worker is not None and (wait := worker.keeps_waiting) and wants_to_leave(wait):
        worker.leave()


def _run_worker(settings: TrainerSettings, stop: StopFlag, adversary: Adversary | None) -> Worker | None:
    """The worker that has run; None: it was asked to end before it could do so in order."""
    try:
        with built_worker(settings, stop, adversary) as worker:
            gc.freeze()  # what is loaded by now stays: the collector need not walk through all of torch each time
            worker.run()
            return worker
    except Interrupted:
        return None


@contextmanager
def built_worker(settings: TrainerSettings, stop: StopFlag, adversary: Adversary | None = None) -> Generator[Worker]:
    """A worker with its connections; closes them in the end. `adversary` makes a cheat of it, see adversaries.py.

    Raises Stop: unknown network or task, missing key, wrong password, state in use. Unavailable: the node is down.
    """
    torch.set_num_threads(settings.threads)
    state = settings.state_dir / f"task-{settings.task_id}"
    deployment = load_deployment(settings.network)
    account = open_account(settings.signer, settings.keystore, settings.password_file)
    chain = Chain.connect(deployment, settings.rpc_url)
    task_id = TaskId(settings.task_id)
    with exclusive(state), _only_trainer(chain, account, task_id):
        store = EventStore(state / "events.db", deployment)
        relays = settings.relays or deployment.relays
        status = StatusFile(settings.status_file or state / "status.jsonl", logging.getLogger("trainer"))
        clock = StoppableClock(stop)
        sender, follower = Sender(chain, account, clock=clock), TaskFollower(chain, store, task_id)
        planter = _planter(settings, chain, sender, state, status, clock)
        onchain = OnChain(chain, follower, sender, task_id)
        sources = Sources(
            lambda: follower.last_read, lambda: follower.head_at, BalanceReader(onchain.balances), onchain.money
        )
        pulse = Pulse(task_id, state / FILE_NAME, sources)
        with (
            opened_monitor(settings, pulse, provider_of(chain.web3), status),
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
                carrier = Counted(transport, pulse)
                node = Node(
                    onchain,
                    carrier,
                    account,
                    Journal(state),
                    status,
                    stop,
                    pace_of(deployment.chain_id, lambda: follower.block_s, settings.poll_s),
                    Tidier(transport.cache),
                    pulse,
                )
                yield Worker(
                    node,
                    Policies(carrier, load_policy),
                    make_environment,
                    adversary=adversary,
                    group=group,
                    submissions_each=settings.submissions_each,
                    planter=planter,
                )
            finally:
                store.close()


def _only_trainer(chain: Chain, account: Signer, task_id: TaskId) -> AbstractContextManager[None]:
    """A key makes each submission once: two processes would do it twice, and one of them for nothing.

    The hash of a block tells apart local chains that start again with the same addresses.
    """
    at = chain.deployment
    block = NodeLogs(chain.web3).block(at.block)
    born = block.block_hash.hex()[:16] if block else ""
    name = f"trainer-{at.chain_id}-{born}-{at.commitments}-{account.address}-{task_id}.lock".lower()
    who = f"another trainer works on task {task_id} with the key {account.address}"
    return only_one(locks_folder() / name, who, "end it, or use another key")


def _planter(
    settings: TrainerSettings, chain: Chain, trainer: Sender, state: Path, status: Status, clock: Clock
) -> Planter | None:
    """None where nothing was ever planted, nor shall be. Raises Stop, Unavailable: who pays has no key to sign with."""
    directory = state / "plants"
    if settings.plant_rate == 0 and not directory.is_dir():
        return None
    payer = trainer
    if settings.planter_keystore is not None:
        signer = settings.signer if is_address(str(settings.planter_keystore)) else None
        password_file = settings.planter_password_file or settings.password_file
        payer = Sender(chain, open_account(signer, settings.planter_keystore, password_file), clock=clock)
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
    with suppress(Interrupted), exclusive(settings.state_dir), stopped_by_signals() as stop:
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
