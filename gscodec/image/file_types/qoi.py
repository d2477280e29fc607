"""QOI, the Quite OK Image format, through Pillow. Source: qoiformat.org, specification 1.0."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gscodec.format.metadata import Metadata
from gscodec.image.file_types.base import SourceFile
from gscodec.image.file_types.pillow import PillowType

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_SPACE_AT: Final = 13
_LINEAR: Final = 1  # all channels


class Qoi(PillowType):
    """QOI: read with the transfer that its header states. Sources come back as PNG."""

    name = "QOI"
    title = "QOI"
    starts = (b"qoif",)
    read_suffixes = (".qoi",)
    has_alpha = True

    def metadata(self, image: "ImageFile", source: SourceFile) -> Metadata:
        """See `PillowType.metadata`."""
        metadata = super().metadata(image, source)
        return replace(metadata, gamma=1.0) if source.head[_SPACE_AT] == _LINEAR else metadata
