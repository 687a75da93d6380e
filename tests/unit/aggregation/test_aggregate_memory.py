"""A policy that is larger than the memory it is aggregated in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODEL_BYTES = 256 * 2**20
SUBMISSIONS = 4
MOST_BYTES = 220 * 2**20  # beyond what the imports take; all in memory would be (SUBMISSIONS + 3) times the model

PROGRAM = """
import json, resource, sys
from pathlib import Path
import numpy as np
from assay_core.aggregation.aggregate import Aggregate, Contribution
from assay_core.aggregation.codecs import Int8
from assay_core.aggregation.optimizer import OuterStep, open_momentum, write_step
from assay_core.bundle.named_tensors import Float32File
from assay_core.aggregation.rules import Rule
from assay_core.aggregation.updates import UpdateReader
from assay_core.bundle.directory import read_manifest

root, rule = Path(sys.argv[1]), Rule(sys.argv[2])
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
weights = Float32File(root / "base" / "weights.safetensors")
base = read_manifest(root / "base")
submissions = [
    Contribution(n, 1, UpdateReader(path, read_manifest(path), weights.shapes, Int8()))
    for n, path in enumerate(sorted((root / "submissions").iterdir()))
]
gradient = Aggregate(submissions, rule)
step = OuterStep(weights, open_momentum(root / "base", base, weights.shapes), gradient, 0.7, 0.6)
write_step(step, root / rule.name / "weights.safetensors", root / rule.name / "momentum.safetensors", gradient.piece)
written = sum(path.stat().st_size for path in (root / rule.name).iterdir())
print(json.dumps({"written": written, "peak": peak() - before}))
"""

MAKER = """
import sys
from pathlib import Path
import numpy as np
from assay_core.aggregation.codecs import Int8
from assay_core.bundle.named_tensors import pieces
from assay_core.bundle.tensor_files import Float32Writer
from assay_core.aggregation.updates import write_update
from assay_core.bundle.manifest import BundleKind
from assay_core.bundle.directory import build_bundle

root, elements, submissions = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(0)
shapes = {"embed": (elements // 2,), "head": (elements // 4,), "mlp": (elements - elements // 2 - elements // 4,)}
with Float32Writer(root / "base" / "weights.safetensors", shapes) as writer:
    for _, start, stop in pieces(shapes, 2**20):
        writer.append(random.random(stop - start, np.float32))
build_bundle(root / "base", BundleKind.POLICY, {})
for number in range(submissions):
    folder = root / "submissions" / str(number)
    update = {name: random.random(shape, np.float32) - np.float32(0.5) for name, shape in shapes.items()}
    write_update(folder / "update", update, Int8())
    build_bundle(folder, BundleKind.SUBMISSION, {})
"""


def run(program: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    run(MAKER, str(folder), str(MODEL_BYTES // 4), str(SUBMISSIONS))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["weighted_mean", "multi_krum", "trimmed_mean"])
def test_memory_does_not_grow_with_the_model(folder: Path, rule: str) -> None:
    found = json.loads(run(PROGRAM, str(folder), rule))
    assert found["written"] > 2 * MODEL_BYTES  # weights and momentum
    assert found["peak"] < MOST_BYTES
