"""From an `.igs` file to pixels: all of it, a region, another size, single points. Needs neither torch nor Pillow."""

from gscodec.decoding.image import IgsImage, open_igs

__all__ = ["IgsImage", "open_igs"]
