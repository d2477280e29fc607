"""Copies pictures from GPU memory to the host strip by strip: the GPU renders the next strip during each copy.

A copy to ordinary memory goes through the driver's own buffers and blocks; one to pinned memory overlaps with kernels.
Two pinned strips suffice: one is filled while the host copies from the other.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda.runtime import Array, Runtime

STRIP_BYTES: Final = 1 << 24
"""Approximate size of a strip: 0.7 ms at 25 GB/s, far above the cost of starting a copy (predicted)."""

LARGE_BYTES: Final = 4 * STRIP_BYTES
"""Minimum size of a picture for which pinned strips are worth their allocation."""

Rows = tuple[int, int]
"""First row, and one past the last."""


def row_strips(n_rows: int, row_bytes: int, strip_bytes: int = STRIP_BYTES, align: int = 1) -> Iterator[Rows]:
    """Strips of at most strip_bytes, and at least `align` rows, whose edges are multiples of `align`."""
    step = max(1, strip_bytes // max(row_bytes, 1) // align) * align
    return ((first, min(n_rows, first + step)) for first in range(0, n_rows, step))


def travelling(
    runtime: Runtime,
    strips: Iterable[Rows],
    row_shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    fill: Callable[[int, int, Array], None],
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yields strips of a picture in host memory; the next one is launched before the caller gets the current one.

    Args:
        strips: in the order to be yielded.
        row_shape: shape of a row: (width, C).
        fill: launches kernels that write rows first to last - 1 to a device array (last - first, *row_shape).

    Yields:
        The first row of a strip, and its rows: a view that is valid until the next one is requested.

    Raises:
        OutOfDeviceMemory: two strips do not fit.
    """
    kind = np.dtype(dtype)
    wanted = list(strips)
    tallest = max((last - first for first, last in wanted), default=0)
    n_bytes = int(np.prod((tallest, *row_shape), dtype=np.int64)) * kind.itemsize
    # The runtime is entered for each step and not across a yield, because the caller then has its own current device.
    with runtime:
        slots = [
            (runtime.xp.empty((tallest, *row_shape), kind), runtime.staging(n_bytes))
            for _ in range(min(2, len(wanted)))
        ]
    under_way: list[tuple[int, int]] = []  # first row and slot, oldest first
    try:
        for number, (first, last) in enumerate(wanted):
            buffer, staging = slots[number % 2]
            with runtime:
                part = buffer[: last - first]
                fill(first, last, part)
                staging.send(part)
            under_way.append((first, number % 2))
            if len(under_way) == 2:
                at, slot = under_way.pop(0)
                yield at, slots[slot][1].receive()
        for at, slot in under_way:
            yield at, slots[slot][1].receive()
    finally:
        for _, staging in slots:
            staging.close()


def to_host(
    runtime: Runtime,
    out: npt.NDArray[Any],
    fill: Callable[[int, int, Array], None],
    strips: Iterable[Rows] | None = None,
) -> None:
    """Write a picture (H, W, C) computed by the GPU to host memory; a small one as a whole.

    Args:
        out: C-contiguous.
        fill, strips: as in `travelling`; None means strips of about STRIP_BYTES, or a single one for a small picture.
    """
    if strips is None:
        if out.nbytes < LARGE_BYTES:
            with runtime:
                whole = runtime.xp.empty(out.shape, out.dtype)
                fill(0, len(out), whole)
                out[...] = runtime.download(whole)
            return
        strips = row_strips(len(out), out.nbytes // len(out), align=16)
    for first, rows in travelling(runtime, strips, out.shape[1:], out.dtype, fill):
        out[first : first + len(rows)] = rows
