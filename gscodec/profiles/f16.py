"""Profile `f16`: GaussianSet <-> records of 16-bit words (spec/igs.md, section 7)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import CorruptField
from gscodec.format import profile_table
from gscodec.format.layout import GAUS, record_size
from gscodec.format.limits import page_lengths
from gscodec.format.pages import PageRefs
from gscodec.model.channels import ChannelGroup
from gscodec.model.constants import MAX_FEATURE, MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid
from gscodec.profiles.base import EncodedPages, FixedSizeProfile, Int64Array, PageDecoder, PageSource
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.morton import record_codes
from gscodec.profiles.paging import file_order

Records = npt.NDArray[np.uint16]  # (N, 5 + C) x, y, inv_scale[2], rotation, feature[C]; floats as their bits

MEAN_LEVELS: Final = 65535
ROTATION_LEVELS: Final = 65536

_INF_BITS: Final = 0x7C00
_MIN_SCALE_BITS: Final = int(np.float16(MIN_INV_SCALE).view(np.uint16))
_MAX_SCALE_BITS: Final = int(np.float16(MAX_INV_SCALE).view(np.uint16))


def _half_bits(values: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.uint16]:
    """Bits of values clamped to low..high and rounded half to even."""
    halves: npt.NDArray[np.float16] = np.clip(values, low, high).astype(np.float16)
    return halves.view(np.uint16)


def quantize_records(gaussians: GaussianSet, height: int, width: int) -> Records:
    """(N, 5 + C) records of finite Gaussians; values outside the valid range are clamped into it."""
    records = np.empty((len(gaussians), 5 + gaussians.n_channels), np.uint16)
    fractions = np.clip(gaussians.means / np.array([width, height], np.float64), 0, 1)
    records[:, 0:2] = np.floor(fractions * MEAN_LEVELS + 0.5)
    records[:, 2:4] = _half_bits(gaussians.inv_scales, MIN_INV_SCALE, MAX_INV_SCALE)
    turns = np.floor(np.mod(gaussians.rotations, np.pi) / np.pi * ROTATION_LEVELS + 0.5)
    records[:, 4] = turns.astype(np.int64) % ROTATION_LEVELS
    records[:, 5:] = _half_bits(gaussians.features, -MAX_FEATURE, MAX_FEATURE)
    return records


def _halves(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float16]:
    return np.ascontiguousarray(bits).view(np.float16)


def dequantize_records(records: Records, height: int, width: int) -> GaussianSet:
    """The Gaussians that valid records stand for."""
    size = np.array([width, height], np.float64)
    means: Float64Array = records[:, 0:2].astype(np.float64) / MEAN_LEVELS * size
    return GaussianSet(
        means,
        _halves(records[:, 2:4]).astype(np.float64),
        records[:, 4].astype(np.float64) * (np.pi / ROTATION_LEVELS),
        _halves(records[:, 5:]).astype(np.float32),
    )


def record_fault(records: Records, first: int = 0) -> str | None:
    """Description of the first invalid record, or None. `first` is the index of records[0] in the file.

    Works on the bits: float16 order is integer order for positive values, and a signalling NaN is never converted.
    """
    scales = records[:, 2:4]
    bad_scale = ((scales < _MIN_SCALE_BITS) | (scales > _MAX_SCALE_BITS)).any(axis=1)
    bad_feature = ((records[:, 5:] & _INF_BITS) == _INF_BITS).any(axis=1)
    bad: npt.NDArray[np.bool_] = np.logical_or(bad_scale, bad_feature)
    if not bad.any():
        return None
    row = int(np.argmax(bad))
    fact = "an inverse scale outside 2^-14..64" if np.ravel(bad_scale)[row] else "a feature that is not finite"
    return f"Gaussian {first + row} has {fact}"


def check_records(records: Records, where: str, first: int = 0) -> None:
    """Refuse records outside their valid ranges.

    Raises:
        CorruptField: an inverse scale is outside [2^-14, 64], or a feature is NaN or infinite.
    """
    fault = record_fault(records, first)
    if fault:
        raise CorruptField(f"{where}: {fault}")


class F16PageDecoder(PageDecoder):
    """`PageDecoder` of profile `f16`."""

    def __init__(self, grid: Grid, n_channels: int, counts: tuple[int, ...], name: str) -> None:
        self._grid, self._n_channels, self._counts, self._name = grid, n_channels, counts, name

    @property
    def record_bytes(self) -> int:
        """See `PageDecoder.record_bytes`."""
        return record_size(self._n_channels)

    def page_bytes(self, page_size: int) -> Int64Array:
        """See `PageDecoder.page_bytes`."""
        return page_lengths(self._counts, page_size) * self.record_bytes

    def records(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> Records:
        """(n, 5 + C) checked records. Arguments and errors as `decode`."""
        records: Records = data.view("<u2").reshape(-1, 5 + self._n_channels).astype(np.uint16, copy=False)
        if len(pages):
            check_records(records, self._name, int(pages.starts[0]))
        return records

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """See `PageDecoder.decode`."""
        return dequantize_records(self.records(data, pages), self._grid.height, self._grid.width)


class F16Profile(FixedSizeProfile):
    """16 bits for each value, in an array of records that can be mapped."""

    layout = profile_table.F16

    def stores(self, lattice: Lattice | None) -> bool:
        """See `Profile.stores`."""
        return lattice is None

    def encode_pages(self, source: PageSource) -> EncodedPages:
        """See `PagedProfile.encode_pages`."""
        height, width = source.grid.height, source.grid.width
        records = quantize_records(source.gaussians, height, width)
        widths = -records[:, 2:4].min(axis=1).astype(np.int64)  # bits of positive floats are in their order
        order = file_order(record_codes(records, height, width), source.counts, source.page_size, widths)
        records = records[order]
        stored = dequantize_records(records, height, width)
        lengths = page_lengths(source.counts, source.page_size) * record_size(stored.n_channels)
        return EncodedPages(stored, records.astype("<u2").tobytes(), lengths)

    def decoder(
        self,
        quan: bytes,  # noqa: ARG002  # there is none
        groups: Sequence[ChannelGroup],
        grid: Grid,
        counts: tuple[int, ...],
        name: str,
        threads: int,  # noqa: ARG002  # one is enough
    ) -> F16PageDecoder:
        """See `PagedProfile.decoder`."""
        return F16PageDecoder(grid, sum(group.n_channels for group in groups), counts, name)

    def chunk_sizes(
        self,
        counts: Sequence[int],
        n_pages: int,  # noqa: ARG002  # pages have no heads
        groups: Sequence[ChannelGroup],
        record_bytes: int | None,  # noqa: ARG002  # follows from the channels
    ) -> dict[bytes, int]:
        """See `FixedSizeProfile.chunk_sizes`."""
        return {GAUS: counts[-1] * record_size(sum(group.n_channels for group in groups))}
