"""What earlier encodes of a batch found out, so that an unchanged batch looks at no pixel.

An item is current where its sources are what they were before they were read (`print_of`), its settings and this build
of gscodec are the same, and its output has, to the byte, what was written. Anything else is looked at closely, by the
key in the file and its checksums.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from gscodec.batch.journal import Journal
from gscodec.batch.outcome import Outcome, Status
from gscodec.batch.plan import Item
from gscodec.batch.prints import digest_of, files_of, print_of, real_paths, stat_of

NAME: Final = ".gscodec-batch.jsonl"
_OLD: Final = ".gscodec-batch*.json"
_KIND: Final = "encodes of a batch"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "key": (str,),
    "n_bytes": (int,),
    "bpp": (int, float),
    "psnr": (int, float, type(None)),
    "n_gaussians": (int,),
    "message": (str,),
}


class State:
    """Notes on the items of an output folder.

    Args:
        warn: takes a line for the user.
        dry: change nothing on disk.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None] = lambda _: None, *, dry: bool = False) -> None:
        self._journal = Journal(folder / NAME, _KIND, warn)
        self._notes = {name: notes[-1] for name, notes in self._journal.read(tidy=not dry).items()}
        for old in sorted(folder.glob(_OLD)) if not dry and folder.is_dir() else ():
            warn(f"{old}: is the state of an older version and is removed; every item is looked at once")
            with contextlib.suppress(OSError):
                old.unlink()

    def current(self, item: Item, *, trust: bool = False) -> Outcome | None:
        """The outcome of an item that is as it was left, or None where it must be looked at.

        Args:
            trust: do not look at the sources, nor further at the output than its size and time of modification.
        """
        note = self._notes.get(item.name)
        if note is None or note.get("settings") != _settings_of(item):
            return None
        if trust:
            if note.get("stat") != stat_of(item.output) or note.get("stat") is None:
                return None
        elif note.get("sources") != print_of(item.sources) or note.get("digest") != digest_of(item.output):
            return None
        return _outcome(item, note)

    def knows(self, item: Item) -> bool:
        """Whether an earlier run left a file where the item's output is."""
        return item.name in self._notes

    def keep(self, item: Item, outcome: Outcome) -> None:
        """Note a finished item."""
        made = outcome.made
        if made is None or outcome.status not in {Status.ENCODED, Status.COPIED, Status.CURRENT, Status.MISSED}:
            return
        note = {
            "name": item.name,
            "settings": _settings_of(item),
            "sources": made.sources,
            "digest": made.digest,
            "stat": made.stat,
            "paths": sorted(real_paths(files_of(item.sources))),
            "missed": outcome.status is Status.MISSED,
            "outcome": {name: value for name, value in asdict(outcome).items() if name in _TYPES},
        }
        self._notes[item.name] = note
        self._journal.add(note)


def sources_known(folder: Path) -> set[str]:
    """Where the sources lie, or lay, of which batches have encoded files into a folder."""
    notes = Journal(folder / NAME, _KIND).read(tidy=False)
    paths = [note.get("paths") for of in notes.values() for note in of]
    return {path for found in paths if isinstance(found, list) for path in found if isinstance(path, str)}


def _settings_of(item: Item) -> str:
    return item.settings.fingerprint()


def _outcome(item: Item, note: dict[str, Any]) -> Outcome | None:
    found, missed = note.get("outcome"), note.get("missed")
    if not isinstance(found, Mapping) or not isinstance(missed, bool):
        return None
    if not all(isinstance(found.get(name), kinds) for name, kinds in _TYPES.items()):
        return None
    known = {name: found[name] for name in _TYPES}
    return Outcome(item.name, Status.MISSED if missed else Status.CURRENT, str(item.output), **known)
