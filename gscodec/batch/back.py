"""Batch decoding: `.igs` files below a folder to pictures, which replace only those of earlier runs of the same item.

Before a picture is written, a note in the target folder records the SHA-256 of the picture and of its `.igs` file. An
existing file is replaced if its bytes match a note of the same item; any other file belongs to the user and is replaced
only with `overwrite`. Source pictures are never replaced: inputs of the batch, pictures that the state of an encode
lists, and pictures beside the `.igs` file that it records as its source.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from gscodec.batch.journal import Journal, Note
from gscodec.batch.names import marked
from gscodec.batch.outcome import Outcome, Status, one_line, outcome_of
from gscodec.batch.plan import check_target, is_wanted, unmatched
from gscodec.batch.prints import digest_of, real_paths, stat_of
from gscodec.batch.state import sources_known
from gscodec.batch.walk import igs_below
from gscodec.batch.work import Options, check_inside
from gscodec.encoding.fingerprint import fingerprint
from gscodec.errors import FileAccessError, GsCodecError, InvalidArgument, OutputExists, file_access_error
from gscodec.model.file_names import file_key, path_in_folder, refuse_link_out

NAME: Final = ".gscodec-decode.jsonl"
_KIND: Final = "decodes of a batch"


@dataclass(frozen=True)
class Picture:
    """One output picture of a decode."""

    path: Path
    digests: tuple[str, ...] = ()  # SHA-256 of the pictures that earlier decodes of this item wrote there
    is_source: bool = False  # never to be replaced


@dataclass(frozen=True)
class DecodeItem:
    """One `.igs` file and the pictures that it becomes."""

    name: str  # its path below the source folder, with `/` and without suffix
    source: Path
    root: Path  # the target folder
    pictures: tuple[Picture, ...] = ()  # in the order of the file's own entries
    fault: str = ""  # why it cannot be decoded

    @property
    def identity(self) -> str:
        """Path of the `.igs` file relative to the target folder; distinguishes items of different source folders."""
        return identity_of(self.source, self.root)


@dataclass(frozen=True)
class DecodePlan:
    """The items of a batch decode, and what was left out."""

    items: tuple[DecodeItem, ...]
    left_out: tuple[str, ...]
    unused: tuple[str, ...]  # patterns that match nothing


class DecodeState:
    """Notes on the pictures of a target folder, by their paths below it.

    Args:
        warn: called with one line of text for the user.
        dry: change nothing on disk.
    """

    def __init__(self, root: Path, warn: Callable[[str], None] = lambda _: None, *, dry: bool = False) -> None:
        self._root = root
        self._notes = Journal(root / NAME, _KIND, warn).read(tidy=not dry)

    def current(self, item: DecodeItem, *, trust: bool = False, grain: bool = True) -> Outcome | None:
        """The outcome of an item whose `.igs` file and pictures are unchanged since the last run, or None.

        Args:
            trust: compare only the pictures' sizes and modification times, not their bytes.
            grain: whether the pictures are to have the film grain that the file describes.
        """
        notes = [self._notes.get(_below(picture.path, self._root), [{}])[-1] for picture in item.pictures]
        igs = digest_of(item.source)
        for picture, note in zip(item.pictures, notes, strict=True):
            made_of = tuple(note.get(member) for member in ("item", "igs", "build", "grain"))
            if made_of != (item.identity, igs, fingerprint(), grain):
                return None
            known, seen = (note.get("stat"), stat_of(picture.path)) if trust else (None, None)
            if (known is None or known != seen) and note.get("digest") != digest_of(picture.path):
                return None
        if not item.pictures or igs is None:
            return None
        return Outcome(item.name, Status.CURRENT, str(_output(item)))

    def digests(self, item: str, path: Path) -> tuple[str, ...]:
        """SHA-256 of the files that decodes of an item (by its identity) may have written to a path."""
        notes = [note for note in self._notes.get(_below(path, self._root), []) if note.get("item") == item]
        values = [note.get(member) for note in notes for member in ("digest", "was")]
        return tuple(digest for digest in values if isinstance(digest, str))


def plan_decode(
    source: Path,
    target: Path,
    state: DecodeState,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> DecodePlan:
    """An item for each `.igs` file at or below a folder, mirrored below another.

    Args:
        include, exclude: shell patterns of paths below the source folder.

    Raises:
        FileAccessError: the folder does not exist or contains no `.igs` file, or the target is not a folder.
    """
    if not source.is_dir():
        raise file_access_error(f"{source}: is not a folder", errno.ENOTDIR, source)
    check_target(target)
    walk = igs_below(source)
    unused = unmatched([path.relative_to(source).as_posix() for path in walk.files], include, exclude)
    files = [path for path in walk.files if is_wanted(path.relative_to(source).as_posix(), include, exclude)]
    if not files:
        raise FileAccessError(f"{source}: contains no .igs files", filename=source)
    known = real_paths(files) | _sources_around(source, files) | _sources_around(target, ())
    taken = _Taken()
    items = []
    for path in files:
        name = path.relative_to(source).as_posix()[: -len(path.suffix)]
        items.append(_planned(name, path, target, state, known, taken))
    return DecodePlan(tuple(items), walk.left_out, tuple(unused))


def identity_of(source: Path, root: Path) -> str:
    """Path of an `.igs` file from the target folder, so that both may move together."""
    real, start = os.path.realpath(source), os.path.realpath(root)
    try:
        return os.path.relpath(real, start)
    except ValueError:  # on another Windows drive
        return real


def _planned(name: str, path: Path, target: Path, state: DecodeState, known: set[str], taken: "_Taken") -> DecodeItem:
    from gscodec.decoding.image import open_igs
    from gscodec.image.picture_names import picture_names, usual_suffix

    try:
        with open_igs(path, device="cpu") as image:
            entries, sources = image.files, {file_key(source) for source in image.source_names}
        identity, folder = identity_of(path, target), os.path.realpath(path.parent)
        for stem in (name, marked(name, name)):
            if len(entries) > 1:
                below = [f"{stem}/{one}" for one in picture_names(entries)]
            else:
                below = [f"{stem}{usual_suffix(entries[0])}"]
            if taken.add(below):
                break
        else:
            raise FileAccessError(f"{path}: its pictures would have the names of another item's; rename it")
        pictures = []
        for one in below:
            place = target / one
            is_beside = os.path.realpath(place.parent) == folder and file_key(place.name) in sources
            is_source = is_beside or os.path.realpath(place) in known
            pictures.append(Picture(place, state.digests(identity, place), is_source))
    except (GsCodecError, OSError) as fault:
        return DecodeItem(name, path, target, fault=one_line(fault))
    return DecodeItem(name, path, target, tuple(pictures))


class _Taken:
    """The names of the pictures planned so far, compared as on the strictest file system."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, names: Sequence[str]) -> bool:
        """Reserve a group of names; returns False and reserves none if a file or folder already has one of them."""
        files = {file_key(name) for name in names}
        folders = {file_key(parent.as_posix()) for name in names for parent in PurePosixPath(name).parents}
        if files & (self._files | self._folders) or folders & self._files:
            return False
        self._files |= files
        self._folders |= folders
        return True


def _sources_around(folder: Path, files: Sequence[Path]) -> set[str]:
    """Source paths recorded by encodes into a folder, into its parents, and into the folders of `files`."""
    top = Path(os.path.realpath(folder))
    folders = {top, *top.parents, *(path.parent for path in files)}
    return {path for place in folders for path in sources_known(place)}


def decode_item(item: DecodeItem, options: Options) -> Outcome:
    """Write all pictures of a file, or none if one of them would replace a file that no decode of this item wrote."""
    return outcome_of(item.name, str(_output(item)), lambda: _decode(item, options))


def _decode(item: DecodeItem, options: Options) -> Outcome:
    from gscodec.decoding.image import open_igs
    from gscodec.decoding.to_files import picture_bytes
    from gscodec.io.atomic import write_atomic

    if item.fault:
        raise FileAccessError(item.fault)
    igs = digest_of(item.source)
    for picture in item.pictures:
        _check(item, picture, options, None)  # before decoding; an existing file may still prove identical
    with open_igs(
        item.source, device=options.device, threads=options.threads, limits=options.limits, grain=options.grain
    ) as image:
        rendered = list(image.render_files().values())
        if len(rendered) != len(item.pictures) or digest_of(item.source) != igs:
            raise FileAccessError(f"{item.source}: changed while it was decoded; run the batch again")
        metadata = image.metadata if len(rendered) == 1 else None
        files = [
            picture_bytes(picture, at.path.name, metadata=metadata)
            for at, picture in zip(item.pictures, rendered, strict=True)
        ]
    digests = [hashlib.sha256(data).hexdigest() for data in files]
    standing = [_check(item, picture, options, digest) for picture, digest in zip(item.pictures, digests, strict=True)]
    item.root.mkdir(parents=True, exist_ok=True)
    journal = Journal(item.root / NAME, _KIND)
    n_bytes, changed = 0, False
    for picture, data, digest, was in zip(item.pictures, files, digests, standing, strict=True):
        note: Note = {
            "name": _below(picture.path, item.root),
            "item": item.identity,
            "igs": igs,
            "build": fingerprint(),
            "grain": options.grain,
            "digest": digest,
        }
        if was != digest:
            picture.path.parent.mkdir(parents=True, exist_ok=True)
            check_inside(picture.path, item.root)
            # The note precedes the picture, so that after a kill either version of the picture is recognised.
            journal.add(note | ({} if was is None else {"was": was}), durable=True)
            try:
                write_atomic(picture.path, data, overwrite=was is not None)
            except OutputExists:  # created meanwhile by another run or by the user
                if _check(item, picture, options, digest) != digest:
                    write_atomic(picture.path, data, overwrite=True)
            changed = True
        journal.add(note | {"stat": stat_of(picture.path)})
        n_bytes += len(data)
    return Outcome(item.name, Status.DECODED if changed else Status.CURRENT, str(_output(item)), n_bytes=n_bytes)


def _check(item: DecodeItem, picture: Picture, options: Options, digest: str | None) -> str | None:
    """SHA-256 of the file that a picture would replace, or None if there is none.

    Args:
        digest: SHA-256 of the new file; None before decoding, when a file that may prove identical is accepted.

    Raises:
        InvalidArgument: it is a source. OutputExists: no decode of this item wrote it. FileAccessError: it is a link
            out of the folder.
    """
    path = picture.path
    if len(item.pictures) > 1 and path.parent.is_dir():
        path_in_folder(path.parent, path.name)
    refuse_link_out(path)
    check_inside(path, item.root)
    if not path.exists():
        return None
    standing = digest_of(path)
    if standing is None:
        raise FileAccessError(f"{path}: is not a regular file; remove it or name another folder", filename=path)
    if standing in picture.digests or standing == digest:
        return standing
    if digest is not None and standing in DecodeState(item.root, dry=True).digests(item.identity, path):
        return standing  # another run has written it since this one was planned
    if picture.is_source:
        raise InvalidArgument(f"{path}: is a source of {item.name}; name another folder")
    if not options.overwrite and digest is not None:
        raise OutputExists(
            f"{path}: was not written by a decode of {item.name}; use --overwrite to replace it", filename=path
        )
    return standing


def _output(item: DecodeItem) -> Path:
    """The one picture, or the folder of several."""
    if not item.pictures:
        return item.root / item.name
    return item.pictures[0].path if len(item.pictures) == 1 else item.pictures[0].path.parent


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
