"""OpenEXR files: every channel of one part in, with the names, types and windows that a decode gives back."""

import io
import os
import re
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, InvalidArgument, LimitExceeded, UnsupportedImage
from gscodec.format.files import FileEntry
from gscodec.image.alpha import covers, rounded, straightened
from gscodec.image.file_types.exr_chroma import REC_709, colour_of, enlarged_chroma, luminance_weights
from gscodec.image.file_types.exr_header import kept_attributes, read_headers, with_attributes
from gscodec.image.floats import finite, float_group, model_samples
from gscodec.image.quiet import quiet
from gscodec.image.source_errors import one_line, warn_of_source
from gscodec.image.stack import DimensionCheck, ImageStack, bare_name, check_dimensions
from gscodec.model.channels import AlphaMode, ChannelGroup, Role
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.file_names import legal_name, legal_text, numbered

_TYPES: Final = {"float16": "half", "float32": "float"}
_DTYPES: Final = {"half": np.float16, "float": np.float32}
_LAYERS: Final = (("R", "G", "B"), ("Y",))
"""Last parts of the names of channels that are light."""

_CRYPTOMATTE: Final = re.compile(r"(.*\.)?(?i:u?crypto(object|material|asset))\d*")
_ID_SIZE: Final = 1e30
"""Floats beyond this value, of both signs in one channel, mark hashes: their exponents are spread evenly."""

_ZIP_ROWS: Final = 16
"""Rows of a chunk in ZIP compression."""

_COLOUR_NAMES: Final = {1: ["Y"], 2: ["Y", "A"], 3: ["R", "G", "B"], 4: ["R", "G", "B", "A"]}
"""Channel names by number of channels."""


def read_exr(
    file: BinaryIO, name: str, part: str | None = None, nan: str = "error", check: DimensionCheck = check_dimensions
) -> ImageStack:
    """One part of an OpenEXR file: the R, G and B of each layer as a colour group, every other channel by itself.

    The A of a layer follows its colour. That is premultiplied in the file, and straight in the stack, unless that would
    lose light (`alpha.straightened`).

    Scanline and tiled files, half and float channels; subsampled ones are enlarged, and stay so; luminance and chroma
    become R, G and B. Of several resolutions the finest. All attributes of the header are kept.

    Args:
        part: name or number, from 0, of the part; None is the only one.
        nan: what becomes of values that are not finite, see `floats.finite`.

    Raises:
        UnsupportedImage: deep data, ids (unsigned integers, Cryptomatte), or several parts and none chosen.
        BadImage: damaged or cut off. LimitExceeded: too large. InvalidArgument: no such part.
    """
    content = file.read()
    number, header = _choose(content, name, part)
    window, display = (_window(header, key, name) for key in ("dataWindow", "displayWindow"))
    width, height = window[2] - window[0] + 1, window[3] - window[1] + 1
    if width < 1 or height < 1:
        raise BadImage(f"{name}: {width}x{height} px is not a picture")
    n_channels = len(header.get("channels", ()))
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise LimitExceeded(f"{name}: {n_channels} channels, must be 1..{MAX_CHANNELS}; split the layers")
    check(height, width, name, n_channels)
    channels = _in_colour(_planes(_channels(content, number, name), window, name), header, name)
    _refuse_ids(channels, header, name)
    groups: list[ChannelGroup] = []
    samples: list[npt.NDArray[np.float32]] = []
    listed: list[dict[str, Any]] = []
    source = bare_name(name, ".exr")
    shown = dict(zip(channels, numbered([legal_text(member) for member in channels]), strict=True))
    layers = _layers(list(channels))
    arrays = []
    for _, _, members in layers:
        arrays.append(finite(np.stack([channels[member].pixels for member in members], axis=2), nan, name))
    modes = _straighten(layers, arrays)
    for (group_name, role, members), mode, values in zip(layers, modes, arrays, strict=True):
        group = float_group(group_name, values, role, channels[members[0]].depth, source)
        for member in members:
            listed.append({"name": shown[member], "type": channels[member].kind, "place": len(listed)})
        groups.append(replace(group, alpha=mode))
        samples.append(model_samples(values, group))
    exr = {"channels": listed, "data_window": window, "display_window": display} | _attributes(header)
    exr |= _other_attributes(content, number, name)
    if any(mode is not AlphaMode.NONE for mode in modes):
        exr["premultiplied"] = True
    entry = FileEntry(source, width, height, len(listed), tuple(group.name for group in groups), exr=exr)
    return ImageStack(np.concatenate(samples, axis=2), tuple(groups), None, name, (entry,))


def _straighten(layers: list[tuple[str, Role, list[str]]], arrays: list[npt.NDArray[np.float32]]) -> list[AlphaMode]:
    """Round the alphas and make their colours straight, in place, if that is lossless; modes of the opacities."""
    modes = [AlphaMode.NONE] * len(layers)
    for number in range(1, len(layers)):
        (_, before, colours), (_, role, members) = layers[number - 1 : number + 1]
        if role is Role.OPACITY and before is Role.COLOR and _layer_of(colours[0]) == _layer_of(members[0]):
            arrays[number] = rounded(arrays[number])
            straight = straightened(arrays[number - 1], arrays[number][:, :, 0])
            modes[number] = AlphaMode.PREMULTIPLIED if straight is None else AlphaMode.STRAIGHT
            arrays[number - 1] = arrays[number - 1] if straight is None else straight
    return modes


def _layer_of(channel: str) -> str:
    return channel.rpartition(".")[0]


def write_exr(
    values: npt.NDArray[np.float32], groups: tuple[ChannelGroup, ...], exr: Mapping[str, Any], bit_depth: int | None
) -> bytes:
    """An OpenEXR file, ZIP-compressed, of float samples (H, W, C).

    Args:
        groups: what the channels are; they name the file's channels where `exr` does not.
        exr: as `FileEntry.exr`, checked.
        bit_depth: 16 or 32 in place of each channel's own type.
    """
    openexr = _openexr()
    height, width, n_channels = values.shape
    listed = exr.get("channels") or _default_channels(groups, n_channels)
    header: dict[str, Any] = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    window = exr.get("data_window")
    fits = window is not None and (window[2] - window[0] + 1, window[3] - window[1] + 1) == (width, height)
    if window is not None and fits:
        header["dataWindow"] = _corners(window)
        if "display_window" in exr:
            header["displayWindow"] = _corners(exr["display_window"])
    if "chromaticities" in exr:
        header["chromaticities"] = tuple(float(value) for value in exr["chromaticities"])
    if "pixel_aspect" in exr:
        header["pixelAspectRatio"] = float(exr["pixel_aspect"])
    for key, attribute in (("part", "name"), ("view", "view")):
        if key in exr:
            header[attribute] = exr[key]
    channels = {}
    for channel in listed:
        kind = {16: "half", 32: "float", None: channel["type"]}[bit_depth]
        plane = values[:, :, channel["place"]]
        if kind == "half":
            plane = np.clip(plane, -65504, 65504)
        pixels = np.ascontiguousarray(plane.astype(_DTYPES[kind]))
        channels[channel["name"]] = openexr.Channel(pixels)
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "out.exr"
        openexr.File(header, channels).write(os.fspath(path))  # the library writes to paths only
        content = path.read_bytes()
    attributes = exr.get("attributes")
    return with_attributes(content, attributes, -(-height // _ZIP_ROWS)) if attributes else content


def _default_channels(groups: tuple[ChannelGroup, ...], n_channels: int) -> list[dict[str, Any]]:
    """R, G, B, A or Y, A for one picture; else the groups' names."""
    names = _COLOUR_NAMES.get(n_channels, [])
    is_one = len(groups) == 1 or (len(groups) == 2 and covers(groups))
    if not is_one or not names:
        names = [f"{group.name}.{channel}" for group in groups for channel in _layer_names(group)]
    kinds = ["half" if group.bit_depth == 16 else "float" for group in groups for _ in range(group.n_channels)]
    return [{"name": name, "type": kinds[place], "place": place} for place, name in enumerate(names)]


def _layer_names(group: ChannelGroup) -> list[str]:
    """Names within a layer: those of OpenEXR where there is an alpha, so that it is known as one."""
    if group.alpha is not AlphaMode.NONE and group.n_channels in {2, 4}:
        return _COLOUR_NAMES[group.n_channels]
    return [str(number) for number in range(group.n_channels)]


def _choose(content: bytes, name: str, part: str | None) -> tuple[int, dict[str, Any]]:
    """Index and header of the selected part."""
    with quiet():
        try:
            headers = [dict(part.header) for part in _openexr().File(io.BytesIO(content), header_only=True).parts]
        except Exception as fault:
            raise BadImage(f"{name}: the OpenEXR header is damaged ({one_line(fault)})") from fault
    names = [legal_text(str(header.get("name", number))) for number, header in enumerate(headers)]
    if not headers:
        raise BadImage(f"{name}: an OpenEXR file without parts")
    if part is None and len(headers) > 1:
        raise UnsupportedImage(f"{name}: has {len(headers)} parts ({', '.join(names)[:160]}); choose one with --part")
    if part is None:
        number = 0
    elif part in names:
        number = names.index(part)
    elif part.isdecimal() and int(part) < len(headers):
        number = int(part)
    else:
        raise InvalidArgument(f"{name}: has no part {part!r}; there are {', '.join(names)[:160]}")
    if "deep" in str(headers[number].get("type", "")):
        raise UnsupportedImage(f"{name}: deep data is not read; flatten it first")
    return number, headers[number]


def _channels(content: bytes, number: int, name: str) -> dict[str, Any]:
    with quiet():
        try:
            parts = _openexr().File(io.BytesIO(content), separate_channels=True).parts
            channels = dict(parts[number].channels)  # the library leaves out parts that it cannot read
        except Exception as fault:
            raise BadImage(f"{name}: the OpenEXR data is damaged or cut off ({one_line(fault)})") from fault
    for channel, channel_data in channels.items():
        if getattr(channel_data.pixels, "ndim", 0) != 2 or not channel_data.pixels.size:
            raise BadImage(f"{name}: channel {channel} of the OpenEXR data is damaged")
        if str(channel_data.pixels.dtype) not in _TYPES:
            raise UnsupportedImage(
                f"{name}: channel {channel} has unsigned integers (ids), which a lossy codec cannot keep; leave it out "
                "of the file, or choose another part with --part"
            )
    if not channels:
        raise BadImage(f"{name}: the OpenEXR data is damaged or cut off")
    return channels


@dataclass(frozen=True)
class _Channel:
    """A channel at the size of the picture."""

    pixels: npt.NDArray[np.float32]  # (H, W)
    kind: str  # as stored: half or float

    @property
    def depth(self) -> int:
        return 16 if self.kind == "half" else 32


def _planes(channels: Mapping[str, Any], window: list[int], name: str) -> dict[str, _Channel]:
    """Channels at full size; subsampled ones are enlarged."""
    height, width = window[3] - window[1] + 1, window[2] - window[0] + 1
    planes = {}
    for channel, channel_data in channels.items():
        pixels = channel_data.pixels.astype(np.float32)
        steps = (int(channel_data.ySampling), int(channel_data.xSampling))
        if pixels.shape != (height, width):
            wanted = tuple(-(-side // step) for side, step in zip((height, width), steps, strict=True))
            if min(steps) < 1 or pixels.shape != wanted:
                shape = f"{pixels.shape[1]}x{pixels.shape[0]} px, the picture {width}x{height}"
                raise BadImage(f"{name}: channel {channel} has {shape}")
            is_chroma = steps == (2, 2) and channel.rpartition(".")[2] in {"RY", "BY"}
            pixels = enlarged_chroma(pixels, height, width) if is_chroma else _enlarged(pixels, steps, height, width)
            if not is_chroma:
                warn_of_source(f"{name}: channel {channel} is subsampled in the file, and written at full size")
        planes[channel] = _Channel(pixels, _TYPES[str(channel_data.pixels.dtype)])
    return planes


def _enlarged(
    pixels: npt.NDArray[np.float32], steps: tuple[int, int], height: int, width: int
) -> npt.NDArray[np.float32]:
    """Linear interpolation between samples at every `steps`-th pixel, from the first on."""
    for axis, (step, size) in enumerate(zip(steps, (height, width), strict=True)):
        place = np.arange(size) / step
        low = np.minimum(place.astype(np.int64), pixels.shape[axis] - 1)
        high = np.minimum(low + 1, pixels.shape[axis] - 1)
        share = (place - low).astype(np.float32).reshape([-1 if each == axis else 1 for each in range(2)])
        pixels = np.take(pixels, low, axis) * (1 - share) + np.take(pixels, high, axis) * share
    return np.ascontiguousarray(pixels, np.float32)


def _in_colour(channels: dict[str, _Channel], header: Mapping[str, Any], name: str) -> dict[str, _Channel]:
    """Channels with R, G and B in place of each layer's Y, RY and BY."""
    result = dict(channels)
    for channel in channels:
        layer, dot, last = channel.rpartition(".")
        y, red, blue = (f"{layer}{dot}{each}" for each in ("Y", "RY", "BY"))
        colour = [f"{layer}{dot}{each}" for each in "RGB"]
        if last != "Y" or red not in channels or blue not in channels or any(each in channels for each in colour):
            continue
        primaries = header.get("chromaticities")
        try:
            weights = luminance_weights(REC_709 if primaries is None else list(np.ravel(np.asarray(primaries))))
        except (ValueError, np.linalg.LinAlgError) as fault:
            raise BadImage(f"{name}: has {fault}") from fault
        planes = colour_of(channels[y].pixels, channels[red].pixels, channels[blue].pixels, weights)
        for each in (y, red, blue):
            del result[each]
        result |= {each: _Channel(plane, channels[y].kind) for each, plane in zip(colour, planes, strict=True)}
        warn_of_source(f"{name}: luminance and chroma ({y}, {red}, {blue}) are read, and written, as R, G and B")
    return result


def _refuse_ids(channels: Mapping[str, _Channel], header: Mapping[str, Any], name: str) -> None:
    """Raise for ids that are stored as floats: lossy coding would change them.

    Raises:
        UnsupportedImage: a layer of Cryptomatte, or numbers spread over the whole range of floats, either sign.
    """
    id_layers = {
        str(value) for key, value in header.items() if key.startswith("cryptomatte/") and key.endswith("/name")
    }
    for channel, channel_data in channels.items():
        layer = channel.rpartition(".")[0] or channel
        is_named = (
            any(layer.startswith(each) for each in id_layers if each) or _CRYPTOMATTE.fullmatch(layer) is not None
        )
        with np.errstate(invalid="ignore"):
            is_wide = bool((channel_data.pixels > _ID_SIZE).any() and (channel_data.pixels < -_ID_SIZE).any())
        if is_named or (is_wide and np.isfinite(channel_data.pixels).all()):
            raise UnsupportedImage(
                f"{name}: layer {legal_text(layer)} has ids (as of Cryptomatte), which a lossy codec cannot keep; "
                "leave the layer out of the file, or choose another part with --part"
            )


def _other_attributes(content: bytes, number: int, name: str) -> dict[str, Any]:
    """Every attribute that a file may have or not, as it is stored."""
    try:
        header = read_headers(content)[number]
    except (ValueError, IndexError, struct.error):  # the library has read it: ours is the fault, and the smaller one
        warn_of_source(f"{name}: the attributes of its header are left out")
        return {}
    kept, left_out = kept_attributes(header)
    if left_out:
        warn_of_source(f"{name}: header attributes are left out: {', '.join(map(repr, left_out))[:200]}")
    return {"attributes": kept} if kept else {}


def _layers(names: list[str]) -> list[tuple[str, Role, list[str]]]:
    """Groups by name, role and channels: the light of each layer and then its alpha; every other channel by itself."""
    result = []
    left = dict.fromkeys(names)
    for name in names:
        layer, dot, last = name.rpartition(".")
        if name not in left:
            continue
        light = next(([layer + dot + each for each in kind] for kind in _LAYERS if last in kind), [])
        if light and all(each in left for each in light):
            result.append((layer or "color", Role.COLOR, light))
            alpha = layer + dot + "A"
            if alpha in left:
                result.append((alpha, Role.OPACITY, [alpha]))
                light = [*light, alpha]
            for each in light:
                del left[each]
    result += [(name, Role.OPACITY if name.rpartition(".")[2] == "A" else Role.DATA, [name]) for name in left]
    names = numbered([legal_name(name) for name, _, _ in result])
    return [(name, role, members) for name, (_, role, members) in zip(names, result, strict=True)]


def _window(header: Mapping[str, Any], key: str, name: str) -> list[int]:
    try:
        (left, top), (right, bottom) = header[key]
        return [int(left), int(top), int(right), int(bottom)]
    except (KeyError, TypeError, ValueError) as fault:
        raise BadImage(f"{name}: the OpenEXR header has no {key}") from fault


def _corners(window: list[int]) -> tuple[Any, Any]:
    return np.array(window[:2], np.int32), np.array(window[2:], np.int32)


def _attributes(header: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that a decode restores."""
    tags: dict[str, Any] = {}
    chromaticities = header.get("chromaticities")
    if chromaticities is not None:
        numbers = [float(value) for value in np.ravel(np.asarray(chromaticities))]
        if len(numbers) == 8 and np.isfinite(numbers).all():
            tags["chromaticities"] = numbers
    aspect = header.get("pixelAspectRatio", 1.0)
    if isinstance(aspect, float) and np.isfinite(aspect) and aspect > 0 and aspect != 1.0:
        tags["pixel_aspect"] = aspect
    for attribute, key in (("name", "part"), ("view", "view")):
        text = header.get(attribute)
        if isinstance(text, str) and text:
            tags[key] = legal_text(text)
    return tags


def _openexr() -> Any:
    import OpenEXR

    return OpenEXR
