"""Carrying tasks out, one after the other or several at once, with every row on disk before the next is waited for."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gscodec_bench.machine import machine
from gscodec_bench.plan import Task
from gscodec_bench.table import ResultTable

Rows = list[dict[str, Any]]


@dataclass
class Outcome:
    """What a run did."""

    measured: int = 0  # tasks
    known: int = 0  # tasks whose rows were there
    failures: list[tuple[str, str]] = field(default_factory=list)  # label and fault of tasks that gave no row


@dataclass(frozen=True)
class Event:
    """A task that has just ended, for a progress display."""

    done: int
    total: int
    label: str
    rows: Sequence[dict[str, Any]]
    fault: str | None


def run(
    tasks: Sequence[Task],
    table: ResultTable,
    *,
    jobs: int = 1,
    any_version: bool = False,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Outcome:
    """Measure what the table does not know yet.

    A task that fails is noted and the run goes on. An interrupt leaves every finished row in the table.

    Args:
        jobs: processes; with one, tasks run in this one. Times of several at once are those of a busy machine.
        any_version: see `ResultTable.knows`.
    """
    waiting = [task for task in tasks if not task.known(table, any_version)]
    outcome = Outcome(known=len(tasks) - len(waiting))
    here = machine()
    try:
        for task, rows, fault in _results(waiting, jobs):
            if fault is None:
                outcome.measured += 1
            else:
                outcome.failures.append((task.label, fault))
            for row in rows:
                table.add(row | {"machine": here})
            done = outcome.measured + len(outcome.failures)
            on_event(Event(done, len(waiting), task.label, rows, fault))
    finally:
        table.tidy()
    return outcome


def _results(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Rows, str | None]]:
    if jobs <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, *_attempt(task)
        return
    # Spawned, not forked: torch's and the engine's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        pending: dict[Future[tuple[Rows, str | None]], Task] = {}
        queue = iter(tasks)
        try:
            while True:
                for task in islice(queue, 2 * jobs - len(pending)):
                    pending[pool.submit(_attempt, task)] = task
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    task = pending.pop(future)
                    try:
                        yield task, *future.result()
                    except BrokenProcessPool:
                        yield task, [], "the worker process died"
                        raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _attempt(task: Task) -> tuple[Rows, str | None]:
    """A task's rows, or what went wrong: anything at all may come out of somebody else's codec."""
    try:
        return task.rows(), None
    except Exception as error:
        if os.environ.get("GSCODEC_DEBUG", "") not in {"", "0"}:
            raise
        text = " ".join(str(error).split())
        return [], f"{type(error).__name__}: {text}" if text else type(error).__name__
