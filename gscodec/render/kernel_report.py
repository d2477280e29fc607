"""What every kernel takes of a multiprocessor, for each architecture we name: `python -m gscodec.render.kernel_report`.

Needs NVRTC and nothing else: no GPU, no driver, no toolkit; the newest that is installed, or what GSCODEC_NVRTC names.
Which macros a kernel is compiled with is not written here again: the launch code runs, on a runtime that notes what it
asks for and launches nothing.
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

from gscodec.cuda import averages, binning, blending, fitting, growth, sources, unpacking, upkeep
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
    """A family with the macros that some launch compiles it with, and the kernels that launch uses."""

    family: str
    defines: tuple[tuple[str, Define], ...]
    entries: frozenset[str]

    def __str__(self) -> str:
        """The macros that differ between variants of a family."""
        names = ("REAL", "PASS", "TOP_K", "SAMPLE", "LOG_SCALES")
        return ", ".join(f"{name} {value}" for name, value in self.defines if name in names)

    def usages(self, architecture: str, nvrtc: Nvrtc | None = None) -> tuple[Usage, ...]:
        """Of this variant's kernels, compiled by the newest NVRTC when none is given.

        Raises:
            KernelRefused: it does not compile without a warning.
        """
        text, options = sources.source(self.family, dict(self.defines)), sources.options(self.family)
        usages = compile_usage(text, options, architecture, nvrtc)
        return tuple(usage for usage in usages if usage.entry in self.entries)


def main_variants() -> list[Variant]:
    """What a picture with three channels is encoded and decoded with."""
    return _noted([(3, TOP_K, np.float32)])


UNPACK_FAMILIES: Final = {"f16": "unpack", "packed": "unpack_packed", "coded": "unpack_coded"}
"""What unpacks the pages of a profile."""


def fit_variants(n_channels: int, top_k: int, *, log_scales: bool, profile: str = "") -> list[Variant]:
    """What a fit of a picture compiles, and the decode of the file, with codes of 8 bits, by which it is measured.

    Args:
        profile: of the file; one that the host unpacks adds nothing.
    """
    families = {"tile_bin", "raster_forward", "raster_backward", "fit", "loss", "upkeep", "growth"}
    families |= {UNPACK_FAMILIES[profile]} if profile in UNPACK_FAMILIES else set()
    others = {("LOG_SCALES", int(not log_scales)), ("PEAK", 65535)}
    noted = _noted([(n_channels, top_k, np.float32)], codes=(n_channels, top_k))
    return [v for v in noted if v.family in families and others.isdisjoint(v.defines)]


def decode_variants(n_channels: int, top_k: int, dtype: str, profile: str) -> list[Variant]:
    """What a whole picture of that type is decoded with."""
    families = {"tile_bin", "raster_forward", UNPACK_FAMILIES.get(profile, "")}
    peak = {"uint8": 255, "uint16": 65535}.get(dtype, 0)
    others = {("PEAK", other) for other in (0, 255, 65535) if other != peak}
    noted = _noted([(n_channels, top_k, np.float32)], codes=(n_channels, top_k))
    return [v for v in noted if v.family in families and others.isdisjoint(v.defines)]


def all_variants() -> list[Variant]:
    """More: 1, 3, 4 and 8 channels a pass; K 1, 10 and 32; double precision, which gradient checks use."""
    shapes: list[tuple[int, int, Real]] = [(c, k, np.float32) for c in (1, 3, 4, 8) for k in (1, TOP_K, 32)]
    return _noted([*shapes, (3, TOP_K, np.float64), (8, 32, np.float64)])


def report(variants: Iterable[Variant], architectures: Sequence[str], workers: int) -> Iterator[str]:
    """Lines of a table, a family's variant after the other; where one is refused, why.

    Yields:
        str: a line; those of refusals begin with `REFUSED`.
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
    """Variants for pictures of such (channels, K, arithmetic type), and codes of (channels, K)."""
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
    for macros in averages.CODES.values():
        for entry in sources.entries("averages"):
            notes.kernel("averages", entry, **averages.DEFINES, **macros)
    return [Variant(family, defines, frozenset(entries)) for (family, defines), entries in notes.seen.items()]


def _picture(n_channels: int, top_k: int) -> tuple[GaussianSet, Grid]:
    """One Gaussian on one tile."""
    features = np.zeros((1, n_channels), np.float32)
    gaussians = GaussianSet(np.full((1, 2), 8.0), np.full((1, 2), 0.5), np.zeros(1), features)
    return gaussians, Grid(16, 16, np.zeros(n_channels, np.float32), top_k)


def _rasterize(engine: CudaRasterizer, n_channels: int, top_k: int) -> None:
    """Everything an engine can do with floating point."""
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
    """As steps with SSIM do."""
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
    """Codes of 8 and 16 bits, which differ in one store."""
    gaussians, grid = _picture(n_channels, top_k)
    index = engine.bin(gaussians, grid)
    engine.forward(gaussians, grid, index, Window.whole(grid), "uint8")
    engine.forward(gaussians, grid, index, Window.whole(grid), "uint16")


def main() -> int:
    """Prints the table; 1 when a kernel is refused."""
    parser = argparse.ArgumentParser(prog="python -m gscodec.render.kernel_report", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--arch", action="append", choices=ARCHITECTURES, help="this one, repeatable; default all known"
    )
    parser.add_argument("--main", action="store_true", help="only what a picture with three channels takes")
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
