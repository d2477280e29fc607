"""libigs, built and installed by CMake and used from C and from Python, against the main decoder."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from synthetic import packed_contents, synthetic_gaussians, synthetic_grid

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.decoding.image import open_igs
from gscodec.model.channels import ChannelGroup, SampleType
from gscodec.model.gaussians import LodTable

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "libigs"
VECTORS = ROOT / "spec" / "vectors"
SHOWN = ["coded_stack", "packed_rgb", "rgb", "small_stack", "ladder_coded", "grain", "source_files"]

needs_cmake = pytest.mark.skipif(
    shutil.which("cmake") is None, reason="cmake, which builds the library, is not installed"
)
pytestmark = needs_cmake

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Built:
    folder: Path  # of the build
    prefix: Path  # of the installation
    module: ModuleType  # examples/igs.py
    libigs: ctypes.CDLL

    def open(self, source: Any, options: Any = None) -> Any:
        return self.module.File(self.libigs, source, options)


def run(*words: object, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], cwd=cwd, check=check, capture_output=True, encoding="utf-8")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("prefix")
    switches = ["-DBUILD_SHARED_LIBS=ON", "-DIGS_EXAMPLES=ON", "-DCMAKE_C_FLAGS=-Werror -pedantic"]
    run(
        "cmake",
        "-S",
        LIBRARY,
        "-B",
        folder,
        *switches,
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        "-DCMAKE_INSTALL_LIBDIR=lib",
    )
    run("cmake", "--build", folder)
    run("cmake", "--install", folder)
    spec = importlib.util.spec_from_file_location("libigs_example", LIBRARY / "examples" / "igs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (shared,) = [path for path in (prefix / "lib").glob("libigs.*") if path.suffix in {".so", ".dylib"}]
    return Built(folder, prefix, module, module.load(shared))


def values(built: Built, file: Any, groups: Any, **request: Any) -> Values:
    """What Python calls float32: features of integer groups, and samples of float groups."""
    planes = {}
    for form in (built.module.FEATURES_F32, built.module.SAMPLES_F32):
        height, width, out = file.render(form=form, **request)
        planes[form] = np.array(out, np.float64).reshape(height, width, -1)
    is_float = np.repeat([g.sample_type is SampleType.FLOAT for g in groups], [g.n_channels for g in groups])
    return np.where(is_float, planes[built.module.SAMPLES_F32], planes[built.module.FEATURES_F32])


def assert_near(found: Values, expected: npt.NDArray[Any], tolerance: float = 3e-5) -> None:
    """Whether values agree except at a few points where rounding decides which Gaussians are near."""
    scale = np.maximum(1, np.abs(expected).max(axis=(0, 1)))
    off = np.abs(found - expected) > tolerance * scale
    assert found.shape == expected.shape
    assert off.sum() <= 0.01 * off.size, (np.abs(found - expected).max(), off.sum())


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("size", [None, (90, 37), (9, 12), (200, 5)], ids=str)
def test_regions_at_any_size_are_those_of_the_main_decoder(
    built: Built, name: str, size: tuple[int, int] | None
) -> None:
    path = VECTORS / f"{name}.igs"
    for grain in (False, True):
        with open_igs(path, device="cpu", grain=grain) as image, built.open(path) as file:
            height, width, _ = image.shape
            region = (3, 2, width - 5, height - 4)
            wanted = size if size is None else size[::-1]
            for lod in {0, image.available_lods[-1]}:
                expected = image.render(lod, region, wanted, np.float32)
                assert_near(values(built, file, image.groups, lod=lod, region=region, size=size, grain=grain), expected)


def test_codes_of_8_and_16_bits_are_rounded_features(built: Built) -> None:
    path = VECTORS / "ladder_packed.igs"
    with open_igs(path, device="cpu", grain=False) as image, built.open(path) as file:
        for form, dtype in ((built.module.SAMPLES_U8, np.uint8), (built.module.SAMPLES_U16, np.uint16)):
            height, width, out = file.render(form=form)
            found = np.array(out, np.float64).reshape(height, width, -1)
            expected = image.render(0, dtype=dtype).astype(np.float64)
            assert (np.abs(found - expected) > 1 + 3e-5 * np.iinfo(dtype).max).mean() < 0.01


def test_points_are_pixels(built: Built) -> None:
    with built.open(VECTORS / "coded_rgb.igs") as file:
        _, width, out = file.render(form=built.module.FEATURES_F64)
        pixels = np.array(out).reshape(-1, width, 3)
        points = [(10.5, 4.5), (10.5, 5.5), (60.5, 40.5)]
        found = np.array(file.sample(0, points))
        np.testing.assert_array_equal(found, [pixels[int(y), int(x)] for x, y in points])


@pytest.mark.parametrize("name", ["coded_rgb", "packed_rgb", "rgb", "ladder_coded", "ladder_f16"])
def test_of_a_cut_file_each_tile_has_the_finest_level_that_arrived(built: Built, name: str) -> None:
    whole = (VECTORS / f"{name}.igs").read_bytes()
    with IgsReader(whole) as reader:
        first = reader.prefix_size(reader.n_lods - 1)
    seen = set()
    for size in np.linspace(first, len(whole) - 1, 7).astype(int).tolist():
        with open_igs(whole[:size], device="cpu", grain=False) as image, built.open(whole[:size]) as file:
            rows, columns = -(-image.shape[0] // 16), -(-image.shape[1] // 16)
            expected = image._reader.arrived_lods((0, 0, columns, rows))
            found = [[file.best_level(tx, ty) for tx in range(columns)] for ty in range(rows)]
            np.testing.assert_array_equal(found, expected)
            assert file.has_arrived(0) == (0 in image.available_lods)
            assert file.info.truncated
            assert_near(
                values(built, file, image.groups, available=True), image.render(available=True, dtype=np.float32)
            )
            seen |= set(expected.ravel().tolist())
    assert len(seen) > 1


def test_prefixes_and_pages_are_those_of_the_main_decoder(built: Built) -> None:
    for name in ("ladder_coded", "packed_rgb", "rgb"):
        with IgsReader(VECTORS / f"{name}.igs") as reader, built.open(VECTORS / f"{name}.igs") as file:
            for lod in range(reader.n_lods):
                level = file.level(lod)
                assert level.end == reader.prefix_size(lod)
                assert level.n_gaussians == reader.count(lod) == sum(page.n_gaussians for page in file.pages(lod))
                assert level.n_pages == len(file.pages(lod))


def test_bytes_may_arrive_one_request_after_the_other(built: Built) -> None:
    data = (VECTORS / "ladder_packed.igs").read_bytes()
    there: list[tuple[int, int]] = []
    asked: list[tuple[int, int]] = []

    def read(offset: int, size: int) -> bytes | None:
        if (offset, size) in there:
            return data[offset : offset + size]
        asked.append((offset, size))
        return None

    def until_it_works(action: Callable[[], Any]) -> Any:
        for _ in range(100):
            try:
                return action()
            except built.module.IgsError as fault:
                if fault.status != built.module.STATUS_NEED_BYTES:
                    raise
                there.append(asked[-1])
        raise AssertionError

    with until_it_works(lambda: built.open((len(data), read))) as file, built.open(data) as other:
        assert bytes(until_it_works(lambda: file.render(2)[2])) == bytes(other.render(2)[2])
        n_asked = len(asked)
        assert bytes(until_it_works(lambda: file.render(2)[2])) == bytes(other.render(2)[2])
        assert len(asked) == n_asked


@pytest.mark.parametrize("profile", ["f16", "packed"])
def test_with_a_page_tree_less_of_the_index_is_read(built: Built, profile: str) -> None:
    height, width, n = 400, 3000, 1500
    contents = Contents(
        synthetic_grid(height, width, 3),
        (ChannelGroup("color", n_channels=3),),
        LodTable((n // 3, n), ((0.5,), (1.0, 0.9))),
        synthetic_gaussians(height, width, n, 3, 4),
        page_size=1,
    )
    data = pack(packed_contents(contents) if profile == "packed" else contents)
    assert b"PAGT" in data[:400]
    asked = 0

    def read(offset: int, size: int) -> bytes:
        nonlocal asked
        asked += size
        return data[offset : offset + size]

    sizes, region = [], (700, 100, 30, 20)
    for use in (0, 1):
        asked = 0
        with built.open((len(data), read), built.module.Options(use_page_tree=use)) as file, built.open(data) as other:
            for lod in (1, 0):
                assert bytes(file.render(lod, region)[2]) == bytes(other.render(lod, region)[2])
            sizes.append(asked)
            pages = file.pages(0)
            assert [(page.offset, page.n_bytes) for page in pages] == [(p.offset, p.n_bytes) for p in other.pages(0)]
            assert [page.first for page in pages] == list(range(n))
            assert file.level(1).end == other.level(1).end
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize("name", ["ladder_coded", "packed_stack", "small_rgb", "grain"])
def test_memory_is_freed_wherever_an_allocation_fails(built: Built, name: str) -> None:
    """Every allocation in turn."""
    data = (VECTORS / f"{name}.igs").read_bytes()
    held: dict[int, Any] = {}
    left = 0

    def allocate(_: int, size: int) -> int | None:
        nonlocal left
        left -= 1
        if left == 0:
            return None
        memory = ctypes.create_string_buffer(size)
        held[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def release(_: int, memory: int, size: int) -> None:
        assert len(held.pop(memory)) == size

    options = built.module.Options(built.module.Allocate(allocate), built.module.Release(release), None, 0, 0, 1)
    for nth in range(1, 200):
        left = nth
        try:
            with built.open(data, options) as file:
                file.render(0, (0, 0, 20, 20), (7, 7), available=True, grain=True)
            break
        except built.module.IgsError as fault:
            if not str(fault).startswith("OutOfMemory"):
                raise
        finally:
            assert not held
    assert nth > 8


def test_memory_has_a_limit(built: Built) -> None:
    options = built.module.Options(max_bytes=3000)
    with pytest.raises(built.module.IgsError, match="LimitExceeded: more than 3000 bytes"):
        built.open(VECTORS / "coded_rgb.igs", options)


def test_work_has_a_limit(built: Built) -> None:
    with built.open(VECTORS / "coded_rgb.igs", built.module.Options(max_work=20_000)) as file:
        file.render(0, (0, 0, 10, 10))
        file.sample(0, [(5.0, 5.0)])
        with pytest.raises(built.module.IgsError, match="LimitExceeded: more than 20000 Gaussians"):
            file.render(0)


def test_what_is_no_request_is_an_error(built: Built) -> None:
    with built.open(VECTORS / "coded_rgb.igs") as file:
        for request in ({"lod": 9}, {"region": (0, 0, 91, 70)}, {"region": (90, 0, 1, 1)}):
            with pytest.raises(built.module.IgsError, match="InvalidArgument"):
                file.render(**request)
        with pytest.raises(built.module.IgsError, match="InvalidArgument"):
            file.sample(0, [(-1.0, 0.0)])
    with pytest.raises(built.module.IgsError, match="ReadFailed"):
        built.open("/nowhere.igs")


def test_examples_write_the_same_picture(built: Built, tmp_path: Path) -> None:
    path = VECTORS / "coded_rgb.igs"
    shared = next((built.prefix / "lib").glob("libigs.so*"), None) or next((built.prefix / "lib").glob("libigs.dylib"))
    run(built.folder / "decode", path, tmp_path / "c.pam")
    run(sys.executable, LIBRARY / "examples" / "igs.py", shared, path, tmp_path / "python.pam")
    assert (tmp_path / "c.pam").read_bytes() == (tmp_path / "python.pam").read_bytes()
    rust = tmp_path / "igs_rust"
    library = built.prefix / "lib"
    switches = [
        "--edition",
        "2021",
        "-D",
        "warnings",
        "-L",
        library,
        "-C",
        f"link-arg=-Wl,-rpath,{library}",
        "-o",
        rust,
    ]
    run("rustc", LIBRARY / "examples" / "igs.rs", *switches)
    run(rust, path, tmp_path / "rust.pam")
    assert (tmp_path / "rust.pam").read_bytes() == (tmp_path / "c.pam").read_bytes()
    assert "BadMagic" in run(rust, tmp_path / "c.pam", tmp_path / "none.pam", check=False).stderr
    head, _, pixels = (tmp_path / "c.pam").read_bytes().partition(b"ENDHDR\n")
    assert b"WIDTH 90\nHEIGHT 70\nDEPTH 3\n" in head
    assert len(pixels) == 90 * 70 * 3
    done = run(built.folder / "decode", tmp_path / "c.pam", tmp_path / "none.pam", check=False)
    assert done.returncode == 1
    assert "BadMagic" in done.stderr


CONSUMER = """
cmake_minimum_required(VERSION 3.16)
project(consumer LANGUAGES C)
find_package(igs 1.0 REQUIRED)
add_executable(consumer decode.c)
target_link_libraries(consumer PRIVATE igs::igs)
"""


def test_other_projects_find_the_installed_library(built: Built, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(CONSUMER)
    shutil.copy(LIBRARY / "examples" / "decode.c", tmp_path)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={built.prefix}")
    run("cmake", "--build", tmp_path / "build")
    run(tmp_path / "build" / "consumer", VECTORS / "rgb.igs", tmp_path / "out.pam")
    text = (built.prefix / "lib" / "pkgconfig" / "igs.pc").read_text()
    assert "Libs: -L${libdir} -ligs" in text
    assert "Version: 1.0.0" in text
    assert (built.prefix / "bin" / "igs").exists()


@pytest.mark.parametrize("compiler", ["c++", "cc"])
def test_the_header_is_complete(compiler: str, tmp_path: Path) -> None:
    source = tmp_path / ("header.c" if compiler == "cc" else "header.cpp")
    source.write_text("#include <igs.h>\nint main() { return igs_name(IGS_OK) == 0; }\n")
    run(compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", f"-I{LIBRARY / 'include'}", source)


def test_only_the_interface_is_exported(built: Built) -> None:
    nm = shutil.which("nm")
    if nm is None or sys.platform == "darwin":
        pytest.skip("nm, which lists symbols, is not installed, or has other switches")
    library = built.prefix / "lib" / "libigs.so"

    def symbols(switch: str) -> set[str]:
        return {line.split()[-1].partition("@")[0] for line in run(nm, "-D", switch, library).stdout.splitlines()}

    header = (LIBRARY / "include" / "igs.h").read_text()
    exported = symbols("--defined-only")
    assert all(name.startswith("igs_") and f"{name}(" in header for name in exported)
    assert {"igs_open", "igs_render", "igs_close"} <= exported
    assert not symbols("-u") & {"exit", "abort", "printf", "fprintf", "perror", "longjmp"}
