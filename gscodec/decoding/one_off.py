"""When device `auto` leaves a GPU alone: starting one takes longer than the CPU takes for a few pictures.

Until this process has opened as many samples as the CPU decodes in that time, it stays on the CPU: of a sequence of
files nobody knows the length of, that costs at most twice what the better choice would have (ski rental). The driver is
not even asked, which takes a good part of a small decode by itself.
"""

import threading
from typing import Final

from gscodec.model.device_name import DeviceName
from gscodec.render.engines import is_open

START_SECONDS: Final = 1.0
"""From a fresh process to the first kernel: an estimate, on the low side, since no GPU has been measured. Importing
cupy takes 0.4 s of it; the driver, a context and kernels from CuPy's cache take the rest."""

CPU_SAMPLES_PER_SECOND: Final = 200_000_000
"""What two cores decode: 70 million RGB pixels a second (benchmarks/results/samples/speed.md)."""

WORTH_A_START: Final = round(START_SECONDS * CPU_SAMPLES_PER_SECOND)


class Tally:
    """Samples (pixels times channels) of the files that were opened under `auto` while no GPU was open."""

    def __init__(self) -> None:
        self._n_samples = 0
        self._lock = threading.Lock()

    def add(self, n_samples: int) -> int:
        """How many there are with these."""
        with self._lock:
            self._n_samples += n_samples
            return self._n_samples


_OPENED: Final = Tally()


def stays_on_cpu(device: DeviceName, n_samples: int) -> bool:
    """Whether a file of so many samples is decoded on the CPU though its device may be a GPU.

    A GPU that is open is used, and one that was named `cuda`. With `auto:N`, the size of the file alone decides: jobs
    of a batch then make the same picture of it, whatever each of them did before.
    """
    if not device.may_fall_back:
        return False
    if device.index is not None:
        return n_samples < WORTH_A_START
    return not is_open(device) and _OPENED.add(n_samples) < WORTH_A_START
