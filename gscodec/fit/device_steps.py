"""Optimiser steps on a GPU: all state stays in device memory, and the host reads results once per batch of steps.

A step is a fixed list of launches, recorded as a CUDA graph; it is recorded again only when Gaussians are added, the
loss changes, or tile lists are enlarged. Whatever changes from step to step, the plan's decisions included, lies in
device memory. Tile lists have a capacity: a batch of steps that exceeds it is undone and repeated with larger lists.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from gscodec.cuda import fitting
from gscodec.cuda.binning import DeviceGaussians, Geometry, TileLists
from gscodec.cuda.blending import Lattice, Scene
from gscodec.cuda.fitting import FitSettings, FitSnapshot, FitState, FitStatus
from gscodec.cuda.runtime import Array, Recorded, Runtime
from gscodec.errors import LimitExceeded
from gscodec.fit.device_pass import LossPass, moments_of
from gscodec.fit.plan import Step
from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.gaussians import Float32Array, Grid

BATCH: Final = 25
"""Steps per batch: reading results costs tens of microseconds, a step of a small picture about a hundred."""

ROOM: Final = 1.5
"""Capacity of tile lists relative to the number of pairs at the time of allocation: Gaussians widen during training."""

ROOM_LEFT: Final = 1.1
"""Minimum capacity relative to the number of pairs; below it, lists are enlarged between batches."""


class DeviceSteps:
    """Rows of parameters in device memory, and the steps that update them. The caller has entered the runtime.

    Args:
        target: float32 (C, H, W) in device memory.
        importance: float32 (H, W) or (C, H, W) in device memory, weight of each sample; None means 1 everywhere.
        log_gains: as in `FitState.of`.
        n_steps: total number of steps to be planned, measurements of the set included.

    Raises:
        OutOfDeviceMemory: the device has too little memory, here or in a later call.
    """

    def __init__(
        self,
        runtime: Runtime,
        grid: Grid,
        target: Array,
        importance: Array | None,
        settings: FitSettings,
        log_gains: Float32Array,
        n_steps: int,
    ) -> None:
        self._runtime = runtime
        self._grid = grid
        self._target = target
        self._importance = importance
        self.graph: Recorded | None = None
        """The recorded step, or None before the first one."""
        self._background = runtime.upload(np.asarray(grid.background, np.float32))
        self._pass = LossPass(runtime, grid, target, settings.weights, importance)
        self.state = FitState.of(runtime, settings, log_gains, n_steps)
        self._snapshot = FitSnapshot(self.state)
        self._level = 0
        self._make_room(0)

    def __len__(self) -> int:
        return self.state.n_present

    @property
    def lattice(self) -> Lattice:
        """Sample lattice of the whole picture."""
        return self._pass.lattice

    def make_room_for(self, n_gaussians: int) -> None:
        """Ensure memory for n_gaussians in total; a file's budget may raise the count late."""
        if n_gaussians > self.state.room:
            self.state = self.state.with_room(self._runtime, n_gaussians)
            self._snapshot = FitSnapshot(self.state)
            self.graph = None

    def append(self, rows: Array, units: Array, level: int) -> None:
        """Add Gaussians, as `FitState.append`, and enlarge tile lists for all of them at `level`, now the finest."""
        if level != self._level:
            self.state.forget_coarse(self._runtime)
        self._level = level
        self.state.append(rows, units)
        self._geometry = Geometry(self._runtime, len(self))
        self._grads = self._runtime.xp.empty(self.state.rows[: len(self)].shape, np.float32)
        self.graph = None
        self.show_all(level)

    def decide(self, steps: Sequence[Step]) -> None:
        """Append steps to the plan in device memory."""
        ints = np.array([(s.n_shown, s.level, s.shows_all, s.may_be_best) for s in steps], np.int32)
        factors = np.array([s.factor for s in steps], np.float32)
        self.state.plan(self._runtime, ints.reshape(-1, fitting.PLAN_INTS), factors)

    def run(self, steps: Sequence[Step]) -> Iterator[tuple[int, FitStatus]]:
        """Plan and run steps. After every BATCH of them, yields the number of steps done and their status.

        The runtime is entered here because the caller leaves it between two results.
        """
        with self._runtime:
            self.decide(steps)
        for first in range(0, len(steps), BATCH):
            last = min(first + BATCH, len(steps))
            with self._runtime:
                self._snapshot.take(self.state)
                status = self._repeat(last - first)
                while status.pairs_needed > self._lists.capacity:
                    self._snapshot.restore(self.state)
                    self._make_room(status.pairs_needed)
                    status = self._repeat(last - first)
                if status.pairs_needed * ROOM_LEFT > self._lists.capacity:
                    self._make_room(status.pairs_needed)
            yield last, status

    def activate_all(self, level: int) -> DeviceGaussians:
        """All Gaussians with the gains of a level, without tile lists."""
        self._begin(level)
        fitting.activate(self._runtime, self.state)
        return self.state.gaussians

    def show_all(self, level: int) -> Scene:
        """The scene of all Gaussians with the gains of a level, with tile lists enlarged if necessary."""
        self._begin(level)
        scene = self._bin()
        needed = fitting.read_status(self._runtime, self.state).pairs_needed
        if needed <= self._lists.capacity:
            return scene
        self._make_room(needed)
        return self._bin()

    def render(self, scene: Scene) -> Array:
        """float32 (C, H, W) blended picture of a scene."""
        return self._pass.render(scene)

    def measure(self, level: int) -> FitStatus:
        """Loss and error of all Gaussians with the gains of a level."""
        partials = self._pass.backward(self.show_all(level), self._moments)
        fitting.finish_loss(self._runtime, self.state, partials)
        return fitting.read_status(self._runtime, self.state)

    def _begin(self, level: int) -> None:
        self.decide([Step(len(self), level, 0.0, shows_all=True, may_be_best=False)])
        fitting.begin_step(self._runtime, self.state)

    def _repeat(self, n_steps: int) -> FitStatus:
        """Run the plan's next steps."""
        step = self.graph = self.graph or self._runtime.record(self._step)
        for _ in range(n_steps):
            step()
        return fitting.read_status(self._runtime, self.state)

    def _step(self) -> None:
        """The launches of one step. Allocates nothing and copies nothing to the host."""
        runtime, state = self._runtime, self.state
        scene = self._bin(begins=True)
        partials = self._pass.backward(scene, self._moments)
        fitting.finish_step(runtime, state, partials, scene, self._moments, self._grads)
        fitting.adam_rows(runtime, state, self._grads)
        fitting.step_gains(runtime, state)

    def _bin(self, *, begins: bool = False) -> Scene:
        """Launch the kernels that build the scene of the current step."""
        grid = self._grid
        shown = fitting.list_shown(
            self._runtime, self.state, self._geometry, self._lists, grid.support_q, begins=begins
        )
        return Scene(shown, self._geometry, self._lists, self._background, grid.top_k)

    def _make_room(self, needed: int) -> None:
        """Reallocate lists and moments for more than `needed` pairs, and drop graphs recorded with the old buffers."""
        if needed > MAX_TILE_PAIRS:
            raise LimitExceeded(
                f"{len(self)} Gaussians on {self._grid.width}x{self._grid.height} px meet more than {MAX_TILE_PAIRS} "
                "tiles; use fewer Gaussians"
            )
        rows, columns = self._grid.tiles_shape
        capacity = min(round(ROOM * needed), MAX_TILE_PAIRS)
        self.graph = None
        self._lists = TileLists(self._runtime, (0, 0, columns, rows), capacity)
        self._moments: Array = moments_of(self._runtime, capacity, self.state.settings.shape[2])
