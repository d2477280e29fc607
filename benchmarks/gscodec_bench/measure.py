"""One picture through one codec at one setting: what came out of the file, what it cost, how good it is."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.image.levels import to_unit
from gscodec.image.stack import ImageStack
from gscodec.metrics import METRICS, bpp, bppc, psnr_by_group
from gscodec_bench.codecs import Codec, Layout, join, split
from gscodec_bench.judges import ALL_METRICS


@dataclass(frozen=True)
class Coded:
    """A picture after a codec: its files, and the samples that they give back."""

    files: tuple[bytes, ...]
    samples: npt.NDArray[np.float32]  # (H, W, C) at the source's depth, 0..1
    encode_s: float
    encode_cpu_s: float  # of all threads and of programs that were started
    decode_ms: float | None

    @property
    def n_bytes(self) -> int:
        """Bytes on disk."""
        return sum(len(data) for data in self.files)


def code(stack: ImageStack, codec: Codec, setting: str, decode_runs: int = 3) -> Coded:
    """Encode a picture or stack and decode it again.

    Args:
        decode_runs: how often decoding is timed, after one run to warm up; the median counts. 0 does not time it.
    """
    height, width, _ = stack.samples.shape
    parts = split(stack, codec.layout)
    codec.prepare()
    started, cpu_started = time.perf_counter(), _cpu_seconds()
    files = tuple(codec.encode(part, setting) for part in parts)
    seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu_started

    def decode() -> list[npt.NDArray[Any]]:
        return [codec.decode(data, height, width) for data in files]

    samples = to_unit(join(decode(), stack, codec.layout), stack.groups)
    times = []
    for _ in range(decode_runs if codec.decode_is_timed else 0):
        began = time.perf_counter()
        decode()
        times.append((time.perf_counter() - began) * 1e3)
    return Coded(files, samples, seconds, cpu_seconds, statistics.median(times) if times else None)


def rate_figures(stack: ImageStack, n_bytes: int) -> dict[str, Any]:
    """Size of a picture and rate of its bytes."""
    height, width, channels = stack.samples.shape
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "bytes": n_bytes,
        "bpp": f"{bpp(n_bytes, height, width):.5f}",
        "bppc": f"{bppc(n_bytes, height, width, channels):.5f}",
    }


def quality_figures(
    source: ImageStack, samples: npt.NDArray[np.float32], metrics: Sequence[str] = tuple(METRICS)
) -> dict[str, Any]:
    """Every metric that applies and can be measured here; PSNR of single maps where there are several."""
    figures: dict[str, Any] = {}
    for name in metrics:
        metric = ALL_METRICS[name]
        value = None if metric.missing() else metric.measure(source.samples, samples, source.groups)
        figures[name] = None if value is None else f"{value:.{_DIGITS.get(name, 5)}f}"
    if len(source.groups) > 1:
        by_group = psnr_by_group(source.samples, samples, source.groups)
        figures["group_psnr"] = ";".join(f"{name}={value:.3f}" for name, value in by_group.items())
    return figures


def time_figures(coded: Coded) -> dict[str, Any]:
    """What coding took."""
    return {
        "encode_s": f"{coded.encode_s:.3f}",
        "encode_cpu_s": f"{coded.encode_cpu_s:.3f}",
        "decode_ms": None if coded.decode_ms is None else f"{coded.decode_ms:.2f}",
    }


def igs_figures(codec: Codec, files: Sequence[bytes]) -> dict[str, Any]:
    """What an `.igs` file says about itself; nothing for other codecs."""
    if codec.layout is not Layout.STACK:
        return {}
    info = describe(IgsReader(files[0]))
    n = info["n_gaussians"]
    return {
        "profile": info["profile"],
        "gaussians": n,
        "lods": len(info["lods"]),
        "bits_per_gaussian": f"{8 * len(files[0]) / n:.2f}" if n else None,
    }


def file_name(image: str, codec: str, setting: str) -> str:
    """Name under which encoded files are kept."""
    return f"{image}__{codec}__{setting}"


def keep_files(folder: Path, name: str, codec: Codec, files: Sequence[bytes]) -> None:
    """Leave the encoded files in a folder, for reports and for whoever wants to look."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(files):
        part = f"-{number}" if len(files) > 1 else ""
        (folder / f"{safe_name(name)}{part}{codec.suffix}").write_bytes(data)


def kept_files(folder: Path, name: str, codec: Codec) -> tuple[bytes, ...]:
    """The files that `keep_files` left, none if they are not there."""
    whole = folder / f"{safe_name(name)}{codec.suffix}"
    if whole.exists():
        return (whole.read_bytes(),)
    files: list[bytes] = []
    while (path := folder / f"{safe_name(name)}-{len(files)}{codec.suffix}").exists():
        files.append(path.read_bytes())
    return tuple(files)


def safe_name(name: str) -> str:
    """A name as a file may have it."""
    return "".join(char if char.isalnum() or char in "._-=" else "_" for char in name)


def _cpu_seconds() -> float:
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


_DIGITS = {
    "psnr": 3,
    "normal_deg": 3,
    "log_psnr": 3,
    "ssimulacra2": 3,
    "butteraugli3": 4,
    "block_luma": 4,
    "block_hue": 4,
}
