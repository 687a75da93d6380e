"""Builds a verifier out of its settings. The only place that knows which implementation does the I/O."""

import gc
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

import torch
import uvicorn
from fastapi import FastAPI

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
from verifier.aggregate import Aggregator, Signer
from verifier.api import create_api
from verifier.appeals import Appeals
from verifier.attester import Attester
from verifier.database import migrate, open_database, session_factory
from verifier.docket import Docket
from verifier.inbox import Bench, Inbox, fetch_spec
from verifier.onchain import OnChain
from verifier.recorder import Recorder
from verifier.settings import ServeSettings, VerifierSettings
from verifier.settle import Contracts, Housekeeper
from verifier.transactions import Transactions
from verifier.turns import Turns
from verifier.worker import Parts, VerifierWorker


def run_verifier(settings: VerifierSettings) -> None:
    """Verify until SIGINT or SIGTERM asks to end. Raises Stop: the operator must act; Unavailable only at the start."""
    with stopped_by_signals() as stop, built_verifier(settings, stop) as worker:
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
            ledger = onchain.refresh()
            spec = fetch_spec(transport, ledger.task.spec_hash)
            verifier = onchain.operator_of(Sender(chain, account).address)
            sessions = session_factory(engine)
            status = StatusFile(settings.status_file or state / "status.jsonl", logging.getLogger("verifier"))
            transactions = Transactions(Sender(chain, account), sessions, task_id)
            turns = Turns(verifier)
            inbox = Inbox(transport, spec)
            bench = Bench(inbox, make_environment(spec.environment), load_policy)
            attester = Attester(
                task_id,
                verifier,
                account,
                chain.attestations,
                transactions,
                transport,
                sessions,
                state / "evidence",
                status,
            )
            signer = Signer(verifier, account, deployment.chain_id, deployment.attestations, onchain.operator_of)
            aggregator = Aggregator(
                spec,
                signer,
                chain.attestations,
                transactions,
                inbox,
                transport,
                sessions,
                state / "policies",
                turns,
                status,
            )
            contracts = Contracts(
                chain.attestations,
                chain.registry,
                chain.challenges,
                chain.payouts,
                chain.staking.unbonding_period_s(),
            )
            docket = Docket(spec, inbox, bench)
            appeals = Appeals(task_id, verifier, chain.challenges, transactions, docket, sessions, status)
            housekeeper = Housekeeper(verifier, contracts, transactions, attester, inbox, turns, status)
            parts = Parts(
                chain=onchain,
                attestations=chain.attestations,
                transactions=transactions,
                recorder=Recorder(sessions, spec),
                docket=docket,
                attester=attester,
                appeals=appeals,
                aggregator=aggregator,
                housekeeper=housekeeper,
                status=status,
                tidy_cache=Tidier(transport.cache),
            )
            yield VerifierWorker(verifier, parts, stop or threading.Event(), settings.poll_s)
    finally:
        store.close()
        engine.dispose()


def build_service(settings: ServeSettings) -> FastAPI:
    """The service over the database that `verifier work` writes. Raises Stop: the database cannot be reached."""
    engine = open_database(settings.database)
    migrate(engine)
    return create_api(session_factory(engine))


def run_service(settings: ServeSettings) -> None:
    """Serve until a signal asks to end. Raises Stop."""
    uvicorn.run(build_service(settings), host=settings.host, port=settings.port, log_level="warning")
