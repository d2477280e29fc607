"""Source pictures into memory and decoded ones out to files.

Names are loaded when first used: a decode needs none of the readers, and Pillow comes with the first file.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "ImageStack": "stack",
    "Overrides": "maps",
    "from_array": "stack",
    "full_range": "levels",
    "load_image": "load",
    "load_picture": "large",
    "load_source": "maps",
    "native_dtype": "levels",
    "save_image": "save",
    "to_native": "levels",
    "to_unit": "levels",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gscodec.image' has no attribute {name!r}")
    return getattr(import_module(f"gscodec.image.{_HOMES[name]}"), name)
