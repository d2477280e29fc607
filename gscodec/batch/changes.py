"""When a watched batch runs: at once, and after changes of the files that it reads."""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from gscodec.batch.plan import read_manifest
from gscodec.errors import GsCodecError

POLL_SECONDS: Final = 1.0
"""Time between two looks at the files."""

Snapshot = frozenset[tuple[str, int, int]]
"""Path, size in bytes and modification time in ns of each file."""


def runs(source: Path, outputs: Iterable[Path], sleep: Callable[[float], object] = time.sleep) -> Iterator[None]:
    """Yields at once, and then whenever files differ from before the last run and have been the same for POLL_SECONDS.

    What changes while a batch runs is thus seen after it.

    Args:
        source: folder or manifest. outputs: folders and files that the batch writes, which do not count.
        sleep: waits for a number of seconds.
    """
    outputs = list(outputs)
    known = latest = snapshot(source, outputs)
    yield
    while True:
        sleep(POLL_SECONDS)
        now = snapshot(source, outputs)
        if now == latest and now != known:
            known = now
            yield
        latest = now


def snapshot(source: Path, outputs: Iterable[Path]) -> Snapshot:
    """State of all files below a folder, or of a manifest and what it names, but for what a batch writes.

    Below a folder, names that begin with a dot do not count, as in the batch; those that it writes itself are such.
    """
    roots, outputs = [source], list(outputs)
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
        folders[:] = _shown(folders)
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(folder, name)) not in left_out]  # noqa: PTH118
        for name in _shown(names):
            yield from _file(Path(folder, name), left_out)
    yield from _file(root, left_out)


def _shown(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def _file(path: Path, left_out: set[str]) -> Iterator[tuple[str, int, int]]:
    try:
        status = path.stat()
    except OSError:
        return
    if stat.S_ISREG(status.st_mode) and os.path.realpath(path) not in left_out:
        yield str(path), status.st_size, status.st_mtime_ns
