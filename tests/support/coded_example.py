"""The worked example of spec/igs.md, section 17.2: a small file of profile `coded`, byte by byte and step by step.

The file comes from the writer, every other number from the few lines of decoder below, which follow sections 3, 6.7 and
9 one by one. `python tests/support/coded_example.py` writes the section; a test compares it with what it would write.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from toc_fields import toc_of

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import chunks_of
from gscodec.container.writer import pack
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.layout import (
    FLAG_CRC,
    GROUP,
    HEADER,
    QUAN,
    QUANTISER,
    SIZED_PAGE_ENTRY,
    Table,
)
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.profiles.lattice import Lattice

SPEC: Final = Path(__file__).parents[2] / "spec" / "igs.md"
BEGIN: Final = "<!-- written by tests/support/coded_example.py -->\n"
END: Final = "<!-- end -->\n"
STREAMS: Final = ("gap", "narrow", "elongation", "feature 0")
SPLITS: Final = (4, 8, 8, 8)


def example_file() -> bytes:
    """24 x 16 px, one channel, three Gaussians in one level and one page; tables are not deflated."""
    gaussians = GaussianSet(
        np.array([[5.2, 5.6], [13.1, 10.4], [18.7, 4.9]]),
        np.array([[0.25, 0.125], [0.35, 0.3], [0.5, 0.1]]),
        np.array([0.6, 0.0, 2.2]),
        np.array([[0.2], [0.9], [0.55]], np.float32),
    )
    lattice = Lattice(
        8, 96, (1, 2, 4, 6, 10, 16, 24, 36, 56, 80, 120, 255), (1,), np.full(1, 1 / 16, np.float32), np.eye(1)
    )
    grid = Grid(16, 24, np.array([0.5], np.float32))
    groups = (ChannelGroup("gray", n_channels=1),)
    contents = Contents(grid, groups, LodTable.single(3), gaussians, page_size=64, lattice=lattice)
    values, chunks = chunks_of(pack(contents))
    plain = [chunk if not chunk.codec else StoredChunk.plain(chunk.fourcc, chunk.raw("example")) for chunk in chunks]
    return assemble(values, plain)


# ---- the file, field by field ----


@dataclass
class Fields:
    """Lines of an annotated dump."""

    data: bytes
    at: int = 0
    lines: list[str] = field(default_factory=list)

    def take(self, n_bytes: int, name: str, value: object = "") -> bytes:
        """The next bytes, with a line for them."""
        part = self.data[self.at : self.at + n_bytes]
        for first in range(0, n_bytes, 12):
            row = part[first : first + 12].hex(" ")
            note = f"{name:<16} {value}".rstrip() if not first else ""
            self.lines.append(f"{self.at + first:03x}  {row:<35}  {note}".rstrip())
        self.at += n_bytes
        return part

    def title(self, text: str) -> None:
        """An empty line and a heading."""
        self.lines.extend(["", text] if self.lines else [text])

    def table(self, table: Table, names: dict[str, str] | None = None) -> dict[str, Any]:
        """The fixed-size fields of a table."""
        values = table.unpack(self.data, self.at)
        for entry in table.fixed:
            note = (names or {}).get(entry.name, "")
            assert entry.size
            self.take(entry.size, entry.name, f"{shown(entry.name, values[entry.name])}  {note}".rstrip())
        return values


def shown(name: str, value: Any) -> str:
    """A field's value for people."""
    if name == "signature":
        return ""
    if isinstance(value, bytes):
        return value.decode("ascii") if value.isalpha() else " ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:#010x}" if name.endswith("crc") else str(value)


def dump(data: bytes) -> tuple[list[str], dict[str, Any], list[dict[str, Any]]]:
    """Lines of the annotated dump, the values of QUAN, and the token tables."""
    fields = Fields(data)
    fields.title("header (section 4.2)")
    header = fields.table(HEADER, {"profile": "coded"})
    for number, entry in enumerate(toc_of(data)):
        fields.title(f"table of contents, entry {number} (section 4.3)")
        fields.take(4, "fourcc", entry.fourcc.decode())
        fields.take(1, "flags", f"{entry.flags}  critical{', crc' * bool(entry.flags & FLAG_CRC)}")
        fields.take(1, "stored_size", entry.stored_size)
        if entry.flags & FLAG_CRC:
            fields.take(4, "crc", f"{entry.crc:#010x}")
    fields.title("CHAN (section 5.1)")
    fields.take(1, "groups", 1)
    fields.table(GROUP, {"role": "color", "sample_type": "uint", "transfer": "srgb"})
    fields.take(4, "background", f"{np.frombuffer(data, '<f4', 1, fields.at)[0]:g}")
    length = fields.take(1, "name_len", data[fields.at])[0]
    fields.take(length, "name", data[fields.at : fields.at + length].decode())
    fields.take(1, "source_len", 0)
    fields.title("QUAN (section 6.6)")
    quan = fields.table(QUANTISER)
    quan["cell_log2"] = fields.take(1, "cell_log2", data[fields.at])[0]
    quan["feature_step"] = float(np.frombuffer(data, "<f4", 1, fields.at)[0])
    fields.take(4, "feature_step", f"{quan['feature_step']:g}")
    fields.take(2, "transform", f"{np.frombuffer(data, '<f2', 1, fields.at)[0]:g}")
    fields.title("token tables (section 9.1)")
    with IgsReader(data) as reader:
        size = next(chunk for chunk in reader.chunks if chunk.fourcc == QUAN).raw_size
    at = QUANTISER.size + 1 + 4 + 2
    tables = tables_of(fields.take(size - at, "string of bits"))
    fields.title("PAGI (section 6.3)")
    fields.table(SIZED_PAGE_ENTRY)
    fields.title("GAUS (sections 9.3 and 9.4)")
    quan["page"] = data[fields.at :]
    n_tokens = trace(quan["page"], tables).at
    fields.take(4, "state")
    fields.take(n_tokens - 4, "state, later")
    fields.take(len(data) - fields.at, "bits")
    return fields.lines, header | quan, tables


# ---- section 9 ----


class AdaptiveBits:
    """The decoder of section 6.8, with numbers of streams that are named."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter([*data, *bytes(4 * len(data) + 64)])
        self._span, self._code = 2**32 - 1, 0
        self._counts: dict[tuple[str, str, int], list[int]] = {}
        for _ in range(4):
            self._code = self._code * 256 + next(self._bytes)

    def _bit(self, split: int) -> int:
        bit = int(self._code >= split)
        if bit:
            self._code, self._span = self._code - split, self._span - split
        else:
            self._span = split
        while self._span < 2**24:
            self._span, self._code = self._span * 256, self._code * 256 + next(self._bytes)
        return bit

    def _adaptive(self, stream: str, kind: str, octave: int) -> int:
        counts = self._counts.setdefault((stream, kind, octave), [1, 1])
        bit = self._bit((self._span >> 12) * (4096 * counts[0] // sum(counts)))
        counts[bit] += 2
        if sum(counts) > 512:
            counts[:] = [(count + 1) // 2 for count in counts]
        return bit

    def magnitude(self, stream: str) -> int:
        """A number from 0 on."""
        k = 0
        while self._adaptive(stream, "more", k):
            k += 1
        if not k:
            return 0
        value = 2 + self._adaptive(stream, "upper", k)
        for _ in range(k - 1):
            value = 2 * value + self._bit(self._span >> 1)
        return value - 1

    def signed(self, stream: str) -> int:
        """A number with a sign."""
        value = self.magnitude(stream)
        return -value if value and self._bit(self._span >> 1) else value


def tables_of(data: bytes) -> list[dict[str, Any]]:
    """What the token tables say, and the counts of their tokens (section 9.1)."""
    bits, tables = AdaptiveBits(data), []
    for name in STREAMS:
        low, n_tokens = bits.signed("low"), bits.magnitude("tokens") + 1
        weight, n_changes = bits.magnitude("first") + 1, bits.magnitude("changes")
        weights: list[int] = []
        for _ in range(n_changes):
            weights += [weight] * (bits.magnitude("runs") + 1)
            weight += bits.signed("steps")
        weights += [weight] * (n_tokens - len(weights))
        tables.append({"name": name, "low": low, "n_tokens": n_tokens, "counts": counts_of(weights)})
        tables[-1]["weights"] = weights
    return tables


def counts_of(weights: list[int]) -> list[int]:
    """Counts of a table from its weights (section 9.1)."""
    spreads = [(16, 19, 23, 27)[(weight - 1) % 4] << ((weight - 1) // 4) for weight in weights]
    counts = [max(1, 4096 * spread // sum(spreads)) for spread in spreads]
    while sum(counts) > 4096:
        counts[counts.index(max(counts))] -= 1
    counts[counts.index(max(counts))] += 4096 - sum(counts)
    return counts


@dataclass
class Trace:
    """What the range coder does: rows of the table, tokens of each stream, and where the bits begin."""

    rows: list[str] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=lambda: [[] for _ in STREAMS])
    at: int = 4


def trace(page: bytes, tables: list[dict[str, Any]]) -> Trace:
    """Decoding of the tokens of a page of three Gaussians (section 9.3)."""
    found, state = Trace(), int.from_bytes(page[:4], "little")
    for stream, table in enumerate(tables):
        for number in range(1 if stream == 0 else 0, 3):
            slot, start, token = state % 4096, 0, 0
            while slot >= start + table["counts"][token]:
                start, token = start + table["counts"][token], token + 1
            count = table["counts"][token]
            after = count * (state >> 12) + slot - start
            row = f"| {STREAMS[stream]} of {number} | {state:#010x} | {slot} | {token} | {start} | {count} "
            row += f"| {after:#010x} |"
            if after < 1 << 16:
                after = after << 16 | int.from_bytes(page[found.at : found.at + 2], "little")
                row += f" `{page[found.at : found.at + 2].hex(' ')}`, {after:#010x} |"
                found.at += 2
            else:
                row += " |"
            found.rows.append(row)
            found.tokens[stream].append(token)
            state = after
    assert state == 1 << 16
    return found


class Bits:
    """The bits after the tokens, with a line for each number (section 9.4)."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}"[::-1] for byte in data)
        self._at = 0
        self.rows: list[str] = []

    def take(self, n_bits: int, what: str) -> int:
        """The next number."""
        part = self._bits[self._at : self._at + n_bits]
        value = int(part[::-1], 2) if part else 0
        self.rows.append(f"| {what} | {n_bits} | {f'`{part}`' if part else ''} | {value if part else ''} |")
        self._at += n_bits
        return value

    def rest(self) -> str:
        """The bits that are left over."""
        return self._bits[self._at :]


def value_of(token: int, split: int, bits: Bits, what: str) -> int:
    """The value of a token and the bits after it (section 9.2)."""
    if token < 1 << split:
        return token
    order = split + (token - (1 << split)) // 4
    return ((4 + token % 4) << (order - 2)) + bits.take(order - 2, f"after the token {token} of {what}")


# ---- section 6.7 ----

M: Final = [round(2 ** (30 - i / 32)) for i in range(32)]


def pow2(units: int) -> float:
    """About 2^(units / 32)."""
    octaves = -(-units // 32)
    return math.ldexp(M[32 * octaves - units], octaves - 30)


def sine(v: int) -> int:
    """Sine of v / 2^15 quarter turns, times 2^15."""
    t = (v * v) >> 15
    return min((v * (51465 - ((t * (21077 - ((t * 2382) >> 15))) >> 15))) >> 15, 32768)


@dataclass
class Shape:
    """What n, e and r say of a Gaussian."""

    high: int
    low: int
    angle: int
    leading: int
    x_bits: int
    y_bits: int


def shape_of(n: int, e: int, r: int, values: dict[str, Any]) -> Shape:
    """The derived integers, in the names of section 6.7."""
    high, low = n * values["scale_step"], (n - e) * values["scale_step"]
    angle = r << (16 - rotation_bits(e, values))
    cos, sin = sine(abs(angle - 32768)), sine(32768 - abs(angle - 32768))
    d = 2 * (high - low)
    variance = (((M[d % 32] >> min(d // 32, 62)) * (cos * cos)) >> 30) + sin * sin + 1
    leading = 16 * (30 - (variance.bit_length() - 1)) - 8
    base = values["position_offset"] + 32 * values["cell_log2"]
    bits = (min(max((base + units) >> 5, 0), 16) for units in (low + leading, high - leading))
    return Shape(high, low, angle, leading, *bits)


def rotation_bits(e: int, values: dict[str, Any]) -> int:
    """Bits of the rotation of a Gaussian of elongation e."""
    return sum(least <= e for least in values["rotation_from"])


@dataclass
class Decoded:
    """Table rows of the three Gaussians, and (mx, my, s0, s1, theta, feature) of each."""

    bits: Bits
    integers: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    gaussians: list[tuple[float, ...]] = field(default_factory=list)


def decode(values: dict[str, Any], tables: list[dict[str, Any]]) -> Decoded:
    """The Gaussians of the page."""
    tokens, lows = trace(values["page"], tables), [table["low"] for table in tables]
    gaps, narrows, elongations, features = tokens.tokens
    found = Decoded(Bits(values["page"][tokens.at :]))
    bits, z, cell = found.bits, 0, values["cell_log2"]
    for i in range(3):
        n = value_of(narrows[i], 8, bits, "n") + lows[1]
        e = value_of(elongations[i], 8, bits, "e") + lows[2]
        r = bits.take(rotation_bits(e, values), f"r of {i}")
        if i == 0:
            z = bits.take(2 * ((max(values["width"], values["height"]) - 1) >> cell).bit_length(), "z of 0")
        else:
            z += value_of(gaps[i - 1], 4, bits, f"the gap of {i}") + lows[0]
        shape = shape_of(n, e, r, values)
        x_o, y_o = bits.take(shape.x_bits, f"x_o of {i}"), bits.take(shape.y_bits, f"y_o of {i}")
        f = value_of(features[i], 8, bits, "f_0") + lows[3]
        z_x, z_y = (sum((z >> (2 * bit + odd) & 1) << bit for bit in range(15)) for odd in (0, 1))
        found.integers.append(f"| {i} | {n} | {e} | {r} | {z} | {z_x}, {z_y} | {x_o} | {y_o} | {f} |")
        found.shapes.append(
            f"| {i} | {shape.high} | {shape.low} | {shape.angle} | {shape.leading} | {shape.x_bits} | {shape.y_bits} |"
        )
        found.gaussians.append(
            (
                ((z_x * 2**shape.x_bits + x_o) + 0.5) * 2.0 ** (cell - shape.x_bits),
                ((z_y * 2**shape.y_bits + y_o) + 0.5) * 2.0 ** (cell - shape.y_bits),
                pow2(shape.high),
                pow2(shape.low),
                shape.angle * (math.pi / 65536),
                f * values["feature_step"],
            )
        )
    return found


def distance(gaussian: tuple[float, ...], x: float, y: float) -> float:
    """q of a point (section 3.2)."""
    mx, my, s0, s1, theta, _ = gaussian
    dx, dy = x - mx, y - my
    u = s0 * (math.cos(theta) * dx + math.sin(theta) * dy)
    v = s1 * (-math.sin(theta) * dx + math.cos(theta) * dy)
    return u * u + v * v


def blended(gaussians: list[tuple[float, ...]], x: float, y: float) -> float:
    """The feature at a point in whose tile all of these, at most K, are candidates (section 3.5)."""
    q = [distance(gaussian, x, y) for gaussian in gaussians]
    weights = [math.exp(-(value - min(q)) / 2) for value in q]
    return sum(w * g[5] for w, g in zip(weights, gaussians, strict=True)) / sum(weights)


# ---- the section ----


def section() -> str:
    """The text between the two marks."""
    data = example_file()
    lines, values, tables = dump(data)
    tokens, decoded = trace(values["page"], tables), decode(values, tables)
    return "\n".join([*_file(data, lines), *_tables(tables), *_coder(tokens), *_bits(decoded), *_picture(decoded), ""])


def _file(data: bytes, lines: list[str]) -> Iterator[str]:
    about = "A picture of 24 x 16 px with one 8-bit channel and three Gaussians"
    yield f"{about}, in {len(data)} bytes. With one"
    yield "level whose gain is 1 there is no LODS. No chunk is deflated."
    yield from ("", "```annotated", *lines, "```", "")


def _tables(tables: list[dict[str, Any]]) -> Iterator[str]:
    yield "The token tables, decoded by section 6.8, and the counts of their tokens (section 9.1):"
    yield from ("", "| Table | low | t | Weights | Counts |", "|---|---|---|---|---|")
    for table in tables:
        weights, counts = (", ".join(map(_run, groupby(table[key]))) for key in ("weights", "counts"))
        yield f"| {table['name']} | {table['low']} | {table['n_tokens']} | {weights} | {counts} |"
    yield ""


def _run(run: tuple[int, Iterator[int]]) -> str:
    value, n = run[0], len(list(run[1]))
    return f"{value}" if n == 1 else f"{n} x {value}"


def _coder(tokens: Trace) -> Iterator[str]:
    yield "The range decoder (section 9.3), from the state in the first four bytes of GAUS to 0x00010000:"
    yield ""
    yield "| Token | State | slot | t | start(t) | count(t) | State after it | u16 read, state then |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from tokens.rows
    yield ""


def _bits(decoded: Decoded) -> Iterator[str]:
    yield "The bits (section 9.4), in the order in which they are read, so that the least significant is the first:"
    yield from ("", "| What | Bits | Read | Value |", "|---|---|---|---|", *decoded.bits.rows)
    rest = decoded.bits.rest()
    yield from ("", f"What is left of the last byte, {len(rest)} bit(s), is 0.", "")
    yield "So the integers of the Gaussians are"
    yield from ("", "| i | n | e | r | z | z_x, z_y | x_o | y_o | f_0 |", "|---|---|---|---|---|---|---|---|---|")
    yield from decoded.integers
    yield from ("", "what section 6.7 derives from them is", "")
    yield from ("| i | high | low | angle | leading | x_bits | y_bits |", "|---|---|---|---|---|---|---|")
    yield from decoded.shapes
    yield from ("", "and the Gaussians, to ten digits, are", "")
    yield from ("| i | mx | my | s0 | s1 | theta | feature |", "|---|---|---|---|---|---|---|")
    for i, gaussian in enumerate(decoded.gaussians):
        yield f"| {i} | " + " | ".join(f"{value:.10g}" for value in gaussian) + " |"
    yield ""


def _picture(decoded: Decoded) -> Iterator[str]:
    x, y = 12.5, 6.5
    q = [distance(gaussian, x, y) for gaussian in decoded.gaussians]
    weights = [math.exp(-(value - min(q)) / 2) for value in q]
    value = blended(decoded.gaussians, x, y)
    yield f"At ({x}, {y}), the centre of the pixel in column 12 of row 6, all three are in the list of tile (0, 0)"
    yield "(section 3.4). By sections 3.2, 3.5 and 3.7 this pixel has"
    yield from ("", "| i | q_i | w_i |", "|---|---|---|")
    yield from (f"| {i} | {a:.6f} | {b:.6f} |" for i, (a, b) in enumerate(zip(q, weights, strict=True)))
    yield from ("", f"the feature {value:.6f}, and the code {math.floor(min(max(value, 0), 1) * 255 + 0.5)}.")


def written(text: str) -> str:
    """The specification with this section in place of the one it has."""
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:begin] + "\n" + section() + "\n" + text[end:]


if __name__ == "__main__":
    SPEC.write_text(written(SPEC.read_text(encoding="utf-8")), encoding="utf-8")
