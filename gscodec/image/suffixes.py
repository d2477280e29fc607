"""Suffixes of picture files."""

from typing import Final

_SUFFIXES: Final = "png apng jpg jpeg jpe jfif webp tif tiff btf bmp ppm pgm pbm pnm gif qoi exr hdr rgbe"


PICTURE_SUFFIXES: Final = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
"""Names under which pictures are looked for in folders; what a file is its content tells."""
