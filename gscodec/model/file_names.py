"""File names stored in `.igs` files: untrusted data, checked before they become paths.

`name_fault` is the rule of the format (spec/igs.md, section 5.2); `safe_file_name` turns any text, legal or not, into a
name that may be joined to a folder. Sources: Microsoft, "Naming Files, Paths, and Namespaces"; Unicode 16,
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
"""Bytes of UTF-8: the limit of Linux and macOS and of a CHAN text."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UNSAFE: Final = frozenset('<>:"|?*/\\')
_DEVICES: Final = re.compile(r"(CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00B9\u00B2\u00B3])")
_LONGEST_SUFFIX: Final = 16
"""Bytes; a longer suffix is not preserved when a name is shortened."""


def name_fault(text: str) -> str | None:
    """Why a text cannot be a name in a file, or None: the rule of the format."""
    if text in {".", ".."} or "/" in text or "\\" in text:
        return "is not a bare file name"
    return text_fault(text)


def text_fault(text: str) -> str | None:
    """Why a text that is not a file name (an OpenEXR channel, part or view) is refused, or None."""
    if has_hidden(text):
        return "has a control or invisible character"
    try:
        length = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return f"is longer than {MAX_NAME_BYTES} bytes of UTF-8" if length > MAX_NAME_BYTES else None


def is_portable(name: str) -> bool:
    """Whether a name needs no change to be a safe file name."""
    return safe_file_name(name) == name


def legal_name(text: str, default: str = "unnamed") -> str:
    """The text with the minimal changes that make `name_fault` None; encoders write it as the name of a source.

    Args:
        default: replacement for an empty text, `.` and `..`.
    """
    kept = legal_text(text.replace("/", "_").replace("\\", "_"))
    return default if kept in {"", ".", ".."} else kept


def legal_text(text: str) -> str:
    """The text with the minimal changes that make `text_fault` None."""
    kept = without_hidden(_SURROGATE.sub("_", text))
    stem, tail = _split(kept)
    return _cut(stem, MAX_NAME_BYTES - len(tail.encode())) + tail


def numbered(names: Sequence[str], key: Callable[[str], str] = str, *, max_bytes: int = MAX_NAME_BYTES) -> list[str]:
    """The names, of at most max_bytes, with `_2`, `_3` ... appended to the stem of those whose key occurs earlier."""
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
    """A bare file name for any text, valid on every operating system inside the folder it is joined to.

    Separators, characters that a system reserves and characters that do not show become `_`; so do leading dots,
    dashes, tildes and spaces. Dots and spaces at the end go, device names get a `_` in front. Names that are too long
    are shortened before their suffix, between characters. The function is idempotent. A name that needs no change
    keeps its Unicode normal form.

    Args:
        name: with its suffix, unless `suffix` is set.
        suffix: suffix of the result, with its dot; None keeps the name's own.
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
    """Safe file names in the order of the names, distinct on every file system.

    Names that differ only in case or Unicode normal form count as equal. Among names that collide, those that
    are already safe keep their name, first come first served; others get `_2`, `_3` ... in front of their suffix.
    """
    order = sorted(range(len(names)), key=lambda at: not is_portable(names[at]))
    safe = numbered([safe_file_name(names[at], max_bytes=max_bytes) for at in order], file_key, max_bytes=max_bytes)
    by_index = dict(zip(order, safe, strict=True))
    return [by_index[at] for at in range(len(names))]


def file_key(name: str) -> str:
    """Key that is equal for names that are the same file on a file system without case or Unicode normal form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def path_in_folder(folder: str | os.PathLike[str], name: str) -> Path:
    """Output path directly inside the folder for `name`, a safe file name that came from an `.igs` file.

    Raises:
        FileAccessError: as `refuse_link_out`, or the path is a pipe, device or folder.
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

    Neither the author of the file nor whoever packed the folder may redirect the output.

    Raises:
        FileAccessError: the path is such a link.
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
    """A stem that no shell, option parser or file browser misreads: without leading dots, dashes, tildes and spaces."""
    rest = stem.lstrip(".-~").lstrip()
    while rest != (further := rest.lstrip(".-~").lstrip()):
        rest = further
    return rest and (stem if rest == stem else f"_{rest}")


def _without_end(text: str) -> str:
    """The text without trailing dots and spaces, which Windows drops."""
    while text != (shorter := text.rstrip().rstrip(".")):
        text = shorter
    return text


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix; the suffix is empty if nothing precedes its dot."""
    stem, dot, last = name.rpartition(".")
    if not stem.strip(".") or not 0 < len(last.encode(errors="replace")) < _LONGEST_SUFFIX or not last.strip():
        return name, ""
    return stem, dot + last


def _cut(text: str, n_bytes: int) -> str:
    """The longest prefix of whole characters with at most n_bytes of UTF-8."""
    return text.encode()[: max(n_bytes, 0)].decode(errors="ignore")
