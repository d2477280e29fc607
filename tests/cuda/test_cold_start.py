"""What a process that has never used a GPU compiles for its first decode and its first encode."""

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from host_arrays import noting_programs
from host_machine import host_machine
from host_runtime import HostKernel, HostRuntime

from gscodec.cuda import sources
from gscodec.cuda.runtime import Define
from gscodec.decoding.image import open_igs
from gscodec.encoding.api import encode
from gscodec.render.kernel_report import all_variants

Key = tuple[str, tuple[tuple[str, Define], ...]]


class Noting(HostRuntime):
    """Keeps which families are compiled with which macros: ahead, and when they are asked for."""

    def __init__(self, index: int = 0) -> None:
        super().__init__(index=index)
        self.ahead: set[Key] = set()
        self.asked: set[Key] = set()

    def compile_ahead(self, wanted: Iterable[tuple[str, Mapping[str, Define]]]) -> None:
        self.ahead.update((family, tuple(sorted(defines.items()))) for family, defines in wanted)

    def kernel(self, family: str, entry: str, **defines: Define) -> HostKernel:
        self.asked.add((family, tuple(sorted(defines.items()))))
        return super().kernel(family, entry, **defines)

    @property
    def families(self) -> list[str]:
        """Requested kernels, once for each set of macros."""
        return sorted(family for family, _ in self.asked)


def pixels(n_channels: int, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[0:24, 0:36]
    planes = [3 * x, 5 * y, 2 * (x + y), 255 - 2 * x][:n_channels]
    return np.stack(planes, axis=2).astype(dtype) * (257 if dtype is np.uint16 else 1)


def first_encode(source: Any, **how: Any) -> tuple[bytes, Noting, set[str]]:
    runtime = Noting()
    with host_machine(1, lambda _: runtime), noting_programs() as compiled:
        result = encode(source, gaussians=40, device="cuda", **how)
    return result.data, runtime, compiled


@pytest.mark.parametrize("n_channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("profile", "unpacks"), [("coded", "unpack_coded"), ("packed", "unpack_packed"), ("f16", "unpack")]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_first_decode_compiles_three_programs_side_by_side(
    n_channels: int, profile: str, unpacks: str, dtype: Any
) -> None:
    data = encode(pixels(n_channels, dtype), gaussians=40, preset="fast", steps=1, profile=profile, device="cpu").data
    runtime = Noting()
    with host_machine(1, lambda _: runtime), noting_programs() as compiled, open_igs(data, device="cuda") as image:
        assert image.render().dtype == dtype
    assert runtime.families == sorted(["raster_forward", "tile_bin", unpacks])
    assert runtime.ahead == runtime.asked
    assert not compiled, "CuPy compiles nothing"


@pytest.mark.parametrize("n_channels", [1, 4])
@pytest.mark.parametrize(
    ("how", "also"),
    [
        ({"preset": "balanced", "steps": 60}, ["unpack_coded", "upkeep"]),
        ({"preset": "balanced", "steps": 60, "profile": "packed"}, ["unpack_packed", "upkeep"]),
        ({"preset": "fast", "steps": 60, "tune": "psnr"}, ["unpack_coded", "upkeep"]),
        ({"preset": "paper", "steps": 20}, ["unpack"]),
    ],
    ids=["balanced", "packed", "psnr", "paper"],
)
def test_a_first_encode_compiles_few_programs_side_by_side(
    n_channels: int, how: dict[str, Any], also: list[str]
) -> None:
    _, runtime, compiled = first_encode(pixels(n_channels), **how)
    codes = ["raster_forward"]  # beside the picture in floats
    usual = ["fit", "growth", "loss", "raster_backward", "raster_forward", "tile_bin"]
    assert runtime.families == sorted([*usual, *codes, *also])
    assert runtime.asked <= runtime.ahead
    assert {family for family, _ in runtime.ahead - runtime.asked} <= {"upkeep"}
    assert not compiled, "CuPy compiles nothing"


def digest_of_texts() -> str:
    """Digest of all texts and options passed to CuPy."""
    texts = sorted((sources.source(v.family, dict(v.defines)), sources.options(v.family)) for v in all_variants())
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def test_a_second_process_compiles_nothing() -> None:
    """CuPy finds what it compiled by text, options, and the versions of compiler and GPU. Texts are the same again."""
    code = f"import sys; sys.path[:0] = {sys.path!r}; import test_cold_start; print(test_cold_start.digest_of_texts())"
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True
        )
        assert done.stdout.strip() == digest_of_texts()
