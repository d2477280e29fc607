"""Converts samples to the bytes of a texture level: channels in the format's order, then blocks or plain values."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import MissingExtra
from gscodec.exporting.astc import astc_blocks
from gscodec.exporting.bc6h import bc6h_blocks
from gscodec.exporting.formats import ASTC, TexelFormat
from gscodec.extras import install_command
from gscodec.image.levels import full_range
from gscodec.image.normals import Meaning, codes_of, meaning_in, unit_normals
from gscodec.image.transfer import light_of_srgb
from gscodec.model.channels import AlphaMode, ChannelGroup, has_srgb_codes

Samples = npt.NDArray[np.float32]

_HALF_MAX: Final = 65504.0

_OPAQUE_WEIGHTS: Final = [1, 1, 1, 32]
"""Weight of the error in R, G, B, A if alpha is 1 everywhere. BC7 has modes that share bits between alpha and colour;
with equal weights the encoder uses them: 45.4 dB instead of 45.7 on a photograph."""


def level_bytes(
    samples: Samples,
    group: ChannelGroup,
    form: TexelFormat,
    meaning: Meaning | None = None,
    threads: int | None = None,
) -> bytes:
    """Bytes of a level in a format.

    Args:
        samples: float32 (H, W, C), 0..1 for integer sources.
        group: channel group of the C channels.
        meaning: meaning of a normal map's third channel; None detects it.
        threads: CPU threads of the encoder of ASTC; None means all cores. They do not change the bytes.

    Raises:
        MissingExtra: the format is block-compressed, and the package that encodes it is not installed.
    """
    meaning = meaning or meaning_in(samples, group)
    texels = arranged(samples, group, form, meaning)
    if form.has_float_blocks:
        return bc6h_blocks(texels[:, :, :3])
    if form.name in ASTC:
        codes = np.asarray(full_range(texels, np.uint8))
        is_normal = meaning is not None and form.holds == 2
        return astc_blocks(codes, form.block, srgb=has_srgb_codes(group), is_normal=is_normal, threads=threads)
    if form.dtype is None:
        return _blocks(np.asarray(full_range(texels, np.uint8)), form)
    if form.is_float:
        if form.dtype == "float16":
            texels = np.clip(texels, -_HALF_MAX, _HALF_MAX)
        return texels.astype(np.dtype(form.dtype).newbyteorder("<")).tobytes()
    return np.asarray(full_range(texels, form.dtype)).astype(np.dtype(form.dtype).newbyteorder("<")).tobytes()


def arranged(samples: Samples, group: ChannelGroup, form: TexelFormat, meaning: Meaning | None) -> Samples:
    """(H, W, 1), (H, W, 2) or (H, W, 4) samples in the format's channels: gray is repeated, a missing alpha is 1.

    For float formats, sRGB codes become light; for integer formats, components of normals become codes; for two-channel
    formats, a normal keeps X and Y, normalised with its Z if Z is meaningful.
    """
    n_channels = samples.shape[2]
    has_alpha = group.alpha is not AlphaMode.NONE and n_channels in {2, 4}
    if meaning is not None and not form.is_float:
        samples = codes_of(samples, group)
    if meaning is not None and form.holds == 2:
        return (samples if meaning is Meaning.XY else unit_normals(samples))[:, :, :2]
    if form.is_float and has_srgb_codes(group):
        n_colour = n_channels - has_alpha
        samples = np.concatenate([light_of_srgb(samples[:, :, :n_colour]), samples[:, :, n_colour:]], axis=2)
    if form.holds <= 2:
        return samples[:, :, : form.holds]
    colour, alpha = (samples[:, :, :-1], samples[:, :, -1:]) if has_alpha else (samples, None)
    if n_channels == 4 and not has_alpha:
        return samples
    result = np.zeros((*samples.shape[:2], 4), np.float32)
    result[:, :, : colour.shape[2]] = colour
    if colour.shape[2] == 1:
        result[:, :, 1:3] = colour
    result[:, :, 3:] = 1.0 if alpha is None else alpha
    return result


def _blocks(texels: npt.NDArray[np.uint8], form: TexelFormat) -> bytes:
    """Blocks of 4x4 texels; partial blocks at the edges repeat the last texel."""
    etcpak = _etcpak()
    height, width, n_channels = texels.shape
    full = np.zeros((height, width, 4), np.uint8)
    full[:, :, :n_channels] = texels
    if n_channels < 4:
        full[:, :, 3] = 255
    full = np.pad(full, [(0, -height % 4), (0, -width % 4), (0, 0)], mode="edge")
    rows, columns = full.shape[:2]
    compress = getattr(etcpak, f"compress_{form.name}")
    if form.name != "bc7":
        return bytes(compress(full.tobytes(), columns, rows))
    options = etcpak.BC7CompressBlockParams()
    options.m_uber_level = 1
    if (full[:, :, 3] == 255).all():
        options.m_weights = _OPAQUE_WEIGHTS
    return bytes(compress(full.tobytes(), columns, rows, options))


def _etcpak() -> Any:
    try:
        import etcpak
    except ModuleNotFoundError as fault:
        raise MissingExtra(
            f"block compression needs etcpak: {install_command('export')}, or use --format rgba8"
        ) from fault
    return etcpak
