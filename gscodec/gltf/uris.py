"""URIs in glTF documents: data URIs, and files in the document's folder or below it."""

import base64
import binascii
import os
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from gscodec.errors import BadFile, FileAccessError, GsCodecError, Unsupported, file_access_error
from gscodec.model.limits import Limits

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_COPIES: Final = 4
"""Copies of a file that are held in memory at a time."""


def is_data(uri: str) -> bool:
    """Whether a URI holds its content."""
    return uri[:5].lower() == "data:"


def data_of(uri: str, where: str, limits: Limits) -> bytes:
    """Content of a data URI.

    Args:
        where: of the URI, for messages.

    Raises:
        BadFile: it is not `data:TYPE;base64,...`, or not base64. LimitExceeded: it takes more memory than allowed.
    """
    head, comma, text = uri.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise BadFile(f"{where}: is not a data URI in base64")
    limits.check_memory(_COPIES * len(text), f"{where}: {len(text)} characters, which are held in memory,")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise BadFile(f"{where}: is not base64: {fault}") from fault


def data_uri(data: bytes, media_type: str) -> str:
    """The data URI of a content."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def file_of(uri: str, where: str) -> PurePosixPath:
    """Path of a file, relative to the folder of the document that refers to it by this URI.

    Raises:
        Unsupported: a URL. BadFile: the path leaves the folder, or is no path.
    """
    if _SCHEME.match(uri) or uri.startswith("//"):
        raise Unsupported(f"{where}: refers to {uri[:80]!r}; only files beside the model and data URIs are read")
    text = unquote_to_bytes(uri).decode("utf-8", "replace")
    path = PurePosixPath(text)
    if not path.name or any(character in "\\:" or _is_control(character) for character in text):
        raise BadFile(f"{where}: {uri[:80]!r} is not the path of a file")
    if path.is_absolute() or ".." in path.parts:
        raise BadFile(f"{where}: {uri[:80]!r} leaves the folder of the model; put the file into it")
    return path


def _is_control(character: str) -> bool:
    """Whether a character, in a message, may begin a line or steer a terminal."""
    return unicodedata.category(character) in {"Cc", "Zl", "Zp"}


def uri_of(path: PurePosixPath) -> str:
    """URI of a relative path."""
    return quote(path.as_posix())


def read_file(folder: Path, path: PurePosixPath, where: str, limits: Limits, held: int = 0) -> bytes:
    """Content of a file in a folder, that no link may lead out of.

    Args:
        where: of the URI, for messages. held: bytes of files that are held in memory already.

    Raises:
        FileAccessError: no regular file, a link to elsewhere, or unreadable. LimitExceeded: it takes more memory than
            allowed.
    """
    file = folder / path
    real = Path(os.path.realpath(file))
    if not real.is_relative_to(os.path.realpath(folder)):
        raise FileAccessError(f"{where}: {file} is a link out of the folder of the model", filename=file)
    return read_regular(file, where, limits, held)


def read_regular(path: Path, where: str, limits: Limits, held: int = 0) -> bytes:
    """Content of a regular file.

    Args:
        where, held: as in `read_file`.

    Raises:
        FileAccessError, LimitExceeded: as `read_file`.
    """
    label = where if where == str(path) else f"{where}: {path}"
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise FileAccessError(f"{label}: is not a regular file", filename=path)
        size = held + path.stat().st_size
        limits.check_memory(_COPIES * size, f"{where}: {size} bytes, which are held in memory,")
        return path.read_bytes()
    except GsCodecError:
        raise
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise file_access_error(f"{label}: cannot be read: {reason}", fault, path) from fault
