"""TIFF files of 16-bit samples, which Pillow writes for gray alone, and of many channels, which it does not write.

Source: TIFF Revision 6.0, Adobe 1992, sections 2, 8, 14 and 18; Adobe Photoshop TIFF Technical Notes 2002 for Deflate.
"""

import io
import struct
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument

_STRIP_BYTES: Final = 1 << 18
_SHORT, _LONG, _BYTES = 3, 4, 7
_SIZES: Final = {_SHORT: "H", _LONG: "I", _BYTES: "B"}


def write_deep_tiff(samples: npt.NDArray[np.uint16], icc: bytes | None, *, inks: bool = False) -> bytes:
    """A TIFF of 16-bit samples (H, W, C): gray, RGB, or RGB and alpha for C = 1, 3 and 4; or four inks.

    Little-endian, Deflate over horizontal differences, alpha unassociated.

    Raises:
        InvalidArgument: the file would pass the 4 GiB that TIFF can address.
    """
    height, width, n_channels = samples.shape
    rows_per_strip = max(1, _STRIP_BYTES // (2 * width * n_channels))
    data = bytearray(b"II\x2a\0\0\0\0\0")  # the offset of the directory is filled in below
    offsets, sizes = [], []
    for top in range(0, height, rows_per_strip):
        strip = samples[top : top + rows_per_strip].copy()
        strip[:, 1:] -= samples[top : top + rows_per_strip, :-1]
        packed = zlib.compress(strip.astype("<u2").tobytes(), 6)
        offsets.append(len(data))
        sizes.append(len(packed))
        data += packed + bytes(len(packed) % 2)  # values begin at even offsets
    fields: list[tuple[int, int, list[int] | bytes]] = [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [16] * n_channels),
        (259, _SHORT, [8]),  # Compression: Deflate
        (262, _SHORT, [5 if inks else 1 if n_channels == 1 else 2]),  # separated, black is zero, or RGB
        (273, _LONG, offsets),
        (277, _SHORT, [n_channels]),
        (278, _LONG, [rows_per_strip]),
        (279, _LONG, sizes),
        (284, _SHORT, [1]),  # PlanarConfiguration: interleaved
        (317, _SHORT, [2]),  # Predictor: horizontal differences
    ]
    if n_channels == 4 and not inks:
        fields.append((338, _SHORT, [2]))  # ExtraSamples: unassociated alpha
    if icc:
        fields.append((34675, _BYTES, icc))
    if len(data) + 8 * len(offsets) + len(icc or b"") > 0xFFFF0000:
        raise InvalidArgument(f"{width}x{height} px at 16 bits do not fit into a TIFF file; write PNG")
    directory = struct.pack("<H", len(fields))
    for tag, kind, values in fields:
        packed = bytes(values) if kind == _BYTES else struct.pack(f"<{len(values)}{_SIZES[kind]}", *values)
        if len(packed) > 4:
            place = struct.pack("<I", len(data))
            data += packed + bytes(len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        directory += struct.pack("<HHI", tag, kind, len(values)) + place
    data[4:8] = struct.pack("<I", len(data))
    return bytes(data + directory + bytes(4))


def write_many_channels(samples: npt.NDArray[Any]) -> bytes:
    """A TIFF of uint8 or uint16 samples (H, W, C), C above 4: gray, and ExtraSamples without meaning."""
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        samples,
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unspecified"] * (samples.shape[2] - 1),
        compression="zlib",
        metadata=None,
    )
    return stream.getvalue()
