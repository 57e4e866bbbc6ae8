"""Makes valid files hostile: bytes, lines, JSON values, and the headers of arrays and tensors, all chosen by one `Random`."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from random import Random

Files = dict[str, bytes]

WORDS: tuple[bytes, ...] = tuple(
    word if isinstance(word, bytes) else word.encode("utf-8", "surrogatepass")
    for word in (
        "", "0", "-1", "-0", "1e999", "-1e999", "nan", "NaN", "inf", "Infinity", "1e308", "1e-400", "9" * 400, "9" * 5000,
        "18446744073709551616", "0x10", "1_000", "٣", "¹", "１", "true", "null", "None", "[]", "{}", "[[]]", '""', "\\", '"', "'",
        "\t", "\n", "\r", "\r\n", "\x00", "\x0b", "\x1b[31m", "\x1b]52;c;aGk=\x07", "\u2028", "\x85", "\u202e", "\ufeff",
        "\u00a0", "\ud800", "\ud83d", "é" * 40, "\u0301" * 300, "a" * 3000, "<script>", "--", "..", "../../../etc/passwd",
        "/dev/zero", "/", ".", "[" * 3000, "{" * 3000, "(" * 3000, "(" * 30, '{"a":' * 3000, "+" * 300, ",", ",,", ":", "=",
        "{,}", "{a,b}" * 24, "+edge:2", "rrf(", ")", "rrf(bm25,dense)", "bm25:k1=1,b=", "*", "%s%n", "{0}", "{x!r}", "__class__",
        b"\xff", b"\xfe\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\x1f\x8b\x08", b"PK\x03\x04",
        b"\x80\x04\x95", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x09",
    )
)  # fmt: skip
VALUES: tuple[str, ...] = (
    "null", "true", "false", "0", "-1", "1", "1.5", "-0.0", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "1e308", "9" * 60,
    "9" * 5000, '""', '"a"', '"\\u0000"', '"\\ud800"', '"\\u001b[31m"', '"\\n"', '"../../x.npy"', '"/dev/zero"', '"\\u202e"',
    "[]", "{}", "[[]]", "[null]", "[1,[2]]", '{"a":1}', '[{"a":1}]', "[" * 3000 + "]" * 3000, '"' + "x" * 3000 + '"', '["a","a"]',
    "2147483648", "4294967296", "9223372036854775808", "1000000000000000",
)  # fmt: skip
SHAPES = (
    "()", "(0,)", "(1,)", "(3,)", "(2, 2)", "(1000000000000000,)", "(1000000000000000, 4)", "(-1,)", "(2, -3)",
    "(0, 1000000000000)",
    "(9223372036854775807, 9223372036854775807)", "(4294967296, 4294967296, 2)", "(1.5,)", "('a',)", "None", "((1,),)", "(True,)",
    "(1,)" * 900, "-" * 2000 + "1", "(" * 400, "(" * 150 + ")" * 150,
)  # fmt: skip
DTYPES = (
    "'<f4'", "'<f8'", "'<f2'", "'>f4'", "'<i8'", "'<i4'", "'|u1'", "'<u8'", "'|b1'", "'<c16'", "'|O'", "'<U4'", "'|S1'", "'|V0'",
    "'|V8'", "'<M8[s]'", "'<U900000000'", "[('a', '<f4')]", "[('a', '|O')]", "'zz'", "1", "None", "''", "{'names': ['a']}",
)  # fmt: skip


def mutated(files: Files, rng: Random) -> Files:
    """Files of which one to three are made hostile, or missing."""
    files = dict(files)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice(sorted(files))
        if len(files) > 1 and rng.random() < 0.03:
            del files[name]
            continue
        files[name] = broken(name, files[name], rng)
    return files


def broken(name: str, raw: bytes, rng: Random) -> bytes:
    """One file's bytes made hostile, as its form allows."""
    ways: list[Callable[[bytes, Random], bytes]] = [bits, cut, grown, doubled, ends]
    if raw[:6] == b"\x93NUMPY":
        ways += [npy] * 12
    elif name.endswith(".safetensors"):
        ways += [tensors] * 12
    elif name.endswith((".json", ".jsonl")):
        ways += [members] * 12 + [repeated]
    else:
        ways += [fields, fields, fields, lines, lines]
    try:
        return rng.choice(ways)(raw, rng)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        struct.error,
    ):  # made hostile before, it has no such form now
        return grown(raw, rng)


def bits(raw: bytes, rng: Random) -> bytes:
    """One to four bits flipped."""
    out = bytearray(raw)
    for _ in range(rng.randint(1, 4) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def cut(raw: bytes, rng: Random) -> bytes:
    """The beginning, the end, or a middle taken out."""
    one, two = sorted(rng.randint(0, len(raw)) for _ in range(2))
    return rng.choice((raw[:one], raw[one:], raw[:one] + raw[two:], b""))


def grown(raw: bytes, rng: Random) -> bytes:
    """A word put in somewhere, or in the place of as many bytes."""
    at, word = rng.randint(0, len(raw)), rng.choice(WORDS)
    return raw[:at] + word + raw[at + rng.choice((0, len(word))) :]


def doubled(raw: bytes, rng: Random) -> bytes:
    """A part given twice."""
    one, two = sorted(rng.randint(0, len(raw)) for _ in range(2))
    return raw[:two] + raw[one:]


def ends(raw: bytes, rng: Random) -> bytes:
    """Other line ends, other encodings, a mark before."""
    ways = (
        lambda: raw.replace(b"\n", b"\r\n"), lambda: raw.replace(b"\n", b"\r"), lambda: b"\xef\xbb\xbf" + raw,
        lambda: raw.decode("utf-8", "replace").encode("utf-16"), lambda: raw.rstrip(b"\n"), lambda: raw + b"\n" * 50,
        lambda: raw + b"\x00", lambda: raw.replace(b" ", b"\t"), lambda: raw.replace(b"\t", b" "),
    )  # fmt: skip
    return rng.choice(ways)()


def fields(raw: bytes, rng: Random) -> bytes:
    """One field of one line replaced by a word."""
    found = raw.split(b"\n")
    at = rng.randrange(len(found))
    for mark in rng.sample((b"\t", b" ", b"=", b",", b":"), 5):
        parts = found[at].split(mark)
        if len(parts) > 1:
            parts[rng.randrange(len(parts))] = rng.choice(WORDS)
            found[at] = mark.join(parts)
            break
    return b"\n".join(found)


def lines(raw: bytes, rng: Random) -> bytes:
    """Lines in another order, one of them twice or missing."""
    found = raw.split(b"\n")
    at = rng.randrange(len(found))
    way = rng.randrange(3)
    if way == 0:
        found.insert(rng.randrange(len(found)), found[at])
    elif way == 1:
        del found[at]
    else:
        rng.shuffle(found)
    return b"\n".join(found)


def members(raw: bytes, rng: Random) -> bytes:
    """A member of a JSON value, on any line and at any depth, replaced, removed or renamed."""
    whole = b"\n" not in raw.strip() or (raw.lstrip()[:1] in b"[{" and _parsed(raw) is not None)
    parts = [raw] if whole else raw.split(b"\n")
    at = rng.randrange(len(parts))
    found = _parsed(parts[at])
    if found is None:
        return grown(raw, rng)
    mark, value = "\ue000\ue001", rng.choice(VALUES)
    changed = _replaced(found, rng, mark)
    text = json.dumps(changed, ensure_ascii=False).replace(f'"{mark}"', value)
    parts[at] = text.encode("utf-8", "surrogatepass")
    return b"\n".join(parts)


def repeated(raw: bytes, rng: Random) -> bytes:
    """A JSON object whose first member stands in it twice."""
    at = raw.find(b"{")
    return raw if at < 0 else raw[: at + 1] + b'"id": ' + rng.choice(VALUES).encode() + b', "id": 1, ' + raw[at + 1 :]


def npy(raw: bytes, rng: Random) -> bytes:
    """An array whose header says another shape, type or order; or an array of other numbers."""
    size = struct.unpack("<H", raw[8:10])[0]
    header, body = raw[10 : 10 + size].decode("latin-1"), raw[10 + size :]
    way = rng.randrange(5)
    if way == 0:
        start = header.index("'shape': ") + 9
        header = header[:start] + rng.choice(SHAPES) + ", }"
    elif way == 1:
        start = header.index("'descr': ") + 9
        header = header[:start] + rng.choice(DTYPES) + header[header.index(", 'fortran") :]
    elif way == 2:
        header = header.replace("False", rng.choice(("True", "None", "1", "'x'")))
    elif way == 3:
        return raw[: 10 + size] + numbers(body, rng)
    else:
        header = grown(header.encode("latin-1"), rng).decode("latin-1")
    return b"\x93NUMPY" + rng.choice((b"\x01\x00",) * 4 + (b"\x02\x00", b"\x03\x00", b"\x00\x07")) + _sized(header, body)


def tensors(raw: bytes, rng: Random) -> bytes:
    """Tensors whose header says something else, or that are other numbers."""
    size = struct.unpack("<Q", raw[:8])[0]
    header, body = raw[8 : 8 + size], raw[8 + size :]
    way = rng.randrange(4)
    if way == 0:
        return raw[: 8 + size] + numbers(body, rng)
    if way == 1:
        said = json.loads(header)
        name = rng.choice(sorted(said))
        if name != "__metadata__":
            shape = list(said[name]["shape"])
            said[name]["shape"] = rng.choice(([], shape[::-1], [1, *shape], [*shape, 1], [0], [10**15], [10**15, 0], [-1]))
            said[name]["dtype"] = rng.choice(
                (said[name]["dtype"],) * 3 + ("F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "X")
            )
        header = json.dumps(said).encode()
    elif way == 2:
        said = json.loads(header)
        name = rng.choice(sorted(said))
        said[rng.choice(WORDS).decode("utf-8", "replace")] = said.pop(name)
        header = json.dumps(said).encode()
    else:
        header = members(header, rng)
    return struct.pack("<Q", rng.choice((len(header),) * 8 + (2**63, 0, 10**9))) + header + body


def numbers(body: bytes, rng: Random) -> bytes:
    """A body of numbers with some of them at the edge of what a number can be."""
    out = bytearray(body)
    edges = tuple(
        struct.pack(form, value)
        for form, found in {
            "<f": (float("nan"), float("inf"), -1.0, 3e38, 1e-45), "<d": (float("nan"), float("-inf"), 1e308),
            "<q": (-1, 2**62, -(2**63)), "<i": (-1, 2**31 - 1), "<H": (65535,),
        }.items()
        for value in found
    )  # fmt: skip
    for _ in range(rng.randint(1, 3)):
        word = rng.choice(edges)
        at = rng.randrange(len(out) // len(word)) * len(word) if len(out) >= len(word) else 0
        out[at : at + len(word)] = word
    return bytes(out[: len(body)])


def _sized(header: str, body: bytes) -> bytes:
    raw = header.encode("latin-1", "replace")[:60000] + b"\n"
    return struct.pack("<H", len(raw)) + raw + body


def _parsed(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _replaced(value: object, rng: Random, mark: str) -> object:
    """A value with something in it replaced by a mark, removed, or renamed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        way = rng.random()
        if way < 0.08:
            return {k: v for k, v in value.items() if k != key}
        if way < 0.16:
            return {(rng.choice(WORDS).decode("utf-8", "replace") if k == key else k): v for k, v in value.items()}
        return {k: (_replaced(v, rng, mark) if k == key else v) for k, v in value.items()}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        if rng.random() < 0.1:
            return value[:at] + value[at + 1 :]
        return [*value[:at], _replaced(value[at], rng, mark), *value[at + 1 :]]
    return mark
