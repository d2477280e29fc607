"""What an encode is given: small pictures in memory, large ones in parts."""

import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import file_access_error
from gscodec.image.kinds import one_line_errors, open_pillow
from gscodec.image.large_tiff import open_large_tiff
from gscodec.image.load import HEAD_BYTES, tags_of
from gscodec.image.metadata import as_tagged
from gscodec.image.profiles import sound_profile
from gscodec.image.regions import Rect, RegionSource, SpooledPicture
from gscodec.image.stack import ImageStack, check_for, cmyk_groups, is_cmyk, picture_groups
from gscodec.image.tiff_layout import SIGNATURES
from gscodec.io.streams import is_stream
from gscodec.material.described import MapFile, meaning_of_file
from gscodec.material.maps import Overrides, load_source, one_picture
from gscodec.material.tile_folder import TileFolder, common_name, find_tiles
from gscodec.model.channels import COLOURS, AlphaMode, Transfer
from gscodec.model.constants import LARGE_PIXELS
from gscodec.model.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_LOOKED_AT: Final = 64
"""Side, px, of each of 16 areas that say whether a picture in parts is what its name says."""

_ROWS: Final = 256
"""Rows that are taken out of a decoded picture at a time."""

_CHANNELS: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
_ORIENTATION: Final = 0x0112


def load_picture(
    paths: Sequence[str | os.PathLike[str]],
    *,
    part: str | None = None,
    nan: str = "error",
    limits: Limits = DEFAULT_LIMITS,
    overrides: Overrides | None = None,
) -> ImageStack | RegionSource:
    """What an encode is given, as `load_source`; a picture of more than LARGE_PIXELS in parts where that is possible.

    Read in parts are TIFF and BigTIFF of integers, folders of tiles (`tile_folder`), and 8-bit pictures of other types,
    which are decoded once, into a temporary file. The rest is taken into memory whole. Of a picture in parts all
    channels are stored, whatever its role.

    Raises:
        GsCodecError: as `load_source`, `open_large_tiff` and `TileFolder`.
    """
    overrides = overrides or Overrides()
    large = _large(Path(paths[0]), limits, overrides) if len(paths) == 1 and os.fspath(paths[0]) != "-" else None
    if large is None:
        return load_source(paths, part=part, nan=nan, limits=limits, overrides=overrides)
    if isinstance(large, RegionSource) and not Path(paths[0]).is_dir():
        large.source_name = os.fspath(paths[0])
    return large


def _large(path: Path, limits: Limits, overrides: Overrides) -> ImageStack | RegionSource | None:
    if is_stream(path):
        return None
    if path.is_dir():
        places = None if overrides.stack else find_tiles(path)
        if places is None:
            return None
        file = overrides.file(path / (common_name(places) + places[0, 0].suffix))
        return _small_whole(TileFolder(places, os.fspath(path)), os.fspath(path), file)
    source = _in_parts(path, limits)
    return None if source is None else _with_role(source, overrides.file(path))


def _in_parts(path: Path, limits: Limits) -> RegionSource | None:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except (OSError, ValueError):  # load_source has the words for it
        return None
    if head[:4] in SIGNATURES:
        return open_large_tiff(path, LARGE_PIXELS, limits)
    if head[:4] in {b"\x76\x2f\x31\x01"} or head.startswith(b"#?"):
        return None  # floats, which are read whole
    return _decoded_once(path, limits)


def _small_whole(source: RegionSource, name: str, file: MapFile) -> ImageStack | RegionSource:
    height, width, _ = source.shape
    if height * width > LARGE_PIXELS:
        return _with_role(source, file)
    with source:
        whole = ImageStack(source.read(Rect(0, 0, width, height)), source.groups, source.icc, name)
    return one_picture(whole, file)


def _with_role(source: RegionSource, file: MapFile) -> RegionSource:
    """The picture with the role that its name and some of its pixels give it."""
    group = source.groups[0]
    if is_cmyk(source.groups):
        return source

    def look() -> npt.NDArray[np.float32]:
        height, width, _ = source.shape
        side = min(_LOOKED_AT, height, width)
        places = [
            Rect(x, y, x + side, y + side)
            for y in np.linspace(0, height - side, 4).astype(int).tolist()
            for x in np.linspace(0, width - side, 4).astype(int).tolist()
        ]
        return np.concatenate([source.read(place) for place in places])

    try:
        meant = meaning_of_file(file, look, source.shape[2], int(group.alpha is not AlphaMode.NONE))
    except BaseException:
        source.close()
        raise
    is_colour = meant.role in COLOURS
    source.groups = (
        replace(
            group,
            name=meant.kind or group.name,
            role=meant.role,
            transfer=group.transfer if is_colour else Transfer.LINEAR,
            alpha=group.alpha if is_colour else AlphaMode.NONE,
            normal=meant.normal,
        ),
    )
    source.icc = source.icc if is_colour else None
    return source


def _decoded_once(path: Path, limits: Limits) -> RegionSource | None:
    """A large 8-bit picture that Pillow reads, in a temporary file; None for any other."""
    name = os.fspath(path)
    try:
        file = path.open("rb")
    except OSError as fault:
        raise file_access_error(f"{name}: cannot be opened: {fault.strerror}", fault) from fault
    with file:
        check = check_for(file, limits)
        head = file.read(HEAD_BYTES)
        try:
            image = open_pillow(file, name, check)
        except Exception:  # load_source has the words for it
            return None
        width, height = image.size
        n_channels = _CHANNELS.get(image.mode, 0)
        if height * width <= LARGE_PIXELS or not n_channels or not _is_as_stored(image):
            return None
        extras = None
        if image.format == "PNG":
            png = importlib.import_module("gscodec.image.png")
            extras = png.check_chunks(file, name)
            image = open_pillow(file, name, check)
        with one_line_errors(name):
            groups = cmyk_groups(8) if image.mode == "CMYK" else picture_groups(n_channels, 8)
            icc = sound_profile(image.info.get("icc_profile"), groups, name)
            source = SpooledPicture((height, width, n_channels), groups, icc, _rows(image, n_channels), name)
            source.metadata = tags_of(image, head, extras, name, has_icc=icc is not None)
            source.groups = as_tagged(groups, source.metadata)
            return source


def _is_as_stored(image: "ImageFile") -> bool:
    """Whether 8-bit levels of the mode are all there is: no deeper samples, key colour, or turn."""
    from gscodec.image.deep import is_deep_colour, raw_mode

    if is_deep_colour(image) or "transparency" in image.info or raw_mode(image).startswith(("L;2", "L;4")):
        return False
    try:
        return image.getexif().get(_ORIENTATION, 1) in {0, 1}
    except Exception:  # damaged metadata does not stop a picture from being read
        return True


def _rows(image: "ImageFile", n_channels: int) -> Iterator[npt.NDArray[Any]]:
    image.load()
    width, height = image.size
    for y in range(0, height, _ROWS):
        part = np.asarray(image.crop((0, y, width, min(height, y + _ROWS))))
        yield part.reshape(part.shape[0], width, n_channels)
