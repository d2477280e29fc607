"""Pictures that are read in parts, because they are too large for memory."""

import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from gscodec.errors import GsCodecError, file_access_error
from gscodec.format.files import FileEntry
from gscodec.format.metadata import NO_METADATA, Metadata
from gscodec.image.stack import ImageStack
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array


@dataclass(frozen=True)
class Rect:
    """Pixels x0 to x1 - 1 of rows y0 to y1 - 1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    def overlap(self, other: "Rect") -> "Rect":
        """Intersection of two rectangles; may be empty."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Rect(x0, y0, max(x0, min(self.x1, other.x1)), max(y0, min(self.y1, other.y1)))

    def slices(self, origin: "Rect | None" = None) -> tuple[slice, slice]:
        """Slices of rows and columns of an array whose first element is the corner of `origin`, or of the picture."""
        x, y = (origin.x0, origin.y0) if origin else (0, 0)
        return slice(self.y0 - y, self.y1 - y), slice(self.x0 - x, self.x1 - x)


class Regions(Protocol):
    """A source picture of which any part can be read."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        ...

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Channel groups."""
        ...

    @property
    def icc(self) -> bytes | None:
        """ICC profile of the source, or None."""
        ...

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """As `ImageStack.files`."""
        ...

    @property
    def metadata(self) -> Metadata:
        """As `ImageStack.metadata`."""
        ...

    def read(self, area: Rect) -> Float32Array:
        """float32 (h, w, C) samples in the model's domain, as `ImageStack.samples`, as a copy."""
        ...

    def close(self) -> None:
        """Close all files."""
        ...


class RegionSource:
    """Base class of sources on disk; a context manager that closes itself."""

    def __init__(self, shape: tuple[int, int, int], groups: tuple[ChannelGroup, ...], icc: bytes | None) -> None:
        self.shape = shape
        self.groups = groups
        self.icc = icc
        self.files: tuple[FileEntry, ...] = ()
        self.metadata: Metadata = NO_METADATA
        self.source_name = ""  # as `ImageStack.source_name`

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def levels(self, area: Rect) -> npt.NDArray[Any]:
        """(h, w, C) unsigned integers as stored."""
        raise NotImplementedError

    @property
    def largest(self) -> int:
        """The level that corresponds to 1."""
        return (1 << max(group.bit_depth for group in self.groups)) - 1

    def read(self, area: Rect) -> Float32Array:
        """See `Regions.read`: the same values as `load_image` gives."""
        samples = self.levels(area).astype(np.float32)
        samples /= np.float32(self.largest)
        return np.ascontiguousarray(samples)

    def close(self) -> None:
        """See `Regions.close`."""


class StackRegions(RegionSource):
    """A picture in memory, read in parts."""

    def __init__(self, stack: ImageStack) -> None:
        height, width, n_channels = stack.samples.shape
        super().__init__((height, width, n_channels), stack.groups, stack.icc)
        self.files = stack.files
        self.metadata = stack.metadata
        self._samples = stack.samples

    def read(self, area: Rect) -> Float32Array:
        """See `Regions.read`."""
        return self._samples[area.slices()].copy()


class RawLevels:
    """(H, W, C) unsigned integers that are contiguous in a file.

    A part is mapped only for as long as it takes to copy it: what is mapped counts as memory of the process.

    Args:
        file: open for reading; closed with this.
        offset: of the first one, bytes.
    """

    def __init__(self, file: IO[bytes], dtype: npt.DTypeLike, offset: int, shape: tuple[int, int, int]) -> None:
        self._file = file
        self._dtype = np.dtype(dtype)
        self._offset = offset
        self.shape = shape

    def read(self, area: Rect) -> npt.NDArray[Any]:
        """(h, w, C) in the machine's byte order."""
        _, width, n_channels = self.shape
        offset = self._offset + area.y0 * width * n_channels * self._dtype.itemsize
        rows: npt.NDArray[Any] = np.memmap(self._file, self._dtype, "r", offset, (area.height, width, n_channels))
        return np.array(rows[:, area.x0 : area.x1], self._dtype.newbyteorder("="))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SpooledPicture(RegionSource):
    """A picture whose levels were written to a temporary file, row by row, since its own file is read in order only.

    Args:
        parts: (h, W, C) levels from the top down.

    Raises:
        FileAccessError: there is no room for it; TMPDIR says where it goes.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        groups: tuple[ChannelGroup, ...],
        icc: bytes | None,
        parts: Iterable[npt.NDArray[Any]],
        name: str,
    ) -> None:
        super().__init__(shape, groups, icc)
        dtype = np.dtype(np.uint8 if self.largest < 256 else np.uint16)
        n_bytes = math.prod(shape) * dtype.itemsize
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the picture
        try:
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data)
            file.flush()
        except GsCodecError:  # of the parts; some are OSErrors, too
            file.close()
            raise
        except OSError as fault:
            file.close()
            raise file_access_error(
                f"{name}: needs {n_bytes} bytes in {tempfile.gettempdir()}: {fault.strerror or fault}; "
                "set TMPDIR to a folder on a larger disk",
                fault,
            ) from fault
        except BaseException:
            file.close()
            raise
        self._raw = RawLevels(file, dtype, 0, shape)

    def levels(self, area: Rect) -> npt.NDArray[Any]:
        """See `RegionSource.levels`."""
        return self._raw.read(area)

    def close(self) -> None:
        """Close and so remove the temporary file."""
        self._raw.close()
