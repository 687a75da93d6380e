"""A policy as the step that leads to it: its bundle holds the aggregate of the submissions' updates, in a codec.

The step is taken from what the codec has kept, so anyone who has the version before takes it too and gets the same
bits: a client fetches the aggregate (a byte per parameter in int8) and not weights and momentum (eight). Nobody is
believed: what was made counts if it has the hashes to which the manifest commits, whose root is on chain; else it is
fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from assay_core.aggregation.aggregate import Aggregate, piece_size
from assay_core.aggregation.codecs import Codec, codec_named
from assay_core.aggregation.optimizer import MOMENTUM_NAME, WEIGHTS_NAME, OuterStep, open_momentum, write_step
from assay_core.aggregation.updates import FOLDER, UpdateReader, write_update
from assay_core.bundle.directory import read_manifest
from assay_core.bundle.manifest import HEX32, BundleKind, Manifest
from assay_core.bundle.named_tensors import Float32File, Tensors
from assay_core.bundle.rebuild import Rebuild
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import OuterSpec
from assay_core.protocol.types import Root

FIELD = "step"  # of a policy's manifest


@dataclass(frozen=True, slots=True)
class Terms:
    """What a step needs besides numbers."""

    codec: Codec
    lr: float
    momentum: float

    def fields(self) -> dict[str, Json]:
        """What a policy's manifest says about the step that it was made by."""
        return {FIELD: {"codec": self.codec.name, "lr": repr(self.lr), "momentum": repr(self.momentum)}}


def terms_of(outer: OuterSpec) -> Terms | None:
    """None: policies of the task travel whole."""
    return None if outer.broadcast == "whole" else Terms(codec_named(outer.broadcast), outer.lr, outer.momentum)


def write_aggregate(aggregate: Aggregate, terms: Terms, target: Path) -> Tensors:
    """Put the aggregate into a policy's bundle that is being made; returns what the codec has kept of it.

    Raises MalformedUpdate: it is not finite.
    """
    write_update(target / FOLDER, aggregate, terms.codec)
    return UpdateReader(target, None, aggregate.shapes, terms.codec)


class PolicyRebuilder:
    """Makes a policy from the version before, where the cache has it; see `shardcast.cache.Rebuilder`."""

    def plan(self, manifest: Manifest) -> Rebuild | None:
        """Raises Malformed: the manifest says impossible things about the step."""
        if manifest.kind is not BundleKind.POLICY or FIELD not in manifest.fields:
            return None
        parent = manifest.fields.get("parent")
        if not isinstance(parent, str) or not HEX32.fullmatch(parent):
            raise Malformed("a policy that was made by a step must name its parent")
        return Rebuild(Root(bytes.fromhex(parent)), frozenset((WEIGHTS_NAME, MOMENTUM_NAME)))

    def make(self, manifest: Manifest, directory: Path, base: Path, target: Path) -> None:
        """Raises Rejected: what is in the bundle leads nowhere, or its parent is no policy."""
        parent = read_manifest(base)
        parent.entry(WEIGHTS_NAME)
        terms, weights = _parse_terms(manifest.fields), Float32File(base / WEIGHTS_NAME)
        momentum = open_momentum(base, parent, weights.shapes)
        gradient = UpdateReader(directory, manifest, weights.shapes, terms.codec)
        step = OuterStep(weights, momentum, gradient, terms.lr, terms.momentum)
        write_step(step, target / WEIGHTS_NAME, target / MOMENTUM_NAME, piece_size(1))


def _parse_terms(fields: Mapping[str, Json]) -> Terms:
    step = fields[FIELD]
    if not isinstance(step, Mapping) or set(step) != {"codec", "lr", "momentum"}:
        raise Malformed("a policy's step must have exactly codec, lr and momentum")
    try:
        outer = OuterSpec.model_validate({"broadcast": step["codec"], "lr": step["lr"], "momentum": step["momentum"]})
    except ValidationError as error:
        raise Malformed(f"a policy's step: {error.errors()[0]['msg']}") from error
    if (terms := terms_of(outer)) is None:
        raise Malformed("a policy's step must name a codec")
    return terms
