"""Waits for changes of the files that a batch reads."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gscodec.batch.plan import read_manifest
from gscodec.errors import GsCodecError

POLL_SECONDS: Final = 1.0
"""Time between two looks at the files."""

Snapshot = frozenset[tuple[str, int, int]]
"""Path, size in bytes and modification time in ns of each file."""


def changes(source: Path, target: Path | None, sleep: Callable[[float], object] = time.sleep) -> Iterator[None]:
    """Yields whenever files that a batch reads have changed and then stayed the same for POLL_SECONDS.

    Args:
        source: folder or manifest. target: output folder, which does not count.
        sleep: waits for a number of seconds.
    """
    known = latest = snapshot(source, target)
    while True:
        sleep(POLL_SECONDS)
        now = snapshot(source, target)
        if now == latest and now != known:
            known = now
            yield
        latest = now


def snapshot(source: Path, target: Path | None) -> Snapshot:
    """State of all files below a folder, or of a manifest and what it names."""
    roots, outputs = [source], [] if target is None else [target]
    if source.suffix.lower() == ".toml":
        try:
            manifest = read_manifest(source)
        except GsCodecError:  # while it is being edited
            pass
        else:
            outputs.append(manifest.output)
            roots += [path for item in manifest.items for path in item.files]
            roots += [] if manifest.source is None else [manifest.source]
    left_out = {os.path.realpath(path) for path in outputs}
    return frozenset(entry for root in roots for entry in _files(root, left_out))


def _files(root: Path, left_out: set[str]) -> Iterator[tuple[str, int, int]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(folder, name)) not in left_out]  # noqa: PTH118
        for name in names:
            yield from _file(Path(folder, name))
    yield from _file(root)


def _file(path: Path) -> Iterator[tuple[str, int, int]]:
    try:
        status = path.stat()
    except OSError:
        return
    if stat.S_ISREG(status.st_mode):
        yield str(path), status.st_size, status.st_mtime_ns
