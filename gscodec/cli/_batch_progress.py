"""Progress of a batch: a line per finished item, the time left, and what was done when it is interrupted."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gscodec.cli import _console
from gscodec.cli._values import human_bytes
from gscodec.cli.exit import ExitCode

if TYPE_CHECKING:
    from gscodec.batch.outcome import Outcome


class BatchProgress:
    """Counts what is done, and has a line for each finished item.

    Args:
        n_items: of the batch.
        quiet: only failures and missed targets have lines.
    """

    def __init__(self, n_items: int, quiet: bool) -> None:
        self.n_items, self._quiet = n_items, quiet
        self._started = time.perf_counter()
        self._by_status: Counter[str] = Counter()
        self._running: dict[str, float] = {}  # fraction of each item in work

    def begin(self, name: str) -> None:
        """An item is being worked on."""
        self._running[name] = 0.0

    def advance(self, name: str, fraction: float) -> None:
        """A fraction of an item is done; it never falls."""
        self._running[name] = max(fraction, self._running.get(name, 0.0))

    def end(self, outcome: "Outcome") -> list[str]:
        """An item is finished; lines to print about it."""
        from gscodec.batch.outcome import Status

        self._running.pop(outcome.name, None)
        self._by_status[outcome.status.value] += 1
        place = f"  [{self.n_done}/{self.n_items}{self._left_text(', ')}]"
        if outcome.status in {Status.FAILED, Status.MISSED}:
            return [f"{outcome.status:8s} {outcome.message}{'' if self._quiet else place}"]
        if self._quiet or outcome.status is Status.CURRENT:
            return []
        psnr = "" if outcome.psnr is None else f", {outcome.psnr:.2f} dB"
        figures = f"{human_bytes(outcome.n_bytes)}{psnr}, {outcome.seconds:.1f} s"
        line = f"{outcome.status:8s} {outcome.name}: {figures}{place}"
        return [line, f"warning  {outcome.message}"] if outcome.message else [line]

    @property
    def n_done(self) -> int:
        """Number of finished items, those that were up to date included."""
        return self._by_status.total()

    @property
    def done(self) -> float:
        """Finished items, and the finished fractions of others; never falls."""
        return self.n_done + sum(self._running.values())

    @property
    def seconds_left(self) -> float | None:
        """Estimate for the whole batch; items that were up to date took no time and do not count. None: unknown."""
        worked = self.done - self._by_status["current"]
        if worked <= 0:
            return None
        return (time.perf_counter() - self._started) * (self.n_items - self.done) / worked

    @property
    def whole(self) -> str:
        """Finished items and time left, for a bar of the whole batch."""
        return f"{self.n_done}/{self.n_items}{self._left_text('  ')}"

    def interrupted(self) -> str:
        """What was done so far, for the message of an interrupted batch."""
        counts = ", ".join(f"{count} {status}" for status, count in self._by_status.items())
        parts = [f"{self.n_done} of {self.n_items} items are finished{f' ({counts})' if counts else ''}"]
        if self._running:
            parts.append(f"{len(self._running)} in progress were dropped")
        return f"interrupted: {', '.join(parts)}; the same command continues with the rest"

    def _left_text(self, before: str) -> str:
        left = self.seconds_left
        return "" if left is None or self.n_done == self.n_items else f"{before}{_console.duration(left)} left"


@contextmanager
def watching(n_items: int, quiet: bool) -> Iterator[Any]:
    """A watcher for `encode_all` and `decode_all`: a live table on a terminal, else a line per finished item.

    Raises:
        Exit: the batch was interrupted; it has been said what was done.
    """
    progress = BatchProgress(n_items, quiet)
    try:
        if _console.stderr_is_terminal() and not quiet:
            with _live_table(progress) as watch:
                yield watch
        else:
            yield _lines(progress)
    except KeyboardInterrupt as fault:
        raise _console.fail(ExitCode.INTERRUPTED, progress.interrupted()) from fault


def _lines(progress: BatchProgress) -> Any:
    def watch(kind: str, name: str, value: Any) -> None:
        if kind == "begin":
            progress.begin(name)
        elif kind == "report":
            progress.advance(name, value[1])
        elif kind == "end":
            for line in progress.end(value):
                _console.say(line)

    return watch


@contextmanager
def _live_table(progress: BatchProgress) -> Iterator[Any]:
    from rich import progress as bars
    from rich.markup import escape

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.fields[figures]}"),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=_console.rich_console(), transient=True, refresh_per_second=4) as table:
        whole = table.add_task("all items", total=progress.n_items, figures=progress.whole)
        rows: dict[str, Any] = {}

        def watch(kind: str, name: str, value: Any) -> None:
            if kind == "begin":
                progress.begin(name)
                rows[name] = table.add_task(escape(_console.shown(name)), total=1, figures="")
            elif kind == "report" and name in rows:
                phase, fraction, psnr = value
                progress.advance(name, fraction)
                table.update(rows[name], completed=fraction, figures=f"{phase}  {psnr:.2f} dB")
            elif kind == "end":
                if name in rows:
                    table.remove_task(rows.pop(name))
                for line in progress.end(value):
                    table.console.print(escape(_console.shown(line)), soft_wrap=True)
            table.update(whole, completed=progress.done, figures=progress.whole)

        yield watch
