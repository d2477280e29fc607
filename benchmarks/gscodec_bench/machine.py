"""The machine in one line: figures in seconds mean nothing without it."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor, cores this process may use, Python."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {usable_cores()} cores, Python {platform.python_version()}"


def peak_mb() -> float | None:
    """Most memory this process has held since its program began, in MB; None where the system does not say.

    `getrusage` would report the parent's peak for a process that has just been started from a larger one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    peaks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(peaks[0]) * 1024 / 1e6 if peaks else None


def usable_cores() -> int:
    """Cores that the scheduler gives this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
