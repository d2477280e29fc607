"""TIFF files of float samples, which Pillow reads in gray only; through tifffile."""

import io
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import LimitExceeded
from gscodec.format.files import FileEntry
from gscodec.image.alpha import rounded, straightened
from gscodec.image.file_types.tiff_layout import ASSOCIATED, UNASSOCIATED, WHITE_IS_ZERO, TiffLayout
from gscodec.image.file_types.tiff_pixels import stored_samples
from gscodec.image.floats import finite, float_group, model_samples
from gscodec.image.profiles import sound_profile
from gscodec.image.stack import ImageStack, bare_name, upright
from gscodec.model.channels import AlphaMode, Role
from gscodec.model.constants import MAX_CHANNELS

_UNSPECIFIED: Final = 0  # ExtraSamples


def read_float_tiff(file: BinaryIO, layout: TiffLayout, name: str, nan: str) -> ImageStack:
    """The picture of a TIFF of float samples, upright, black as 0.

    Raises:
        UnsupportedImage: NaN or infinities where `nan` is error, or a compression that needs the imagecodecs package.
        LimitExceeded: too large.
    """
    n_channels, bits = layout.n_samples, max(layout.bits)
    if n_channels > MAX_CHANNELS:
        raise LimitExceeded(f"{name}: {n_channels} channels are above the limit of {MAX_CHANNELS}")
    samples = finite(stored_samples(file, layout, name), nan, name)
    if layout.photometric == WHITE_IS_ZERO:
        samples[:, :, 0] = 1 - samples[:, :, 0]
    samples = np.ascontiguousarray(upright(samples, layout.orientation))
    height, width, _ = samples.shape
    depth, source = 16 if bits == 16 else 32, bare_name(name, ".tiff")
    parts = _parts(samples, layout.extra)
    premultiplied = parts[-1].alpha is AlphaMode.PREMULTIPLIED
    if premultiplied:
        straight = straightened(parts[0].samples, parts[1].samples[:, :, 0])
        if straight is not None:
            parts = [replace(parts[0], samples=straight), replace(parts[1], alpha=AlphaMode.STRAIGHT)]
    groups = tuple(
        replace(float_group(part.name, part.samples, part.role, depth, source), alpha=part.alpha) for part in parts
    )
    exr: dict[str, Any] = {
        "channels": [
            {"name": channel, "type": "half" if bits == 16 else "float", "place": place}
            for place, channel in enumerate(_channel_names(parts, n_channels))
        ]
    }
    if premultiplied:
        exr["premultiplied"] = True
    entry = FileEntry(source, width, height, n_channels, tuple(group.name for group in groups), exr=exr)
    icc = sound_profile(layout.icc, groups, name)
    models = [model_samples(part.samples, group) for part, group in zip(parts, groups, strict=True)]
    return ImageStack(np.concatenate(models, axis=2), groups, icc, name, (entry,))


@dataclass(frozen=True)
class _Part:
    """Channels that become a group."""

    name: str
    role: Role
    samples: npt.NDArray[np.float32]
    alpha: AlphaMode = AlphaMode.NONE


def _parts(samples: npt.NDArray[np.float32], extra: tuple[int, ...]) -> list[_Part]:
    """Gray or RGB, and the alpha that ExtraSamples names; or data. Of four channels without that tag, RGB and alpha."""
    n_channels = samples.shape[2]
    n_colours = {2: 1, 4: 3}.get(n_channels, n_channels)
    kind = extra[0] if extra else UNASSOCIATED if n_channels == 4 else _UNSPECIFIED
    colour = _Part("color", Role.COLOR if n_colours in {1, 3} else Role.DATA, samples[:, :, :n_colours])
    if n_colours == n_channels:
        return [colour]
    if kind in {ASSOCIATED, UNASSOCIATED}:
        mode = AlphaMode.PREMULTIPLIED if kind == ASSOCIATED else AlphaMode.STRAIGHT
        return [colour, _Part("alpha", Role.OPACITY, rounded(samples[:, :, n_colours:]), mode)]
    if n_channels == 2:
        return [_Part("color", Role.DATA, samples)]
    return [colour, _Part("extra", Role.DATA, samples[:, :, n_colours:])]


def _channel_names(parts: list[_Part], n_channels: int) -> list[str]:
    """Channel names if the picture is written as OpenEXR."""
    colours = {1: ["Y"], 3: ["R", "G", "B"]}.get(parts[0].samples.shape[2], [])
    if not colours or parts[0].role is not Role.COLOR:
        return [f"channel.{number}" for number in range(n_channels)]
    return colours + ["A" if part.alpha is not AlphaMode.NONE else part.name for part in parts[1:]]


def write_float_tiff(
    values: npt.NDArray[np.float32], bit_depth: int, alpha: AlphaMode, icc: bytes | None = None
) -> bytes:
    """A TIFF of float samples (H, W, C), deflated; `alpha` says what the last of two or four channels is."""
    import tifffile

    pixels = values.astype(np.float16 if bit_depth == 16 else np.float32)
    stream = io.BytesIO()
    photometric = "rgb" if pixels.shape[2] in {3, 4} else "minisblack"
    kind = {AlphaMode.NONE: "unspecified", AlphaMode.STRAIGHT: "unassalpha", AlphaMode.PREMULTIPLIED: "assocalpha"}
    extra = [kind[alpha]] if pixels.shape[2] in {2, 4} else None
    data = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    tifffile.imwrite(
        stream,
        data,
        photometric=photometric,
        compression="zlib",
        planarconfig="contig" if data.ndim == 3 else None,
        extrasamples=extra,
        metadata=None,
        iccprofile=icc,
    )
    return stream.getvalue()
