"""The devices that tests run on: the host shim everywhere, and the card where there is one."""

import os

import pytest
from host_runtime import HostRuntime

from gscodec.cuda.device import open_runtime
from gscodec.cuda.runtime import Runtime
from gscodec.errors import BackendUnavailable, MissingExtra

DEVICES = ("host", pytest.param("cuda", marks=pytest.mark.cuda))
"""Parameters of a test or fixture; `open_device` takes them."""


def open_device(name: str) -> Runtime:
    """The runtime of that name; the test is skipped, with the reason, where there is none."""
    if name == "host":
        return HostRuntime()
    try:
        runtime = open_runtime(name)
    except (BackendUnavailable, MissingExtra) as error:
        pytest.skip(str(error))
    if os.environ.get("GSCODEC_NO_MEMORY_POOL"):
        runtime.xp.cuda.set_allocator(None)  # each array by itself: compute-sanitizer then sees where it ends
    return runtime
