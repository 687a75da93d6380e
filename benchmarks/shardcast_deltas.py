"""What a lossless delta between consecutive policy versions would save: `python -m benchmarks.shardcast_deltas FOLDER`.

FOLDER holds policies by root, as a client's cache does. A delta is the exclusive or of the bits of two versions, its
bytes sorted by significance, deflated: exact whatever the numbers are, so the root of what comes out is the same.
"""

import sys
import zlib
from pathlib import Path

import numpy as np

from assay_core.bundle.directory import read_manifest
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.protocol.errors import MalformedManifest

WORD = 4  # bytes of a float32, which policies and their outer momentum are kept in


def delta_bytes(old: bytes, new: bytes) -> int:
    """Size of the delta; applying it is tried, and gives every bit back."""
    size = len(new) // WORD * WORD
    before, after = (np.frombuffer(data[:size], np.uint8).reshape(-1, WORD) for data in (old, new))
    planes = (before ^ after).T.tobytes()
    packed = zlib.compress(planes, 6)
    again = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(WORD, -1).T ^ before
    if again.tobytes() != new[:size]:
        raise AssertionError("a lossless delta has lost something")
    return len(packed) + len(new) - size


def main(folder: Path) -> None:
    versions = dict[int, tuple[Path, Manifest]]()
    for directory in folder.iterdir():
        try:
            manifest = read_manifest(directory)
        except MalformedManifest:
            continue
        version = manifest.fields.get("version")
        if manifest.kind is BundleKind.POLICY and isinstance(version, int):
            versions[version] = directory, manifest
    print("| from → to | file | bytes | deflated alone | lossless delta | saved |\n|---|---|---|---|---|---|")
    for version in sorted(versions):
        if version - 1 not in versions:
            continue
        (old, _), (new, manifest) = versions[version - 1], versions[version]
        for entry in manifest.files:
            if not entry.name.endswith(".safetensors") or not (old / entry.name).exists():
                continue
            before, after = (old / entry.name).read_bytes(), (new / entry.name).read_bytes()
            if len(before) != len(after):
                continue
            alone, delta = len(zlib.compress(after, 6)), delta_bytes(before, after)
            print(
                f"| {version - 1} → {version} | {entry.name} | {len(after)} | {alone / len(after):.0%} "
                f"| {delta / len(after):.0%} | {1 - delta / len(after):.0%} |"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
