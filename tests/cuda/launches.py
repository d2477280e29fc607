"""Kernels that a step launches."""

from collections.abc import Callable
from typing import Any

from host_runtime import HostRuntime


def launches_of(runtime: HostRuntime, step: Callable[[], Any]) -> list[str]:
    """Names of the kernels that a step launches, in order. What a graph cannot hold is refused."""
    names: list[str] = []
    note = runtime._launched

    def launched(launch: tuple[Any, ...]) -> None:
        names.append(launch[0])
        note(launch)

    runtime._launched = launched  # type: ignore[method-assign]
    try:
        runtime.record(step)()
    finally:
        runtime._launched = note  # type: ignore[method-assign]
    return names
