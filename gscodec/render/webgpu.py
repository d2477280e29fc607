"""The engine for any GPU: tile lists on the CPU, blending by WebGPU. It decodes, and does not train."""

import threading
from typing import Any, Final, Self, get_args

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, OutOfDeviceMemory
from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import GaussianGrads, LossWeights, OutputDtype, TileIndex
from gscodec.render.arguments import check_grid, check_index, check_points, check_window, rectangle
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer
from gscodec.webgpu.blending import Blender, Scene
from gscodec.webgpu.device import GpuDevice, open_device
from gscodec.webgpu.scenes import Places, ScenePart, TileRect, places

IndexArray = npt.NDArray[np.intp]

WORK_BYTES: Final = 1 << 26
"""Maximum size of a result that is rendered at once: 5 megapixels of RGB."""

WORK_CANDIDATES: Final = 1 << 31
"""Maximum number of Gaussians that are looked at in one launch, as if all lists were as long as the longest: operating
systems reset a GPU that computes for seconds. An estimate; integrated GPUs do 100 billion operations per second."""


class WebGpuRasterizer(Rasterizer):
    """`Rasterizer` on gscodec.webgpu.

    Args:
        device: the GPU.
        threads: worker threads of the CPU, which makes the tile lists; None means one per processor.
        buffer_bytes: maximum size of a buffer, if below that of the device: larger scenes go in parts.
    """

    name = "gpu"

    def __init__(self, device: GpuDevice, threads: int | None = None, buffer_bytes: int | None = None) -> None:
        self._blender = Blender(device)
        self._cpu = CpuRasterizer(threads)
        self._most_bytes = min(device.buffer_bytes, buffer_bytes or device.buffer_bytes)
        self._held: tuple[GaussianSet, TileIndex, Grid, Scene] | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(cls, index: int | None = None, threads: int | None = None) -> Self:
        """See `Rasterizer.open`."""
        del index
        return cls(open_device(), threads)

    @property
    def threads(self) -> int:
        """See `Rasterizer.threads`."""
        return self._cpu.threads

    def bin(
        self, gaussians: GaussianSet, grid: Grid, tiles: TileRect | None = None, max_pairs: int = MAX_TILE_PAIRS
    ) -> TileIndex:
        """See `Rasterizer.bin`."""
        return self._cpu.bin(gaussians, grid, tiles, max_pairs)

    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        """See `Rasterizer.forward`.

        Raises:
            OutOfDeviceMemory: the GPU's memory does not suffice.
        """
        check_window(window)
        if dtype not in get_args(OutputDtype):
            raise InvalidArgument(f"dtype {dtype!r} is not one of {', '.join(get_args(OutputDtype))}")
        part = _part(gaussians, grid, index)
        x0, y0, x1, y1 = part.tiles
        x = window.x + (np.arange(window.width, dtype=np.float64) + 0.5) * window.step_x
        y = window.y + (np.arange(window.height, dtype=np.float64) + 0.5) * window.step_y
        columns, rows = places(x, x0, x1), places(y, y0, y1)
        result = np.empty((window.height, window.width, gaussians.n_channels), dtype)
        if result.size:
            self._paint(part, grid, columns, rows, result)
        return result

    def _paint(self, part: ScenePart, grid: Grid, columns: Places, rows: Places, out: npt.NDArray[Any]) -> None:
        """Write the values at columns and rows; in halves, as often as the sizes of buffers require."""
        if part.buffer_bytes > self._most_bytes:
            part = part.around(columns, rows)
        fits = part.buffer_bytes <= self._most_bytes
        if fits and self._is_short(part, len(rows) * len(columns), out.size):
            scene = self._scene(part, grid)
            _write(self._blender.blend(scene, "blend_window", np.concatenate([columns, rows]), out.shape[:2]), out)
        elif len(rows) > 1:
            for half in _halves(len(rows)):
                self._paint(part, grid, columns, rows[half], out[half])
        elif len(columns) > 1:
            for half in _halves(len(columns)):
                self._paint(part, grid, columns[half], rows, out[:, half])
        else:
            raise self._too_large(part)

    def sample(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, points: Float64Array) -> Float32Array:
        """See `Rasterizer.sample`.

        Raises:
            OutOfDeviceMemory: the GPU's memory does not suffice.
        """
        at = check_points(points)
        part = _part(gaussians, grid, index)
        x0, y0, x1, y1 = part.tiles
        lattice = np.stack([places(at[:, 0], x0, x1), places(at[:, 1], y0, y1)], axis=1)
        order = np.lexsort((lattice["tile"][:, 0], lattice["tile"][:, 1]))  # so that halves have fewer tiles
        result = np.empty((len(at), gaussians.n_channels), np.float32)
        if len(at):
            self._sample(part, grid, lattice, order, result)
        return result

    def _sample(self, part: ScenePart, grid: Grid, lattice: Places, which: IndexArray, out: Float32Array) -> None:
        if part.buffer_bytes > self._most_bytes:
            part = part.around(lattice[which, 0], lattice[which, 1])
        fits = part.buffer_bytes <= self._most_bytes
        if fits and self._is_short(part, len(which), len(which) * out.shape[1]):
            scene = self._scene(part, grid)
            out[which] = self._blender.blend(scene, "blend_points", lattice[which].ravel(), (1, len(which)))[0]
        elif len(which) > 1:
            for half in _halves(len(which)):
                self._sample(part, grid, lattice, which[half], out)
        else:
            raise self._too_large(part)

    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        """Not implemented: see `Rasterizer.trains`."""
        raise NotImplementedError(f"the {self.name} engine has no backward")

    def loss(
        self,
        image: Float32Array,
        target: Float32Array,
        weights: LossWeights,
        importance: Float32Array | None = None,
    ) -> tuple[float, Float32Array]:
        """Not implemented: see `Rasterizer.trains`."""
        raise NotImplementedError(f"the {self.name} engine has no loss")

    def _scene(self, part: ScenePart, grid: Grid) -> Scene:
        """A part in the GPU's memory; the last one is kept for further windows of it."""
        with self._lock:
            held = self._held
            if held is None or held[0] is not part.gaussians or held[1] is not part.index or held[2] is not grid:
                self._held = None  # frees its memory first
                scene = self._blender.upload(part.arrays(), grid.background, grid.top_k)
                self._held = held = (part.gaussians, part.index, grid, scene)
            return held[3]

    def _is_short(self, part: ScenePart, n_points: int, n_values: int) -> bool:
        """Whether points can be blended at once."""
        few_bytes = 4 * n_values <= min(WORK_BYTES, self._most_bytes)
        return n_points == 1 or (few_bytes and n_points * part.longest <= WORK_CANDIDATES)

    def _too_large(self, part: ScenePart) -> OutOfDeviceMemory:
        return OutOfDeviceMemory(
            f"device gpu: the {len(part.gaussians)} Gaussians of a tile need a buffer of {part.buffer_bytes} bytes, "
            f"{self._most_bytes} are allowed; use --device cpu"
        )


def _part(gaussians: GaussianSet, grid: Grid, index: TileIndex) -> ScenePart:
    check_grid(gaussians, grid)
    check_index(gaussians, grid, index)
    return ScenePart(gaussians, index, rectangle(grid, index.tiles))


def _halves(n: int) -> tuple[slice, slice]:
    return slice(0, n // 2), slice(n // 2, n)


def _write(values: Float32Array, out: npt.NDArray[Any]) -> None:
    """Store features as they are, or as codes."""
    if out.dtype == np.float32:
        out[...] = values
    else:
        top = np.float32(np.iinfo(out.dtype).max)
        out[...] = np.floor(np.clip(values, 0, 1) * top + np.float32(0.5))
