"""Names of items, chosen so that no two are the same file on any file system."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from gscodec.errors import InvalidArgument
from gscodec.model.file_names import file_key

SUFFIX: Final = ".igs"


@dataclass(frozen=True)
class NameCandidates:
    """Possible names of an item, in order of preference; it gets the first that no other item has."""

    names: tuple[str, ...]  # with `/` and without suffix; the last one is unique to the item
    yields: bool = False  # moves on to its next name first when two items compete for one


def marked(name: str, origin: str) -> str:
    """A name with a suffix unique to this origin: eight hexadecimal digits of its SHA-256."""
    return f"{name}~{hashlib.sha256(origin.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def distinct_names(candidates: Sequence[NameCandidates]) -> list[str]:
    """One name per item, chosen from its candidates.

    Names that differ only in case or Unicode normal form count as equal. A file may not have the name of a folder
    either, as `wood.igs` and `wood.igs/oak.igs` would want.

    Raises:
        InvalidArgument: two items have the same last candidate.
    """
    at = [0] * len(candidates)
    while True:
        names = [one.names[place] for one, place in zip(candidates, at, strict=True)]
        folders = {file_key(parent.as_posix()) for name in names for parent in PurePosixPath(name).parents}
        groups: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(names):
            groups[file_key(name)].append(number)
        clashes = [
            group for group in groups.values() if len(group) > 1 or file_key(names[group[0]] + SUFFIX) in folders
        ]
        if not clashes:
            return names
        for group in clashes:
            able = [number for number in group if at[number] + 1 < len(candidates[number].names)]
            if not able:
                raise InvalidArgument(f"{names[group[0]]}: two items have this name; rename one")
            for number in [number for number in able if candidates[number].yields] or able:
                at[number] += 1
