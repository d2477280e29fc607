"""Fixtures that several rooms share: where CUDA kernels run."""

import pytest
from devices import DEVICES, open_device
from host_runtime import HostRuntime

from gscodec.cuda.runtime import Runtime


@pytest.fixture(scope="session")
def runtime() -> HostRuntime:
    """The host shim, which has schedules and finds faults."""
    return HostRuntime()


@pytest.fixture(scope="session", params=DEVICES)
def device_runtime(request: pytest.FixtureRequest) -> Runtime:
    """The host shim, then the card."""
    return open_device(request.param)
