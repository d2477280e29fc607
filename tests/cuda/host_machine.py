"""A machine that is said to have GPUs, each a host shim of its own; and tasks of a batch on one."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import pytest
from host_runtime import HostRuntime

from gscodec.cuda import device
from gscodec.cuda.device import Gpu, Probe
from gscodec.cuda.runtime import Runtime


@contextmanager
def host_machine(n_gpus: int, make: Callable[[int], Runtime] | None = None) -> Iterator[dict[int, Runtime]]:
    """Such a machine for a while. Nothing is open on it at first.

    Args:
        make: the runtime of a GPU, by its index; None makes a `HostRuntime`.

    Yields:
        The runtimes that were opened, by their index.
    """
    found = tuple(Gpu(index, "Shim", (9, 0), 1 << 33) for index in range(n_gpus))
    probe = Probe((12, 8), found, None) if found else Probe(None, (), "no NVIDIA driver is installed")
    opened: dict[int, Runtime] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "probe", lambda: probe)
        patch.setattr(device, "cuda_devices", lambda: found)
        patch.setattr(device, "cupy_majors", lambda: (12,))
        patch.setattr(device, "_OPEN", opened)
        patch.setattr(device, "_open", make or (lambda index: HostRuntime(index=index)))
        yield opened


@dataclass(frozen=True)
class OnHostMachine:
    """A batch task on a machine with n_gpus GPUs: its result, the process, and the GPUs that it opened."""

    task: Any
    n_gpus: int

    @property
    def name(self) -> str:
        return str(self.task.name)

    def on(self, name: str) -> Self:
        return replace(self, task=self.task.on(name))

    def run(self, report: Callable[[Any], None]) -> tuple[Any, int, tuple[int, ...]]:
        with host_machine(self.n_gpus) as opened:
            return self.task.run(report), os.getpid(), tuple(opened)
