"""Resource usage of every kernel on each architecture: `python -m gscodec.render.kernel_report`.

Needs only NVRTC, neither GPU nor driver nor toolkit; uses the newest one installed, or the one named by GSCODEC_NVRTC.
The macros of each kernel are not listed here: the launch code runs on a runtime that records its requests and launches
nothing.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda import averages, binning, blending, fitting, grain, growth, sources, unpacking, upkeep
from gscodec.cuda.blending import Real, Strides
from gscodec.cuda.nvrtc import ARCHITECTURES, KernelRefused, Nvrtc, Usage, compile_usage, installed
from gscodec.cuda.runtime import Array, Define, Kernel, PlainStaging, PlainStep
from gscodec.cuda.scenes import bin_scene, upload_gaussians
from gscodec.model.constants import TOP_K
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import LossWeights
from gscodec.render.gpu import CudaRasterizer


@dataclass(frozen=True)
class Variant:
    """A family with the macros of one compilation, and the kernels launched from it."""

    family: str
    defines: tuple[tuple[str, Define], ...]
    entries: frozenset[str]

    def __str__(self) -> str:
        """The macros that differ between variants of the family."""
        names = ("REAL", "PASS", "TOP_K", "SAMPLE", "LOG_SCALES")
        return ", ".join(f"{name} {value}" for name, value in self.defines if name in names)

    def usages(self, architecture: str, nvrtc: Nvrtc | None = None) -> tuple[Usage, ...]:
        """Usage of this variant's kernels, compiled by `nvrtc`; None means the newest one installed.

        Raises:
            KernelRefused: NVRTC fails or warns.
        """
        text, options = sources.source(self.family, dict(self.defines)), sources.options(self.family)
        usages = compile_usage(text, options, architecture, nvrtc)
        return tuple(usage for usage in usages if usage.entry in self.entries)


def main_variants() -> list[Variant]:
    """Variants for encoding and decoding a picture with three channels."""
    return _noted([(3, TOP_K, np.float32)])


UNPACK_FAMILIES: Final = {"f16": "unpack", "packed": "unpack_packed", "coded": "unpack_coded"}
"""Families that unpack pages, by profile."""


def fit_variants(n_channels: int, top_k: int, *, log_scales: bool, profile: str = "") -> list[Variant]:
    """Variants for a fit, and for the decode with 8-bit codes that measures its file.

    Args:
        profile: profile of the file; one that is unpacked on the host adds nothing.
    """
    families = {"tile_bin", "raster_forward", "raster_backward", "fit", "loss", "upkeep", "growth"}
    families |= {UNPACK_FAMILIES[profile]} if profile in UNPACK_FAMILIES else set()
    others = {("LOG_SCALES", int(not log_scales)), ("PEAK", 65535)}
    noted = _noted([(n_channels, top_k, np.float32)], codes=(n_channels, top_k))
    return [v for v in noted if v.family in families and others.isdisjoint(v.defines)]


def decode_variants(n_channels: int, top_k: int, dtype: str, profile: str) -> list[Variant]:
    """Variants for decoding a whole picture to a sample type."""
    families = {"tile_bin", "raster_forward", UNPACK_FAMILIES.get(profile, "")}
    peak = {"uint8": 255, "uint16": 65535}.get(dtype, 0)
    others = {("PEAK", other) for other in (0, 255, 65535) if other != peak}
    noted = _noted([(n_channels, top_k, np.float32)], codes=(n_channels, top_k))
    return [v for v in noted if v.family in families and others.isdisjoint(v.defines)]


def all_variants() -> list[Variant]:
    """Further variants: 1, 3, 4 and 8 channels per pass; K 1, 10 and 32; double precision, for gradient checks."""
    shapes: list[tuple[int, int, Real]] = [(c, k, np.float32) for c in (1, 3, 4, 8) for k in (1, TOP_K, 32)]
    return _noted([*shapes, (3, TOP_K, np.float64), (8, 32, np.float64)])


def report(variants: Iterable[Variant], architectures: Sequence[str], workers: int) -> Iterator[str]:
    """Yields the lines of a table of the variants by family; for a refused one, the reason.

    Yields:
        str: a line; begins with `REFUSED` for a refused variant.
    """
    yield f"{'kernel':<24}{'arch':<8}{'registers':>9}{'shared':>8}{'local':>7}{'spilled':>9}  macros"
    with ThreadPoolExecutor(workers) as pool:
        jobs = [(v, arch, pool.submit(v.usages, arch)) for v in variants for arch in architectures]
        for variant, architecture, job in jobs:
            try:
                for u in job.result():
                    numbers = f"{u.registers:>9}{u.shared_bytes:>8}{u.local_bytes:>7}{u.spill_bytes:>9}"
                    yield f"{u.entry:<24}{architecture:<8}{numbers}  {variant}"
            except KernelRefused as refusal:
                yield f"REFUSED {variant.family} ({variant}): {refusal}"


@dataclass
class _Notes:
    """A `Runtime` that launches nothing: arrays are NumPy's and hold zeros."""

    name: str = "notes"
    xp: ModuleType = np
    seen: dict[tuple[str, tuple[tuple[str, Define], ...]], set[str]] = field(default_factory=dict)

    def kernel(self, family: str, entry: str, **defines: Define) -> Kernel:
        self.seen.setdefault((family, tuple(sorted(defines.items()))), set()).add(entry)
        return lambda *_: None

    def compile_ahead(self, wanted: Iterable[tuple[str, Mapping[str, Define]]]) -> None:
        pass

    def upload(self, array: npt.NDArray[Any]) -> Array:
        return np.array(array, order="C")

    def download(self, array: Array) -> npt.NDArray[Any]:
        return np.zeros_like(array)

    def adopt(self, array: object) -> Array | None:
        return array

    def staging(self, n_bytes: int) -> PlainStaging:  # noqa: ARG002  # as the protocol
        return PlainStaging(self.download)

    def free_bytes(self) -> int:
        return 1 << 40

    def record(self, step: Callable[[], None]) -> PlainStep:
        return PlainStep(step)

    def synchronize(self) -> None:
        pass

    def __enter__(self) -> "_Notes":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _noted(shapes: Iterable[tuple[int, int, Real]], codes: tuple[int, int] = (3, TOP_K)) -> list[Variant]:
    """Variants for pictures with the given (channels, K, arithmetic type), and for codes of (channels, K)."""
    notes = _Notes()
    for n_channels, top_k, real in shapes:
        _rasterize(CudaRasterizer(notes, real), n_channels, top_k)
    _encode_codes(CudaRasterizer(notes), *codes)
    for log_scales in (0, 1):
        for entry in sources.entries("fit"):
            notes.kernel("fit", entry, LOG_SCALES=log_scales, **fitting.DEFINES)
    for entry in sources.entries("tile_bin"):
        notes.kernel("tile_bin", entry, **binning.DEFINES)
    for family in ("unpack", "unpack_packed", "unpack_coded"):
        for entry in sources.entries(family):
            notes.kernel(family, entry, **unpacking.DEFINES)
    for entry in sources.entries("upkeep"):
        notes.kernel("upkeep", entry, **upkeep.DEFINES)
    for entry in sources.entries("growth"):
        notes.kernel("growth", entry, **growth.DEFINES)
    for entry in sources.entries("grain"):
        notes.kernel("grain", entry, **grain.DEFINES)
    for macros in averages.CODES.values():
        for entry in sources.entries("averages"):
            notes.kernel("averages", entry, **averages.DEFINES, **macros)
    return [Variant(family, defines, frozenset(entries)) for (family, defines), entries in notes.seen.items()]


def _picture(n_channels: int, top_k: int) -> tuple[GaussianSet, Grid]:
    """A set of one Gaussian on a grid of one tile."""
    features = np.zeros((1, n_channels), np.float32)
    gaussians = GaussianSet(np.full((1, 2), 8.0), np.full((1, 2), 0.5), np.zeros(1), features)
    return gaussians, Grid(16, 16, np.zeros(n_channels, np.float32), top_k)


def _rasterize(engine: CudaRasterizer, n_channels: int, top_k: int) -> None:
    """Call all floating-point functions of an engine."""
    gaussians, grid = _picture(n_channels, top_k)
    index = engine.bin(gaussians, grid)
    image = engine.forward(gaussians, grid, index, Window.whole(grid)).astype(np.float32)
    engine.sample(gaussians, grid, index, np.full((1, 2), 8.0))
    engine.backward(gaussians, grid, index, image)
    _differentiate_again(engine, gaussians, grid)
    engine.loss(image, image, LossWeights(l1=1.0))
    engine.loss(image, image, LossWeights(ssim=1.0))
    engine.loss(image, image, LossWeights(ssim=1.0), image[:, :, 0].copy())


def _differentiate_again(engine: CudaRasterizer, gaussians: GaussianSet, grid: Grid) -> None:
    """Call the backward pass of steps with SSIM."""
    runtime, size = engine.runtime, (grid.height, grid.width)
    scene = bin_scene(runtime, upload_gaussians(runtime, gaussians), grid, real=engine.real)
    picture = runtime.xp.zeros((*size, gaussians.n_channels), engine.real)
    choices = blending.choices_of(runtime, scene.lists.n_tiles, engine.real)
    blending.backward_again(
        runtime,
        scene,
        size,
        Strides.interleaved(grid.width, gaussians.n_channels),
        grad_image=picture.astype(np.float32),
        picture=picture,
        choices=choices,
        moments=runtime.xp.zeros((1, blending.MOMENTS + gaussians.n_channels), engine.real),
    )


def _encode_codes(engine: CudaRasterizer, n_channels: int, top_k: int) -> None:
    """Render codes of 8 and 16 bits, whose kernels differ in one store."""
    gaussians, grid = _picture(n_channels, top_k)
    index = engine.bin(gaussians, grid)
    engine.forward(gaussians, grid, index, Window.whole(grid), "uint8")
    engine.forward(gaussians, grid, index, Window.whole(grid), "uint16")


def main() -> int:
    """Print the table; returns 1 if a kernel is refused."""
    parser = argparse.ArgumentParser(prog="python -m gscodec.render.kernel_report", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", action="append", choices=ARCHITECTURES, help="architecture, repeatable. Default: all")
    parser.add_argument("--main", action="store_true", help="only the variants for a picture with three channels")
    parser.add_argument("-j", "--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    variants = main_variants() if args.main else all_variants()
    nvrtc = installed()[0]
    print("NVRTC {}.{}".format(*nvrtc.version), flush=True)
    refused = 0
    for line in report(variants, args.arch or nvrtc.architectures, args.threads):
        refused += line.startswith("REFUSED")
        print(line, flush=True)
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main())
