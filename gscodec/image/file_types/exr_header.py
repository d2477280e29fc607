"""Attributes of OpenEXR headers as they are stored, so that all of them come back whatever their types.

The OpenEXR module for Python reads some types (rational, opaque) that it cannot write. An attribute is a name, the name
of a type, and bytes that are the same on every machine: OpenEXR, "File Layout", sections Header and Attributes.
"""

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gscodec.format.files import EXR_RESERVED, MAX_EXR_ATTRIBUTES, MAX_EXR_BYTES
from gscodec.model.file_names import text_fault

_VERSION_AT, _HEADER_AT = 4, 8
_LONG_NAMES, _MULTI_PART = 0x400, 0x1000  # flags of the version field
_SHORT_NAME: Final = 31
_DERIVED: Final = {"preview"}
"""Attributes derived from the picture, which would not match the decoded one."""


class Attribute(NamedTuple):
    """One line of a header."""

    name: bytes
    kind: bytes
    data: bytes


def read_headers(content: bytes) -> list[list[Attribute]]:
    """The attributes of each part of a file that OpenEXR takes.

    Raises:
        ValueError, struct.error: the header is damaged.
    """
    (version,) = struct.unpack_from("<I", content, _VERSION_AT)
    headers, at = [], _HEADER_AT
    while True:
        attributes, at = _header(content, at)
        headers.append(attributes)
        if not version & _MULTI_PART or content[at : at + 1] == b"\0":
            return headers


def _header(content: bytes, at: int) -> tuple[list[Attribute], int]:
    """The attributes of one part, and where its end mark ends."""
    attributes = []
    while content[at : at + 1] != b"\0":
        name_end = content.index(b"\0", at)
        kind_end = content.index(b"\0", name_end + 1)
        (size,) = struct.unpack_from("<i", content, kind_end + 1)
        start = kind_end + 5
        if size < 0 or start + size >= len(content):
            raise ValueError("an attribute ends beyond the file")
        attributes.append(
            Attribute(content[at:name_end], content[name_end + 1 : kind_end], content[start : start + size])
        )
        at = start + size
    return attributes, at + 1


def kept_attributes(header: Sequence[Attribute]) -> tuple[list[dict[str, Any]], list[str]]:
    """Attributes as `FileEntry.exr` has them, and the names of those that are left out: too long, or not text."""
    kept: list[dict[str, Any]] = []
    left_out: list[str] = []
    n_bytes = 0
    for attribute in header:
        name, kind = (text.decode("utf-8", "replace") for text in attribute[:2])
        if name in EXR_RESERVED or name in _DERIVED or _is_default(attribute):
            continue
        data = base64.b64encode(attribute.data).decode()
        n_bytes += len(data)
        is_text = not (text_fault(name) or text_fault(kind)) and "\ufffd" not in name + kind and name and kind
        if not is_text or n_bytes > MAX_EXR_BYTES or len(kept) == MAX_EXR_ATTRIBUTES:
            left_out.append(name)
            n_bytes -= len(data)
            continue
        kept.append({"name": name, "type": kind, "data": data})
    return kept, left_out


def _is_default(attribute: Attribute) -> bool:
    """Whether every file has this attribute with this value."""
    return attribute in {
        Attribute(b"screenWindowCenter", b"v2f", bytes(8)),
        Attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1)),
    }


def with_attributes(content: bytes, attributes: Sequence[Mapping[str, Any]], n_chunks: int) -> bytes:
    """A single-part scanline file with these attributes in place of those of their names.

    Args:
        attributes: as `kept_attributes`.
        n_chunks: entries of the offset table, which follows the header.
    """
    own, end = _header(content, _HEADER_AT)
    added = [
        Attribute(each["name"].encode(), each["type"].encode(), base64.b64decode(each["data"]))
        for each in attributes
        if each["name"] not in EXR_RESERVED
    ]
    names = {attribute.name for attribute in added}
    lines = [attribute for attribute in own if attribute.name not in names] + added
    header = (
        b"".join(name + b"\0" + kind + b"\0" + struct.pack("<i", len(data)) + data for name, kind, data in lines)
        + b"\0"
    )
    (version,) = struct.unpack_from("<I", content, _VERSION_AT)
    if any(max(len(line.name), len(line.kind)) > _SHORT_NAME for line in lines):
        version |= _LONG_NAMES
    moved = _HEADER_AT + len(header) - end
    offsets = struct.unpack_from(f"<{n_chunks}Q", content, end)
    table = struct.pack(f"<{n_chunks}Q", *(offset + moved for offset in offsets))
    return content[:_VERSION_AT] + struct.pack("<I", version) + header + table + content[end + 8 * n_chunks :]
