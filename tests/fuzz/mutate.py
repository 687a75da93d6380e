"""What strangers might send: valid bytes with a few things changed. Hypothesis strategies, so failures shrink."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from hypothesis import strategies as st

INTERESTING = (
    *(struct.pack(order, number) for number in (0, 1, 2**31 - 1, 2**32 - 1) for order in ("<I", ">I")),
    *(struct.pack("<Q", number) for number in (2**31, 2**40, 2**53, 2**63 - 1, 2**64 - 1)),
    struct.pack("<f", float("nan")),
    struct.pack("<f", float("inf")),
    struct.pack("<d", float("nan")),
    b"\x80" * 9 + b"\x01",  # the longest variable-length integer
    b"\xff" * 10,
    b"../",
    b"\x00",
    b"PAR1",
    b"{" * 8,
)
WORDS = (
    *(
        "",
        ".",
        "..",
        "../escaped",
        "/etc/passwd",
        "a/../../b",
        "con",
        "manifest.json",
        ".hidden",
        "A",
        "é",
        "\u202e",
        "\x00",
    ),
    *("NaN", "inf", "-inf", "1e400", "-0.0", "1e-400", "0x10", "1_0", "９", "1e999999999", "nan", "٣"),
    *(
        "0x" + "00" * 20,
        "0x" + "Aa" * 20,
        "00" * 32,
        "g" * 64,
        "0" * 63,
        "true",
        "None",
        "\n",
        "%s%n",
        "{0}",
        "' OR 1=1",
    ),
    *("x" * 5_000, "9" * 5_000, "\ud7ff", "reasoning-gym/", "sorting", "tiny", "hf", "*" * 50, "[" * 50),
)
NUMBERS = (0, 1, -1, 2, 7, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**53 - 1, -(2**53) + 1, 2**53, 2**64, 10**30)

Edit = Callable[[bytearray], None]


@st.composite
def _edit(draw: st.DrawFn, size: int) -> Edit:
    """One change to bytes; positions cluster at both ends, where headers and footers are."""
    start = draw(
        st.integers(0, max(size - 1, 0)) | st.integers(0, min(size, 200)) | st.integers(max(size - 900, 0), size)
    )
    match draw(st.sampled_from(("set", "flip", "cut", "copy", "insert", "number", "end"))):
        case "set":
            value = draw(st.integers(0, 255))
            return lambda data: data.__setitem__(slice(start, start + 1), bytes([value]))
        case "flip":
            mask = 1 << draw(st.integers(0, 7))
            return lambda data: data.__setitem__(
                slice(start, start + 1), bytes(b ^ mask for b in data[start : start + 1])
            )
        case "cut":
            length = draw(st.integers(1, 64) | st.integers(1, max(size, 1)))
            return lambda data: data.__delitem__(slice(start, start + length))
        case "copy":
            source, length = draw(st.integers(0, size)), draw(st.integers(1, 256))
            return lambda data: data.__setitem__(slice(start, start + length), data[source : source + length])
        case "insert":
            more = draw(st.binary(min_size=1, max_size=24))
            return lambda data: data.__setitem__(slice(start, start), more)
        case "number":
            number = draw(st.sampled_from(INTERESTING))
            return lambda data: data.__setitem__(slice(start, start + len(number)), number)
        case _:
            return lambda data: data.__delitem__(slice(start, None))


@st.composite
def damaged(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """A sample with one to six edits, two samples spliced, or, rarely, anything at all."""
    sample = draw(st.sampled_from(samples))
    how = draw(st.integers(0, 19))
    if how == 19:  # rare: small numbers come up more often
        return draw(st.binary(max_size=400))
    data = bytearray(sample)
    if how == 18:
        other = draw(st.sampled_from(samples))
        data = data[: draw(st.integers(0, len(data)))] + other[draw(st.integers(0, len(other))) :]
    for _ in range(draw(st.integers(1, 6))):
        draw(_edit(len(data)))(data)
    return bytes(data)


def odd_values() -> st.SearchStrategy[Any]:
    """JSON values that a reader may not expect."""
    plain = (
        st.none()
        | st.booleans()
        | st.sampled_from(NUMBERS)
        | st.integers(-(2**53), 2**53)
        | st.sampled_from(WORDS)
        | st.text(max_size=12)
        | st.floats()
    )
    some = st.lists(plain, max_size=3) | st.dictionaries(
        st.sampled_from(WORDS) | st.text(max_size=4), plain, max_size=3
    )
    return plain | some


Place = tuple[dict[str, Any] | list[Any], Any]


@st.composite
def altered(draw: st.DrawFn, samples: Sequence[Any]) -> Any:
    """A JSON value with one to three of its parts replaced, removed, repeated, renamed; rarely another altogether."""
    value = json.loads(json.dumps(draw(st.sampled_from(samples))))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places or draw(st.integers(0, 29)) == 29:
            return draw(odd_values())
        _alter(draw, *places[draw(st.integers(0, len(places) - 1))])
    return value


def _places(value: Any) -> Iterator[Place]:
    """Where each part of a JSON value stands."""
    keys: Sequence[Any] = ()
    if isinstance(value, dict):
        keys = list(cast(dict[str, Any], value))
    elif isinstance(value, list):
        keys = range(len(cast(list[Any], value)))
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _alter(draw: st.DrawFn, where: Any, key: Any) -> None:
    match draw(st.integers(0, 9)):
        case 9:
            del where[key]
        case 8 if isinstance(where, dict):
            where[draw(st.sampled_from(WORDS) | st.text(max_size=6))] = where.pop(key)
        case 8:
            where.extend([where[key]] * draw(st.sampled_from((1, 2, 300))))
        case 7 if isinstance(where[key], str):
            where[key] = draw(damaged([where[key].encode()])).decode(errors="replace")
        case 6:
            where[key] = [where[key]]
        case _:
            where[key] = draw(odd_values())


@st.composite
def documents(draw: st.DrawFn, samples: Sequence[Any], *, raw: Sequence[bytes] = ()) -> bytes:
    """Mostly canonical JSON of altered samples, which gets past the first check; sometimes bytes that are not."""
    how = draw(st.integers(0, 9))
    if how == 9:
        return draw(damaged([canonical(sample) for sample in samples]))
    if how == 8 and raw:
        return draw(st.sampled_from(raw))
    value = draw(altered(samples))
    return json.dumps(value, indent=1).encode() if how == 7 else canonical(value)


def canonical(value: Any) -> bytes:
    """As the protocol writes it, but for what it refuses to write."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="surrogatepass")


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


HOSTILE_JSON = (
    b"",
    b"null",
    b"1" * 5_000,
    b"1e999999999",
    b"[NaN]",
    b'"\\ud800"',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"\x00\x00\x00{",
    b'{"a":1,"a":1}',
    nested(900),
    nested(100_000),
    b'{"a":' * 50_000,
    b'"' + b"\\u0000" * 1_000 + b'"',
)


def headers(samples: Mapping[str, str]) -> st.SearchStrategy[dict[str, str]]:
    """HTTP headers with values that a client may send: visible latin-1."""
    value = st.sampled_from(tuple(samples.values())) | st.sampled_from(
        ("", "0", "-1", "1e400", "nan", "²", "9" * 5_000, "0x1", " 1", "1,2", "bytes=0-", "bytes=-1", "bytes=5-2", "*")
    )
    text = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
    return st.dictionaries(st.sampled_from(tuple(samples)), value | text, max_size=4)
