"""Networks that map a place of a picture to its colour, each by the formulas of its paper, and their fit.

Places are (x, y) in 0..1 of the picture's width and height, pixel centres at half pixels; colours are in 0..1. Every
model has one free number, `width`, that its parameters grow with. Full-batch Adam on the mean squared error, with the
model's learning rate `RATE` falling to a hundredth along a cosine. The papers take networks of 10^5 to 10^6 parameters
and rates of 10^-4 to 10^-2 over thousands of steps; those of some hundred parameters need the larger rates here.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gscodec.errors import BadFile, InvalidArgument
from gscodec_bench.ablated_fit import torch_threads

REVISION: Final = 1
"""Raised with every change of what a fit gives."""

Inputs = tuple[torch.Tensor, ...]
Samples = npt.NDArray[np.float32]


class Field(nn.Module):
    """A network with parameters of real numbers."""

    RATE: float
    """Adam's learning rate at the first step."""

    @abstractmethod
    def inputs(self, places: torch.Tensor) -> Inputs:
        """What `forward` takes for places (N, 2): all that no parameter changes."""

    @abstractmethod
    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """(N, C) colours."""


class Siren(Field):
    """Sitzmann et al. 2020 (SIREN): layers sin(30 (W x + b)) and a linear one, places in -1..1; three layers of sines.

    Weights of the first layer are uniform within 1 / n, those of others within sqrt(6 / n) / 30 (Section 3.2).
    """

    RATE = 3e-3
    OMEGA: Final = 30.0

    def __init__(self, width: int, height_px: int, width_px: int, channels: int) -> None:  # noqa: ARG002
        super().__init__()
        sizes = (2, width, width, width, channels)
        self.layers = _linear_layers(sizes)
        for number, (layer, n) in enumerate(zip(self.layers, sizes, strict=False)):
            assert isinstance(layer, nn.Linear)
            bound = 1 / n if number == 0 else math.sqrt(6 / n) / self.OMEGA
            nn.init.uniform_(layer.weight, -bound, bound)

    def inputs(self, places: torch.Tensor) -> Inputs:
        """See `Field`."""
        return (2 * places - 1,)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """See `Field`."""
        (x,) = inputs
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.sin(self.OMEGA * layer(x))
        colours: torch.Tensor = last(x) / 2 + 0.5
        return colours


class Ffn(Field):
    """Tancik et al. 2020, Eq. 5: cos(2 pi B v) and sin(2 pi B v) before layers of ReLU and a sigmoid.

    B is drawn from a Gaussian with a fixed seed and not counted as parameters. The authors' sigma of 10 is for 256
    waves; of 1, 2, 4 and 10, 2 was best for the nine that networks of 650 parameters have.
    """

    RATE = 1e-2
    SIGMA: Final = 2.0

    def __init__(self, width: int, height_px: int, width_px: int, channels: int) -> None:  # noqa: ARG002
        super().__init__()
        n_waves = max(1, width // 2)
        self.waves = self.SIGMA * torch.randn(2, n_waves, generator=torch.Generator().manual_seed(1))
        self.layers = _linear_layers((2 * n_waves, width, width, channels))

    def inputs(self, places: torch.Tensor) -> Inputs:
        """See `Field`."""
        angles = 2 * math.pi * places @ self.waves
        return (torch.cat([angles.cos(), angles.sin()], dim=1),)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """See `Field`."""
        (x,) = inputs
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.relu(layer(x))
        return torch.sigmoid(last(x))


class Wire(Field):
    """Saragadam et al. 2023 (WIRE): complex Gabor wavelets exp(j omega x) exp(-|s x|^2) of linear layers.

    Weights of the first layer are real, others complex, each of which counts as two parameters; the colour is the real
    part of the last layer. omega and s are 10.
    """

    RATE = 5e-3
    OMEGA: Final = 10.0
    S: Final = 10.0

    def __init__(self, width: int, height_px: int, width_px: int, channels: int) -> None:  # noqa: ARG002
        super().__init__()
        self.first = nn.Linear(2, width)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for n_in, n_out in ((width, width), (width, channels)):
            bound = 1 / math.sqrt(n_in)
            self.weights.append(nn.Parameter(torch.empty(n_in, n_out, 2).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(n_out, 2).uniform_(-bound, bound)))

    def inputs(self, places: torch.Tensor) -> Inputs:
        """See `Field`."""
        return (2 * places - 1,)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """See `Field`."""
        real = self.first(inputs[0])
        imaginary = torch.zeros_like(real)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            # exp(j omega (a + j b)) is exp(-omega b) at the angle omega a; in real numbers, which is faster
            size = torch.exp(-self.OMEGA * imaginary - self.S**2 * (real**2 + imaginary**2))
            angle = self.OMEGA * real
            u, v = size * angle.cos(), size * angle.sin()
            real = u @ weight[..., 0] - v @ weight[..., 1] + bias[..., 0]
            imaginary = u @ weight[..., 1] + v @ weight[..., 0] + bias[..., 1]
        colours: torch.Tensor = real
        return colours


class ReluField(Field):
    """Karnewar et al. 2022 (ReLU fields): ReLU of a grid of values that is interpolated bilinearly, `width` columns.

    Values start at 0.5 and not evenly in -1..1: where the ReLU is 0 in a whole cell nothing would change it.
    """

    RATE = 3e-2

    def __init__(self, width: int, height_px: int, width_px: int, channels: int) -> None:
        super().__init__()
        self.shape = (max(1, round(width * height_px / width_px)), width)
        self.values = nn.Parameter(torch.full((math.prod(self.shape), channels), 0.5))

    def inputs(self, places: torch.Tensor) -> Inputs:
        """See `Field`."""
        indices, weights = _corners(places, self.shape)
        return indices, weights

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """See `Field`."""
        return torch.relu(_interpolated(self.values, *inputs))


class HashGrid(Field):
    """Müller et al. 2022 (I-NGP): features of hashed grids of several resolutions before a small network.

    LEVELS grids from COARSEST to half the picture's side (Eqs. 2 and 3), `width` entries of two features in each table,
    corners hashed by Eq. 4 with (1, 2654435761) where a grid has more corners than that. One hidden layer of 12, ReLU.
    The paper has 16 levels from 16 on, and 64 wide layers: more than these budgets hold.
    """

    RATE = 1e-2
    LEVELS: Final = 4
    FEATURES: Final = 2
    COARSEST: Final = 4
    HIDDEN: Final = 12
    PRIME: Final = 2654435761

    def __init__(self, width: int, height_px: int, width_px: int, channels: int) -> None:
        super().__init__()
        finest = max(self.COARSEST, max(height_px, width_px) // 2)
        growth = math.exp(math.log(finest / self.COARSEST) / (self.LEVELS - 1))
        self.sides = [math.floor(self.COARSEST * growth**level + 1e-6) + 1 for level in range(self.LEVELS)]
        self.sizes = [min(width, side * side) for side in self.sides]
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(size, self.FEATURES).uniform_(-1e-4, 1e-4)) for size in self.sizes
        )
        self.layers = _linear_layers((self.LEVELS * self.FEATURES, self.HIDDEN, channels))

    def inputs(self, places: torch.Tensor) -> Inputs:
        """See `Field`."""
        found: list[torch.Tensor] = []
        for side, size in zip(self.sides, self.sizes, strict=True):
            indices, weights = _corners(places, (side, side))
            if size < side * side:
                indices = ((indices % side) ^ (indices // side * self.PRIME)) % size
            found += [indices, weights]
        return tuple(found)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """See `Field`."""
        levels = zip(self.tables, inputs[::2], inputs[1::2], strict=True)
        x = torch.cat([_interpolated(table, indices, weights) for table, indices, weights in levels], dim=1)
        colours: torch.Tensor = self.layers[1](torch.relu(self.layers[0](x)))
        return colours


_MODELS: Final[dict[str, Callable[[int, int, int, int], Field]]] = {
    "siren": Siren,
    "ffn": Ffn,
    "wire": Wire,
    "reluf": ReluField,
    "ingp": HashGrid,
}


def largest_within(model: str, budget_bytes: int, height: int, width: int, channels: int) -> Field:
    """The widest network of a kind whose parameters of 16 bits fit into a budget, at its start, always the same.

    Raises:
        InvalidArgument: the narrowest does not fit.
    """
    return _widest(model, lambda n: 2 * n <= budget_bytes, height, width, channels)


def n_parameters(field: Field) -> int:
    """Real numbers that a fit changes."""
    return sum(parameter.numel() for parameter in field.parameters())


def fit(field: Field, samples: Samples, steps: int, threads: int | None = None) -> list[float]:
    """Fit a network to samples (H, W, C) in 0..1; the mean squared error before each step."""
    height, width, channels = samples.shape
    target = torch.from_numpy(np.ascontiguousarray(samples.reshape(-1, channels)))
    errors = []
    with torch_threads(threads):
        inputs = field.inputs(_places(height, width))
        adam = torch.optim.Adam(field.parameters(), field.RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(1, steps), field.RATE / 100)
        for _ in range(steps):
            adam.zero_grad()
            loss = (field(*inputs) - target).square().mean()
            loss.backward()
            adam.step()
            schedule.step()
            errors.append(float(loss.detach()))
    return errors


def render(field: Field, height: int, width: int) -> Samples:
    """float32 (height, width, C), not clamped."""
    with torch.no_grad():
        colours = field(*field.inputs(_places(height, width)))
    return np.asarray(colours.reshape(height, width, -1).numpy(), np.float32)


def to_bytes(field: Field) -> bytes:
    """The parameters as little-endian half floats, in torch's order."""
    flat = nn.utils.parameters_to_vector(field.parameters()).detach().numpy()
    return flat.astype("<f2").tobytes()


def from_bytes(model: str, data: bytes, height: int, width: int, channels: int) -> Field:
    """The network of `to_bytes`, which its kind, the picture's size and the number of parameters determine.

    Raises:
        BadFile: no network of this kind has that number of parameters.
    """
    n = len(data) // 2
    field = _widest(model, lambda count: count <= n, height, width, channels)
    if 2 * n_parameters(field) != len(data):
        raise BadFile(f"{len(data)} bytes of parameters: no {model} for {width}x{height} px has that many")
    values = torch.from_numpy(np.frombuffer(data, "<f2").astype(np.float32))
    nn.utils.vector_to_parameters(values, field.parameters())
    return field


def _widest(model: str, fits: Callable[[int], bool], height: int, width: int, channels: int) -> Field:
    """Linear search: networks of these budgets are narrow, and the count of parameters may rest at some widths."""
    best: Field | None = None
    count = 0
    for size in range(1, 1 << 16):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            field = _MODELS[model](size, height, width, channels)
        n = n_parameters(field)
        if not fits(n) or n == count:
            break
        best, count = field, n
    if best is None:
        raise InvalidArgument(f"neural:{model}: the budget is less than its smallest network: use a higher rate")
    return best


def _linear_layers(sizes: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes))


def _places(height: int, width: int) -> torch.Tensor:
    """(height * width, 2) x and y of pixel centres in 0..1, row by row."""
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return torch.stack([x.reshape(-1), y.reshape(-1)], dim=1)


def _corners(places: torch.Tensor, shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (N, 4) of the grid points around places, row by row, and their bilinear weights (N, 4)."""
    rows, columns = shape
    steps = places * torch.tensor([columns - 1, rows - 1])
    low = steps.floor()
    x, y = low[:, 0].long(), low[:, 1].long()
    right, down = (x + 1).clamp(max=columns - 1), (y + 1).clamp(max=rows - 1)
    u, v = (steps - low).unbind(1)
    indices = torch.stack([y * columns + x, y * columns + right, down * columns + x, down * columns + right], dim=1)
    return indices, torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], dim=1)


def _interpolated(values: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(N, F) of values (M, F) at four indices each."""
    n = len(indices)
    return (values[indices.reshape(-1)].reshape(n, 4, -1) * weights[:, :, None]).sum(dim=1)
