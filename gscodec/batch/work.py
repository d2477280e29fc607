"""One item of a batch, done in whatever process it falls to."""

import contextlib
import glob
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gscodec.batch.plan import Item
from gscodec.batch.settings import key_of
from gscodec.errors import FileAccessError, GsCodecError, OutputExists

if TYPE_CHECKING:
    from gscodec.encoder import Progress

KEY_MEMBER = "key"
"""Member of a file's metadata that holds its key."""


class Status(StrEnum):
    """What became of an item."""

    ENCODED = "encoded"
    COPIED = "copied"  # out of the cache
    CURRENT = "current"  # was there already
    DECODED = "decoded"
    MISSED = "missed"  # written, but its target was not met
    FAILED = "failed"
    WAITING = "waiting"  # not begun: the batch was stopped, or only planned


@dataclass(frozen=True)
class Outcome:
    """What became of an item, and of which file."""

    name: str
    status: Status
    output: str = ""
    message: str = ""  # one line, for failures
    key: str = ""
    n_bytes: int = 0
    bpp: float = 0.0
    psnr: float | None = None  # dB; None where the file does not say
    n_gaussians: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Options:
    """How items are done; none of it changes a file."""

    threads: int | None = None
    device: str = "auto"
    cache: Path | None = None
    overwrite: bool = False  # replace outputs that no batch made


def encode_item(item: Item, options: Options, progress: "Callable[[Progress], None] | None" = None) -> Outcome:
    """Make the item's file, unless it is there or in the cache. Never raises but for interrupts and lack of memory."""
    started = time.perf_counter()
    try:
        outcome = _encode(item, options, progress)
    except GsCodecError as fault:
        outcome = Outcome(item.name, Status.FAILED, str(item.output), " ".join(str(fault).split()))
    except OSError as fault:
        outcome = Outcome(item.name, Status.FAILED, str(item.output), f"{item.output}: {fault.strerror or fault}")
    return replace(outcome, seconds=time.perf_counter() - started)


def _encode(item: Item, options: Options, progress: "Callable[[Progress], None] | None") -> Outcome:
    from gscodec.format import write_atomic
    from gscodec.image import load_source

    settings = item.settings
    stack = load_source(item.sources, part=settings.part, nan=settings.nan)
    key = key_of(stack, settings)
    known = read_key(item.output)
    if known == key:
        return describe_file(item.name, item.output, Status.CURRENT)
    if known is None and item.output.exists() and not options.overwrite:
        raise OutputExists(f"{item.output}: was not made by a batch; use --overwrite to replace it")
    cached = None if options.cache is None else options.cache / key[:2] / f"{key}.igs"
    item.output.parent.mkdir(parents=True, exist_ok=True)
    if cached is not None and read_key(cached) == key:
        write_atomic(item.output, cached.read_bytes(), overwrite=True)
        return describe_file(item.name, item.output, Status.COPIED)

    from gscodec.encoder import encode

    arguments = settings.arguments() | {"threads": options.threads, "device": options.device}
    result = encode(stack, **arguments, meta={KEY_MEMBER: key}, progress=progress)
    write_atomic(item.output, result.data, overwrite=True)
    if cached is not None:
        # The cache is a help: a full disk or another's lock does not fail the item.
        with contextlib.suppress(GsCodecError, OSError):
            cached.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(cached, result.data, overwrite=True)
    status = Status.ENCODED if result.target_met else Status.MISSED
    message = "" if result.target_met else f"{item.name}: {settings.target} was not met"
    return replace(describe_file(item.name, item.output, status), message=message)


def decode_item(name: str, source: Path, target: Path, options: Options) -> Outcome:
    """The pictures of a file: one at `target` with the suffix of its kind, or the maps of a stack in that folder."""
    from gscodec.decode import open_igs
    from gscodec.format.file_names import path_in_folder
    from gscodec.image import save_image
    from gscodec.image.picture_names import picture_names

    started = time.perf_counter()
    try:
        if not options.overwrite and _is_newer(target, source):
            return Outcome(name, Status.CURRENT, str(target))
        with open_igs(source, device=options.device, threads=options.threads) as image:
            files = image.render_files(lod=None)
            is_stack = len(files) > 1
            names = picture_names([restored.entry for restored in files.values()])
            for file_name, restored in zip(names, files.values(), strict=True):
                suffix = ".exr" if restored.entry.exr else ".png"
                path = path_in_folder(target, file_name) if is_stack else target.with_name(f"{target.name}{suffix}")
                path.parent.mkdir(parents=True, exist_ok=True)
                save_image(path, restored.samples, restored.groups, image.icc, overwrite=True, exr=restored.entry.exr)
        outcome = Outcome(name, Status.DECODED, str(target))
    except GsCodecError as fault:
        outcome = Outcome(name, Status.FAILED, str(target), " ".join(str(fault).split()))
    except OSError as fault:
        outcome = Outcome(name, Status.FAILED, str(target), f"{target}: {fault.strerror or fault}")
    return replace(outcome, seconds=time.perf_counter() - started)


def _is_newer(target: Path, source: Path) -> bool:
    """Whether a decode of the source is there, and not older than it; `target` as in `decode_item`."""
    made = list(target.iterdir()) if target.is_dir() else list(target.parent.glob(f"{glob.escape(target.name)}.*"))
    made = [path for path in made if path.suffix != ".igs"]
    since = source.stat().st_mtime_ns
    return bool(made) and all(path.stat().st_mtime_ns >= since for path in made)


def read_key(path: Path) -> str | None:
    """The key in a whole file, or None: no file, no key, or a damaged one."""
    from gscodec.format import IgsReader

    try:
        with IgsReader(path) as reader:
            key: Any = None if reader.truncated else (reader.meta or {}).get(KEY_MEMBER)
    except (GsCodecError, OSError):
        return None
    return key if isinstance(key, str) else None


def describe_file(name: str, path: Path, status: Status) -> Outcome:
    """The outcome that a finished file stands for.

    Raises:
        FileAccessError, BadFile: it is gone or damaged meanwhile.
    """
    from gscodec.format import IgsReader

    if not path.exists():
        raise FileAccessError(f"{path}: is gone")
    with IgsReader(path) as reader:
        header, meta = reader.header, reader.meta or {}
        psnr = meta.get("psnr")
        return Outcome(
            name,
            status,
            str(path),
            key=str(meta.get(KEY_MEMBER, "")),
            n_bytes=header.file_size,
            bpp=8 * header.file_size / (header.width * header.height),
            psnr=float(psnr) if isinstance(psnr, int | float) else None,
            n_gaussians=header.n_gaussians,
        )
