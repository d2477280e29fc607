"""WebP, through Pillow."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gscodec.image.file_types.pillow import PillowType


class WebP(PillowType):
    """WebP: read whether lossy or not, of an animation the first frame; written lossless, gray as RGB."""

    name = "WEBP"
    title = "WebP"
    plugin = "WebP"
    starts = (b"RIFF",)
    read_suffixes = (".webp",)
    written_suffixes = (".webp",)
    has_alpha = True
    has_gray = False
    keeps_profile = keeps_exif = True
    save_options: ClassVar[Mapping[str, Any]] = {"lossless": True, "exact": True}  # exact: colour under clear alpha too

    def recognises(self, head: bytes) -> bool:
        """See `PictureType.recognises`; RIFF files may hold sound, too."""
        return super().recognises(head) and head[8:12] == b"WEBP"
