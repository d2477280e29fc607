"""Timing on a device: CUDA events around work and single kernels; on the tests' host runtime, the host's clock."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from gscodec.cuda.runtime import Kernel, PlainStep, Runtime


class Clock:
    """Times work on a runtime's stream."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.on_gpu = hasattr(runtime.xp, "cuda")

    def mark(self) -> Any:
        """A point of the stream."""
        if not self.on_gpu:
            return time.perf_counter()
        event = self._runtime.xp.cuda.Event()
        event.record()
        return event

    def between_ms(self, start: Any, end: Any) -> float:
        """Milliseconds from one point to another, both passed by then."""
        if not self.on_gpu:
            return 1000.0 * float(end - start)
        return float(self._runtime.xp.cuda.get_elapsed_time(start, end))

    def median_ms(self, work: Callable[[], object], repeats: int, warm_up: int = 3) -> float:
        """Median time of `work` on the stream, the host's time to launch it included where that is longer."""
        with self._runtime:
            for _ in range(warm_up):
                work()
            marks = []
            for _ in range(repeats):
                start = self.mark()
                work()
                marks.append((start, self.mark()))
            self._runtime.synchronize()
        return median(self.between_ms(*pair) for pair in marks)

    def wall_ms(self, work: Callable[[], object], repeats: int, warm_up: int = 1) -> float:
        """Median time of `work` for the one who waits for it."""
        times = []
        for turn in range(warm_up + repeats):
            self._runtime.synchronize()
            start = time.perf_counter()
            work()
            self._runtime.synchronize()
            if turn >= warm_up:
                times.append(1000.0 * (time.perf_counter() - start))
        return median(times)


class ProfiledRuntime:
    """A runtime that times every kernel it launches; everything else is passed on."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._clock = Clock(runtime)
        self._marks: dict[str, list[tuple[Any, Any]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def __enter__(self) -> "ProfiledRuntime":
        self._runtime.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._runtime.__exit__(*error)

    def kernel(self, family: str, entry: str, **defines: int | str) -> Kernel:
        """See `Runtime.kernel`; each launch is put between two marks."""
        launch = self._runtime.kernel(family, entry, **defines)

        def timed(grid: int | tuple[int, ...], block: int, *args: Any) -> None:
            start = self._clock.mark()
            launch(grid, block, *args)
            self._marks.setdefault(f"{family}.{entry}", []).append((start, self._clock.mark()))

        return timed

    def record(self, step: Callable[[], None]) -> PlainStep:
        """The step itself: inside a graph single kernels cannot be timed."""
        return PlainStep(step)

    def forget(self) -> None:
        """Drop what was timed so far: warm-up."""
        self._marks.clear()

    def times_ms(self) -> dict[str, list[float]]:
        """Milliseconds of every launch, by `family.entry`, in the order of first launch."""
        self._runtime.synchronize()
        return {name: [self._clock.between_ms(*pair) for pair in marks] for name, marks in self._marks.items()}
