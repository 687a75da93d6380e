"""Open a task: build policy version 0 and the task bundle, escrow the budget, then put both on the relays.

The bundles stay in a folder named by the task bundle's root, so that an upload that failed is finished later.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from assay_core import __version__
from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.bundle.task import write_task
from assay_core.environments import make_environment
from assay_core.protocol.amounts import Money
from assay_core.protocol.errors import ProtocolError, Reverted, Stop, Unavailable
from assay_core.protocol.types import Address, Root, Seed, TaskId, TaskParams
from assay_protocol.economics.objections import cheating_pays, objection
from assay_protocol.network import Network
from assay_protocol.task_file import TaskFile

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.contracts import Call
    from assay_core.chain.signers import Signer
    from assay_core.environments.interface import Environment
    from assay_core.policy.interface import Policy
    from assay_core.protocol.spec import TaskSpec
    from assay_core.transport.engine import Engine

PROMPTS_TRIED = 16
STATES_PERCENT = 75  # of a submission, at most: the rest is for rollouts and the update


@dataclass(frozen=True, slots=True)
class Bundles:
    """Both bundles of a task on disk: `folder`/task and `folder`/policy."""

    folder: Path
    task: Manifest
    policy: Manifest

    @property
    def spec_uri(self) -> str:
        return f"assay:0x{self.task.root.hex()}"

    @property
    def policy_dir(self) -> Path:
        return self.folder / "policy"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a task file asks for, in wei of the network's token."""

    params: TaskParams
    budget_wei: int
    money: Money


@dataclass(frozen=True, slots=True)
class OpenedTask:
    """A task that is open on chain, and its bundles."""

    task_id: TaskId
    bundles: Bundles
    params: TaskParams


def open_task(
    network: Network,
    task: TaskFile,
    *,
    account: "Signer",
    state_dir: str | PathLike[str] | None = None,
) -> OpenedTask:
    """Open a task: build policy version 0, escrow the budget from the account, put spec and policy on the relays.

    Args:
        state_dir: where the bundles stay; by default a folder of the network's.
    Raises Stop: terms that the contracts refuse, or no balance. Unavailable: the node or the relays are down; if the
    task is open by then, the message says so. Rejected: no such environment.
    """
    from assay_core.chain.events import TaskOpened
    from assay_protocol.sending import send_all

    terms = terms_of(network, task)
    bundles = build_task(task, network.state_dir / "tasks" if state_dir is None else state_dir)
    calls = opening_calls(network.chain, Address(account.address), bundles, terms)
    try:
        sent = send_all(network.chain, account, calls)
    except Reverted as error:
        raise explain_refusal(error, terms) from error
    task_id = sent[-1][1].event(TaskOpened).task_id
    upload_opened(network, task_id, bundles, account)
    return OpenedTask(task_id, bundles, terms.params)


def upload_opened(network: Network, task_id: TaskId, bundles: Bundles, account: "Signer") -> None:
    """Put the bundles of a task that is open on the relays. Raises Unavailable, Stop: they say how to finish."""
    try:
        with network.open_transport() as transport:
            upload(transport, bundles, account)
    except ProtocolError as error:
        kind = Unavailable if isinstance(error, Unavailable) else Stop
        raise kind(
            f"task {task_id} is open, but its files are not on the relays yet ({error}): "
            f"run `assay task upload {task_id}`"
        ) from error


def terms_of(network: Network, task: TaskFile, *, needs_relays: bool = True) -> Terms:
    """What would fail is found before a policy is built: terms, relays (which must be there to take it).

    Raises Stop, Unavailable.
    """
    money = network.chain.money()
    params, budget_wei = task.params(money.decimals), task.budget_wei(money.decimals)
    if problem := objection(params, budget_wei, money):
        raise Stop(problem)
    if (windows := windows_of(params)) >= (period := network.chain.staking.unbonding_period_s()):
        raise windows_too_long(windows, period)
    if problem := window_too_short(params, network.chain.registry.min_window_s()):
        raise Stop(problem)
    if needs_relays:
        with network.open_transport() as transport:
            transport.has(Root(bytes(32)))  # Unavailable when no relay answers
    return Terms(params, budget_wei, money)


def build_task(task: TaskFile, folder: str | PathLike[str]) -> Bundles:
    """Build policy version 0 and both bundles below `folder`; what the same file has led to before is taken from there.

    Raises Stop: the policy cannot be built or does not fit the task. Rejected: no such environment.
    """
    folder = Path(folder)
    environment = make_environment(task.spec.environment)
    note = folder / f".built-{_key(task)}"
    if (found := _built_before(note)) is not None:
        return found
    from assay_core.policy import initial_policy, require_reloading, save_policy  # slow to import

    submission = folder / ".building"
    shutil.rmtree(submission, ignore_errors=True)
    task_manifest = write_task(submission / "task", task.spec)
    policy = initial_policy(task.policy, task.seed, environment)
    require_fit(policy, environment, task.spec)
    require_room_for_states({name: tuple(value.shape) for name, value in policy.trainable().items()}, task.spec)
    save_policy(policy, submission / "policy")
    require_reloading(policy, submission / "policy")
    policy_manifest = build_bundle(submission / "policy", BundleKind.POLICY, {"version": 0})
    if policy_manifest.size_bytes > task.spec.limits.policy_bytes:
        raise Stop(
            f"{task.path}: policy version 0 has {policy_manifest.size_bytes} bytes, above task.limits.policy_bytes "
            f"({task.spec.limits.policy_bytes}): raise the limit"
        )
    target = folder / f"{task_manifest.root.hex()[:16]}-{policy_manifest.root.hex()[:16]}"
    shutil.rmtree(target, ignore_errors=True)
    submission.rename(target)
    if task.policy.get("kind") == "tiny":  # nothing outside of the file leads to it
        note.write_text(f"{task_manifest.root.hex()} {policy_manifest.root.hex()}\n")
    return Bundles(target, task_manifest, policy_manifest)


def _key(task: TaskFile) -> str:
    """Of all that a policy that is drawn and warmed up, and the task's bundle, follow from."""
    policy = json.dumps(task.policy, sort_keys=True, default=str)
    parts = (__version__, task.spec.to_bytes().hex(), policy, task.seed.hex())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _built_before(note: Path) -> Bundles | None:
    """Bundles that a former build has left and noted, if every byte of them is still what it was."""
    try:
        return find_bundles(note.parent, [bytes.fromhex(root) for root in note.read_text(encoding="utf-8").split()])
    except (OSError, ValueError, ProtocolError):
        return None


def require_fit(policy: "Policy", environment: "Environment", spec: "TaskSpec") -> None:
    """Raises Stop: prompts that the policy cannot read, or too long to leave room for a completion."""
    from assay_core.protocol.errors import Rejected

    seed = Seed(bytes(32))
    for index in range(PROMPTS_TRIED):
        prompt = environment.prompt(seed, index)
        try:
            tokens = len(policy.encode(prompt.text))
        except Rejected as error:
            raise Stop(f"the policy cannot read the prompt {prompt.text[:80]!r}: {error}") from error
        if tokens + spec.sampler.max_new_tokens > policy.context_tokens:
            raise Stop(
                f"a prompt of {tokens} tokens and task.sampler.max_new_tokens = {spec.sampler.max_new_tokens} exceed "
                f"the policy's context of {policy.context_tokens}: lower it, or take a policy with a longer context"
            )


def require_room_for_states(shapes: Mapping[str, tuple[int, ...]], spec: "TaskSpec") -> None:
    """Raises Stop: a submission whose training is replayed step by step would exceed what a submission may hold."""
    from assay_core.training.states import states_bytes

    if spec.checks.replay != "steps":
        return
    room = spec.limits.submission_bytes * STATES_PERCENT // 100
    if (needed := states_bytes(shapes, spec.recipe.inner_steps)) > room:
        raise Stop(
            f"the states of {spec.recipe.inner_steps} inner steps take {needed} bytes of a submission, and "
            f"{STATES_PERCENT} % of task.limits.submission_bytes are {room}: raise it, "
            "train less (policy.adapter), take fewer inner steps, or "
            'set task.checks.replay = "whole"'
        )


def opening_calls(chain: "Chain", owner: Address, bundles: Bundles, terms: Terms) -> "list[Call]":
    """What opens a task with these bundles, the budget's approval first. Raises Stop: the balance does not suffice."""
    roots = bundles.task.root, bundles.spec_uri, bundles.policy.root
    return chain.paying(owner, terms.budget_wei, chain.registry.open_task(terms.params, *roots, terms.budget_wei))


def refunding_calls(chain: "Chain", task_id: TaskId) -> "list[Call]":
    """What returns what a task no longer needs to its initiator. Raises Unavailable.

    Where it is due the last epoch of a closed task is ended first: what that reserves comes free.
    """
    refund, opened = chain.registry.refund_task(task_id), chain.commitments.open_epoch_of(task_id)
    if not chain.registry.money_of(task_id).is_closed or not opened.is_open or opened.submissions:
        return [refund]
    if chain.now() < chain.commitments.epoch_of(task_id, opened.epoch).commit_by:
        return [refund]
    return [chain.commitments.abandon_epoch(task_id), refund]


def explain_refusal(error: Reverted, terms: Terms) -> Stop | Reverted:
    """What to change in the task file when `openTask` reverts; the revert itself where that says it all."""
    money, values = terms.money, error.arguments
    if error.error == "CheatingPays":
        return Stop(cheating_pays(terms.params, int(str(values["needed"])), money))
    if error.error == "BadParams":
        return Stop(f"the contracts refuse terms.{_snake(str(values['what']))}: see `assay economics SPEC.TOML`")
    if error.error == "BudgetTooSmall":
        needed = money.show(int(str(values["needed"])))
        return Stop(f"the budget does not pay for one epoch, which may cost {needed}: raise budget")
    if error.error == "WindowsTooLong":
        windows, period = int(str(values["windows"])), int(str(values["unbondingPeriod"]))
        return windows_too_long(windows, period)
    return error


def windows_of(params: TaskParams) -> int:
    """The longest that can lie between an epoch's opening and its last slash, in seconds, as the contracts count it.

    A seal may wait for verifiers for one attest window more; challenges are revealed in a window of their own; a panel
    is drawn, commits and reveals.
    """
    twice = params.attest_window + params.reveal_window
    return params.commit_window + 2 * twice + params.challenge_window + 3 * params.appeal_window


def window_too_short(params: TaskParams, least_s: int) -> str | None:
    """Which window is shorter than the deployment allows; None: none. A challenge window has two halves."""
    needed = {"commit": least_s, "attest": least_s, "reveal": least_s}
    if params.challenge_window:
        needed |= {"challenge": 2 * least_s, "appeal": least_s}
    for name, seconds in needed.items():
        if (window := getattr(params, f"{name}_window")) < seconds:
            return f"terms.{name}_window is {window} s, and this deployment asks for {seconds} s at least: lengthen it"
    return None


def windows_too_long(windows_s: int, unbonding_s: int) -> Stop:
    """What to tell an initiator whose windows outlast the bonds."""
    from assay_core.inspect.formatting import duration

    return Stop(
        f"the windows (attest and reveal twice, appeal three times) sum to {duration(windows_s)}, but bonds can be "
        f"withdrawn after {duration(unbonding_s)} on this network: shorten terms.*_window to less than that together"
    )


def upload(engine: "Engine", bundles: Bundles, account: "Signer") -> None:
    """Put both bundles on the relays; what is there already is not sent again. Raises Unavailable, Stop."""
    engine.publish(bundles.folder / "task", bundles.task, account)
    engine.publish(bundles.folder / "policy", bundles.policy, account)


def find_bundles(folder: Path, roots: Sequence[bytes]) -> Bundles:
    """Bundles that a former `open` left here, by the roots that the chain names. Raises Stop: there are none."""
    limits = BundleLimits(bundle_bytes=2**62)
    task_root, policy_root = roots
    found = folder / f"{task_root.hex()[:16]}-{policy_root.hex()[:16]}"
    if not found.is_dir():
        raise Stop(
            f"{found} is not there: the bundles are on the machine where the task was opened, or under another "
            "--state-dir"
        )
    task, policy = open_bundle(found / "task", limits), open_bundle(found / "policy", limits)
    if (task.root, policy.root) != (task_root, policy_root):
        raise Stop(f"{found} holds other bundles than the task's: open the task again")
    return Bundles(found, task, policy)


def _snake(name: str) -> str:
    """E.g. `samplingBps` as `sampling`, `unitPrice` as `unit_price`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removesuffix("_bps")
