"""Uploads scenes, runs blend.wgsl over points, and downloads what it gives."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gscodec.errors import BackendUnavailable, OutOfDeviceMemory
from gscodec.model.gaussians import Float32Array
from gscodec.webgpu.device import GpuDevice
from gscodec.webgpu.scenes import Places, SceneArrays

WINDOW_SIDE: Final = 8
POINTS: Final = 64
"""Sides of workgroups, as in blend.wgsl."""

Entry = Literal["blend_window", "blend_points"]


@dataclass(frozen=True)
class Scene:
    """A scene in the GPU's memory."""

    arrays: SceneArrays
    buffers: tuple[Any, ...]  # bindings 1 to 3
    background: Any
    top_k: int


class Blender:
    """Compiled shaders of a device, one for each K. Threads may share it."""

    def __init__(self, device: GpuDevice) -> None:
        import wgpu

        self.device = device
        self._wgpu = wgpu
        self._pipelines: dict[tuple[int, Entry], Any] = {}
        self._lock = threading.Lock()

    def upload(self, arrays: SceneArrays, background: Float32Array, top_k: int) -> Scene:
        """A scene in the GPU's memory.

        Raises:
            OutOfDeviceMemory: it does not fit. BackendUnavailable: the GPU fails.
        """
        with self._lock, self._reporting():
            parts = (arrays.gaussians, arrays.features, arrays.lists)
            return Scene(arrays, tuple(map(self._buffer, parts)), self._buffer(background), top_k)

    def blend(self, scene: Scene, entry: Entry, lattice: Places, size: tuple[int, int]) -> Float32Array:
        """(height, width, C) features at a lattice of PLACE, as `entry` reads it.

        Args:
            size: (height, width); of points the height is 1.

        Raises:
            OutOfDeviceMemory: the results do not fit. BackendUnavailable: the GPU fails.
        """
        height, width = size
        n_channels = scene.arrays.features.shape[1]
        x0, y0, x1, _ = scene.arrays.tiles
        launch = np.array([width, height, n_channels, scene.arrays.entries, x0, y0, x1 - x0, 0], np.int32)
        shape = height, width, n_channels
        across, down = (WINDOW_SIDE, WINDOW_SIDE) if entry == "blend_window" else (POINTS, 1)
        with self._lock, self._reporting():
            gpu, use = self.device.handle, self._wgpu.BufferUsage
            pipeline = self._pipeline(scene.top_k, entry)
            uniform = gpu.create_buffer_with_data(data=launch, usage=use.UNIFORM)
            results = gpu.create_buffer(size=4 * height * width * n_channels, usage=use.STORAGE | use.COPY_SRC)
            bound = [uniform, *scene.buffers, self._buffer(lattice), scene.background, results]
            entries = [{"binding": number, "resource": {"buffer": buffer}} for number, buffer in enumerate(bound)]
            group = gpu.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries)
            encoder = gpu.create_command_encoder()
            work = encoder.begin_compute_pass()
            work.set_pipeline(pipeline)
            work.set_bind_group(0, group)
            work.dispatch_workgroups(-(-width // across), -(-height // down))
            work.end()
            gpu.queue.submit([encoder.finish()])
            values = np.frombuffer(gpu.queue.read_buffer(results), np.float32).reshape(shape)
            results.destroy()
        return values

    def _pipeline(self, top_k: int, entry: Entry) -> Any:
        if (top_k, entry) not in self._pipelines:
            text = resources.files("gscodec.webgpu").joinpath("blend.wgsl").read_text(encoding="utf-8")
            module = self.device.handle.create_shader_module(code=f"const TOP_K = {top_k}u;\n{text}")
            self._pipelines[top_k, entry] = self.device.handle.create_compute_pipeline(
                layout="auto", compute={"module": module, "entry_point": entry}
            )
        return self._pipelines[top_k, entry]

    def _buffer(self, data: npt.NDArray[Any]) -> Any:
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        if not raw.size:
            raw = np.zeros(64, np.uint8)  # a binding is never empty, and has at least one of its elements
        return self.device.handle.create_buffer_with_data(data=raw, usage=self._wgpu.BufferUsage.STORAGE)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except self._wgpu.GPUOutOfMemoryError as error:
            raise OutOfDeviceMemory(
                f"device gpu: the memory of {self.device.description} does not suffice; decode a smaller region or a "
                "coarser level, or use --device cpu"
            ) from error
        except self._wgpu.GPUError as error:  # the driver has given up, or refuses the shader
            reason = str(error).partition("\n")[0]
            raise BackendUnavailable(
                f"device gpu: {self.device.description} fails: {reason}; use --device cpu"
            ) from error
