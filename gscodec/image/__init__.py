"""Source pictures into memory and decoded ones out to files. Pillow is loaded with the first file, not on import."""

from gscodec.image.large import load_picture
from gscodec.image.levels import full_range, native_dtype, to_native, to_unit
from gscodec.image.load import load_image
from gscodec.image.maps import Overrides, load_source
from gscodec.image.save import save_image
from gscodec.image.stack import ImageStack, from_array

__all__ = [
    "ImageStack",
    "Overrides",
    "from_array",
    "full_range",
    "load_image",
    "load_picture",
    "load_source",
    "native_dtype",
    "save_image",
    "to_native",
    "to_unit",
]
