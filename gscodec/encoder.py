"""A picture to an `.igs` file: from a target to a Gaussian count, through the fit, to bytes that keep the target."""

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscodec.constants import DEFAULT_LODS, LARGE_PIXELS, MAX_GAUSSIANS, MAX_LODS
from gscodec.decode import IgsImage
from gscodec.errors import BackendUnavailable, InvalidArgument, MissingExtra, OutOfDeviceMemory
from gscodec.format import Contents, IgsReader, file_size, pack, write_atomic
from gscodec.format.lattice import Lattice
from gscodec.gaussians import GaussianSet, Grid, LodTable
from gscodec.image import ImageStack, from_array, load_picture, to_unit
from gscodec.image.regions import Rect, Regions, RegionSource, StackRegions
from gscodec.metrics import psnr as psnr_between
from gscodec.metrics.psnr import mse
from gscodec.raster.base import Rasterizer, cpu_backend, fall_back, get_backend
from gscodec.version import __version__

if TYPE_CHECKING:
    import PIL.Image

    Source = str | os.PathLike[str] | npt.NDArray[Any] | PIL.Image.Image | ImageStack | RegionSource

META_SHARE = 0.01
"""Provenance is left out of a file in which it would take more than this share of the bytes."""

META_SLACK = 8
"""Bytes left free because provenance is deflated, and its digits are not known when Gaussians are counted."""

PROFILES = ("coded", "f16")

CODED_PAGE_SIZE = 512
"""Records of a coded page: about as many bytes as 160 records of RGB in `f16`."""

SHAPE_BITS = 28.0
"""Bits a coded Gaussian takes without its features, where there is no better guess; how finely they are stored is what
makes a file as large as it was asked to be."""

FEATURE_BITS = 4.3
"""Bits of each coded feature, likewise."""

SETTLE_SHARE = 0.15
"""Of a number of steps that was asked for, as many come on top for profile `coded`."""

CODED_OVERHEAD = 300
"""Bytes of a small coded file beside those of its Gaussians and those an `f16` file has: tables and page index."""

AFTER_STEPS = 40
"""Steps whose time is left, of a time budget, for what comes after the last one: choosing a lattice tries some twenty,
and each takes a decode, and so does packing."""

GROWTHS = 2.0
"""Time that growth takes in a fit, over what it takes in one of LEAST_STEPS: Gaussians also move."""

PSNR_AREA_PX = 1024
"""Side of the parts in which a large picture is decoded to measure it."""

PSNR_ROUNDS = 6
"""Fits that a PSNR target may take before the best file so far is kept."""

PSNR_SLACK_DB = 0.25
"""A file this much above its PSNR target is not worth another fit."""

DB_PER_DOUBLING = 2.4
"""What twice the Gaussians gain, roughly: how far to step while the target is not yet bracketed."""


@dataclass(frozen=True)
class Progress:
    """State of an encode, for a progress display."""

    step: int
    total_steps: int
    n_gaussians: int
    psnr: float  # dB, of the fit so far, before quantisation
    bpp: float  # of a file with the present Gaussians
    seconds: float
    seconds_left: float
    block: int = 1  # of a large picture: the one at hand
    n_blocks: int = 1


@dataclass(frozen=True)
class EncodeResult:
    """A finished encode."""

    data: bytes  # the file
    path: Path | None  # where it was written
    n_gaussians: int
    lods: int
    bpp: float  # 8 x file length / pixels
    psnr: float  # dB, of the decoded file at its own bit depth
    steps: int
    seconds: float
    target_met: bool
    device: str  # engine that made it: cpu or cuda


@dataclass(frozen=True)
class _Target:
    """What was asked for; exactly one is not None."""

    budget: int | None = None  # bytes of the file
    count: int | None = None  # Gaussians
    psnr: float | None = None  # dB of the decoded file


@dataclass(frozen=True)
class _Job:
    stack: ImageStack | RegionSource
    grid: Grid
    preset_name: str
    lods: int
    seed: int
    steps: int | None
    profile: str
    rasterizer: Rasterizer
    progress: Callable[[Progress], None] | None
    started: float
    notes: Mapping[str, Any]
    regions: Regions | None = None  # of a picture that is encoded block by block
    block: int | None = None  # side of the blocks, px
    checkpoint: Path | None = None
    deadline: float | None = None  # of time.perf_counter

    @property
    def samples(self) -> npt.NDArray[np.float32]:
        """(H, W, C) of a picture that is in memory."""
        assert isinstance(self.stack, ImageStack)
        return self.stack.samples

    @property
    def preset(self) -> Any:
        """The preset of that name."""
        return _training().get_preset(self.preset_name)

    def likely_size(self, n_gaussians: int) -> int:
        """Bytes of a file without provenance: exact in profile `f16`, a guess in `coded`."""
        if self.profile == "f16":
            return self.size_of(n_gaussians, None)
        return self.size_of(1, None) + CODED_OVERHEAD + int(n_gaussians * self.coded_bits / 8)

    @property
    def coded_bits(self) -> float:
        """Likely bits of a coded Gaussian."""
        return SHAPE_BITS + FEATURE_BITS * len(self.grid.background)

    def size_of(self, n_gaussians: int, meta: dict[str, Any] | None) -> int:
        from gscodec.train.schedule import lod_counts

        counts = lod_counts(n_gaussians, self.lods)
        return file_size(self.grid, self.stack.groups, counts, self.stack.icc, meta, files=self.stack.files)


def encode(
    source: "Source | Sequence[str | os.PathLike[str]]",
    output: str | os.PathLike[str] | None = None,
    *,
    bpp: float | None = None,
    bppc: float | None = None,
    size: int | None = None,
    gaussians: int | None = None,
    psnr: float | None = None,
    preset: str = "balanced",
    device: str = "auto",
    lods: int | None = None,
    profile: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    threads: int | None = None,
    part: str | None = None,
    nan: str = "error",
    meta: Mapping[str, Any] | None = None,
    block: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    time_budget: float | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> EncodeResult:
    """The `.igs` file of a picture, written to `output` if that is given.

    Exactly one target: `bpp` (bits of the file per pixel), `bppc` (per pixel and channel), `size` (bytes), `gaussians`
    (count) or `psnr` (dB, of the decoded file). A rate or size is an upper bound for the whole file; the smallest file
    that can be written is written even where the bound is below it, with `target_met` False.

    Args:
        source: a path, an array (H, W) or (H, W, C) of uint8, uint16 or float in 0..1, a PIL image, or an ImageStack;
            or the maps of a material: a folder, a manifest, or a list of paths.
        preset: `fast`, `balanced`, `best`, or `paper`, the published recipe.
        lods: levels of detail; None is 5, except for `paper`, which has one.
        profile: `coded`, entropy-coded records, or `f16`, 16-bit records that can be mapped; None is `coded`, except
            for `paper`.
        device: as `get_backend`. `auto` goes on with the CPU when a card fails or has too little memory, and warns.
        seed: of the random placement; the same arguments on the same device give the same bytes.
        part: of an OpenEXR file that has several, by name or number.
        nan: what becomes of NaN and infinite samples: `error`, `zero`, or `hole`, which fills them from around.
        meta: what the file's metadata shall say beside the encoder's own words, as JSON; kept whatever it costs.
        steps: optimisation steps in place of the preset's.
        block: side, px, a multiple of 64, of the blocks that the picture is encoded in, on the CPU. None is one block
            up to LARGE_PIXELS, and what suits the rate beyond.
        checkpoint: a file that keeps finished blocks: the same call goes on with it after it was stopped, with the same
            result. It is removed in the end.
        time_budget: seconds that all may take, about: there are as many steps as they allow, so that the result
            depends on the machine. Not with `psnr`.
        progress: called after every step, on a card after every few.
    Raises:
        InvalidArgument: no target or several, or a value out of range.
        BadImage, UnsupportedImage, LimitExceeded, FileAccessError: the source cannot be used.
        OutputExists: output is there and overwrite is False.
        MissingExtra: torch, or cupy for a card, is not installed. BackendUnavailable: the device cannot run here.
        OutOfDeviceMemory: the card named has too little memory.

    Warns:
        DeviceFallback: device `auto` found a card and goes on with the CPU.
    """
    started = time.perf_counter()
    targets = {"bpp": bpp, "bppc": bppc, "size": size, "gaussians": gaussians, "psnr": psnr}
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) != 1:
        raise InvalidArgument(f"give exactly one of {', '.join(targets)}, not {len(given)}")
    (target, value), *_ = given.items()
    if not (math.isfinite(value) and value > 0):
        raise InvalidArgument(f"{target} {value} is not a positive number")
    recipe = _training().get_preset(preset)
    lods = lods if lods is not None else (DEFAULT_LODS if recipe.joint_lods else 1)
    if not 1 <= lods <= MAX_LODS:
        raise InvalidArgument(f"lods {lods} is not 1..{MAX_LODS}")
    profile = profile if profile is not None else ("f16" if preset == "paper" else "coded")
    if profile not in PROFILES:
        raise InvalidArgument(f"profile {profile!r} is not known: use {', '.join(PROFILES)}")
    if time_budget is not None and not (math.isfinite(time_budget) and time_budget > 0):
        raise InvalidArgument(f"a time budget of {time_budget} seconds is not a positive number")
    if time_budget is not None and psnr is not None:
        raise InvalidArgument("a time budget and a PSNR target exclude each other: the target takes several encodes")
    stack = _load(source, part, nan)
    regions = _regions(stack, block)
    if isinstance(stack, ImageStack):
        height, width, channels = stack.samples.shape
    else:
        height, width, channels = stack.shape
    if regions is None:
        background = stack.samples.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)  # type: ignore[union-attr]  # a stack: only these have no regions
    else:
        background = np.zeros(channels, np.float32)  # known when all of it has been read
    if checkpoint is not None and (psnr is not None or regions is None):
        fact = "a PSNR target takes several encodes"
        if psnr is None:
            fact = "the picture is encoded as one: give a block size"
        raise InvalidArgument(f"{checkpoint}: there is no checkpoint to keep, {fact}")
    grid = Grid(height, width, background, recipe.top_k, recipe.support_q)
    backend = get_backend(device, threads) if regions is None or device != "auto" else cpu_backend(threads)
    job = _Job(
        stack,
        grid,
        preset,
        lods,
        seed,
        steps,
        profile,
        backend,
        progress,
        started,
        meta or {},
        regions,
        block,
        None if checkpoint is None else Path(checkpoint),
        None if time_budget is None else started + time_budget,
    )
    budget = size
    if bpp is not None or bppc is not None:
        budget = int((bpp or 0.0) * height * width / 8 + (bppc or 0.0) * height * width * channels / 8)
    wish = _Target(budget, gaussians, psnr)
    try:
        result, met = _encode_target(job, wish)
    except (BackendUnavailable, OutOfDeviceMemory) as fault:
        if device != "auto":
            raise
        fall_back(fault)
        job = replace(job, rasterizer=cpu_backend(threads))
        result, met = _encode_target(job, wish)
    finally:
        if isinstance(stack, RegionSource) and stack is not source:
            stack.close()
    path = None
    if output is not None:
        path = Path(output)
        write_atomic(path, result.data, overwrite)
    if job.checkpoint is not None:
        job.checkpoint.unlink(missing_ok=True)
    return EncodeResult(
        data=result.data,
        path=path,
        n_gaussians=result.n_gaussians,
        lods=result.lods,
        bpp=8 * len(result.data) / (height * width),
        psnr=result.psnr,
        steps=result.steps,
        seconds=time.perf_counter() - started,
        target_met=met,
        device=job.rasterizer.name,
    )


@dataclass(frozen=True)
class _Encoded:
    data: bytes
    n_gaussians: int
    lods: int
    psnr: float
    steps: int


def _encode_target(job: _Job, wish: _Target) -> tuple[_Encoded, bool]:
    """The file, and whether it is what was asked for."""
    most = min(MAX_GAUSSIANS, job.grid.height * job.grid.width)
    if wish.psnr is not None:
        return _encode_to_psnr(job, wish.psnr, most)
    if wish.count is not None:
        return _encode_count(job, min(wish.count, MAX_GAUSSIANS), None), wish.count <= MAX_GAUSSIANS
    assert wish.budget is not None
    result = _encode_count(job, _count_for(job, wish.budget, most), wish.budget)
    return result, len(result.data) <= wish.budget


def _count_for(job: _Job, budget: int, most: int) -> int:
    """The most Gaussians whose file, provenance included where it fits, has at most `budget` bytes; at least one.

    In profile `coded`, as many as are likely to fit at the steps that suit them.
    """
    meta = _meta(job, 29.97) if _meta_fits(job, budget) else None
    spare = META_SLACK if meta else 0
    if job.profile == "coded":
        overhead = job.size_of(1, meta) + spare + CODED_OVERHEAD
        return min(most, max(1, int(8 * (budget - overhead) / job.coded_bits)))
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        if job.size_of(middle, meta) + spare <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def _meta(job: _Job, psnr: float) -> dict[str, Any]:
    """Provenance; META_SLACK covers what the PSNR's digits add to its size."""
    return {
        "encoder": f"gscodec {__version__}",
        "preset": job.preset_name,
        "seed": job.seed,
        "psnr": round(min(psnr, 999.0), 2),
    } | dict(job.notes)


def _meta_fits(job: _Job, budget: int | None) -> bool:
    return (
        budget is None
        or bool(job.notes)
        or job.size_of(1, _meta(job, 0.0)) - job.size_of(1, None) <= META_SHARE * budget
    )


def _encode_count(job: _Job, n_gaussians: int, budget: int | None) -> _Encoded:
    if job.regions is not None:
        return _encode_blocks(job, job.regions, n_gaussians, budget)
    training = _training()
    job = _hurried(job, n_gaussians)
    preset = job.preset
    settling = 0
    if job.profile == "coded":
        settling = preset.settle_steps if job.steps is None else math.ceil(SETTLE_SHARE * job.steps)

    coded = _CodedFile(job, budget) if settling else None

    def report(step: int, of: int, present: int, psnr: float) -> None:
        if job.progress is not None:
            elapsed = time.perf_counter() - job.started
            n_bytes = job.likely_size(present)
            if coded is not None and coded.count is not None and budget is not None:
                n_bytes = budget * present // coded.count
            bpp = 8 * n_bytes / (job.grid.height * job.grid.width)
            job.progress(Progress(step, of, present, psnr, bpp, elapsed, elapsed * (of - step) / step))

    fit = training.fit(
        job.samples,
        n_gaussians,
        preset,
        rasterizer=job.rasterizer,
        grid=job.grid,
        lods=job.lods,
        seed=job.seed,
        steps=job.steps,
        on_step=lambda state: report(state.step, state.total_steps + settling, state.n_gaussians, state.psnr),
        recount=coded.recount if coded is not None and budget is not None else None,
    )
    stack = job.stack
    contents = Contents(job.grid, stack.groups, fit.lods, fit.gaussians, stack.icc, files=stack.files)
    if coded is not None:
        total = fit.steps + settling
        contents = coded.settle(
            fit,
            settling,
            lambda done, mse: report(fit.steps + done, total, len(fit.gaussians), -10 * math.log10(max(mse, 1e-12))),
        )
    return _finished(job, contents, budget, fit.steps + settling)


def _hurried(job: _Job, n_gaussians: int) -> _Job:
    """The job with as many steps as its time budget has room for, by what a short fit takes.

    Growth costs any fit about the same: the last steps alone tell what more of them take.
    """
    if job.deadline is None:
        return job
    training, began = _training(), time.perf_counter()
    seen: list[tuple[int, float]] = []
    training.fit(
        job.samples,
        n_gaussians,
        job.preset,
        rasterizer=job.rasterizer,
        grid=job.grid,
        lods=job.lods,
        seed=job.seed,
        steps=training.LEAST_STEPS,
        on_step=lambda state: seen.append((state.step, state.seconds)),
    )
    now = time.perf_counter()
    each = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(seen)]
    step_seconds = statistics.median(each[len(each) // 2 :]) if each else (now - began) / training.LEAST_STEPS
    growth = max(0.0, now - began - training.LEAST_STEPS * step_seconds)
    pace = training.Pace(job.deadline, reserve=GROWTHS * growth + AFTER_STEPS * step_seconds)
    pace.took(1, 1, step_seconds)
    shape = job.samples.shape
    wanted = training.plan_of(shape, n_gaussians, job.preset, job.rasterizer, job.lods, job.steps).n_steps
    steps = pace.steps(wanted, 1, 1, SETTLE_SHARE if job.profile == "coded" else 0.0)
    return replace(job, steps=steps) if steps < wanted else job


def _finished(job: _Job, contents: Contents, budget: int | None, steps: int) -> _Encoded:
    """The file of contents, with provenance where that fits."""
    plain = pack(contents)
    psnr = _decoded_psnr(job, plain)
    data = b""
    if _meta_fits(job, budget):
        data = pack(replace(contents, meta=_meta(job, psnr)))
    if not data or (budget is not None and len(data) > budget and not job.notes):
        data = plain
    return _Encoded(data, len(contents.gaussians), len(contents.lods), psnr, steps)


def _encode_blocks(job: _Job, regions: Regions, n_gaussians: int, budget: int | None) -> _Encoded:
    """As `_encode_count`, block by block."""
    training, preset = _training(), job.preset
    is_coded = job.profile == "coded"
    settling = 0
    if is_coded:
        settling = preset.settle_steps if job.steps is None else math.ceil(SETTLE_SHARE * job.steps)
    coded = _CodedFile(job, budget)

    def report(state: Any) -> None:
        if job.progress is not None:
            elapsed = time.perf_counter() - job.started
            likely = job.likely_size(state.likely_gaussians) if budget is None else budget
            bpp = 8 * likely * state.n_gaussians / state.likely_gaussians / (job.grid.height * job.grid.width)
            left = elapsed * (state.total_steps - state.step) / state.step
            job.progress(
                Progress(
                    state.step,
                    state.total_steps,
                    state.n_gaussians,
                    state.psnr,
                    bpp,
                    elapsed,
                    left,
                    state.block,
                    state.n_blocks,
                )
            )

    made = training.encode_blocks(
        training.BlockTask(
            source=regions,
            grid=job.grid,
            preset=preset,
            rasterizer=job.rasterizer,
            lods=job.lods,
            seed=job.seed,
            steps=job.steps,
            settle_steps=settling,
            page_size=CODED_PAGE_SIZE,
            count=n_gaussians,
            budget=coded.budget if is_coded else None,
            side=job.block,
            size_of=lambda shown, lods, lattice: len(pack(coded.contents(shown, lods, lattice))),
            overhead=coded.overhead,
            checkpoint=job.checkpoint,
            deadline=job.deadline,
            on_step=report,
        )
    )
    stack = job.stack
    if is_coded:
        contents = replace(coded.contents(made.gaussians, made.lods, made.lattice), meta=None)
    else:
        contents = Contents(job.grid, stack.groups, made.lods, made.gaussians, stack.icc, files=stack.files)
    return _finished(job, replace(contents, grid=made.grid), budget, made.steps)


class _CodedFile:
    """A file of profile `coded` on its way: how many Gaussians it holds, and which lattice they lie on."""

    def __init__(self, job: _Job, budget: int | None) -> None:
        self._job = job
        self.count: int | None = None  # as recounted
        self._meta = _meta(job, 29.97) if _meta_fits(job, budget) else None
        self.budget = None if budget is None else budget - (META_SLACK if self._meta else 0)
        self._training = _training()

    @property
    def overhead(self) -> int:
        """Bytes of a file without Gaussians."""
        return self._job.size_of(1, self._meta) + CODED_OVERHEAD

    def _task(self, lods: LodTable) -> Any:
        job = self._job
        return self._training.SettleTask(
            job.samples, job.grid, job.stack.groups, job.preset, lods, job.rasterizer, job.seed
        )

    def contents(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice) -> Contents:
        stack = self._job.stack
        return Contents(
            self._job.grid,
            stack.groups,
            lods,
            gaussians,
            stack.icc,
            self._meta,
            CODED_PAGE_SIZE,
            lattice,
            stack.files,
        )

    def recount(self, gaussians: GaussianSet, lods: LodTable) -> int:
        """How many Gaussians the budget will hold, judged by those there are."""

        def size_of(shown: GaussianSet, lattice: Lattice) -> tuple[int, int]:
            data = pack(self.contents(shown, lods, lattice))
            with IgsReader(data) as reader:
                return len(data), int(reader.pages.edges[-1])

        assert self.budget is not None
        self.count = self._training.count_for(self._task(lods), gaussians, size_of, self.budget)
        return self.count

    def settle(self, fit: Any, n_steps: int, on_step: Callable[[int, float], None]) -> Contents:
        """The contents of a finished fit, without provenance."""
        settled = self._training.settle(
            self._task(fit.lods),
            fit.gaussians,
            n_steps,
            size_of=lambda shown, lattice: len(pack(self.contents(shown, fit.lods.ending_at(len(shown)), lattice))),
            budget=self.budget,
            on_step=on_step,
        )
        lods = fit.lods.ending_at(len(settled.gaussians))
        return replace(self.contents(settled.gaussians, lods, settled.lattice), meta=None)


def _decoded_psnr(job: _Job, data: bytes) -> float:
    """PSNR (dB) of what a finished file decodes to on the same device, against the source, both at its bit depth."""
    with IgsImage(data, device=job.rasterizer) as image:
        if job.regions is None:
            return psnr_between(to_unit(image.render(), job.stack.groups), job.samples)
        height, width, _ = image.shape
        squares = 0.0
        for y in range(0, height, PSNR_AREA_PX):
            for x in range(0, width, PSNR_AREA_PX):
                area = Rect(x, y, min(width, x + PSNR_AREA_PX), min(height, y + PSNR_AREA_PX))
                decoded = image.render(region=(x, y, area.width, area.height))
                squares += mse(to_unit(decoded, job.stack.groups), job.regions.read(area)) * area.width * area.height
    error = squares / (height * width)
    return math.inf if error == 0 else -10 * math.log10(error)


def _encode_to_psnr(job: _Job, wanted: float, most: int) -> tuple[_Encoded, bool]:
    """The smallest file found that decodes at `wanted` dB, or the best one when none does; whether it does."""
    count = max(1, min(most, job.grid.height * job.grid.width // 400))
    tried: dict[int, _Encoded] = {}
    while count not in tried and len(tried) < PSNR_ROUNDS:
        tried[count] = _encode_count(job, count, None)
        if wanted <= tried[count].psnr <= wanted + PSNR_SLACK_DB:
            break
        count = _next_count({n: e.psnr for n, e in tried.items()}, wanted, most)
    enough = [n for n, e in tried.items() if e.psnr >= wanted]
    if enough:
        return tried[min(enough)], True
    return max(tried.values(), key=lambda e: e.psnr), False


def _next_count(psnrs: dict[int, float], wanted: float, most: int) -> int:
    """The count to try next: between the trials round the target, or beyond the last one; a known one ends the search.

    PSNR is taken as linear in the logarithm of the count. Fits scatter, so a step inside the bracket never goes nearer
    than a sixth to its ends.
    """
    aim = wanted + 0.4 * PSNR_SLACK_DB
    enough = [n for n, psnr in psnrs.items() if psnr >= wanted]
    short = [n for n in psnrs if not enough or n < min(enough)]
    if short and enough:
        low, high = max(short), min(enough)
        part = (aim - psnrs[low]) / (psnrs[high] - psnrs[low])
        middle = round(low * math.exp(math.log(high / low) * min(max(part, 1 / 6), 5 / 6)))
        return min(max(middle, low + 1), high - 1)
    end = min(enough) if enough else max(short)
    doublings = min(max((aim - psnrs[end]) / DB_PER_DOUBLING, -3.0), 3.0)
    return min(most, max(1, round(end * math.exp2(doublings))))


def _load(source: Any, part: str | None, nan: str) -> ImageStack | RegionSource:
    if isinstance(source, ImageStack | RegionSource):
        return source
    if isinstance(source, str | os.PathLike):
        return load_picture([source], part=part, nan=nan)
    if isinstance(source, list | tuple):
        return load_picture(source)
    return from_array(source)


def _regions(stack: ImageStack | RegionSource, block: int | None) -> Regions | None:
    """The picture in parts, where it is encoded in blocks."""
    if isinstance(stack, RegionSource):
        return stack
    height, width, _ = stack.samples.shape
    return StackRegions(stack) if block is not None or height * width > LARGE_PIXELS else None


def _training() -> Any:
    """The `train` room, which needs torch."""
    try:
        import gscodec.train as training
    except ModuleNotFoundError as error:
        if error.name == "torch":
            raise MissingExtra("encoding needs torch: pip install 'gscodec[encode]'") from error
        raise
    return training
