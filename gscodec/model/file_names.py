"""Names out of a file as names of files: data from strangers, which never become paths unchecked.

`name_fault` is the rule of the format (spec/igs.md, "Names"); `safe_file_name` is what a writer makes of any text,
legal or not, before it joins it to a folder. Sources: Microsoft, "Naming Files, Paths, and Namespaces"; Unicode 16,
property Default_Ignorable_Code_Point; Boucher and Anderson, "Trojan Source", 2021.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gscodec.errors import FileAccessError
from gscodec.model.hidden_characters import does_not_show, has_hidden, without_hidden

MAX_NAME_BYTES: Final = 255
"""Bytes of UTF-8: what Linux and macOS take, and the length that a CHAN text can have."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UNSAFE: Final = frozenset('<>:"|?*/\\')
_DEVICES: Final = re.compile(r"(CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00B9\u00B2\u00B3])")
_LONGEST_SUFFIX: Final = 16
"""Bytes; what stands behind the last dot and is longer is no suffix that a cut must keep."""


def name_fault(text: str) -> str | None:
    """Why a text cannot be a name in a file, or None: the rule of the format."""
    if text in {".", ".."} or "/" in text or "\\" in text:
        return "is not a bare file name"
    return text_fault(text)


def text_fault(text: str) -> str | None:
    """Why a text of a file that is no file name (an OpenEXR channel, part or view) is refused, or None."""
    if has_hidden(text):
        return "has a control or invisible character"
    try:
        length = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return f"is longer than {MAX_NAME_BYTES} bytes of UTF-8" if length > MAX_NAME_BYTES else None


def is_portable(name: str) -> bool:
    """Whether writers take a name as it is."""
    return safe_file_name(name) == name


def legal_name(text: str, default: str = "unnamed") -> str:
    """The text with as little changed as `name_fault` asks for; what an encoder writes for the name of a source.

    Args:
        default: what an empty text, `.` and `..` become.
    """
    kept = legal_text(text.replace("/", "_").replace("\\", "_"))
    return default if kept in {"", ".", ".."} else kept


def legal_text(text: str) -> str:
    """The text with as little changed as `text_fault` asks for."""
    kept = without_hidden(_SURROGATE.sub("_", text))
    stem, tail = _split(kept)
    return _cut(stem, MAX_NAME_BYTES - len(tail.encode())) + tail


def numbered(names: Sequence[str], key: Callable[[str], str] = str, *, max_bytes: int = MAX_NAME_BYTES) -> list[str]:
    """The names, of at most max_bytes, with `_2`, `_3` ... behind the stem of those whose key is there already."""
    chosen: list[str] = []
    taken: set[str] = set()
    for name in names:
        stem, tail = _split(name)
        wanted, number = name, 1
        while key(wanted) in taken:
            number += 1
            mark = f"_{number}{tail}"
            wanted = _cut(stem, max_bytes - len(mark.encode())) + mark
        taken.add(key(wanted))
        chosen.append(wanted)
    return chosen


def safe_file_name(name: str, *, suffix: str | None = None, max_bytes: int = MAX_NAME_BYTES) -> str:
    """A bare file name for any text, which every system stores as a file of that name in the folder it is joined to.

    Separators, characters that a system reserves and characters that do not show become `_`; so do leading dots,
    dashes, tildes and spaces. Dots and spaces at the end go, device names get a `_` in front. Names that are too long
    are cut in front of their suffix, between characters. The result is its own safe name. A name that needs no change
    keeps its Unicode normal form.

    Args:
        name: with its suffix, unless that is given.
        suffix: what the result ends in, with its dot; None is the name's own.
        max_bytes: of UTF-8, at least 32.
    """
    text = _cleaned(name)
    stem, tail = _split(_without_end(text)) if suffix is None else (text, _cleaned(suffix))
    room = max_bytes - len(tail.encode())
    body = _without_end(_cut(_with_plain_start(stem), room)) or "unnamed"
    if _DEVICES.fullmatch((body + tail).partition(".")[0].rstrip().upper()):
        body = _without_end(_cut(f"_{body}", room))
    return body + tail


def distinct_file_names(names: Sequence[str], *, max_bytes: int = MAX_NAME_BYTES) -> list[str]:
    """Safe file names in the order of the names, no two of which are one file on any system.

    Names that differ only in case or Unicode normal form count as one. Of those that collide, the ones that are safe as
    they are keep their name, the first of them first; others get `_2`, `_3` ... in front of their suffix.
    """
    order = sorted(range(len(names)), key=lambda at: not is_portable(names[at]))
    safe = numbered([safe_file_name(names[at], max_bytes=max_bytes) for at in order], file_key, max_bytes=max_bytes)
    found = dict(zip(order, safe, strict=True))
    return [found[at] for at in range(len(names))]


def file_key(name: str) -> str:
    """What two names share that are one file where case or Unicode normal form does not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def path_in_folder(folder: str | os.PathLike[str], name: str) -> Path:
    """Where a file goes whose name came out of a file: `name`, which is safe, right inside the folder.

    Raises:
        FileAccessError: as `refuse_link_out`, or a pipe, device or folder has the name.
    """
    if not is_portable(name):
        raise ValueError(f"{name!r} is not a safe file name")
    path = Path(folder) / name
    refuse_link_out(path)
    if path.exists() and not path.is_file():
        raise FileAccessError(f"{path}: is not a regular file; remove it or choose another folder", filename=path)
    return path


def refuse_link_out(path: Path) -> None:
    """Refuse a symbolic link that leads out of its folder, as the place of an output that the user did not name.

    Whoever chose the name, or packed the folder, must not choose where the output goes.

    Raises:
        FileAccessError: it is one.
    """
    if path.is_symlink() and Path(os.path.realpath(path)).parent != Path(os.path.realpath(path.parent)):
        raise FileAccessError(
            f"{path}: is a link that leads out of its folder; remove it or name another output", filename=path
        )


def _cleaned(text: str) -> str:
    return "".join("_" if _is_unsafe(char) else char for char in text)


def _is_unsafe(char: str) -> bool:
    return char in _UNSAFE or does_not_show(char)


def _with_plain_start(stem: str) -> str:
    """A stem that no shell, option parser or file browser takes for something else than a name."""
    rest = stem.lstrip(".-~").lstrip()
    while rest != (further := rest.lstrip(".-~").lstrip()):
        rest = further
    return rest and (stem if rest == stem else f"_{rest}")


def _without_end(text: str) -> str:
    """The text without the dots and spaces at its end, which Windows drops."""
    while text != (shorter := text.rstrip().rstrip(".")):
        text = shorter
    return text


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix, which is empty where nothing stands before the dot or the suffix is none."""
    stem, dot, last = name.rpartition(".")
    if not stem.strip(".") or not 0 < len(last.encode(errors="replace")) < _LONGEST_SUFFIX or not last.strip():
        return name, ""
    return stem, dot + last


def _cut(text: str, n_bytes: int) -> str:
    """As many whole characters as so many bytes of UTF-8 hold."""
    return text.encode()[: max(n_bytes, 0)].decode(errors="ignore")
