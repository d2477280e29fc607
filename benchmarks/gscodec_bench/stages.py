"""What is timed: the stages of encoding and decoding, alone, on synthetic Gaussians, and peers where there are any.

Several contenders of a stage take turns, so that a busy moment of the machine hits all alike. The first turn of each is
not counted.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

import gscodec
from gscodec.image.arrays import from_array
from gscodec.model.gaussians import Window
from gscodec.model.rendering import LossWeights
from gscodec.render.cpu import CpuRasterizer
from gscodec_bench.codecs import get_codec
from gscodec_bench.matched import nearest_size
from gscodec_bench.synthetic import synthetic_file, synthetic_gaussians, synthetic_grid, synthetic_target

N_SAMPLES: Final = 1_000_000
PEERS: Final = ("avif", "jxl", "jpeg")


@dataclass(frozen=True)
class Case:
    """How much there is to do."""

    side: int  # px; pictures are square
    n_gaussians: int
    channels: int
    threads: int
    runs: int


@dataclass(frozen=True)
class Timing:
    """Times of one contender."""

    median_ms: float
    fastest_ms: float
    per_second: float | None = None  # of `unit`
    unit: str = ""
    n_bytes: int | None = None  # of the file decoded
    peak_mb: float | None = None


def take_turns(contenders: Mapping[str, Callable[[], Any]], runs: int) -> dict[str, list[float]]:
    """Milliseconds of every run of each, in turn, after one run each that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(runs + 1):
        for name, work in contenders.items():
            started = time.perf_counter()
            work()
            if number:
                times[name].append((time.perf_counter() - started) * 1e3)
    return times


def binning(case: Case) -> dict[str, Timing]:
    """Tile lists."""
    rasterizer, gaussians, grid = _scene(case)
    return _times({"gscodec": lambda: rasterizer.bin(gaussians, grid)}, case.runs)


def forward(case: Case) -> dict[str, Timing]:
    """Blending, float32, tile lists at hand."""
    rasterizer, gaussians, grid = _scene(case)
    index, window = rasterizer.bin(gaussians, grid), Window.whole(grid)
    pixels = case.side**2 / 1e6
    return _times({"gscodec": lambda: rasterizer.forward(gaussians, grid, index, window)}, case.runs, pixels, "Mpixel")


def backward(case: Case) -> dict[str, Timing]:
    """Gradients to the parameters, for a gradient to the picture."""
    rasterizer, gaussians, grid = _scene(case)
    index = rasterizer.bin(gaussians, grid)
    grad = synthetic_target(case.side, case.side, case.channels, seed=2) - np.float32(0.5)
    return _times({"gscodec": lambda: rasterizer.backward(gaussians, grid, index, grad)}, case.runs)


def loss(case: Case) -> dict[str, Timing]:
    """The paper's loss, L1 + 0.1 (1 - SSIM), and its gradient to the picture."""
    rasterizer = CpuRasterizer(case.threads)
    image, target = (synthetic_target(case.side, case.side, case.channels, seed) for seed in (2, 3))
    weights = LossWeights(l1=1.0, ssim=0.1)
    return _times({"gscodec": lambda: rasterizer.loss(image, target, weights)}, case.runs)


def step(case: Case, preset_name: str = "balanced") -> dict[str, Timing]:
    """One step of a fit with every Gaussian there: binning, blending, loss, gradients, Adam."""
    from gscodec.fit.loop import fit
    from gscodec.fit.presets import get_preset

    preset = replace(get_preset(preset_name), start_share=1.0, growth_events=0, joint_lods=False)
    target = synthetic_target(case.side, case.side, case.channels)
    at: list[float] = []
    fit(
        target,
        case.n_gaussians,
        preset,
        rasterizer=CpuRasterizer(case.threads),
        grid=synthetic_grid(case.side, case.side, case.channels),
        steps=case.runs + 2,
        on_step=lambda _: at.append(time.perf_counter()),
    )
    times = (np.diff(at[1:]) * 1e3).tolist()  # the first step brings memory in
    return {"gscodec": _timing(times, 1.0, "step")}


def step_paper(case: Case) -> dict[str, Timing]:
    """As `step`, with the paper's loss."""
    return step(case, "paper")


def decode(case: Case) -> dict[str, Timing]:
    """A file in memory to 8-bit samples in memory; peers decode the same picture from files of the same size."""
    data = synthetic_file(case.side, case.side, case.n_gaussians, channels=case.channels)

    def ours() -> Any:
        with gscodec.open(data, device="cpu", threads=case.threads) as image:
            return image.render(dtype=np.uint8)

    work: dict[str, Callable[[], Any]] = {"gscodec": ours}
    sizes = {"gscodec": len(data)}
    if case.channels == 3:
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = case.threads  # Pillow has no argument for it
        picture = from_array(ours())
        for name in PEERS:
            codec = get_codec(name)
            found = nearest_size(codec, picture, len(data)) if codec.available() is None else None
            if found is not None:
                (peer,) = found[1]
                sizes[name] = len(peer)
                work[name] = _decoder(name, peer, case)
    timed = _times(work, case.runs, case.side**2 / 1e6, "Mpixel")
    return {name: replace(timing, n_bytes=sizes[name]) for name, timing in timed.items()}


def sample(case: Case) -> dict[str, Timing]:
    """A million random points of an open file."""
    data = synthetic_file(case.side, case.side, case.n_gaussians, channels=case.channels)
    points = np.random.default_rng(4).uniform(0, case.side, (N_SAMPLES, 2))
    with gscodec.open(data, device="cpu", threads=case.threads) as image:
        return _times({"gscodec": lambda: image.sample(points)}, case.runs, N_SAMPLES / 1e6, "Msample")


def one_pixel(case: Case) -> dict[str, Timing]:
    """One point from a file on disk, opened for it; the peer decodes the whole file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.igs"
        path.write_bytes(synthetic_file(case.side, case.side, case.n_gaussians, channels=case.channels))

        def ours() -> Any:
            with gscodec.open(path, device="cpu", threads=case.threads) as image:
                return image.sample([[case.side / 3, case.side / 3]])

        def whole() -> Any:
            with gscodec.open(path, device="cpu", threads=case.threads) as image:
                return image.render(dtype=np.uint8)

        timed = _times({"gscodec": ours, "gscodec, whole file": whole}, case.runs)
        return {name: replace(timing, n_bytes=path.stat().st_size) for name, timing in timed.items()}


def startup(case: Case) -> dict[str, Timing]:
    """Processes from start to end: `gscodec --help`, decoding 128x128 px, and an interpreter that does nothing."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.igs"
        small.write_bytes(synthetic_file(128, 128, 200))
        program = [sys.executable, "-m", "gscodec.cli"]
        decoding = [*program, "decode", str(small), str(small.with_suffix(".png")), "--overwrite"]
        commands = {
            "gscodec --help": [*program, "--help"],
            "gscodec decode": decoding,
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        work = {name: _process(words) for name, words in commands.items()}
        return _times(work, case.runs)


def memory(case: Case) -> dict[str, Timing]:
    """Peak resident memory of processes that decode and encode, and of one that only imports."""
    opened = f"gscodec.open(synthetic_file({case.side}, {case.side}, {case.n_gaussians}), threads={case.threads})"
    target = f"synthetic_target({case.side}, {case.side})"
    encoding = f"gscodec.encode({target}, gaussians={case.n_gaussians}, steps=3, device='cpu', threads={case.threads})"
    head = "import gscodec; from gscodec_bench.synthetic import *; "
    programs = {
        "decode": head + f"{opened}.render(dtype='uint8')",
        "encode": head + encoding,
        "import": head.rstrip("; "),
    }
    result = {}
    for name, text in programs.items():
        tail = "; from gscodec_bench.machine import peak_mb; print(peak_mb() or '')"
        started = time.perf_counter()
        words = [sys.executable, "-c", text + tail]
        done = subprocess.run(words, check=True, capture_output=True, encoding="utf-8", env=_with_this_package())
        elapsed = (time.perf_counter() - started) * 1e3
        result[name] = Timing(elapsed, elapsed, peak_mb=float(done.stdout) if done.stdout.strip() else None)
    return result


STAGES: Final[dict[str, Callable[[Case], dict[str, Timing]]]] = {
    "bin": binning,
    "forward": forward,
    "backward": backward,
    "loss": loss,
    "step": step,
    "step paper": step_paper,
    "decode": decode,
    "sample": sample,
    "one pixel": one_pixel,
    "start-up": startup,
    "memory": memory,
}


def _scene(case: Case) -> tuple[CpuRasterizer, Any, Any]:
    gaussians = synthetic_gaussians(case.side, case.side, case.n_gaussians, case.channels)
    return CpuRasterizer(case.threads), gaussians, synthetic_grid(case.side, case.side, case.channels)


def _decoder(name: str, data: bytes, case: Case) -> Callable[[], Any]:
    if name == "jxl":
        import imagecodecs

        return lambda: imagecodecs.jpegxl_decode(data, numthreads=case.threads)
    codec = get_codec(name)
    return lambda: codec.decode(data, case.side, case.side)


def _with_this_package() -> dict[str, str]:
    """The environment, for a Python that finds what this one has imported."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path}


def _process(words: list[str]) -> Callable[[], Any]:
    return lambda: subprocess.run(words, check=True, capture_output=True)


def _times(
    work: Mapping[str, Callable[[], Any]], runs: int, amount: float | None = None, unit: str = ""
) -> dict[str, Timing]:
    return {name: _timing(times, amount, unit) for name, times in take_turns(work, runs).items()}


def _timing(times: list[float], amount: float | None, unit: str) -> Timing:
    median = statistics.median(times)
    return Timing(median, min(times), None if amount is None else amount / median * 1e3, unit)
