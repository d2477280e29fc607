"""The devices that tests run on: the host shim everywhere, and the GPU where there is one."""

import os

import pytest
from host_runtime import HostRuntime

from gscodec.cuda.device import open_runtime
from gscodec.cuda.runtime import Runtime
from gscodec.errors import BackendUnavailable, MissingExtra, OutOfDeviceMemory

DEVICES = ("host", pytest.param("cuda", marks=pytest.mark.cuda))
"""Parameters of a test or fixture; `open_device` takes them."""

NEEDED = "GSCODEC_NEED_GPU"
"""Variable of the environment: set by those who ask for a GPU, for whom a test that is skipped is no pass."""


def open_device(name: str) -> Runtime:
    """The runtime of that name. Without one the test is skipped, or fails where a GPU is needed, with the reason."""
    if name == "host":
        return HostRuntime()
    try:
        runtime = open_runtime(name)
    except (BackendUnavailable, MissingExtra, OutOfDeviceMemory) as error:
        if os.environ.get(NEEDED):
            pytest.fail(f"{error} ({NEEDED} is set)", pytrace=False)
        pytest.skip(str(error))
    if os.environ.get("GSCODEC_NO_MEMORY_POOL"):
        runtime.xp.cuda.set_allocator(None)  # each array by itself: compute-sanitizer then sees where it ends
    return runtime
