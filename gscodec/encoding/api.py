"""A picture to an `.igs` file."""

import math
import numbers
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscodec.encoding.importance import AUTO, pixel_weights
from gscodec.encoding.job import Job, Progress, record_bytes_range
from gscodec.encoding.kept import kept_metadata
from gscodec.encoding.opacity import prepared
from gscodec.encoding.packing import recorded_name
from gscodec.errors import BackendUnavailable, InvalidArgument, MissingExtra, OutOfDeviceMemory
from gscodec.fit.presets import get_preset
from gscodec.fit.tune import tuned
from gscodec.format.groups import check_groups
from gscodec.format.layout import MAX_SMALL_SIDE
from gscodec.image.arrays import from_array
from gscodec.image.regions import Rect, Regions, RegionSource, StackRegions
from gscodec.image.stack import ImageStack
from gscodec.io.atomic import write_atomic
from gscodec.material.inputs import input_files
from gscodec.material.load_picture import load_picture
from gscodec.material.maps import Overrides
from gscodec.material.masks import hide
from gscodec.material.outputs import refuse_inputs
from gscodec.material.weights import weighted
from gscodec.model.constants import DEFAULT_LODS, DEFAULT_STRENGTH, LARGE_PIXELS, MAX_LODS
from gscodec.model.device_name import DeviceName
from gscodec.model.gaussians import Grid
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.profiles.lattice import cell_sizes
from gscodec.render.base import Rasterizer
from gscodec.render.engines import cpu_backend, fall_back, get_backend

if TYPE_CHECKING:
    import PIL.Image

    Source = str | os.PathLike[str] | npt.NDArray[Any] | PIL.Image.Image | ImageStack | RegionSource

__all__ = ["EncodeResult", "Progress", "encode"]

PROFILES = ("coded", "packed", "f16", "small")


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
    importance_psnr: float | None = None  # dB, errors weighted as in the fit; None where all pixels count alike
    note: str = ""  # why the target was not met, or why the file is smaller than a size that was asked for
    profile: str = ""  # of the file


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
    tune: str = "psnr",
    importance: str | os.PathLike[str] | npt.NDArray[Any] | None = None,
    importance_strength: float = DEFAULT_STRENGTH,
    device: str = "auto",
    lods: int | None = None,
    profile: str | None = None,
    record_bytes: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    threads: int | None = None,
    part: str | None = None,
    nan: str = "error",
    mask: "str | os.PathLike[str] | npt.NDArray[Any] | None" = None,
    weights: Mapping[str, float] | None = None,
    role: str | None = None,
    normal: str | None = None,
    as_stack: bool = False,
    meta: Mapping[str, Any] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    metadata: str = "all",
    block: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    time_budget: float | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> EncodeResult:
    """The `.igs` file of a picture, written to `output` if that is given.

    Exactly one target: `bpp` (bits of the file per pixel), `bppc` (per pixel and channel), `size` (bytes), `gaussians`
    (count) or `psnr` (dB, of the decoded file). A rate or size is an upper bound for the whole file, which has at least
    95 % of it. Where it cannot, the file that comes nearest is written, and `target_met` is False, unless more bytes
    would change nothing; `note` says which.

    Straight colour counts by its alpha, in the fit as in the PSNR, and what an alpha of 0 hides is not kept.

    Args:
        source: a path, an array (H, W) or (H, W, C) of uint8, uint16 or float in 0..1, a PIL image, or an ImageStack;
            or the maps of a material: a folder, a manifest, or a list of paths.
        preset: `fast`, `balanced`, `best`, or `paper`, the published recipe.
        tune: what the fit is for: `psnr`; `ssim`, likeness of structure, at a lower PSNR; or `balanced`, more of that
            at about the same PSNR. Both take three to five times as long.
        importance: what deserves more Gaussians and smaller errors: a map of the picture's size, as a path or an array
            (1 is important, 0 is not), or `auto`, which finds what stands out. Not for pictures encoded in blocks.
        importance_strength: how many times as much an error counts at 1 as at 0 of that map.
        lods: levels of detail; None is 5, but one for each 512 bytes where a size or rate allows fewer; of `paper` 1.
        profile: `coded`, entropy-coded records; `packed`, quantised records of one length that a shader reads in place;
            `f16`, 16-bit records that can be mapped; or `small`, files of at most 4096 bytes without tables and levels
            of detail. None is `coded`, except for `paper`, and `small` for files of up to 2048 bytes.
        record_bytes: of a record of profile `packed`; None is 6 for RGB, and about 5 bits for a channel more or less.
        device: as `get_backend`. `auto` goes on with the CPU when a card fails or has too little memory, and warns.
        seed: of the random placement; the same arguments on the same device give the same bytes.
        part: of an OpenEXR file that has several, by name or number.
        nan: what becomes of NaN and infinite samples: `error`, `zero`, or `hole`, which fills them from around.
        mask: picture, or (H, W) numbers, that is 0 where nobody sees a texel, as between the charts of an atlas: what
            the source has there costs nothing and is not kept, and PSNR does not count it.
        weights: how much the errors of a map count beside those of the others, 0.01 to 100, by its name or role.
        role: what the one picture is, where its name and pixels shall not decide: the name of a role, as `normal`.
        normal: which way green points in the one normal map: `gl` or `dx`.
        as_stack: encode several pictures as one file whatever their names; without it these must be those of the maps
            of one material.
        meta: what the file's metadata shall say beside the encoder's own words, as JSON; kept whatever it costs.
        limits: what reading a source may cost.
        metadata: of the source: `all` keeps pixel density, Exif, XMP and OpenEXR attributes as long as they take at
            most 5 % of a budget in bytes, `none` leaves them out. Colour tags and ICC profiles stay.
        steps: optimisation steps in place of the preset's.
        block: side, px, a multiple of 64, of the blocks that the picture is encoded in, on the CPU. None is one block
            up to LARGE_PIXELS, and what suits the rate beyond; on a GPU that was named, one block whatever its size, as
            far as that GPU's memory goes.
        checkpoint: a file that keeps finished blocks: the same call goes on with it after it was stopped, with the same
            result. It is removed in the end.
        time_budget: seconds that all may take, about: there are as many steps as they allow, so that the result
            depends on the machine. Not with `psnr`.
        progress: called after every step, on a card after every few.
    Raises:
        InvalidArgument: no target or several, or a value out of range; or the output or the checkpoint is an input.
        BadImage, UnsupportedImage, LimitExceeded, FileAccessError: the source cannot be used.
        OutputExists: output is there and overwrite is False.
        MissingExtra: torch, or cupy for a card, is not installed. BackendUnavailable: the device cannot run here.
        OutOfDeviceMemory: the card named has too little memory.

    Warns:
        SourceWarning: something in the source is not kept, or is taken in a way that its user may not expect.
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
    whole: tuple[tuple[str, Any], ...] = (("gaussians", gaussians), ("seed", seed))
    for name, number in whole:
        if number is not None and (not isinstance(number, numbers.Integral) or number < 0):
            raise InvalidArgument(f"{name} {number!r} is not a whole number of at least 0")
    recipe = tuned(get_preset(preset), tune)
    _check_torch()
    any_lods = lods is None
    any_profile = profile is None and lods in {None, 1} and preset != "paper"
    lods = lods if lods is not None else (DEFAULT_LODS if recipe.joint_lods and profile != "small" else 1)
    if not 1 <= lods <= MAX_LODS:
        raise InvalidArgument(f"lods {lods} is not 1..{MAX_LODS}")
    if profile == "small" and (lods > 1 or block is not None):
        raise InvalidArgument("files of profile small have one level of detail and are encoded as one")
    asked_profile = profile
    profile = profile if profile is not None else ("f16" if preset == "paper" else "coded")
    if profile not in PROFILES:
        raise InvalidArgument(f"profile {profile!r} is not known: use {', '.join(PROFILES)}")
    if record_bytes is not None and profile != "packed":
        raise InvalidArgument(f"records of {record_bytes} bytes go with profile packed alone, not {profile}")
    if time_budget is not None and not (math.isfinite(time_budget) and time_budget > 0):
        raise InvalidArgument(f"a time budget of {time_budget} seconds is not a positive number")
    if time_budget is not None and psnr is not None:
        raise InvalidArgument("a time budget and a PSNR target exclude each other: the target takes several encodes")
    if output is not None or checkpoint is not None:
        _refuse_inputs(source, output, checkpoint, mask, importance)
    stack = _load(source, part, nan, limits, Overrides.parsed(role, normal, as_stack, "encode"))
    if mask is not None or weights:
        if not isinstance(stack, ImageStack):
            raise InvalidArgument("a picture that is read in parts goes with neither a mask nor weights")
        stack = hide(stack, mask) if mask is not None else stack
        stack = weighted(stack, weights) if weights else stack
    if isinstance(stack, ImageStack):
        stack = prepared(stack, _file_name(source, output))
    on_gpu = DeviceName.parse(device).kind == "cuda"
    if on_gpu and block is None and checkpoint is None and isinstance(stack, RegionSource):
        stack = _in_memory(stack, limits, keep_open=stack is source)
    regions = _regions(stack, block, is_checked=checkpoint is not None, in_one=on_gpu)
    if isinstance(stack, ImageStack):
        height, width, channels = stack.samples.shape
    else:
        height, width, channels = stack.shape
    smallest, largest = cell_sizes(height, width)
    if profile == "coded" and smallest > largest:  # no cell of its grid is small enough for one side and the other
        if asked_profile is not None:
            raise InvalidArgument(f"{width}x{height} px is too narrow for its length in profile coded: use f16")
        profile = "f16"
    any_profile = any_profile and max(height, width) <= MAX_SMALL_SIDE
    check_groups(stack.groups, channels, "cannot encode", InvalidArgument)  # before the fit, not after it
    least, most = record_bytes_range(channels)
    if record_bytes is not None and not least <= record_bytes <= most:
        raise InvalidArgument(f"records of {record_bytes} bytes do not suit {channels} channels: use {least}..{most}")
    if regions is None:
        background = stack.samples.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)  # type: ignore[union-attr]  # a stack: only these have no regions
    else:
        background = np.zeros(channels, np.float32)  # known when all of it has been read
    if checkpoint is not None and (psnr is not None or regions is None):
        fact = "a PSNR target takes several encodes"
        if psnr is None:
            fact = "the picture is encoded as one: give a block size"
        raise InvalidArgument(f"{checkpoint}: there is no checkpoint to keep, {fact}")
    counts = None
    if importance is not None:
        if regions is not None:
            raise InvalidArgument(
                "a picture encoded in blocks takes no importance map: leave out the map or the blocks"
            )
        assert isinstance(stack, ImageStack)
        counts = pixel_weights(importance, importance_strength, stack)
    grid = Grid(height, width, background, recipe.top_k, recipe.support_q)
    may_fall_back = DeviceName.parse(device).may_fall_back
    backend = cpu_backend(threads) if regions is not None and may_fall_back else get_backend(device, threads)
    _compile_ahead(backend, grid, recipe.scale_parameter, profile)
    budget = size
    if bpp is not None or bppc is not None:
        rate = ((bpp or 0.0) + (bppc or 0.0) * channels) * height * width / 8
        budget = int(min(rate, 2.0**62))
    stack, kept = kept_metadata(stack, metadata, budget)
    job = Job(
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
        record_bytes,
        tune,
        counts,
        recorded_name(stack, budget),
        kept,
        "" if importance is None else _importance_said(importance, importance_strength),
    )
    from gscodec.encoding.targets import Target, encode_target  # loads torch

    wanted = Target(budget, gaussians, psnr)
    try:
        outcome = encode_target(job, wanted, any_profile=any_profile and regions is None, any_lods=any_lods)
    except (BackendUnavailable, OutOfDeviceMemory) as fault:
        if not may_fall_back:
            raise
        fall_back(fault)
        job = replace(job, rasterizer=cpu_backend(threads))
        outcome = encode_target(job, wanted, any_profile=any_profile and regions is None, any_lods=any_lods)
    finally:
        if isinstance(stack, RegionSource) and stack is not source:
            stack.close()
    result = outcome.encoded
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
        target_met=outcome.met,
        device=job.rasterizer.name,
        importance_psnr=result.importance_psnr,
        note=outcome.note,
        profile=result.profile,
    )


def _compile_ahead(backend: Rasterizer, grid: Grid, scale_parameter: str, profile: str) -> None:
    """Begin to compile what an encode on a GPU needs, while the host prepares the picture."""
    if backend.name != "cuda":
        return
    from gscodec.render.gpu import on_device
    from gscodec.render.kernel_report import fit_variants

    engine, log_scales = on_device(backend), scale_parameter == "log"
    assert engine is not None
    engine.compile_ahead(fit_variants(len(grid.background), grid.top_k, log_scales=log_scales, profile=profile))


def _check_torch() -> None:
    """Refuse to begin where torch is not installed.

    Raises:
        MissingExtra: it is not.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name == "torch":
            raise MissingExtra("encoding needs torch: pip install 'gscodec[encode]'") from error
        raise


def _refuse_inputs(source: Any, output: Any, checkpoint: Any, *maps: Any) -> None:
    """Refuse an output or a checkpoint that is an input, and an output that is the checkpoint."""
    listed = source if isinstance(source, list | tuple) else [source]
    paths = [path for path in listed if isinstance(path, str | os.PathLike)]
    inputs = [*input_files(paths), *(path for path in maps if isinstance(path, str | os.PathLike) and path != AUTO)]
    written = [path for path in (output, checkpoint) if path is not None]
    refuse_inputs(written, inputs)
    if len(written) == 2 and Path(written[0]).absolute() == Path(written[1]).absolute():
        raise InvalidArgument(f"{checkpoint}: is the output; name another checkpoint")
    refuse_inputs(written[:1], written[1:])


def _file_name(source: Any, output: str | os.PathLike[str] | None) -> str:
    """What the file of a picture is called: its own name, or one like the output's."""
    if isinstance(source, str | os.PathLike) and os.fspath(source) != "-":
        return Path(source).name
    return f"{'picture' if output is None else Path(output).stem}.png"


def _importance_said(importance: Any, strength: float) -> str:
    kind = AUTO if isinstance(importance, str) and importance == AUTO else "map"
    return f"{kind} x{strength:g}"


def _load(source: Any, part: str | None, nan: str, limits: Limits, overrides: Overrides) -> ImageStack | RegionSource:
    if isinstance(source, str | os.PathLike):
        return load_picture([source], part=part, nan=nan, limits=limits, overrides=overrides)
    if isinstance(source, list | tuple):
        return load_picture(source, part=part, nan=nan, limits=limits, overrides=overrides)
    if overrides != Overrides():
        raise InvalidArgument("a role is of a picture that is read from a file; samples have their groups")
    return source if isinstance(source, ImageStack | RegionSource) else from_array(source)


def _in_memory(source: RegionSource, limits: Limits, *, keep_open: bool) -> ImageStack:
    """All of a picture that would be read in parts, for an engine that fits it as one."""
    height, width, channels = source.shape
    try:
        what = f"{source.source_name or 'picture'}: {width}x{height} px, fitted as one,"
        limits.check_memory(8 * height * width * channels, what)  # its levels, and the floats that are made of them
        samples = source.read(Rect(0, 0, width, height))
    finally:
        if not keep_open:
            source.close()
    return ImageStack(samples, source.groups, source.icc, source.source_name, source.files, metadata=source.metadata)


def _regions(stack: ImageStack | RegionSource, block: int | None, *, is_checked: bool, in_one: bool) -> Regions | None:
    """The picture in parts, where it is encoded in blocks: one block without a checkpoint is as good as none.

    Args:
        in_one: whether large pictures are fitted as one too, unless a block or a checkpoint is asked for.
    """
    if isinstance(stack, RegionSource):
        return stack
    height, width, _ = stack.samples.shape
    from gscodec.fit.blocks import CELL_PX

    if block is not None and block % CELL_PX == 0 and max(height, width) <= block and not is_checked:
        return None
    is_large = height * width > LARGE_PIXELS and (is_checked or not in_one)
    return StackRegions(stack) if block is not None or is_large else None
