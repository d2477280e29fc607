"""Names of items, no two of which are one file on any system."""

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
class Wish:
    """What an item would be called: the first of its names that no other item has."""

    names: tuple[str, ...]  # with `/` and without suffix; the last one is the item's alone
    yields: bool = False  # of two that want one name, takes its next one first


def marked(name: str, origin: str) -> str:
    """A name with a mark that only this origin has: eight digits of its digest."""
    return f"{name}~{hashlib.sha256(origin.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def distinct_names(wishes: Sequence[Wish]) -> list[str]:
    """A name for each item, by its wish.

    Names count as one that differ only in case or Unicode normal form. A file may not have the name of a folder either,
    as `wood.igs` and `wood.igs/oak.igs` would want.

    Raises:
        InvalidArgument: even the last names collide.
    """
    at = [0] * len(wishes)
    while True:
        names = [wish.names[place] for wish, place in zip(wishes, at, strict=True)]
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
            able = [number for number in group if at[number] + 1 < len(wishes[number].names)]
            if not able:
                raise InvalidArgument(f"{names[group[0]]}: two items have this name; rename one")
            for number in [number for number in able if wishes[number].yields] or able:
                at[number] += 1
