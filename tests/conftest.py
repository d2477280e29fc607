"""Fixtures that several rooms share: where CUDA kernels run, and how patient Hypothesis is."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _gpu_imports import lost
from _range_server import RangeServer, serve
from devices import DEVICES, NEEDED, open_device
from host_runtime import HostRuntime
from random_contents import MakeContents, random_contents
from ticking_clock import TickingClock

from gscodec.cuda import device
from gscodec.cuda.runtime import Runtime

try:
    from hypothesis import HealthCheck, settings
except (
    ImportError
):  # a machine with a GPU and few packages, see pytest_ignore_collect; elsewhere tests miss it themselves
    pass
else:
    # No test asserts a time: a slow machine is no fault of what is tested.
    # Examples are the same in every run, so that a change is judged by what it changes; `make fuzz` looks for new ones.
    settings.register_profile(
        "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("repeatable")

_LOST = pytest.StashKey[list[str]]()
"""Modules left out of a GPU run."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """In a GPU run, skip modules with missing packages, so that the others run."""
    if not os.environ.get(NEEDED) or not collection_path.match("test_*.py"):
        return None
    for missing in lost([collection_path]).values():
        config.stash.setdefault(_LOST, []).append(f"{collection_path.name} ({', '.join(missing)})")
        return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say so, at the end, where it is read."""
    left_out = config.stash.get(_LOST, [])
    if left_out:
        terminalreporter.write_line(f"not collected, for want of a package: {', '.join(left_out)}")


@pytest.fixture(scope="session")
def runtime() -> HostRuntime:
    """The host shim, which has schedules and finds faults."""
    return HostRuntime()


@pytest.fixture(scope="session", params=DEVICES)
def device_runtime(request: pytest.FixtureRequest) -> Runtime:
    """The host shim, then the GPU."""
    return open_device(request.param)


@pytest.fixture(scope="session")
def make_contents() -> MakeContents:
    """Random contents to pack: `random_contents`."""
    return random_contents


@pytest.fixture
def ticking_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Starts a clock of its own for code that measures how long it takes: ticking_clock(seconds a reading)."""
    return lambda tick: monkeypatch.setattr("time.perf_counter", TickingClock(tick))


@pytest.fixture
def server() -> Iterator[RangeServer]:
    """An HTTP server on this machine."""
    with serve() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def no_configuration_file() -> Iterator[None]:
    """Tests do not depend on the configuration of the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSCODEC_CONFIG", os.devnull)
        yield


@pytest.fixture(scope="session", autouse=True)
def auto_is_the_cpu() -> Iterator[None]:
    """Tests that name no device see the same engine everywhere; those of a GPU name it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "cuda_devices", tuple)
        yield
