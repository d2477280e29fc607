"""Worker processes, each with one item at a time: what one of them does to itself costs its own item only."""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Protocol, Self

from gscodec.errors import GsCodecError

PROGRESS_SECONDS: Final = 0.5
"""Between two reports of a worker."""


class Task(Protocol):
    """What a worker does: called with a function that takes reports on the way. Must be picklable."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def on(self, device: str) -> Self:
        """The same, done on a worker's own device."""
        ...

    def run(self, report: Callable[[Any], None]) -> Any:
        """The result, which must be picklable."""
        ...


class LostWorkerError(GsCodecError):
    """A worker ended in the middle of its item."""


Event = tuple[str, int, Any]
"""`begin`, `report`, `done` or `lost`, the number of the task, and the report, the result or the error."""


@dataclass
class _Worker:
    """A process, and what it is at."""

    process: Any
    place: int
    """Of those that work at the same time; who follows a lost worker takes its place."""
    task: int = -1


def run_tasks(
    tasks: Sequence[Task], jobs: int, threads: int | None = None, devices: Sequence[str] = ()
) -> Iterator[Event]:
    """Do all tasks in up to `jobs` processes; events as they happen.

    Closing the iterator ends all workers at once. Those of a batch that is killed end with their items.

    Args:
        threads: of each worker's libraries; None is what they choose.
        devices: worker k does its tasks on that of k modulo how many there are; none, and tasks keep their own.
    """
    context = multiprocessing.get_context("spawn")  # forks of a process with threads may hang
    waiting = deque(range(len(tasks)))
    workers: dict[Connection, _Worker] = {}

    def start(place: int) -> Connection:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs,), daemon=True)
        with _environment({} if threads is None else {"OMP_NUM_THREADS": str(threads)}):
            process.start()
        theirs.close()
        workers[ours] = _Worker(process, place)
        return ours

    def give(pipe: Connection) -> Iterator[Event]:
        if not waiting:
            _stop(pipe, workers)
            return
        worker = workers[pipe]
        worker.task = number = waiting.popleft()
        yield "begin", number, None
        task = tasks[number].on(devices[worker.place % len(devices)]) if devices else tasks[number]
        with contextlib.suppress(OSError):  # a dead worker is seen below
            pipe.send(task)

    try:
        for place in range(min(jobs, len(tasks))):
            yield from give(start(place))
        while workers:
            for pipe in wait(list(workers)):
                assert isinstance(pipe, Connection)
                worker = workers[pipe]
                number = worker.task
                try:
                    kind, value = pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    del workers[pipe]
                    pipe.close()
                    yield "lost", number, LostWorkerError(f"{tasks[number].name}: {_end_of(worker.process.exitcode)}")
                    if waiting:
                        yield from give(start(worker.place))
                    continue
                yield kind, number, value
                if kind == "done":
                    yield from give(pipe)
    finally:
        for worker in workers.values():
            worker.process.terminate()
        for pipe in list(workers):
            _stop(pipe, workers)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that processes started meanwhile have; those that are set stay."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def _stop(pipe: Connection, workers: dict[Connection, _Worker]) -> None:
    process = workers.pop(pipe).process
    with contextlib.suppress(OSError):
        pipe.send(None)
    pipe.close()
    process.join()


def _end_of(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        reason = " (most likely out of memory)" if -code == signal.SIGKILL else ""
        return f"its worker was killed by {name}{reason}"
    return f"its worker ended with code {code}"


def _work(pipe: Connection) -> None:
    """The life of a worker: items in, reports and results out, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        if task is None:
            return
        try:
            pipe.send(("done", task.run(lambda value: pipe.send(("report", value)))))
        except BrokenPipeError:  # the batch is gone
            return
