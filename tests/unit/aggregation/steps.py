"""Policies of which each is made from the one before by a step that its bundle tells."""

from pathlib import Path

import numpy as np

from assay_core.aggregation.aggregate import Aggregate, Contribution
from assay_core.aggregation.optimizer import MOMENTUM_NAME, WEIGHTS_NAME, OuterStep, open_momentum, write_step
from assay_core.aggregation.policy_delta import Terms, write_aggregate
from assay_core.aggregation.rules import Rule
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.bundle.named_tensors import Float32File
from assay_core.bundle.numbers import Float32
from assay_core.bundle.tensor_files import write_tensors
from assay_core.protocol.encoding import Json
from assay_core.protocol.types import SubmissionIndex

SHAPES = {"embed": (1_031, 1_100), "head": (96, 257), "scale": ()}

Version = tuple[Path, Manifest]


def numbers(seed: int, size: float = 1.0) -> dict[str, Float32]:
    random = np.random.default_rng(seed)
    return {name: np.asarray(size * random.normal(size=shape), np.float32) for name, shape in SHAPES.items()}


def first_version(folder: Path) -> Version:
    write_tensors(folder / WEIGHTS_NAME, numbers(0))
    (folder / "policy.json").write_bytes(b"{}")
    return folder, build_bundle(folder, BundleKind.POLICY, {"version": 0})


def next_version(folder: Path, base: Version, terms: Terms, seed: int = 7, **fields: Json) -> Version:
    aggregate = Aggregate([Contribution(SubmissionIndex(0), 1, numbers(seed, 0.01))], Rule())
    (folder / "update").mkdir(parents=True)
    (folder / "policy.json").write_bytes(b"{}")
    kept, weights = write_aggregate(aggregate, terms, folder), Float32File(base[0] / WEIGHTS_NAME)
    step = OuterStep(weights, open_momentum(*base, weights.shapes), kept, terms.lr, terms.momentum)
    write_step(step, folder / WEIGHTS_NAME, folder / MOMENTUM_NAME, aggregate.piece)
    said: dict[str, Json] = {"parent": base[1].root.hex(), **terms.fields(), **fields}
    return folder, build_bundle(folder, BundleKind.POLICY, said)
