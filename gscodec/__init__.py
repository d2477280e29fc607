"""gscodec: image and texture codec on 2D Gaussians.

    import gscodec

    gscodec.encode("in.png", "out.igs", bpp=0.2)
    with gscodec.open("out.igs") as image:
        pixels = image.render(lod=1)              # (H, W, C), the source's sample type
        values = image.sample([(120.5, 88.5)])    # (1, C) float32

Names are loaded on first use: `import gscodec` is fast and loads neither torch nor cupy. `gscodec.errors` has the
errors and warnings, `gscodec.metrics` PSNR, SSIM and others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gscodec._after_import import after_import
from gscodec.version import __version__

if TYPE_CHECKING:
    from gscodec.container.describe import info
    from gscodec.container.validate import Issue, validate
    from gscodec.decoding.image import IgsImage
    from gscodec.decoding.image import open_igs as open  # noqa: A004  # named like gzip.open
    from gscodec.decoding.progressive import ProgressiveImage, ProgressivePicture, progressive
    from gscodec.decoding.to_files import Decoded, decode
    from gscodec.encoding.api import EncodeResult, Progress, encode
    from gscodec.encoding.settings import EncodeSettings
    from gscodec.errors import GsCodecError
    from gscodec.exporting import Exported, export
    from gscodec.image.stack import ImageStack
    from gscodec.interchange.files import Imported, export_gaussians, import_gaussians
    from gscodec.model.gaussians import GaussianSet
    from gscodec.model.limits import Limits

__all__ = [
    "Decoded",
    "EncodeResult",
    "EncodeSettings",
    "Exported",
    "GaussianSet",
    "GsCodecError",
    "IgsImage",
    "ImageStack",
    "Imported",
    "Issue",
    "Limits",
    "Progress",
    "ProgressiveImage",
    "ProgressivePicture",
    "__version__",
    "decode",
    "encode",
    "export",
    "export_gaussians",
    "import_gaussians",
    "info",
    "open",
    "progressive",
    "validate",
]

_HOMES = {
    "Decoded": ("gscodec.decoding.to_files", "Decoded"),
    "EncodeResult": ("gscodec.encoding.api", "EncodeResult"),
    "EncodeSettings": ("gscodec.encoding.settings", "EncodeSettings"),
    "Exported": ("gscodec.exporting", "Exported"),
    "GaussianSet": ("gscodec.model.gaussians", "GaussianSet"),
    "GsCodecError": ("gscodec.errors", "GsCodecError"),
    "IgsImage": ("gscodec.decoding", "IgsImage"),
    "ImageStack": ("gscodec.image.stack", "ImageStack"),
    "Imported": ("gscodec.interchange.files", "Imported"),
    "Issue": ("gscodec.container.validate", "Issue"),
    "Limits": ("gscodec.model.limits", "Limits"),
    "Progress": ("gscodec.encoding.api", "Progress"),
    "ProgressiveImage": ("gscodec.decoding.progressive", "ProgressiveImage"),
    "ProgressivePicture": ("gscodec.decoding.progressive", "ProgressivePicture"),
    "decode": ("gscodec.decoding.to_files", "decode"),
    "encode": ("gscodec.encoding.api", "encode"),
    "export": ("gscodec.exporting", "export"),
    "export_gaussians": ("gscodec.interchange.files", "export_gaussians"),
    "import_gaussians": ("gscodec.interchange.files", "import_gaussians"),
    "info": ("gscodec.container.describe", "info"),
    "open": ("gscodec.decoding", "open_igs"),
    "progressive": ("gscodec.decoding.progressive", "progressive"),
    "validate": ("gscodec.container.validate", "validate"),
}


_MODULES = ("errors", "metrics")
"""Modules that are part of the API, loaded on first use as well."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"gscodec.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'gscodec' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


after_import("PIL.Image", lambda: import_module("gscodec.pillow"))
after_import("imageio.config", lambda: import_module("gscodec.imageio"))


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, *(name for name in globals() if name.startswith("__"))})
