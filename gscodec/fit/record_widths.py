"""Layout of packed records: how the bits of a record are divided between its values.

A record is fixed-size, so every bit belongs to some value: what scales and features leave goes to the rotation and the
mean. All divisions are compared by the measured error of each kind of value (`Balance`), which grows with the square of
its step.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from gscodec.errors import InvalidArgument
from gscodec.fit.lattices import Balance, rotation_from
from gscodec.format.pages import page_starts
from gscodec.format.records import MAX_PLACE_BITS, MIN_PLACE_BITS
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.page_heads import field_ranges, field_values, fitting_lattice, mean_boxes

ROTATION_SHARES: Final = (0.03, 0.05, 0.08, 0.12, 0.18, 0.26, 0.38, 0.55, 0.8)

MADE_UP: Final = np.array([0.7, 1.0, 0.7, 1.0])
"""Fraction of the quantisation error of scales, rotations, means and features that remains after QAT, in which free
values compensate for fixed ones."""

FIELD_BITS: Final = (1, 12)
"""Minimum and maximum bits of a scale or feature."""


class RecordWidths:
    """Candidate lattices and layouts for a set of Gaussians in file order."""

    def __init__(
        self,
        gaussians: GaussianSet,
        transform: Float64Array,
        balance: Balance,
        grid: Grid,
        counts: tuple[int, ...],
        page_size: int,
    ) -> None:
        self._gaussians, self._transform, self._grid = gaussians, transform, grid
        self._balance = replace(balance, errors=balance.errors * MADE_UP)
        self._counts, self._page_size = counts, page_size
        self._starts = page_starts(counts, page_size)
        boxes, _ = mean_boxes(gaussians.means, self._starts, grid)
        sides = np.repeat(boxes[:, 2:].prod(axis=1), np.diff(self._starts))
        self._areas = sides * gaussians.inv_scales.prod(axis=1)  # area of the box, in areas of the Gaussian's own cell
        self._values = field_values(gaussians, transform)

    def choose(self, record_bytes: int) -> Lattice:
        """The lattice, layout and page heads for records of `record_bytes` bytes that add the least error.

        Raises:
            InvalidArgument: the channels do not fit into records of this size.
        """
        balance, elongations = self._balance, np.round(self._values[:, 1]).astype(np.int64)
        choices = [(bits, error) for bits, error in self._choices() if sum(bits) < 8 * record_bytes]
        best: tuple[float, int, tuple[int, ...], tuple[int, ...]] | None = None
        for share in ROTATION_SHARES:
            thresholds = rotation_from(1, share)
            turns = np.searchsorted(thresholds, elongations, side="right")
            cells = float(np.mean(np.exp2(turns) * self._areas)) if len(turns) else 1.0
            turned = balance.errors[1] * (share / balance.steps.rotation) ** 2
            for bits, error in choices:
                left = min(8 * record_bytes - sum(bits), MAX_PLACE_BITS)
                moved = 2 * balance.errors[2] * cells * 2.0**-left / balance.steps.position**2
                total = turned + moved + error
                fills = sum(bits) + left > 8 * (record_bytes - 1)
                if left >= MIN_PLACE_BITS and fills and (best is None or total < best[0]):
                    best = total, left, bits, thresholds
        if best is None:
            raise InvalidArgument(f"records of {record_bytes} bytes are too small for {len(self._transform)} channels")
        _, left, bits, thresholds = best
        return fitting_lattice(
            self._gaussians, self._transform, thresholds, left, bits, self._grid, self._counts, self._page_size
        )

    def _choices(self) -> Iterator[tuple[tuple[int, ...], float]]:
        """Bits of scales and features in increasing order, each bit given where it gains most; and the error."""
        errors, steps = self._balance.errors, self._balance.steps
        # The mean squared error of rounding to a step is a twelfth of its square.
        units = np.full(self._values.shape[1], 12 * errors[3] / steps.feature**2)
        units[:2] = 12 * errors[0] / steps.scale**2
        fewest, most = FIELD_BITS

        def error_of(field: int, bits: int) -> float:
            return float(units[field]) * field_ranges(self._values[:, field], self._starts, bits).error

        fields = range(len(units))
        bits = np.full(len(units), fewest)
        now, then = ([error_of(field, n) for field in fields] for n in (fewest, fewest + 1))
        while True:
            yield tuple(bits.tolist()), sum(now)
            field = int(np.argmax(np.where(bits < most, np.subtract(now, then), -np.inf)))
            if bits[field] == most:
                return
            bits[field] += 1
            now[field], then[field] = then[field], error_of(field, int(bits[field]) + 1)
