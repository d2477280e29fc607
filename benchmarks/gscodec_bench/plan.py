"""What a run was asked for, and the tasks that a suite makes of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gscodec.image.stack import ImageStack
from gscodec_bench.codecs import Codec, get_codec, split_available
from gscodec_bench.sources import Skipped, Source, try_load
from gscodec_bench.table import STAMPS, ResultTable, Row


@dataclass(frozen=True)
class Plan:
    """The arguments of `python -m gscodec_bench`, checked."""

    sources: tuple[Source, ...]
    codecs: tuple[str, ...] | None = None  # None: what the suite compares
    rates: tuple[float, ...] | None = None  # None: those of the suite
    metrics: tuple[str, ...] | None = None  # None: those of the suite
    anchor: str = "jpeg"
    quick: bool = False
    device: str = "auto"
    threads: int | None = None
    files: Path | None = None  # where encoded files are left; None: nowhere
    skipped: tuple[Skipped, ...] = ()

    def pick(self, names: Sequence[str]) -> tuple[list[Codec], dict[str, str]]:
        """The codecs asked for, or those of `names`; and the reasons of those that cannot run here."""
        wanted = [get_codec(name, self.device, self.threads) for name in self.codecs or names]
        return split_available(wanted)


@dataclass(frozen=True)
class Task:
    """Something to measure. It can be sent to another process, so `work` is a partial of a module's function."""

    label: str
    keys: tuple[Mapping[str, Any], ...]  # of the rows it will give
    stamps: Mapping[str, str]
    work: Callable[[], list[dict[str, Any]]]

    def known(self, table: ResultTable, any_version: bool) -> bool:
        """Whether the table has all its rows."""
        return all(table.knows(key, self.stamps, any_version) for key in self.keys)

    def rows(self) -> list[dict[str, Any]]:
        """Do it. Rows come back with the stamps."""
        return [dict(self.stamps) | row for row in self.work()]


@dataclass(frozen=True)
class Suite:
    """A named set of measurements, and what is made of its rows."""

    name: str
    summary: str  # a line for --help
    fields: tuple[str, ...]
    key: tuple[str, ...]
    tasks: Callable[["Plan", "Notes"], list[Task]]
    write: Callable[["Results"], list[Path]]
    """Tables and plots from all rows, into the run's folder; the paths written."""
    wants: Callable[[Source], bool] = field(default=lambda _: True)
    """Predicate of the sources that it measures."""
    one_at_a_time: bool = False
    """Whether tasks side by side would spoil its figures."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of its CSV file."""
        return self.fields + STAMPS + ("machine",)


@dataclass
class Notes:
    """What was left out and why, for the log, the tables and the report: nothing is dropped in silence."""

    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, name: str, reason: str) -> None:
        """Note something once."""
        entry = Skipped(name, reason)
        if entry not in self.skipped:
            self.skipped.append(entry)

    def skip_all(self, entries: Iterable[Skipped]) -> None:
        """Note several."""
        for entry in entries:
            self.skip(entry.name, entry.reason)


@dataclass(frozen=True)
class Results:
    """Rows of a suite, on their way into tables and plots."""

    suite: Suite
    plan: Plan
    folder: Path
    rows: list[Row]
    notes: Notes
    command: str

    @cached_property
    def by_name(self) -> dict[str, Source]:
        """Sources by name."""
        return {source.name: source for source in self.plan.sources}

    def stem(self, suffix: str) -> Path:
        """A path in the folder that begins with the suite's name."""
        return self.folder / f"{self.suite.name}{suffix}"


def load_all(sources: Iterable[Source], notes: Notes) -> Iterator[tuple[Source, ImageStack]]:
    """Sources with their samples, one at a time; the unreadable are noted."""
    for source in sources:
        stack = try_load(source)
        if isinstance(stack, str):
            notes.skip(source.name, stack)
        else:
            yield source, stack
