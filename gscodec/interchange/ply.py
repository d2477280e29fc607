"""PLY files of Gaussians: points with colours in any viewer of point clouds, and all fields for those who read them.

Element `vertex` has x, y (px; y runs down), z = 0, red, green, blue (0..255, for viewers), inv_scale_0, inv_scale_1
(1/px), rotation (rad) and f_0 ... f_{C-1}, the features. A comment that begins with `gscodec ` has the JSON of
`picture.described`. Written in float32, which keeps all that profile `f16` stores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.errors import BadImage
from gscodec.interchange.checked import check_shapes, checked
from gscodec.interchange.colours import shown_colours
from gscodec.interchange.picture import MAX_TEXT_BYTES, Describe, described, parsed
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.limits import Limits

MAGIC: Final = b"ply"

_COMMENT: Final = "comment gscodec "
_HEADER_BYTES: Final = MAX_TEXT_BYTES + (1 << 16)
_TYPES: Final = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS: Final = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_MOST_PROPERTIES: Final = 4 * MAX_CHANNELS
_TEXT_MEMORY: Final = 64
"""Bytes of memory per byte of an ASCII file: each number becomes a Python object."""


def pack_ply(contents: Contents) -> bytes:
    """Bytes of a binary PLY file."""
    gaussians = contents.gaussians
    n_channels = gaussians.n_channels
    floats = ["inv_scale_0", "inv_scale_1", "rotation", *(f"f_{k}" for k in range(n_channels))]
    fields = [*((axis, "<f4") for axis in "xyz"), *((name, "u1") for name in ("red", "green", "blue"))]
    rows = np.zeros(len(gaussians), [*fields, *((name, "<f4") for name in floats)])
    rows["x"], rows["y"] = gaussians.means.T
    rows["red"], rows["green"], rows["blue"] = shown_colours(contents)[:, :3].T
    rows["inv_scale_0"], rows["inv_scale_1"] = gaussians.inv_scales.T
    rows["rotation"] = gaussians.rotations
    for k in range(n_channels):
        rows[f"f_{k}"] = gaussians.features[:, k]
    names = {"<f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", _COMMENT + described(contents)]
    header += [f"element vertex {len(rows)}"]
    header += [f"property {names[kind]} {name}" for name, kind in [*fields, *((name, "<f4") for name in floats)]]
    return "\n".join([*header, "end_header\n"]).encode("ascii") + rows.tobytes()


@dataclass(frozen=True)
class _Header:
    order: str  # of bytes, as NumPy names it; empty for text
    n_rows: int
    properties: list[tuple[str, str]]  # name and type of each
    described_as: str | None
    n_bytes: int


def unpack_ply(data: bytes, describe: Describe | None, name: str, limits: Limits) -> Contents:
    """Contents of a PLY file, binary or text.

    Args:
        describe: the picture of Gaussians with that many channels, in place of the description in the file.
        name: of the file, in messages.

    Raises:
        BadImage: it is not a PLY file of Gaussians. LimitExceeded: it takes more memory than allowed.
    """
    header = _header(data, name)
    n_channels = 0
    known = dict(header.properties)
    while f"f_{n_channels}" in known:
        n_channels += 1
    for needed in ("x", "y", "inv_scale_0", "inv_scale_1", "rotation", "f_0"):
        if needed not in known:
            raise BadImage(f"{name}: its vertices have no {needed}, which Gaussians have")
    features = [f"f_{k}" for k in range(n_channels)]
    body = memoryview(data)[header.n_bytes :]
    limits.check_memory(2 * len(body) * (1 if header.order else _TEXT_MEMORY), f"{name}: its vertices")
    columns = _binary(header, body, name) if header.order else _text(header, bytes(body), name)
    n = header.n_rows
    shapes: dict[str, Sequence[int]] = {
        "means": (n, 2),
        "inverse scales": (n, 2),
        "rotations": (n,),
        "features": (n, n_channels),
    }
    check_shapes(shapes, name, limits)
    with np.errstate(invalid="ignore"):  # of signalling NaNs, which are refused below
        wide = {
            "means": np.stack([columns["x"], columns["y"]], axis=1).astype(np.float64),
            "inverse scales": np.stack([columns["inv_scale_0"], columns["inv_scale_1"]], axis=1).astype(np.float64),
            "rotations": np.asarray(columns["rotation"], np.float64),
            "features": np.stack([columns[key] for key in features], axis=1),
        }
    if describe is not None:
        picture = describe(n_channels)
    elif header.described_as is not None:
        picture = parsed(header.described_as, n_channels, name)
    else:
        raise BadImage(
            f"{name}: has no comment that describes the picture; give the size of the picture as WxH with --size"
        )
    means, inv_scales, rotations, values = wide.values()
    return picture.contents(checked(means, inv_scales, rotations, values, picture.grid, name))


def _header(data: bytes, name: str) -> _Header:
    end = data.find(b"\nend_header", 0, _HEADER_BYTES)  # a comment may have the word
    line_end = data.find(b"\n", end + 1, end + 16)
    if not data.startswith(MAGIC) or end < 0 or line_end < 0:
        raise BadImage(f"{name}: is not a PLY file, or its header has no end")
    try:
        lines = data[:end].decode("ascii").split("\n")
    except UnicodeDecodeError as fault:
        raise BadImage(f"{name}: the header of the PLY file is not ASCII") from fault
    order: str | None = None
    rows: int | None = None
    properties: list[tuple[str, str]] = []
    described_as = None
    in_vertex = False
    for line in lines[1:]:
        words = line.split()
        if line.startswith(_COMMENT):
            described_as = line.removeprefix(_COMMENT).rstrip("\r")
        elif words[:1] in (["comment"], ["obj_info"], []):
            continue
        elif words[0] == "format" and len(words) == 3 and words[1] in _ORDERS:
            order = _ORDERS[words[1]]
        elif words[0] == "element" and len(words) == 3 and words[2].isdecimal() and len(words[2]) < 12:
            in_vertex = words[1] == "vertex" and rows is None
            if in_vertex:
                rows = int(words[2])
            elif rows is None:
                raise BadImage(f"{name}: element {words[1]!r:.40} comes before the vertices, which is not supported")
        elif words[0] == "property" and in_vertex:
            if len(words) != 3 or words[1] not in _TYPES:
                raise BadImage(f"{name}: {line.strip()!r:.60} is not a number per vertex")
            properties.append((words[2], _TYPES[words[1]]))
        elif words[0] != "property":
            raise BadImage(f"{name}: the header of the PLY file has the line {line.strip()!r:.60}")
    if order is None or rows is None or not 0 < len(properties) <= _MOST_PROPERTIES:
        raise BadImage(f"{name}: the header of the PLY file names no format, or no vertices with properties")
    if len(dict(properties)) < len(properties):
        raise BadImage(f"{name}: a property of the vertices is there twice")
    return _Header(order, rows, properties, described_as, line_end + 1)


def _binary(header: _Header, body: memoryview, name: str) -> Any:
    dtype = np.dtype([(key, header.order + kind) for key, kind in header.properties])
    if dtype.itemsize * header.n_rows > len(body):
        raise BadImage(f"{name}: ends before the last of its {header.n_rows} vertices")
    return np.frombuffer(body, dtype, header.n_rows)


def _text(header: _Header, body: bytes, name: str) -> dict[str, npt.NDArray[np.float64]]:
    width = len(header.properties)
    words = body.split(None, header.n_rows * width)[: header.n_rows * width]
    if len(words) < header.n_rows * width:
        raise BadImage(f"{name}: ends before the last of its {header.n_rows} vertices")
    try:
        table = np.array([float(word) for word in words], np.float64).reshape(header.n_rows, width)
    except ValueError as fault:
        raise BadImage(f"{name}: a value of a vertex is not a number") from fault
    return {key: table[:, place] for place, (key, _) in enumerate(header.properties)}
