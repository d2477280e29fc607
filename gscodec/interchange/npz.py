"""NumPy archives (`.npz`) of Gaussians: arrays that `numpy.load` reads without pickles.

`means` float64 (N, 2) px, `inv_scales` float64 (N, 2) 1/px, `rotations` float64 (N,) rad and `features` float32 (N, C)
are those of `GaussianSet`; `picture` is a text, the JSON of `picture.described`; `icc` uint8 (n,) is there if the
picture has an ICC profile.
"""

import io
import math
import tokenize
import zipfile
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.errors import BadImage, GsCodecError
from gscodec.format.limits import MAX_ICC_BYTES
from gscodec.interchange.checked import check_shapes, checked, short_reason
from gscodec.interchange.picture import MAX_TEXT_BYTES, Describe, Picture, described, parsed
from gscodec.interchange.zip_members import ZIP_FAULTS, read_member
from gscodec.model.constants import MAX_CHANNELS, MAX_GAUSSIANS
from gscodec.model.limits import Limits

ARRAYS: Final = ("means", "inv_scales", "rotations", "features")

_HEADER_BYTES: Final = 4096
"""Bytes of an .npy member besides its data: NumPy writes 128."""

_MOST_BYTES: Final = {
    **dict.fromkeys(ARRAYS, 8 * MAX_GAUSSIANS * MAX_CHANNELS + _HEADER_BYTES),
    "picture": 4 * MAX_TEXT_BYTES + _HEADER_BYTES,
    "icc": MAX_ICC_BYTES + _HEADER_BYTES,
}


def pack_npz(contents: Contents) -> bytes:
    """Bytes of an archive; the same contents always give the same bytes."""
    gaussians = contents.gaussians
    arrays: dict[str, npt.NDArray[Any]] = {key: getattr(gaussians, key) for key in ARRAYS}
    arrays["picture"] = np.array(described(contents))
    if contents.icc:
        arrays["icc"] = np.frombuffer(contents.icc, np.uint8)
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{key}.npy")  # its time is always 1980-01-01
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return result.getvalue()


def unpack_npz(data: bytes, describe: Describe | None, name: str, limits: Limits) -> Contents:
    """Contents of an archive.

    Args:
        describe: the picture of Gaussians with that many channels, in place of the description in the archive.
        name: of the file, in messages.

    Raises:
        BadImage: it is not an archive of Gaussians. LimitExceeded: it takes more memory than allowed.
    """
    arrays = _arrays(data, name, limits)
    for key in ARRAYS:
        if key not in arrays:
            raise BadImage(f"{name}: has no array {key}, which an archive of Gaussians has")
        if arrays[key].dtype.kind not in "fiu":
            raise BadImage(f"{name}: array {key} has the type {arrays[key].dtype}, expected numbers")
    means, inv_scales, rotations, features = (arrays[key] for key in ARRAYS)
    check_shapes({key: arrays[key].shape for key in ARRAYS}, name, limits)
    n_channels = features.shape[1]
    picture = _picture(arrays.get("picture"), n_channels, name) if describe is None else describe(n_channels)
    icc = arrays.get("icc")
    if icc is not None and (icc.dtype != np.uint8 or icc.ndim != 1):
        raise BadImage(f"{name}: array icc must be bytes")
    gaussians = checked(means, inv_scales, rotations, features, picture.grid, name)
    return picture.contents(gaussians, None if icc is None else icc.tobytes())


def _picture(text: npt.NDArray[Any] | None, n_channels: int, name: str) -> Picture:
    if text is None or text.dtype.kind != "U" or text.shape != ():
        raise BadImage(f"{name}: has no text `picture`; give the size of the picture as WxH with --size")
    try:
        described_as = str(text)
    except ValueError as fault:  # numbers that are no characters
        raise BadImage(f"{name}: `picture` is not a text: {fault}") from fault
    return parsed(described_as, n_channels, name)


def _arrays(data: bytes, name: str, limits: Limits) -> dict[str, npt.NDArray[Any]]:
    """The arrays that an archive may have, whose sizes were checked before they are unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = {info.filename: info for info in archive.infolist()}
            members = {key: listed[f"{key}.npy"] for key in _MOST_BYTES if f"{key}.npy" in listed}
            for key, info in members.items():
                if info.file_size > _MOST_BYTES[key]:
                    raise BadImage(f"{name}: array {key} takes {info.file_size} bytes, at most {_MOST_BYTES[key]}")
            limits.check_memory(4 * sum(info.file_size for info in members.values()), f"{name}: its arrays")
            return {
                key: _array(read_member(archive, info, name), f"{name}: array {key}") for key, info in members.items()
            }
    except GsCodecError:
        raise
    except ZIP_FAULTS as fault:
        raise BadImage(f"{name}: is not a whole NumPy archive: {short_reason(fault)}") from fault


def _array(member: bytes, label: str) -> npt.NDArray[Any]:
    """The array of an .npy member, whose header may say anything."""
    stream = io.BytesIO(member)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, in_columns, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER_BYTES)
        elif version == (2, 0):
            shape, in_columns, dtype = np.lib.format.read_array_header_2_0(stream, max_header_size=_HEADER_BYTES)
        else:
            raise BadImage(f"{label}: is of .npy version {version[0]}.{version[1]}, expected 1.0 or 2.0")
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as fault:
        if isinstance(fault, BadImage):
            raise
        raise BadImage(f"{label}: is not an .npy file: {short_reason(fault)}") from fault
    if dtype.hasobject or dtype.kind not in "fiuU":
        raise BadImage(f"{label}: has the type {str(dtype)[:40]}, expected numbers or a text")
    rest = memoryview(member)[stream.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(rest):
        raise BadImage(f"{label}: has {len(rest)} bytes, its shape and type say otherwise")
    if not len(rest):
        return np.zeros(shape, dtype)
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if in_columns else "C")
