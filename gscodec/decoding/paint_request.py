"""A validated request and its output: part of a level, size, and sample type."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.decoding.work import TileRect, WorkBudget
from gscodec.errors import InvalidArgument
from gscodec.image.grain import GrainGrid, add_grain
from gscodec.image.levels import full_range, has_floats, native_dtype, to_native
from gscodec.model.channels import ChannelGroup, count_channels
from gscodec.model.constants import TILE_SIZE
from gscodec.model.grain import Grain
from gscodec.model.rendering import OutputDtype

Array = npt.NDArray[Any]


_DTYPES: Final[dict[str, OutputDtype]] = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}


@dataclass(frozen=True)
class Request:
    """A region of a level, shown at a size."""

    lod: int
    region: tuple[int, int, int, int]  # x, y, width, height in stored pixels
    size: tuple[int, int]  # (height, width)
    budget: WorkBudget
    grain: tuple[Grain, ...] = ()  # to add to the result
    threads: int = 0  # CPU threads that add it; 0 means one per processor

    @property
    def steps(self) -> tuple[float, float]:
        """(y, x) distance of the result's pixels, in stored pixels."""
        return self.region[3] / self.size[0], self.region[2] / self.size[1]

    @property
    def shrinks(self) -> bool:
        """Whether the result is reduced along an axis."""
        return self.size[0] < self.region[3] or self.size[1] < self.region[2]

    @property
    def grain_grid(self) -> GrainGrid:
        """Place of the result among the pixels of the whole picture at that size."""
        return GrainGrid.of(self.region, self.size)

    def add_grain(self, values: Array, first_row: int, groups: tuple[ChannelGroup, ...]) -> None:
        """Add grain to float32 rows (h, width, C) of the result, in place."""
        if self.grain:
            add_grain(values, self.grain, groups, self.grain_grid, first_row, self.threads)


@dataclass(frozen=True)
class Output:
    """Sample type to request from the engine, and conversion of float32 to the output's type."""

    engine: OutputDtype
    finish: Callable[[Array], Array]
    dtype: np.dtype[Any]
    steps: tuple[int, ...]  # for each channel, the highest code of its depth


def output_for(groups: tuple[ChannelGroup, ...], dtype: npt.DTypeLike | None, *, has_grain: bool = False) -> Output:
    """Output for a sample type; None means the file's own type.

    Args:
        has_grain: whether grain is added to the engine's result, which must then be float32.

    Raises:
        InvalidArgument: the type is not uint8, uint16 or float32.
    """
    native = native_dtype(groups)
    depths = {group.bit_depth for group in groups}
    if dtype is None and native.kind == "u" and depths != {8 * native.itemsize}:
        steps = tuple((1 << group.bit_depth) - 1 for group in groups for _ in range(group.n_channels))
        return Output("float32", lambda values: to_native(values, groups), native, steps)
    try:
        wanted = native if dtype is None else np.dtype(dtype)
    except TypeError as fault:
        raise InvalidArgument(f"dtype {dtype!r} is not uint8, uint16 or float32") from fault
    if wanted.name not in _DTYPES:
        raise InvalidArgument(f"dtype {wanted} is not uint8, uint16 or float32")
    engine: OutputDtype = "float32" if has_floats(groups) or has_grain else _DTYPES[wanted.name]
    top = int(np.iinfo(wanted).max) if wanted.kind == "u" else 0
    steps = (top,) * count_channels(groups)
    return Output(engine, lambda values: full_range(values, wanted), wanted, steps)


def bands_of(tiles: TileRect, band: int, height: int, y: int, step_y: float) -> list[tuple[int, int]]:
    """First and one-past-last output rows of each band, `band` rows of tiles high."""
    if band == tiles[3] - tiles[1]:
        return [(0, height)]
    side = TILE_SIZE * band
    edges = (round((edge * side - y) / step_y) for edge in range(y // side + 1, -(-tiles[3] // band)))
    return list(itertools.pairwise(sorted({0, height, *(edge for edge in edges if 0 < edge < height)})))
