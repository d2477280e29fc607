"""State of earlier encodes of a batch, so that an unchanged batch decodes no picture.

An item is current if its sources have the recorded fingerprint (`print_of`), its settings and this build of gscodec are
the same, and its output has the recorded SHA-256. Any other item is checked by the content key in its file and the
file's checksums.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from gscodec.batch.journal import Journal
from gscodec.batch.map_figures import checked_figures
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
    "map_figures": (dict, type(None)),
}


class State:
    """Notes on the items of an output folder.

    Args:
        warn: called with one line of text for the user.
        dry: change nothing on disk.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None] = lambda _: None, *, dry: bool = False) -> None:
        self._journal = Journal(folder / NAME, _KIND, warn)
        self._notes = {name: notes[-1] for name, notes in self._journal.read(tidy=not dry).items()}
        for old in sorted(folder.glob(_OLD)) if not dry and folder.is_dir() else ():
            warn(f"{old}: is the state of an older version and is removed; every item is checked once")
            with contextlib.suppress(OSError):
                old.unlink()

    def current(self, item: Item, *, trust: bool = False) -> Outcome | None:
        """The recorded outcome of an unchanged item, or None if it must be checked.

        Args:
            trust: do not check the sources, and of the output only its size and modification time.
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
        """Whether an earlier run wrote the item's output."""
        return item.name in self._notes

    def keep(self, item: Item, outcome: Outcome) -> None:
        """Record a finished item."""
        provenance = outcome.provenance
        if provenance is None or outcome.status not in {Status.ENCODED, Status.COPIED, Status.CURRENT, Status.MISSED}:
            return
        note = {
            "name": item.name,
            "settings": _settings_of(item),
            "sources": provenance.sources,
            "digest": provenance.digest,
            "stat": provenance.stat,
            "paths": sorted(real_paths(files_of(item.sources))),
            "missed": outcome.status is Status.MISSED,
            "outcome": {name: value for name, value in asdict(outcome).items() if name in _TYPES},
        }
        self._notes[item.name] = note
        self._journal.add(note)


def sources_known(folder: Path) -> set[str]:
    """Real paths of all sources that batches have encoded into a folder, according to its notes."""
    notes = Journal(folder / NAME, _KIND).read(tidy=False)
    paths = [note.get("paths") for of in notes.values() for note in of]
    return {path for names in paths if isinstance(names, list) for path in names if isinstance(path, str)}


def _settings_of(item: Item) -> str:
    return item.settings.fingerprint()


def _outcome(item: Item, note: dict[str, Any]) -> Outcome | None:
    outcome, missed = note.get("outcome"), note.get("missed")
    if not isinstance(outcome, Mapping) or not isinstance(missed, bool):
        return None
    if not all(isinstance(outcome.get(name), kinds) for name, kinds in _TYPES.items()):
        return None
    known: dict[str, Any] = {name: outcome.get(name) for name in _TYPES}
    known["map_figures"] = checked_figures(known["map_figures"])
    return Outcome(item.name, Status.MISSED if missed else Status.CURRENT, str(item.output), **known)
