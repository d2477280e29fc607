"""`gscodec batch`: folders of pictures and materials to `.igs` files, again and again."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._values import Shard, human_bytes, parse_byte_size, parse_shard
from gscodec.cli.encode import Preset, Tune
from gscodec.cli.exit import ExitCode
from gscodec.errors import InvalidArgument

if TYPE_CHECKING:
    from gscodec.batch.plan import Item
    from gscodec.batch.run import Watcher
    from gscodec.batch.work import Outcome


def command(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder to go through, or a manifest .toml.")],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[DST]", help="Folder of the results, which mirrors SRC; a manifest names it."),
    ] = None,
    decode: Annotated[bool, typer.Option("--decode", help="The other way: .igs files below SRC to pictures.")] = False,
    bpp: Annotated[float | None, typer.Option(metavar="BITS", help="Target of each file: bits per pixel.")] = None,
    bppc: Annotated[
        float | None, typer.Option(metavar="BITS", help="Bits per pixel and channel. [default: 0.1]")
    ] = None,
    size: Annotated[
        int | None, typer.Option(parser=parse_byte_size, metavar="BYTES", help="Bytes of each file, as 10k or 1.5MB.")
    ] = None,
    gaussians: Annotated[int | None, typer.Option(min=1, metavar="N", help="Gaussians of each file.")] = None,
    psnr: Annotated[float | None, typer.Option(metavar="DB", help="Quality of each file.")] = None,
    total_size: Annotated[
        int | None,
        typer.Option(
            parser=parse_byte_size, metavar="BYTES", help="Bytes of all files together, spread by what each gains."
        ),
    ] = None,
    preset: Annotated[Preset | None, typer.Option(help="Effort. [default: balanced]")] = None,
    tune: Annotated[Tune | None, typer.Option(help="Quality meant. [default: psnr]")] = None,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Optimisation steps of each.")] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only paths below SRC that match; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Leave these out; repeatable.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, metavar="N", help="Items at once. Default: one for each core.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads of an item. Default: cores over jobs."),
    ] = None,
    shard: Annotated[
        Shard | None,
        typer.Option(parser=parse_shard, metavar="I/N", help="Only part I of N, from 1; the same items always."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Shared folder of finished files, by content.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after a stop: take what is finished without looking at its sources.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast/--keep-going", help="Stop at the first failure, or do all others.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that no batch made.")] = False,
    engine: Annotated[Literal["local", "dask"], typer.Option(help="Where items are done.")] = "local",
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask cluster: tcp://host:8786, or its file.")
    ] = None,
    gpus: Annotated[
        bool, typer.Option("--gpus", help="Of Dask workers, one unit of the resource GPU an item.")
    ] = False,
    emit: Annotated[
        Literal["slurm", "openjd"] | None, typer.Option(help="Only write a job file for a farm, to stdout.")
    ] = None,
    shards: Annotated[int, typer.Option(min=1, metavar="N", help="Parts of an emitted job.")] = 8,
    device: Annotated[str, typer.Option(metavar="NAME", help="Engine: auto, cpu or cuda:N.")] = "auto",
    report: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Write a report, .json, .csv or .html; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Outcomes as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Failures and the closing line only.")] = False,
) -> None:
    """Encode every picture and material below a folder, or of a manifest.

    Maps whose names share a material become one file. A file whose source, settings and encoder are as they were is
    left alone, however often the batch runs. A failed item stops no other; exit code 9 if some failed.
    """
    from gscodec.batch.report import as_json as outcomes_json
    from gscodec.batch.report import check_report, write_report

    for path in report or ():
        check_report(path)
    if engine == "dask" and scheduler is None:
        raise InvalidArgument("--engine dask needs --scheduler ADDRESS")
    wishes: dict[str, Any] = {"bpp": bpp, "bppc": bppc, "size": size, "gaussians": gaussians, "psnr": psnr}
    given = {name: value for name, value in wishes.items() if value is not None}
    if len(given) + (total_size is not None) > 1:
        raise InvalidArgument("give one of --bpp, --bppc, --size, --gaussians, --psnr and --total-size")
    started = time.perf_counter()
    if emit is not None:
        _emit(emit, source, target, shards, threads)
        return
    work = _Work(jobs, threads, engine, scheduler, gpus, device, cache, overwrite, fail_fast, resume, quiet)
    if decode:
        outcomes = work.decode(source, target, dry_run)
    else:
        wanted = {"preset": preset and preset.value, "tune": tune and tune.value, "steps": steps}
        settings = given | {name: value for name, value in wanted.items() if value}
        items, total = _items(source, target, settings, tuple(include or ()), tuple(exclude or ()), total_size)
        outcomes = work.encode(items, total, shard, dry_run)
    seconds = time.perf_counter() - started
    for path in report or ():
        write_report(path, outcomes, seconds)
    if as_json:
        _console.emit(json.dumps(outcomes_json(outcomes, seconds), indent=2, ensure_ascii=False))
    _close(outcomes, seconds)


def _items(
    source: Path,
    target: Path | None,
    settings: dict[str, Any],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    total_size: int | None,
) -> "tuple[list[Item], int | None]":
    """What to do, and the bytes of all of it if they are limited."""
    from gscodec.batch.plan import Manifest, make_items, read_manifest
    from gscodec.batch.settings import Settings
    from gscodec.units import bytes_of

    if source.suffix.lower() == ".toml":
        if target is not None:
            raise InvalidArgument(f"{target}: a manifest names its output folder itself")
        manifest = read_manifest(source)
    elif target is None:
        raise InvalidArgument(f"{source}: name a folder for the results too")
    else:
        manifest = Manifest(target, source, include, exclude)
    total: int | None = total_size
    if total is None and manifest.total_size is not None:
        try:
            total = bytes_of(str(manifest.total_size))
        except ValueError as fault:
            raise InvalidArgument(f"{source}: total_size {fault}") from fault
    base = Settings(bppc=0.1).changed(settings, "command line")
    return make_items(manifest, base), total


class _Work:
    """How the items are done, and what a person sees of it."""

    def __init__(
        self,
        jobs: int | None,
        threads: int | None,
        engine: str,
        scheduler: str | None,
        gpus: bool,
        device: str,
        cache: Path | None,
        overwrite: bool,
        fail_fast: bool,
        resume: bool,
        quiet: bool,
    ) -> None:
        self._jobs, self._threads = jobs, threads
        self._engine, self._scheduler, self._gpus = engine, scheduler, gpus
        self._device, self._cache, self._overwrite = device, cache, overwrite
        self._fail_fast, self._resume, self._quiet = fail_fast, resume, quiet

    def encode(self, items: "list[Item]", total: int | None, shard: Shard | None, dry_run: bool) -> "list[Outcome]":
        from gscodec.batch import plan
        from gscodec.batch.run import encode_all
        from gscodec.batch.state import State

        root = _common_folder(items)
        failed: list[Outcome] = []
        if total is not None:
            items, failed = self._budgeted(items, total)
        part = ""
        if shard is not None:
            items = plan.shard(items, *shard)
            part = f"-{shard.number}-of-{shard.of}"
        state = State(root, part)
        if dry_run:
            return _planned(items, state) + failed
        options, dispatch = self._prepare(len(items))
        with _watching(len(items), self._quiet) as watch:
            outcomes = encode_all(
                items, options, dispatch, state, trust=self._resume, fail_fast=self._fail_fast, watch=watch
            )
        return outcomes + failed

    def decode(self, source: Path, target: Path | None, dry_run: bool) -> "list[Outcome]":
        from gscodec.batch.run import decode_all, decode_tasks
        from gscodec.batch.work import Options, Outcome, Status
        from gscodec.errors import FileAccessError

        if target is None:
            raise InvalidArgument(f"{source}: name a folder for the pictures too")
        tasks = decode_tasks(source, target, Options(device=self._device, overwrite=self._overwrite))
        if not tasks:
            raise FileAccessError(f"{source}: holds no .igs files")
        if dry_run:
            return [Outcome(task.name, Status.WAITING, str(task.target)) for task in tasks]
        options, dispatch = self._prepare(len(tasks))
        tasks = decode_tasks(source, target, options)
        with _watching(len(tasks), self._quiet) as watch:
            return decode_all(tasks, dispatch, fail_fast=self._fail_fast, watch=watch)

    def _prepare(self, n_items: int) -> tuple[Any, Any]:
        from gscodec.batch.pool import run_tasks
        from gscodec.batch.run import share_threads
        from gscodec.batch.work import Options

        jobs, threads = share_threads(self._jobs, self._threads, max(n_items, 1))
        if self._engine == "dask":
            from gscodec.batch.dask_pool import run_tasks_on_dask

            assert self._scheduler is not None
            address, gpus = self._scheduler, self._gpus
            options = Options(self._threads, self._device, self._cache, self._overwrite)
            return options, lambda tasks: run_tasks_on_dask(tasks, address, gpus)
        return Options(threads, self._device, self._cache, self._overwrite), lambda tasks: run_tasks(tasks, jobs)

    def _budgeted(self, items: "list[Item]", total: int) -> "tuple[list[Item], list[Outcome]]":
        from gscodec.batch.budget import ProbeTask, with_sizes

        options, dispatch = self._prepare(len(items))
        found: list[Any] = [f"{item.name}: was not probed" for item in items]
        if not self._quiet:
            _console.say(f"measuring {len(items)} items for the budget of {human_bytes(total)}")
        for kind, number, value in dispatch([ProbeTask(item, options) for item in items]):
            if kind in {"done", "lost"}:
                found[number] = value if kind == "done" else str(value)
        return with_sizes(items, found, total)


def _common_folder(items: "list[Item]") -> Path:
    """The output folder: what all outputs lie in."""
    folders = [item.output.parents[len(Path(item.name).parts) - 1] for item in items]
    return folders[0]


def _planned(items: "list[Item]", state: Any) -> "list[Outcome]":
    """What would be done: an item that no state knows may still turn out to be current."""
    from gscodec.batch.work import Outcome, Status

    outcomes = []
    for item in items:
        found = state.current(item) or Outcome(item.name, Status.WAITING, str(item.output))
        sources = " ".join(path.name for path in item.sources)
        target = f"{item.settings.target} {getattr(item.settings, item.settings.target or 'preset')}"
        _console.emit(f"{found.status:8s} {item.name}: {sources} ({target}, {item.settings.preset})")
        outcomes.append(found)
    return outcomes


def _emit(kind: str, source: Path, target: Path | None, shards: int, threads: int | None) -> None:
    import sys

    from gscodec.batch.emit import openjd_template, slurm_script

    arguments = _without(sys.argv[1:], {"--emit": 1, "--shards": 1})
    if not arguments or arguments[0] != "batch":  # called from Python
        arguments = ["batch", str(source), *([str(target)] if target else [])]
    text = (slurm_script if kind == "slurm" else openjd_template)(arguments, shards, threads)
    _console.emit(text.rstrip("\n"))


def _without(arguments: list[str], options: dict[str, int]) -> list[str]:
    """Arguments without some options and their values."""
    kept, skip = [], 0
    for argument in arguments:
        if skip:
            skip -= 1
            continue
        name, equals, _ = argument.partition("=")
        if name in options:
            skip = 0 if equals else options[name]
            continue
        kept.append(argument)
    return kept


def _close(outcomes: "list[Outcome]", seconds: float) -> None:
    """The last line, and the exit code."""
    from gscodec.batch.report import summary
    from gscodec.batch.work import Status

    total = summary(outcomes, seconds)
    counts = ", ".join(f"{count} {status}" for status, count in total["by_status"].items())
    _console.say(f"{len(outcomes)} items: {counts}; {human_bytes(total['bytes'])} in {_console.duration(seconds)}")
    failed = sum(outcome.status is Status.FAILED for outcome in outcomes)
    if failed:
        raise _console.fail(ExitCode.PARTIAL, f"{failed} of {len(outcomes)} items failed")
    missed = sum(outcome.status is Status.MISSED for outcome in outcomes)
    if missed:
        raise _console.fail(ExitCode.TARGET_NOT_MET, f"{missed} files miss their target; they are written all the same")


@contextmanager
def _watching(n_items: int, quiet: bool) -> "Iterator[Watcher]":
    """One live table on a terminal; a line for each finished item elsewhere."""
    import sys

    if sys.stderr.isatty() and not quiet:
        with _live_table(n_items) as watch:
            yield watch
        return

    def line(kind: str, name: str, value: Any) -> None:
        from gscodec.batch.work import Status

        if kind != "end":
            return
        if value.status is Status.FAILED:
            _console.say(f"failed   {value.message}")
        elif not quiet and value.status is not Status.CURRENT:
            psnr = "" if value.psnr is None else f", {value.psnr:.2f} dB"
            _console.say(f"{value.status:8s} {name}: {human_bytes(value.n_bytes)}{psnr}, {value.seconds:.1f} s")

    yield line


@contextmanager
def _live_table(n_items: int) -> "Iterator[Watcher]":
    from rich import progress
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        progress.TextColumn("{task.fields[figures]}"),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True, refresh_per_second=4) as table:
        whole = table.add_task("all items", total=n_items, figures="")
        rows: dict[str, Any] = {}

        def watch(kind: str, name: str, value: Any) -> None:
            if kind == "begin":
                rows[name] = table.add_task(escape(name), total=1, figures="")
            elif kind == "report" and name in rows:
                step, of, psnr = value
                table.update(rows[name], completed=step, total=of, figures=f"{psnr:.2f} dB")
            elif kind == "end":
                if name in rows:
                    table.remove_task(rows.pop(name))
                table.advance(whole)
                if value.message:
                    table.console.print(escape(f"{value.status}: {value.message}"))

        yield watch
