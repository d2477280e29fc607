"""`gscodec.encode`: encodes a picture to an `.igs` file."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from gscodec.encoding.grain import source_grain
from gscodec.encoding.importance import AUTO, pixel_weights
from gscodec.encoding.job import Job
from gscodec.encoding.kept import kept_metadata
from gscodec.encoding.profile_choice import profile_for_size, tiny_profile
from gscodec.encoding.progress import Progress, Timed
from gscodec.encoding.provenance import recorded_name
from gscodec.encoding.send_order import in_send_order
from gscodec.encoding.settings import EncodeOptions, EncodeSettings
from gscodec.encoding.source_mips import load_mips
from gscodec.encoding.sources import in_memory, load_samples, refuse_to_replace_inputs, regions_of
from gscodec.errors import BackendUnavailable, InvalidArgument, OutOfDeviceMemory
from gscodec.format.groups import check_groups
from gscodec.image.regions import Regions, RegionSource
from gscodec.image.stack import ImageStack
from gscodec.io.atomic import write_atomic
from gscodec.io.handles import Target, as_handle, write_handle
from gscodec.model.gaussians import Grid
from gscodec.model.json_value import Json
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.profiles.packed import record_bytes_range
from gscodec.render.base import Rasterizer
from gscodec.render.engines import cpu_backend, fall_back, fits_blocks, get_backend, parse_device

if TYPE_CHECKING:
    from gscodec.encoding.source_mips import Mip
    from gscodec.encoding.sources import Source
    from gscodec.encoding.targets import Outcome

__all__ = ["EncodeResult", "EncodeSettings", "Progress", "encode"]


@dataclass(frozen=True)
class EncodeResult:
    """Result of an encode: the file and its measurements."""

    data: bytes = field(repr=False)  # contents of the file
    path: Path | None  # path it was written to, if any
    n_gaussians: int
    lods: int
    bpp: float  # 8 x file length / pixels
    psnr: float  # dB, of the decoded file at its own bit depth
    steps: int
    seconds: float
    target_met: bool
    device: str  # engine that encoded it: cpu or cuda
    importance_psnr: float | None = None  # dB, errors weighted as in the fit; None without an importance map
    note: str = ""  # why the target was not met, or why the file is smaller than the requested size
    profile: str = ""  # profile of the file


def encode(
    source: "Source",
    output: Target | None = None,
    *,
    settings: EncodeSettings | None = None,
    mask: "str | os.PathLike[str] | npt.NDArray[Any] | None" = None,
    importance: str | os.PathLike[str] | npt.NDArray[Any] | None = None,
    mips: "Sequence[Mip]" = (),
    meta: Mapping[str, Json] | None = None,
    device: str = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    checkpoint: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    **overrides: Unpack[EncodeOptions],
) -> EncodeResult:
    """The `.igs` file of a picture, also written to `output`, a path or an open binary file, if there is one.

    At most one target, in `settings` or as a keyword: `bpp` (bits of the file per pixel), `bppc` (per pixel and
    channel), `size` (bytes), `gaussians` (count), `psnr` (dB, of the decoded file) or `quality` (0..100); none is
    `quality` at its default. If it cannot be met, the nearest file is written and `target_met` is False, unless more
    bytes would not change the result; `note` gives the reason.

    Errors of straight colour are weighted by its alpha, in the fit and in the PSNR; colour under an alpha of 0 is not
    kept.

    Args:
        source: a path, the bytes of a picture file or an open one, an array or tensor (H, W) or (H, W, C) of bool,
            uint8, uint16 or floats, a PIL image, or an ImageStack; or the maps of a material: a folder, a manifest, or
            a list of paths. Floats within 0..1 are display codes; with any value outside, all are stored as floats in
            their own units, colour as linear light, with a SourceWarning.
        output: a path, or a binary file open for writing, which stays open.
        settings: all settings that decide the file's bytes, apart from the picture and the engine; None means the
            defaults.
        **overrides: fields of `EncodeSettings` as keywords (`bpp=0.2, preset="fast"`), which replace those of
            `settings`.
        mask: path of a picture, or (H, W) array; 0 marks texels outside UV charts. Samples there cost no bytes, are not
            kept, and do not count in the PSNR.
        importance: as in `EncodeSettings`, or the map itself: (H, W) or (H, W, C) array with values in 0..1.
        mips: smaller versions of the picture made by hand, each a path, array, PIL image or ImageStack: level k has
            2^-k of its sides. Coarser levels of detail are made of them in place of averages of the picture: each of
            the mip of its own size, else of averages of the next larger one. For one picture or map, in memory.
        meta: JSON-serialisable entries to add to the file's metadata; always kept, regardless of their size.
        device: as in `get_backend`. `auto` falls back to the CPU, with a warning, if a GPU fails or lacks memory.
        threads: worker threads of the CPU engine; None means one per processor.
        limits: caps on memory and size when reading the source.
        checkpoint: path of a file that keeps finished blocks: after an interruption, the same call resumes from it with
            the same result. Removed when the encode is complete.
        overwrite: replace `output` if it exists.
        progress: called after every step, on a GPU once per batch of steps, and at the end.

    Raises:
        InvalidArgument: several targets, or a value out of range; or output or checkpoint is one of the inputs.
        BadImage, UnsupportedImage, LimitExceeded, FileAccessError: the source cannot be read.
        OutputExists: output exists and overwrite is False.
        MissingExtra: cupy is not installed and the device is a GPU. BackendUnavailable: the device is not available.
        OutOfDeviceMemory: the named GPU has too little memory.

    Warns:
        SourceWarning: something in the source is not kept, or is interpreted in a way that may be unexpected.
        DeviceFallback: device `auto` found a GPU but falls back to the CPU.
    """
    started = time.perf_counter()
    wanted = (settings or EncodeSettings()).changed(overrides)
    importance = wanted.importance if importance is None else importance
    wanted.check_together()
    if len(mips) and (wanted.chosen_lods < 2 or (wanted.lods is not None and wanted.lods - wanted.halves < 2)):
        raise InvalidArgument("mips are for coarser levels of detail, and the file would have none: change lods")
    handle = as_handle(output)
    refuse_to_replace_inputs(
        source, output, checkpoint, mask, importance, *(mip for mip in mips if isinstance(mip, str | os.PathLike))
    )
    stack = load_samples(source, wanted, limits, mask, output)
    try:
        named = parse_device(device)
        in_one = not fits_blocks(named)
        if in_one and wanted.block is None and checkpoint is None and isinstance(stack, RegionSource):
            stack = in_memory(stack, limits, keep_open=stack is source)
        is_checked = checkpoint is not None
        regions = regions_of(stack, wanted.block, is_checked=is_checked, in_one=in_one)
        _check_target(wanted, regions, checkpoint)
        fitting = _suited(wanted, stack)
        own_mips = load_mips(mips, stack, wanted.nan, limits) if len(mips) else ()
        counts = _pixel_weights(importance, wanted, stack, regions)
        grid = _grid(stack, fitting, regions)
        in_blocks = regions is not None and named.may_fall_back
        engine = cpu_backend(threads) if in_blocks else get_backend(device, threads)
        _compile_ahead(engine, grid, fitting)
        budget = _budget_bytes(wanted, stack)
        stack_kept, metadata = kept_metadata(stack, wanted.metadata, budget)
        timer = None if progress is None else Timed(progress, started)
        job = Job(
            stack=stack_kept,
            grid=grid,
            settings=fitting,
            rasterizer=engine,
            progress=timer,
            started=started,
            notes=meta or {},
            regions=regions,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            importance=counts,
            importance_origin="" if importance is None else _importance_origin(importance, wanted.importance_strength),
            source_name=recorded_name(stack_kept, budget),
            metadata=metadata,
            mips=own_mips,
            grain=source_grain(stack_kept) if wanted.grain else (),
        )
        try:
            outcome = _encoded(job, wanted, budget)
        except (BackendUnavailable, OutOfDeviceMemory) as fault:
            if not named.may_fall_back:
                raise
            fall_back(fault)
            job = replace(job, rasterizer=cpu_backend(threads))
            outcome = _encoded(job, wanted, budget)
    finally:
        if isinstance(stack, RegionSource) and stack is not source:
            stack.close()
    result = outcome.encoded
    path = None
    if handle is not None:
        write_handle(handle, result.data)
    elif isinstance(output, str | os.PathLike):
        path = Path(output)
        write_atomic(path, result.data, overwrite)
    if timer is not None:
        timer.finish()
    if job.checkpoint is not None:
        job.checkpoint.unlink(missing_ok=True)
    return EncodeResult(
        data=result.data,
        path=path,
        n_gaussians=result.n_gaussians,
        lods=result.lods,
        bpp=8 * len(result.data) / job.n_pixels,
        psnr=result.psnr,
        steps=result.steps,
        seconds=time.perf_counter() - started,
        target_met=outcome.met,
        device=job.rasterizer.name,
        importance_psnr=result.importance_psnr,
        note=outcome.note,
        profile=result.profile,
    )


def _compile_ahead(backend: Rasterizer, grid: Grid, settings: EncodeSettings) -> None:
    """Start compiling the GPU kernels of an encode while the host prepares the picture."""
    engine = backend.on_device
    if engine is None:
        return
    from gscodec.render.kernel_report import fit_variants

    profile, log_scales = settings.chosen_profile, settings.recipe.scale_parameter == "log"
    engine.compile_ahead(fit_variants(len(grid.background), grid.top_k, log_scales=log_scales, profile=profile))


def _shape(stack: ImageStack | RegionSource) -> tuple[int, int, int]:
    """Height, width and channels."""
    height, width, channels = stack.samples.shape if isinstance(stack, ImageStack) else stack.shape
    return height, width, channels


def _check_target(settings: EncodeSettings, regions: Regions | None, checkpoint: str | os.PathLike[str] | None) -> None:
    """Refuse a checkpoint if the encode has no parts to store."""
    if checkpoint is None:
        return
    if settings.psnr is not None:
        raise InvalidArgument(f"{checkpoint}: a PSNR target takes several encodes and cannot use a checkpoint")
    if regions is None:
        raise InvalidArgument(
            f"{checkpoint}: the picture is encoded as a whole and cannot use a checkpoint: give a block size"
        )


def _suited(settings: EncodeSettings, stack: ImageStack | RegionSource) -> EncodeSettings:
    """Settings adjusted to the picture's shape and channels: a picture too narrow for profile `coded` gets `f16`.

    Raises:
        InvalidArgument: the channels cannot be stored, or not with this profile or record size.
    """
    height, width, channels = _shape(stack)
    settings = settings.changed({"profile": profile_for_size(settings, height, width)})
    check_groups(stack.groups, channels, "cannot encode", InvalidArgument)  # before the fit, not after it
    least, most = record_bytes_range(channels)
    if settings.record_bytes is not None and not least <= settings.record_bytes <= most:
        raise InvalidArgument(
            f"records of {settings.record_bytes} bytes are not possible with {channels} channels: use {least}..{most}"
        )
    return settings


def _pixel_weights(
    importance: str | os.PathLike[str] | npt.NDArray[Any] | None,
    settings: EncodeSettings,
    stack: ImageStack | RegionSource,
    regions: Regions | None,
) -> npt.NDArray[np.float32] | None:
    """(H, W) weight of each pixel, 1 on average; None means 1 everywhere."""
    if importance is None:
        return None
    if regions is not None:
        raise InvalidArgument("an importance map cannot be used with blocks: leave out the map or the blocks")
    assert isinstance(stack, ImageStack)
    return pixel_weights(importance, settings.importance_strength, stack)


def _importance_origin(importance: str | os.PathLike[str] | npt.NDArray[Any], strength: float) -> str:
    kind = AUTO if isinstance(importance, str) and importance == AUTO else "map"
    return f"{kind} x{strength:g}"


def _grid(stack: ImageStack | RegionSource, settings: EncodeSettings, regions: Regions | None) -> Grid:
    """The grid of the file, with the mean of the samples as background."""
    height, width, channels = _shape(stack)
    background = np.zeros(channels, np.float32)  # of a picture in parts it is known only after reading all of it
    if regions is None and isinstance(stack, ImageStack):
        background = stack.samples.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    return Grid(height, width, background, settings.recipe.top_k, settings.recipe.support_q)


def _budget_bytes(settings: EncodeSettings, stack: ImageStack | RegionSource) -> int | None:
    """Maximum bytes of the file; None for a target count or PSNR."""
    height, width, channels = _shape(stack)
    if settings.bpp is None and settings.bppc is None:
        return settings.size
    rate = ((settings.bpp or 0.0) + (settings.bppc or 0.0) * channels) * height * width / 8
    return int(min(rate, 2.0**62))


def _encoded(job: Job, wanted: EncodeSettings, budget: int | None) -> "Outcome":
    """The file nearest to the target; chooses profile and number of levels of detail if the settings do not."""
    from gscodec.encoding.targets import Target, encode_target

    outcome = encode_target(
        job,
        Target(budget, wanted.gaussians, wanted.psnr, wanted.chosen_quality),
        tiny_profile=None if job.regions is not None else tiny_profile(wanted, job.grid.height, job.grid.width),
        any_lods=wanted.lods is None,
    )
    data = in_send_order(outcome.encoded.data, job.rasterizer, budget)
    return replace(outcome, encoded=replace(outcome.encoded, data=data))
