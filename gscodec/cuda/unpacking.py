"""Unpacks pages of a file to Gaussians in GPU memory: launches of unpack.cu, unpack_packed.cu and unpack_coded.cu.

Only the file's bytes are uploaded: 5 per `coded` RGB Gaussian and 16 per `f16` one, whose values take 52. Each profile
has a function and kernels. Kernels validate the pages and report one number; on a fault nothing is returned, and the
host's decoder, which reads the same bytes, raises the error.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda.binning import DeviceGaussians
from gscodec.cuda.runtime import Array, Define, Runtime
from gscodec.model.constants import MAX_CHANNELS, MAX_FEATURE
from gscodec.profiles.base import PageDecoder, StoredPages
from gscodec.profiles.coded import CodedPageDecoder
from gscodec.profiles.entropy import MAX_TOKENS, TOTAL, TokenTable
from gscodec.profiles.f16 import F16PageDecoder
from gscodec.profiles.lattice import LEAST_EXPONENT, TOP_EXPONENT, Lattice
from gscodec.profiles.packed import PackedPageDecoder
from gscodec.profiles.page_heads import box_unit

UNPACK_THREADS: Final = 256
PAGE_THREADS: Final = 64
PAGES_A_BLOCK: Final = 32
"""Pages decoded per warp."""

DEFINES: Final[dict[str, Define]] = {
    "UNPACK_THREADS": UNPACK_THREADS,
    "PAGE_THREADS": PAGE_THREADS,
    "MAX_CHANNELS": MAX_CHANNELS,
    "MAX_TOKENS": MAX_TOKENS,
    "MAX_FEATURE": f"{MAX_FEATURE}f",
    "LEAST_UNITS": f"({-LEAST_EXPONENT})",
    "TOP_UNITS": TOP_EXPONENT,
}
"""Macros of the families."""

_PADDING: Final = 8
"""Bytes after the pages of `packed`, which are read as whole words."""


def unpack_pages(runtime: Runtime, pages: StoredPages) -> DeviceGaussians | None:
    """The Gaussians of some pages, as `StoredPages.unpack`: features to the last place, all else bit-identical.

    Returns:
        None if the host must decode them: the profile has no kernels, such as `small`, or a value is out of range.

    Raises:
        CorruptField: a record of profile `f16` is out of range.
        OutOfDeviceMemory: the Gaussians do not fit.
    """
    unpack = _UNPACKERS.get(type(pages.decoder))
    gaussians = None if unpack is None else unpack(runtime, pages.decoder, pages)
    if gaussians is not None and pages.scale > 1:
        means = gaussians.means
        means *= float(pages.scale)
    return gaussians


def _unpack_f16(runtime: Runtime, decoder: F16PageDecoder, pages: StoredPages) -> DeviceGaussians:
    records = decoder.records(pages.data, pages.refs)
    n, n_words = records.shape
    gaussians = _empty(runtime, n, n_words - 5)
    if n:
        ends = np.flatnonzero(np.diff(pages.generations, append=-1))  # last page of each generation present
        runtime.kernel("unpack", "unpack_f16", **DEFINES)(
            -(-n * n_words // UNPACK_THREADS),
            UNPACK_THREADS,
            runtime.upload(np.ascontiguousarray(records)),
            np.int32(n),
            np.int32(n_words - 5),
            np.float64(pages.grid.height),
            np.float64(pages.grid.width),
            np.int32(len(ends)),
            runtime.upload(np.cumsum(pages.refs.sizes)[ends].astype(np.int32)),
            runtime.upload(pages.gains[ends]),
            *_outputs(gaussians),
        )
    return gaussians


def _unpack_packed(runtime: Runtime, decoder: PackedPageDecoder, pages: StoredPages) -> DeviceGaussians | None:
    codec, grid, up = decoder.codec, pages.grid, runtime.upload
    layout, lattice = codec.layout, codec.lattice

    def launch(gaussians: DeviceGaussians, fault: Array) -> None:
        words = np.zeros(-(-(len(pages.data) + _PADDING) // 4), "<u4")
        words.view(np.uint8)[: len(pages.data)] = pages.data
        firsts_of_fields = np.delete(np.cumsum([0, *layout.widths]), [2, -1])
        runtime.kernel("unpack_packed", "unpack_records", **DEFINES)(
            len(pages.refs),
            PAGE_THREADS,
            up(words),
            up(_firsts(pages)),
            up(pages.gains),
            up(np.array(lattice.rotation_from, np.uint8)),
            up(np.array(layout.lows, np.int32)),
            up(firsts_of_fields.astype(np.int32)),
            up(np.array(layout.bits, np.int32)),
            np.int32(lattice.scale_step),
            np.int32(layout.place_bits),
            np.int32(layout.stride),
            np.int32(grid.width),
            np.int32(grid.height),
            np.int32(box_unit(grid)),
            *_mix(runtime, lattice),
            *_outputs(gaussians),
            fault,
        )

    return _unless_faulty(runtime, pages, len(lattice.feature_steps), launch)


def _unpack_coded(runtime: Runtime, decoder: CodedPageDecoder, pages: StoredPages) -> DeviceGaussians | None:
    codec, grid, up = decoder.codec, pages.grid, runtime.upload
    lattice, n_channels = codec.lattice, len(codec.lattice.feature_steps)

    def launch(gaussians: DeviceGaussians, fault: Array) -> None:
        n_pages = len(pages.refs)
        rows = runtime.xp.empty((len(gaussians), 6 + n_channels), np.int32)
        good = runtime.xp.empty(n_pages, np.int32)
        firsts = up(_firsts(pages))
        cells = up(np.array(lattice.cell_log2, np.int32)[pages.generations])
        rotation_from = up(np.array(lattice.rotation_from, np.uint8))
        settings = np.int32(lattice.scale_step), np.int32(lattice.position_offset)
        slot_tokens, token_slots = (np.stack(part) for part in zip(*map(_look_up, codec.tables), strict=True))
        runtime.kernel("unpack_coded", "decode_pages", **DEFINES)(
            -(-n_pages // PAGES_A_BLOCK),
            PAGES_A_BLOCK,
            up(np.ascontiguousarray(pages.data)),
            up(np.concatenate([[0], np.cumsum(pages.refs.lengths)])),
            firsts,
            cells,
            up(np.array(codec.grid_cells, np.int32)[pages.generations]),
            np.int32(n_pages),
            up(slot_tokens),
            up(token_slots),
            up(np.array([table.low for table in codec.tables], np.int32)),
            rotation_from,
            *settings,
            np.int32(n_channels),
            rows,
            good,
            fault,
        )
        runtime.kernel("unpack_coded", "place_codes", **DEFINES)(
            n_pages,
            PAGE_THREADS,
            rows,
            good,
            firsts,
            cells,
            up(pages.gains),
            rotation_from,
            *settings,
            np.int32(grid.width),
            np.int32(grid.height),
            *_mix(runtime, lattice),
            *_outputs(gaussians),
            fault,
        )

    return _unless_faulty(runtime, pages, n_channels, launch)


def _unless_faulty(
    runtime: Runtime, pages: StoredPages, n_channels: int, launch: Callable[[DeviceGaussians, Array], None]
) -> DeviceGaussians | None:
    """Gaussians unpacked by kernels, or None if they find a fault. Reads one number from the device."""
    gaussians = _empty(runtime, int(pages.refs.sizes.sum()), n_channels)
    if not len(gaussians):
        return gaussians
    fault = runtime.xp.zeros(1, np.int32)
    launch(gaussians, fault)
    return None if int(runtime.download(fault)[0]) else gaussians


def _look_up(table: TokenTable) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]]:
    """(4096,) tokens by slot, and (MAX_TOKENS,) first slot and number of slots by token."""
    counts = table.counts.astype(np.int64)
    slots = np.zeros(MAX_TOKENS, np.uint32)
    slots[: len(counts)] = (np.cumsum(counts) - counts) | counts << 16
    tokens = np.repeat(np.arange(len(counts)), counts).astype(np.uint16)
    assert len(tokens) == TOTAL
    return tokens, slots


def _firsts(pages: StoredPages) -> npt.NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(pages.refs.sizes)]).astype(np.int32)


def _mix(runtime: Runtime, lattice: Lattice) -> tuple[Any, ...]:
    """Arguments for FeatureMix in lattice.cuh. Channels that the transform does not combine are handled separately."""
    n_channels = len(lattice.feature_steps)
    tied = (lattice.transform != 0) | np.eye(n_channels, dtype=np.bool_)
    begins, ends = tied.argmax(axis=0), n_channels - tied[::-1].argmax(axis=0)
    up = runtime.upload
    steps = up(lattice.feature_steps.astype(np.float64))
    transform = up(np.ascontiguousarray(lattice.transform, np.float64))
    return (
        np.int32(n_channels),
        np.int32(lattice.feature_slope),
        steps,
        transform,
        up(begins.astype(np.int32)),
        up(ends.astype(np.int32)),
    )


def _empty(runtime: Runtime, n: int, n_channels: int) -> DeviceGaussians:
    xp = runtime.xp
    return DeviceGaussians(
        runtime.upload(np.array([n], np.int32)),
        xp.empty((n, 2), np.float64),
        xp.empty((n, 2), np.float64),
        xp.empty(n, np.float64),
        xp.empty((n, n_channels), np.float32),
        n_channels,
        n_channels,
    )


def _outputs(gaussians: DeviceGaussians) -> tuple[Array, ...]:
    return gaussians.means, gaussians.inv_scales, gaussians.rotations, gaussians.features


_UNPACKERS: Final[Mapping[type[PageDecoder], Callable[[Runtime, Any, StoredPages], DeviceGaussians | None]]] = {
    F16PageDecoder: _unpack_f16,
    PackedPageDecoder: _unpack_packed,
    CodedPageDecoder: _unpack_coded,
}
"""Unpack functions by the class of the host's decoder."""
