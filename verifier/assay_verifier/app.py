"""Builds a verifier out of its settings. The only place that knows which implementation does the I/O."""

import gc
import logging
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from assay_core.chain.connection import Chain
from assay_core.chain.deployment import load_deployment
from assay_core.chain.event_store import EventStore
from assay_core.chain.follow import TaskFollower
from assay_core.chain.keys import open_account
from assay_core.chain.pace import LOCAL_S, pace_of
from assay_core.chain.rpc import provider_of
from assay_core.chain.sender import Sender
from assay_core.daemon.heartbeat import BalanceReader, Sources
from assay_core.daemon.lock import only_one
from assay_core.daemon.status import StatusFile
from assay_core.daemon.stopping import Interrupted, StopFlag, StoppableClock, stopped_by
from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Address, TaskId
from assay_core.transport.cache_eviction import Tidier
from assay_core.transport.choose import Transport, open_engine
from assay_verifier.aggregate import Aggregator, SigningDomain
from assay_verifier.appeals import Appeals
from assay_verifier.arrivals import Arrivals
from assay_verifier.attester import Attester
from assay_verifier.challenger import Challenger, Purse
from assay_verifier.chores import Contracts
from assay_verifier.database import migrate, open_database, session_factory, sole_writer
from assay_verifier.enlisting import Enlister
from assay_verifier.heartbeat import Heartbeat
from assay_verifier.inbox import Inbox, JudgeContext, judgeable_spec
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.node import Node
from assay_verifier.node_calls import NodeCalls
from assay_verifier.onchain import OnChain
from assay_verifier.passing import PassingOn
from assay_verifier.recorder import Recorder
from assay_verifier.rotation import Rotation
from assay_verifier.sealed import Envelope
from assay_verifier.settings import VerifierSettings
from assay_verifier.settle import Housekeeper
from assay_verifier.transactions import Transactions
from assay_verifier.worker import Parts, VerifierWorker

ELSEWHERE = "end it, or name another --state-dir"


def run_verifier(settings: VerifierSettings, stop: StopFlag | None = None) -> None:
    """Verify until the task is over, or `stop` (by default SIGINT and SIGTERM) asks to end.

    Raises Stop: the operator must act; Unavailable only at the start.
    """
    with stopped_by(stop) as flag, suppress(Interrupted), built_verifier(settings, flag) as worker:
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
    account = open_account(settings.signer, settings.keystore, settings.password_file)
    chain = Chain.connect(deployment, settings.rpc_url)
    task_id = TaskId(settings.task_id)
    state = settings.state_dir / f"task-{settings.task_id}"
    engine = open_database(settings.database)
    migrate(engine)
    relays = settings.relays or deployment.relays
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.enter_context(sole_writer(engine, task_id))
        stack.enter_context(only_one(state / "verifier.lock", f"another verifier runs in {state}", ELSEWHERE))
        store = EventStore(state / "verifier-events.db", deployment)  # a trainer may have the same folder
        stack.callback(store.close)
        with open_engine(
            settings.engine,
            relays=relays,
            cache=state / "cache",
            chain_id=deployment.chain_id,
            account=account,
            tables=settings.engines,
        ) as transport:
            flag = stop or threading.Event()
            sender = Sender(chain, account, clock=StoppableClock(flag))
            follower = TaskFollower(chain, store, task_id)
            onchain = OnChain(chain, follower, task_id, last_block=lambda: sender.last_block)
            spec = judgeable_spec(transport, onchain.refresh().task.spec_hash)
            sessions = session_factory(engine)
            status = StatusFile(settings.status_file or state / "status.jsonl", logging.getLogger("verifier"))
            verifier = onchain.operator_of(sender.address)
            transactions, rotation = Transactions(sender, sessions, task_id), Rotation(verifier)
            node = Node(task_id, verifier, account, transactions, sessions, transport, rotation, status)
            balances = BalanceReader(lambda: onchain.balances(verifier, sender.address))
            sources = Sources(lambda: follower.last_read, lambda: follower.head_at, balances, chain.money())
            parts = _parts(_Tools(settings, chain, onchain, node, transport), spec, state, sources)
            pace = pace_of(deployment.chain_id, lambda: follower.block_s, settings.poll_s)
            yield VerifierWorker(verifier, parts, flag, settings.poll_s or LOCAL_S, pace=pace)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What the parts of a verifier are made of."""

    settings: VerifierSettings
    chain: Chain
    onchain: OnChain
    node: Node
    transport: Transport


def _parts(tools: _Tools, spec: TaskSpec, state: Path, sources: Sources) -> Parts:
    node = tools.node
    inbox = Inbox(tools.transport, spec, lambda root: tools.transport.cache.find(root) is not None)
    arrivals = Arrivals(inbox.holds, tools.transport.held_s, tools.onchain.seconds_since, sources.newest_block)
    queue = JudgingQueue(spec, inbox, JudgeContext(inbox, make_environment(spec.environment), load_policy), arrivals)
    return Parts(
        chain=tools.onchain,
        enlister=_enlister(tools),
        recorder=Recorder(node.sessions, spec),
        queue=queue,
        attester=_attester(tools, state),
        passing=PassingOn(node, inbox) if tools.settings.pass_on else None,
        appeals=Appeals(node, tools.chain.appeals, queue),
        challenger=_challenger(tools, queue),
        aggregator=_aggregator(tools, spec, inbox, state),
        housekeeper=_housekeeper(tools),
        heartbeat=Heartbeat(node.sessions, node.task_id, sources, node.status),
        status=node.status,
        tidy_cache=Tidier(tools.transport.cache),
        note_calls=NodeCalls(node.sessions, provider_of(tools.chain.web3).calls).note,
    )


def _enlister(tools: _Tools) -> Enlister | None:
    if not tools.settings.enlist:
        tools.node.status("waiting for disputes", pool="`assay stake seats show` tells whether you have seats in it")
        return None
    return Enlister(
        tools.node,
        tools.chain.verifiers,
        lambda: tools.onchain.free_bond_wei(tools.node.verifier),
        tools.chain.money(),
        weight_wei=tools.settings.weight_wei,
    )


def _attester(tools: _Tools, state: Path) -> Attester:
    deployment = tools.chain.deployment
    envelope = Envelope(tools.node.account, deployment.chain_id, deployment.attestations)
    return Attester(tools.node, tools.chain.attestations, envelope, state / "evidence")


def _challenger(tools: _Tools, queue: JudgingQueue) -> Challenger | None:
    if not tools.settings.challenge:
        return None
    purse = Purse(Address(tools.node.account.address), tools.chain.token, tools.chain.appeals, tools.chain.panels)
    return Challenger(tools.node, purse, queue)


def _aggregator(tools: _Tools, spec: TaskSpec, inbox: Inbox, state: Path) -> Aggregator:
    node, deployment = tools.node, tools.chain.deployment
    signer = SigningDomain(deployment.chain_id, deployment.policies, tools.onchain.operator_of)
    return Aggregator(node, spec, signer, tools.chain.policies, inbox, state / "policies")


def _housekeeper(tools: _Tools) -> Housekeeper:
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
    return Housekeeper(tools.node, contracts, tools.onchain.header_of)
