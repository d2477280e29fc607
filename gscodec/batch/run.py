"""Runs a whole batch: items that are up to date are skipped, the rest goes to worker processes."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from gscodec.batch.back import DecodeItem, DecodeState, decode_item
from gscodec.batch.outcome import Outcome, Status, one_line
from gscodec.batch.plan import Item
from gscodec.batch.pool import PROGRESS_SECONDS, Event, Task
from gscodec.batch.state import State
from gscodec.batch.work import Options, encode_item
from gscodec.errors import DeviceFallback, DeviceWarning, SourceWarning
from gscodec.io.atomic import sweep

if TYPE_CHECKING:
    from gscodec.encoding.api import Progress


@dataclass(frozen=True)
class EncodeTask:
    """`encode_item` for a worker."""

    item: Item
    options: Options
    is_known: bool = False  # whether the state has a note of the item's output

    @property
    def name(self) -> str:
        """Name of the item."""
        return self.item.name

    def on(self, device: str) -> Self:
        """See `Task.on`."""
        return replace(self, options=replace(self.options, device=device))

    def run(self, report: Callable[[Any], None]) -> Outcome:
        """The outcome; progress is reported at most every PROGRESS_SECONDS."""
        last = 0.0

        def show(now: "Progress") -> None:
            nonlocal last
            if now.seconds - last >= PROGRESS_SECONDS:
                last = now.seconds
                report((now.phase, now.fraction, now.psnr))

        return guarded(
            self.name,
            str(self.item.output),
            lambda: encode_item(self.item, self.options, show, self.is_known),
        )


@dataclass(frozen=True)
class DecodeTask:
    """`decode_item` for a worker."""

    item: DecodeItem
    options: Options

    @property
    def name(self) -> str:
        """Name of the item."""
        return self.item.name

    def on(self, device: str) -> Self:
        """See `Task.on`."""
        return replace(self, options=replace(self.options, device=device))

    def run(self, report: Callable[[Any], None]) -> Outcome:
        """The outcome; a decode reports no progress."""
        del report
        return guarded(self.name, str(self.item.source), lambda: decode_item(self.item, self.options))


def guarded(name: str, output: str, work: Callable[[], Outcome]) -> Outcome:
    """The outcome of `work`; unexpected exceptions become failures, and the library's warnings go into its message.

    A worker has no terminal of its own, and the library's warnings belong to their item.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            for ours in _OUR_WARNINGS:
                warnings.simplefilter("always", ours)
            outcome = work()
        texts = [one_line(each.message) for each in caught if issubclass(each.category, _OUR_WARNINGS)]
        for each in caught:
            if not issubclass(each.category, _OUR_WARNINGS):
                warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        return replace(outcome, message="; ".join(dict.fromkeys(filter(None, [outcome.message, *texts]))))
    except MemoryError:
        return Outcome(name, Status.FAILED, output, f"{name}: out of memory; use fewer jobs or a smaller picture")
    except BrokenPipeError:  # the parent has ended
        raise
    except Exception as fault:  # one failing item must not end the batch
        text = f"{name}: {type(fault).__name__}: {one_line(fault)} (a bug in gscodec)"
        return Outcome(name, Status.FAILED, output, text)


_OUR_WARNINGS: Final = (SourceWarning, DeviceFallback, DeviceWarning)

Dispatch = Callable[[Sequence[Task]], Iterator[Event]]
"""Runs tasks and yields events: `run_tasks` with a number of jobs, or a cluster."""

Watcher = Callable[[str, str, Any], None]
"""Called with `begin`, `report` or `end`, an item's name, and its report or outcome."""


def share_threads(jobs: int | None, threads: int | None, n_items: int, most_jobs: int | None = None) -> tuple[int, int]:
    """(jobs, threads per job); by default their product is at most the number of cores.

    Many small pictures are processed fastest with one thread each.

    Args:
        most_jobs: maximum number of jobs if `jobs` is None; None means one per core.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if jobs is None:
        jobs = max(1, min(n_items, cores // (threads or 1), most_jobs or n_items))
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
    """Outcomes in the order of the items. An interrupt leaves only complete files and the state of finished items.

    Args:
        dispatch: runs the tasks.
        trust: an item in the state whose output has its recorded size and modification time is current; its sources
            are not checked.
        fail_fast: stop at the first failure and terminate running tasks.
    """
    clean(items, options.cache)
    outcomes = _known(items, lambda item: state.current(item, trust=trust), watch)
    left = [number for number, known in enumerate(outcomes) if known is None]
    tasks = [EncodeTask(items[number], options, state.knows(items[number])) for number in left]
    for number, outcome in _outcomes(tasks, dispatch, watch):
        outcomes[left[number]] = outcome
        state.keep(items[left[number]], outcome)
        if fail_fast and outcome.status is Status.FAILED:
            break
    return _with_waiting([(item.name, item.output) for item in items], outcomes)


def decode_all(
    items: Sequence[DecodeItem],
    options: Options,
    dispatch: Dispatch,
    state: DecodeState,
    *,
    trust: bool = False,
    fail_fast: bool = False,
    watch: Watcher | None = None,
) -> list[Outcome]:
    """Outcomes in the order of the items; arguments as `encode_all`."""
    for folder in dict.fromkeys(path for item in items for path in (item.root, *_folders(item))):
        sweep(folder)
    outcomes = _known(items, lambda item: state.current(item, trust=trust, grain=options.grain), watch)
    left = [number for number, known in enumerate(outcomes) if known is None]
    tasks = [DecodeTask(items[number], options) for number in left]
    for number, outcome in _outcomes(tasks, dispatch, watch):
        outcomes[left[number]] = outcome
        if fail_fast and outcome.status is Status.FAILED:
            break
    return _with_waiting([(item.name, item.source) for item in items], outcomes)


def clean(items: Iterable[Item], cache: Path | None) -> None:
    """Remove temporary files of killed runs from the folders of outputs and notes and from the cache."""
    folders: dict[Path, None] = {}
    for item in items:
        folders |= dict.fromkeys((item.root, item.output.parent))
    if cache is not None and cache.is_dir():
        folders |= dict.fromkeys(path for path in cache.iterdir() if len(path.name) == 2)
    for folder in folders:
        sweep(folder)


def _folders(item: DecodeItem) -> list[Path]:
    return [picture.path.parent for picture in item.pictures]


def _known(
    items: Sequence[Any], current: Callable[[Any], Outcome | None], watch: Watcher | None
) -> list[Outcome | None]:
    """For each item its outcome if it is up to date, else None."""
    outcomes = []
    for item in items:
        known = current(item)
        outcomes.append(known)
        if known is not None and watch is not None:
            watch("end", known.name, known)
    return outcomes


def _with_waiting(names: Sequence[tuple[str, Path]], outcomes: Sequence[Outcome | None]) -> list[Outcome]:
    return [
        known or Outcome(name, Status.WAITING, str(output))
        for (name, output), known in zip(names, outcomes, strict=True)
    ]


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
        events.close()  # type: ignore[attr-defined]  # a generator, typed as an iterator of its items
