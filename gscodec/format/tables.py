"""Pack and unpack of the critical tables CHAN (channel groups), LODS (levels of detail) and PAGI (page index)."""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gscodec.errors import CorruptField, LimitExceeded
from gscodec.format.chunks import StoredChunk
from gscodec.format.groups import check_groups
from gscodec.format.layout import GROUP, LOD_ROW, LODS, ErrorClass, Header
from gscodec.format.limits import MAX_GAUSSIANS_PER_BYTE, tile_counts
from gscodec.format.pages import PAGE_DTYPE, SIZED_PAGE_DTYPE, PageIndex, page_starts
from gscodec.format.profile_table import LAYOUTS
from gscodec.model.channels import (
    KNEE_BIAS,
    AlphaMode,
    ChannelGroup,
    NormalConvention,
    Role,
    SampleType,
    Transfer,
    channel_spans,
    code_of,
    count_channels,
    member_of,
)
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.gaussians import Float32Array, LodTable


class _Cursor:
    """Sequential reader of a table; raises CorruptField at the end of the data."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._at, self._where = data, 0, where

    def take(self, n_bytes: int) -> bytes:
        part = self._data[self._at : self._at + n_bytes]
        if len(part) != n_bytes:
            raise CorruptField(f"{self._where} ends early, at byte {len(self._data)}")
        self._at += n_bytes
        return part

    def floats(self, count: int) -> Float32Array:
        return np.frombuffer(self.take(4 * count), "<f4").astype(np.float32)

    def text(self) -> str:
        raw = self.take(self.take(1)[0])
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as fault:
            raise CorruptField(f"{self._where} has a text that is not UTF-8") from fault

    def end(self) -> None:
        if self._at != len(self._data):
            raise CorruptField(f"{self._where} has {len(self._data) - self._at} bytes too many")


def pack_channels(groups: Sequence[ChannelGroup], background: Float32Array) -> bytes:
    """The CHAN chunk of checked groups and the background (C,)."""
    parts = [bytes([len(groups)])]
    for group, channels in channel_spans(groups):
        codes = {
            "n_channels": group.n_channels,
            "role": code_of(group.role),
            "bit_depth": group.bit_depth,
            "sample_type": code_of(group.sample_type),
            "transfer": code_of(group.transfer),
            "alpha": code_of(group.alpha),
            "normal": code_of(group.normal),
            "knee": group.knee_log2 + KNEE_BIAS if group.transfer is Transfer.ASINH else 0,
            "value_min": group.value_min,
            "value_max": group.value_max,
        }
        parts.append(GROUP.pack(codes))
        parts.append(background[channels].astype("<f4").tobytes())
        texts = (group.name.encode(), group.source.encode())
        parts.extend(bytes([len(text)]) + text for text in texts)
    return b"".join(parts)


def unpack_channels(data: bytes, n_channels: int | None, name: str) -> tuple[tuple[ChannelGroup, ...], Float32Array]:
    """Groups and float32 background (C,) of a CHAN chunk; n_channels is the total that other fields state.

    Raises:
        CorruptField: a field is outside its range, or the groups do not have n_channels in total.
        LimitExceeded: too many groups or channels.
    """
    cursor = _Cursor(data, f"{name}: chunk CHAN")
    groups: list[ChannelGroup] = []
    backgrounds = []
    group_count = cursor.take(1)[0]
    if group_count > MAX_CHANNELS:
        raise LimitExceeded(f"{name}: {group_count} channel groups, the limit is {MAX_CHANNELS}")
    for _ in range(group_count):
        values = GROUP.unpack(cursor.take(GROUP.size))
        GROUP.check(values, name)
        transfer = member_of(Transfer, values["transfer"])
        if values["knee"] and transfer is not Transfer.ASINH:
            raise CorruptField(f"{name}: a channel group has knee {values['knee']}, which transfer {transfer} has not")
        if n_channels is None and count_channels(groups) + values["n_channels"] > MAX_CHANNELS:
            raise LimitExceeded(f"{name}: the channel groups have more than {MAX_CHANNELS} channels")
        backgrounds.append(cursor.floats(values["n_channels"]))
        groups.append(
            ChannelGroup(
                n_channels=values["n_channels"],
                role=member_of(Role, values["role"]),
                bit_depth=values["bit_depth"],
                sample_type=member_of(SampleType, values["sample_type"]),
                transfer=transfer,
                knee_log2=values["knee"] - KNEE_BIAS if transfer is Transfer.ASINH else 0,
                alpha=member_of(AlphaMode, values["alpha"]),
                normal=member_of(NormalConvention, values["normal"]),
                value_min=values["value_min"],
                value_max=values["value_max"],
                name=cursor.text(),
                source=cursor.text(),
            )
        )
    cursor.end()
    check_groups(groups, count_channels(groups) if n_channels is None else n_channels, name)
    background = np.concatenate(backgrounds)
    if not np.isfinite(background).all():
        raise CorruptField(f"{name}: the background is not finite")
    return tuple(groups), background


def pack_lods(lods: LodTable) -> bytes:
    """The LODS chunk of a checked table."""
    rows = zip(lods.counts, lods.gains, strict=True)
    return b"".join(struct.pack(f"<I{len(gains)}f", count, *gains) for count, gains in rows)


def lods_chunks(lods: LodTable) -> list[StoredChunk]:
    """The LODS chunk of a checked table; none of one level with a gain of 1, which a set without it has."""
    if lods == LodTable.single(lods.counts[-1]):
        return []
    return [StoredChunk.plain(LODS, pack_lods(lods))]


def unpack_lods(data: bytes, header: Header, name: str) -> LodTable:
    """The LOD table of a LODS chunk whose size matches the header.

    Raises:
        CorruptField: counts fall, do not end at n_gaussians, a gain is outside its range, or there is one level with a
            gain of 1, which needs no chunk.
    """
    cursor = _Cursor(data, f"{name}: chunk LODS")
    counts: list[int] = []
    gains = []
    for step in range(header.lod_count):
        count = int.from_bytes(cursor.take(LOD_ROW.size), "little")
        if counts and count < counts[-1]:
            raise CorruptField(f"{name}: LOD counts fall from {counts[-1]} to {count}")
        counts.append(count)
        row = tuple(float(gain) for gain in cursor.floats(step + 1))
        for gain in row:
            LOD_ROW.check({"gain": gain}, name)
        gains.append(row)
    cursor.end()
    if counts[-1] != header.n_gaussians:
        raise CorruptField(f"{name}: the last LOD count is {counts[-1]}, the header has {header.n_gaussians}")
    if gains == [(1.0,)]:
        raise CorruptField(f"{name}: has chunk LODS with one level and a gain of 1, which must be left out")
    return LodTable(tuple(counts), tuple(gains))


def pack_pages(
    boxes: npt.NDArray[np.int64], crcs: npt.NDArray[np.uint32], lengths: npt.NDArray[np.int64] | None
) -> bytes:
    """The PAGI chunk of tile boxes (P, 4), page CRCs (P,) and, for pages of varying size, lengths in bytes (P,)."""
    table = np.empty(len(crcs), PAGE_DTYPE if lengths is None else SIZED_PAGE_DTYPE)
    if lengths is not None:
        table["n_bytes"] = lengths
    for column, field in enumerate(("tx_first", "ty_first", "tx_last", "ty_last")):
        table[field] = boxes[:, column]
    table["crc"] = crcs
    return table.tobytes()


def parse_pages(
    data: bytes, header: Header, first: int | None, name: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.int64] | None]:
    """Boxes (P, 4), CRCs (P,) and, if the profile stores them, lengths in bytes (P,) of entries of PAGI or PAGT.

    Args:
        first: number of the first page, for messages; None for blocks of a page tree.

    Raises:
        CorruptField: a box is empty or leaves the grid, or a page has no bytes.
    """
    fixed = not LAYOUTS[header.profile].has_page_lengths
    table = np.frombuffer(data, PAGE_DTYPE if fixed else SIZED_PAGE_DTYPE)
    boxes = np.stack([table[field] for field in ("tx_first", "ty_first", "tx_last", "ty_last")], axis=1)
    rows, columns = tile_counts(header.height, header.width)
    bad = (boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3]) | (boxes[:, 2] >= columns) | (boxes[:, 3] >= rows)
    what, base = ("page", first) if first is not None else ("block", 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise CorruptField(
            f"{name}: {what} {base + at} has tile box {boxes[at].tolist()}, outside {columns} x {rows} tiles"
        )
    crcs = table["crc"].astype(np.uint32)
    if fixed:
        return boxes.astype(np.int64), crcs, None
    if (table["n_bytes"] == 0).any():
        raise CorruptField(f"{name}: {what} {base + int(np.argmin(table['n_bytes']))} has no bytes")
    return boxes.astype(np.int64), crcs, table["n_bytes"].astype(np.int64)


def check_density(
    sizes: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    what: str,
    where: str,
    error: ErrorClass = CorruptField,
) -> None:
    """Refuse pages, or blocks of pages, with more Gaussians (P,) than their bytes (P,) can encode.

    Raises:
        GsCodecError: `error`, if one has more than MAX_GAUSSIANS_PER_BYTE.
    """
    bad = sizes > MAX_GAUSSIANS_PER_BYTE * lengths
    if bad.any():
        at = int(np.argmax(bad))
        raise error(
            f"{where}: {what} {at} has {sizes[at]} Gaussians in {lengths[at]} bytes, more than "
            f"{MAX_GAUSSIANS_PER_BYTE} a byte"
        )


def unpack_pages(
    data: bytes, counts: tuple[int, ...], header: Header, fixed: npt.NDArray[np.int64] | None, data_size: int, name: str
) -> PageIndex:
    """The page index of a PAGI chunk whose size matches the counts.

    Args:
        fixed: (P,) bytes of each page, if entries do not store them.

    Raises:
        CorruptField: as `parse_pages` and `check_density`, or the pages do not fill the data_size bytes of GAUS.
    """
    boxes, crcs, lengths = parse_pages(data, header, 0, name)
    starts = page_starts(counts, header.page_size)
    lengths = fixed if lengths is None else lengths
    assert lengths is not None
    check_density(np.diff(starts), lengths, "page", name)
    edges = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    if edges[-1] != data_size:
        raise CorruptField(f"{name}: GAUS has {data_size} bytes, its pages take {edges[-1]}")
    return PageIndex(starts, boxes, crcs, edges)
