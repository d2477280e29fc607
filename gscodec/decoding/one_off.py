"""Decides when device `auto` does not start a GPU: starting one takes longer than decoding a few pictures on the CPU.

Decoding stays on the CPU until this process has opened as many samples as the CPU decodes in the start-up time. For a
sequence of files of unknown length, that takes at most twice as long as the better choice (ski rental). The driver is
not queried either, which alone takes a large part of a small decode.
"""

import threading
from typing import Final

from gscodec.model.device_name import DeviceName
from gscodec.render.engines import is_open

START_SECONDS: Final = 1.0
"""Time from a fresh process to the first kernel, s: a low estimate, because no GPU has been measured. Importing cupy
takes 0.4 s of it; the driver, a context and kernels from CuPy's cache take the rest."""

CPU_SAMPLES_PER_SECOND: Final = 200_000_000
"""Decoding speed of two cores: 70 million RGB pixels per second (benchmarks/results/samples/speed.md)."""

WORTH_A_START: Final = round(START_SECONDS * CPU_SAMPLES_PER_SECOND)


class Tally:
    """Counts samples (pixels times channels) of the files that were opened under `auto` while no GPU was open."""

    def __init__(self) -> None:
        self._n_samples = 0
        self._lock = threading.Lock()

    def add(self, n_samples: int) -> int:
        """Add samples, and return the total."""
        with self._lock:
            self._n_samples += n_samples
            return self._n_samples


_OPENED: Final = Tally()


def stays_on_cpu(device: DeviceName, n_samples: int) -> bool:
    """Whether a file of n_samples samples is decoded on the CPU although its device may be a GPU.

    A GPU that is already open is used, and so is an explicit `cuda`. With `auto:N`, only the size of the file decides,
    so that jobs of a batch decode it the same way, regardless of what each of them did before.
    """
    if not device.may_fall_back:
        return False
    if device.index is not None:
        return n_samples < WORTH_A_START
    return not is_open(device) and _OPENED.add(n_samples) < WORTH_A_START
