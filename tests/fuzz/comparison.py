"""What is wrong with how the readers take some bytes: the Python reader, `validate`, the decoder, and the C reader.

The rules, for any bytes:

- Nothing is raised but the errors that spec/igs.md names, and nothing is warned about.
- The Python and the C reader accept the same files and levels, and report others by the same error; of a file with a
  page tree with it and without.
- `validate` finds an error where a reader does; and where no reader does, only what readers need not look at.
- At points of a level that both accept, both blend the same values.
"""

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from c_reader import CReader
from toc_fields import seal, toc_spans

from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.errors import GsCodecError
from gscodec.format.chunks import read_preamble
from gscodec.format.layout import KNOWN_CHUNKS, PAGT
from gscodec.io.source import MemorySource
from gscodec.model.channels import SampleType
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.reference import ReferenceRasterizer

SPEC_ERRORS: Final = frozenset(
    {
        "BadMagic",
        "TruncatedStream",
        "UnsupportedVersion",
        "UnsupportedChunk",
        "ChecksumMismatch",
        "LimitExceeded",
        "CorruptField",
    }
)
_COMPARED: Final = 0.35
"""Share of good files whose values are compared."""

_N_POINTS: Final = 5
_MOST_BLENDED: Final = 200_000
"""Gaussians times points up to which the C reader, which makes lists for every point, is asked to blend."""
_MISSES: Final = "misses one of its"
"""A box that does not hold what it stands for: parts are then decoded without what lies beyond."""

_Result = TypeVar("_Result")
Floats = npt.NDArray[np.float64]


@dataclass
class Report:
    """What came of one file."""

    outcome: str  # "valid", or the error that the Python reader reports first
    findings: list[str] = field(default_factory=list)  # rules that were broken


class _ForeignError(Exception):
    """Something was raised that the readers do not raise on purpose."""


def _attempt(action: Callable[[], _Result], *, of_bytes: bool = True) -> tuple[str, _Result | None]:
    """The name of the error that an action ends with, "" for none, and its result.

    Args:
        of_bytes: whether only errors may come that the format names.
    """
    try:
        return "", action()
    except GsCodecError as fault:
        name = type(fault).__name__
        if (of_bytes and name not in SPEC_ERRORS) or "\n" in str(fault):
            raise _ForeignError(f"{name}: {fault}") from fault
        return name, None
    except Exception as fault:
        raise _ForeignError(f"{type(fault).__name__}: {fault}") from fault


class ReaderComparison:
    """Holds the readers against each other, file by file.

    Of the levels of a file it reads the finest, the coarsest, one between and the finest of each set; of every third
    good file it compares values of one level.
    """

    def __init__(self, c_reader: CReader) -> None:
        self._c = c_reader
        self._engine = CpuRasterizer(threads=1)
        self._oracle = ReferenceRasterizer()

    def check(self, data: bytes, draw: random.Random, *, deep: bool = False) -> Report:
        """ReaderComparison a file.

        Args:
            draw: where to look.
            deep: whether to ask for pictures, parts, sizes and files, too, and not for a few points only.
        """
        report = Report("")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self._check(data, draw, report, deep=deep)
        except _ForeignError as fault:
            report.outcome = report.outcome or "foreign"
            report.findings.append(f"foreign exception: {fault}"[:300])
        return report

    def _check(self, data: bytes, draw: random.Random, report: Report, *, deep: bool) -> None:
        issues = _attempt(lambda: validate(data))[1] or []
        errors = [issue for issue in issues if issue.severity == "error"]
        plain = without_tree(data)
        found = _read(data, deep=deep)
        without = found if plain is data else _read(plain)
        report.outcome = fault = next(filter(None, (*found.faults, *without.faults)), "")
        if plain is not data:
            self._compare_with_c(found, data, report, tree=True)
        self._compare_with_c(without, data, report)
        beyond = {"page", "PAGT"} if found.truncated else set()  # `validate` looks at levels that are not whole, too
        serious = [i for i in errors if _part(i.where) not in beyond and not _beyond_readers(i.where, i.message)]
        if fault and not errors:
            report.findings.append(f"disagreement: validate finds nothing, a reader {fault}")
        if serious and not fault:
            report.findings.append(f"disagreement: readers find nothing, validate: {serious[0].message}"[:300])
        report.outcome = fault or ("valid for readers" if errors else "valid")
        whole = not errors and not any(_MISSES in issue.message for issue in issues)
        if whole and found.levels and draw.random() < _COMPARED:
            self._compare_points(data, draw.choice(sorted(found.levels)), draw, report)
        if deep:
            self._render(data, draw)

    def _compare_with_c(self, found: "_Reading", data: bytes, report: Report, *, tree: bool = False) -> None:
        """Hold the Python reader against the C reader: on opening, and level by level."""
        in_c = self._c.open(data, tree=tree)
        if found.opened != in_c:
            facts = f"{found.opened or 'no error'}, in C {in_c or 'none'}"
            report.findings.append(f"disagreement: opens with {facts}")
        grain, in_c_grain = next(iter(found.beside), ""), "" if in_c else self._c.grain()
        if not in_c and grain != in_c_grain:
            report.findings.append(f"disagreement: grain with {grain or 'no error'}, in C {in_c_grain or 'none'}")
        for lod, fault in found.levels.items():
            if not in_c and (of_level := self._c.read(lod)) != fault:
                facts = f"{fault or 'no error'}, in C {of_level or 'none'}"
                report.findings.append(f"disagreement: LOD {lod} with {facts}")

    def _compare_points(self, data: bytes, lod: int, draw: random.Random, report: Report) -> None:
        """Hold values at points of a level of a good file against those of the C reader."""
        with IgsReader(data) as reader:
            means, (height, width) = reader.read(lod).means, (reader.grid.height, reader.grid.width)
        if self._c.read(lod) or len(means) * _N_POINTS > _MOST_BLENDED:
            return
        points = np.array([[draw.random() * width, draw.random() * height] for _ in range(_N_POINTS)])
        for i in range(min(2, len(means))):
            near = means[draw.randrange(len(means))] + [draw.gauss(0, 2), draw.gauss(0, 2)]
            points[i] = np.clip(near, 0, [width, height])
        for engine in (self._engine, self._oracle) if draw.random() < 0.1 else (self._engine,):
            if not self._same(data, lod, points, engine):
                fact = f"LOD {lod} is blended to other values than in C"
                report.findings.append(f"disagreement: {fact} by {engine.name}")

    def _same(self, data: bytes, lod: int, points: Floats, engine: Rasterizer) -> bool:
        """Whether an engine and C blend the same, except at points where rounding decides the order.

        A point that differs is looked at again with the support a little larger and smaller, and beside it: values
        that differ by rounding differ at one place.
        """
        with open_igs(data, device=engine, grain=False) as image:
            off = self._off(image, lod, points, self._c.blend(points))
            for scale in (1 - 1e-9, 1 + 1e-9):
                if off.any():
                    off &= self._off(image, lod, points, self._c.blend(points, scale))
            for at in np.flatnonzero(off):
                beside = np.clip(points[at] + 1e-3 * np.array([[1, 2], [-2, 1], [3, -1]]), 0, image.shape[1::-1])
                off[at] = self._off(image, lod, beside, self._c.blend(beside)).all()
        return not off.any()

    def _off(self, image: IgsImage, lod: int, points: Floats, features: Floats) -> npt.NDArray[np.bool_]:
        """(n,) whether values differ by more than binary32 explains, on the scale of the features that are there.

        Samples of float groups must lie between those that C makes of features a little smaller and larger.
        """
        _, values = _attempt(lambda: image.sample(points, lod))
        assert values is not None
        gaussians, background = image._reader.read(lod), np.abs(image._reader.grid.background)
        most = np.maximum(background, np.abs(gaussians.features).max(axis=0)) if len(gaussians) else background
        low, high = (features + sign * 2e-4 * (1.0 + most) for sign in (-1, 1))
        at = 0
        for group in image.groups:
            for channel in range(at, at + group.n_channels):
                if group.sample_type is SampleType.FLOAT:
                    slack = 1e-6 * np.abs(values[:, channel]) + 1e-12 * (abs(group.value_min) + abs(group.value_max))
                    low[:, channel] = [self._c.sample(channel, v) for v in low[:, channel]] - slack
                    high[:, channel] = [self._c.sample(channel, v) for v in high[:, channel]] + slack
            at += group.n_channels
        return np.asarray(~((low <= values) & (values <= high)).all(axis=1), np.bool_)

    def _render(self, data: bytes, draw: random.Random) -> None:
        """Everything else that can be asked of a picture, where it is small."""
        image = _attempt(lambda: open_igs(data, device=self._engine))[1]
        if image is None:
            return
        with image:
            height, width, _ = image.shape
            w, h = min(width, draw.choice((1, 9, 40))), min(height, draw.choice((1, 7, 24)))
            region = (draw.randrange(width - w + 1), draw.randrange(height - h + 1), w, h)
            requests: list[Callable[[], Any]] = [
                lambda: image.info,
                lambda: image.grain,
                lambda: image.render(region=region),
                lambda: image.render(None, region, (draw.randrange(1, 20), draw.randrange(1, 20))),
                lambda: image.render(None, None, (8, 8)),
                lambda: image.render(None, region, None, draw.choice((np.uint8, np.uint16, np.float32))),
                lambda: [part for _, part in image.strips(region=region)],
                lambda: list(image.tiles(16, None, region)),
                lambda: image.render_files(None, None, region),
                lambda: image.render_files(None, None, None, (5, 6)),
            ]
            if height * width <= 64 * 64:
                requests += [image.render, lambda: list(image.mips())]
                files = _attempt(lambda: image.files)[1] or ()
                if all(entry.height * entry.width <= 128 * 128 for entry in files):
                    requests += [image.render_files, lambda: list(image.mip_files())]
            for request in draw.sample(requests, 4):
                _attempt(request, of_bytes=False)


def without_tree(data: bytes, *, coarser: bool = False) -> bytes:
    """The file as a reader takes it that does not know page trees: PAGT is a chunk of an unknown type."""
    opened, preamble = _attempt(lambda: read_preamble(MemorySource(data), "", coarser=coarser))
    if opened or preamble is None:
        return data
    changed = bytearray(data)
    for at, _ in toc_spans(data):
        if data[at : at + 4] == PAGT:
            changed[at : at + 4] = PAGT.lower()
    changed[:] = seal(bytes(changed))
    for chunk in (chunk for chunk in preamble.coarser if not chunk.is_small):
        span = slice(chunk.offset, min(chunk.offset + chunk.stored_size, len(data)))
        changed[span] = without_tree(data[span], coarser=True)
    return data if changed == data else bytes(changed)


@dataclass(frozen=True)
class _Reading:
    """Errors of the Python reader, "" for what goes well."""

    opened: str
    beside: tuple[str, ...] = ()  # of grain, profile, texts and metadata
    levels: dict[int, str] = field(
        default_factory=dict
    )  # of the finest level, the coarsest, one between and the finest of each set
    truncated: bool = False
    available: tuple[int, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        """All of them, without those that say that a file is cut."""
        levels = self.levels.items()
        return self.opened, *self.beside, *(f for lod, f in levels if lod in self.available or f != "TruncatedStream")


def _read(data: bytes, *, deep: bool = False) -> _Reading:
    opened, reader = _attempt(lambda: IgsReader(data))
    if reader is None:
        return _Reading(opened)
    with reader:
        beside = tuple(_attempt(part)[0] for part in _beside(reader))
        if not any(beside) and deep:
            _attempt(lambda: describe(reader))
        last = reader.n_lods - 1
        chosen = {0, last // 2, last} | {reader.lods_of(number)[0] for number in range(reader.n_sets)}
        levels = {lod: _attempt(lambda lod=lod: reader.read(lod))[0] for lod in sorted(chosen)}  # type: ignore[misc]
        return _Reading(opened, beside, levels, reader.truncated, reader.available_lods)


def _beside(reader: IgsReader) -> list[Callable[[], object]]:
    """What is read of a file beside its Gaussians."""
    return [
        lambda: reader.grain,
        lambda: reader.icc,
        lambda: reader.meta,
        lambda: reader.files,
        lambda: reader.metadata,
    ]


def _in_set(where: str) -> str:
    """Place of an issue inside of its set."""
    return where.split(maxsplit=2)[-1] if where.startswith("set ") else where


def _part(where: str) -> str:
    return _in_set(where).split()[0]


def _beyond_readers(where: str, message: str) -> bool:
    """Whether an error of `validate` is one that a reader need not look for."""
    if where == "file" or _MISSES in message:  # a cut file; boxes of pages and blocks
        return True
    where = _in_set(where)
    known = where.encode() in KNOWN_CHUNKS or where in {"header"} or where.startswith("page ")
    return not known  # the checksum of an unknown chunk
