"""One texture: from the bytes of a PNG or JPEG file to those of an `.igs` file, and back to PNG."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from gscodec.decoding.to_files import decode
from gscodec.encoding.api import encode
from gscodec.encoding.progress import Progress
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import InvalidArgument
from gscodec.format.layout import SIGNATURE
from gscodec.gltf.uses import Use
from gscodec.image.load import load_image
from gscodec.image.stack import ImageStack, is_cmyk
from gscodec.material.described import MapFile
from gscodec.material.maps import one_picture
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role
from gscodec.model.limits import Limits

IGS_TYPE: Final = "image/vnd.gscodec.igs"
"""Media type of `.igs` files (spec/igs.md, section 15.1)."""

PNG_TYPE: Final = "image/png"

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_ROLES: Final = {"color": Role.COLOR, "normal": Role.NORMAL, "data": Role.DATA}


@dataclass(frozen=True)
class Encoder:
    """How textures are encoded."""

    settings: EncodeSettings = field(default_factory=EncodeSettings)
    device: str = "auto"
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)
    progress: Callable[[Progress], None] | None = None


@dataclass(frozen=True)
class Picture:
    """An encoded or decoded texture."""

    data: bytes = field(repr=False)
    height: int  # px
    width: int
    use: Use | None  # what it was encoded for


def is_source(data: bytes) -> bool:
    """Whether a file is a PNG or a JPEG, which glTF allows for textures."""
    return data.startswith((_PNG, _JPEG))


def is_igs(data: bytes) -> bool:
    """Whether a file begins like an `.igs` file."""
    return data.startswith(SIGNATURE)


def encode_texture(data: bytes, use: Use, file_name: str, name: str, encoder: Encoder) -> Picture | None:
    """The `.igs` file of a texture; None for a picture of inks (CMYK), which no renderer of glTF takes.

    An alpha that the materials do not use is left out, and so is the rest of colours below it.

    Args:
        data: the PNG or JPEG file.
        file_name: recorded as the name of the source.
        name: of the image in messages.

    Raises:
        GsCodecError: the picture cannot be read or encoded.
    """
    stack = load_image(data, name, limits=encoder.limits)
    if is_cmyk(stack.groups):
        return None
    (group,) = stack.groups
    if use.alpha == "unused" and group.alpha is not AlphaMode.NONE:
        stack = _without_alpha(stack, group)
    kind = use.kind
    if kind == "normal" and stack.samples.shape[2] < 3:
        kind = "data"  # gray stands for three equal channels, which are no unit vector
    convention = NormalConvention.GL if kind == "normal" else None
    stack = one_picture(stack, MapFile(Path(file_name), role=_ROLES[kind], normal=convention))
    result = encode(
        stack,
        settings=encoder.settings.for_samples(),
        device=encoder.device,
        threads=encoder.threads,
        limits=encoder.limits,
        progress=encoder.progress,
    )
    height, width, _ = stack.samples.shape
    return Picture(result.data, height, width, replace(use, kind=kind))


def decode_texture(data: bytes, name: str, encoder: Encoder) -> Picture:
    """The PNG file of a texture.

    Args:
        data: the `.igs` file. name: of the image in messages.
        encoder: its device, threads and limits count.

    Raises:
        GsCodecError: the file is damaged, or holds several maps.
    """
    if not is_igs(data):
        raise InvalidArgument(f"{name}: is not an .igs file")
    out = io.BytesIO()
    where = {"device": encoder.device, "threads": encoder.threads}
    (written,) = decode(data, out, format="png", limits=encoder.limits, **where)  # type: ignore[arg-type]
    return Picture(out.getvalue(), written.height, written.width, None)


def _without_alpha(stack: ImageStack, group: ChannelGroup) -> ImageStack:
    plain = replace(group, n_channels=group.n_channels - 1, alpha=AlphaMode.NONE)
    return replace(stack, samples=stack.samples[:, :, :-1].copy(), groups=(plain,))
