"""Cheats in the bytes: numbers that are none, files that are others, manifests that say too much."""

import gzip
import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from assay_core.bundle.manifest import MANIFEST_NAME
from assay_core.bundle.rollouts import ROLLOUTS_NAME, SCHEMA
from assay_core.protocol.encoding import Json, canonical_json, parse_canonical_json
from assay_core.protocol.errors import Reason
from tests.cheats.cheat import Catalogue, Seen
from tests.cheats.scene import Scene
from tests.submissions import Draft

BYTE_CHEATS = Catalogue()
fraud, refused = BYTE_CHEATS.fraud, BYTE_CHEATS.refused
UPDATE = "update/0000.safetensors"
SCALE = "#scale"
BOMB_TOKENS = 40_000

Tensors = dict[str, npt.NDArray[Any]]


def with_tensors(scene: Scene, run: int, change: Callable[[Tensors], Tensors]) -> Draft:
    """The numbers of the encoded update changed, in files that are otherwise well-formed."""

    def tamper(folder: Path) -> None:
        save_file(change(dict(load_file(folder / UPDATE))), folder / UPDATE)

    return replace(scene.honest(run), tamper=tamper)


def in_first_scale(tensors: Tensors, value: float) -> Tensors:
    name = next(name for name in sorted(tensors) if name.endswith(SCALE) and tensors[name].any())
    return {**tensors, name: np.full_like(tensors[name], value)}


@fraud("a wrong codec scale", Reason.REPLAY_MISMATCH, "replay length", seen=Seen.REPLAY)
def wrong_scale(scene: Scene, run: int) -> Draft:
    """Encodes the update honestly, then doubles the scale of every block."""
    return with_tensors(
        scene, run, lambda all_: {name: value * 2 if name.endswith(SCALE) else value for name, value in all_.items()}
    )


@refused("a codec scale that no encoder writes", Reason.BAD_UPDATE, NORM := "update norm")
def impossible_scale(scene: Scene, run: int) -> Draft:
    """Halves the levels and doubles the scales: a second encoding of the same update."""
    return with_tensors(
        scene,
        run,
        lambda all_: {
            name: value * 2 if name.endswith(SCALE) else (value // 2).astype(np.int8) for name, value in all_.items()
        },
    )


@refused("not a number in the update", Reason.BAD_UPDATE, NORM)
def not_a_number(scene: Scene, run: int) -> Draft:
    """Puts NaN into a scale, which would make the mean of all submissions NaN."""
    return with_tensors(scene, run, lambda all_: in_first_scale(all_, np.nan))


@refused("infinity in the update", Reason.BAD_UPDATE, NORM)
def infinity(scene: Scene, run: int) -> Draft:
    """Puts infinity into a scale."""
    return with_tensors(scene, run, lambda all_: in_first_scale(all_, np.inf))


@refused("not a number among the rewards", Reason.MALFORMED, "bytes")
def not_a_reward(scene: Scene, run: int) -> Draft:
    """Claims a reward of NaN, which is not greater than any threshold."""
    draft = scene.honest(run)
    first, *rest = draft.rollouts.completions
    rows = (replace(first, reward=float("nan")), *rest)
    return replace(draft, rollouts=replace(draft.rollouts, completions=rows))


@refused("a compressed bomb of rollouts", Reason.MALFORMED, "bytes")
def bomb_of_rollouts(scene: Scene, run: int) -> Draft:
    """A table of a few kilobytes that unpacks to ten megabytes of token ids; it could be any number."""

    def tamper(folder: Path) -> None:
        table = pq.read_table(folder / ROLLOUTS_NAME)
        offsets = pa.array(np.arange(table.num_rows + 1, dtype=np.int32) * BOMB_TOKENS)
        kind = SCHEMA.field("prompt_ids").type
        ids = pa.array(np.full(table.num_rows * BOMB_TOKENS, 7, np.int32))
        bomb = table.set_column(2, SCHEMA.field("prompt_ids"), pa.ListArray.from_arrays(offsets, ids, type=kind))
        sink = io.BytesIO()
        pq.write_table(bomb, sink, compression="zstd", use_dictionary=True)
        (folder / ROLLOUTS_NAME).write_bytes(sink.getvalue())

    return replace(scene.honest(run), tamper=tamper)


@refused("a compressed bomb of an update", Reason.BAD_UPDATE, NORM)
def bomb_of_an_update(scene: Scene, run: int) -> Draft:
    """Megabytes of zeros, packed, where the update belongs."""

    def tamper(folder: Path) -> None:
        (folder / UPDATE).write_bytes(gzip.compress(bytes(2**24)))

    return replace(scene.honest(run), tamper=tamper)


@refused("a header that promises gigabytes", Reason.BAD_UPDATE, NORM)
def promising_header(scene: Scene, run: int) -> Draft:
    """A tensor file whose header says that a petabyte follows."""

    def tamper(folder: Path) -> None:
        header = b'{"norm.weight":{"dtype":"F32","shape":[250000000000000],"data_offsets":[0,1000000000000000]}}'
        (folder / UPDATE).write_bytes(len(header).to_bytes(8, "little") + header)

    return replace(scene.honest(run), tamper=tamper)


@refused("a file listed twice", Reason.MALFORMED, "bytes")
def listed_twice(scene: Scene, run: int) -> Draft:
    """Commits to a manifest with two entries for the rollouts, one for each reader."""

    def forge(folder: Path) -> None:
        rewrite(folder, lambda files: [*files, files[0]])

    return replace(scene.honest(run), forge=forge)


@refused("a file outside of the folder", Reason.MALFORMED, "bytes")
def escaping_name(scene: Scene, run: int) -> Draft:
    """Commits to a manifest that names a file above the bundle's folder."""

    def forge(folder: Path) -> None:
        empty: Json = {"bytes": 0, "name": "../escaped", "sha256": hashlib.sha256(b"").hexdigest(), "shards": []}
        rewrite(folder, lambda files: [empty, *files])

    return replace(scene.honest(run), forge=forge)


def rewrite(folder: Path, change: Callable[[list[Json]], list[Json]]) -> None:
    """Change the list of files in a manifest, which stays canonical."""
    manifest = parse_canonical_json((folder / MANIFEST_NAME).read_bytes())
    assert isinstance(manifest, dict)
    files = manifest["files"]
    assert isinstance(files, list)
    (folder / MANIFEST_NAME).write_bytes(canonical_json({**manifest, "files": change(files)}))
