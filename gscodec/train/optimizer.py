"""Adam with its state kept per Gaussian (Kingma and Ba 2015, Algorithm 1).

torch.optim.Adam counts steps per tensor and has one rate per tensor. A set that grows, whose prefixes train apart and
whose positions move in units of each Gaussian's own size needs both per row; the update is otherwise the same.
"""

import torch


class RowAdam:
    """Adam over the rows of one (N, D) tensor.

    Args:
        values: (N, D) parameters, updated in place.
        rates: (D,) learning rate of each column.
    """

    def __init__(self, values: torch.Tensor, rates: torch.Tensor, beta1: float, beta2: float, epsilon: float) -> None:
        self.values = values
        self.rates = rates
        self._betas = (beta1, beta2)
        self._epsilon = epsilon
        self._mean = torch.zeros_like(values)
        self._square = torch.zeros_like(values)
        self._steps = torch.zeros(len(values), 1, dtype=values.dtype)

    def append(self, rows: torch.Tensor) -> None:
        """New rows with fresh state after the present ones, whose state stays."""
        empty = torch.zeros_like(rows)
        self.values = torch.cat([self.values, rows])
        self._mean = torch.cat([self._mean, empty])
        self._square = torch.cat([self._square, empty])
        self._steps = torch.cat([self._steps, empty[:, :1]])

    def replace(self, where: torch.Tensor, rows: torch.Tensor) -> None:
        """Other values, with fresh state, in rows `where` (k,)."""
        self.values[where] = rows
        for state in (self._mean, self._square, self._steps):
            state[where] = 0.0

    def step(self, grad: torch.Tensor, factor: float, row_units: torch.Tensor) -> None:
        """One update of the first n rows.

        Args:
            grad: (n, D) gradient. factor: multiplies every rate.
            row_units: (n, D) or broadcastable; multiplies the update of each value.
        """
        n = len(grad)
        beta1, beta2 = self._betas
        mean, square, steps = self._mean[:n], self._square[:n], self._steps[:n]
        steps += 1
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        deviation = (square / (1 - beta2**steps)).sqrt_().add_(self._epsilon)
        update = mean / (1 - beta1**steps) / deviation
        self.values[:n] -= factor * self.rates * update * row_units
