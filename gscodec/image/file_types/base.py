"""`PictureType`: how the files of a type are recognised, read and written, and what they can store."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gscodec.errors import UnsupportedImage
from gscodec.format.metadata import Metadata
from gscodec.image.stack import DimensionCheck, ImageStack, check_dimensions
from gscodec.model.channels import AlphaMode, ChannelGroup
from gscodec.model.limits import Limits

if TYPE_CHECKING:
    from gscodec.image.regions import RegionSource

HEAD_BYTES: Final = 16
"""First bytes of a file, which tell its type."""


class SourceFile(NamedTuple):
    """A picture file that is to be read."""

    file: BinaryIO  # seekable; at any position
    head: bytes  # its first HEAD_BYTES
    name: str  # for messages
    check: DimensionCheck = check_dimensions  # called before memory is allocated for the pixels
    part: str | None = None  # of a file with several parts, by name or number
    nan: str = "error"  # policy for NaN and infinities, see `floats.finite`


class IntegerPicture(NamedTuple):
    """A picture of integers to be written, of a kind that the file type supports."""

    samples: npt.NDArray[Any]  # uint8 or uint16 (H, W, C) over the full range; gray or RGB, alpha straight and last
    name: str  # for messages
    icc: bytes | None = None  # profile of the colour model of the samples
    metadata: Metadata | None = None  # metadata that the file type supports
    is_bilevel: bool = False  # one gray channel of 0 and 255 only
    is_inks: bool = False  # four channels are CMYK, 0 is no ink


class FloatPicture(NamedTuple):
    """A picture of floats to be written."""

    values: npt.NDArray[np.float32]  # (H, W, C); colour is linear light
    groups: tuple[ChannelGroup, ...]  # channel groups of the C channels
    name: str  # for messages
    bit_depth: int | None = None  # 16 or 32; None is the depth of the groups
    exr: Mapping[str, Any] | None = None  # as `FileEntry.exr`
    icc: bytes | None = None
    metadata: Metadata | None = None


class StripPicture(NamedTuple):
    """A picture to be written strip by strip."""

    strips: Iterable[tuple[int, npt.NDArray[Any]]]  # first row and (h, W, C) samples of `dtype`, from the top down
    size: tuple[int, int]  # (height, width) px
    dtype: np.dtype[Any]  # uint8, uint16 or float32
    groups: tuple[ChannelGroup, ...]  # channel groups of the C channels
    icc: bytes | None = None
    metadata: Metadata | None = None  # metadata that the file type supports


class PictureType:
    """A picture file type; a subclass declares what its files support and overrides readers and writers.

    Nothing heavy is imported before a file of the type is read or written.
    """

    name: str = ""
    """Name in capitals, Pillow's if it supports the type; for messages about written files."""

    title: str = ""
    """Common name of the type."""

    starts: tuple[bytes, ...] = ()
    """Possible first bytes of its files; empty if files of the type are only written."""

    read_suffixes: tuple[str, ...] = ()
    """Suffixes of files to look for in folders. The type of a file is detected from its content."""

    written_suffixes: tuple[str, ...] = ()
    """Suffixes that choose this type for a file to be written."""

    has_parts: bool = False
    """Whether a file may hold several pictures, of which one is selected."""

    has_integers: bool = True
    has_floats: bool = False
    """Kinds of samples that are written. Where a type has both, floats are written of float sources."""

    float_alpha: AlphaMode | None = None
    """Relation of colour to alpha in float files; None if it is stored in the file."""

    has_alpha: bool = False
    has_16_bits: bool = False
    has_bilevel: bool = False
    """Whether integers can be written with alpha, at 16 bits, and as one bit per pixel."""

    has_gray: bool = True
    has_deep_gray_alpha: bool = True
    """Whether gray, and 16-bit gray with alpha, can be written as such; otherwise it is written as RGB."""

    has_many_channels: bool = False
    """Whether integers are written with more channels than RGB and alpha."""

    ink_bits: frozenset[int] = frozenset()
    """Depths at which CMYK is written."""

    keeps_windows: bool = False
    """Whether data and display window, aspect of pixels and primaries of `FileEntry.exr` are written."""

    keeps_profile: bool = False
    keeps_exif: bool = False
    keeps_density: bool = False
    keeps_colour_tags: bool = False
    keeps_texts: bool = False
    """Metadata that is written: ICC profile; Exif and XMP; pixel density; PNG's colour tags; PNG's texts."""

    metadata_bytes: int | None = None
    """Maximum bytes of Exif, and of XMP; None means no limit."""

    has_strips: bool = False
    """Whether `write_strips` is implemented, for pictures too large for memory."""

    def recognises(self, head: bytes) -> bool:
        """Whether a file with these first HEAD_BYTES, or fewer, is of this type."""
        return head.startswith(self.starts)

    @property
    def restored_suffixes(self) -> tuple[str, ...]:
        """Suffixes of sources that a decode writes again under the same name; others come back as PNG or OpenEXR."""
        return tuple(suffix for suffix in self.written_suffixes if suffix in self.read_suffixes)

    def read(self, source: SourceFile) -> ImageStack:
        """The whole picture, at the depth it has.

        Raises:
            BadImage, UnsupportedImage, LimitExceeded: as `load_image`.
            Exception: what a library raises on damaged data; `one_line_errors` turns it into a BadImage.
        """
        raise NotImplementedError

    def size(self, source: SourceFile) -> tuple[int, int]:
        """(height, width) px, upright, from the header.

        Raises:
            UnsupportedImage: not known without reading the picture. Otherwise as `read`.
        """
        raise UnsupportedImage(f"{source.name}: {self.title} files are not read as tiles; convert them to PNG or TIFF")

    def open_in_parts(self, path: Path, least_pixels: int, limits: Limits) -> "RegionSource | None":
        """A picture of more than `least_pixels`, to be read in parts; None if it must be read as a whole.

        Raises:
            GsCodecError: as `read`, where only this reader has the words for it.
        """

    def write(self, picture: IntegerPicture) -> bytes:
        """A file of integers.

        Raises:
            InvalidArgument: too large for the type, or more than a library does.
        """
        raise NotImplementedError

    def write_floats(self, picture: FloatPicture) -> bytes:
        """A file of floats.

        Raises:
            InvalidArgument: channels that the type does not have.
        """
        raise NotImplementedError

    def write_strips(self, path: str | os.PathLike[str], picture: StripPicture, *, overwrite: bool) -> None:
        """Write a file from top to bottom, in memory that does not grow with the picture; complete or not at all.

        Raises:
            UnsupportedImage: several groups of channels.
            OutputExists, FileAccessError: as `write_atomic`.
        """
        raise NotImplementedError
