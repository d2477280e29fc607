"""Thumbnails and figures of the maps in an `.igs` file, for reports."""

import base64
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from gscodec.errors import GsCodecError, SourceWarning

if TYPE_CHECKING:
    from gscodec.decoding.image import IgsImage

SIDE_PX: Final = 96
"""Longest side of a thumbnail."""


class MapFigures(NamedTuple):
    """One map, or the picture, of a file."""

    name: str
    role: str
    width: int  # px
    height: int
    n_channels: int
    groups: tuple[str, ...]  # names of its channel groups
    png: str  # data URI of its thumbnail; empty if a PNG cannot show it


def maps_of(path: Path) -> list[MapFigures]:
    """The maps of a file with thumbnails, read from a coarse level; empty if the file cannot be read."""
    from gscodec.decoding.image import IgsImage

    try:
        with IgsImage(path, device="cpu", threads=1) as image:
            return [
                MapFigures(
                    entry.name,
                    next((group.role.value for group in image.groups if group.name in entry.groups), "constant"),
                    entry.width,
                    entry.height,
                    entry.n_channels,
                    entry.groups,
                    _thumbnail(image, entry.name, entry.width, entry.height),
                )
                for entry in image.files
            ]
    except (GsCodecError, OSError):
        return []


def _thumbnail(image: "IgsImage", name: str, width: int, height: int) -> str:
    from gscodec.image.save import encode_image

    scale = min(1.0, SIDE_PX / max(width, height))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SourceWarning)  # of what a thumbnail leaves out
            (picture,) = image.render_files([name], size=size).values()
            data = encode_image(name, picture.samples, picture.groups, None, bit_depth=8, format_name="png")
    except GsCodecError:
        return ""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
