"""`ImageStack`: a source picture in memory, as samples in the model's domain with channel groups."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.format.files import FileEntry
from gscodec.format.metadata import NO_METADATA, Metadata
from gscodec.image.levels import check_channels
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, Transfer
from gscodec.model.constants import MAX_DIMENSION, MAX_IMAGE_PIXELS
from gscodec.model.file_names import legal_name
from gscodec.model.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    pass


_SAMPLE_BYTES: Final = 8
"""Bytes per sample while a source is read: the level, and the float converted from it."""


@dataclass(frozen=True)
class ImageStack:
    """Input of an encode: samples and the channel groups that describe them."""

    samples: npt.NDArray[np.float32]  # (H, W, C) level / (2^bits - 1) for integer sources, so 0..1
    groups: tuple[ChannelGroup, ...]  # of the C channels, in order
    icc: bytes | None = None  # ICC profile of the source
    source_name: str = ""  # path or another name, for messages; its last part is recorded if it names a picture
    files: tuple[FileEntry, ...] = ()  # source files, unless there is one plain picture
    visible: npt.NDArray[np.bool_] | None = None  # (H, W) visible texels; None means all
    metadata: Metadata = NO_METADATA  # of the source
    weights: tuple[float, ...] = ()  # weight of each group's errors in the fit, above 0; empty means 1

    def __post_init__(self) -> None:
        check_channels(self.samples, self.groups)
        if self.samples.dtype != np.float32:
            raise InvalidArgument(f"ImageStack: samples are {self.samples.dtype}, not float32")
        if self.visible is not None and self.visible.shape != self.samples.shape[:2]:
            raise InvalidArgument(f"ImageStack: {self.visible.shape} texels are visible of {self.samples.shape[:2]}")
        if self.weights and (len(self.weights) != len(self.groups) or not min(self.weights) > 0):
            raise InvalidArgument(f"ImageStack: weights {self.weights} are not a positive number for each group")


def cmyk_groups(bit_depth: int) -> tuple[ChannelGroup, ...]:
    """The group of a picture of four inks, 1 full ink."""
    return (ChannelGroup("cmyk", Role.DATA, 4, bit_depth, transfer=Transfer.LINEAR),)


def is_cmyk(groups: Sequence[ChannelGroup]) -> bool:
    """Whether the channels are a CMYK picture, whatever its file type."""
    if len(groups) != 1 or groups[0].bit_depth > 16:
        return False
    return (replace(groups[0], source=""),) == cmyk_groups(groups[0].bit_depth)


def bare_name(name: str, suffix: str) -> str:
    """The file's own name, where a message's name is a path to a file of that type, else `picture` and the suffix."""
    last = PurePath(name).name
    wanted = {suffix, ".tif"} if suffix == ".tiff" else {suffix}
    return legal_name(last) if PurePath(last).suffix.lower() in wanted else f"picture{suffix}"


def picture_groups(n_channels: int, bit_depth: int) -> tuple[ChannelGroup, ...]:
    """The group of an ordinary picture: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; more are plain data.

    Alpha is straight, as the usual file types have it, and the last channel of its group.
    """
    if n_channels > 4:
        return (ChannelGroup("data", Role.DATA, n_channels, bit_depth, transfer=Transfer.LINEAR),)
    alpha = AlphaMode.STRAIGHT if n_channels in {2, 4} else AlphaMode.NONE
    return (ChannelGroup("color", Role.COLOR, n_channels, bit_depth, alpha=alpha),)


def upright(levels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """(H, W, C) samples rotated and flipped according to an Orientation tag."""
    if orientation in {5, 6, 7, 8}:
        levels = levels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        levels = levels[::-1]
    if orientation in {2, 3, 6, 7}:
        levels = levels[:, ::-1]
    return levels


class DimensionCheck(Protocol):
    """`check_dimensions` for one file."""

    def __call__(self, height: int, width: int, name: str, n_channels: int = 1) -> None:
        """See `check_dimensions`."""
        ...


def check_dimensions(
    height: int,
    width: int,
    name: str,
    n_channels: int = 1,
    *,
    limits: Limits = DEFAULT_LIMITS,
    n_bytes: int | None = None,
    whole: bool = True,
) -> None:
    """Raise if a picture cannot be encoded or exceeds the limits, before memory is allocated for it.

    Args:
        n_bytes: of its file; None is a picture that is in memory already. whole: whether it is taken into memory whole.

    Raises:
        LimitExceeded: it has more pixels or takes more memory than the limits allow, or a side is longer than
            MAX_DIMENSION.
    """
    if max(height, width) > MAX_DIMENSION:
        raise LimitExceeded(
            f"{name}: {width}x{height} px is above the limit of {MAX_DIMENSION} px a side; split the picture or scale "
            "it down"
        )
    size = MAX_IMAGE_PIXELS if n_bytes is None else n_bytes
    remedy = "split the picture or scale it down"
    limits.check_pixels(height * width, size, f"{name}: {width}x{height} px is", remedy=remedy, whole=whole)
    if whole:
        limits.check_memory(_SAMPLE_BYTES * n_channels * height * width, f"{name}: {width}x{height} px")


def check_for(file: IO[bytes], limits: Limits, *, whole: bool = True) -> DimensionCheck:
    """`check_dimensions` with the length of an open file, whose position is kept."""
    at = file.tell()
    n_bytes = file.seek(0, os.SEEK_END)
    file.seek(at)
    return functools.partial(check_dimensions, limits=limits, n_bytes=n_bytes, whole=whole)
