"""TIFF: chooses the reader or writer for a picture. They are in the files `tiff_*.py` beside this one."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from gscodec.errors import BadImage, LimitExceeded, UnsupportedImage
from gscodec.image.alpha import covers
from gscodec.image.file_types.base import FloatPicture, IntegerPicture, SourceFile, StripPicture
from gscodec.image.file_types.pillow import PillowType
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import ImageStack, cmyk_groups, upright
from gscodec.model.channels import AlphaMode
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.limits import Limits

if TYPE_CHECKING:
    from gscodec.image.file_types.tiff_layout import TiffLayout
    from gscodec.image.regions import RegionSource

_MOST_IN_RGBA: Final = 4


class Tiff(PillowType):
    """TIFF and BigTIFF: integers up to 16 bits, floats, CMYK, many channels, strips and tiles."""

    name = "TIFF"
    title = "TIFF"
    starts = (b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b")
    read_suffixes = (".tif", ".tiff", ".btf")
    written_suffixes = (".tif", ".tiff")
    has_floats = has_alpha = has_16_bits = has_bilevel = has_many_channels = has_strips = True
    has_deep_gray_alpha = False  # few programs, Pillow not among them, read it
    ink_bits = frozenset({8, 16})
    keeps_profile = keeps_exif = keeps_density = True
    save_options: ClassVar[Mapping[str, Any]] = {"compression": "tiff_adobe_deflate"}

    def read(self, source: SourceFile) -> ImageStack:
        """See `PictureType.read`: by whichever reader keeps all of the picture."""
        from gscodec.image.file_types.pillow_levels import stack_of_levels
        from gscodec.image.file_types.tiff_float import read_float_tiff
        from gscodec.image.file_types.tiff_layout import FLOAT, SEPARATED, read_layout
        from gscodec.image.file_types.tiff_metadata import metadata_of_tiff
        from gscodec.image.file_types.tiff_pixels import is_for_tifffile, read_levels

        file, name = source.file, source.name
        layout = read_layout(file, name)
        if layout is None:  # damaged: Pillow says how, or reads what it can
            return self._read_through_pillow(source, None)
        if min(layout.height, layout.width, layout.n_samples) < 1:
            raise BadImage(f"{name}: {layout.width}x{layout.height} px is not a picture")
        source.check(layout.height, layout.width, name, layout.n_samples)
        for note in layout.notes:
            warn_of_source(f"{name}: {note}")
        if layout.sample_format == FLOAT:
            stack = read_float_tiff(file, layout, name, source.nan)
        elif not is_for_tifffile(layout):
            stack = self._read_through_pillow(source, layout)
        elif layout.n_samples > MAX_CHANNELS:
            raise LimitExceeded(f"{name}: {layout.n_samples} channels are above the limit of {MAX_CHANNELS}")
        else:
            levels, notes = read_levels(file, layout, name)
            for note in notes:
                warn_of_source(f"{name}: {note}")
            largest = (1 << max(layout.bits)) - 1
            groups = cmyk_groups(max(layout.bits)) if layout.photometric == SEPARATED else None
            stack = stack_of_levels(upright(levels, layout.orientation), largest, groups, layout.icc, name)
        return replace(stack, metadata=metadata_of_tiff(file, layout.offset, name))

    def _read_through_pillow(self, source: SourceFile, layout: "TiffLayout | None") -> ImageStack:
        """The picture as Pillow reads it, at its own depth."""
        from gscodec.image.file_types.pillow_levels import stack_of_image
        from gscodec.image.file_types.tiff_layout import WHITE_IS_ZERO, from_page, unread_compression
        from gscodec.image.quiet import quiet

        failure: OSError | None = None
        stack: ImageStack | None = None
        if layout is not None and layout.page:
            source = source._replace(file=from_page(source.file, layout))
        with quiet() as printed:
            try:
                image = self.open(source)
                is_deep_gray = image.mode.startswith("I;16")
                levels, largest = self.levels(image, source)
                if layout is not None and is_deep_gray:
                    largest = (1 << max(layout.bits)) - 1
                    if layout.photometric == WHITE_IS_ZERO:  # Pillow turns that over up to 8 bits
                        levels = largest - levels
                stack = stack_of_image(image, levels, largest, source.name)
            except OSError as fault:
                failure = fault
        if failure is not None:
            if layout is not None and "not configured" in printed[0]:
                raise UnsupportedImage(f"{source.name}: {unread_compression(layout)}") from failure
            raise failure
        assert stack is not None
        n_channels = stack.samples.shape[2]
        if layout is not None and layout.n_samples - layout.n_colours > (layout.n_colours < n_channels in {2, 4}):
            warn_of_source(f"{source.name}: channels beyond the colour that are no alpha are left out")
        return stack

    def size(self, source: SourceFile) -> tuple[int, int]:
        """See `PictureType.size`; Pillow has turned the size already."""
        width, height = self.open(source).size
        return height, width

    def open_in_parts(self, path: Path, least_pixels: int, limits: Limits) -> "RegionSource | None":
        """See `PictureType.open_in_parts`."""
        from gscodec.image.file_types.tiff_large import open_large_tiff

        return open_large_tiff(path, least_pixels, limits)

    def write(self, picture: IntegerPicture) -> bytes:
        """See `PictureType.write`."""
        from gscodec.image.file_types.tiff_deep import write_deep_tiff, write_many_channels
        from gscodec.image.file_types.tiff_metadata import with_tiff_metadata

        samples = picture.samples
        if samples.shape[2] > _MOST_IN_RGBA:
            data = write_many_channels(samples)
        elif samples.dtype == np.uint16:
            colour = samples[:, :, [0, 0, 0, 1]] if samples.shape[2] == 2 else samples
            data = write_deep_tiff(colour, picture.icc, inks=picture.is_inks)
        else:
            data = super().write(picture._replace(metadata=None))
        # Metadata goes in afterwards, whoever wrote the pixels.
        return with_tiff_metadata(data, picture.metadata)

    def write_floats(self, picture: FloatPicture) -> bytes:
        """See `PictureType.write_floats`."""
        from gscodec.image.file_types.tiff_float import write_float_tiff
        from gscodec.image.file_types.tiff_metadata import with_tiff_metadata

        modes = {cover.mode for cover in covers(picture.groups)}
        bits = picture.bit_depth or max(group.bit_depth for group in picture.groups)
        data = write_float_tiff(picture.values, bits, modes.pop() if modes else AlphaMode.NONE, picture.icc)
        return with_tiff_metadata(data, picture.metadata)

    def write_strips(self, path: str | os.PathLike[str], picture: StripPicture, *, overwrite: bool) -> None:
        """See `PictureType.write_strips`: in tiles."""
        from gscodec.image.file_types.tiff_tiled import write_tiled_tiff

        write_tiled_tiff(path, picture, overwrite=overwrite)
