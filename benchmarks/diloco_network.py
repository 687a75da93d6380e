"""A run as it would be anywhere: chain, contracts, relay, verifiers and trainers, each a process of its own.

In the middle one trainer is killed (SIGKILL) and another joins. Nobody intervenes: the network has to go on by itself.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from assay_core.chain.event_store import EventStore
from assay_core.chain.follow import TaskFollower
from assay_core.chain.ledger import EpochRecord, TaskLedger
from assay_core.environments import make_environment
from assay_core.inspect.earnings import submissions_of
from assay_core.protocol.errors import Stop
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import SCORE_FULL, TaskId
from assay_core.transport.engine import Engine
from assay_protocol.devnet.demo.observe import RewardCurve
from assay_protocol.devnet.localnet import LocalNetwork, Party
from assay_protocol.devnet.processes import Child, Children
from assay_protocol.task_file import TaskFile
from benchmarks.diloco_plan import Plan, write_task_file
from benchmarks.diloco_rehearsal import Point
from benchmarks.diloco_traffic import Traffic, parameters_of, traffic_of

TOKEN = 10**18
LOOK_SECONDS = 0.5  # at the chain
WATCH_SECONDS = 0.02  # at who is to die: its inner steps may be over in a fraction of a second
VERIFIERS = 1
CLAIM_SECONDS = 120.0
TERMS: dict[str, Any] = {
    "sampling": "0.25",  # a quarter of the submissions is replayed
    "fraud_slash": "5",
    "max_epochs": 1_000,
}
SUBMISSION_PRICE = 0.64  # tokens, whatever its size: so that the slash outweighs the gain alike in all runs


@dataclass(frozen=True, slots=True)
class Member:
    """A trainer as the chain knew it in the end."""

    name: str
    submissions: int
    paid: int  # of them
    first_epoch: int | None
    last_epoch: int | None
    first_version: int | None  # the policy that its first submission was made from
    claimed_wei: int
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    plan: Plan
    points: tuple[Point, ...]
    members: tuple[Member, ...]
    parameters: int
    epoch_seconds: tuple[int, ...]  # chain time between one seal and the next
    died_in: int | None  # epoch
    version_then: int  # the newest policy when one had died and the other joined
    seconds: float


@dataclass(slots=True)
class _Trainer:
    party: Party
    child: Child | None = None
    claimed_wei: int = 0


@dataclass(slots=True)
class _Casualty:
    """The death, once it has happened."""

    epoch: int | None = None
    version: int = 0  # the newest policy then
    names: set[str] = field(default_factory=set[str])


def run_network(plan: Plan, folder: Path, *, prompts: int, seconds: float, say: Callable[[str], None]) -> Outcome:
    """Train until the plan's samples are in published policies. Raises Stop: it did not come so far in `seconds`."""
    with Children(folder / "logs") as children:
        return _Course(plan, folder, children, say).run(prompts, seconds)


class _Course:
    def __init__(self, plan: Plan, folder: Path, children: Children, say: Callable[[str], None]) -> None:
        self._plan, self._folder, self._children, self._say = plan, folder, children, say
        self._network = LocalNetwork(folder, children)
        self._casualty = _Casualty()
        self._began = time.monotonic()

    def run(self, prompts: int, seconds: float) -> Outcome:
        network = self._network
        network.start_chain()
        network.start_relay()
        initiator = network.party("initiator", 10_000 * TOKEN)
        verifiers = [network.party(f"verifier-{n + 1}", 1_000 * TOKEN) for n in range(VERIFIERS)]
        seats = self._plan.trainers + (self._plan.dies_in is not None)
        trainers = [_Trainer(network.party(f"trainer-{n + 1}", 1_000 * TOKEN)) for n in range(seats)]
        task = write_task_file(self._plan, self._folder / "task.toml", terms_of(self._plan))
        task_id = network.open_task(initiator, task.path)
        self._start(verifiers, trainers, task_id)
        follower = TaskFollower(network.chain, EventStore(None, network.chain.deployment), task_id)
        self._train(follower, trainers, task_id, task.spec, seconds)
        network.send(initiator, network.chain.registry.close_task(task_id))
        ledger = self._finish(follower, trainers, task_id)
        return self._outcome(ledger, task, trainers, prompts)

    def _start(self, verifiers: Sequence[Party], trainers: Sequence[_Trainer], task_id: TaskId) -> None:
        params = self._network.chain.registry.params_of(task_id)
        self._network.bond_verifiers(verifiers, params)
        self._network.bond_trainers([trainer.party for trainer in trainers], params)
        self._network.tick()
        for verifier in verifiers:
            self._start_worker(verifier, "verifier", task_id)
        for trainer in trainers[: self._plan.trainers]:
            trainer.child = self._start_worker(trainer.party, "trainer", task_id)

    def _start_worker(self, party: Party, role: str, task_id: TaskId) -> Child:
        status = str(self._status_file(party))
        return self._network.start_daemon(party, role, task_id, "--threads", "1", "--status-file", status)

    def _status_file(self, party: Party) -> Path:
        return self._folder / "status" / f"{party.name}.jsonl"

    # -- while it runs

    def _train(
        self, follower: TaskFollower, trainers: Sequence[_Trainer], task_id: TaskId, spec: TaskSpec, seconds: float
    ) -> None:
        group_size, deadline = spec.rollout.group_size, time.monotonic() + seconds
        wanted, versions = self._plan.samples(group_size), 0
        while True:
            ledger = follower.refresh()
            done = samples_behind(ledger, len(ledger.policies) - 1, group_size)
            if len(ledger.policies) > versions:
                versions = len(ledger.policies)
                self._tell(f"policy version {versions - 1} is out, {done:,} of {wanted:,} completions")
            if done >= wanted:
                return
            if time.monotonic() > deadline:
                raise Stop(f"{done} of {wanted} completions after {seconds:.0f} s; see {self._folder / 'logs'}")
            self._children.check(frozenset(self._casualty.names))
            look_again_at = time.monotonic() + LOOK_SECONDS
            while time.monotonic() < look_again_at:
                self._let_one_die(ledger, trainers, task_id)
                time.sleep(WATCH_SECONDS)

    def _let_one_die(self, ledger: TaskLedger, trainers: Sequence[_Trainer], task_id: TaskId) -> None:
        """Kill the first trainer in the middle of its submission for the epoch of the plan, and start the one that
        joins.
        """
        victim, epoch = trainers[0], self._plan.dies_in
        if epoch is None or self._casualty.epoch is not None or victim.child is None:
            return
        if not self._is_training(victim.party, epoch):
            return
        victim.child.process.kill()
        victim.child.process.wait()
        self._casualty = _Casualty(epoch, ledger.newest_policy().version, {victim.party.name})
        self._tell(f"{victim.party.name} is killed in epoch {epoch}, {trainers[-1].party.name} joins")
        trainers[-1].child = self._start_worker(trainers[-1].party, "trainer", task_id)

    def _is_training(self, party: Party, epoch: int) -> bool:
        """Whether a trainer has taken an inner step of an epoch, or of a later one (then it was missed by a look)."""
        path = self._status_file(party)
        text = path.read_text() if path.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()  # the last one may be half written
        return any(said["message"] == "inner step" and said["epoch"] >= epoch for said in map(json.loads, lines))

    def _tell(self, what: str) -> None:
        self._say(f"{time.monotonic() - self._began:6.1f} s  {self._plan.label}: {what}")

    # -- the end

    def _finish(self, follower: TaskFollower, trainers: Sequence[_Trainer], task_id: TaskId) -> TaskLedger:
        """Wait until every epoch with submissions is over, then let everybody claim, the dead trainer's owner too."""
        deadline = time.monotonic() + CLAIM_SECONDS
        while not all(epoch.is_over for epoch in follower.refresh().epochs.values() if epoch.submissions):
            if time.monotonic() > deadline:
                raise Stop(f"the last epochs did not end in time; see {self._folder / 'logs'}")
            time.sleep(LOOK_SECONDS)
        with ThreadPoolExecutor(len(trainers)) as pool:
            for trainer, claimed_wei in zip(trainers, pool.map(partial(self._claim, task_id), trainers), strict=True):
                trainer.claimed_wei = claimed_wei
        return follower.refresh()

    def _claim(self, task_id: TaskId, trainer: _Trainer) -> int:
        balance_of, holder = self._network.chain.token.balance_of, trainer.party.address
        before = balance_of(holder)
        self._network.assay(trainer.party, "rewards", "claim", "--task", str(task_id))
        return balance_of(holder) - before

    def _outcome(self, ledger: TaskLedger, task: TaskFile, trainers: Sequence[_Trainer], prompts: int) -> Outcome:
        spec = task.spec
        with self._network.observer() as engine:
            curve = RewardCurve(engine, spec, make_environment(spec.environment), prompts)
            curve.update(ledger)
            members = tuple(self._member(ledger, spec, each, engine) for each in trainers)
            parameters = parameters_of(engine, ledger.policies[0].policy_root, spec)
        points = (
            Point(samples_behind(ledger, version, spec.rollout.group_size), reward)
            for version, reward in enumerate(curve.rewards)
        )
        casualty = self._casualty
        return Outcome(
            plan=self._plan,
            points=tuple(points),
            members=members,
            parameters=parameters,
            epoch_seconds=self._epoch_seconds(ledger),
            died_in=casualty.epoch,
            version_then=casualty.version,
            seconds=time.monotonic() - self._began,
        )

    def _member(self, ledger: TaskLedger, spec: TaskSpec, trainer: _Trainer, engine: Engine) -> Member:
        refs = [each.ref for each in submissions_of(ledger, trainer.party.address)]
        scores = [ledger.epochs[ref.epoch].score_of(ref.submission.index) or 0 for ref in refs]
        return Member(
            name=trainer.party.name,
            submissions=len(refs),
            paid=sum(0 < score <= SCORE_FULL for score in scores),
            first_epoch=refs[0].epoch if refs else None,
            last_epoch=refs[-1].epoch if refs else None,
            first_version=refs[0].submission.policy_version if refs else None,
            claimed_wei=trainer.claimed_wei,
            traffic=traffic_of(engine, ledger, spec, trainer.party.address),
        )

    def _epoch_seconds(self, ledger: TaskLedger) -> tuple[int, ...]:
        """Chain time from each seal to the next."""
        web3 = self._network.chain.web3
        sealed = [each.sealed_at[0] for each in ledger.epochs.values() if each.sealed_at is not None]
        times = [int(web3.eth.get_block(block).get("timestamp", 0)) for block in sealed]
        return tuple(after - before for before, after in pairwise(times))


def terms_of(plan: Plan) -> dict[str, Any]:
    """What replaces the demo's terms."""
    return {
        **TERMS,
        "unit_price": f"{SUBMISSION_PRICE / plan.groups:.6f}",
        "max_epoch_units": 8 * plan.groups,
        "commit_window": plan.commit_window,
        "max_staleness": plan.lag,
    }


def samples_behind(ledger: TaskLedger, version: int, group_size: int) -> int:
    """Completions of the accepted submissions that a policy version is made of."""
    newest = ledger.policies[version].epoch
    made = (each.epoch for each in ledger.policies[1 : version + 1])
    epochs = [ledger.epochs[epoch] for epoch in made if epoch is not None and newest is not None]
    return group_size * sum(_accepted_units(epoch) for epoch in epochs)


def _accepted_units(epoch: EpochRecord) -> int:
    scores = {
        submission.submission.index: epoch.settled_score_of(submission.submission.index) or 0
        for submission in epoch.submissions
    }
    return sum(
        submission.submission.units
        for submission in epoch.submissions
        if 0 < scores[submission.submission.index] <= SCORE_FULL
    )
