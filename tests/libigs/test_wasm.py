"""The module for browsers, run by node, against the Python reader and engine."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gscodec.container.reader import IgsReader
from gscodec.decoding.image import open_igs
from gscodec.errors import GsCodecError

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "gscodec" / "viewer" / "igs.wasm"
VECTORS = ROOT / "spec" / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.igs"))
MOST_BYTES = 60_000

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node, which runs the module, is not installed")


@dataclass
class Reading:
    """What read_wasm.mjs writes: a header, and arrays that are taken one after the other."""

    header: dict[str, Any]
    data: bytes
    at: int = 0

    def take(self, dtype: Any, *shape: int) -> npt.NDArray[Any]:
        n = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.at += n
        return np.frombuffer(self.data[self.at - n : self.at], dtype).reshape(shape)


def read(path: Path, out: Path, *options: str, module: Path = MODULE) -> Reading:
    script = Path(__file__).with_name("read_wasm.mjs")
    words = ["node", str(script), str(module), str(path), str(out), *options]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=True, timeout=120)
    return Reading(json.loads(done.stdout), out.read_bytes())


def assert_is_that_of_python(found: Reading, path: Path) -> None:
    """Info, pages, Gaussians to the bit, tile lists of the right length and pixels of every level that a file holds."""
    info = found.header["info"]
    with IgsReader(path) as reader, open_igs(path, device="cpu", grain=False) as image:
        assert (info["width"], info["height"]) == (reader.grid.width, reader.grid.height)
        assert [group["name"] for group in info["groups"]] == [group.name for group in reader.groups]
        assert [group["role"] for group in info["groups"]] == [str(group.role) for group in reader.groups]
        background = np.concatenate([group["background"] for group in info["groups"]])
        np.testing.assert_array_equal(background.astype(np.float32), np.float32(reader.grid.background))
        n_channels = len(background)
        assert len(info["grain"]) == len(reader.grain)
        for lod, level in enumerate(found.header["levels"]):
            expected = reader.read(lod)
            first = 0
            for page in level["pages"]:
                n = page["fields"][2]
                assert page["first"] == first
                geometry, features = found.take(np.float64, n, 5), found.take(np.float32, n, n_channels)
                part = slice(first, first + n)
                np.testing.assert_array_equal(geometry[:, :2], expected.means[part])
                np.testing.assert_array_equal(geometry[:, 2:4], expected.inv_scales[part])
                np.testing.assert_array_equal(geometry[:, 4], expected.rotations[part])
                np.testing.assert_allclose(features, expected.features[part], rtol=3e-7, atol=1e-7)
                first += n
            assert first == len(expected) == level["size"]
            n_tiles = -(-reader.grid.width // 16) * -(-reader.grid.height // 16)
            offsets, entries = found.take(np.uint32, n_tiles + 1), found.take(np.uint32, level["entries"])
            for tile in range(n_tiles):
                assert (np.diff(entries[offsets[tile] : offsets[tile + 1]].astype(np.int64)) > 0).all()
            height, width = level["render"]
            pixels = found.take(np.float32, height, width, n_channels)
            rows, columns = np.mgrid[:height, :width] + 0.5
            values = image.sample(np.stack([columns.ravel(), rows.ravel()], axis=1), lod)
            at = 0
            for group in reader.groups:
                mine = pixels.reshape(-1, n_channels)[:, at : at + group.n_channels]
                other = values[:, at : at + group.n_channels].astype(np.float64)
                if group.sample_type.name == "UINT":
                    top = 2**group.bit_depth - 1
                    other = np.floor(np.clip(other, 0, 1) * top + 0.5)
                    off = np.abs(mine - other) > 1 + 2e-5 * top
                else:
                    off = np.abs(mine - other) > 5e-5 * np.maximum(np.abs(other), group.value_max - group.value_min)
                assert off.sum() <= 0.01 * off.size
                at += group.n_channels
    assert found.at == len(found.data)


@needs_node
@pytest.mark.parametrize("name", [name for name in NAMES if "cut" not in name])
def test_every_level_is_that_of_the_python_reader(name: str, tmp_path: Path) -> None:
    assert_is_that_of_python(read(VECTORS / f"{name}.igs", tmp_path / "out"), VECTORS / f"{name}.igs")


@needs_node
@pytest.mark.parametrize("name", ["packed_rgb", "small_stack", "ladder_f16"])
def test_the_size_of_a_file_may_be_unknown(name: str, tmp_path: Path) -> None:
    assert_is_that_of_python(read(VECTORS / f"{name}.igs", tmp_path / "out", "unknown"), VECTORS / f"{name}.igs")


@needs_node
def test_faults_are_those_of_the_python_reader(tmp_path: Path) -> None:
    whole, path = (VECTORS / "ladder_coded.igs").read_bytes(), tmp_path / "damaged.igs"
    draw = np.random.default_rng(3)
    for at in [0, 12, 14, 20, 60, *draw.integers(64, len(whole), 8).tolist()]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        try:
            with IgsReader(path) as reader:
                for lod in range(reader.n_lods):
                    reader.read(lod)
            expected = None
        except GsCodecError as fault:
            expected = type(fault).__name__
        found = read(path, tmp_path / "out").header.get("error")
        assert (found and found.partition(":")[0]) == expected, at


def test_the_module_is_small() -> None:
    assert MODULE.stat().st_size < MOST_BYTES


@needs_node
@pytest.mark.skipif(not (shutil.which("clang") and shutil.which("wasm-ld")), reason="clang or wasm-ld is not installed")
def test_the_module_is_built_from_these_sources(tmp_path: Path) -> None:
    """To the byte by the compiler that built it; else by what it reads."""
    built = tmp_path / "igs.wasm"
    subprocess.run([ROOT / "libigs" / "wasm" / "build.sh", built], check=True)
    if built.read_bytes() != MODULE.read_bytes():
        version = subprocess.run(["clang", "--version"], capture_output=True, encoding="utf-8", check=True).stdout
        assert "clang version 14.0.6" not in version, "gscodec/viewer/igs.wasm is stale: run `make wasm`"
    for name in ("coded_stack", "ladder_packed"):
        path = VECTORS / f"{name}.igs"
        assert_is_that_of_python(read(path, tmp_path / "out", module=built), path)
