"""Z-order: a sort key that keeps Gaussians near each other in the image near each other in the file."""

import numpy as np
import numpy.typing as npt

_SPREADS = ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333))


def _spread(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Bits of 32-bit values moved to the even places of 64."""
    for shift, mask in (*_SPREADS, (1, 0x5555555555555555)):
        values = (values | (values << np.uint64(shift))) & np.uint64(mask)
    return values


def morton_codes(x: npt.NDArray[np.integer], y: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """(N,) interleaved bits of x and y, 0 <= x, y < 2^32; bit 0 of the code is bit 0 of x."""
    return _spread(x.astype(np.uint64)) | (_spread(y.astype(np.uint64)) << np.uint64(1))


def interleave(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N,) Morton codes of x and y, 0 <= x, y < 2^31, as signed integers."""
    return morton_codes(x, y).astype(np.int64)


def deinterleave(codes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(N,) x and y of Morton codes of 0 to 2^62 - 1."""
    values = codes.astype(np.uint64)
    return _gather(values), _gather(values >> np.uint64(1))


def _gather(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The bits at even places of 64, side by side."""
    values = values & np.uint64(0x5555555555555555)
    for shift, mask in ((1, _SPREADS[3][1]), (2, _SPREADS[2][1]), (4, _SPREADS[1][1]), (8, _SPREADS[0][1])):
        values = (values | (values >> np.uint64(shift))) & np.uint64(mask)
    return ((values | (values >> np.uint64(16))) & np.uint64(0xFFFFFFFF)).astype(np.int64)


def record_codes(records: npt.NDArray[np.uint16], height: int, width: int) -> npt.NDArray[np.uint64]:
    """(n,) Morton codes of records' stored means (unorm16 of width and height), their first two words.

    Both axes count in the same unit, the longer side / 65535, so that cells are square in the image.
    """
    side = np.uint64(max(height, width))
    columns = records[:, 0].astype(np.uint64) * np.uint64(width) // side
    rows = records[:, 1].astype(np.uint64) * np.uint64(height) // side
    return morton_codes(columns, rows)
