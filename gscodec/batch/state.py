"""What earlier runs found out, so that an unchanged batch looks at no pixel: a help that is never trusted alone.

An item is current where its sources have the size and time of modification that they had, its settings are the same,
and its output has the size and time that it was left with. Anything else is looked at closely, by the key in the file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from gscodec.batch.plan import Item
from gscodec.batch.work import Outcome, Status
from gscodec.errors import GsCodecError
from gscodec.format.atomic import write_atomic
from gscodec.version import __version__

_NAME: Final = ".gscodec-batch"
_VERSION: Final = 1


class State:
    """Notes on the items of an output folder, in a file of each shard."""

    def __init__(self, folder: Path, part: str = "") -> None:
        self._path = folder / f"{_NAME}{part}.json"
        self._notes: dict[str, dict[str, Any]] = {}
        self._own: dict[str, dict[str, Any]] = {}
        for path in sorted(folder.glob(f"{_NAME}*.json")) if folder.is_dir() else ():
            notes = _read(path)
            self._notes.update(notes)
            if path == self._path:
                self._own = notes

    def current(self, item: Item) -> Outcome | None:
        """The outcome of an item that is as it was left, or None where it must be looked at."""
        note = self._notes.get(item.name)
        if note is None or note.get("print") != _print_of(item):
            return None
        return _outcome(item, note)

    def recorded(self, item: Item) -> Outcome | None:
        """The outcome that an earlier run noted, whatever has happened to the sources since."""
        note = self._notes.get(item.name)
        if note is None or not item.output.is_file():
            return None
        return _outcome(item, note)

    def keep(self, item: Item, outcome: Outcome) -> None:
        """Note a finished item."""
        seen = _print_of(item)
        if seen is not None and outcome.status in {Status.ENCODED, Status.COPIED, Status.CURRENT}:
            self._own[item.name] = {"print": seen, "outcome": asdict(outcome)}

    def write(self) -> None:
        """Onto disk; without it the next run is slower, so that no failure matters."""
        data = json.dumps({"version": _VERSION, "items": self._own}, indent=1).encode()
        try:
            write_atomic(self._path, data, overwrite=True)
        except GsCodecError:
            return


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        value = json.loads(path.read_bytes())
        items = value["items"] if value["version"] == _VERSION else {}
        return {str(name): dict(note) for name, note in items.items()} if isinstance(items, Mapping) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _outcome(item: Item, note: dict[str, Any]) -> Outcome | None:
    try:
        known = {key: note["outcome"][key] for key in ("key", "n_bytes", "bpp", "psnr", "n_gaussians")}
        return Outcome(item.name, Status.CURRENT, str(item.output), **known)
    except (KeyError, TypeError):
        return None


def _print_of(item: Item) -> str | None:
    """Digest of sizes and times of sources and output, and of the settings; None where one is not there."""
    try:
        files = [(path.name, path.stat()) for path in (*item.sources, item.output)]
    except OSError:
        return None
    parts = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files]
    text = json.dumps([parts, asdict(item.settings), __version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
