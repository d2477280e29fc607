"""The container of binary glTF 2.0 (`.glb`): a header of 12 bytes, then chunks (specification of glTF, section 4.4)."""

import struct
from dataclasses import dataclass
from typing import Final

from gscodec.errors import BadFile, TruncatedStream, Unsupported

MAGIC: Final = b"glTF"
ALIGNMENT: Final = 4
"""Bytes that chunks, and so views of buffers, begin at multiples of."""

_HEADER: Final = struct.Struct("<4sII")
_CHUNK: Final = struct.Struct("<I4s")
_JSON: Final = b"JSON"
_BIN: Final = b"BIN\0"
_MAX_BYTES: Final = 2**32 - 1


@dataclass(frozen=True)
class Chunks:
    """Contents of a `.glb` file."""

    text: bytes  # the JSON document
    binary: bytes | None  # of the buffer without URI
    others: tuple[tuple[bytes, bytes], ...] = ()  # type and contents of chunks that glTF 2.0 does not define


def unpack_glb(data: bytes, name: str) -> Chunks:
    """Contents of a `.glb` file.

    Args:
        name: of the file, in messages.

    Raises:
        TruncatedStream, BadFile: the chunks do not fill the file, or the first is not JSON. Unsupported: not version 2.
    """
    if len(data) < _HEADER.size:
        raise TruncatedStream(f"{name}: ends within the header of a binary glTF file")
    _, version, length = _HEADER.unpack_from(data)
    if version != 2:
        raise Unsupported(f"{name}: is binary glTF {version}; only version 2 is read")
    if length != len(data):
        fault = TruncatedStream if length > len(data) else BadFile
        raise fault(f"{name}: has {len(data)} bytes where its header says {length}")
    chunks: list[tuple[bytes, bytes]] = []
    at = _HEADER.size
    while at < length:
        if length - at < _CHUNK.size:
            raise TruncatedStream(f"{name}: ends within the header of chunk {len(chunks)}")
        n_bytes, kind = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if n_bytes > length - at:
            raise TruncatedStream(f"{name}: chunk {len(chunks)} of {n_bytes} bytes ends after the file")
        chunks.append((kind, data[at : at + n_bytes]))
        at += n_bytes
    if not chunks or chunks[0][0] != _JSON:
        raise BadFile(f"{name}: its first chunk is not JSON")
    has_binary = len(chunks) > 1 and chunks[1][0] == _BIN
    return Chunks(chunks[0][1], chunks[1][1] if has_binary else None, tuple(chunks[2 if has_binary else 1 :]))


def pack_glb(chunks: Chunks, name: str) -> bytes:
    """The `.glb` file of these contents.

    Raises:
        Unsupported: it would have 4 GiB or more.
    """
    listed = [(_JSON, chunks.text, b" ")]
    if chunks.binary is not None:
        listed.append((_BIN, chunks.binary, b"\0"))
    listed += [(kind, data, b"\0") for kind, data in chunks.others]
    parts = []
    for kind, data, filler in listed:
        padding = filler * (-len(data) % ALIGNMENT)
        if len(data) > _MAX_BYTES - ALIGNMENT:
            raise Unsupported(f"{name}: a chunk of {len(data)} bytes does not fit into a .glb file; write a .gltf file")
        parts += [_CHUNK.pack(len(data) + len(padding), kind), data, padding]
    n_bytes = _HEADER.size + sum(map(len, parts))
    if n_bytes > _MAX_BYTES:
        raise Unsupported(f"{name}: {n_bytes} bytes do not fit into a .glb file; write a .gltf file")
    return b"".join([_HEADER.pack(MAGIC, 2, n_bytes), *parts])
