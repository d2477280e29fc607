"""Adam with its state kept per Gaussian (Kingma and Ba 2015, Algorithm 1).

torch.optim.Adam counts steps per tensor and has one rate per tensor. Here both are per row, because the set grows, its
prefixes train separately, and positions move in units of each Gaussian's own size; the update is otherwise the same.
"""

from dataclasses import astuple

import numpy as np
import numpy.typing as npt

from gscodec import _engine
from gscodec.model.adam import AdamConstants
from gscodec.model.gaussians import Float32Array


class RowAdam:
    """Adam over the rows of one (N, D) array.

    Args:
        values: float32 (N, D) parameters, updated in place.
        rates: (D,) learning rate of each column.
        threads: of the engine; 0 means one per processor.
    """

    def __init__(
        self,
        values: Float32Array,
        rates: npt.ArrayLike,
        constants: AdamConstants,
        *,
        threads: int = 0,
    ) -> None:
        self.values = values
        self.rates = np.asarray(rates, np.float32)
        self._constants = np.array(astuple(constants))
        self._threads = threads
        self._mean = np.zeros_like(values)
        self._square = np.zeros_like(values)
        self._steps = np.zeros(len(values), np.float32)

    def append(self, rows: Float32Array) -> None:
        """Append rows with fresh state; the state of present rows is kept."""
        empty = np.zeros_like(rows)
        self.values = np.concatenate([self.values, rows])
        self._mean = np.concatenate([self._mean, empty])
        self._square = np.concatenate([self._square, empty])
        self._steps = np.concatenate([self._steps, empty[:, 0]])

    def replace(self, where: npt.NDArray[np.int64], rows: Float32Array) -> None:
        """Overwrite rows `where` (k,) and reset their state."""
        self.values[where] = rows
        for state in (self._mean, self._square, self._steps):
            state[where] = 0.0

    def step(
        self,
        grad: Float32Array,
        factor: float,
        row_units: Float32Array,
        *,
        grad_scale: float = 1.0,
        drift: Float32Array | None = None,
        limits: Float32Array | None = None,
    ) -> None:
        """Update the first n rows.

        Args:
            grad: (n, D) gradient. factor: multiplies every rate.
            row_units: (n or more, D); multiplies the update of each value.
            grad_scale: multiplies the gradient.
            drift: (D,) subtracted from every value that moves, after its update.
            limits: (2, D) minimum and maximum of each column, applied to all rows.
        """
        n_columns = self.values.shape[1]
        columns = np.empty((4, n_columns), np.float32)
        columns[0] = self.rates
        columns[1] = 0.0 if drift is None else drift
        columns[2:] = [[-np.inf], [np.inf]] if limits is None else limits
        _engine.adam_step(
            self.values,
            self._mean,
            self._square,
            self._steps,
            np.ascontiguousarray(row_units),
            np.ascontiguousarray(grad),
            columns,
            self._constants,
            grad_scale,
            factor,
            self._threads,
        )
