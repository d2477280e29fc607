"""Resource limits for reading and decoding untrusted files; users may raise them.

The format has limits of its own (spec/igs.md, section 12). These are the program's: a valid file beyond them is refused
before memory is allocated, with an error that names the limit, the need and the option that raises it.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.model.constants import MAX_IMAGE_PIXELS

FREE_PIXELS: Final = 1 << 24
"""Pixels allowed for any file, 4096 x 4096, independent of its size in bytes."""

PIXELS_PER_BYTE: Final = 1 << 14
"""Pixels allowed per byte of a larger picture, 0.0005 bpp: PNG reaches 8,256 (1 bit, one value), JPEG 256, `.igs` files
at the lowest rates about 1,600."""

CHANNELS_PER_PIXEL: Final = 4
"""Channels that count as one pixel in limits: a pixel of 64 channels counts as 16."""

DEFAULT_MEMORY: Final = 8 << 30

FREE_CANDIDATES: Final = 1 << 28
"""Candidate Gaussians that any request may evaluate over all its points: some tenths of a second. Small pictures may
have very long tile lists."""

DEFAULT_CANDIDATES: Final = 256
"""Default limit of the mean length of the tile lists of a request's points; real pictures have 10 to 100."""

DEFAULT_TIMEOUT: Final = 60.0


def machine_memory() -> int:
    """Bytes of memory available to this process: the machine's, or its container's limit if that is lower."""
    try:
        n_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        n_bytes = 2 * DEFAULT_MEMORY
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return n_bytes
    return min(n_bytes, int(limit)) if limit.isdigit() else n_bytes


@dataclass(frozen=True)
class Limits:
    """Limits of reading and decoding.

    Args:
        max_pixels: pixels, of up to four channels each, of a picture that is read or rendered; a pixel of C > 4
            channels counts as C / 4. None is 2^14 px per byte of the file, at least 2^24 (4096 x 4096), and at most
            2^30 for pictures held in memory whole.
        max_memory: bytes of a picture or of the result of a request, estimated beforehand. None is 8 GiB, but at most
            half of the machine's memory.
        max_candidates: mean number of Gaussians evaluated per pixel or sample of a request; the first 2^28 evaluations
            of a request are not limited.
        timeout: seconds for all reads of one request to a URL.

    Raises:
        InvalidArgument: a limit is not above 0.
    """

    max_pixels: int | None = None
    max_memory: int | None = None
    max_candidates: int = DEFAULT_CANDIDATES
    timeout: float = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        for name in ("max_pixels", "max_memory", "max_candidates", "timeout"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidArgument(f"limits: {name} is {value}, must be above 0")

    @cached_property
    def memory(self) -> int:
        """Memory limit of a request in bytes."""
        return self.max_memory or min(DEFAULT_MEMORY, machine_memory() // 2)

    def pixels(self, n_bytes: int, *, whole: bool = True) -> int:
        """Pixels allowed for a file of n_bytes; `whole`: all are held in memory at the same time."""
        if self.max_pixels is not None:
            return self.max_pixels
        allowed = max(FREE_PIXELS, PIXELS_PER_BYTE * n_bytes)
        return min(allowed, MAX_IMAGE_PIXELS) if whole else allowed

    def check_pixels(
        self,
        pixels: int,
        n_bytes: int,
        what: str,
        *,
        remedy: str = "decode a region or a smaller size",
        whole: bool = True,
    ) -> None:
        """Refuse a picture of too many pixels.

        Args:
            n_bytes: size of the file. what: start of the message, which names the file and its pixels. remedy: what to
                do other than raising the limit.

        Raises:
            LimitExceeded: the picture has too many pixels.
        """
        allowed = self.pixels(n_bytes, whole=whole)
        if pixels > allowed:
            of_file = "" if self.max_pixels is not None or allowed == MAX_IMAGE_PIXELS else f" for {n_bytes} bytes"
            raise LimitExceeded(
                f"{what} above the limit of {allowed} pixels{of_file}; {remedy}, or raise it with "
                f"--max-pixels {pixels} (Limits.max_pixels) if you trust the file"
            )

    def check_memory(self, n_bytes: int, what: str) -> None:
        """Refuse an operation that needs more memory than the limit.

        Raises:
            LimitExceeded: it takes more than the limit.
        """
        if n_bytes > self.memory:
            raise LimitExceeded(
                f"{what} takes about {_mebibytes(n_bytes)} MiB of memory, above the limit of "
                f"{_mebibytes(self.memory)} MiB; ask for less, or raise it with --max-memory (Limits.max_memory)"
            )


DEFAULT_LIMITS: Final = Limits()


def _mebibytes(n_bytes: int) -> int:
    return -(-n_bytes // (1 << 20))
