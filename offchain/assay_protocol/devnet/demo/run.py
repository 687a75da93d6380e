"""The course of a demo: set the stage, let everybody work, close the task, pay out, judge."""

import json
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live

from assay_core.chain.event_store import EventStore
from assay_core.chain.follow import TaskFollower
from assay_core.chain.ledger import TaskLedger
from assay_core.environments.registry import make_environment
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import TaskId
from assay_core.transport.choose import EngineName, Transport
from assay_core.transport.engine import fetch_spec
from assay_protocol.devnet.demo import observe
from assay_protocol.devnet.demo.accidents import Accidents, Victim
from assay_protocol.devnet.demo.group import Group, make_group
from assay_protocol.devnet.demo.observe import Cast, RewardCurve
from assay_protocol.devnet.demo.outcome import MIN_RISE, DemoOutcome
from assay_protocol.devnet.demo.picture import draw_rewards
from assay_protocol.devnet.demo.traffic import TrafficMeter
from assay_protocol.devnet.demo.view import Snapshot, print_line, render, save_screen
from assay_protocol.devnet.localnet import LocalNetwork, Party
from assay_protocol.devnet.processes import Children
from assay_protocol.tasks import network_task

TOKEN = 10**18
LOOK_SECONDS = 0.5
LINE_SECONDS = 5.0
ADVERSARIES = ("other-model", "altered-update")


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What to run. Training ends when `rise` is reached and all was seen, or after `train_seconds`.

    All: both cheats were slashed, what was killed was not missed. `is_assisted`: one trainer has an assistant.
    """

    task_file: Path
    out: Path
    rise: float = 0.4
    train_seconds: float = 600
    settle_seconds: float = 300
    prompts: int = 256  # held out, to measure with
    threads: int = 1
    engine: EngineName = "relay"
    min_rise: float = MIN_RISE  # less is a failure
    is_assisted: bool = False
    verifiers: int = 3
    honest: int = 3
    versions_before_death: int = 3  # of the policy, version 0 included; by then submissions are under way everywhere


def make_plan(out: Path, engine: EngineName, *, is_real: bool) -> DemoPlan:
    """The demo of minutes, or the one with a real model, which takes as long as it takes."""
    if is_real:
        real = network_task("real")
        return DemoPlan(real, out, rise=0.35, train_seconds=6 * 3600, settle_seconds=7200, prompts=32, engine=engine)
    return DemoPlan(network_task("sorting"), out, engine=engine, is_assisted=True)


class Demo:
    """One run. Everything that it starts ends with `children`."""

    def __init__(self, plan: DemoPlan, children: Children, console: Console) -> None:
        self._plan = plan
        self._children = children
        self._console = console
        self._began = time.monotonic()
        self._network = LocalNetwork(plan.out, children)

    def run(self) -> DemoOutcome:
        """Raises Stop: a process failed, or the network came to a standstill."""
        with self._screen() as show:
            show("starting the chain, deploying the contracts")
            self._network.start_chain()
            self._network.start_carrier(self._plan.engine)
            cast = self._fund()
            show("opening the task: policy version 0 learns from a few examples")
            task_id = self._open_task(cast)
            group = self._make_group(cast, task_id)
            accidents = Accidents(self._children, self._victims(cast, group), self.elapsed_s, self._height)
            store = EventStore(self._plan.out / "events.sqlite", self._network.chain.deployment)
            follower = TaskFollower(self._network.chain, store, task_id)
            with self._network.observer() as engine:
                seen = self._observation(engine, follower.refresh(), cast, accidents, group)
                self._start_workers(cast, task_id, group)
                watch = _Watch(self, seen, follower, show)
                watch.until("training", lambda ledger: self._is_shown(ledger, seen), self._plan.train_seconds)
                self._network.send(cast.initiator, self._network.chain.registry.close_task(task_id))
                over = watch.until("finishing the last epochs", observe.is_over, self._plan.settle_seconds)
                if not observe.is_over(over):
                    raise Stop(f"the last epochs did not end in time; see the logs in {self._plan.out / 'logs'}")
                self._pay_out(cast, task_id, show)
                ledger = watch.until("paid out", lambda _: True, 0)
                outcome = self._judge(ledger, seen, engine)
                save_screen(self._plan.out / "screen.svg", self.look(ledger, seen, "paid out"))
                return outcome

    # -- setting the stage

    def _fund(self) -> Cast:
        network = self._network

        def several(role: str, count: int) -> tuple[Party, ...]:
            return tuple(network.party(f"{role}-{n}", 1_000 * TOKEN) for n in range(1, count + 1))

        return Cast(
            initiator=network.party("initiator", 10_000 * TOKEN),
            verifiers=several("verifier", self._plan.verifiers),
            honest=several("trainer", self._plan.honest),
            cheats=several("cheat", len(ADVERSARIES)),
        )

    def _make_group(self, cast: Cast, task_id: TaskId) -> Group | None:
        leader = cast.honest[-1]
        folder = Path(self._network.env_of(leader.name)["ASSAY_STATE_DIR"])
        return make_group(leader, folder, task_id) if self._plan.is_assisted else None

    def _victims(self, cast: Cast, group: Group | None) -> list[Victim]:
        """The second of the servers, where some have their bundles and others read; the assistant."""
        servers = self._network.carrier.servers
        honest = frozenset(each.address for each in cast.honest)
        versions = self._plan.versions_before_death
        victims = list[Victim]()
        if len(servers) > 1:
            victims.append(Victim(servers[1], honest, lambda ledger: len(ledger.policies) >= versions))
        if group is not None:
            victims.append(
                Victim(
                    group.assistant,
                    frozenset({group.leader.address}),
                    lambda ledger: len(ledger.policies) >= versions - 1,  # before the server dies
                    group.is_amid_steps,
                )
            )
        return victims

    def _open_task(self, cast: Cast) -> TaskId:
        task_id = self._network.open_task(cast.initiator, self._plan.task_file)
        if self._plan.engine == "swarm":  # the command has ended, and nobody else has a copy yet
            arguments = ("swarm", "seed", "--keystore", cast.initiator.name)
            self._children.assay("initiator-seed", *arguments, env=self._network.env_of(cast.initiator.name))
        return task_id

    def _observation(
        self, engine: Transport, ledger: TaskLedger, cast: Cast, accidents: Accidents, group: Group | None
    ) -> "_Seen":
        spec = fetch_spec(engine, ledger.task.spec_hash)
        curve = RewardCurve(engine, spec, make_environment(spec.environment), self._plan.prompts)
        return _Seen(cast, curve, TrafficMeter(engine, spec, cast.honest), accidents, group)

    def _start_workers(self, cast: Cast, task_id: TaskId, group: Group | None) -> None:
        params = self._network.chain.registry.params_of(task_id)
        self._network.bond_verifiers(cast.verifiers, params)
        self._network.bond_trainers(cast.trainers, params)
        self._network.tick()
        for party in cast.verifiers:
            self._start_worker(party, "verifier", task_id)
        for party in cast.honest:
            is_leader = group is not None and party is group.leader
            self._start_worker(party, "trainer", task_id, *(group.leaders_options if group and is_leader else ()))
        if group is not None:
            group.start_assistant(self._children, self._network.env_of(group.assistant))
        for party, adversary in zip(cast.cheats, ADVERSARIES, strict=True):
            self._start_worker(party, "trainer", task_id, "--adversary", adversary)

    def _start_worker(self, party: Party, role: str, task_id: TaskId, *more: str) -> None:
        self._network.start_daemon(party, role, task_id, "--threads", str(self._plan.threads), *more)

    # -- while it runs

    def _is_shown(self, ledger: TaskLedger, seen: "_Seen") -> bool:
        rewards = seen.curve.rewards
        enough = len(rewards) > 1 and rewards[-1] - rewards[0] >= self._plan.rise
        return enough and observe.both_cheats_slashed(ledger, seen.cast) and seen.accidents.are_survived(ledger)

    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def _height(self) -> int:
        return self._network.chain.web3.eth.block_number

    def look(self, ledger: TaskLedger, seen: "_Seen", stage: str) -> Snapshot:
        carrier = self._network.carrier
        return observe.snapshot(
            self._network.chain,
            ledger,
            seen.cast,
            seen.curve.rewards,
            seen.traffic.sent,
            [seen.accidents.state_of(server) for server in carrier.servers],
            carrier.note,
            [] if seen.group is None else [seen.accidents.state_of(seen.group.assistant)],
            stage=stage,
            elapsed_s=self.elapsed_s(),
        )

    def strike(self, ledger: TaskLedger, seen: "_Seen") -> None:
        """Let what is to go wrong by now go wrong."""
        if not ledger.task.is_closed:
            seen.accidents.strike(ledger)

    def check_children(self, cast: Cast, *, is_closing: bool) -> None:
        """A slashed cheat has nothing left to do, and once the task is closed so has everybody in the end."""
        may_end = (*cast.trainers, *cast.verifiers) if is_closing else cast.cheats
        self._children.check(frozenset(each.name for each in may_end))

    @contextmanager
    def _screen(self) -> Generator[Callable[[str | Snapshot], None]]:
        if not self._console.is_terminal:
            yield _Lines(self._console, self.elapsed_s)
            return
        with Live(console=self._console, refresh_per_second=4, screen=False) as live:
            yield lambda shown: live.update(shown if isinstance(shown, str) else render(shown))

    # -- the end

    def _pay_out(self, cast: Cast, task_id: TaskId, show: Callable[[str | Snapshot], None]) -> None:
        """Side by side: each is a process of its own."""
        show("everybody claims")
        number = str(task_id)
        with ThreadPoolExecutor(8) as pool:
            claims = [
                pool.submit(self._network.assay, each, "rewards", "claim", "--task", number) for each in cast.trainers
            ]
            claims += [
                pool.submit(self._network.assay, each, "rewards", "claim-fees", "--task", number)
                for each in cast.verifiers
            ]
            for claim in claims:
                claim.result()
        self._network.assay(cast.initiator, "task", "refund", number)

    def _judge(self, ledger: TaskLedger, seen: "_Seen", engine: Transport) -> DemoOutcome:
        seen.curve.update(ledger)
        with suppress(Unavailable):  # a submission that nobody serves any more is not measured
            seen.traffic.update(ledger)
        cast = seen.cast
        outcome = DemoOutcome(
            wall_seconds=self.elapsed_s(),
            engine=self._plan.engine,
            epochs=sum(each.is_final for each in ledger.epochs.values()),
            rewards=tuple(seen.curve.rewards),
            trainers=tuple(observe.trainer_outcome(ledger, each, each in cast.honest) for each in cast.trainers),
            policy_roots=tuple(each.policy_root.hex() for each in ledger.policies),
            derived_roots=tuple(observe.derived_roots(engine, ledger, cast)),
            verifiers=len(cast.verifiers),
            gas=observe.gas_by_function(self._network.chain),
            traffic=tuple(seen.traffic.sent[name] for name in sorted(seen.traffic.sent)),
            spread=seen.curve.spread,
            aftermath=seen.accidents.aftermath(ledger),
            group=seen.group.submission() if seen.group is not None else None,
            min_rise=self._plan.min_rise,
        )
        (self._plan.out / "summary.json").write_text(json.dumps(outcome.summary(), indent=2) + "\n", encoding="utf-8")
        slashes = observe.slashes_by_version(ledger, cast)
        draw_rewards(self._plan.out / "reward.png", outcome.rewards, slashes, seen.curve.spec.title)
        return outcome


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is observed besides the chain."""

    cast: Cast
    curve: RewardCurve
    traffic: TrafficMeter
    accidents: Accidents
    group: Group | None

    def update(self, ledger: TaskLedger) -> None:
        """Raises Unavailable: what was published a moment ago cannot be had yet."""
        self.curve.update(ledger)
        self.traffic.update(ledger)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Looks at the chain until something holds."""

    demo: Demo
    seen: _Seen
    follower: TaskFollower
    show: Callable[[str | Snapshot], None]

    def until(self, stage: str, holds: Callable[[TaskLedger], bool], seconds: float) -> TaskLedger:
        """Returns when it holds, or when the time is over. Raises Stop: a process died."""
        deadline = time.monotonic() + seconds
        while True:
            ledger = self.follower.refresh()
            self.demo.strike(ledger, self.seen)
            with suppress(Unavailable):  # it is there soon
                self.seen.update(ledger)
            self.show(self.demo.look(ledger, self.seen, stage))
            self.demo.check_children(self.seen.cast, is_closing=ledger.task.is_closed)
            if holds(ledger) or time.monotonic() >= deadline:
                return ledger
            time.sleep(LOOK_SECONDS)


class _Lines:
    """Where there is no terminal: a line now and then."""

    def __init__(self, console: Console, elapsed_s: Callable[[], float]) -> None:
        self._console = console
        self._elapsed_s = elapsed_s
        self._next = 0.0
        self._stage = ""

    def __call__(self, shown: str | Snapshot) -> None:
        if isinstance(shown, str):
            self._console.print(f"{self._elapsed_s():6.1f} s  {shown}", highlight=False)
        elif self._elapsed_s() >= self._next or shown.stage != self._stage:
            self._next = self._elapsed_s() + LINE_SECONDS
            self._stage = shown.stage
            print_line(self._console, shown)
