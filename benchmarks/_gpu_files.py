"""What benchmarks/gpu.py measures of whole files: encodes, decodes, unpacking, transfers, and the first of each."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from _gpu_cases import Row, Sizes, picture
from _gpu_clock import Clock
from _gpu_machine import HOST, Machine
from gscodec_bench.synthetic import synthetic_file

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.cuda.transfer import row_strips, to_host
from gscodec.cuda.unpacking import unpack_pages
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.encoding.api import encode

COLD: Final = Path(__file__).with_name("_gpu_cold.py")

COLD_LIMIT_S: Final = 120
"""Time limit, s, of a process that starts, opens the device and runs one operation."""


def encodes(machine: Machine, preset: str, sizes: Sizes) -> Iterator[Row]:
    """A whole encode in the default profile, twice: the first also compiles kernels."""
    source, before = picture(sizes.encode_side), None
    for turn in ("first", "again"):
        result = encode(
            source, gaussians=sizes.encode_count, preset=preset, device=machine.device, steps=sizes.encode_steps
        )
        yield {
            "preset": preset,
            "side": sizes.encode_side,
            "gaussians": sizes.encode_count,
            "profile": result.profile,
            "turn": turn,
            "steps": result.steps,
            "seconds": result.seconds,
            "psnr": result.psnr,
            "same_bytes": None if before is None else before == result.data,
        }
        before = result.data


def decodes(machine: Machine, side: int, count: int, sizes: Sizes) -> Iterator[Row]:
    """From a file in memory to a uint8 picture in the host's memory, and in the device's."""
    clock, data = Clock(machine.runtime), synthetic_file(side, side, count)

    def to_host(image: IgsImage) -> Any:
        return image.render()

    def to_device(image: IgsImage) -> Any:
        return image.render_device()

    for kind, work in (("host", to_host), ("device", to_device)):

        def opened(work: Any = work) -> None:
            with open_igs(data, device=machine.device) as image:
                work(image)

        with open_igs(data, device=machine.device) as image:
            again_ms = clock.wall_ms(lambda w=work, i=image: w(i), sizes.repeats)  # type: ignore[misc]
        ms = clock.wall_ms(opened, sizes.repeats)
        yield {
            "side": side,
            "gaussians": count,
            "to": kind,
            "ms": ms,
            "again_ms": again_ms,
            "megapixels_per_s": side * side / ms / 1000,
        }


def unpacks(machine: Machine, sizes: Sizes) -> Iterator[Row]:
    """From pages in the host's memory to Gaussians on the device, by profile; and by the host's decoder."""
    clock, source = Clock(machine.runtime), picture(sizes.encode_side)
    for profile in ("coded", "packed", "f16"):
        made = encode(
            source, gaussians=sizes.encode_count, preset="fast", steps=1, profile=profile, device=machine.device
        )
        with IgsReader(made.data) as reader:
            pages = reader.stored_pages()
            if unpack_pages(machine.runtime, pages) is None:
                raise AssertionError(f"profile {profile} is not unpacked on the device")
            ms = clock.wall_ms(lambda p=pages: unpack_pages(machine.runtime, p), sizes.repeats)  # type: ignore[misc]
            host_ms = clock.wall_ms(pages.unpack, sizes.repeats)
        yield {"profile": profile, "gaussians": made.n_gaussians, "bytes": len(made.data), "ms": ms, "host_ms": host_ms}


def transfers(machine: Machine, sizes: Sizes) -> Iterator[Row]:
    """A picture of uint8 over the bus: to and from ordinary memory, and from the device by way of pinned strips."""
    clock, runtime = Clock(machine.runtime), machine.runtime
    for side in sorted({side for side, _ in sizes.decodes}):
        here = np.zeros((side, side, 3), np.uint8)
        there = runtime.upload(here)

        def part_of(first: int, last: int, part: Any, there: Any = there) -> None:
            part[...] = there[first:last]

        def pinned(here: Any = here, fill: Any = part_of) -> None:
            to_host(runtime, here, fill, row_strips(len(here), here.nbytes // len(here)))

        ways: dict[str, Callable[[], object]] = {
            "up": partial(runtime.upload, here),
            "down": partial(runtime.download, there),
            "down, pinned strips": pinned,
        }
        for way, work in ways.items():
            ms = clock.wall_ms(work, sizes.repeats)
            yield {"way": way, "bytes": here.nbytes, "ms": ms, "gigabytes_per_s": here.nbytes / ms / 1e6}


def cold(machine: Machine, what: str, sizes: Sizes) -> Iterator[Row]:
    """What a process pays for its first encode or decode: without compiled kernels on disk, and with them."""
    device = machine.device if machine.is_gpu else HOST
    side, count = sizes.encode_side, sizes.encode_count
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CUPY_CACHE_DIR": folder, "PYTHONPATH": _search_path()}
        for kernels in ("compiled", "on disk"):
            began = time.perf_counter()
            child = subprocess.run(
                [sys.executable, str(COLD), device, what, str(side), str(count)],
                env=environment,
                capture_output=True,
                encoding="utf-8",
                timeout=COLD_LIMIT_S,
                check=False,
            )
            seconds = time.perf_counter() - began
            if child.returncode:
                raise RuntimeError(f"a first {what} failed: {child.stderr.strip()[-500:]}")
            yield {"what": what, "kernels": kernels, "process_s": seconds, **json.loads(child.stdout.splitlines()[-1])}


def _search_path() -> str:
    """Value of PYTHONPATH with which a child process imports this gscodec."""
    return os.pathsep.join([str(Path(gscodec.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
