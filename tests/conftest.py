"""Fixtures that several rooms share: where CUDA kernels run, and how patient Hypothesis is."""

from collections.abc import Iterator

import pytest
from _range_server import RangeServer, serve
from devices import DEVICES, open_device
from host_runtime import HostRuntime
from hypothesis import HealthCheck, settings

from gscodec.cuda import device
from gscodec.cuda.runtime import Runtime

# No test asserts a time: a slow machine is no fault of what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def runtime() -> HostRuntime:
    """The host shim, which has schedules and finds faults."""
    return HostRuntime()


@pytest.fixture(scope="session", params=DEVICES)
def device_runtime(request: pytest.FixtureRequest) -> Runtime:
    """The host shim, then the card."""
    return open_device(request.param)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    """An HTTP server on this machine."""
    with serve() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def auto_is_the_cpu() -> Iterator[None]:
    """Tests that name no device see the same engine everywhere; those of a card name it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "cuda_devices", tuple)
        yield
