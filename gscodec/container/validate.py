"""Validation that lists all faults of a file, not only the first."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from gscodec.container.one_piece import Shared
from gscodec.container.small import open_preamble
from gscodec.container.stored_set import (
    load_channels,
    load_decoder,
    load_lods,
    load_pages,
    load_tree,
    open_coarser,
)
from gscodec.errors import ChecksumMismatch, CorruptField, FileAccessError, GsCodecError
from gscodec.format.chunks import Preamble, load_chunk
from gscodec.format.crc32c import crc32c, crc32c_runs
from gscodec.format.files import unpack_files
from gscodec.format.grain import grain_bytes, unpack_grain
from gscodec.format.layout import EXIF, FILE, GRAN, ICCP, KNOWN_CHUNKS, META, PAGT, TAGS, XMP
from gscodec.format.limits import MAX_EXIF_BYTES, MAX_ICC_BYTES, MAX_META_BYTES, MAX_TAGS_BYTES, MAX_XMP_BYTES
from gscodec.format.meta import unpack_meta
from gscodec.format.metadata import Metadata, check_metadata, unpack_tags
from gscodec.format.opening import open_source
from gscodec.format.pages import PageIndex, PageRefs, support_boxes
from gscodec.format.toc import ChunkEntry
from gscodec.io.source import ByteSource, SourceLike, source_name
from gscodec.model.channels import ChannelGroup
from gscodec.model.file_names import distinct_file_names
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.profiles.base import PageDecoder


class Severity(StrEnum):
    """Severity of an issue: readers must refuse a file with an error and may ignore a warning."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Issue:
    """One fault of a file."""

    number: int  # from 1
    severity: Severity
    message: str  # one line
    where: str  # header, a chunk's four characters, `page 7` or `file`; of a coarser set `set 1 page 7`


MAX_ISSUES: Final = 1000
"""Maximum number of issues listed; a file may have a million pages."""

_BATCH_BYTES: Final = 1 << 22
_BATCH_GAUSSIANS: Final = 1 << 16

_Finding = tuple[Severity, str, str]
_T = TypeVar("_T")


def validate(
    source: SourceLike, name: str | None = None, limits: Limits = DEFAULT_LIMITS, *, threads: int | None = None
) -> list[Issue]:
    """Numbered issues of a file, at most MAX_ISSUES + 1; empty for a valid file. Never raises on invalid bytes.

    Args:
        source, name, limits, threads: as `IgsReader`.

    Raises:
        FileAccessError: the operating system refused to read the file.
    """
    name = name or source_name(source)
    opened = open_source(source, name, limits)
    try:
        findings = _listed(_Inspection(opened, name, threads).findings(), name)
    finally:
        opened.close()
    return [Issue(number, severity, message, where) for number, (severity, where, message) in enumerate(findings, 1)]


def _listed(iterator: Iterator[_Finding], name: str) -> list[_Finding]:
    """The first MAX_ISSUES findings and, if there are more, a last one with the worst severity among the rest."""
    findings = list(itertools.islice(iterator, MAX_ISSUES))
    more = next(iterator, None)
    if more is None:
        return findings
    # After the first error the rest cannot change the severity.
    has_error = any(severity is Severity.ERROR for severity, *_ in itertools.chain(findings, [more], iterator))
    severity = Severity.ERROR if has_error else Severity.WARNING
    return [*findings, (severity, "file", f"{name}: has more issues; the first {MAX_ISSUES} are listed")]


class _Findings:
    """Collects the errors of attempts, so that a pass continues after a fault."""

    def __init__(self) -> None:
        self._pending: list[_Finding] = []

    def _attempt(self, where: str, action: Callable[[], _T]) -> _T | None:
        try:
            return action()
        except FileAccessError:
            raise
        except GsCodecError as fault:
            self._pending.append((Severity.ERROR, where, str(fault)))
            return None

    def _flush(self) -> Iterator[_Finding]:
        yield from self._pending
        self._pending.clear()


class _Inspection(_Findings):
    """One pass over a file that continues after a fault if the following data can still be interpreted."""

    def __init__(self, source: ByteSource, name: str, threads: int | None) -> None:
        super().__init__()
        self._source, self._name, self._threads = source, name, threads

    def findings(self) -> Iterator[_Finding]:
        source, name = self._source, self._name
        preamble = self._attempt("header", lambda: open_preamble(source, name))
        yield from self._flush()
        if preamble is None:
            return
        header = preamble.header
        if source.size < header.file_size:
            message = f"{name}: cut at byte {source.size}, the whole file has {header.file_size}"
            yield Severity.ERROR, "file", message
        shared = self._attempt("CHAN", lambda: self._shared(preamble))
        groups = None if shared is None else shared.groups
        if groups is not None:
            self._look_at_names("CHAN", "channel group name", [group.name for group in groups])
            self._look_at_names(
                "CHAN", "source name", list(dict.fromkeys(group.source for group in groups if group.source))
            )
        for chunk in preamble.chunks:
            if chunk.offset + chunk.stored_size <= source.size:
                self._attempt(chunk.label, lambda chunk=chunk: self._ancillary(chunk, groups))  # type: ignore[misc]
        yield from self._flush()
        if shared is None:
            return
        for number, chunk in enumerate(preamble.coarser[::-1], 1):
            if chunk.offset + chunk.stored_size <= source.size:
                yield from self._coarser(preamble, chunk, shared, number)
        if source.size >= preamble.data_offset:
            yield from _SetInspection(source, preamble, shared, name, self._threads).findings()

    def _coarser(self, preamble: Preamble, chunk: ChunkEntry, shared: Shared, number: int) -> Iterator[_Finding]:
        """Faults of a coarser set, which is a file in a chunk."""
        place, name = f"set {number}", f"{self._name}: coarser set {number}"
        about = self._source, chunk, preamble.header, shared, name
        opened = self._attempt(f"{place} header", lambda: open_coarser(*about))
        yield from self._flush()
        if opened is not None:
            for severity, where, message in _SetInspection(*opened, shared, name, self._threads).findings():
                yield severity, f"{place} {where}", message

    def _shared(self, preamble: Preamble) -> Shared:
        return Shared(*load_channels(self._source, preamble, self._name))

    def _look_at_names(self, where: str, what: str, names: Sequence[str]) -> None:
        """Warn of names that are legal in the format but not valid or not distinct file names on every system."""
        for name, safe in zip(names, distinct_file_names(names), strict=True):
            if safe != name:
                message = (
                    f"{self._name}: {what} {name!r} is not a valid file name on some systems; decoders write {safe!r}"
                )
                self._pending.append((Severity.WARNING, where, message))

    def _ancillary(self, chunk: ChunkEntry, groups: tuple[ChannelGroup, ...] | None) -> None:
        if chunk.fourcc == ICCP:
            load_chunk(self._source, chunk, MAX_ICC_BYTES, self._name)
        elif chunk.fourcc == TAGS:
            unpack_tags(load_chunk(self._source, chunk, MAX_TAGS_BYTES, self._name), self._name)
        elif chunk.fourcc == EXIF:
            exif = load_chunk(self._source, chunk, MAX_EXIF_BYTES, self._name)
            check_metadata(Metadata(exif=exif), self._name, CorruptField)
        elif chunk.fourcc == XMP:
            xmp = load_chunk(self._source, chunk, MAX_XMP_BYTES, self._name)
            check_metadata(Metadata(xmp=xmp), self._name, CorruptField)
        elif chunk.fourcc == GRAN and groups is not None:
            unpack_grain(load_chunk(self._source, chunk, grain_bytes(len(groups)), self._name), groups, self._name)
        elif chunk.fourcc == META:
            unpack_meta(load_chunk(self._source, chunk, MAX_META_BYTES, self._name), self._name)
        elif chunk.fourcc == FILE:
            data = load_chunk(self._source, chunk, MAX_META_BYTES, self._name)
            if groups is not None:
                names = [entry.name for entry in unpack_files(data, groups, self._name)]
                self._look_at_names("FILE", "file name", names)
        elif chunk.fourcc not in KNOWN_CHUNKS:
            stored = self._source.read_at(chunk.offset, chunk.stored_size)
            if crc32c(bytes(stored)) != chunk.crc:
                raise ChecksumMismatch(f"{self._name}: chunk {chunk.label} does not match its CRC32C")


class _SetInspection(_Findings):
    """The same for one set: its tables and pages."""

    def __init__(self, source: ByteSource, preamble: Preamble, shared: Shared, name: str, threads: int | None) -> None:
        super().__init__()
        self._source, self._preamble, self._shared = source, preamble, shared
        self._name, self._threads = name, threads

    def findings(self) -> Iterator[_Finding]:
        source, preamble, name = self._source, self._preamble, self._name
        header = preamble.header
        grid = Grid(header.height, header.width, self._shared.background, support_q=header.support_q)
        lods = self._attempt("LODS", lambda: load_lods(source, preamble, name))
        decoder = pages = None
        if lods is not None:
            about = source, preamble, self._shared.groups, grid, lods.counts, name, self._threads
            decoder = self._attempt("QUAN", lambda: load_decoder(*about))
        if lods is not None and decoder is not None:
            pages = self._attempt("PAGI", lambda: load_pages(source, preamble, lods, decoder, name))
            if pages is not None and preamble.find(PAGT) is not None:
                self._attempt("PAGT", lambda: self._check_tree(preamble, lods, decoder, pages))
        yield from self._flush()
        if lods is not None and pages is not None:
            if decoder is not None:
                yield from self._check_pages(preamble, lods, pages, grid, decoder)
            if header.n_gaussians >= len(lods) and len(set(lods.counts)) < len(lods):
                yield Severity.WARNING, "LODS", f"{name}: two LODs show the same Gaussians"

    def _check_pages(
        self, preamble: Preamble, lods: LodTable, index: PageIndex, grid: Grid, decoder: PageDecoder
    ) -> Iterator[_Finding]:
        """Faults of the complete pages: checksums, values, and tile boxes that miss a Gaussian."""
        n_present = int(np.searchsorted(preamble.data_offset + index.edges[1:], self._source.size, side="right"))
        for refs, data in self._batches(index, preamble.data_offset, n_present):
            if (crc32c_runs(data, refs.lengths) == refs.crcs).all():
                try:
                    gaussians = decoder.decode(data, refs)
                except CorruptField:  # find out which pages, one by one
                    pass
                else:
                    yield from self._missed(gaussians, refs, index, lods, grid)
                    continue
            for number, at, n_bytes in zip(refs.numbers, refs.offsets - refs.offsets[0], refs.lengths, strict=True):
                yield from self._check_page(data[at : at + n_bytes], int(number), lods, index, grid, decoder)

    def _check_page(
        self,
        data: npt.NDArray[np.uint8],
        page: int,
        lods: LodTable,
        index: PageIndex,
        grid: Grid,
        decoder: PageDecoder,
    ) -> Iterator[_Finding]:
        if crc32c(data.tobytes()) != index.crcs[page]:
            yield self._page_error(page, "does not match its CRC32C")  # its values are not meaningful
            return
        refs = index.refs(np.array([page]))
        try:
            gaussians = decoder.decode(data, refs)
        except CorruptField as fault:
            yield Severity.ERROR, f"page {page}", str(fault)
            return
        yield from self._missed(gaussians, refs, index, lods, grid)

    def _missed(
        self, gaussians: GaussianSet, refs: PageRefs, index: PageIndex, lods: LodTable, grid: Grid
    ) -> Iterator[_Finding]:
        """Pages whose box misses a Gaussian at the smallest gain of its generation."""
        smallest = np.array(
            [min(row[generation] for row in lods.gains[generation:]) for generation in range(len(lods))]
        )
        generations = np.searchsorted(np.asarray(lods.counts), refs.starts, side="right")
        boxes = support_boxes(gaussians, np.repeat(smallest[generations], refs.sizes), grid, slack=0.0)
        begins = np.cumsum(refs.sizes) - refs.sizes
        low, high = np.minimum.reduceat(boxes[:, :2], begins), np.maximum.reduceat(boxes[:, 2:], begins)
        boxes_stored = index.boxes[refs.numbers]
        for place in np.flatnonzero(((low < boxes_stored[:, :2]) | (high > boxes_stored[:, 2:])).any(axis=1)):
            page = int(refs.numbers[place])
            message = f"{self._name}: page {page} has a tile box that misses one of its Gaussians"
            yield Severity.WARNING, f"page {page}", message  # readers need not check this

    def _batches(self, index: PageIndex, base: int, n_pages: int) -> Iterator[tuple[PageRefs, npt.NDArray[np.uint8]]]:
        """The first n_pages with their bytes, in batches."""
        first = 0
        while first < n_pages:
            last = min(
                int(np.searchsorted(edges, edges[first] + most, side="right")) - 1
                for edges, most in ((index.edges, _BATCH_BYTES), (index.starts, _BATCH_GAUSSIANS))
            )
            last = min(max(last, first + 1), n_pages)
            begin, end = int(index.edges[first]), int(index.edges[last])
            yield (
                index.refs(np.arange(first, last)),
                np.frombuffer(self._source.read_at(base + begin, end - begin), np.uint8),
            )
            first = last

    def _check_tree(self, preamble: Preamble, lods: LodTable, decoder: PageDecoder, index: PageIndex) -> None:
        """Compare the page tree with the page index.

        Raises:
            CorruptField, ChecksumMismatch: they do not agree.
        """
        tree = load_tree(self._source, preamble, lods, decoder, self._name)
        if tree is None:
            return
        tree.leading(len(index))  # checks the blocks' CRCs and sizes
        firsts = tree.blocks[:-1]
        low = np.minimum.reduceat(index.boxes[:, :2], firsts, axis=0)
        high = np.maximum.reduceat(index.boxes[:, 2:], firsts, axis=0)
        if (tree.boxes[:, :2] > low).any() or (tree.boxes[:, 2:] < high).any():
            raise CorruptField(f"{self._name}: chunk PAGT has a tile box that misses one of its pages")

    def _page_error(self, page: int, fact: str) -> _Finding:
        return Severity.ERROR, f"page {page}", f"{self._name}: page {page} {fact}"
