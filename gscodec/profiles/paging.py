"""Assigns Gaussians to pages by position, so that a request needs few pages."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gscodec import _engine


def file_order(codes: npt.NDArray[np.integer], counts: Sequence[int], page_size: int) -> npt.NDArray[np.int64]:
    """Indices that put Gaussians into compact pages, by Morton code within each.

    Pages are the leaves of a k-d tree over each generation, all but its last one full. Against runs of one Morton
    curve a request meets about half as many.

    Args:
        codes: (n,) Morton codes of the means, generation by generation.
        counts: of Gaussians up to the end of each generation.
        page_size: most records of a page.
    """
    keys = np.ascontiguousarray(codes, np.uint64)
    parts = [first + _engine.page_order(keys[first:last], page_size) for first, last in pairwise((0, *counts))]
    return np.concatenate(parts)
