"""A whole batch on this machine: what is current is left alone, the rest goes to workers."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gscodec.batch.plan import Item
from gscodec.batch.pool import PROGRESS_SECONDS, Event, Task
from gscodec.batch.state import State
from gscodec.batch.work import Options, Outcome, Status, decode_item, encode_item

if TYPE_CHECKING:
    from gscodec.encoder import Progress

SAVE_EVERY: Final = 20
"""Finished items between two writes of the state."""

LOST_SUFFIX: Final = ".tmp"


@dataclass(frozen=True)
class EncodeTask:
    """`encode_item` for a worker."""

    item: Item
    options: Options

    @property
    def name(self) -> str:
        """The item's."""
        return self.item.name

    def run(self, report: Callable[[Any], None]) -> Outcome:
        """The outcome; progress is reported now and then."""
        last = 0.0

        def show(now: "Progress") -> None:
            nonlocal last
            if now.seconds - last >= PROGRESS_SECONDS:
                last = now.seconds
                report((now.step, now.total_steps, now.psnr))

        return guarded(self.name, str(self.item.output), lambda: encode_item(self.item, self.options, show))


@dataclass(frozen=True)
class DecodeTask:
    """`decode_item` for a worker."""

    name: str
    source: Path
    target: Path
    options: Options

    def run(self, report: Callable[[Any], None]) -> Outcome:
        """The outcome; there is nothing to report on the way."""
        del report
        return guarded(
            self.name, str(self.target), lambda: decode_item(self.name, self.source, self.target, self.options)
        )


def guarded(name: str, output: str, work: Callable[[], Outcome]) -> Outcome:
    """The outcome of some work, also where it runs out of memory or meets a fault of ours."""
    try:
        return work()
    except MemoryError:
        return Outcome(name, Status.FAILED, output, f"{name}: out of memory; use fewer jobs or a smaller picture")
    except Exception as fault:  # one bad item must not end the batch
        text = " ".join(str(fault).split())
        return Outcome(name, Status.FAILED, output, f"{name}: {type(fault).__name__}: {text} (a fault of gscodec)")


Dispatch = Callable[[Sequence[Task]], Iterator[Event]]
"""What has tasks done: `run_tasks` with a number of jobs, or a cluster."""

Watcher = Callable[[str, str, Any], None]
"""Told `begin`, `report` or `end`, an item's name, and its report or outcome."""


def share_threads(jobs: int | None, threads: int | None, n_items: int) -> tuple[int, int]:
    """Processes and threads of each, no more together than there are cores unless asked for.

    Files of many small pictures are done fastest with one thread each.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if jobs is None:
        jobs = max(1, min(n_items, cores // (threads or 1)))
    return jobs, threads or max(1, cores // jobs)


def encode_all(
    items: Sequence[Item],
    options: Options,
    dispatch: Dispatch,
    state: State,
    *,
    trust: bool = False,
    fail_fast: bool = False,
    watch: Watcher | None = None,
) -> list[Outcome]:
    """Outcomes in the order of the items. An interrupt leaves whole files, and the state of what is finished.

    Args:
        dispatch: has the tasks done.
        trust: take an item that the state knows, and whose output is there, as current without a closer look.
        fail_fast: stop at the first failure; what is running is ended.
    """
    outcomes: list[Outcome | None] = [state.current(item) for item in items]
    if trust:
        outcomes = [found or state.recorded(item) for item, found in zip(items, outcomes, strict=True)]
    for found in outcomes:
        if found is not None and watch is not None:
            watch("end", found.name, found)
    left = [number for number, found in enumerate(outcomes) if found is None]
    for folder in {items[number].output.parent for number in left}:
        sweep(folder)
    tasks = [EncodeTask(items[number], options) for number in left]
    done = 0
    try:
        for number, outcome in _outcomes(tasks, dispatch, watch):
            outcomes[left[number]] = outcome
            state.keep(items[left[number]], outcome)
            done += 1
            if done % SAVE_EVERY == 0:
                state.write()
            if fail_fast and outcome.status is Status.FAILED:
                break
    finally:
        if done:
            state.write()
    return [
        found or Outcome(item.name, Status.WAITING, str(item.output))
        for item, found in zip(items, outcomes, strict=True)
    ]


def decode_all(
    tasks: Sequence[DecodeTask], dispatch: Dispatch, *, fail_fast: bool = False, watch: Watcher | None = None
) -> list[Outcome]:
    """Outcomes in the order of the tasks."""
    outcomes = [Outcome(task.name, Status.WAITING, str(task.target)) for task in tasks]
    for number, outcome in _outcomes(tasks, dispatch, watch):
        outcomes[number] = outcome
        if fail_fast and outcome.status is Status.FAILED:
            break
    return outcomes


def _outcomes(tasks: Sequence[Task], dispatch: Dispatch, watch: Watcher | None) -> Iterator[tuple[int, Outcome]]:
    events = dispatch(tasks)
    try:
        for kind, number, value in events:
            name = tasks[number].name
            if kind in {"begin", "report"}:
                if watch is not None:
                    watch(kind, name, value)
                continue
            outcome = value if kind == "done" else Outcome(name, Status.FAILED, message=str(value))
            if watch is not None:
                watch("end", name, outcome)
            yield number, outcome
    finally:
        events.close()  # type: ignore[attr-defined]  # a generator, typed as what it gives


def sweep(folder: Path) -> None:
    """Remove what workers that were killed in the middle of writing left in a folder."""
    if not folder.is_dir():
        return
    for path in folder.glob(f".*.igs.*{LOST_SUFFIX}"):
        path.unlink(missing_ok=True)


def decode_tasks(source: Path, target: Path, options: Options) -> list[DecodeTask]:
    """One task for each `.igs` file at or below a folder, mirrored below another."""
    files = sorted(path for path in source.rglob("*.igs") if path.is_file())
    return [
        DecodeTask(
            path.relative_to(source).with_suffix("").as_posix(),
            path,
            target / path.relative_to(source).with_suffix(""),
            options,
        )
        for path in files
    ]
