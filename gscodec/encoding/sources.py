"""From what an encode is given to samples: loaded, masked and weighted; in parts where memory would not hold them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from gscodec.encoding.importance import AUTO
from gscodec.encoding.opacity import prepared
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import InvalidArgument
from gscodec.fit.blocks import CELL_PX
from gscodec.image.arrays import from_array
from gscodec.image.regions import Rect, Regions, RegionSource, StackRegions
from gscodec.image.stack import ImageStack
from gscodec.material.inputs import input_files
from gscodec.material.load_picture import load_picture
from gscodec.material.maps import Overrides
from gscodec.material.masks import hide
from gscodec.material.outputs import refuse_inputs
from gscodec.material.weights import weighted
from gscodec.model.constants import LARGE_PIXELS
from gscodec.model.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    import PIL.Image

    Source = (
        str
        | os.PathLike[str]
        | npt.NDArray[Any]
        | PIL.Image.Image
        | ImageStack
        | RegionSource
        | Sequence[str | os.PathLike[str]]
    )


def refuse_to_replace_inputs(
    source: "Source",
    output: str | os.PathLike[str] | None,
    checkpoint: str | os.PathLike[str] | None,
    *maps: str | os.PathLike[str] | npt.NDArray[Any] | None,
) -> None:
    """Refuse an output or a checkpoint that is an input, and an output that is the checkpoint.

    Args:
        maps: what else is read, where it is a path.

    Raises:
        InvalidArgument: one is.
    """
    written = [path for path in (output, checkpoint) if path is not None]
    if not written:
        return
    listed = source if isinstance(source, list | tuple) else [source]
    paths = [path for path in listed if isinstance(path, str | os.PathLike)]
    inputs = [*input_files(paths), *(path for path in maps if isinstance(path, str | os.PathLike) and path != AUTO)]
    refuse_inputs(written, inputs)
    if len(written) == 2 and Path(written[0]).absolute() == Path(written[1]).absolute():
        raise InvalidArgument(f"{checkpoint}: is the output; name another checkpoint")
    refuse_inputs(written[:1], written[1:])


def load_samples(
    source: "Source",
    settings: EncodeSettings,
    limits: Limits,
    mask: "str | os.PathLike[str] | npt.NDArray[Any] | None",
    output: str | os.PathLike[str] | None,
) -> ImageStack | RegionSource:
    """The samples of a source with its mask and weights, ready to be fitted, or its parts.

    Raises:
        InvalidArgument: overrides of samples that were not read here; a mask or weights of a picture in parts.
        GsCodecError: as `load_picture`.
    """
    stack = _loaded(source, settings, limits)
    try:
        if not isinstance(stack, ImageStack):
            if mask is not None or settings.weights:
                raise InvalidArgument("a picture that is read in parts goes with neither a mask nor weights")
            return stack
        stack = hide(stack, mask) if mask is not None else stack
        stack = weighted(stack, settings.map_weights) if settings.weights else stack
        return prepared(stack, _file_name(source, output))
    except BaseException:
        if isinstance(stack, RegionSource) and stack is not source:
            stack.close()
        raise


def in_memory(source: RegionSource, limits: Limits, *, keep_open: bool) -> ImageStack:
    """All of a picture that would be read in parts, for an engine that fits it as one.

    Raises:
        LimitExceeded: it takes more memory than the limits allow.
    """
    height, width, channels = source.shape
    try:
        what = f"{source.source_name or 'picture'}: {width}x{height} px, fitted as one,"
        limits.check_memory(8 * height * width * channels, what)  # its levels, and the floats that are made of them
        samples = source.read(Rect(0, 0, width, height))
    finally:
        if not keep_open:
            source.close()
    return ImageStack(samples, source.groups, source.icc, source.source_name, source.files, metadata=source.metadata)


def regions_of(
    stack: ImageStack | RegionSource, block: int | None, *, is_checked: bool, in_one: bool
) -> Regions | None:
    """The picture in parts, where it is encoded in blocks: one block without a checkpoint is as good as none.

    Args:
        in_one: whether large pictures are fitted as one too, unless a block or a checkpoint is asked for.
    """
    if isinstance(stack, RegionSource):
        return stack
    height, width, _ = stack.samples.shape
    if block is not None and block % CELL_PX == 0 and max(height, width) <= block and not is_checked:
        return None
    is_large = height * width > LARGE_PIXELS and (is_checked or not in_one)
    return StackRegions(stack) if block is not None or is_large else None


def _loaded(source: "Source", settings: EncodeSettings, limits: Limits) -> ImageStack | RegionSource:
    overrides = settings.overrides
    if isinstance(source, str | os.PathLike | list | tuple):
        paths = source if isinstance(source, list | tuple) else [source]
        return load_picture(paths, part=settings.part, nan=settings.nan, limits=limits, overrides=overrides)
    if overrides != Overrides():
        raise InvalidArgument("a role is of a picture that is read from a file; samples have their groups")
    if isinstance(source, ImageStack | RegionSource):
        return source
    return from_array(source)  # type: ignore[arg-type]  # a sequence of paths is a list or a tuple


def _file_name(source: "Source", output: str | os.PathLike[str] | None) -> str:
    """What the file of a picture is called: its own name, or one like the output's."""
    if isinstance(source, str | os.PathLike) and os.fspath(source) != "-":
        return Path(source).name
    return f"{'picture' if output is None else Path(output).stem}.png"
