"""`gscodec batch`: encodes folders of pictures and materials to `.igs` files, incrementally."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._batch_progress import watching
from gscodec.cli._config import drop_replaced_targets, from_config
from gscodec.cli._encoding import (
    Block,
    Halves,
    ImportanceStrength,
    Lods,
    Nan,
    Normal,
    Part,
    Profile,
    RecordBytes,
    Role,
    Seed,
    Strip,
    TimeBudget,
    Weights,
)
from gscodec.cli._limits import MaxCandidates, MaxMemory, MaxPixels, limits_of
from gscodec.cli._values import Shard, human_bytes, parse_byte_size, parse_shard
from gscodec.cli.exit import ExitCode, message_of
from gscodec.encoding.quality import DEFAULT_QUALITY, MAX_QUALITY
from gscodec.errors import InvalidArgument
from gscodec.model.choices import MetadataPolicy, PresetName, TuneName

if TYPE_CHECKING:
    from gscodec.batch.back import DecodeItem
    from gscodec.batch.outcome import Outcome
    from gscodec.batch.plan import Item, Plan
    from gscodec.model.limits import Limits


MOST_NAMED: Final = 20
"""Maximum number of skipped files that are listed one per line."""


def command(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder to encode, or a manifest .toml.")],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[DST]", help="Output folder, which mirrors SRC. A manifest names its own."),
    ] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Decode .igs files below SRC to pictures.")] = False,
    bpp: Annotated[float | None, typer.Option(metavar="BITS", help="Target of each file, in bits per pixel.")] = None,
    bppc: Annotated[
        float | None,
        typer.Option(metavar="BITS", help="Target of each file, in bits per pixel and channel."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(parser=parse_byte_size, metavar="BYTES", help="Target size of each file: 10k, 1.5MB.")
    ] = None,
    gaussians: Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of Gaussians in each file.")] = None,
    psnr: Annotated[float | None, typer.Option(metavar="DB", help="Target PSNR of each file.")] = None,
    quality: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_QUALITY,
            metavar="Q",
            help="Quality of all files, 0..100, as in encode: bytes go where they gain most. "
            f"[default: {DEFAULT_QUALITY:g}]",
        ),
    ] = None,
    total_size: Annotated[
        int | None,
        typer.Option(
            parser=parse_byte_size,
            metavar="BYTES",
            help="Target size of all files together, distributed by the quality that each gains.",
        ),
    ] = None,
    preset: Annotated[PresetName | None, typer.Option(help="Encoder effort. [default: balanced]")] = None,
    tune: Annotated[TuneName | None, typer.Option(help="What errors count. [default: visual]")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of optimisation steps per file.")
    ] = None,
    importance: Annotated[
        str | None,
        typer.Option(metavar="auto", help="auto: spend more Gaussians on what stands out; maps are for manifests."),
    ] = None,
    importance_strength: ImportanceStrength = None,
    profile: Profile = None,
    record_bytes: RecordBytes = None,
    lods: Lods = None,
    halves: Halves = None,
    seed: Seed = None,
    block: Block = None,
    time_budget: TimeBudget = None,
    weights: Weights = None,
    role: Role = None,
    normal: Normal = None,
    part: Part = None,
    nan: Nan = None,
    metadata: Annotated[
        MetadataPolicy | None,
        typer.Option(help="Keep Exif, XMP and other metadata, as in encode, or drop them. [default: all]"),
    ] = None,
    strip: Strip = False,
    grain: Annotated[
        bool | None,
        typer.Option(
            "--grain/--no-grain",
            help="Describe film grain, as in encode [default: no]; with --decode, add what files describe "
            "[default: yes].",
        ),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only matching paths below SRC; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Skip matching paths; repeatable.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, metavar="N", help="Items encoded in parallel. Default: one per core, or two per GPU."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads per item. Default: cores / jobs."),
    ] = None,
    shard: Annotated[
        Shard | None,
        typer.Option(
            parser=parse_shard, metavar="I/N", help="Only part I of N, counted from 1; the split never changes."
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Shared folder of finished files, keyed by content.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume after an interruption: trust size and time of finished files without reading their sources.",
        ),
    ] = False,
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast/--keep-going", help="Stop at the first failure, or continue with the other items."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only list what would be done, and estimate size and time from the first seconds of three items. Exit "
            "code 1 if a rule or pattern matches nothing.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="After the batch, wait for changes below SRC and run it again, until Ctrl-C."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace files that no batch wrote; never sources.")
    ] = False,
    engine: Annotated[Literal["local", "dask"], typer.Option(help="Where items are processed.")] = "local",
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler: tcp://host:8786, or a scheduler file.")
    ] = None,
    gpus: Annotated[
        bool, typer.Option("--gpus", help="Each item takes one unit of the Dask worker resource GPU.")
    ] = False,
    emit: Annotated[
        Literal["slurm", "openjd"] | None, typer.Option(help="Only print a job file for a render farm.")
    ] = None,
    shards: Annotated[int, typer.Option(min=1, metavar="N", help="Number of shards in an emitted job.")] = 8,
    device: Annotated[
        str,
        typer.Option(metavar="NAME", help="Device: auto, cpu, cuda (job K has GPU K modulo their number) or cuda:N."),
    ] = "auto",
    max_pixels: MaxPixels = None,
    max_memory: MaxMemory = None,
    max_candidates: MaxCandidates = None,
    report: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Write a report: .json, .csv or .html; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures and the closing line only.")] = False,
) -> None:
    """Encode all pictures and materials below a folder or in a manifest.

    Maps whose names share a material become one file. Files whose source, settings and encoder have not changed are
    left alone. A failed item does not stop the others; exit code 9 if some failed. Files below SRC that are skipped,
    and links to folders, are listed. With --decode, a picture only replaces what an earlier decode of the same file
    wrote.
    """
    from gscodec.batch.changes import runs
    from gscodec.batch.report import as_json as outcomes_json
    from gscodec.batch.report import check_report, write_report
    from gscodec.encoding.settings import TARGETS

    for path in report or ():
        check_report(path)
    if engine == "dask" and scheduler is None:
        raise InvalidArgument("--engine dask needs --scheduler ADDRESS")
    if engine != "dask" and (scheduler is not None or gpus):
        raise InvalidArgument("--scheduler and --gpus go with --engine dask")
    drop_replaced_targets(context, TARGETS)
    stated, defaults = _settings(context, decode)
    if strip:
        stated["metadata"] = "none"
    targets = [name for name in TARGETS if name in stated]
    if len(targets) + (total_size is not None) > 1:
        raise InvalidArgument("give one of --bpp, --bppc, --size, --gaussians, --psnr, --quality and --total-size")
    if emit is not None:
        _emit(emit, source, target, shards, threads)
        return
    has_grain = decode if grain is None else grain
    limits = limits_of(max_pixels, max_memory, max_candidates)
    work = _Work(
        jobs, threads, engine, scheduler, gpus, device, cache, overwrite, fail_fast, resume, quiet, limits, has_grain
    )
    patterns = tuple(include or ()), tuple(exclude or ())

    def once() -> None:
        started = time.perf_counter()
        if decode:
            outcomes, unused = work.decode(source, target, patterns, shard, dry_run, report or ())
        else:
            plan, total = _plan(source, target, stated, defaults, *patterns, total_size)
            _keep_reports_off([source, *(path for item in plan.items for path in item.sources)], report or ())
            outcomes, unused = work.encode(plan, total, shard, dry_run), plan.unused
        seconds = time.perf_counter() - started
        for path in report or ():
            write_report(path, outcomes, seconds)
        if as_json:
            _console.emit_json(outcomes_json(outcomes, seconds))
        _close(outcomes, seconds)
        if dry_run and unused:
            raise _console.fail(ExitCode.USAGE, f"{len(unused)} rules or patterns match nothing")

    if decode:
        useless = [f"--{name.replace('_', '-')}" for name in stated] + ["--total-size"] * (total_size is not None)
        useless += ["--cache"] * (cache is not None)
        if useless:
            raise InvalidArgument(f"{', '.join(useless)}: cannot be combined with --decode")
    if not watch:
        once()
        return
    if dry_run:
        raise InvalidArgument("--watch and --dry-run exclude each other: give one")
    outputs = [*([] if target is None else [target]), *([] if cache is None else [cache]), *(report or ())]
    for _ in runs(source, outputs):
        _again(once)


def _again(once: Callable[[], None]) -> None:
    """Run a watched batch; a failure ends this run and not the watch."""
    from gscodec.errors import GsCodecError

    try:
        once()
    except GsCodecError as fault:
        _console.say_error(message_of(fault))
    except typer.Exit as fault:  # it has been printed
        if fault.exit_code == ExitCode.INTERRUPTED:
            raise
    _console.say("watching for changes; Ctrl-C ends it")


def _settings(context: typer.Context, decode: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encode settings of the command line, and those of the configuration file, which a manifest replaces."""
    from dataclasses import fields

    from gscodec.encoding.settings import EncodeSettings

    named = {field.name for field in fields(EncodeSettings)} - ({"grain"} if decode else set())
    values = {name: value for name, value in context.params.items() if name in named and value is not None}
    stated = {name: value for name, value in values.items() if not from_config(context, name)}
    return stated, {name: value for name, value in values.items() if name not in stated}


def _keep_reports_off(sources: Sequence[Path], reports: Sequence[Path]) -> None:
    """Raise if a report would replace a file that the batch reads, under any name."""
    from gscodec.batch.prints import files_of
    from gscodec.batch.report import check_report

    inputs = [*sources, *files_of(sources)] if reports else []
    for path in reports:
        check_report(path, inputs)


def _plan(
    source: Path,
    target: Path | None,
    stated: dict[str, Any],
    defaults: dict[str, Any],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    total_size: int | None,
) -> "tuple[Plan, int | None]":
    """The plan, and the total number of bytes if it is limited.

    Args:
        stated: settings of the command line. defaults: of the configuration file.
    """
    from gscodec.batch.plan import Manifest, make_plan, read_manifest, refuse_targets
    from gscodec.encoding.settings import EncodeSettings
    from gscodec.io.units import bytes_of

    if source.suffix.lower() == ".toml":
        if target is not None:
            raise InvalidArgument(f"{target}: a manifest names its own output folder")
        if include or exclude:
            raise InvalidArgument("--include and --exclude go with a folder; a manifest has keys of these names")
        manifest = read_manifest(source)
    elif target is None:
        raise InvalidArgument(f"{source}: name an output folder as well")
    else:
        manifest = Manifest(target, source, include, exclude)
    total: int | None = total_size
    if total is None and manifest.total_size is not None:
        try:
            total = bytes_of(str(manifest.total_size))
        except ValueError as fault:
            raise InvalidArgument(f"{source}: total_size {fault}") from fault
    if total is not None:
        refuse_targets(manifest, stated)
    return make_plan(manifest, EncodeSettings(**defaults), stated), total


class _Work:
    """Runs the items of a batch and shows their progress."""

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
        limits: "Limits",
        grain: bool,
    ) -> None:
        from gscodec.render.engines import parse_device

        self._jobs, self._threads = jobs, threads
        self._engine, self._scheduler, self._gpus = engine, scheduler, gpus
        self._device, self._cache, self._overwrite = parse_device(device), cache, overwrite
        self._fail_fast, self._resume, self._quiet = fail_fast, resume, quiet
        self._limits, self._grain = limits, grain

    def encode(self, plan: "Plan", total: int | None, shard: Shard | None, dry_run: bool) -> "list[Outcome]":
        from gscodec.batch import plan as plans
        from gscodec.batch.run import encode_all
        from gscodec.batch.state import State

        _warn_of(plan.left_out, plan.unused)
        items, root = list(plan.items), plan.items[0].root
        failed: list[Outcome] = []
        if total is not None:
            items, failed = self._budgeted(items, total)
        if shard is not None:
            items = plans.shard(items, *shard)
        state = State(root, _warn, dry=dry_run)
        if dry_run:
            outcomes = _planned(items, state)
            waiting = [item for item, each in zip(items, outcomes, strict=True) if each.status == "waiting"]
            if waiting and not self._quiet and self._engine == "local":
                self._estimate(waiting)
            return outcomes + failed
        options, dispatch = self._prepare(len(items))
        with watching(len(items), self._quiet) as watch:
            outcomes = encode_all(
                items, options, dispatch, state, trust=self._resume, fail_fast=self._fail_fast, watch=watch
            )
        if total is not None and shard is None and not failed:
            _say_unused(outcomes, total)
        return outcomes + failed

    def _estimate(self, items: "list[Item]") -> None:
        """Print what the items are expected to take."""
        from gscodec.batch.estimate import estimate_batch
        from gscodec.batch.run import share_threads

        options, _ = self._prepare(len(items))
        jobs, _ = share_threads(self._jobs, self._threads, len(items))
        expected = estimate_batch(items, options, jobs)
        if expected is not None:
            _console.say(
                f"estimate: {expected.n_items} files of {expected.n_pixels / 1e6:.1f} megapixels take about "
                f"{human_bytes(expected.n_bytes)} and {_console.duration(expected.seconds)}, {jobs} in parallel "
                f"(measured on {expected.n_measured})"
            )

    def decode(
        self,
        source: Path,
        target: Path | None,
        patterns: tuple[tuple[str, ...], tuple[str, ...]],
        shard: Shard | None,
        dry_run: bool,
        reports: Sequence[Path],
    ) -> "tuple[list[Outcome], tuple[str, ...]]":
        from gscodec.batch.back import DecodeState, plan_decode
        from gscodec.batch.plan import in_shard
        from gscodec.batch.run import decode_all

        if target is None:
            raise InvalidArgument(f"{source}: name an output folder as well")
        state = DecodeState(target, _warn, dry=dry_run)
        plan = plan_decode(source, target, state, *patterns)
        _keep_reports_off([item.source for item in plan.items], reports)
        _warn_of(plan.left_out, plan.unused)
        items = [item for item in plan.items if shard is None or in_shard(item.name, *shard)]
        if dry_run:
            return _planned_back(items, state, self._grain), plan.unused
        options, dispatch = self._prepare(len(items), decodes=True)
        with watching(len(items), self._quiet) as watch:
            outcomes = decode_all(
                items, options, dispatch, state, trust=self._resume, fail_fast=self._fail_fast, watch=watch
            )
        return outcomes, plan.unused

    def _prepare(self, n_items: int, *, decodes: bool = False) -> tuple[Any, Any]:
        from gscodec.batch.gpus import most_workers, worker_devices
        from gscodec.batch.pool import run_tasks
        from gscodec.batch.run import share_threads
        from gscodec.batch.work import Options
        from gscodec.render.engines import usable_gpus

        name = self._device
        if self._engine == "dask":
            from gscodec.batch.dask_pool import run_tasks_on_dask

            assert self._scheduler is not None
            address, use_gpus = self._scheduler, self._gpus
            options = Options(self._threads, str(name), self._cache, self._overwrite, self._limits, self._grain)
            return options, lambda tasks: run_tasks_on_dask(tasks, address, use_gpus)
        gpus = usable_gpus(name)
        most = most_workers(name, gpus, decodes=decodes)
        jobs, threads = share_threads(self._jobs, self._threads, max(n_items, 1), most)
        options = Options(threads, str(name), self._cache, self._overwrite, self._limits, self._grain)
        return options, lambda tasks: run_tasks(tasks, jobs, threads, worker_devices(name, gpus))

    def _budgeted(self, items: "list[Item]", total: int) -> "tuple[list[Item], list[Outcome]]":
        from gscodec.batch.budget import ProbeTask, with_sizes

        options, dispatch = self._prepare(len(items))
        measured: list[Any] = [f"{item.name}: was not probed" for item in items]
        if not self._quiet:
            _console.say(f"measuring {len(items)} items for the budget of {human_bytes(total)}")
        for kind, number, value in dispatch([ProbeTask(item, options) for item in items]):
            if kind in {"done", "lost"}:
                measured[number] = value if kind == "done" else str(value)
        return with_sizes(items, measured, total)


def _warn(text: str) -> None:
    _console.say(f"gscodec: warning: {text}")


def _say_unused(outcomes: "list[Outcome]", total: int) -> None:
    """Print a note if the files together are smaller than the requested total."""
    from gscodec.batch.outcome import Status
    from gscodec.model.constants import LEAST_SHARE

    used = sum(outcome.n_bytes for outcome in outcomes)
    if used < LEAST_SHARE * total and not any(outcome.status is Status.FAILED for outcome in outcomes):
        _console.say(
            f"{used} of {total} bytes are used: more would not change the files, or files are smaller than planned"
        )


def _warn_of(left_out: tuple[str, ...], unused: tuple[str, ...]) -> None:
    """Print files that are skipped, and rules and patterns that match nothing."""
    for line in unused:
        _warn(line)
    for line in left_out[:MOST_NAMED]:
        _warn(f"left out: {line}")
    if len(left_out) > MOST_NAMED:
        _warn(f"left out: {len(left_out) - MOST_NAMED} more files and folders")


def _planned(items: "list[Item]", state: Any) -> "list[Outcome]":
    """Outcomes of a dry run: an item without state may still turn out to be current."""
    from gscodec.batch.outcome import Outcome, Status

    outcomes = []
    for item in items:
        if item.fault:
            outcomes.append(Outcome(item.name, Status.FAILED, str(item.output), item.fault))
            _console.emit(f"failed   {item.fault}")
            continue
        planned = state.current(item) or Outcome(item.name, Status.WAITING, str(item.output))
        sources = " ".join(path.name for path in item.sources)
        target = f"{item.settings.target} {item.settings.target_value:g}"
        _console.emit(f"{planned.status:8s} {item.name}: {sources} ({target}, {item.settings.preset})")
        outcomes.append(planned)
    return outcomes


def _planned_back(items: "Sequence[DecodeItem]", state: Any, grain: bool) -> "list[Outcome]":
    """Outcomes of a dry run of a decode."""
    from gscodec.batch.outcome import Outcome, Status

    outcomes = []
    for item in items:
        if item.fault:
            planned = Outcome(item.name, Status.FAILED, message=item.fault)
        else:
            planned = state.current(item, grain=grain) or Outcome(item.name, Status.WAITING)
        result = item.fault or " ".join(str(picture.path) for picture in item.pictures)
        _console.emit(f"{planned.status:8s} {item.name}: {result}")
        outcomes.append(planned)
    return outcomes


def _emit(kind: str, source: Path, target: Path | None, shards: int, threads: int | None) -> None:
    import sys

    from gscodec.batch.emit import openjd_template, slurm_script

    arguments = _without(sys.argv[1:], {"--emit": 1, "--shards": 1})
    if not arguments or arguments[0] != "batch":  # called from Python
        arguments = ["batch", str(source), *([str(target)] if target else [])]
    text = (slurm_script if kind == "slurm" else openjd_template)(arguments, shards, threads)
    _console.emit_file(text)


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
    """Print the last line and set the exit code."""
    from gscodec.batch.outcome import Status
    from gscodec.batch.report import summary

    total = summary(outcomes, seconds)
    counts = ", ".join(f"{count} {status}" for status, count in total["by_status"].items())
    _console.say(f"{len(outcomes)} items: {counts}; {human_bytes(total['bytes'])} in {_console.duration(seconds)}")
    failed = sum(outcome.status is Status.FAILED for outcome in outcomes)
    if failed:
        raise _console.fail(ExitCode.PARTIAL, f"{failed} of {len(outcomes)} items failed")
    missed = sum(outcome.status is Status.MISSED for outcome in outcomes)
    if missed:
        raise _console.fail(ExitCode.TARGET_NOT_MET, f"{missed} files miss their target; they have been written anyway")
