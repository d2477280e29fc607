"""Windows bitmaps, through Pillow."""

from gscodec.image.file_types.pillow import PillowType


class Bmp(PillowType):
    """BMP: palettes and 8 bits read and written, no alpha."""

    name = "BMP"
    title = "BMP"
    starts = (b"BM",)
    read_suffixes = (".bmp",)
    written_suffixes = (".bmp",)
    has_bilevel = True
    keeps_density = True
