"""Steps of the optimiser on a device: everything stays there, and the host looks on every few of them.

A step is a fixed list of launches, recorded as a CUDA graph, and again only when Gaussians come, a loss changes, or
tile lists get more room. What changes from step to step lies in device memory, the plan's decisions included. Tile
lists have a capacity: a batch of steps that turns out to need more is undone, and done again with more room.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from gscodec.model.rendering import LossWeights

BATCH: Final = 25
"""Steps between two looks: a look costs tens of microseconds, a step of a small picture a hundred."""

ROOM: Final = 1.5
"""Room for pairs that is made, in terms of those needed at the time: Gaussians grow wider as they train."""

ROOM_LEFT: Final = 1.1
"""More is made between batches once there is less than this, in the same terms."""


class DeviceSteps:
    """Rows of parameters in a runtime's memory, and the steps that move them. Its callers have entered the runtime.

    Args:
        target: float32 (C, H, W) in the runtime's memory.
        importance: float32 (H, W) or (C, H, W) there, what each sample counts; None is 1 for all.
        log_gains: as `FitState.of`.
        n_steps: that will be decided in all, looks at the set included.

    Raises:
        OutOfDeviceMemory: here or later, the device has too little memory.
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
        """The step as it is repeated, once there was one."""
        self._background = runtime.upload(np.asarray(grid.background, np.float32))
        self._pass = LossPass(runtime, grid, target, settings.weights, importance)
        self.state = FitState.of(runtime, settings, log_gains, n_steps)
        self._snapshot = FitSnapshot(self.state)
        self._make_room(0)

    def __len__(self) -> int:
        return self.state.n_present

    @property
    def lattice(self) -> Lattice:
        """That of the whole picture."""
        return self._pass.lattice

    def make_room_for(self, n_gaussians: int) -> None:
        """Memory for so many in all, if there was less: what the budget of a file holds is known late."""
        if n_gaussians > self.state.room:
            self.state = self.state.with_room(self._runtime, n_gaussians)
            self._snapshot = FitSnapshot(self.state)
            self.graph = None

    def append(self, rows: Array, units: Array, level: int) -> None:
        """More Gaussians, as `FitState.append`, and room for all there are then, as `level` shows them."""
        self.state.append(rows, units)
        self._geometry = Geometry(self._runtime, len(self))
        self._grads = self._runtime.xp.empty(self.state.rows[: len(self)].shape, np.float32)
        self.graph = None
        self.show_all(level)

    def use_loss(self, weights: LossWeights) -> None:
        """Makes it that of the next steps."""
        if self.state.settings.weights == weights:
            return
        self._pass = LossPass(self._runtime, self._grid, self._target, weights, self._importance)
        self.state.settings = replace(self.state.settings, weights=weights)
        self.graph = None

    def decide(self, steps: Sequence[Step]) -> None:
        """Adds steps to the plan on the device."""
        ints = np.array([(s.n_shown, s.level, s.shows_all, s.may_be_best) for s in steps], np.int32)
        factors = np.array([s.factor for s in steps], np.float32)
        self.state.plan(self._runtime, ints.reshape(-1, fitting.PLAN_INTS), factors)

    def run(self, steps: Sequence[Step]) -> Iterator[tuple[int, FitStatus]]:
        """Decides steps and carries them out. After every BATCH of them, yields how many are done, and how it stands.

        The runtime is entered here, since the caller goes on elsewhere in between.
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
        """All Gaussians as a level shows them, without their tile lists."""
        self._begin(level)
        fitting.activate(self._runtime, self.state)
        return self.state.gaussians

    def show_all(self, level: int) -> Scene:
        """The scene of all Gaussians as a level shows them, with room made for it."""
        self._begin(level)
        scene = self._bin()
        needed = fitting.read_status(self._runtime, self.state).pairs_needed
        if needed <= self._lists.capacity:
            return scene
        self._make_room(needed)
        return self._bin()

    def render(self, scene: Scene) -> Array:
        """float32 (C, H, W) picture of a scene."""
        return self._pass.render(scene)

    def measure(self, level: int) -> FitStatus:
        """Loss and error of all Gaussians as a level shows them."""
        partials = self._pass.backward(self.show_all(level), self._moments)
        fitting.finish_loss(self._runtime, self.state, partials)
        return fitting.read_status(self._runtime, self.state)

    def _begin(self, level: int) -> None:
        self.decide([Step(len(self), level, 0.0, shows_all=True, may_be_best=False)])
        fitting.begin_step(self._runtime, self.state)

    def _repeat(self, n_steps: int) -> FitStatus:
        """Carries out the plan's next steps."""
        step = self.graph = self.graph or self._runtime.record(self._step)
        for _ in range(n_steps):
            step()
        return fitting.read_status(self._runtime, self.state)

    def _step(self) -> None:
        """The launches of one step. Allocates nothing and reads nothing back."""
        runtime, state = self._runtime, self.state
        scene = self._bin(begins=True)
        partials = self._pass.backward(scene, self._moments)
        fitting.finish_step(runtime, state, partials, scene, self._moments, self._grads)
        fitting.adam_rows(runtime, state, self._grads)
        fitting.step_gains(runtime, state)

    def _bin(self, *, begins: bool = False) -> Scene:
        """Launches what makes the scene of the step at hand."""
        grid = self._grid
        shown = fitting.list_shown(
            self._runtime, self.state, self._geometry, self._lists, grid.support_q, begins=begins
        )
        return Scene(shown, self._geometry, self._lists, self._background, grid.top_k)

    def _make_room(self, needed: int) -> None:
        """Lists and moments for more pairs than needed. What was recorded with the old ones is void."""
        if needed > MAX_TILE_PAIRS:
            raise LimitExceeded(
                f"{len(self)} Gaussians on {self._grid.width}x{self._grid.height} px meet more than {MAX_TILE_PAIRS} "
                "tiles; take fewer"
            )
        rows, columns = self._grid.tiles_shape
        capacity = min(round(ROOM * needed), MAX_TILE_PAIRS)
        self.graph = None
        self._lists = TileLists(self._runtime, (0, 0, columns, rows), capacity)
        self._moments: Array = moments_of(self._runtime, capacity, self.state.settings.shape[2])
