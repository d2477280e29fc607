"""How the pages of each profile become Gaussians."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gscodec.errors import CorruptField
from gscodec.format.layout import record_size
from gscodec.format.limits import page_lengths
from gscodec.format.pages import PageRefs, page_starts
from gscodec.model.constants import MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid
from gscodec.profiles.coded import PageCodec
from gscodec.profiles.f16 import MAX_FEATURE, Records, check_records, dequantize_records
from gscodec.profiles.packed import RecordCodec


class PageDecoder(Protocol):
    """Bytes of pages to Gaussians."""

    @property
    def record_bytes(self) -> int | None:
        """Bytes of a record; None where they differ."""
        ...

    def page_bytes(self, page_size: int) -> npt.NDArray[np.int64] | None:
        """(P,) bytes of each page of the file; None where the page index says so. Their number has been checked."""
        ...

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """The Gaussians of some pages as stored, gains not applied.

        Args:
            data: the bytes of the pages, one after the other; their checksums have been compared.

        Raises:
            CorruptField: a value is outside its valid range.
        """
        ...


@dataclass(frozen=True)
class StoredPages:
    """Pages of a level as they lie in the file, and what it takes to make Gaussians of them."""

    decoder: PageDecoder
    data: npt.NDArray[np.uint8]  # the bytes of the pages, one after the other; their checksums have been compared
    refs: PageRefs
    generations: npt.NDArray[np.int64]  # (P,) of each page's Gaussians
    gains: Float64Array  # (P,) factors on their inverse scales
    grid: Grid

    def unpack(self) -> GaussianSet:
        """The Gaussians that the level shows of them.

        Raises:
            CorruptField: a value is outside its valid range.
        """
        stored = self.decoder.decode(self.data, self.refs)
        gain = np.repeat(self.gains, self.refs.sizes)
        return GaussianSet(stored.means, stored.inv_scales * gain[:, None], stored.rotations, stored.features)


class F16PageDecoder:
    """`PageDecoder` of profile `f16`."""

    def __init__(self, grid: Grid, n_channels: int, counts: tuple[int, ...], name: str) -> None:
        self._grid, self._n_channels, self._counts, self._name = grid, n_channels, counts, name

    @property
    def record_bytes(self) -> int:
        """See `PageDecoder.record_bytes`."""
        return record_size(self._n_channels)

    def page_bytes(self, page_size: int) -> npt.NDArray[np.int64]:
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


class PackedPageDecoder:
    """`PageDecoder` of profile `packed`; `threads` 0 is one per processor."""

    def __init__(self, codec: RecordCodec, grid: Grid, counts: tuple[int, ...], name: str, threads: int = 0) -> None:
        self.codec, self._grid, self._counts, self._name = codec, grid, np.asarray(counts), name
        self._threads = threads

    @property
    def record_bytes(self) -> int:
        """See `PageDecoder.record_bytes`."""
        return self.codec.layout.stride

    def page_bytes(self, page_size: int) -> npt.NDArray[np.int64]:
        """See `PageDecoder.page_bytes`."""
        starts = page_starts(tuple(self._counts.tolist()), page_size)
        return self.codec.page_bytes(np.diff(starts))

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """See `PageDecoder.decode`."""
        gaussians, bad = self.codec.decode(data, pages.sizes, self._threads)
        if gaussians is None:
            page = f"{self._name}: page {int(pages.numbers[bad])}"
            raise CorruptField(f"{page} has a box outside the picture, or bits that mean nothing")
        return checked_gaussians(gaussians, pages, self._grid, self._name)


class CodedPageDecoder:
    """`PageDecoder` of profile `coded`; `threads` 0 is one per processor."""

    def __init__(self, codec: PageCodec, grid: Grid, counts: tuple[int, ...], name: str, threads: int = 0) -> None:
        self.codec, self._grid, self._counts, self._name = codec, grid, np.asarray(counts), name
        self._threads = threads

    @property
    def record_bytes(self) -> None:
        """See `PageDecoder.record_bytes`."""

    def page_bytes(self, page_size: int) -> None:
        """See `PageDecoder.page_bytes`."""

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """See `PageDecoder.decode`."""
        sizes = pages.sizes
        generations = np.searchsorted(self._counts, pages.starts, side="right")
        gaussians, bad = self.codec.decode_gaussians(data, pages.lengths, sizes, generations, self._threads)
        if gaussians is None:
            raise CorruptField(
                f"{self._name}: page {int(pages.numbers[bad])} is not a coded page of {sizes[bad]} Gaussians"
            )
        return checked_gaussians(gaussians, pages, self._grid, self._name)


def checked_gaussians(gaussians: GaussianSet, pages: PageRefs, grid: Grid, name: str) -> GaussianSet:
    """The Gaussians of some pages, if all are in range.

    Raises:
        CorruptField: one is not.
    """
    fault = _fault(gaussians, grid)
    if fault:
        page = int(pages.numbers[np.searchsorted(np.cumsum(pages.sizes), fault[0], side="right")])
        raise CorruptField(f"{name}: page {page} has a Gaussian with {fault[1]}")
    return gaussians


def _fault(gaussians: GaussianSet, grid: Grid) -> tuple[int, str] | None:
    """The first Gaussian outside the ranges that hold for every profile, and what is wrong with it."""
    size = np.array([grid.width, grid.height], np.float64)
    scales = gaussians.inv_scales
    faults = (
        ((gaussians.means > size).any(axis=1), "a mean outside the picture"),
        (((scales < MIN_INV_SCALE) | (scales > MAX_INV_SCALE)).any(axis=1), "an inverse scale outside 2^-14..64"),
        (~(np.abs(gaussians.features) <= MAX_FEATURE).all(axis=1), "a feature outside -65504..65504"),
    )
    found = [(int(np.argmax(bad)), fact) for bad, fact in faults if bad.any()]
    return min(found) if found else None
