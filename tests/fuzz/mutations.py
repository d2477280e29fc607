"""Ways in which a file may be wrong. Each takes parts and changes them; checksums are made right afterwards.

A mutant is known by the name of its seed and a number: `mutant("rgb", 17)` is the same bytes every time.
"""

import json
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from parts import Chunk, Parts, page_spans, put_together, take_apart
from seeds import seed
from small_mutants import is_small, small_mutant, small_set_mutant

from gscodec.container.reader import IgsReader
from gscodec.errors import GsCodecError
from gscodec.format.layout import (
    CHAN,
    CODEC_DEFLATE,
    CSET,
    EXIF,
    FILE,
    GAUS,
    GRAIN,
    GRAN,
    GROUP,
    HEADER,
    ICCP,
    KNOWN_CHUNKS,
    LODS,
    META,
    PAGE_ENTRY,
    PAGI,
    PAGT,
    QUAN,
    QUANTISER,
    TAGS,
    XMP,
    Field,
)
from gscodec.format.profile_table import CODED
from gscodec.profiles.coded import CodedPageDecoder

Random = random.Random
Mutation = Callable[[Random, Parts], None]

SMALL: Final = (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 255)
WORDS: Final = (*SMALL, 256, 1023, 4095, 4096, 4097, 32767, 32768, 65534, 65535)
NUMBERS: Final = (*WORDS, 65536, *(2**k + d for k in (20, 26, 31) for d in (-1, 0, 1)), 2**32 - 1)
WIDE: Final = (*NUMBERS, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 100, 2**64 - 1)
FLOATS: Final = (
    0.0, -0.0, 1.0, 0.5, -1.0, 64.0, 64.01, 65.0, 1 / 64, 1 / 65, 1e-38, 1e-45, 1e30, -1e30, 3.4e38, -3.4e38,
    65504.0, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
HALVES: Final = (0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0x5400, 0x5401, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00)
FOURCCS: Final = (*KNOWN_CHUNKS, b"abcd", b"\0abc", b"\x1b[2J", b"~~~~", b"   ~")
TEXTS: Final = (
    b"", b".", b"..", b"../x", b"/etc/x", b"a/b", b"a\\b", b"C:x", b"NUL", b"con.png", b"-rf", b".hidden", b"a\0b",
    b"\x1b[31m", b"a\nb", b"\xc2\x85", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x80\xae" b"gnp.exe",
    b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"=1+1", b" ", b"name.", b"\xe2\x80\xa8", b"x" * 255, "é".encode(),
    b"\xf0\x9f\x98\x80", b"image", b"\xe0\x80\x80",
)  # fmt: skip
JSON_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 255, 2**20, 2**20 + 1, 2**63, 10**400, 1.5, -0.0, 1e308, 1e-320, "", "x", "../x.png",
    "a\u202eb", "\x00", "\u2028", "NUL", [], {}, [[]], [1, 2, 3, 4], {"a": 1}, "A" * 300, "half", "uint", "srgb",
)  # fmt: skip
JSON_TEXTS: Final = (
    b"", b"{", b"[]", b"null", b"{}", b'{"files":[]}', b'{"a":1e999}', b'{"a":NaN}', b'{"a":-Infinity}',
    b'{"a":"\\ud800"}', b'{"\\udc00":1}', b'{"a":1,"a":2}', b"\xef\xbb\xbf{}", b'{"a":"\\u001b[31m"}', b'{"a":"\xff"}',
    b"[" * 200, b'{"a":' * 70 + b"1" + b"}" * 70, b'{"a":' * 63 + b"{}" + b"}" * 63, b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b'{"a":1}x', b" {} ", b'{"a":\t1}', b'{"a":"\t"}', b"\0", b"{}\0",
    b'{"files":[{"name":"../x.png","width":4,"height":4,"channels":3,"groups":["image"]}]}',
    b'{"files":[{"name":"a.png","width":1048576,"height":1048576,"channels":3,"groups":["image"]}]}',
    b'{"files":[{"name":"a.png","width":4,"height":4,"channels":3,"groups":["image"]}]}',
    b'{"files":[{"name":"a.png","width":4,"height":4,"channels":1,"constant":{"values":[1e29],"name":"x","role":"color",'
    b'"bit_depth":8,"sample_type":"uint","transfer":"srgb","alpha":"none","normal":"none","value_min":0,"value_max":1,'
    b'"knee_log2":0}}]}',
)  # fmt: skip

PNG_TEXTS: Final[tuple[Any, ...]] = (
    "Title", "", "k" * 79, "k" * 80, " Title", "Title ", "two  spaces", "\xa0", "\xa1", "\xff", "\u0100", "\x7f",
    "\x9f", "\0", "\n", "\r\n\t", "\x0c", "\x1b[31m", "\ud800", "\U0010ffff", "x" * 70_000, None, 0, [], {"Title": "x"},
)  # fmt: skip

_MEMBERS: Final = ("groups", "constant", "exr", "unit_z", "binary", "place", "values", "name")


# ---- numbers in tables ----


def _wild(r: Random, field: Field, old: Any) -> Any:
    """Another value for a scalar field: near the old one, at a limit, or anything."""
    kind = field.scalar
    if kind in {"f32", "f16"}:
        return r.choice([*FLOATS, r.uniform(-70, 70), old * 2, -old])
    low, high = {"u8": (0, 255), "u16": (0, 65535), "u32": (0, 2**32 - 1), "u64": (0, 2**64 - 1)}.get(
        kind, (-(2**15), 2**15 - 1) if kind == "i16" else (-(2**31), 2**31 - 1)
    )
    edges = [bound + step for bound in (field.low, field.high) if bound is not None for step in (-1, 0, 1)]
    near = [old + step for step in (-16, -2, -1, 1, 2, 16)]
    choices: list[Any] = [r.choice(WIDE), -r.choice(WIDE), r.choice(near), r.choice(near)]
    if edges:
        choices.append(r.choice(edges))
    return int(max(low, min(high, r.choice(choices))))


def header(r: Random, parts: Parts) -> None:
    """One field of the header; file_size, toc_size and header_crc become lies."""
    field = r.choice([field for field in HEADER.fields if field.name != "chunk_count"])
    if field.name == "signature":
        signature = bytearray(parts.header["signature"])
        scribble(r, signature)
        parts.lies["signature"] = bytes(signature)
    elif field.name in {"file_size", "toc_size", "header_crc"}:
        parts.lies[field.name] = _wild(r, field, 300 if field.name != "toc_size" else parts.header["toc_size"])
    else:
        parts.header[field.name] = _wild(r, field, parts.header[field.name])


def count_chunks(r: Random, parts: Parts) -> None:
    """A chunk_count that is not true."""
    parts.lies["chunk_count"] = r.choice([*SMALL, len(parts.chunks) + 1, len(parts.chunks) - 1])


def scribble(r: Random, data: bytearray, times: int | None = None) -> None:
    """Change some bytes: one value, one bit, or a number of two, four or eight bytes."""
    for _ in range(times or r.choice((1, 1, 1, 2, 4))):
        if not data:
            return
        at = r.randrange(len(data))
        match r.randrange(8):
            case 0:
                data[at] = r.randrange(256)
            case 1:
                data[at] ^= 1 << r.randrange(8)
            case 2:
                data[at] = r.choice((0, 255, 127, 128, 1, 64))
            case 3 if at + 2 <= len(data):
                struct.pack_into("<H", data, at, r.choice(WORDS))
            case 4 if at + 4 <= len(data):
                struct.pack_into("<I", data, at, r.choice(NUMBERS))
            case 5 if at + 4 <= len(data):
                struct.pack_into("<f", data, at, r.choice(FLOATS))
            case 6 if at + 8 <= len(data):
                struct.pack_into("<Q", data, at, r.choice(WIDE))
            case _:
                data[at] = (data[at] + r.choice((-1, 1))) & 255


def resize(r: Random, data: bytearray) -> None:
    """Take bytes out, put bytes in, or repeat some."""
    at = r.randrange(len(data) + 1)
    n = r.choice((1, 1, 2, 3, 4, 8, 12, 16, 60))
    match r.randrange(4):
        case 0:
            del data[at : at + n]
        case 1:
            data[at:at] = r.randbytes(n)
        case 2:
            data[at:at] = data[at : at + n]
        case _:
            del data[at:]


# ---- the table of contents ----


def contents(r: Random, parts: Parts) -> None:
    """One entry of the table of contents, or which chunks there are and in what order."""
    if not parts.chunks:
        return
    chunk = r.choice(parts.chunks)
    match r.choice(
        (
            *("fourcc", "critical", "flags", "codec", "of sets", "size", "size", "bytes", "crc", "twice", "gone"),
            *("swap", "move", "new"),
        )
    ):
        case "fourcc":
            chunk.fourcc = r.choice(FOURCCS)
        case "critical":
            chunk.critical = not chunk.critical
        case "flags":
            chunk.lies["flags"] = r.choice((0, 1, 8, 16, 17, 19, 9, 41, 64, 128, 255, r.randrange(64)))
        case "codec":
            chunk.lies["codec"] = r.choice((0, 1, 2, 3))
        case "bytes":
            entry = bytearray(chunk.entry_and_bytes()[0])
            (resize if r.random() < 0.5 else scribble)(r, entry)
            chunk.entry = bytes(entry)
        case "of sets":
            chunk.lies[r.choice(("n_lods", "scale_log2"))] = r.choice((0, 1, 2, 16, 17, 20, 21, 255))
        case "size":
            near = [len(chunk.raw) + step for step in (-1, 1, 4)]
            size = max(0, r.choice((r.choice(WIDE), r.choice(near))))
            for name in r.choice((("stored_size",), ("raw_size",), ("stored_size", "raw_size"))):
                chunk.lies[name] = size
        case "crc":
            chunk.lies["crc"] = r.choice((0, 1, r.getrandbits(32)))
        case "twice":
            parts.chunks.insert(r.randrange(len(parts.chunks) + 1), chunk.copy())
        case "gone":
            parts.chunks.remove(chunk)
        case "swap":
            one, two = r.randrange(len(parts.chunks)), r.randrange(len(parts.chunks))
            parts.chunks[one], parts.chunks[two] = parts.chunks[two], parts.chunks[one]
        case "move":
            parts.chunks.remove(chunk)
            parts.chunks.insert(r.randrange(len(parts.chunks) + 1), chunk)
        case "new":
            extra = Chunk(r.choice(FOURCCS), r.random() < 0.3, 0, bytearray(r.randbytes(r.randrange(40))))
            extra.lies["codec"] = r.choice((0, 0, 1, 3))
            for _ in range(r.choice((1, 1, 2, 64))):
                parts.chunks.insert(r.randrange(len(parts.chunks) + 1), extra.copy())


def deflated(r: Random, parts: Parts) -> None:
    """A chunk as a zlib stream: a good one, a damaged one, one with more behind it, or one that holds too much."""
    others = [chunk for chunk in parts.chunks if chunk.fourcc != GAUS]
    chunk = r.choice(others or parts.chunks or [Chunk(META, False, 0, bytearray())])
    chunk.codec = CODEC_DEFLATE
    raw = bytes(chunk.raw)
    match r.randrange(7):
        case 0:
            chunk.stored = zlib.compress(raw, 9) + r.randbytes(r.choice((1, 4)))
        case 1:
            damaged = bytearray(zlib.compress(raw, r.choice((0, 1, 9))))
            scribble(r, damaged)
            chunk.stored = bytes(damaged)
        case 2:
            chunk.stored = zlib.compress(raw + bytes(r.choice((1, 100_000))), 9)
            chunk.lies["raw_size"] = r.choice((len(raw), len(raw) + 100_000, 1 << 20, 16 << 20, 2**40))
        case 3:
            chunk.stored = zlib.compress(raw, 9)[:-1]
        case 4:
            engine = zlib.compressobj(9, zlib.DEFLATED, r.choice((-15, 9, 31)))
            chunk.stored = engine.compress(raw) + engine.flush()
        case 5:
            chunk.stored = zlib.compress(raw[: len(raw) // 2], 9)
        case _:
            engine = zlib.compressobj(
                1, zlib.DEFLATED, 15, 9, r.choice((zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE))
            )
            chunk.stored = engine.compress(raw) + engine.flush()


# ---- single chunks ----


def _groups_of(raw: bytearray) -> list[tuple[int, int, int, int]]:
    """Offsets of each group in CHAN: of the group, its background, its name and its source."""
    found, at = [], 1
    for _ in range(raw[0] if raw else 0):
        background = at + GROUP.size
        name = background + 4 * (raw[at] if at < len(raw) else 0)
        source = name + 1 + (raw[name] if name < len(raw) else 0)
        if source >= len(raw):
            break
        found.append((at, background, name, source))
        at = source + 1 + raw[source]
    return found


def channels(r: Random, parts: Parts) -> None:
    """CHAN: a field of a group, a text, a group more or less, or bytes."""
    chunk = parts.find(CHAN)
    if chunk is None or not chunk.raw:
        return
    raw, groups = chunk.raw, _groups_of(chunk.raw)
    kind = r.randrange(10) if groups else 9
    group, background, name, source = r.choice(groups) if groups else (0, 0, 0, 0)
    if kind < 4:
        field = r.choice(GROUP.fixed)
        at = group + GROUP.offsets[field.name]
        old = struct.unpack_from("<" + field.struct_code, raw, at)[0]
        _store(raw, at, field, _wild(r, field, old))
    elif kind < 6:
        place = r.choice((name, source))
        text = r.choice(TEXTS)
        raw[place : place + 1 + raw[place]] = bytes([len(text)]) + text
    elif kind == 6 and name > background:
        struct.pack_into("<f", raw, background + 4 * r.randrange((name - background) // 4), r.choice(FLOATS))
    elif kind == 7:
        raw[group:group] = raw[group : source + 1 + raw[source]]
        raw[0] = (raw[0] + 1) & 255
    elif kind == 8:
        raw[0] = r.choice((*SMALL, raw[0] + 1)) & 255
    else:
        (resize if r.random() < 0.3 else scribble)(r, raw)


def _store(raw: bytearray, at: int, field: Field, value: Any) -> None:
    try:
        struct.pack_into("<" + field.struct_code, raw, at, value)
    except (OverflowError, struct.error):
        struct.pack_into("<" + field.struct_code, raw, at, float("inf") if field.scalar[0] == "f" else 0)


def levels(r: Random, parts: Parts) -> None:
    """LODS: a count or a gain; at times the header goes along."""
    chunk = parts.find(LODS)
    if chunk is None or len(chunk.raw) < 8:
        return
    if r.random() < 0.1:
        resize(r, chunk.raw)
        return
    at = 4 * r.randrange(len(chunk.raw) // 4)
    if r.random() < 0.5:
        struct.pack_into("<f", chunk.raw, at, r.choice((*FLOATS, r.uniform(1 / 64, 64), 0.9, 1.1)))
        return
    last = 4 * (len(chunk.raw) // 4 - parts.header["lod_count"]) - 4
    at = r.choice((at, 0, max(0, last)))
    old = struct.unpack_from("<I", chunk.raw, at)[0]
    value = max(0, min(2**32 - 1, r.choice((r.choice(NUMBERS), old + r.choice((-3, -1, 1, 3, 10))))))
    struct.pack_into("<I", chunk.raw, at, value)
    if r.random() < 0.5:
        parts.header["n_gaussians"] = value


def quantiser(r: Random, parts: Parts) -> None:
    """QUAN: its steps, its tables or widths, or bytes."""
    chunk = parts.find(QUAN)
    if chunk is None or len(chunk.raw) < QUANTISER.size:
        return
    raw, n_lods, n_channels = chunk.raw, parts.header["lod_count"], parts.header["n_channels"]
    steps = QUANTISER.size + n_lods
    match r.randrange(8):
        case 0:
            field = r.choice(QUANTISER.fixed[:3])
            at = QUANTISER.offsets[field.name]
            _store(raw, at, field, _wild(r, field, struct.unpack_from("<" + field.struct_code, raw, at)[0]))
        case 1:
            raw[r.randrange(4, 16)] = r.choice(SMALL)
        case 2 if steps <= len(raw):
            raw[r.randrange(QUANTISER.size, steps)] = r.choice((*range(8), 15, 16, 19, 20, 21, 255))
        case 3 if steps + 4 * n_channels <= len(raw):
            struct.pack_into("<f", raw, steps + 4 * r.randrange(n_channels), r.choice((*FLOATS, 1e-3, 300.0)))
        case 4 if steps + 4 * n_channels + 2 <= len(raw):
            struct.pack_into("<H", raw, steps + 4 * n_channels + 2 * r.randrange(max(1, n_channels)), r.choice(HALVES))
        case 5:
            resize(r, raw)
        case 6:
            scribble(r, raw)
        case _:
            at = r.randrange(min(steps + 6 * n_channels, len(raw) - 1), len(raw))
            tail = raw[at:]
            scribble(r, tail, 1)
            raw[at:] = tail


def page_index(r: Random, parts: Parts) -> None:
    """PAGI: a box, a CRC, the bytes of a page, an entry more or less."""
    chunk = parts.find(PAGI)
    if chunk is None:
        return
    entry = parts.entry_bytes
    n_pages = len(chunk.raw) // entry
    if not n_pages or r.random() < 0.1:
        resize(r, chunk.raw)
        return
    page = entry * r.randrange(n_pages)
    match r.randrange(6):
        case 0 | 1:
            struct.pack_into("<H", chunk.raw, page + 2 * r.randrange(4), r.choice(WORDS))
        case 2:
            parts.seal_pages = False
            struct.pack_into("<I", chunk.raw, page + PAGE_ENTRY.offsets["crc"], r.getrandbits(32))
        case 3 if parts.sized:
            old = struct.unpack_from("<I", chunk.raw, page + 12)[0]
            struct.pack_into("<I", chunk.raw, page + 12, max(0, r.choice((r.choice(NUMBERS), old - 1, old + 1))))
        case 4 if parts.sized and n_pages > 1:  # one page longer, its neighbour shorter
            other = entry * r.randrange(n_pages)
            one, two = (struct.unpack_from("<I", chunk.raw, at + 12)[0] for at in (page, other))
            n = r.choice((1, 2, two))
            struct.pack_into("<I", chunk.raw, page + 12, (one + n) % 2**32)
            struct.pack_into("<I", chunk.raw, other + 12, (two - n) % 2**32)
        case _:
            scribble(r, chunk.raw)


def page_tree(r: Random, parts: Parts) -> None:
    """PAGT: its block size, an entry, or bytes; PAGI apart from it."""
    chunk, index = parts.find(PAGT), parts.find(PAGI)
    if chunk is None or index is None or len(chunk.raw) < 4:
        return
    match r.randrange(6):
        case 0:
            struct.pack_into("<H", chunk.raw, 0, r.choice(WORDS))
        case 1:
            resize(r, chunk.raw)
        case 2:
            parts.seal_pages = False
            scribble(r, r.choice((chunk.raw, index.raw)))
        case 3:
            index.codec = CODEC_DEFLATE
        case 4:
            index.lies["crc"] = r.getrandbits(32)
        case _:
            scribble(r, chunk.raw)


def records(r: Random, parts: Parts) -> None:
    """GAUS: bytes of some pages, 16-bit words of records, or all of a page."""
    chunk = parts.find(GAUS)
    if chunk is None or not chunk.raw:
        return
    match r.randrange(5):
        case 0 if len(chunk.raw) >= 2:
            at = r.randrange(len(chunk.raw) // 2) * 2
            struct.pack_into("<H", chunk.raw, at, r.choice((*HALVES, r.randrange(65536))))
        case 1:
            first, size = r.choice(page_spans(parts) or [(0, len(chunk.raw))])
            end = min(first + size, len(chunk.raw))
            chunk.raw[first:end] = r.choice((bytes, r.randbytes, lambda n: b"\xff" * n))(max(0, end - first))
        case 2:
            first, size = r.choice(page_spans(parts) or [(0, len(chunk.raw))])
            head = chunk.raw[first : first + min(size, 16 + 3 * parts.header["n_channels"])]
            scribble(r, head, 1)
            chunk.raw[first : first + len(head)] = head
        case _:
            scribble(r, chunk.raw, r.choice((1, 1, 2, 8)))


def pages(r: Random, parts: Parts) -> None:
    """Whole pages: one longer or shorter, two exchanged, or the bytes of GAUS without the index."""
    chunk, index = parts.find(GAUS), parts.find(PAGI)
    spans = page_spans(parts)
    if chunk is None or index is None or not spans:
        return
    page = r.randrange(len(spans))
    first, size = spans[page]
    match r.randrange(4):
        case 0:
            resize(r, chunk.raw)
        case 1 if parts.sized:
            data = chunk.raw[first : first + size]
            resize(r, data)
            chunk.raw[first : first + size] = data
            struct.pack_into("<I", index.raw, parts.entry_bytes * page + 12, len(data))
        case 2:
            other, length = r.choice(spans)
            one, two = chunk.raw[first : first + size], chunk.raw[other : other + length]
            if len(one) == len(two):
                chunk.raw[first : first + size], chunk.raw[other : other + length] = two, one
        case _:
            struct.pack_into(
                "<4H", index.raw, parts.entry_bytes * page, 0, 0, *r.choice(((0, 0), (65535, 65535), (1, 1)))
            )


def coded_values(r: Random, parts: Parts) -> None:
    """A page of profile `coded` that is well coded and holds other integers: the coder itself writes it again."""
    chunk, index = parts.find(GAUS), parts.find(PAGI)
    spans = page_spans(parts)
    if parts.header["profile"] != CODED.code or chunk is None or index is None or not spans:
        return
    try:
        with IgsReader(put_together(parts.copy())) as reader:
            decoder = reader.stored_set(0).decoder
            assert isinstance(decoder, CodedPageDecoder)
            page = r.randrange(min(len(spans), reader.n_pages))
            codec, refs = decoder.codec, reader.pages.refs(np.array([page]))
            counts = np.asarray(reader.lods.counts)
        generation = np.searchsorted(counts, refs.starts, side="right")
        first, size = spans[page]
        data = np.frombuffer(bytes(chunk.raw[first : first + size]), np.uint8)
        codes, bad = codec.decode(data, refs.lengths, refs.sizes, generation)
        if bad >= 0:
            return
        for _ in range(r.choice((1, 1, 3))):
            values = r.choice(
                (codes.narrow, codes.elongation, codes.features, codes.cells, codes.rotations, codes.offsets)
            )
            flat = values.reshape(-1)
            at = r.randrange(len(flat))
            flat[at] = r.choice(
                (int(flat[at]) + r.choice((-1, 1, 2, -7, 30)), r.choice(codes.narrow.tolist()), r.choice(WORDS))
            )
        coded, lengths = codec.encode(codes, refs.sizes, generation)
    except (GsCodecError, ValueError, OverflowError):
        return  # a value that its table does not hold
    chunk.raw[first : first + size] = coded
    struct.pack_into("<I", index.raw, parts.entry_bytes * page + 12, int(lengths[0]))


def texts(r: Random, parts: Parts) -> None:
    """META, FILE, TAGS, EXIF or XMP_: another JSON value somewhere, another text, or bytes."""
    tags = parts.find(TAGS)
    if tags is not None and b'"texts"' in tags.raw and r.random() < 0.5:
        png_texts(r, parts)
        return
    fourcc = r.choice((META, FILE, FILE, FILE, TAGS, EXIF, XMP))
    chunk = parts.find(fourcc)
    if chunk is None:
        chunk = Chunk(fourcc, False, 0, bytearray(r.choice(JSON_TEXTS)))
        parts.chunks.insert(r.choice((max(0, len(parts.chunks) - 1), len(parts.chunks))), chunk)
        return
    match r.randrange(5):
        case 0:
            chunk.raw[:] = r.choice(JSON_TEXTS)
        case 1:
            spots = [m.span() for m in re.finditer(rb'"[^"]*"|-?\d[\d.eE+-]*|true|false|null', bytes(chunk.raw))]
            if spots:
                first, last = r.choice(spots)
                chunk.raw[first:last] = json.dumps(r.choice(JSON_VALUES)).encode()
        case 2:
            scribble(r, chunk.raw)
        case _:
            _change_json(r, chunk)


def png_texts(r: Random, parts: Parts) -> None:
    """TAGS with keywords, texts, pairs of them, or their number at and beyond what the format allows."""
    chunk = parts.find(TAGS)
    if chunk is None:
        return
    try:
        value = json.loads(bytes(chunk.raw))
        pairs = value["texts"]
        at = r.randrange(len(pairs))
        match r.randrange(4):
            case 0:
                pairs[at][r.randrange(2)] = r.choice(PNG_TEXTS)
            case 1:
                pairs[:] = r.choice(([], pairs[:1], pairs[:1] * 64, pairs[:1] * 65, [list(pairs)]))
            case 2:
                pairs[at] = r.choice((pairs[at][:1], [*pairs[at], "x"], dict([pairs[at]]), r.choice(PNG_TEXTS)))
            case _:
                value["texts"] = r.choice((dict(pairs), *PNG_TEXTS))
    except (ValueError, TypeError, KeyError, LookupError, RecursionError):  # an earlier mutation has been here
        return
    chunk.raw[:] = json.dumps(value, ensure_ascii=r.random() < 0.5).encode("utf-8", "surrogatepass")


def _change_json(r: Random, chunk: Chunk) -> None:
    try:
        value = json.loads(bytes(chunk.raw))
    except (ValueError, RecursionError):
        chunk.raw[:] = r.choice(JSON_TEXTS)
        return
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        keys: Sequence[Any] = (
            list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        )
        places.extend((item, key) for key in keys)
        stack.extend(item[key] for key in keys)
    if not places:
        return
    for _ in range(r.choice((1, 1, 2))):
        item, key = r.choice(places)
        if isinstance(item, list) and key >= len(item):
            continue
        match r.randrange(4):
            case 0 if isinstance(item, dict):
                item.pop(key, None)
            case 0 | 1 if isinstance(item, list):
                item.insert(key, json.loads(json.dumps(item[key])))
            case 2 if isinstance(item, dict):
                item[r.choice(("groups", "constant", "exr", "unit_z", "binary", "place", "values", "name"))] = item.get(
                    key
                )
            case _:
                item[key] = r.choice(JSON_VALUES)
    chunk.raw[:] = json.dumps(value, ensure_ascii=r.random() < 0.5).encode("utf-8", "surrogatepass")


def profile(r: Random, parts: Parts) -> None:
    """ICCP with anything in it, or far too much of it."""
    raw = bytearray(r.choice((b"", b"no profile", bytes(100))))
    chunk = Chunk(ICCP, False, r.choice((0, 1)), raw)
    if r.random() < 0.2:
        chunk.lies["raw_size"] = r.choice(((16 << 20) + 1, 16 << 20, 2**63))
    parts.chunks.insert(r.randrange(len(parts.chunks) + 1), chunk)


def grain(r: Random, parts: Parts) -> None:
    """GRAN with another field, other bytes, or of another length; a new one where there is none."""
    chunk = parts.find(GRAN)
    if chunk is None:
        rows = [bytes([number, r.choice(SMALL), r.choice(SMALL)]) + bytes(r.choices(SMALL, k=8)) for number in (0, 1)]
        entries = rows[: r.choice((0, 1, 1, 2))]
        chunk = Chunk(GRAN, False, 0, bytearray(bytes([len(entries)]) + b"".join(entries)))
        parts.chunks.insert(r.randrange(len(parts.chunks) + 1), chunk)
        return
    match r.randrange(4):
        case 0:
            chunk.raw[0] = r.choice(SMALL)
        case 1:
            scribble(r, chunk.raw)
        case 2:
            chunk.raw += bytes(r.choice((1, GRAIN.size)))
        case _:
            at = 1 + GRAIN.size * r.randrange(len(chunk.raw) // GRAIN.size) + r.randrange(GRAIN.size)
            chunk.raw[at] = r.choice(SMALL)


# ---- the whole ----


def sizes(r: Random, parts: Parts) -> None:
    """A width, height, page size, K or Q that a good file may have, though not this one."""
    name = r.choice(("width", "height", "top_k", "support_q", "page_size"))
    old = parts.header[name]
    if name == "support_q":
        parts.header[name] = r.uniform(1, 64)
    elif name == "top_k":
        parts.header[name] = r.randrange(1, 33)
    elif name == "page_size":
        parts.header[name] = r.choice((1, old, 4096, max(1, old - 1), min(4096, old + 1)))
    else:
        parts.header[name] = min(2**20, max(1, old + r.choice((-9, -1, 0, 1, 15, 16, 400, 32768, 2**20))))


def cut(r: Random, parts: Parts) -> None:
    """The file ends early, or too late."""
    if r.random() < 0.8:
        parts.cut = r.random()
    else:
        parts.tail = r.randbytes(r.randrange(1, 50))


def coarser_set(r: Random, parts: Parts) -> None:
    """A coarser set as another file, one more or less of them, or one of another size."""
    sets = [chunk for chunk in parts.chunks if chunk.fourcc == CSET]
    if not sets:
        sets = [Chunk(CSET, True, 0, bytearray(r.choice((b"", parts.header["signature"], bytes(80)))), n_lods=1)]
        sets[0].is_small = r.random() < 0.5
        parts.chunks.insert(1, sets[0])
    chunk = r.choice(sets)
    data = bytes(chunk.raw)
    match r.randrange(7):
        case 6:
            chunk.is_small = not chunk.is_small
        case 0:
            chunk.n_lods = r.choice((0, 1, 2, 3, 15, 16, 17))
        case 1:
            chunk.scale_log2 = r.choice((0, 1, 2, 3, 4, 19, 20, 21, 31, 63, 255))
        case 2:
            chunk.raw[:] = r.choice(sets).raw
        case _ if chunk.is_small:
            chunk.raw[:] = small_set_mutant(r, data)
        case _:
            own = take_apart(data)
            for mutation in r.choices(_MUTATIONS, cum_weights=_CUMULATED, k=r.choice((1, 1, 2))):
                mutation(r, own)
            chunk.raw[:] = put_together(own)


def unsealed(r: Random, parts: Parts) -> None:
    """Damage without a corrected checksum."""
    parts.seal_pages = False
    chunk = r.choice(parts.chunks) if parts.chunks else None
    if chunk is None:
        return
    if r.random() < 0.5 and chunk.fourcc == GAUS:
        scribble(r, chunk.raw)
    else:
        chunk.lies["crc"] = r.getrandbits(32)


WEIGHTS: Final[dict[Mutation, int]] = {
    header: 10,
    count_chunks: 1,
    contents: 9,
    deflated: 5,
    channels: 12,
    levels: 9,
    quantiser: 12,
    page_index: 7,
    page_tree: 3,
    records: 14,
    pages: 6,
    coded_values: 8,
    grain: 2,
    texts: 8,
    profile: 1,
    sizes: 6,
    coarser_set: 5,
    cut: 4,
    unsealed: 2,
}
_MUTATIONS: Final = tuple(WEIGHTS)
_CUMULATED: Final = np.cumsum(list(WEIGHTS.values())).tolist()

_taken: dict[str, Parts] = {}


def mutant(name: str, number: int) -> bytes:
    """The mutant of a seed with a number."""
    if is_small(seed(name)):
        return small_mutant(Random(f"{name}:{number}"), seed(name))
    if name not in _taken:
        _taken[name] = take_apart(seed(name))
    parts = _taken[name].copy()
    r = Random(f"{name}:{number}")
    for mutation in r.choices(_MUTATIONS, cum_weights=_CUMULATED, k=r.choice((1, 1, 1, 2, 3))):
        try:
            mutation(r, parts)
        except (ValueError, IndexError, OverflowError, struct.error):
            continue  # an earlier one left nothing that this one could change
    return put_together(parts)
