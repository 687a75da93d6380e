"""Fuzz targets: numbers. Rollouts, updates in every codec, weights of policies, states of training, TOPLOC proofs,
gossip messages.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from eth_account import Account
from hypothesis import strategies as st

from assay_core.aggregation.aggregate import Aggregate, Contribution
from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.aggregation.policy_delta import PolicyRebuilder, Terms, write_aggregate
from assay_core.aggregation.rules import Rule
from assay_core.aggregation.updates import FOLDER, read_update, write_update
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.bundle.numbers import to_bfloat16
from assay_core.bundle.rollouts import RolloutLimits, parse_rollouts, rollouts_bytes
from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.policy.weights import read_tensors, write_tensors
from assay_core.protocol.encoding import parse_canonical_json
from assay_core.protocol.errors import Rejected
from assay_core.protocol.spec import EnvironmentSpec, RolloutSpec, SamplerSpec, TaskSpec, ToplocSpec
from assay_core.protocol.types import Address, Epoch, Root, SubmissionIndex, TaskId
from assay_core.toploc import build_proofs, check_proofs
from assay_core.training.states import InnerState, read_state, state_name, write_state
from benchmarks.gossip.node import Message, Seat
from benchmarks.gossip.wire import HEAD, Head, Wire, gossip_context
from tests.fuzz.mutate import altered, canonical, damaged, documents
from tests.fuzz.target import Makers, Target

CODECS = ("fp32", "bf16", "int8", "int4", "topk64", "topk20", "topk4")
SHAPES = {"blocks.0.weight": (7, 50), "norm": (3,), "one": ()}
SPEC = TaskSpec(
    title="t",
    environment=EnvironmentSpec(name="sorting"),
    sampler=SamplerSpec(max_new_tokens=6),
    rollout=RolloutSpec(groups=2, group_size=2),
    toploc=ToplocSpec(topk=4, chunk_tokens=4),
)
TOPK, CHUNK, PROMPT = 8, 4, 5
KEY = Account.from_key(b"\x07" * 32)


def rollouts(_: Path) -> Target:
    """What is read is written again as the same bytes' rollouts."""

    def row(group: int, tokens: int) -> Completion:
        proofs = (b"\x01" * 10,) * (1 + -(-tokens // 4))
        logprobs_T = np.linspace(-3, -0.1, tokens, dtype=np.float32)
        return Completion(group, group, (5, 6, group), tuple(range(tokens)), logprobs_T, "eos", 0.5, proofs)

    samples = [
        rollouts_bytes(Rollouts(2, tuple(row(n // 2, tokens) for n, tokens in enumerate(lengths))))
        for lengths in ((3, 1, 6, 2), (1, 1, 1, 1))
    ]
    limits = RolloutLimits.of(SPEC)

    def read(data: bytes) -> None:
        found = parse_rollouts(data, limits)
        assert len(found.completions) == limits.rows
        assert rollouts_bytes(found)

    return Target("rollouts", damaged(samples), read, samples, [b"PAR1" * 3, b"PAR1" + b"\xff" * 8 + b"PAR1"])


def update(codec_name: str, folder: Path) -> Target:
    """A file whose manifest is true: what a cheat commits to. Numbers that are read are finite, of the right shape."""
    codec, random = codec_named(codec_name), np.random.default_rng(5)
    samples: list[bytes] = []
    for scale in (1e-3, 1.0):
        tensors = {name: (random.standard_normal(shape) * scale).astype(np.float32) for name, shape in SHAPES.items()}
        write_update(folder / FOLDER, {name: np.asarray(each) for name, each in tensors.items()}, codec)
        samples.append((folder / FOLDER / "0000.safetensors").read_bytes())

    def read(data: bytes) -> None:
        (folder / FOLDER / "0000.safetensors").write_bytes(data)
        (folder / "last").unlink(missing_ok=True)
        manifest = build_bundle(folder, BundleKind.SUBMISSION, {})
        found = read_update(folder, manifest, SHAPES, codec)
        assert {name: each.shape for name, each in found.items()} == SHAPES
        assert all(np.isfinite(each).all() and each.dtype == np.float32 for each in found.values())

    return Target(f"update {codec_name}", st.one_of(damaged(samples), _headers(samples)), read, samples, cost=3)


@st.composite
def _headers(draw: st.DrawFn, samples: list[bytes]) -> bytes:
    """The JSON head of a tensor file altered, with its length made to fit: what gets past the first look."""
    sample = draw(st.sampled_from(samples))
    size = int.from_bytes(sample[:8], "little")
    head = canonical(draw(altered([json.loads(sample[8 : 8 + size])])))
    if draw(st.booleans()):
        head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + sample[8 + size :]


def weights(folder: Path) -> Target:
    """`weights.safetensors` of a policy."""
    random, path = np.random.default_rng(6), folder / "weights.safetensors"
    write_tensors(path, {name: np.asarray(random.standard_normal(shape), np.float32) for name, shape in SHAPES.items()})
    samples = [path.read_bytes()]

    def read(data: bytes) -> None:
        path.write_bytes(data)
        found = read_tensors(path, SHAPES)
        assert all(np.isfinite(each).all() for each in found.values())

    return Target("weights", st.one_of(damaged(samples), _headers(samples)), read, samples)


def step(folder: Path) -> Target:
    """A policy that says by which step it was made: header and aggregate of a bundle whose manifest is true."""
    random, terms, rebuilder = np.random.default_rng(11), Terms(codec_named("int8"), 0.7, 0.6), PolicyRebuilder()
    numbers = {name: np.asarray(random.standard_normal(shape), np.float32) for name, shape in SHAPES.items()}
    base, following, made = folder / "base", folder / "following", folder / "made"
    write_tensors(base / WEIGHTS_NAME, numbers)
    root = build_bundle(base, BundleKind.POLICY, {"version": 0}).root
    write_aggregate(Aggregate([Contribution(SubmissionIndex(0), 1, numbers)], Rule()), terms, following)
    path = following / FOLDER / "0000.safetensors"
    fields = {"parent": root.hex(), "version": 1, **terms.fields()}
    samples = [path.read_bytes()]

    def read(value: tuple[bytes, bytes]) -> None:
        header = parse_canonical_json(value[0])
        if not isinstance(header, dict):
            return
        path.write_bytes(value[1])
        manifest = build_bundle(following, BundleKind.POLICY, header)
        shutil.rmtree(made, ignore_errors=True)
        if rebuilder.plan(manifest) is not None:
            rebuilder.make(manifest, following, base, made)
            assert all(np.isfinite(each).all() for each in read_tensors(made / WEIGHTS_NAME, SHAPES).values())

    valid = [(canonical(fields), sample) for sample in samples]
    inputs = st.tuples(documents([fields]), st.one_of(st.just(samples[0]), damaged(samples), _headers(samples)))
    return Target("step", inputs, read, valid, cost=3)


def state(folder: Path) -> Target:
    """The state after an inner step, whose manifest is true. What is read is finite, of the right shapes."""
    random, path = np.random.default_rng(9), folder / state_name(0)
    parts = [{name: np.asarray(random.random(shape), np.float32) for name, shape in SHAPES.items()} for _ in range(3)]
    write_state(folder, 0, InnerState(*parts))
    samples = [path.read_bytes()]

    def read(data: bytes) -> None:
        path.write_bytes(data)
        (folder / "last").unlink(missing_ok=True)
        found = read_state(folder, build_bundle(folder, BundleKind.SUBMISSION, {}), 0, SHAPES)
        for part in (found.parameters, found.first, found.second):
            assert {name: each.shape for name, each in part.items()} == SHAPES
            assert all(np.isfinite(each).all() for each in part.values())
        assert all((each >= 0).all() for each in found.second.values())

    return Target("state", st.one_of(damaged(samples), _headers(samples)), read, samples, cost=3)


def proofs(_: Path) -> Target:
    """Proofs of one sequence: too few, too many, of any length, with any coefficients."""
    hidden_NH = np.random.default_rng(7).standard_normal((PROMPT + 11, 16)).astype(np.float32)
    bits_NH = to_bfloat16(hidden_NH)
    honest = build_proofs(bits_NH, PROMPT, topk=TOPK, chunk_tokens=CHUNK)

    def read(claimed: list[bytes]) -> None:
        distances = check_proofs(bits_NH, PROMPT, claimed, topk=TOPK, chunk_tokens=CHUNK)
        assert len(distances) == len(honest)
        assert claimed == honest or any(each.exponent_mismatches or each.mantissa_mean for each in distances)

    @st.composite
    def inputs(draw: st.DrawFn) -> list[bytes]:
        claimed = list(honest)
        for _ in range(draw(st.integers(1, 3))):
            place = draw(st.integers(0, max(len(claimed) - 1, 0)))
            match draw(st.integers(0, 4)):
                case 0:
                    claimed = claimed[:place]
                case 1:
                    claimed.insert(place, draw(st.binary(max_size=40)))
                case 2:
                    claimed[place : place + 1] = [draw(damaged(honest))]
                case 3:
                    claimed[place : place + 1] = [draw(st.binary(min_size=2 + 2 * TOPK, max_size=2 + 2 * TOPK))]
                case _:
                    claimed[place : place + 1] = [b""]
        return claimed

    return Target("proofs", inputs(), read, [honest], [[], [b""] * len(honest), honest * 2])


def gossip(_: Path) -> Target:
    """A message between peers, head and payload."""
    members = [Address(KEY.address)]
    context = gossip_context(TaskId(1), Epoch(2), Root(bytes(32)), members)
    wires = [Wire(context, members, 300, codec_named(name)) for name in CODECS]
    states = np.random.default_rng(8).standard_normal(300).astype(np.float32)
    samples = [wire.encode(Message(Seat(0), 3, states), KEY) for wire in wires]

    def read(data: bytes) -> None:
        for wire in wires:
            with suppress(Rejected):
                message = wire.read(wire.read_head(data[: HEAD.size]), data[HEAD.size :])
                assert np.isfinite(message.state_D).all()
        for wire in wires:  # as if its member had signed it: what is left are the numbers
            with suppress(Rejected):
                wire.read(_signed(data), data[HEAD.size :])

    return Target("gossip", damaged(samples), read, samples, cost=4)


def _signed(data: bytes) -> Head:
    return Head(Seat(0), 0, hashlib.sha256(data[HEAD.size :]).digest())


UPDATES: dict[str, Callable[[Path], Target]] = {f"update {name}": partial(update, name) for name in CODECS}
BINARIES: Makers = {
    "rollouts": rollouts,
    **UPDATES,
    "weights": weights,
    "step": step,
    "state": state,
    "proofs": proofs,
    "gossip": gossip,
}
