"""Worker processes with one item at a time each; a crash costs only the item in progress."""

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
"""Minimum interval between two progress reports of a worker, in seconds."""


class Task(Protocol):
    """One unit of work for a worker process. Must be picklable."""

    @property
    def name(self) -> str:
        """Name of the item, for messages."""
        ...

    def on(self, device: str) -> Self:
        """A copy of the task that runs on the given device."""
        ...

    def run(self, report: Callable[[Any], None]) -> Any:
        """Run the task and return its picklable result; `report` takes picklable progress."""
        ...


class LostWorkerError(GsCodecError):
    """A worker ended in the middle of its item."""


Event = tuple[str, int, Any]
"""`begin`, `report`, `done` or `lost`, the number of the task, and the report, the result or the error."""


@dataclass
class _Worker:
    """A worker process and the task it is running."""

    process: Any
    place: int
    """Index among concurrent workers; the replacement of a lost worker takes over its index."""
    task: int = -1


def run_tasks(
    tasks: Sequence[Task], jobs: int, threads: int | None = None, devices: Sequence[str] = ()
) -> Iterator[Event]:
    """Run all tasks in up to `jobs` processes; yields events as they happen.

    Closing the iterator terminates all workers at once. If the parent is killed, workers end after their current item.

    Args:
        threads: threads per worker for numerical libraries; None leaves their defaults.
        devices: worker k runs on devices[k % len(devices)]; if empty, tasks keep their own device.
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
        with contextlib.suppress(OSError):  # a dead worker is detected below
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
    """Environment variables for processes started inside the block; variables already set keep their values."""
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
        reason = " (most likely out of memory)" if name == "SIGKILL" else ""
        return f"its worker was killed by {name}{reason}"
    return f"its worker ended with code {code}"


def _work(pipe: Connection) -> None:
    """Main loop of a worker: receives tasks, sends reports and results, ends when no task is left."""
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
        except BrokenPipeError:  # the parent has ended
            return
