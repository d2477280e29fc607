"""Decodes `.igs` files to pixels: pictures, regions, other sizes, single points. Needs neither torch nor Pillow."""

from gscodec.decoding.image import IgsImage, open_igs

__all__ = ["IgsImage", "open_igs"]
