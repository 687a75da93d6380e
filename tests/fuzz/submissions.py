"""Fuzz targets: whole bundles. Policies that are loaded, and submissions that are judged, with one file damaged."""

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.manifest import MANIFEST_NAME, BundleKind, BundleLimits
from assay_core.bundle.rollouts import ROLLOUTS_NAME
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.policy.weights import POLICY_NAME
from assay_core.protocol.errors import Malformed, Unavailable
from assay_core.protocol.spec import CheckSpec, TaskSpec
from assay_core.protocol.types import SCORE_FULL, Root, Seed
from assay_verifier.judge import judge
from tests.fuzz.mutate import HOSTILE_JSON, canonical, damaged, documents
from tests.fuzz.target import Makers, Target
from tests.submissions import LoadedContext
from tests.unit.verifier.honest import SPEC, HonestTrainer

START: dict[str, Any] = {"kind": "tiny", "layers": 1, "width": 8, "heads": 2, "context": 16}
ADAPTER: dict[str, Any] = {"rank": 2, "alpha": 4, "targets": ["blocks.*"]}
ADAPTED = START | {"adapter": ADAPTER}
STEP_WISE = SPEC.model_copy(update={"checks": CheckSpec(replay="steps")})
MEMORY_BYTES = 192 * 2**20


def policy(folder: Path, start: dict[str, Any] = START, name: str = "policy") -> Target:
    """`policy.json` and the weights, which it describes."""
    environment = make_environment(SPEC.environment)
    directory = folder / "policy"
    save_policy(initial_policy(start, Seed(b"\x01" * 32), environment), directory)
    config, weights = (directory / POLICY_NAME).read_bytes(), (directory / WEIGHTS_NAME).read_bytes()
    sample = json.loads(config)
    large: Any = {**sample, "architecture": {**sample["architecture"], "layers": 64, "width": 4_096, "context": 32_768}}
    patterns = ["[z-a]*[!]", "[[[[*?*?*?*"]
    regular: Any = (
        {**sample, "adapter": {**ADAPTER, "targets": patterns}}
        if "adapter" in sample
        else {**sample, "trainable": patterns}
    )

    def read(parts: tuple[bytes, bytes]) -> None:
        (directory / POLICY_NAME).write_bytes(parts[0])
        (directory / WEIGHTS_NAME).write_bytes(parts[1])
        loaded = load_policy(directory)
        loaded.generate([[0]], np.full((1, 1), 0.5), SPEC.sampler.model_copy(update={"max_new_tokens": 1}))

    inputs = st.one_of(
        st.tuples(documents([sample], raw=HOSTILE_JSON), st.just(weights)),
        st.tuples(st.just(config), damaged([weights])),
    )
    always = [(canonical(each), weights) for each in (large, regular)]
    always += [(each, weights) for each in HOSTILE_JSON]
    return Target(
        name, inputs, read, [(config, weights)], always, typed=(Malformed,), memory_bytes=MEMORY_BYTES, cost=4
    )


def submission(folder: Path, start: dict[str, Any] = START, spec: TaskSpec = SPEC, name: str = "submission") -> Target:
    """A submission with one file damaged and a manifest that is true of it: the judge gives a verdict, whatever it
    is.
    """
    torch.set_num_threads(1)
    environment = make_environment(spec.environment)
    learner = initial_policy(start, Seed(b"\x01" * 32), environment)
    trainer = HonestTrainer(spec, learner, Root(b"\x03" * 32), folder, environment)
    honest = trainer.write(trainer.parts())
    samples = {each.name: (honest.directory / each.name).read_bytes() for each in honest.manifest.files}
    fields = trainer.header().fields()

    def read(part: tuple[str, bytes]) -> None:
        name, data = part
        directory = folder / "broken"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(honest.directory, directory)
        (directory / MANIFEST_NAME).unlink()
        (directory / name).write_bytes(data)
        manifest = build_bundle(directory, BundleKind.SUBMISSION, fields)
        case = trainer.case(replace(honest, directory=directory, manifest=manifest))
        verdict = judge(case, LoadedContext(learner, environment), directory, manifest).verdict
        assert verdict.findings and (verdict.reason is None) == (verdict.score == SCORE_FULL)
        assert json.loads(canonical(verdict.json())) == verdict.json()

    inputs = st.sampled_from(sorted(samples)).flatmap(lambda name: st.tuples(st.just(name), damaged([samples[name]])))
    return Target(
        name, inputs, read, [(ROLLOUTS_NAME, samples[ROLLOUTS_NAME])], typed=(), memory_bytes=MEMORY_BYTES, cost=10
    )


def directory(folder: Path) -> Target:
    """A folder from anywhere beside a manifest from anywhere."""
    bundle = folder / "bundle"
    (bundle / "a").mkdir(parents=True)
    (bundle / "a" / "one").write_bytes(b"one")
    (bundle / "two.txt").write_bytes(b"two")
    manifest = build_bundle(bundle, BundleKind.TASK, {"task": 1})
    (folder / "secret").write_bytes(b"not in the bundle")
    data = (bundle / MANIFEST_NAME).read_bytes()
    disorders = ("", "link to file", "link to folder", "surplus", "missing", "pipe")

    def read(found: tuple[bytes, str]) -> None:
        text, disorder = found
        shutil.rmtree(bundle)
        (bundle / "a").mkdir(parents=True)
        (bundle / "two.txt").write_bytes(b"two")
        (bundle / "a" / "one").write_bytes(b"one")
        if disorder == "link to file":
            (bundle / "a" / "one").unlink()
            (bundle / "a" / "one").symlink_to(folder / "secret")
        elif disorder == "link to folder":
            (bundle / "b").symlink_to(folder, target_is_directory=True)
        elif disorder == "surplus":
            (bundle / "a" / ".hidden").write_bytes(b"")
        elif disorder == "missing":
            (bundle / "two.txt").unlink()
        elif disorder == "pipe":
            (bundle / "two.txt").unlink()
            os.mkfifo(bundle / "two.txt")
        (bundle / MANIFEST_NAME).write_bytes(text)
        opened = open_bundle(bundle, BundleLimits(2**20), None)
        assert (text, disorder, opened.root) == (data, "", manifest.root) or not disorder

    inputs = st.tuples(documents([json.loads(data)], raw=HOSTILE_JSON), st.sampled_from(disorders))
    always = [(data, disorder) for disorder in disorders]
    return Target("directory", inputs, read, [(data, "")], always, typed=(Malformed, Unavailable), cost=3)


SUBMISSIONS: Makers = {
    "directory": directory,
    "policy": policy,
    "policy with adapters": partial(policy, start=ADAPTED, name="policy with adapters"),
    "submission": submission,
    "submission step by step": partial(submission, start=ADAPTED, spec=STEP_WISE, name="submission step by step"),
}
