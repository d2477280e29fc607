"""Assignment of GPUs to batch workers: one GPU per process; a worker that replaces a lost one takes over its GPU."""

from collections.abc import Sequence
from typing import Final

from gscodec.model.device_name import DeviceName

WORKERS_PER_GPU: Final = 2
"""Default number of worker processes per GPU: one reads, packs and writes while the other computes. Each holds a CUDA
context and its picture in GPU memory. An estimate, not measured on a GPU yet."""


def worker_devices(name: DeviceName, gpus: Sequence[int]) -> tuple[str, ...]:
    """Device names for the workers: worker k uses entry k modulo the length.

    Args:
        gpus: indices of the GPUs that the name may stand for (`usable_gpus`); empty for the CPU.
    """
    return tuple(str(name.on(index)) for index in gpus) or (str(name),)


def most_workers(name: DeviceName, gpus: Sequence[int], *, decodes: bool) -> int | None:
    """Default maximum number of workers; None means one per core.

    A decode with device `auto` is not limited by the number of GPUs: most of its time goes into writing pictures on the
    CPU, and only pictures large enough to amortise the GPU's start-up are rendered there.
    """
    if not gpus or (decodes and name.may_fall_back):
        return None
    return WORKERS_PER_GPU * len(gpus)
