"""Manifests: one encoding, one root, and nothing hostile gets through."""

import hashlib
import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.bundle.manifest import (
    MAX_MANIFEST_BYTES,
    NAME,
    SHARD_BYTES,
    BundleKind,
    BundleLimits,
    FileEntry,
    Manifest,
    commits_to,
    digest_of_shards,
    parse_manifest,
)
from assay_core.protocol.encoding import canonical_json, merkle_root
from assay_core.protocol.errors import MalformedManifest
from assay_core.protocol.types import Root

LIMITS = BundleLimits(bundle_bytes=2**40)

hashes = st.binary(min_size=32, max_size=32)
names = st.from_regex(NAME, fullmatch=True).filter(lambda name: len(name) <= 120 and name != "manifest.json")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def entries(draw: st.DrawFn, name: str) -> FileEntry:
    size = draw(st.integers(0, 3 * SHARD_BYTES))
    shards = tuple(draw(hashes) for _ in range(-(-size // SHARD_BYTES)))
    return FileEntry(name, size, digest_of_shards(shards), shards)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    found = sorted(draw(st.sets(names, max_size=5)))
    folders = {str(parent) for name in found for parent in PurePosixPath(name).parents}
    files = tuple(draw(entries(name)) for name in found if name not in folders)
    fields = draw(st.dictionaries(st.text(max_size=9), json_values, max_size=3))
    return Manifest(draw(st.sampled_from(BundleKind)), fields, files)


@given(manifests())
def test_manifest_survives_its_bytes(manifest: Manifest) -> None:
    data = manifest.to_bytes()
    parsed = parse_manifest(data, LIMITS, manifest.root)
    assert parsed == manifest
    assert parsed.to_bytes() == data
    assert commits_to(manifest.root, data)


@given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_manifest_or_malformed(data: bytes) -> None:
    try:
        manifest = parse_manifest(data, LIMITS)
    except MalformedManifest:
        assert not commits_to(Root(bytes(32)), data)
    else:
        assert manifest.to_bytes() == data


@given(manifests(), st.data())
def test_manifest_with_a_byte_changed_has_another_root_or_is_malformed(manifest: Manifest, data: st.DataObject) -> None:
    changed = bytearray(manifest.to_bytes())
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MalformedManifest):
        parse_manifest(bytes(changed), LIMITS, manifest.root)
    assert not commits_to(manifest.root, bytes(changed))


@given(st.text(max_size=40))
def test_no_name_leaves_the_folder(name: str) -> None:
    try:
        parse_manifest(manifest_of([entry(name)]), LIMITS)
    except MalformedManifest:
        return
    parts = PurePosixPath(name).parts
    assert not name.startswith("/") and ".." not in parts and "\\" not in name and name == "/".join(parts)


def entry(name: str, data: bytes = b"x") -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"bytes": len(data), "name": name, "sha256": digest, "shards": [digest] if data else []}


def manifest_of(files: list[dict[str, Any]]) -> bytes:
    return json.dumps(
        {"fields": {}, "files": files, "kind": "submission"}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode(errors="surrogatepass")


def test_the_entries_used_here_are_good() -> None:
    assert len(parse_manifest(manifest_of([entry("a"), entry("b", b"")]), LIMITS).files) == 2


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../a", "/a", "a/", "a//b", "a/../b", "./a", "a/./b", ".a", "a/.b", "A", "a b", "a\\b"),
        *("a\n", "a\x00", "ä", "a:b", "con~1", "a/b/c/d/e", "a.b.c.d", "manifest.json", "a" * 121, "-a", "\ud800"),
    ],
)
def test_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(MalformedManifest):
        parse_manifest(manifest_of([entry(name)]), LIMITS)


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": -1},
        {"bytes": True},
        {"bytes": 1.0},
        {"bytes": "1"},
        {"bytes": None},
        {"bytes": 2**53},
        {"bytes": 0},
        {"bytes": SHARD_BYTES + 1},
        {"name": 7},
        {"name": None},
        {"sha256": "00"},
        {"sha256": "A" * 64},
        {"sha256": 5},
        {"sha256": "0" * 64},
        {"bytes": SHARD_BYTES + 1, "shards": ["0" * 64] * 2},
        {"shards": None},
        {"shards": {}},
        {"shards": []},
        {"shards": ["0" * 64] * 2},
        {"shards": [None]},
        {"extra": 1},
    ],
    ids=str,
)
def test_impossible_entry_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedManifest):
        parse_manifest(manifest_of([entry("a") | change]), LIMITS)


def test_entry_with_a_key_missing_is_refused() -> None:
    for key in entry("a"):
        with pytest.raises(MalformedManifest, match="exactly"):
            parse_manifest(manifest_of([{k: v for k, v in entry("a").items() if k != key}]), LIMITS)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param([entry("a"), entry("a")], id="twice"),
        pytest.param([entry("b"), entry("a")], id="not in order"),
        pytest.param([entry("a"), entry("a/b")], id="file and folder"),
        pytest.param([entry("a"), entry("a/b/c/d")], id="file and folder, deeper"),
        pytest.param([["a"]], id="no object"),
        pytest.param([None], id="null"),
    ],
)
def test_files_that_cannot_be_together_are_refused(files: list[Any]) -> None:
    with pytest.raises(MalformedManifest):
        parse_manifest(manifest_of(files), LIMITS)


def _with_spaces(data: bytes) -> bytes:
    return data.replace(b",", b", ")


def _keys_twice(data: bytes) -> bytes:
    return data.replace(b'{"fields"', b'{"fields":{},"fields"', 1)


def _in_utf16(data: bytes) -> bytes:
    return data.decode().encode("utf-16")


def _behind(data: bytes) -> bytes:
    return data + b"\n"


def _another_kind(data: bytes) -> bytes:
    return data.replace(b'"submission"', b'"poem"')


def _no_kind(data: bytes) -> bytes:
    return data.replace(b'"submission"', b"null")


def _infinite(data: bytes) -> bytes:
    return data.replace(b'"fields":{}', b'"fields":{"x":Infinity}')


def _deep(data: bytes) -> bytes:
    return data.replace(b'"fields":{}', b'"fields":' + b'{"x":' * 10_000 + b"1" + b"}" * 10_000)


def _huge_number(data: bytes) -> bytes:
    return data.replace(b'"fields":{}', b'"fields":{"x":' + b"9" * 5_000 + b"}")


@pytest.mark.parametrize(
    "spoil",
    [_with_spaces, _keys_twice, _in_utf16, _behind, _another_kind, _no_kind, _infinite, _deep, _huge_number],
)
def test_manifest_in_another_form_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(MalformedManifest):
        parse_manifest(spoil(manifest_of([entry("a"), entry("b")])), LIMITS)


def test_limits_are_kept() -> None:
    data = manifest_of([entry("a", b"12345"), entry("b", b"67890")])
    parse_manifest(data, BundleLimits(bundle_bytes=10, files=2))
    with pytest.raises(MalformedManifest, match="limit of 9"):
        parse_manifest(data, BundleLimits(bundle_bytes=9))
    with pytest.raises(MalformedManifest, match="at most 1"):
        parse_manifest(data, BundleLimits(bundle_bytes=10, files=1))
    with pytest.raises(MalformedManifest, match="exceeds"):
        parse_manifest(b" " * (MAX_MANIFEST_BYTES + 1), LIMITS)


def test_another_root_is_refused() -> None:
    with pytest.raises(MalformedManifest, match="root"):
        parse_manifest(manifest_of([entry("a")]), LIMITS, Root(bytes(32)))


def test_a_root_commits_to_impossible_manifests_too() -> None:
    """So that a sender who commits to one cannot blame the relay."""
    files = [entry("../escaped")]
    root = merkle_root([canonical_json({"fields": {}, "kind": "submission"}), canonical_json(files[0])])
    assert commits_to(root, manifest_of(files))
    assert not commits_to(root, manifest_of([*files, entry("b")]))
    assert not commits_to(root, manifest_of(files).replace(b'"fields"', b'"extra":1,"fields"'))


def test_unknown_file_is_named() -> None:
    with pytest.raises(MalformedManifest, match="'b'"):
        parse_manifest(manifest_of([entry("a")]), LIMITS).entry("b")


def test_last_shard_may_be_short() -> None:
    file = FileEntry("a", SHARD_BYTES + 5, bytes(32), (bytes(32), bytes(32)))
    assert [file.shard_bytes(0), file.shard_bytes(1)] == [SHARD_BYTES, 5]
