"""A network that lives through accidents: processes killed and stopped, disks full, nodes that refuse, relays cut.

    python -m tests.soak.run --seconds 300 [--seed N] [--out DIR]

Faults come in random order from a printed seed, each shorter than half of any window of the protocol, and each process
is left in peace for a window after one. Killed processes are started again, as a supervisor does; nobody does anything
else. In the end nobody may have been slashed, no epoch void, and every wei must be where the protocol says.
"""

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from assay_core.chain.event_store import EventStore
from assay_core.chain.follow import TaskFollower
from assay_core.chain.ledger import TaskLedger
from assay_core.inspect.earnings import fees_of, submissions_of
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Role, TaskId, is_paid
from assay_protocol.devnet.demo.observe import is_over
from assay_protocol.devnet.folder import fresh
from assay_protocol.devnet.localnet import LocalNetwork, Party
from assay_protocol.devnet.processes import Children
from assay_protocol.tasks import network_task
from tests.integration.fake_node import FakeNode
from tests.machines import mount_disk, unmount_disk
from tests.soak.faults import Actor, Fault, Plan

TOKEN = 10**18
WINDOW_S = 90
SHORTEST_WINDOW_S = 40  # the challenge window
LONGEST_FAULT_S = SHORTEST_WINDOW_S * 0.45
TERMS = (  # of the demo's task: small submissions, windows that a fault fits into twice
    ("groups = 64", "groups = 16"),
    ("inner_steps = 16", "inner_steps = 4"),
    ("groups_per_step = 16", "groups_per_step = 8"),
    ("max_epochs = 60", "max_epochs = 0"),
    ("commit_window = 600", f"commit_window = {WINDOW_S}"),
    ("attest_window = 600", f"attest_window = {WINDOW_S}"),
    ("reveal_window = 300", f"reveal_window = {WINDOW_S}"),
    ("challenge_window = 8", f"challenge_window = {SHORTEST_WINDOW_S}"),
    ("appeal_window = 600", f"appeal_window = {WINDOW_S}"),
)
MEAN_PAUSE_S = 4.0  # between the beginnings of two faults
SETTLE_S = 600.0
DISK_BYTES = 256 * 2**20
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a soak came to. `failures`: what was not as it must be, in words."""

    seed: int
    seconds: float
    faults: dict[str, int]
    epochs: int
    policies: int
    submissions: int
    paid: int
    failures: tuple[str, ...]


class Soak:
    """One run. All that it starts ends with `children` and `stack`."""

    def __init__(self, out: Path, children: Children, stack: ExitStack, seed: int) -> None:
        self._children, self._stack, self._seed = children, stack, seed
        self._network = LocalNetwork(out, children)
        self._began = time.monotonic()
        self._faults: dict[str, int] = {}
        self._now: list[Fault] = []

    def run(self, seconds: float) -> Outcome:
        """Raises Stop: the network came to a standstill, or a process ended by itself."""
        network = self._network
        network.start_chain()
        network.start_carrier("relay")
        initiator = network.party("initiator", 1_000 * TOKEN)
        verifiers = [network.party(f"verifier-{number}", 1_000 * TOKEN) for number in (1, 2, 3)]
        trainers = [network.party(f"trainer-{number}", 1_000 * TOKEN) for number in (1, 2)]
        task_id = self._open_task(initiator)
        params = network.chain.registry.params_of(task_id)
        network.bond_verifiers(verifiers, params)
        network.bond_trainers(trainers, params)
        network.tick()
        daemons = [self._daemon(each, "verifier", task_id) for each in verifiers]
        daemons += [self._daemon(each, "trainer", task_id) for each in trainers]
        for each in daemons:
            each.start(self._children)
        store = EventStore(network.folder / "events.sqlite", network.chain.deployment)
        follower = TaskFollower(network.chain, store, task_id)
        self._until(lambda: len(follower.refresh().trainers) == len(trainers), SETTLE_S, "everybody to enlist")
        self._say(f"{len(daemons)} daemons enlisted; faults from seed {self._seed}")
        self._live_through(seconds, [*daemons, *self._relays()], follower)
        network.send(initiator, network.chain.registry.close_task(task_id))
        self._until(lambda: is_over(follower.refresh()), SETTLE_S, "the last epochs to end")
        self._take_home({"trainer": trainers, "verifier": verifiers}, initiator, task_id)
        ledger = follower.refresh()
        return self._outcome(ledger, trainers, verifiers)

    # -- the stage

    def _open_task(self, initiator: Party) -> TaskId:
        text = network_task("sorting").read_text()
        for long, short in TERMS:
            if long not in text:
                raise Stop(f"the demo's task says nothing of {long!r}: tests/soak/run.py needs another line")
            text = text.replace(long, short)
        file = self._network.folder / "task.toml"
        file.write_text(text)
        return self._network.open_task(initiator, file)

    def _daemon(self, party: Party, role: str, task_id: TaskId) -> Actor:
        node = self._stack.enter_context(FakeNode(self._network.rpc_url))
        environment = dict(self._network.env_of(party.name))
        folder = Path(environment["ASSAY_STATE_DIR"])
        disk = self._disk(folder)
        arguments = (role, "run", "--task", str(task_id), "--keystore", party.name, "--rpc-url", node.url)
        return Actor(party.name, arguments, environment, node, folder if disk else None)

    def _disk(self, folder: Path) -> bool:
        """A file system of its own for a state folder, which can be full while others are not; for root alone."""
        if not mount_disk(folder, DISK_BYTES):
            return False
        self._stack.callback(unmount_disk, folder)
        return True

    def _relays(self) -> Iterator[Actor]:
        """As they were started, so that they can be again."""
        for name in self._network.carrier.servers:
            command = list(self._children[name].process.args)  # pyright: ignore[reportArgumentType] - a list, as given
            yield Actor(name, tuple(str(each) for each in command[3:]), dict(self._network.env))

    # -- while it runs

    def _live_through(self, seconds: float, actors: Sequence[Actor], follower: TaskFollower) -> None:
        plan = Plan(self._seed, LONGEST_FAULT_S, peace_s=WINDOW_S)
        pauses = random.Random(self._seed)
        end = self._elapsed() + seconds
        next_at = self._elapsed()
        while self._elapsed() < end or self._now:
            if next_at <= self._elapsed() < end:
                self._begin(plan.draw(actors, self._children, self._elapsed()))
                next_at = self._elapsed() + pauses.expovariate(1 / MEAN_PAUSE_S)
            self._end_what_is_over()
            self._children.check()
            follower.refresh()
            time.sleep(LOOK_S)

    def _begin(self, fault: Fault | None) -> None:
        if fault is None:
            return
        self._say(str(fault))
        fault.begin()
        self._now.append(fault)
        self._faults[fault.kind] = self._faults.get(fault.kind, 0) + 1

    def _end_what_is_over(self) -> None:
        for fault in [each for each in self._now if each.until_s <= self._elapsed()]:
            fault.end()
            self._now.remove(fault)

    def _until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise Stop(f"waited {seconds:.0f} s for {what}; logs are in {self._network.folder / 'logs'}")
            time.sleep(LOOK_S)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _say(self, line: str) -> None:
        print(f"{self._elapsed():7.1f} s  {line}", flush=True)

    # -- the end

    def _take_home(self, people: Mapping[str, Sequence[Party]], initiator: Party, task_id: TaskId) -> None:
        """Daemons claim by themselves, but in batches; what is left when they stop, people claim."""
        claims = [(role, each) for role, parties in people.items() for each in parties]
        for _, each in claims:
            self._children.stop(each.name)
        for role, each in claims:
            self._network.assay(each, "rewards", "claim", "--role", role, "--task", str(task_id))
        self._network.assay(initiator, "task", "refund", str(task_id))

    def _outcome(self, ledger: TaskLedger, trainers: Sequence[Party], verifiers: Sequence[Party]) -> Outcome:
        judged = [each for each in ledger.epochs.values() if each.submissions]
        scores = [each.score_of(one.submission.index) for each in judged for one in each.submissions]
        failures = [
            *slashes(ledger),
            *unpaid(ledger, trainers, verifiers),
            *self._missing_wei(ledger, [*trainers, *verifiers]),
        ]
        failures += [f"epoch {each.epoch} is void" for each in judged if each.is_void]
        paid = sum(score is not None and is_paid(score) for score in scores)
        if paid < len(scores):
            failures.append(f"only {paid} of {len(scores)} submissions, all of them honest, were paid")
        return Outcome(
            self._seed,
            round(self._elapsed(), 1),
            dict(sorted(self._faults.items())),
            len(judged),
            len(ledger.policies),
            len(scores),
            paid,
            tuple(failures),
        )

    def _missing_wei(self, ledger: TaskLedger, people: Sequence[Party]) -> Iterator[str]:
        """What contracts hold must be what they owe."""
        chain = self._network.chain
        money = chain.registry.money_of(ledger.task_id)
        held, owed = chain.token.balance_of(chain.registry.address), money.budget_wei + money.reserved_wei
        if held != owed:
            yield f"the registry holds {held} wei and owes {owed}"
        bonds = [chain.staking.bond_of(each.address, role) for each in people for role in Role]
        held, owed = (
            chain.token.balance_of(chain.staking.address),
            sum(each.bonded_wei + each.unbonding_wei for each in bonds),
        )
        if held != owed:
            yield f"staking holds {held} wei and owes {owed}"
        earned = sum(wei for each in ledger.epochs.values() for wei in (*each.claims.values(), *each.fees.values()))
        if earned == 0:
            yield "nobody earned anything"


def slashes(ledger: TaskLedger) -> Iterator[str]:
    """Of anybody: all are honest."""
    for record in ledger.epochs.values():
        yield from (f"submission {index} of epoch {record.epoch} was slashed as fraud" for index in record.frauds)
        yield from (f"{who} was slashed as absent from epoch {record.epoch}" for who in record.absences)
        yield from (f"{who} was slashed for a verdict in epoch {record.epoch}" for _, who in record.paid_plants)


def unpaid(ledger: TaskLedger, trainers: Sequence[Party], verifiers: Sequence[Party]) -> Iterator[str]:
    """What somebody has earned and not got."""
    for each in trainers:
        for earning in submissions_of(ledger, each.address):
            if earning.claimed_wei != earning.earned_wei:
                yield f"{each.name} earned {earning.earned_wei} wei and got {earning.claimed_wei}"
    for each in verifiers:
        yield from (
            f"{each.name} has not claimed its fee of epoch {fee.epoch}"
            for fee in fees_of(ledger, each.address)
            if fee.is_claimable and fee.earned_wei
        )


def soak(out: Path, seconds: float, seed: int) -> Outcome:
    """Raises Stop: it could not be brought to its end."""
    with fresh(out, "--out"), ExitStack() as stack, Children(out / "logs") as children:
        outcome = Soak(out, children, stack, seed).run(seconds)
    (out / "outcome.json").write_text(json.dumps(asdict(outcome), indent=2) + "\n")
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3_600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--out", type=Path, default=Path("runs/soak"))
    options = parser.parse_args()
    signal.signal(
        signal.SIGTERM, signal.getsignal(signal.SIGINT)
    )  # a supervisor's end is a person's: nothing is left behind
    try:
        outcome = soak(options.out.resolve(), options.seconds, options.seed)
    except Stop as error:
        print(f"soak (seed {options.seed}): {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(outcome), indent=2))
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
