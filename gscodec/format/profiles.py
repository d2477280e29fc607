"""How the pages of each profile become Gaussians."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from gscodec.constants import MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.errors import CorruptField
from gscodec.format.coded import PageCodec
from gscodec.format.pages import PageRefs
from gscodec.format.quantize import MAX_FEATURE, Records, check_records, dequantize_records
from gscodec.gaussians import GaussianSet, Grid


class PageDecoder(Protocol):
    """Bytes of pages to Gaussians."""

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """The Gaussians of some pages as stored, gains not applied.

        Args:
            data: the bytes of the pages, one after the other; their checksums have been compared.

        Raises:
            CorruptField: a value is outside its valid range.
        """
        ...


class F16PageDecoder:
    """`PageDecoder` of profile `f16`."""

    def __init__(self, grid: Grid, n_channels: int, name: str) -> None:
        self._grid, self._n_channels, self._name = grid, n_channels, name

    def records(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> Records:
        """(n, 5 + C) checked records. Arguments and errors as `decode`."""
        records: Records = data.view("<u2").reshape(-1, 5 + self._n_channels).astype(np.uint16, copy=False)
        if len(pages):
            check_records(records, self._name, int(pages.starts[0]))
        return records

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """See `PageDecoder.decode`."""
        return dequantize_records(self.records(data, pages), self._grid.height, self._grid.width)


class CodedPageDecoder:
    """`PageDecoder` of profile `coded`."""

    def __init__(self, codec: PageCodec, grid: Grid, counts: tuple[int, ...], name: str) -> None:
        self._codec, self._grid, self._counts, self._name = codec, grid, np.asarray(counts), name

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """See `PageDecoder.decode`."""
        sizes = pages.sizes
        generations = np.searchsorted(self._counts, pages.starts, side="right")
        gaussians, bad = self._codec.decode_gaussians(data, pages.lengths, sizes, generations)
        if gaussians is None:
            raise CorruptField(
                f"{self._name}: page {int(pages.numbers[bad])} is not a coded page of {sizes[bad]} Gaussians"
            )
        fault = _fault(gaussians, self._grid)
        if fault:
            page = int(pages.numbers[np.searchsorted(np.cumsum(sizes), fault[0], side="right")])
            raise CorruptField(f"{self._name}: page {page} has a Gaussian with {fault[1]}")
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
