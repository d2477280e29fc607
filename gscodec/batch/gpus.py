"""Which GPU each worker of a batch opens: one process has one, and who takes a lost worker's place takes its GPU."""

from collections.abc import Sequence
from typing import Final

from gscodec.model.device_name import DeviceName

WORKERS_PER_GPU: Final = 2
"""Where nobody says how many: one reads, packs and writes while the other computes. Each has a CUDA context and its
picture in the GPU's memory. An estimate: not measured on a GPU yet."""


def worker_devices(name: DeviceName, gpus: Sequence[int]) -> tuple[str, ...]:
    """What workers name their devices: worker k takes that of k modulo how many there are.

    Args:
        gpus: that the name may stand for (`usable_gpus`); empty for the CPU.
    """
    return tuple(str(name.on(index)) for index in gpus) or (str(name),)


def most_workers(name: DeviceName, gpus: Sequence[int], *, decodes: bool) -> int | None:
    """Most workers that a batch has where nobody says how many; None is one for each core.

    A decode under `auto` has no fewer for its GPUs: most of its time goes into writing pictures, on the CPU, and only
    pictures that are worth the start of a GPU go there.
    """
    if not gpus or (decodes and name.may_fall_back):
        return None
    return WORKERS_PER_GPU * len(gpus)
