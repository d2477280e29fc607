"""What a machine has of what the GPU engine, its tests and its benchmark want; what is missing, and what that loses."""

import argparse
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from _gpu_imports import ROOT, lost
from on_gpu import tool

PACKAGES: Final = {
    "numpy": "nothing runs",
    "cupy": "no GPU can be opened",
    "torch": "nothing is encoded",
    "pillow": "no picture is read",
    "cuda-pathfinder": "CuPy may not find NVRTC",
    "nvidia-cuda-nvrtc": "kernels compile only where a toolkit is installed",
    "nanobind": "the engine is not built",
    "scikit-build-core": "the engine is not built",
    "cmake": "the engine is built by the cmake on PATH, if there is one",
    "ninja": "the engine is built by make",
    "pytest": "no test runs",
    "pytest-xdist": "the tests run in one process and may not end in time",
    "hypothesis": "",
    "scikit-image": "",
    "typer": "there is no command line",
    "rich": "there is no command line",
    "openexr": "no EXR file is read",
    "tifffile": "no float TIFF is read",
}
"""Distributions, and what is lost without them, besides test modules, which are found by their imports."""

TOOLS: Final = ("nvidia-smi", "ncu", "nsys", "compute-sanitizer", "g++")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda or host")
    options = parser.parse_args(arguments)
    print(f"Python {sys.version.split()[0]} on {platform.platform()}, {os.cpu_count()} processors, {sys.executable}")
    print(gpu() if options.device != "host" else "host shim: no GPU is looked for")
    have = installed()
    print(", ".join(f"{name} {have[name]}" for name in PACKAGES if name in have))
    for name, loses in PACKAGES.items():
        if name not in have:
            print(f"MISSING {name}" + f": {loses}" * bool(loses))
    for path, packages in lost(test_modules()).items():
        print(f"NOT COLLECTED {path.relative_to(ROOT)}: {', '.join(packages)} is not installed")
    for name in TOOLS:
        print(f"{name}: {tool(name) or 'not found'}")
    n_missing = sum(name not in have for name in PACKAGES)
    print(f"{len(PACKAGES) - n_missing} of {len(PACKAGES)} packages are installed")
    return 0


def gpu() -> str:
    """What the driver's tool says of the GPUs."""
    if not shutil.which("nvidia-smi"):
        return "nvidia-smi was not found"
    what = "index,name,driver_version,memory.total,compute_cap,clocks.sm,clocks.max.sm"
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=False)
    return (answer.stdout or answer.stderr).strip()


def installed() -> dict[str, str]:
    """Versions by name, as PACKAGES spells it; CuPy's and NVRTC's packages have names of their CUDA version."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = str(distribution.metadata["Name"] or "").lower().replace("_", "-")
        version = distribution.version
        if name.startswith("cupy-cuda"):
            name, version = "cupy", f"{version} ({name})"
        found[name.removesuffix("-cu12").removesuffix("-cu13")] = version
    return found


def test_modules() -> list[Path]:
    """Test modules with tests for a GPU."""
    return sorted(path for name in ("cuda", "render") for path in (ROOT / "tests" / name).glob("test_*.py"))


if __name__ == "__main__":
    raise SystemExit(main())
