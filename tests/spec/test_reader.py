"""The reader in C that was written from the specification alone: it and the main decoder judge each other."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from synthetic import packed_contents, synthetic_gaussians, synthetic_grid
from toc_fields import TocFields, toc_of, with_toc
from vectors import VECTORS, Vector, index, largest_miss, samples_of, vectors

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.validate import Severity, validate
from gscodec.container.writer import pack
from gscodec.decoding.image import open_igs
from gscodec.errors import GsCodecError
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.crc32c import crc32c
from gscodec.format.layout import FLAG_CRC, FLAG_CRITICAL, FLAG_SET, HEADER
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer
from gscodec.model.gaussians import LodTable
from gscodec.model.hidden_characters import HIDDEN_RANGES, has_hidden
from gscodec.profiles.lattice import Lattice

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in VECTORS.glob("*.igs"))

Array = npt.NDArray[np.float64]


class Reader:
    """The compiled program."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        words = [str(self._program), *(str(argument) for argument in arguments)]
        return subprocess.run(words, capture_output=True, encoding="utf-8", check=False, timeout=60)

    def table(self, *arguments: object) -> Array:
        """The numbers that it prints, a row for each line."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        return np.array([[float(word) for word in line.split()] for line in done.stdout.splitlines()])


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    program, library = tmp_path_factory.mktemp("reader") / "igs", ROOT / "libigs"
    sources = [str(library / "program" / "igs.c"), *sorted(str(path) for path in (library / "src").glob("*.c"))]
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", f"-I{library / 'include'}"]
    subprocess.run([compiler, *flags, "-o", str(program), *sources, "-lm"], check=True)
    return Reader(program)


def fresh(
    profile: str, *, seed: int, page_size: int, groups: tuple[ChannelGroup, ...], size: tuple[int, int] = (150, 210)
) -> bytes:
    """A file as an encoder writes it, with random Gaussians."""
    (height, width), counts = size, (40, 130, 400)
    n_channels = sum(group.n_channels for group in groups)
    draw = np.random.default_rng(seed)
    gaussians = synthetic_gaussians(height, width, counts[-1], n_channels, seed)
    lods = LodTable(counts, tuple(tuple(draw.uniform(0.3, 1.0, m + 1).tolist()) for m in range(3)))
    lattice = Lattice(
        scale_step=int(draw.integers(1, 6)),
        position_offset=int(draw.integers(60, 90)),
        rotation_from=(1, 1, 2, 4, 6, 10, 16, 22, 30, 40, 50, 60),
        cell_log2=(6, 5, 4),
        feature_steps=draw.uniform(0.005, 0.03, n_channels).astype(np.float32),
        transform=np.eye(n_channels),
    )
    contents = Contents(
        synthetic_grid(height, width, n_channels),
        groups,
        lods,
        gaussians,
        icc=b"no profile",
        page_size=page_size,
        lattice=lattice if profile == "coded" else None,
    )
    return pack(packed_contents(contents) if profile == "packed" else contents)


COLOR = (ChannelGroup("color", n_channels=3),)
MIXED = (
    ChannelGroup("height", Role.HEIGHT, 1, 12),
    ChannelGroup("light", Role.EMISSIVE, 2, 16, SampleType.FLOAT, Transfer.ASINH, value_max=90.0, knee_log2=-3),
    ChannelGroup("depth", Role.DATA, 1, 32, SampleType.FLOAT, Transfer.LOG, value_min=1.0, value_max=1e4),
    ChannelGroup("leaf", Role.ALBEDO, 1, 8),
    ChannelGroup("leaf.A", Role.OPACITY, 1, 8, alpha=AlphaMode.STRAIGHT),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of spec/vectors and fresh ones of all profiles; with pages of one record they have a page tree."""
    folder = tmp_path_factory.mktemp("fresh")
    found = {name: VECTORS / f"{name}.igs" for name in NAMES}
    for profile in ("f16", "coded", "packed"):
        for seed, (page_size, groups) in enumerate([(64, COLOR), (1, COLOR), (100, MIXED)]):
            path = folder / f"{profile}_{seed}.igs"
            path.write_bytes(fresh(profile, seed=seed, page_size=page_size, groups=groups))
            found[path.stem] = path
    return found


CASES = [*NAMES, *(f"{profile}_{seed}" for profile in ("f16", "coded", "packed") for seed in range(3))]


@pytest.mark.parametrize("name", CASES)
def test_gaussians_are_the_same_to_the_bit(reader: Reader, files: dict[str, Path], name: str) -> None:
    with IgsReader(files[name]) as main:
        for lod in main.available_lods:
            expected = main.read(lod)
            found = reader.table("-g", files[name], lod, 0, 0, main.grid.width, main.grid.height)
            found = found.reshape(-1, 5 + expected.n_channels)
            np.testing.assert_array_equal(found[:, :2], expected.means)
            np.testing.assert_array_equal(found[:, 2:4], expected.inv_scales)
            np.testing.assert_array_equal(found[:, 4], expected.rotations)
            if main.header.profile == 0:
                np.testing.assert_array_equal(found[:, 5:].astype(np.float32), expected.features)
            else:  # "An engine's sums may differ in the last place"
                np.testing.assert_allclose(found[:, 5:], expected.features, rtol=3e-7, atol=1e-7)


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("name", [name for name in CASES if name != "made_first_cut"])  # which has no whole level
def test_pixels_are_those_of_the_main_decoder(reader: Reader, files: dict[str, Path], name: str, device: str) -> None:
    with open_igs(files[name], device=device, grain=False) as image:
        height, width, _ = image.shape
        w, h = min(width, 12), min(height, 9)
        for lod in {image.available_lods[0], image.available_lods[-1]}:
            for x, y in {(0, 0), ((width - w) // 2, (height - h) // 2), (width - w, height - h)}:
                features = reader.table("-f", files[name], lod, x, y, w, h)
                samples = reader.table(files[name], lod, x, y, w, h)
                rows, columns = np.mgrid[y : y + h, x : x + w] + 0.5
                expected = image.sample(np.stack([columns.ravel(), rows.ravel()], axis=1), lod)
                at = 0
                for group in image.groups:
                    part = np.s_[:, at : at + group.n_channels]
                    if group.sample_type is SampleType.UINT:
                        top = 2**group.bit_depth - 1
                        codes = np.floor(np.clip(expected[part].astype(float), 0, 1) * top + 0.5)
                        assert_near(features[part], expected[part], 2e-5)
                        assert_near(samples[part], codes, 1 + 2e-5 * top)
                    else:
                        scale = np.maximum(np.abs(expected[part]), group.value_max - group.value_min)
                        assert_near(samples[part] / scale, expected[part] / scale, 5e-5)
                    at += group.n_channels


def test_grain_is_that_of_the_main_decoder(reader: Reader) -> None:
    path = VECTORS / "grain.igs"
    with open_igs(path, device="cpu") as image:
        height, width, _ = image.shape
        expected = image.render(dtype=np.float32).reshape(-1, 6)
        plain = reader.table("-f", path, 0, 0, 0, width, height)
        features = reader.table("-n", path, 0, 0, 0, width, height)
        assert np.abs(features - plain)[:, [0, 1, 2, 5]].max() > 0.1
        np.testing.assert_array_equal(features[:, [3, 4]], plain[:, [3, 4]])
        assert_near(features, expected, 2e-5)


def assert_near(found: Array, expected: npt.NDArray[np.floating], tolerance: float) -> None:
    """Whether values agree except at a few points where rounding decides the order of Gaussians."""
    off = np.abs(found - expected) > tolerance
    assert off.sum() <= 0.01 * off.size, (np.abs(found - expected).max(), off.sum())


@pytest.mark.parametrize("name", ["f16_0", "f16_1", "coded_0", "coded_1", "packed_0"])
def test_a_point_is_its_pixel(reader: Reader, files: dict[str, Path], name: str) -> None:
    (point,) = reader.table("-f", files[name], 0, 100.5, 70.5)
    region = reader.table("-f", files[name], 0, 90, 64, 20, 10)
    np.testing.assert_array_equal(point, region[6 * 20 + 10])


def test_a_cut_file_shows_the_levels_it_holds(reader: Reader, files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("f16_0", "coded_0", "packed_0"):
        with IgsReader(files[name]) as main:
            cut = tmp_path / "cut.igs"
            cut.write_bytes(files[name].read_bytes()[: main.prefix_size(1)])
        np.testing.assert_array_equal(
            reader.table("-f", cut, 1, 0, 0, 9, 9), reader.table("-f", files[name], 1, 0, 0, 9, 9)
        )
        assert reader.run(cut, 0, 0, 0).stderr.startswith("TruncatedStream: ")


@pytest.mark.parametrize("name", ["small_rgb", "small_stack"])
def test_small_files_with_other_fields_get_the_same_error(reader: Reader, tmp_path: Path, name: str) -> None:
    """Every byte with other values, under a checksum that is right."""
    whole, path = (VECTORS / f"{name}.igs").read_bytes(), tmp_path / "changed.igs"
    draw, seen = np.random.default_rng(12), set()
    for at in [*range(12, 40), *draw.integers(40, len(whole) - 4, 60).tolist()]:
        changed = bytearray(whole)
        changed[at] = int(draw.choice([0, 1, changed[at] ^ 1, changed[at] ^ 0x80, 255, draw.integers(256)]))
        changed[-4:] = crc32c(bytes(changed[:-4])).to_bytes(4, "little")
        path.write_bytes(changed)
        expected = error_of(bytes(changed))
        size = (1, 1) if expected else size_of(bytes(changed))
        assert (reader.run("-g", path, 0, 0, 0, *size).stderr.partition(":")[0] or None) == expected, at
        assert expected is None or validate(bytes(changed))
        seen.add(expected)
    assert {"CorruptField", None} <= seen


@pytest.mark.parametrize("name", ["rgb", "coded_rgb", "packed_rgb", "small_rgb", "small_stack", "made_deflated_tables"])
def test_damaged_files_get_the_same_error(reader: Reader, tmp_path: Path, name: str) -> None:
    whole = (VECTORS / f"{name}.igs").read_bytes()
    draw = np.random.default_rng(11)
    places = [*range(0, 52, 3), *range(52, 230, 9), *draw.integers(min(230, len(whole) // 2), len(whole), 40).tolist()]
    path = tmp_path / "damaged.igs"
    for at in (at for at in places if at < len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(draw.integers(8))
        path.write_bytes(damaged)
        expected = error_of(bytes(damaged))
        done = (
            reader.run("-g", path, 0, 0, 0, 1, 1)
            if expected is None
            else reader.run("-g", path, 0, 0, 0, *size_of(whole))
        )
        found = done.stderr.partition(":")[0] or None
        assert found == expected, (at, done.stderr)
    for size in [0, 5, 11, 12, 40, 51, 52, 100, *draw.integers(100, len(whole), 20).tolist()]:
        path.write_bytes(whole[:size])
        done = reader.run("-g", path, 0, 0, 0, *size_of(whole))
        assert (done.stderr.partition(":")[0] or None) == error_of(whole[:size]), size


def size_of(data: bytes) -> tuple[int, int]:
    with IgsReader(data) as main:
        return main.grid.width, main.grid.height


def error_of(data: bytes) -> str | None:
    """What the main decoder calls the fault of a file, or None where its finest level is sound."""
    try:
        with IgsReader(data) as main:
            main.read(0)
    except GsCodecError as fault:
        return type(fault).__name__
    return None


@pytest.mark.parametrize("size", [(16, 33000), (70000, 40), (17, 1 << 20)], ids=str)
def test_packed_pictures_may_be_as_wide_as_any(reader: Reader, tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "wide.igs"
    path.write_bytes(fresh("packed", seed=5, page_size=16, groups=COLOR, size=size))
    assert validate(path) == []
    with IgsReader(path) as main:
        expected = main.read(0)
    height, width = size
    found = reader.table("-g", path, 0, 0, 0, width, height)
    np.testing.assert_array_equal(found[:, :2], expected.means)
    np.testing.assert_array_equal(found[:, 5:].astype(np.float32), expected.features)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "corrupt" / "cases").glob("*.igs")), ids=lambda path: path.stem
)
def test_hostile_files_get_the_same_error(reader: Reader, path: Path) -> None:
    done = reader.run("-g", path, 0, 0, 0, *size_of_header(path))
    expected = error_of(path.read_bytes())
    assert (done.stderr.partition(":")[0] or None) == expected
    assert any(issue.severity is Severity.ERROR for issue in validate(path)) == (expected is not None)


_ENTRY_FAULTS: dict[str, Callable[[TocFields], TocFields]] = {
    "fourcc": lambda entry: replace(entry, fourcc=b"\7" + entry.fourcc[1:]),
    "flags": lambda entry: replace(entry, flags=entry.flags | 64),
    "critical": lambda entry: replace(entry, flags=entry.flags & ~FLAG_CRITICAL),
    "codec": lambda entry: entry.with_codec(2),
    "of sets": lambda entry: replace(entry, flags=entry.flags | FLAG_SET, n_lods=1),
    "no crc": lambda entry: replace(entry, flags=entry.flags & ~FLAG_CRC),
    "varint": lambda entry: replace(entry, stored_size=1 << 63),
    "raw_size": lambda entry: entry.with_codec(1),
}


@pytest.mark.parametrize("first", _ENTRY_FAULTS)
@pytest.mark.parametrize("second", [*_ENTRY_FAULTS, "twice"])
def test_of_two_faults_the_same_is_reported(reader: Reader, tmp_path: Path, first: str, second: str) -> None:
    whole = (VECTORS / "packed_rgb.igs").read_bytes()
    path = tmp_path / "faults.igs"
    for one, other in ((0, 3), (3, 0), (2, 2)):
        entries = toc_of(whole)
        for number, fault in ((one, first), (other, second)):
            if fault == "twice":
                entries[number] = replace(entries[number], fourcc=entries[number + 1].fourcc)
            else:
                entries[number] = _ENTRY_FAULTS[fault](entries[number])
        data = with_toc(whole, [entry.pack() for entry in entries])
        path.write_bytes(data)
        expected = error_of(data)
        assert expected is not None
        assert reader.run("-g", path, 0, 0, 0, 1, 1).stderr.partition(":")[0] == expected


def size_of_header(path: Path) -> tuple[int, int]:
    values = HEADER.unpack(path.read_bytes())
    return values["width"], values["height"]


def named(name: bytes, source: bytes) -> bytes:
    """A file whose only channel group has these texts, legal or not."""
    data = (VECTORS / "rgb.igs").read_bytes()
    with IgsReader(data) as main:
        chunks = [
            StoredChunk(
                chunk.fourcc, chunk.critical, chunk.codec, data[chunk.offset :][: chunk.stored_size], chunk.raw_size
            )
            for chunk in main.chunks
        ]
    texts = bytes([len(name)]) + name + bytes([len(source)]) + source
    stored = chunks[0].stored[: 1 + 16 + 4 * 3] + texts  # one group of three channels
    chunks[0] = replace(chunks[0], stored=stored, raw_size=len(stored))
    return assemble(HEADER.unpack(data), chunks)


def edges_of_hidden() -> Iterator[str]:
    """First and last code point of each range that names must not have, and their neighbours, from the spec's table."""
    text = (ROOT / "spec" / "igs.md").read_text(encoding="utf-8")
    table = text[text.index("### 5.2 Names") : text.index("### 5.3 ")]
    for cell in re.findall(r"^\| (U\+[^|]*) \|", table, re.MULTILINE):
        for part in cell.split(", "):
            codes = [int(code, 16) for code in re.findall(r"U\+([0-9A-F]+)", part)]
            yield from map(chr, {codes[0] - 1 if codes[0] else 0, codes[0], codes[-1], codes[-1] + 1})


def test_readers_agree_on_names(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "named.igs"
    illegal = {".", "..", "/", "\\", "a/b", "../../x", "/x", "C:\\x", "x" * 252 + "/x"}
    legal = {"...", "a", ".a", "a:b", "NUL", "-x", "é", "\u2764\ufe0f", "日本", "x" * 255}
    edges = set(edges_of_hidden())
    assert sum(has_hidden(text) for text in edges) == 2 * len(HIDDEN_RANGES) - 6  # six ranges of one code point
    for text in sorted(illegal | legal | edges):
        expected = "CorruptField" if text in illegal or has_hidden(text) else None
        for data in (named(text.encode(), b""), named(b"x", text.encode())):
            path.write_bytes(data)
            assert error_of(data) == expected, ascii(text)
            assert (reader.run(path, 0, 0, 0).stderr.partition(":")[0] or None) == expected, ascii(text)
            assert any(issue.severity is Severity.ERROR for issue in validate(data)) == (expected is not None)


def test_what_is_no_request_is_one_line(reader: Reader, files: dict[str, Path]) -> None:
    for arguments in ([], ["x.igs", 0, 0, 0], [files["rgb"], 9, 0, 0], [files["rgb"], 0, -1, 0], ["-z", files["rgb"]]):
        done = reader.run(*arguments)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.name)
def test_vectors(reader: Reader, vector: Vector) -> None:
    entry, path = vector.entry, vector.path
    width, height = entry["width"], entry["height"]
    groups = tuple(ChannelGroup(**group) for group in entry["groups"])
    n_channels = sum(group.n_channels for group in groups)
    for level in entry["levels"]:
        found = reader.table("-g", path, level["lod"], 0, 0, width, height).reshape(-1, 5 + n_channels)
        np.testing.assert_array_equal(found[:, :2], vector.array(level["means"]))
        np.testing.assert_array_equal(found[:, 2:4], vector.array(level["inv_scales"]))
        np.testing.assert_array_equal(found[:, 4], vector.array(level["rotations"]))
        np.testing.assert_allclose(found[:, 5:], vector.array(level["features"]), rtol=3e-7, atol=1e-7)
    for lod in entry["truncated"]:
        assert reader.run("-g", path, lod, 0, 0, width, height).stderr.startswith("TruncatedStream: ")
    for picture in (picture for picture in entry["pictures"] if not {"size", "tiles"} & set(picture)):
        step = picture["step"]
        if picture.get("grain"):
            values = reader.table("-n", path, picture["lod"], 0, 0, width, height)
            got = samples_of(values.reshape(height, width, n_channels)[::step, ::step], groups)
        else:
            values = reader.table(path, picture["lod"], 0, 0, width, height).reshape(height, width, n_channels)
            ends = np.cumsum([group.n_channels for group in groups])
            got = np.split(values[::step, ::step], ends[:-1], axis=2)
        for group, part, place in zip(groups, got, picture["samples"], strict=True):
            assert largest_miss(part, vector.array(place), group) <= 1


@pytest.mark.parametrize("entry", index()["refuse"], ids=lambda entry: Path(entry["file"]).stem)
def test_refused_vectors(reader: Reader, entry: dict[str, Any]) -> None:
    path = VECTORS / entry["file"]
    done = reader.run("-g", path, entry.get("lod", 0), 0, 0, *stated_size(path.read_bytes()))
    assert done.stderr.partition(":")[0] == entry["error"]


def stated_size(data: bytes) -> tuple[int, int]:
    """Width and height that a header states, right or wrong; 1 where there is none."""
    if len(data) < HEADER.size:
        return 1, 1
    at, n_bytes = (18, 2) if data[14] == 3 else (24, 4)
    return int.from_bytes(data[at : at + n_bytes], "little"), int.from_bytes(
        data[at + n_bytes : at + 2 * n_bytes], "little"
    )
