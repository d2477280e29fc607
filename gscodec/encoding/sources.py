"""Loads the source of an encode: samples with mask and weights, or regions if they would not fit into memory."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import numpy.typing as npt

from gscodec.encoding.importance import AUTO
from gscodec.encoding.opacity import prepared
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import InvalidArgument
from gscodec.fit.blocks import CELL_PX
from gscodec.image.arrays import ArrayLike, from_array
from gscodec.image.load import load_image
from gscodec.image.regions import Rect, Regions, RegionSource, StackRegions
from gscodec.image.stack import ImageStack
from gscodec.io.handles import Target, handle_name, refuse_text
from gscodec.material.inputs import input_files
from gscodec.material.load_picture import load_picture
from gscodec.material.maps import Overrides, one_picture
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
        | bytes
        | bytearray
        | memoryview
        | BinaryIO
        | ArrayLike
        | PIL.Image.Image
        | ImageStack
        | RegionSource
        | Sequence[str | os.PathLike[str]]
    )


def refuse_to_replace_inputs(
    source: "Source",
    output: Target | None,
    checkpoint: str | os.PathLike[str] | None,
    *maps: str | os.PathLike[str] | npt.NDArray[Any] | None,
) -> None:
    """Raise if output or checkpoint is one of the inputs, or if both are the same file.

    Args:
        maps: other inputs; only paths are compared.

    Raises:
        InvalidArgument: a file would be overwritten.
    """
    written = [path for path in (output, checkpoint) if isinstance(path, str | os.PathLike)]
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
    output: Target | None,
) -> ImageStack | RegionSource:
    """The samples of a source with mask and weights applied, ready to be fitted, or its regions.

    Raises:
        InvalidArgument: role or normal convention for samples that are not read from a file; mask or weights for a
            picture that is read in regions.
        GsCodecError: as in `load_picture`.
    """
    stack = _loaded(source, settings, limits)
    try:
        if not isinstance(stack, ImageStack):
            if mask is not None or settings.weights:
                raise InvalidArgument("a picture that is read in parts cannot have a mask or weights")
            return stack
        stack = hide(stack, mask) if mask is not None else stack
        stack = weighted(stack, settings.map_weights) if settings.weights else stack
        return prepared(stack, _file_name(source, output))
    except BaseException:
        if isinstance(stack, RegionSource) and stack is not source:
            stack.close()
        raise


def in_memory(source: RegionSource, limits: Limits, *, keep_open: bool) -> ImageStack:
    """All samples of a picture that would be read in regions, for an engine that fits it as a whole.

    Raises:
        LimitExceeded: the samples take more memory than the limits allow.
    """
    height, width, channels = source.shape
    try:
        what = f"{source.source_name or 'picture'}: {width}x{height} px, fitted as a whole,"
        limits.check_memory(8 * height * width * channels, what)  # codes, and the floats converted from them
        samples = source.read(Rect(0, 0, width, height))
    finally:
        if not keep_open:
            source.close()
    return ImageStack(samples, source.groups, source.icc, source.source_name, source.files, metadata=source.metadata)


def regions_of(
    stack: ImageStack | RegionSource, block: int | None, *, is_checked: bool, in_one: bool
) -> Regions | None:
    """The regions of a picture that is encoded in blocks, else None: a single block without checkpoint needs none.

    Args:
        in_one: whether large pictures too are fitted as a whole, unless a block size or checkpoint is set.
    """
    if isinstance(stack, RegionSource):
        return stack
    height, width, _ = stack.samples.shape
    if block is not None and block % CELL_PX == 0 and max(height, width) <= block and not is_checked:
        return None
    is_large = height * width > LARGE_PIXELS and (is_checked or not in_one)
    return StackRegions(stack) if block is not None or is_large else None


_NO_ROLE: Final = "a role is for a picture that is read from a file; samples in memory have channel groups"


def _loaded(source: "Source", settings: EncodeSettings, limits: Limits) -> ImageStack | RegionSource:
    overrides = settings.overrides
    if isinstance(source, str | os.PathLike | list | tuple):
        paths = source if isinstance(source, list | tuple) else [source]
        return load_picture(paths, part=settings.part, nan=settings.nan, limits=limits, overrides=overrides)
    if isinstance(source, ImageStack | RegionSource):
        if overrides != Overrides():
            raise InvalidArgument(_NO_ROLE)
        return source
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if isinstance(source, bytes) or hasattr(source, "read"):
        refuse_text(source, "rb")
        name = "(bytes)" if isinstance(source, bytes) else handle_name(source)
        content = cast("bytes | BinaryIO", source)
        picture = load_image(content, name, part=settings.part, nan=settings.nan, limits=limits)
        return one_picture(picture, overrides.file(Path("-" if name.startswith("(") else name)))
    if overrides != Overrides():
        raise InvalidArgument(_NO_ROLE)
    return from_array(source, nan=settings.nan)  # type: ignore[arg-type]  # a sequence of paths is a list or a tuple


def _file_name(source: "Source", output: Target | None) -> str:
    """File name recorded for a picture: its own, or one derived from the output's."""
    if isinstance(source, str | os.PathLike) and os.fspath(source) != "-":
        return Path(source).name
    return f"{Path(output).stem if isinstance(output, str | os.PathLike) else 'picture'}.png"
