"""JPEG, through Pillow."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final

from gscodec.errors import LimitExceeded
from gscodec.format.metadata import Metadata
from gscodec.image.file_types.base import SourceFile
from gscodec.image.file_types.pillow import PillowType

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_MAX_SCANS: Final = 256
"""Scans of a JPEG; progressive ones have about ten."""


class Jpeg(PillowType):
    """JPEG: read with its Exif turned upright; written at quality 95, gray, RGB and CMYK."""

    name = "JPEG"
    title = "JPEG"
    starts = (b"\xff\xd8\xff",)
    read_suffixes = (".jpg", ".jpeg", ".jpe", ".jfif")
    written_suffixes = (".jpg", ".jpeg")
    ink_bits = frozenset({8})
    keeps_profile = keeps_exif = keeps_density = True
    metadata_bytes = 65533 - 29  # of one APP1 segment, less the longest name in front
    save_options: ClassVar[Mapping[str, Any]] = {"quality": 95, "subsampling": 0}  # it has been through a lossy codec

    def open(self, source: SourceFile) -> "ImageFile":
        """See `PillowType.open`.

        Raises:
            LimitExceeded: also of very many scans, each of which goes over all of the picture.
        """
        image = super().open(source)
        _check_scans(source.file, source.name)
        return image

    def metadata_options(self, metadata: Metadata) -> dict[str, Any]:
        """See `PillowType.metadata_options`; density is in whole pixels."""
        options = super().metadata_options(metadata)
        if metadata.density is not None:
            options["dpi"] = tuple(max(1, min(65535, round(each))) for each in metadata.density)
        return options


def _check_scans(file: BinaryIO, name: str) -> None:
    """Count the markers that begin a scan; inside one, a byte 0xFF is never followed by that."""
    at = file.tell()
    file.seek(0)
    scans, last = 0, b""
    while scans <= _MAX_SCANS and (block := file.read(1 << 20)):
        scans += (last + block).count(b"\xff\xda")
        last = block[-1:] if block.endswith(b"\xff") else b""
    file.seek(at)
    if scans > _MAX_SCANS:
        raise LimitExceeded(f"{name}: a JPEG of more than {_MAX_SCANS} scans; store it again with the usual ten or so")
