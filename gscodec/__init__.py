"""gscodec: image and texture codec on 2D Gaussians.

    import gscodec

    gscodec.encode("in.png", "out.igs", bpp=0.2)
    with gscodec.open("out.igs") as image:
        pixels = image.render(lod=1)              # (H, W, C), the source's sample type
        values = image.sample([(120.5, 88.5)])    # (1, C) float32

Names are loaded when first used: `import gscodec` costs next to nothing and loads neither torch nor cupy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gscodec.version import __version__

if TYPE_CHECKING:
    from gscodec.decode import IgsImage
    from gscodec.decode import open_igs as open  # noqa: A004  # gscodec.open reads like gzip.open
    from gscodec.encoder import EncodeResult, Progress, encode
    from gscodec.errors import GsCodecError
    from gscodec.gaussians import GaussianSet
    from gscodec.image import ImageStack
    from gscodec.limits import Limits
    from gscodec.textures import Exported, export

__all__ = [
    "EncodeResult",
    "Exported",
    "GaussianSet",
    "GsCodecError",
    "IgsImage",
    "ImageStack",
    "Limits",
    "Progress",
    "__version__",
    "encode",
    "export",
    "open",
]

_HOMES = {
    "EncodeResult": ("gscodec.encoder", "EncodeResult"),
    "Exported": ("gscodec.textures", "Exported"),
    "GaussianSet": ("gscodec.gaussians", "GaussianSet"),
    "GsCodecError": ("gscodec.errors", "GsCodecError"),
    "IgsImage": ("gscodec.decode", "IgsImage"),
    "ImageStack": ("gscodec.image", "ImageStack"),
    "Limits": ("gscodec.limits", "Limits"),
    "Progress": ("gscodec.encoder", "Progress"),
    "encode": ("gscodec.encoder", "encode"),
    "export": ("gscodec.textures", "export"),
    "open": ("gscodec.decode", "open_igs"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gscodec' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
