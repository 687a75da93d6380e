"""Builds a verifier out of its settings. The only place that knows which implementation does the I/O."""

import gc
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import uvicorn
from eth_account.signers.local import LocalAccount
from fastapi import FastAPI

from assay_core.chain.connection import Chain
from assay_core.chain.deployment import load_deployment
from assay_core.chain.event_store import EventStore
from assay_core.chain.follow import TaskFollower
from assay_core.chain.keys import load_account, read_password
from assay_core.chain.sender import Sender
from assay_core.daemon.status import Status, StatusFile
from assay_core.daemon.stopping import StopFlag, stopped_by
from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Address, TaskId
from assay_core.transport.cache_eviction import Tidier
from assay_core.transport.choose import Transport, open_engine
from assay_verifier.aggregate import Aggregator, Signer
from assay_verifier.api import create_api
from assay_verifier.appeals import Appeals
from assay_verifier.attester import Attester
from assay_verifier.challenger import Challenger, Purse
from assay_verifier.chores import Contracts
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.enlisting import Enlister
from assay_verifier.inbox import Inbox, JudgeContext, judgeable_spec
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.onchain import OnChain
from assay_verifier.passing import PassingOn
from assay_verifier.recorder import Recorder
from assay_verifier.rotation import Rotation
from assay_verifier.sealed import Envelope
from assay_verifier.settings import ServeSettings, VerifierSettings
from assay_verifier.settle import Housekeeper
from assay_verifier.transactions import Transactions
from assay_verifier.worker import Parts, VerifierWorker

NO_DATABASE = "start `assay verifier run` with this --state-dir or --database-url, or name the one that it has"


def run_verifier(settings: VerifierSettings, stop: StopFlag | None = None) -> None:
    """Verify until `stop` (by default SIGINT and SIGTERM) asks to end.

    Raises Stop: the operator must act; Unavailable only at the start.
    """
    with stopped_by(stop) as flag, built_verifier(settings, flag) as worker:
        gc.freeze()  # what is loaded by now stays: the collector need not walk through all of torch each time
        worker.run_forever()


@contextmanager
def built_verifier(settings: VerifierSettings, stop: StopFlag | None = None) -> Generator[VerifierWorker]:
    """A worker with its connections; closes them in the end.

    Raises Stop: unknown network or task, missing key, wrong password, a database out of reach, a task that nobody can
    verify. Unavailable: node or relays are down.
    """
    torch.set_num_threads(settings.threads)
    deployment = load_deployment(settings.network)
    account = load_account(settings.keystore, read_password(settings.password_file))
    chain = Chain.connect(deployment, settings.rpc_url)
    task_id = TaskId(settings.task_id)
    state = settings.state_dir / f"task-{settings.task_id}"
    engine = open_database(settings.database)
    migrate(engine)
    store = EventStore(state / "verifier-events.db", deployment)  # a trainer may have the same folder
    relays = settings.relays or deployment.relays
    try:
        with open_engine(
            settings.engine,
            relays=relays,
            cache=state / "cache",
            chain_id=deployment.chain_id,
            account=account,
            tables=settings.engines,
        ) as transport:
            onchain = OnChain(chain, TaskFollower(chain, store, task_id), task_id)
            spec = judgeable_spec(transport, onchain.refresh().task.spec_hash)
            sessions = session_factory(engine)
            status = StatusFile(settings.status_file or state / "status.jsonl", logging.getLogger("verifier"))
            sender = Sender(chain, account)
            verifier = onchain.operator_of(sender.address)
            tools = _Tools(
                settings, chain, onchain, account, verifier, Transactions(sender, sessions, task_id), transport, status
            )
            parts = _parts(tools, spec, sessions, state)
            yield VerifierWorker(verifier, parts, stop or threading.Event(), settings.poll_s)
    finally:
        store.close()
        engine.dispose()


@dataclass(frozen=True, slots=True)
class _Tools:
    """What all parts of a verifier share."""

    settings: VerifierSettings
    chain: Chain
    onchain: OnChain
    account: LocalAccount
    verifier: Address
    transactions: Transactions
    transport: Transport
    status: Status

    @property
    def task_id(self) -> TaskId:
        return TaskId(self.settings.task_id)


def _parts(tools: _Tools, spec: TaskSpec, sessions: Sessions, state: Path) -> Parts:
    inbox = Inbox(tools.transport, spec, lambda root: tools.transport.cache.find(root) is not None)
    queue = JudgingQueue(spec, inbox, JudgeContext(inbox, make_environment(spec.environment), load_policy))
    turns = Rotation(tools.verifier)
    votes = tools.chain.appeals, tools.transactions, queue, sessions, tools.status
    return Parts(
        chain=tools.onchain,
        enlister=_enlister(tools),
        recorder=Recorder(sessions, spec),
        queue=queue,
        attester=_attester(tools, sessions, state),
        passing=_passing(tools, inbox),
        appeals=Appeals(tools.task_id, tools.verifier, *votes),
        challenger=_challenger(tools, queue, sessions, turns),
        aggregator=_aggregator(tools, spec, inbox, sessions, state, turns),
        housekeeper=_housekeeper(tools, turns),
        status=tools.status,
        tidy_cache=Tidier(tools.transport.cache),
    )


def _enlister(tools: _Tools) -> Enlister | None:
    if not tools.settings.enlist:
        tools.status("waiting for disputes", pool="`assay stake seats show` tells whether you have seats in it")
        return None
    return Enlister(
        tools.verifier,
        tools.chain.verifiers,
        lambda: tools.onchain.free_bond_wei(tools.verifier),
        tools.transactions,
        tools.status,
        weight_wei=tools.settings.weight_wei,
        show=tools.chain.money().show,
    )


def _attester(tools: _Tools, sessions: Sessions, state: Path) -> Attester:
    deployment = tools.chain.deployment
    return Attester(
        tools.task_id,
        tools.verifier,
        tools.account,
        tools.chain.attestations,
        tools.transactions,
        tools.transport,
        sessions,
        Envelope(tools.account, deployment.chain_id, deployment.attestations),
        state / "evidence",
        tools.status,
    )


def _passing(tools: _Tools, inbox: Inbox) -> PassingOn | None:
    return PassingOn(tools.transport, tools.account, inbox, tools.status) if tools.settings.pass_on else None


def _challenger(tools: _Tools, queue: JudgingQueue, sessions: Sessions, turns: Rotation) -> Challenger | None:
    if not tools.settings.challenge:
        return None
    purse = Purse(Address(tools.account.address), tools.chain.token, tools.chain.appeals, tools.chain.panels)
    return Challenger(tools.task_id, purse, tools.transactions, queue, sessions, turns, tools.status)


def _aggregator(
    tools: _Tools, spec: TaskSpec, inbox: Inbox, sessions: Sessions, state: Path, turns: Rotation
) -> Aggregator:
    deployment = tools.chain.deployment
    return Aggregator(
        spec,
        Signer(tools.verifier, tools.account, deployment.chain_id, deployment.policies, tools.onchain.operator_of),
        tools.chain.policies,
        tools.transactions,
        inbox,
        tools.transport,
        sessions,
        state / "policies",
        turns,
        tools.status,
    )


def _housekeeper(tools: _Tools, turns: Rotation) -> Housekeeper:
    chain = tools.chain
    contracts = Contracts(
        chain.commitments,
        chain.verifiers,
        chain.attestations,
        chain.policies,
        chain.appeals,
        chain.payouts,
        chain.plants,
        chain.staking.unbonding_period_s(),
    )
    return Housekeeper(tools.verifier, contracts, tools.transactions, tools.onchain.header_of, turns, tools.status)


def build_service(settings: ServeSettings) -> FastAPI:
    """The service over the database that `verifier work` writes. Raises Stop: the database cannot be reached."""
    engine = open_database(settings.database)
    migrate(engine)
    return create_api(session_factory(engine))


def run_service(settings: ServeSettings) -> None:
    """Serve until a signal asks to end. Raises Stop."""
    log, file = logging.getLogger("verifier"), settings.database.removeprefix("sqlite:///")
    if file != settings.database and not Path(file).is_file():
        log.warning("no database yet", extra={"database": file, "what_to_do": NO_DATABASE})
    service = build_service(settings)
    log.info("serving", extra={"url": f"http://{settings.host}:{settings.port}"})
    uvicorn.run(service, host=settings.host, port=settings.port, log_level="warning")
