"""Fingerprint of this build: a short text that changes whenever its results can change."""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import gscodec
from gscodec import _engine
from gscodec.format.layout import VERSION

_SOURCES: Final = frozenset({".py", ".cpp", ".h", ".inl", ".cu", ".cuh"})
_ELSEWHERE: Final = frozenset({"batch", "cli", "exporting", "gltf", "__pycache__"})
"""Folders of the package that affect neither the bytes of a file nor the pixels that it decodes to."""


@cache
def fingerprint() -> str:
    """16 hexadecimal digits, a hash of the format version and every source file that affects files or decoded pixels.

    The compiled engine is included, wherever it is stored. The package's version is not: it may stay the same while
    code changes. Versions of other libraries are left out, so that a new Pillow does not invalidate every encoded file.
    """
    root = Path(gscodec.__file__).parent
    digest = hashlib.sha256(repr(VERSION).encode())
    named = {path.relative_to(root).as_posix(): path for path in _files(root)} | {"engine": Path(_engine.__file__)}
    for name, path in sorted(named.items()):
        data = path.read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.suffix in _SOURCES:
            yield path
        elif path.name not in _ELSEWHERE and path.is_dir():
            yield from _files(path)
