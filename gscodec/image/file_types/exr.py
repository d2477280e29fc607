"""OpenEXR: one part of a file, every channel, with windows and attributes. `exr_samples` reads and writes it."""

from gscodec.image.file_types.base import FloatPicture, PictureType, SourceFile
from gscodec.image.stack import ImageStack
from gscodec.model.channels import AlphaMode


class OpenExr(PictureType):
    """OpenEXR: half and float channels, any number of layers."""

    name = "EXR"
    title = "OpenEXR"
    starts = (b"\x76\x2f\x31\x01",)
    read_suffixes = (".exr",)
    written_suffixes = (".exr",)
    has_parts = True
    has_integers = False
    has_floats = True
    float_alpha = AlphaMode.PREMULTIPLIED
    keeps_windows = True

    def read(self, source: SourceFile) -> ImageStack:
        """See `PictureType.read`."""
        from gscodec.image.file_types.exr_samples import read_exr

        return read_exr(source.file, source.name, source.part, source.nan, source.check)

    def write_floats(self, picture: FloatPicture) -> bytes:
        """See `PictureType.write_floats`."""
        from gscodec.image.file_types.exr_samples import write_exr

        return write_exr(picture.values, picture.groups, picture.exr or {}, picture.bit_depth)
