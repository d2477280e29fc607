"""Encodes one item of a batch, in a worker process or in this one."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gscodec.batch.keys import key_of
from gscodec.batch.outcome import Outcome, Provenance, Status, outcome_of
from gscodec.batch.plan import Item
from gscodec.batch.prints import print_of, stat_of, wait_for_later_timestamp
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import FileAccessError, GsCodecError, OutputExists
from gscodec.model.constants import EXACT_DB, LEAST_SHARE
from gscodec.model.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from gscodec.encoding.api import Progress
    from gscodec.image.stack import ImageStack

KEY_MEMBER: Final = "key"
"""Metadata member (META chunk) that holds a file's content key."""

READS: Final = 5
"""Maximum attempts at reading sources that change while they are read."""


@dataclass(frozen=True)
class Options:
    """Options of processing; none changes the bytes of an `.igs` file."""

    threads: int | None = None
    device: str = "auto"
    cache: Path | None = None
    overwrite: bool = False  # replace outputs that no batch wrote
    limits: Limits = DEFAULT_LIMITS  # of what is read and decoded
    grain: bool = True  # of decodes: whether pictures get the film grain that their files describe


@dataclass(frozen=True)
class Found:
    """An existing file at an item's output path or in the cache."""

    data: bytes
    key: str | None  # content key, if a batch wrote the file
    is_whole: bool  # all checksums match
    is_igs: bool  # begins as an `.igs` file, or is empty

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


def encode_item(
    item: Item,
    options: Options,
    progress: "Callable[[Progress], None] | None" = None,
    is_known: bool = False,
) -> Outcome:
    """Encode the item's file, unless it is up to date or in the cache. Raises only on interrupts and lack of memory.

    Args:
        is_known: the state has a note of the output, so that a damaged file there may be replaced.
    """
    return outcome_of(item.name, str(item.output), lambda: _encode(item, options, progress, is_known))


def _encode(item: Item, options: Options, progress: "Callable[[Progress], None] | None", is_known: bool) -> Outcome:
    from gscodec.io.atomic import write_atomic

    settings = item.settings
    if item.fault:
        raise FileAccessError(item.fault)
    check_inside(item.output, item.root)
    stack, seen = _read(item, options.limits)
    key = key_of(stack, settings)
    existing = look_at(item.output, options.threads)
    if existing is not None and existing.key == key and existing.is_whole:
        return _outcome(item, existing, Status.CURRENT, seen)
    is_ours = existing is not None and (
        existing.key is not None or (is_known and existing.is_igs and not existing.is_whole)
    )
    if existing is not None and not is_ours and not options.overwrite:
        raise OutputExists(f"{item.output}: was not written by a batch; use --overwrite to replace it")
    cached = None if options.cache is None else options.cache / key[:2] / f"{key}.igs"
    item.output.parent.mkdir(parents=True, exist_ok=True)
    check_inside(item.output, item.root)
    stored = None if cached is None else look_at(cached, options.threads)
    if stored is not None and stored.key == key and stored.is_whole:
        _put(item.output, stored.data, existing, options.threads)
        return _outcome(item, stored, Status.COPIED, seen)

    from gscodec.encoding.api import encode
    from gscodec.image.stack import ImageStack

    result = encode(
        stack,
        settings=settings.for_samples(),
        device=options.device,
        threads=options.threads,
        meta={KEY_MEMBER: key},
        progress=progress,
    )
    _put(item.output, result.data, existing, options.threads)
    if cached is not None:
        # The cache is optional: a full disk or a lock held by another process does not fail the item.
        with contextlib.suppress(GsCodecError, OSError):
            cached.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(cached, result.data, overwrite=True)
    encoded = Found(result.data, key, is_whole=True, is_igs=True)
    outcome = _outcome(item, encoded, Status.ENCODED, seen, met=result.target_met, note=result.note)
    if not isinstance(stack, ImageStack) or len(stack.groups) == 1:
        return outcome
    from gscodec.batch.map_figures import figures_of

    return replace(outcome, map_figures=figures_of(stack, result.data, options.threads))


def _put(path: Path, data: bytes, existing: Found | None, threads: int | None) -> None:
    """Write an output; `found` is the file that was at its path before encoding.

    Raises:
        OutputExists: a file that no batch wrote was created there meanwhile.
    """
    from gscodec.io.atomic import write_atomic

    try:
        write_atomic(path, data, overwrite=existing is not None)
    except OutputExists:  # created meanwhile by another run or by the user
        other = look_at(path, threads)
        if other is not None and other.key is None:
            raise
        write_atomic(path, data, overwrite=True)


def _read(item: Item, limits: Limits) -> "tuple[ImageStack, str | None]":
    """The sources' samples, and the fingerprint (`print_of`) of exactly the files they were read from.

    Raises:
        FileAccessError: the files changed during each of READS attempts.
    """
    from gscodec.material.maps import load_source

    settings = item.settings
    for _ in range(READS):
        wait_for_later_timestamp(item.sources)
        seen = print_of(item.sources)
        try:
            stack = load_source(
                item.sources, part=settings.part, nan=settings.nan, limits=limits, overrides=settings.overrides
            )
        except GsCodecError:
            if print_of(item.sources) == seen:
                raise
            continue
        if print_of(item.sources) == seen:
            return stack, seen
    raise FileAccessError(
        f"{item.name}: its sources change while they are read; run the batch again when they are complete"
    )


def check_inside(path: Path, root: Path) -> None:
    """Refuse an output path that a symbolic link leads out of its output folder.

    Raises:
        FileAccessError: it leads out of `root`.
    """
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise FileAccessError(f"{path}: a link leads out of {root}; remove it or name another folder", filename=path)


def look_at(path: Path, threads: int | None = None) -> Found | None:
    """The file at a path with all its checksums verified; None if there is none.

    Raises:
        OSError: it cannot be read.
    """
    from gscodec.container.reader import IgsReader
    from gscodec.container.validate import Severity, validate
    from gscodec.format.layout import SIGNATURE

    try:
        data = path.read_bytes() if path.is_file() else None
    except FileNotFoundError:
        return None
    if data is None:
        if path.exists():
            raise FileAccessError(f"{path}: is not a regular file; remove it or name another output", filename=path)
        return None
    key: Any = None
    with contextlib.suppress(GsCodecError), IgsReader(data, str(path)) as reader:
        key = (reader.meta or {}).get(KEY_MEMBER)
    is_whole = not any(issue.severity is Severity.ERROR for issue in validate(data, str(path), threads=threads))
    return Found(data, key if isinstance(key, str) else None, is_whole, data.startswith(SIGNATURE[:4]) or not data)


def read_key(path: Path) -> str | None:
    """The content key of an undamaged file; None if there is no file, it has no key, or it is damaged."""
    try:
        existing = look_at(path)
    except (GsCodecError, OSError):
        return None
    return existing.key if existing is not None and existing.is_whole else None


def _outcome(
    item: Item, existing: Found, status: Status, seen: str | None, *, met: bool | None = None, note: str = ""
) -> Outcome:
    """The outcome of an item whose output is a complete file.

    Args:
        met: whether it meets its target; None derives it from the file.
        note: why the target is not met.
    """
    from gscodec.container.reader import IgsReader

    with IgsReader(existing.data, str(item.output)) as reader:
        header, meta = reader.header, reader.meta or {}
    n_bytes, psnr = len(existing.data), meta.get("psnr")
    psnr = float(psnr) if isinstance(psnr, int | float) else None
    pixels = header.width * header.height
    if met is None:
        saturated = (psnr is not None and psnr >= EXACT_DB) or header.n_gaussians >= pixels
        met = _meets(item.settings, n_bytes, pixels, header.n_channels, psnr, saturated=saturated)
    return Outcome(
        item.name,
        status if met else Status.MISSED,
        str(item.output),
        "" if met else f"{item.name}: {item.settings.target} was not met" + (f": {note}" if note else ""),
        key=existing.key or "",
        n_bytes=n_bytes,
        bpp=8 * n_bytes / pixels,
        psnr=psnr,
        n_gaussians=header.n_gaussians,
        provenance=Provenance(seen, existing.digest, stat_of(item.output)),
    )


def _meets(
    settings: EncodeSettings, n_bytes: int, pixels: int, n_channels: int, psnr: float | None, *, saturated: bool
) -> bool:
    """Whether a file meets its target, judged by its size and its recorded PSNR (resolution 0.01 dB).

    Args:
        saturated: more bytes would not improve the file, so it may be smaller than its target.
    """
    if settings.psnr is not None:
        return psnr is None or psnr >= round(settings.psnr, 2)
    budget: float | None = settings.size
    if settings.bpp is not None:
        budget = settings.bpp * pixels / 8
    elif settings.bppc is not None:
        budget = settings.bppc * pixels * n_channels / 8
    return budget is None or (n_bytes <= budget and (saturated or n_bytes >= LEAST_SHARE * int(budget)))
