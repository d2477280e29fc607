"""Every kernel compiles for every architecture we name, as CuPy would do it, without a warning and without spills.

By the newest NVRTC that we allow and by the oldest, that is for the first and the last architecture the oldest knows.
What three channels take is compiled here; `make kernels` goes through the rest and prints a table, `make nvrtc` runs
these tests with versions in between.
"""

import os
import sys
from pathlib import Path

import pytest

from gscodec.cuda import nvrtc, sources
from gscodec.cuda.nvrtc import ARCHITECTURES, KernelRefused, Nvrtc, Usage, compile_cubin, compile_usage, installed
from gscodec.errors import MissingExtra
from gscodec.render.kernel_report import Variant, all_variants, main_variants, report

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="there is no NVRTC for macOS")

SPILL_BYTES = {
    "blend_tiles": 64,
    "backward_tiles": 24,
    "weighted_backward_tiles": 32,
    "means_backward_tiles": 60,
    "chosen_backward_tiles": 16,
    "ssim_loss": 28,
    "adam_rows": 4,
    "unpack_records": 8,
}
"""Bytes a thread may spill, none where a kernel is not listed: a few registers, stored once, to keep more threads.

The most of NVRTC 12.0, 12.9, 13.0 and 13.5, which differ in where they do (benchmarks/results/kernels.md).
"""

SHARED_BYTES = 48 << 10
"""What every architecture gives a block without being asked."""

OLD_ARCHITECTURES = ("sm_75", "sm_90")
"""For the oldest compiler: enough to see that it takes the text, in a third of the time."""

FIRST_VERSION = {"sm_120": (12, 8)}
"""First NVRTC version with an architecture, if 12.0 does not have it."""


def first_variants() -> dict[str, Variant]:
    """One of each family, with all of the family's kernels."""
    found: dict[str, Variant] = {}
    for variant in main_variants():
        found.setdefault(variant.family, variant)
    return {
        family: Variant(family, variant.defines, frozenset(sources.entries(family)))
        for family, variant in found.items()
    }


def test_every_family_is_launched() -> None:
    assert set(first_variants()) == set(sources.HEADERS)


def test_the_oldest_and_the_newest_compiler_are_here() -> None:
    if "GSCODEC_NVRTC" in os.environ:
        assert len(installed()) == 1
        return
    versions = [compiler.version for compiler in installed()]
    assert versions == sorted(versions, reverse=True)
    assert versions[0] >= (13, 0), "pip install --group dev"
    assert versions[-1] < (12, 9), "pip install --group dev; what runs GPUs may have brought a newer one in its place"


COMPILATIONS = [*(("newest", name) for name in ARCHITECTURES), *(("oldest", name) for name in OLD_ARCHITECTURES)]


@pytest.mark.parametrize(("which", "architecture"), COMPILATIONS)
@pytest.mark.parametrize("family", sources.HEADERS)
def test_every_kernel_compiles(family: str, which: str, architecture: str) -> None:
    compiler = installed()[0 if which == "newest" else -1]
    if architecture not in compiler.architectures:
        assert compiler.version < FIRST_VERSION[architecture]
        return
    usages = first_variants()[family].usages(architecture, compiler)
    assert tuple(usage.entry for usage in usages) == sources.entries(family)
    for usage in usages:
        assert usage.spill_bytes <= SPILL_BYTES.get(usage.entry, 0), usage
        assert usage.shared_bytes <= SHARED_BYTES, usage


def test_variants_cover_what_is_promised() -> None:
    seen = {(dict(v.defines).get("PASS"), dict(v.defines).get("TOP_K")) for v in all_variants() if v.family == "sample"}
    assert seen == {(c, k) for c in (1, 3, 4, 8) for k in (1, 10, 32)}
    backward = [v for v in all_variants() if v.family == "raster_backward"]
    assert {dict(v.defines)["REAL"] for v in backward} == {"float", "double"}
    assert all(v.entries == {"backward_tiles", "chosen_backward_tiles", "gather_gradients"} for v in backward)


def test_usage_is_read_from_the_compiler() -> None:
    text = """
    extern "C" __global__ void first(float* to) { to[threadIdx.x] = 1; }
    extern "C" __global__ void __launch_bounds__(64) second(float* to, int n) {
        __shared__ float staged[64];
        volatile float kept[32];
        for (int k = 0; k < 32; ++k) kept[k] = to[k];
        staged[threadIdx.x] = kept[n & 31];
        __syncthreads();
        to[threadIdx.x] = staged[63 - threadIdx.x];
    }"""
    first, second = compile_usage(text, ("-std=c++17",), "sm_80")
    assert (first.entry, second.entry) == ("first", "second")
    assert 0 < first.registers <= second.registers
    assert (first.shared_bytes, second.shared_bytes) == (0, 256)
    assert (first.local_bytes, second.local_bytes) == (0, 128)
    assert second.spill_bytes == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("__global__ void kernel() { nonsense(); }", 'identifier "nonsense" is undefined'),
        ('#line 7 "blend.cuh"\n__global__ void kernel() { int unused; }', "blend.cuh(7): warning"),
    ],
)
def test_errors_and_warnings_refuse_a_kernel(text: str, complaint: str) -> None:
    with pytest.raises(KernelRefused) as caught:
        compile_usage(text, (), "sm_80")
    assert complaint in str(caught.value)


def test_compilers_stand_side_by_side() -> None:
    """Loaded into one process, each compiles as what it is."""
    text = """extern "C" __global__ void kernel(char* to) {
        __shared__ char kept[100 * __CUDACC_VER_MAJOR__ + __CUDACC_VER_MINOR__];
        kept[threadIdx.x] = 1;
        __syncthreads();
        to[threadIdx.x] = kept[threadIdx.x + 1];
    }"""
    for compiler in (*installed(), *installed()):
        (usage,) = compile_usage(text, ("-std=c++17",), "sm_90", compiler)
        assert usage.shared_bytes == 100 * compiler.version[0] + compiler.version[1]
        assert compile_cubin(text, ("-std=c++17",), "sm_90", compiler)[:4] == b"\x7fELF"


def test_one_compiler_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    oldest = installed()[-1]
    monkeypatch.setenv("GSCODEC_NVRTC", oldest.handle._name)
    assert [compiler.version for compiler in installed.__wrapped__()] == [oldest.version]
    other = tmp_path / "libnvrtc.so.12"
    other.write_bytes(b"no library")
    for path in (other, tmp_path / "missing.so", Path(sys.modules["_ctypes"].__file__ or "")):
        monkeypatch.setenv("GSCODEC_NVRTC", str(path))
        with pytest.raises(MissingExtra, match=f"GSCODEC_NVRTC={path} cannot be loaded as NVRTC"):
            installed.__wrapped__()


def test_no_compiler_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "_candidates", list)
    monkeypatch.delenv("GSCODEC_NVRTC", raising=False)
    with pytest.raises(MissingExtra, match="NVRTC is not installed; pip install"):
        installed.__wrapped__()


def test_the_report_goes_on_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def usages(self: Variant, architecture: str, _nvrtc: Nvrtc | None = None) -> tuple[Usage, ...]:
        if self.family == "fit":
            raise KernelRefused(f"{architecture}: no")
        return (Usage("kernel", 40, 256, 8, 4),)

    monkeypatch.setattr(Variant, "usages", usages)
    variants = [Variant("fit", (("LOG_SCALES", 1),), frozenset()), Variant("loss", (), frozenset())]
    heading, refused, row = report(variants, ["sm_80"], 1)
    assert heading.split() == ["kernel", "arch", "registers", "shared", "local", "spilled", "macros"]
    assert refused == "REFUSED fit (LOG_SCALES 1): sm_80: no"
    assert row.split() == ["kernel", "sm_80", "40", "256", "8", "4"]
