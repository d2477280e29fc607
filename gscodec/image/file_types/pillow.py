"""Base classes of file types that Pillow reads or writes."""

import importlib
import io
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, InvalidArgument, UnsupportedImage, file_access_error
from gscodec.format.metadata import Metadata
from gscodec.image.file_types.base import HEAD_BYTES, IntegerPicture, PictureType, SourceFile
from gscodec.image.metadata import as_tagged, metadata_of
from gscodec.image.profiles import sound_profile
from gscodec.image.source_errors import one_line, one_line_errors, warn_of_source
from gscodec.image.stack import ImageStack, check_for, cmyk_groups, picture_groups
from gscodec.model.limits import Limits

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from gscodec.image.regions import RegionSource

logging.getLogger("PIL").addHandler(logging.NullHandler())  # it logs what is damaged; without a handler, to stderr

_ROWS: Final = 256
"""Rows that are taken out of a decoded picture at a time."""

_CHANNELS: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
_MODES: Final = {1: ("L", "RGB"), 2: ("LA", "RGBA"), 3: ("RGB",), 4: ("RGBA",)}


class PillowType(PictureType):
    """A file type that Pillow reads or writes, at 8 bits unless a subclass does more."""

    plugin: str = ""
    """Pillow's module `PIL.<plugin>ImagePlugin`; empty is its name with one capital."""

    save_options: ClassVar[Mapping[str, Any]] = {}
    """Options of Pillow's writer."""

    def read(self, source: SourceFile) -> ImageStack:
        """See `PictureType.read`."""
        from gscodec.image.file_types.pillow_levels import stack_of_image

        image, extras = self._opened(source)
        levels, largest = self.levels(image, source)
        stack = stack_of_image(image, levels, largest, source.name)
        metadata = self._metadata(image, source, extras, has_icc=stack.icc is not None)
        return replace(stack, metadata=metadata, groups=as_tagged(stack.groups, metadata))

    def size(self, source: SourceFile) -> tuple[int, int]:
        """See `PictureType.size`."""
        from gscodec.image.file_types.pillow_levels import orientation_of

        image = self.open(source)
        width, height = image.size
        return (width, height) if orientation_of(image) in {5, 6, 7, 8} else (height, width)

    def open_in_parts(self, path: Path, least_pixels: int, limits: Limits) -> "RegionSource | None":
        """See `PictureType.open_in_parts`: a large 8-bit picture is decoded once, into a temporary file."""
        from gscodec.image.regions import SpooledPicture

        name = os.fspath(path)
        try:
            file = path.open("rb")
        except OSError as fault:
            raise file_access_error(f"{name}: cannot be opened: {fault.strerror}", fault) from fault
        with file:
            source = SourceFile(file, file.read(HEAD_BYTES), name, check_for(file, limits))
            try:
                image = self.open(source)
            except Exception:  # `read` raises the error
                return None
            width, height = image.size
            n_channels = _CHANNELS.get(image.mode, 0)
            if height * width <= least_pixels or not n_channels or not _is_as_stored(image):
                return None
            image, extras = self._opened(source)
            with one_line_errors(name):
                groups = cmyk_groups(8) if image.mode == "CMYK" else picture_groups(n_channels, 8)
                icc = sound_profile(image.info.get("icc_profile"), groups, name)
                picture = SpooledPicture((height, width, n_channels), groups, icc, _rows(image, n_channels), name)
                picture.metadata = self._metadata(image, source, extras, has_icc=icc is not None)
                picture.groups = as_tagged(groups, picture.metadata)
                return picture

    def open(self, source: SourceFile) -> "ImageFile":
        """The picture, header parsed, pixels not decoded, dimensions checked.

        Raises:
            BadImage: damaged, or without pixels. LimitExceeded: as `SourceFile.check`.
            Exception: whatever Pillow raises on a damaged header; see `one_line_errors`.
        """
        name = source.name
        source.file.seek(0)
        importlib.import_module(f"PIL.{self.plugin or self.name.title()}ImagePlugin")
        from PIL import Image

        # The plugin is called without Image.open: that tries every plugin, and has one pixel limit for the process.
        try:
            image = Image.OPEN[self.name][0](source.file, "")
        except SyntaxError as fault:
            if "unknown pixel mode" in str(fault):  # a sound TIFF, of float or odd-sized samples mostly
                raise UnsupportedImage(
                    f"{name}: this kind of {self.name} is not read; convert it to 8 or 16-bit RGB"
                ) from fault
            raise BadImage(f"{name}: the {self.name} header is damaged ({one_line(fault)})") from fault
        width, height = image.size
        if width < 1 or height < 1:
            raise BadImage(f"{name}: {width}x{height} px is not a picture")
        source.check(height, width, name, len(image.getbands()))
        return image

    def inspect(self, source: SourceFile) -> object:
        """Checks and metadata that Pillow lacks, for `with_inspected`; None if there are none."""

    def levels(self, image: "ImageFile", source: SourceFile) -> tuple[npt.NDArray[Any], int]:
        """(H, W, C) integer levels of a freshly opened picture, and the largest there can be."""
        from gscodec.image.file_types.pillow_levels import is_deep_colour, levels_of, read_deep_colour

        if is_deep_colour(image):
            return read_deep_colour(image, lambda: self.open(source)), 65535
        return levels_of(image, source.name)

    def metadata(self, image: "ImageFile", source: SourceFile) -> Metadata:
        """Metadata of a picture, as read by Pillow.

        Warns:
            SourceWarning: what of it is not kept, and further frames.
        """
        warn_of_frames(image, source.name)
        return metadata_of(image, source.name)

    def with_inspected(self, metadata: Metadata, extras: object, source: SourceFile, *, has_icc: bool) -> Metadata:
        """Metadata with the findings of `inspect`.

        Args:
            has_icc: whether the picture keeps an ICC profile.
        """
        raise NotImplementedError

    def _metadata(self, image: "ImageFile", source: SourceFile, extras: object, *, has_icc: bool) -> Metadata:
        metadata = self.metadata(image, source)
        return metadata if extras is None else self.with_inspected(metadata, extras, source, has_icc=has_icc)

    def _opened(self, source: SourceFile) -> "tuple[ImageFile, object]":
        image = self.open(source)
        extras = self.inspect(source)
        return (image if extras is None else self.open(source)), extras  # opened again: inspecting moves the file

    def write(self, picture: IntegerPicture) -> bytes:
        """See `PictureType.write`: in the first of the modes for the picture that the type takes."""
        from PIL import Image

        samples, name = picture.samples, picture.name
        modes = ("1",) if picture.is_bilevel else ("CMYK",) if picture.is_inks else _MODES[samples.shape[2]]
        pixels = samples[:, :, 0] if samples.shape[2] == 1 else samples
        image = Image.fromarray(pixels, "CMYK" if picture.is_inks else None)
        options = dict(self.save_options)
        if picture.metadata is not None:
            options |= self.metadata_options(picture.metadata)
        if picture.icc:
            options["icc_profile"] = picture.icc
        fault: Exception | None = None
        for mode in modes:
            stream: BinaryIO = io.BytesIO()
            try:
                image.convert(mode, dither=Image.Dither.NONE).save(stream, self.name, **options)
            except (OSError, ValueError, KeyError, TypeError, OverflowError, SystemError) as error:
                fault = fault or error
                continue
            stream.seek(0)
            return stream.read()
        height, width = samples.shape[:2]
        reason = " ".join(str(fault).split())
        raise InvalidArgument(
            f"{name}: {width}x{height} px cannot be written as {self.name} ({reason}); write PNG"
        ) from fault

    def metadata_options(self, metadata: Metadata) -> dict[str, Any]:
        """Options of Pillow's writer that store metadata."""
        options: dict[str, Any] = {}
        if metadata.density is not None:
            options["dpi"] = metadata.density
        if metadata.exif:
            options["exif"] = b"Exif\0\0" + metadata.exif
        if metadata.xmp:
            options["xmp"] = metadata.xmp
        return options


def warn_of_frames(image: "Image", name: str) -> None:
    """Warn that an animation, or a file of several pictures, is read only in part."""
    if getattr(image, "is_animated", False):
        warn_of_source(f"{name}: only the first of its pictures or frames is read")


def _is_as_stored(image: "ImageFile") -> bool:
    """Whether 8-bit levels of the mode are lossless: no deeper samples, key colour, or rotation."""
    from gscodec.image.file_types.pillow_levels import is_deep_colour, orientation_of, raw_mode

    if is_deep_colour(image) or "transparency" in image.info or raw_mode(image).startswith(("L;2", "L;4")):
        return False
    return orientation_of(image) in {0, 1}


def _rows(image: "ImageFile", n_channels: int) -> Iterator[npt.NDArray[Any]]:
    image.load()
    width, height = image.size
    for y in range(0, height, _ROWS):
        part = np.asarray(image.crop((0, y, width, min(height, y + _ROWS))))
        yield part.reshape(part.shape[0], width, n_channels)
