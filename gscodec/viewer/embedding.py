"""Files as parts of a page: `.igs` files as they are, pictures in a type that every browser reads."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.container.reader import IgsReader
from gscodec.errors import file_access_error
from gscodec.format.opening import open_source
from gscodec.image.levels import has_floats, to_values
from gscodec.image.save import encode_image
from gscodec.model.channels import ChannelGroup
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.viewer.page import EmbeddedFile

READ_BY_BROWSERS: Final = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp"}


def embedded_igs(source: str | Path | bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> EmbeddedFile:
    """An `.igs` file as it is, once its header and tables have been checked.

    Args:
        source: path, URL or contents.
        name: for messages; the page shows its last part.

    Raises:
        GsCodecError: it cannot be read, or is no valid `.igs` file.
    """
    opened = open_source(source, name, limits)
    try:
        data = bytes(opened.read_at(0, opened.size))
    finally:
        opened.close()
    IgsReader(data, name).close()
    return EmbeddedFile(PurePath(name).name, data)


def embedded_picture(path: Path, samples: npt.NDArray[np.float32], groups: Sequence[ChannelGroup]) -> EmbeddedFile:
    """A picture: the file itself where browsers read its type, else a PNG of 8 bits, floats clipped to 0..1.

    Args:
        path: of the file.
        samples: float32 (H, W, C) in the domain of the model, as `load_image` has them.
        groups: what its channels are.

    Raises:
        FileAccessError: it cannot be read.
        UnsupportedImage: it is several pictures.
    """
    if path.suffix.lower() not in READ_BY_BROWSERS:
        values = to_values(samples, groups) if has_floats(groups) else samples
        return EmbeddedFile(path.name, encode_image("picture.png", values, groups, None, bit_depth=8, format_name=None))
    try:
        return EmbeddedFile(path.name, path.read_bytes())
    except OSError as fault:
        raise file_access_error(f"{path}: cannot be read: {fault.strerror}", fault) from fault
