"""`python -m gscodec_bench`: gscodec beside its rivals, on any folder of pictures."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gscodec.cli import _console
from gscodec.cli.app import new_program, run_program
from gscodec.cli.exit import ExitCode
from gscodec.errors import InvalidArgument
from gscodec_bench import PROGRAM

if TYPE_CHECKING:
    from gscodec_bench.plan import Notes, Plan
    from gscodec_bench.runner import Event
    from gscodec_bench.session import Done

app = new_program("gscodec_bench")

SUITE_NAMES = ("rd", "visual", "crops", "stacks", "lod", "arriving", "ablation", "restoration", "speed", "check")
"""Kept here too, for --help to load nothing; a test compares them with the suites."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench and return its exit code, which means what those of `gscodec` mean.

    Args:
        argv: arguments without the program's name; those of the process if None.
    """
    return run_program(app, PROGRAM, argv)


@app.command()
def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, or folders of them.")],
    suite: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Suites: {', '.join(SUITE_NAMES)}, or all (without check).")
    ] = "rd",
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for tables and plots.")] = Path("out/bench"),
    codecs: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these codecs: jpeg,gscodec:fast:lods1.")
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(metavar="BITS", help="Rates of gscodec, in bits per pixel; for stacks per pixel and channel."),
    ] = None,
    metrics: Annotated[str | None, typer.Option(metavar="NAMES", help="Only these metrics: psnr,flip.")] = None,
    anchor: Annotated[str, typer.Option(metavar="NAME", help="Reference codec of Bjontegaard deltas.")] = "jpeg",
    quick: Annotated[bool, typer.Option("--quick", help="Fewer presets, rates, steps and repetitions.")] = False,
    skip: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Skip matching paths below PATH, such as 'odd/*'; repeatable."),
    ] = None,
    files: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for encoded files. Default: files in the output folder.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Exit code 7 if a row is worse than in this table.")
    ] = None,
    any_version: Annotated[
        bool, typer.Option("--any-version", help="Keep rows measured with another version of a codec.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks run in parallel.")] = 1,
    device: Annotated[str, typer.Option(metavar="NAME", help="Device of gscodec: auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[
        int | None,
        typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads per task. Default: cores / jobs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Benchmark quality, rate and speed of gscodec and other codecs.

    Rows go into a CSV table as they are measured; reports and plots are made from it. An interrupted run resumes;
    rows whose picture or codec has changed are measured again. Codecs that are not installed and files that cannot be
    read are listed. Exit code 9 if some tasks failed, 7 if --against shows a loss.
    """
    from gscodec.material.outputs import refuse_inputs
    from gscodec.metrics import METRICS
    from gscodec_bench.judges import ALL_METRICS
    from gscodec_bench.machine import usable_cores
    from gscodec_bench.plan import Plan
    from gscodec_bench.session import run_suite
    from gscodec_bench.sources import discover
    from gscodec_bench.suites import SUITES, get_suite

    every = [name for name in SUITES if name != "check"]
    chosen = [get_suite(name) for name in (every if suite == "all" else _names(suite))]
    sources, skipped = discover(paths, tuple(skip or ()))
    plan = Plan(
        sources=tuple(sources),
        codecs=tuple(_names(codecs)) if codecs else None,
        rates=_numbers(rates) if rates else None,
        metrics=_known(metrics, tuple(ALL_METRICS)) if metrics else None,
        anchor=anchor,
        quick=quick,
        device=device,
        threads=threads or max(1, usable_cores() // jobs),
        files=files or output / "files",
        skipped=tuple(skipped),
    )
    if against is not None:
        refuse_inputs([output / f"{wanted.name}.csv" for wanted in chosen], [against])
    for name in plan.metrics or ():
        if name not in METRICS and not any(name in wanted.fields for wanted in chosen):
            raise InvalidArgument(f"metric {name!r} is not measured by {suite}: add the suite visual")
    done: list[Done] = []
    for wanted in chosen:
        with _progress(wanted.name, quiet) as show:
            done.append(
                run_suite(
                    wanted,
                    plan,
                    output,
                    jobs=jobs,
                    any_version=any_version,
                    command=_command_line(),
                    on_event=show,
                )
            )
        _tell(done[-1], plan, quiet)
    if not any(one.results.rows or one.outcome.failures for one in done):
        raise InvalidArgument(f"{', '.join(map(str, paths))}: holds nothing that {suite} measures")
    if as_json:
        _console.emit_json({"suites": [_as_json(one) for one in done]})
    else:
        for one in done:
            for path in one.written:
                _console.emit(str(path))
    _end(done, against)


def _end(done: "list[Done]", against: Path | None) -> None:
    """The exit code: a loss first, then failed tasks."""
    if against is not None:
        from gscodec_bench.guard import compare

        changes, missing = [], []
        for one in done:
            found, absent = compare(one.results.rows, against, one.results.suite.key)
            changes += found
            missing += absent
        for change in changes:
            _console.say(str(change))
        if missing or not changes:
            names = ", ".join(missing[:3]) or "anything"
            raise _console.fail(ExitCode.PARTIAL, f"{against}: has rows that were not measured: {names}")
        lost = [change for change in changes if change.lost]
        if lost:
            raise _console.fail(ExitCode.DIFFERS, f"{len(lost)} of {len(changes)} rows lost: {lost[0]}")
    failures = [fault for one in done for fault in one.outcome.failures]
    if failures:
        label, fault = failures[0]
        raise _console.fail(ExitCode.PARTIAL, f"{len(failures)} tasks failed, the first: {label}: {fault}")


def _tell(done: "Done", plan: "Plan", quiet: bool) -> None:
    """What was done and what was left out, on stderr."""
    if quiet:
        return
    _say_skipped(done.results.notes)
    outcome = done.outcome
    _console.say(
        f"{done.results.suite.name}: {outcome.measured} measured, {outcome.known} known before, "
        f"{len(outcome.failures)} failed, {len(done.results.plan.sources)} of {len(plan.sources)} sources"
    )


def _say_skipped(notes: "Notes") -> None:
    for entry in notes.skipped:
        _console.say(f"left out {entry.name}: {entry.reason}")


def _as_json(done: "Done") -> dict[str, Any]:
    return {
        "suite": done.results.suite.name,
        "measured": done.outcome.measured,
        "known": done.outcome.known,
        "failed": [{"task": label, "fault": fault} for label, fault in done.outcome.failures],
        "left_out": [{"name": entry.name, "reason": entry.reason} for entry in done.results.notes.skipped],
        "written": [str(path) for path in done.written],
    }


@contextmanager
def _progress(label: str, quiet: bool) -> "Iterator[Callable[[Event], None]]":
    """A callback that shows how far a suite is: a bar on a terminal, else a line a task."""
    if quiet:
        yield lambda _: None
        return
    if not _console.stderr_is_terminal():
        yield lambda event: _console.say(_line(event))
        return
    from rich import progress
    from rich.markup import escape

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=None),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[last]}"),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=_console.rich_console(), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task(label, total=None, last="")

        def show(event: "Event") -> None:
            label = escape(_console.shown(event.label))
            bar.update(task, completed=event.done, total=event.total, last=label)

        yield show


def _line(event: "Event") -> str:
    row = event.rows[-1] if event.rows else {}
    shown = [
        f"{name} {row[name]}"
        for name in ("bytes", "psnr", "ms_ssim", "ssimulacra2", "median_ms")
        if row.get(name) is not None
    ]
    return f"{event.done}/{event.total} {event.label}: {event.fault or ', '.join(shown)}"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _known(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    wanted = _names(text)
    for name in wanted:
        if name not in names:
            raise InvalidArgument(f"metric {name!r} is not known: use {', '.join(names)}")
    return tuple(wanted)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in _names(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of rates: write bits per pixel, as 0.1,0.2,0.5") from None
    if not values or min(values) <= 0:
        raise typer.BadParameter(f"{text!r} is not a list of rates above 0")
    return values


def _command_line() -> str:
    """The command as it can be given again, for tables to say what made them."""
    import shlex

    return f"{PROGRAM} {shlex.join(sys.argv[1:])}"
