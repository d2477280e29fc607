"""GIF, through Pillow."""

from gscodec.image.file_types.pillow import PillowType


class Gif(PillowType):
    """GIF: of an animation the first frame is read. Sources come back as PNG: a GIF has 256 colours."""

    name = "GIF"
    title = "GIF"
    starts = (b"GIF87a", b"GIF89a")
    read_suffixes = (".gif",)
