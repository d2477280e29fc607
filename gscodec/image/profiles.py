"""ICC profiles: checks that one is valid and of the picture's colour model, and converts CMYK to sRGB through one.

Source: ICC.1:2022 (profile version 4.4), section 7.2.
"""

import io
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import LimitExceeded
from gscodec.format.limits import MAX_ICC_BYTES
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import is_cmyk
from gscodec.model.channels import ChannelGroup, count_channels

_HEADER_BYTES: Final = 128
_TAG_BYTES: Final = 12
_MAX_TAGS: Final = 1024
SRGB_TOLERANCE: Final = 3
"""Maximum difference of codes out of 255. Profiles of sRGB differ by 0 or 1, those of coarse curves by some more;
a gamma of 2.2 differs by 9, Display P3 by 115."""
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


def sound_profile(icc: bytes | None, groups: Sequence[ChannelGroup], name: str) -> bytes | None:
    """The profile if it matches a picture that was read, else None and a SourceWarning.

    Args:
        groups: of the picture; an opacity may be its alpha.

    Raises:
        LimitExceeded: it takes more than MAX_ICC_BYTES.
    """
    if not icc:
        return None
    if len(icc) > MAX_ICC_BYTES:
        raise LimitExceeded(f"{name}: its ICC profile of {len(icc)} bytes is above the limit of {MAX_ICC_BYTES}")
    model = "CMYK" if is_cmyk(groups) else _MODELS.get(count_channels(groups), "data")
    return fitting_profile(icc, model, name)


def fitting_profile(icc: bytes | None, model: str, name: str) -> bytes | None:
    """The profile if it is valid and of the colour model, named as by `colour_model`; else None and a SourceWarning.

    A profile of another model misleads every program: one for gray has no colours for RGB samples.
    """
    if not icc:
        return None
    icc_model = colour_model(icc)
    if icc_model == model:
        return icc
    fact = (
        "is damaged" if icc_model is None else f"is for {_model_name(icc_model)}, the picture is {_model_name(model)}"
    )
    warn_of_source(f"{name}: its ICC profile {fact}; the profile is left out")
    return None


def is_srgb(icc: bytes) -> bool:
    """Whether a profile of RGB or gray is equivalent to sRGB, which is also the default without a profile.

    Its curves and primaries decide, not its name: a grid of colours, the profile's and sRGB's, differs by at most
    SRGB_TOLERANCE.
    """
    from PIL import Image, ImageCms

    mode = {"RGB ": "RGB", "GRAY": "L"}.get(colour_model(icc) or "")
    if mode is None:
        return False
    codes = np.arange(256, dtype=np.uint8)
    if mode == "RGB":
        steps = codes[::17]
        grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
        codes = np.concatenate([grid, np.repeat(codes[:, None], 3, axis=1)])
    image = Image.fromarray(codes[None])
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        shown = ImageCms.profileToProfile(
            image,
            profile,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    except Exception:  # as in srgb_of_inks
        return False
    assert shown is not None
    wanted = codes.reshape(1, len(codes), -1).astype(np.int16)
    return bool(np.abs(np.asarray(shown, np.int16) - wanted).max() <= SRGB_TOLERANCE)


def _model_name(model: str) -> str:
    known = {"RGB ": "RGB", "GRAY": "gray", "CMYK": "CMYK", "data": "data"}
    return known.get(model, ascii(model)[1:-1].strip())


def srgb_of_inks(inks: npt.NDArray[np.uint8], icc: bytes | None, name: str) -> npt.NDArray[np.uint8]:
    """(H, W, 3) sRGB of (H, W, 4) inks: perceptual through a CMYK profile, else (1 - ink) (1 - black)."""
    from PIL import Image

    image = Image.fromarray(inks, "CMYK")
    if icc is not None:
        try:
            return np.asarray(_through_profile(image, icc))
        except Exception:  # the library raises errors of many kinds for invalid profiles
            warn_of_source(f"{name}: its ICC profile is damaged; inks become RGB without it")
    return np.asarray(image.convert("RGB"))


def deep_rgb_of_inks(inks: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """(H, W, 3) 16-bit RGB of (H, W, 4) inks: (1 - ink) (1 - black)."""
    paper = 65535 - inks.astype(np.uint64)
    return ((paper[:, :, :3] * paper[:, :, 3:] + 32767) // 65535).astype(np.uint16)


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
