"""The buffer that the shaders' `igs_sample` reads: packed pages as they are stored, and tile lists of every level.

The layout is that of spec/igs.md, section 18.1. Tile lists are made here, in binary64: a shader needs no rule for them.
"""

from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from gscodec.container.reader import IgsReader
from gscodec.errors import UnsupportedImage
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.profiles.packed import PackedPageDecoder
from gscodec.render.engines import cpu_backend

Words = npt.NDArray[np.uint32]

MAGIC: Final = 0x53534749
"""`IGSS`, the first word."""

MOST_SIDE: Final = 65535
"""Pixels along a side: beyond, the boxes of pages have another unit, which the shader does not know."""

_HEADER_WORDS: Final = 8
_LEVEL_WORDS: Final = 8
_RECORD_BITS: Final = 12  # of an entry of a tile list: the number of a record in its page


class _Buffer:
    """Words, appended part by part."""

    def __init__(self) -> None:
        self.parts: list[Words] = []
        self.size = 0

    def add(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.uint32) -> int:
        """Place of new words, from numbers of 32 bits."""
        words = np.ascontiguousarray(values, dtype).reshape(-1).view(np.uint32)
        self.parts.append(words)
        place, self.size = self.size, self.size + len(words)
        return place

    def add_bytes(self, data: bytes) -> int:
        """Place of new words from bytes, the last one filled up with 0."""
        return self.add(np.frombuffer(data + bytes(-len(data) % 4), np.uint32))


def shader_data(source: str | Path | bytes, *, limits: Limits = DEFAULT_LIMITS) -> Words:
    """Words of the buffer that shaders sample a file from, all levels of its sets of profile `packed`.

    Args:
        source: path, URL or contents.

    Returns:
        uint32 (n,), with a word of 0 at the end.

    Raises:
        UnsupportedImage: the finest set has another profile, or the picture is larger than `MOST_SIDE`.
        GsCodecError: the file cannot be read, or is damaged.
    """
    with IgsReader(source, limits=limits) as reader:
        return _words_of(reader)


def _words_of(reader: IgsReader) -> Words:
    grid, backend, buffer = reader.grid, cpu_backend(), _Buffer()
    if max(grid.width, grid.height) > MOST_SIDE:
        raise UnsupportedImage(f"{reader.name}: is larger than {MOST_SIDE} px, which shaders do not read")
    sets = [number for number in range(reader.n_sets) if _is_packed(reader, number)]
    if 0 not in sets:
        raise UnsupportedImage(
            f"{reader.name}: is not of profile packed, which shaders read; encode with --profile packed"
        )
    header = np.zeros(_HEADER_WORDS, np.uint32)
    buffer.add(header)
    lods = [lod for number in sets for lod in reader.lods_of(number)]
    levels = np.zeros((len(lods), _LEVEL_WORDS), np.uint32)
    first_level = buffer.add(levels)
    n_channels = len(grid.background)
    header[:] = (MAGIC, len(lods), grid.width, grid.height, n_channels, reader.header.top_k, first_level,
                 buffer.add(grid.background, np.float32))  # fmt: skip
    for number in sets:
        place, numbers = _add_set(buffer, reader, number)
        for lod in reader.lods_of(number):
            gaussians = reader.read(lod)
            index = backend.bin(gaussians, grid)
            row = lods.index(lod)
            starts = buffer.add(index.offsets, np.uint32)
            entries = buffer.add(numbers[index.indices], np.uint32)
            gains = buffer.add(reader.gains(lod), np.float32)
            levels[row, :5] = place, starts, entries, gains, reader.scale_of(number).bit_length() - 1
    buffer.add([0])
    buffer.parts[:2] = [header, levels.reshape(-1)]
    return np.concatenate(buffer.parts)


def _is_packed(reader: IgsReader, number: int) -> bool:
    return reader.stored_set(number).decoder.record_layout is not None


def _add_set(buffer: _Buffer, reader: IgsReader, number: int) -> tuple[int, Words]:
    """Place of a set's words, and (n,) page and record of each Gaussian as entries of tile lists have them."""
    stored = reader.stored_set(number)
    decoder, index = cast(PackedPageDecoder, stored.decoder), stored.pages
    lattice, layout, scale = decoder.codec.lattice, decoder.codec.layout, reader.scale_of(number)
    data = bytes(reader.stored_pages(reader.lods_of(number)[0]).data)
    sizes = np.diff(index.starts)
    counts = [0, *stored.lods.counts]
    generations = np.searchsorted(counts, index.starts[:-1], side="right") - 1
    pages = [buffer.add_bytes(data[begin:end]) for begin, end in zip(index.edges[:-1], index.edges[1:], strict=True)]
    rotations = buffer.add(lattice.rotation_from)
    fields = buffer.add(np.column_stack([np.array(layout.lows, np.int32).view(np.uint32), layout.bits]))
    matrix = buffer.add(lattice.feature_steps[:, None].astype(np.float64) * lattice.transform, np.float32)
    table = buffer.add(np.column_stack([pages, generations]))
    size = -(-reader.grid.width // scale), -(-reader.grid.height // scale)
    words = (layout.stride, layout.place_bits, lattice.scale_step, 1, *size, rotations, fields, matrix, table)
    records = np.arange(len(generations)).repeat(sizes) << _RECORD_BITS
    within = np.arange(int(index.starts[-1])) - index.starts[:-1].repeat(sizes)
    return buffer.add(words), (records | within).astype(np.uint32)
