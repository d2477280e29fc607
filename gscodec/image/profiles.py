"""ICC profiles: whether one is sound and of the picture's colour model, and inks to sRGB through one.

Source: ICC.1:2022 (profile version 4.4), section 7.2.
"""

import io
import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_HEADER_BYTES: Final = 128
_TAG_BYTES: Final = 12
_MAX_TAGS: Final = 1024
_MODELS: Final = {1: "GRAY", 2: "GRAY", 3: "RGB ", 4: "RGB "}  # by channels, the last of 2 and 4 alpha


def colour_model(icc: bytes) -> str | None:
    """The colour space of a profile's samples in four letters, `RGB `, `GRAY`, `CMYK` ...; None of a damaged profile.

    A profile is sound when its header and tag table are, and all tags lie within it.
    """
    if len(icc) < _HEADER_BYTES + 4 or icc[36:40] != b"acsp":
        return None
    n_bytes, n_tags = struct.unpack_from(">I", icc, 0)[0], struct.unpack_from(">I", icc, _HEADER_BYTES)[0]
    if not _HEADER_BYTES <= n_bytes <= len(icc) or n_tags > _MAX_TAGS:
        return None
    table = _HEADER_BYTES + 4
    if table + _TAG_BYTES * n_tags > n_bytes:
        return None
    for number in range(n_tags):
        offset, size = struct.unpack_from(">II", icc, table + _TAG_BYTES * number + 4)
        if offset + size > n_bytes:
            return None
    return icc[16:20].decode("latin-1")


def profile_fault(icc: bytes, n_channels: int, *, inks: bool) -> str | None:
    """Why a profile does not go with a picture, in words; None where it does.

    Args:
        n_channels: 1 to 4 of gray or RGB, with or without alpha; more have no profile.
        inks: whether four channels are CMYK.
    """
    model = colour_model(icc)
    wanted = "CMYK" if inks else _MODELS.get(n_channels)
    if model is None:
        return "is damaged"
    if model != wanted:
        kind = "CMYK" if inks else "gray" if n_channels <= 2 else "RGB" if n_channels <= 4 else "data"
        return f"is for {model.strip()}, the picture is {kind}"
    return None


def srgb_of_inks(inks: npt.NDArray[np.uint8], icc: bytes | None) -> npt.NDArray[np.uint8]:
    """(H, W, 3) sRGB of (H, W, 4) inks: perceptual through a CMYK profile, else (1 - ink) (1 - black)."""
    from PIL import Image

    image = Image.fromarray(inks, "CMYK")
    if icc is not None and colour_model(icc) == "CMYK":
        try:
            return np.asarray(_through_profile(image, icc))
        except Exception:  # a profile that its library does not take: pyCMS has errors of many kinds
            pass
    return np.asarray(image.convert("RGB"))


def _through_profile(image: Any, icc: bytes) -> Any:
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.PERCEPTUAL,
        outputMode="RGB",
    )
