"""What a file from a stranger may cost: one set of limits for everything that is read and decoded, which users raise.

Formats have limits of their own (spec/igs.md, "Limits"). These are of this program: a valid file beyond them is refused
with the limit, the need and the option that raises it, before memory is taken.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.model.constants import MAX_IMAGE_PIXELS

FREE_PIXELS: Final = 1 << 24
"""Pixels that any file may have, 4096 x 4096, however few its bytes."""

PIXELS_PER_BYTE: Final = 1 << 14
"""Pixels that each byte of a larger picture may stand for, 0.0005 bpp: PNG has at most 8,256 (1 bit, one value), JPEG
256, our own files at the lowest rates about 1,600."""

CHANNELS_PER_PIXEL: Final = 4
"""Channels of a pixel, for limits: one of 64 channels counts as 16."""

DEFAULT_MEMORY: Final = 8 << 30

FREE_CANDIDATES: Final = 1 << 28
"""Gaussians looked at, over all points of a request, that are free: some tenths of a second. Small pictures may have
very long tile lists."""

DEFAULT_CANDIDATES: Final = 256
"""Gaussians in the tile list of a point, on the mean over a request: pictures have 10 to 100."""

DEFAULT_TIMEOUT: Final = 60.0


def machine_memory() -> int:
    """Bytes of memory that this process can have: those of the machine, or of its container where that has fewer."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        found = 2 * DEFAULT_MEMORY
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return found
    return min(found, int(limit)) if limit.isdigit() else found


@dataclass(frozen=True)
class Limits:
    """What reading and decoding may cost.

    Args:
        max_pixels: of a picture that is read, or that a request computes, each of up to four channels; pixels of C
            channels count as C / 4. None is 2^14 px for each byte of the file, but at least 2^24 (4096 x 4096), and at
            most 2^30 of what is held in memory whole.
        max_memory: bytes that a picture, or the answer to a request, may take; estimated beforehand. None is 8 GiB, but
            at most half of the machine's.
        max_candidates: Gaussians that are looked at for a pixel or sample, on the mean over a request; the first 2^28
            of a request are free.
        timeout: seconds that the reads of one request to a URL may take in all.

    Raises:
        InvalidArgument: one of them is not above 0.
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
        """Bytes that a request may take."""
        return self.max_memory or min(DEFAULT_MEMORY, machine_memory() // 2)

    def pixels(self, n_bytes: int, *, whole: bool = True) -> int:
        """Pixels that a file of n_bytes may have; `whole` where they are held in memory at the same time."""
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
            n_bytes: of its file. what: what the message begins with: the file, and what has so many pixels. remedy:
                beside raising the limit.

        Raises:
            LimitExceeded: so it is.
        """
        allowed = self.pixels(n_bytes, whole=whole)
        if pixels > allowed:
            of_file = "" if self.max_pixels is not None or allowed == MAX_IMAGE_PIXELS else f" for {n_bytes} bytes"
            raise LimitExceeded(
                f"{what} above the limit of {allowed} pixels{of_file}; {remedy}, or raise it with "
                f"--max-pixels {pixels} (Limits.max_pixels) if you trust the file"
            )

    def check_memory(self, n_bytes: int, what: str) -> None:
        """Refuse what takes too much memory.

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
