"""Pictures of a file that is still arriving, each better than the one before.

`progressive` reads a source and yields pictures. `ProgressiveImage` is for programs that get the bytes themselves, from
a callback say: they feed it, and render when they like.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from gscodec.decoding.image import IgsImage
from gscodec.errors import InvalidArgument, TruncatedStream
from gscodec.io.arriving import ArrivingLike, arriving
from gscodec.io.source import source_name
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.render.base import Rasterizer

GROWTH: Final = 1.25
"""Bytes at which the next picture is due, as a factor of those of the last."""

_FIRST_STEP: Final = 64
"""Bytes after which opening is tried again, at least, as long as the tables have not arrived."""


@dataclass(frozen=True)
class ProgressivePicture:
    """What the bytes that have arrived show."""

    pixels: npt.NDArray[Any]  # (height, width, C) as `IgsImage.render` returns it
    lods: npt.NDArray[np.int64]  # (rows, columns) level of detail of each tile of 16 x 16 px, as `IgsImage.arrived`
    n_bytes: int  # that have arrived
    total_bytes: int  # of the whole file

    @property
    def is_final(self) -> bool:
        """Whether all of it is at the finest level, so that more bytes do not change it."""
        return not self.lods.any()


class ProgressiveImage:
    """A file that is fed piece by piece, in any sizes.

    ::

        image = gscodec.ProgressiveImage()
        for piece in pieces:
            image.feed(piece)
            if image.can_render:
                show(image.render())

    Each picture is decoded from all that has arrived, so render after a quarter more bytes, say, not after each piece.

    Args:
        name: of the file, in messages.
        device, threads, limits, grain: as in `gscodec.open`; what is not whole is rendered on the CPU. The memory limit
            also holds for the bytes that are fed.
    """

    def __init__(
        self,
        name: str = "(bytes)",
        *,
        device: str | Rasterizer = "auto",
        threads: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        grain: bool = True,
    ) -> None:
        self.name, self.n_bytes = name, 0
        self._how: dict[str, Any] = {"device": device, "threads": threads, "limits": limits, "grain": grain}
        self._limits = limits
        self._pieces: list[bytes] = []
        self._image: IgsImage | None = None
        self._tried = -1  # bytes at the last attempt to open

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free all that has been fed."""
        self._drop()
        self._pieces, self.n_bytes = [], 0

    def feed(self, piece: bytes | bytearray | memoryview) -> None:
        """Append a piece of the file.

        Raises:
            LimitExceeded: there are more bytes than the memory limit allows.
        """
        self._limits.check_memory(self.n_bytes + len(piece), f"{self.name}: a stream")
        self._pieces.append(bytes(piece))
        self.n_bytes += len(piece)

    @property
    def image(self) -> IgsImage | None:
        """The file as far as it has arrived; None before its tables have. The next piece makes another one of it.

        Raises:
            GsCodecError: the file is damaged.
        """
        if self._tried != self.n_bytes:
            self._drop()
            self._pieces, self._tried = [b"".join(self._pieces)], self.n_bytes
            try:
                self._image = IgsImage(self._pieces[0], name=self.name, **self._how)
            except TruncatedStream:
                self._image = None
        return self._image

    @property
    def can_render(self) -> bool:
        """Whether a level of detail, or a tile of one, has arrived; raises as `image`."""
        return self.image is not None and bool((self.image.arrived() < self.image.lods).any())

    def render(
        self,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> npt.NDArray[Any]:
        """The picture that has arrived: each tile at its finest level, the background where there is none.

        Args:
            region, size, dtype: as in `IgsImage.render`.

        Raises:
            TruncatedStream: the tables have not arrived.
            GsCodecError: as `IgsImage.render`.
        """
        if self.image is None:
            raise TruncatedStream(f"{self.name}: {self.n_bytes} bytes have arrived, too few for its tables")
        return self.image.render(None, region, size, dtype, available=True)

    def _drop(self) -> None:
        if self._image is not None:
            self._image.close()
            self._image = None
        self._tried = -1


def arrivals(
    source: ArrivingLike,
    *,
    region: Sequence[int] | None = None,
    growth: float = GROWTH,
    device: str | Rasterizer = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    grain: bool = True,
) -> Iterator[tuple[IgsImage, int]]:
    """Yields the open file and its bytes so far whenever it shows more; the last time, all of the region.

    Arguments and errors are those of `progressive`. The file stays open until the next one is taken.
    """
    if not growth > 1:
        raise InvalidArgument(f"growth {growth}: a factor of bytes must be above 1")
    name = _name_of(source)
    shown: npt.NDArray[np.int64] | None = None
    with ProgressiveImage(name, device=device, threads=threads, limits=limits, grain=grain) as arrived:
        for _ in _due(arrived, arriving(source, name, limits), growth):
            image = arrived.image
            lods = None if image is None else image.arrived(region)
            if image is None or lods is None or (lods == image.lods).all():
                continue
            if shown is not None and np.array_equal(lods, shown):
                continue
            shown = lods
            yield image, arrived.n_bytes
            if not lods.any():
                return
        if shown is None:
            raise TruncatedStream(f"{name}: ends after {arrived.n_bytes} bytes, before anything can be shown")


def _due(arrived: ProgressiveImage, pieces: Iterator[bytes], growth: float) -> Iterator[None]:
    """Feeds pieces, and yields when a picture is due: at the end of a level, a factor of bytes later, at the end."""
    due = _FIRST_STEP
    for piece in pieces:
        at = 0
        while at < len(piece):
            part = piece[at : at + due - arrived.n_bytes]
            arrived.feed(part)
            at += len(part)
            if arrived.n_bytes == due:
                yield
                due = _next_due(arrived, growth)
    yield


def _next_due(arrived: ProgressiveImage, growth: float) -> int:
    n_bytes, image = arrived.n_bytes, arrived.image
    if image is None:
        return n_bytes + max(_FIRST_STEP, n_bytes // 16)
    ends = (image.prefix_size(lod) for lod in range(image.lods))
    return min([max(n_bytes + 1, int(n_bytes * growth)), *(end for end in ends if end > n_bytes)])


def _name_of(source: ArrivingLike) -> str:
    """Name of a source for messages."""
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    return source_name(name) if isinstance(name, str | os.PathLike) else "(bytes)"


def progressive(
    source: ArrivingLike,
    *,
    region: Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    dtype: npt.DTypeLike | None = None,
    growth: float = GROWTH,
    device: str | Rasterizer = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    grain: bool = True,
) -> Generator[ProgressivePicture, None, None]:
    """Yields pictures of a file while it arrives, each better than the one before, the finest last.

        for picture in gscodec.progressive("https://example.org/photo.igs"):
            show(picture.pixels)

    There is one at the end of each level of detail, and others between where tiles have become finer. Reading stops
    when the region is at the finest level, or when the iterator is closed. A file that ends early ends the iterator;
    `is_final` of its last picture is then False.

    Args:
        source: a path, a URL, of which one request is made, bytes, a binary stream such as a pipe or the body of a
            response, or an iterable of bytes.
        region, size, dtype: as in `IgsImage.render`.
        growth: factor of bytes after which a picture is due again, above 1.
        device, threads, limits, grain: as in `gscodec.open`; what is not whole is rendered on the CPU.

    Raises:
        TruncatedStream: the file ends before anything can be shown.
        GsCodecError: the source cannot be read, is damaged, or takes more memory than the limit; also as
            `IgsImage.render`.
    """
    how: dict[str, Any] = {"device": device, "threads": threads, "limits": limits, "grain": grain}
    for image, n_bytes in arrivals(source, region=region, growth=growth, **how):
        pixels = image.render(None, region, size, dtype, available=True)
        yield ProgressivePicture(pixels, image.arrived(region), n_bytes, image.stats.file_bytes)
