"""Types that Pillow writes and that are not read: each reader is one more parser to trust."""

from gscodec.image.file_types.pillow import PillowType


class Tga(PillowType):
    """Truevision TGA."""

    name = "TGA"
    title = "TGA"
    written_suffixes = (".tga",)
    has_alpha = True


class Avif(PillowType):
    """AVIF; gray is written as RGB."""

    name = "AVIF"
    title = "AVIF"
    has_alpha = True
    has_gray = False
    keeps_profile = keeps_exif = True


class Dds(PillowType):
    """DDS without compression; `gscodec export` writes textures."""

    name = "DDS"
    title = "DDS"
    has_alpha = True


class Jpeg2000(PillowType):
    """JPEG 2000."""

    name = "JPEG2000"
    title = "JPEG 2000"
    has_alpha = True


class Sgi(PillowType):
    """Silicon Graphics images."""

    name = "SGI"
    title = "SGI"
    has_alpha = True


class OtherPillowType(PillowType):
    """Any other type that Pillow writes: 8-bit gray or RGB, without alpha and metadata.

    Args:
        name: Pillow's name of it.
    """

    def __init__(self, name: str) -> None:
        self.name = self.title = name
