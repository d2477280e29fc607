"""Area averaging: what shrinking a picture means here (spec/igs.md, "Other sizes")."""

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


def footprint(first: int, last: int, n_out: int, n_in: int) -> tuple[int, int]:
    """Half-open range of input cells that output cells first .. last - 1 cover, n_in cells being n_out long."""
    return first * n_in // n_out, -(-last * n_in // n_out)


def shrink_axis(values: Float32Array, axis: int, first: int, last: int, n_out: int, n_in: int) -> Float32Array:
    """Means over the footprints of output cells first .. last - 1 along one axis; edge cells count by their share.

    Args:
        values: input cells footprint(first, last, n_out, n_in) along `axis`.

    Returns:
        The same shape, but last - first along `axis`.
    """
    start, _ = footprint(first, last, n_out, n_in)
    cells = np.moveaxis(values, axis, 0)
    sums = np.concatenate([np.zeros_like(cells[:1], dtype=np.float64), np.cumsum(cells, axis=0, dtype=np.float64)])
    # Integral up to a border that may cut a cell; the borders are exact multiples of n_in / n_out.
    whole, part = np.divmod(np.arange(first, last + 1) * n_in, n_out)
    whole -= start
    share = (part / n_out).reshape(-1, *(1,) * (cells.ndim - 1))
    inside = np.minimum(whole, len(cells) - 1)
    integral = sums[whole] + share * cells[inside]
    means = np.diff(integral, axis=0) * (n_out / n_in)
    return np.moveaxis(means.astype(np.float32), 0, axis)
