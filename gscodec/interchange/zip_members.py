"""Members of zip archives that may lie about their sizes."""

import zipfile
import zlib
from typing import Final

from gscodec.errors import BadImage

ZIP_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)
"""What `zipfile` raises for damaged archives."""

_BOUNDED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods of which `zipfile` unpacks no more than it is asked for; NumPy and PyTorch write these."""


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """Content of a member, of which no more is unpacked than the size that the archive states.

    `ZipFile.read` unpacks all that the compressed bytes hold and cuts it afterwards.

    Args:
        name: of the file, in messages.

    Raises:
        BadImage: the member is packed in another way than deflate, or ends early. One of ZIP_FAULTS: it is damaged.
    """
    if info.compress_type not in _BOUNDED:
        raise BadImage(
            f"{name}: {info.filename!r:.60} is neither stored nor deflated; write the archive with numpy.savez"
        )
    with archive.open(info) as stream:
        data = stream.read(info.file_size)
    if len(data) != info.file_size:
        raise BadImage(f"{name}: {info.filename!r:.60} has {len(data)} bytes where its archive says {info.file_size}")
    return data
