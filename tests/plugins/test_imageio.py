"""`imageio.v3` with `.igs` files."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import pytest
from named_stack import stack_of

import gscodec

EVERY: Any = ...
"""An index of all images; the types of imageio do not have it."""


def gradient(channels: int) -> npt.NDArray[np.uint8]:
    x, y = np.meshgrid(np.linspace(0, 255, 40), np.linspace(0, 255, 24))
    planes = np.stack([x, y, (x + y) / 2, 255 - x / 2], axis=-1).astype(np.uint8)
    return planes[:, :, 0] if channels == 1 else planes[:, :, :channels]


def written(array: npt.NDArray[Any], **options: Any) -> bytes:
    settings: dict[str, Any] = {"gaussians": 60, "preset": "draft", "lods": 1} | options
    data = iio.imwrite("<bytes>", array, extension=".igs", **settings)
    assert isinstance(data, bytes)
    return data


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imageio") / "a.igs"
    iio.imwrite(path, gradient(3), gaussians=60, preset="draft", lods=2)
    return path


@pytest.mark.parametrize("order", ["import gscodec, imageio.v3 as iio", "import imageio.v3 as iio, gscodec"])
def test_the_plugin_is_there_in_whichever_order_packages_are_imported(order: str, path: Path) -> None:
    code = f"{order}\nwith iio.imopen({str(path)!r}, 'r') as file:\n    print(type(file).__name__, file.read().shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "IgsPlugin (24, 40, 3)\n"


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_arrays_come_back_in_their_own_shape_and_type(channels: int) -> None:
    array = np.concatenate([gradient(4)] * 2, axis=2)[:, :, :channels] if channels > 4 else gradient(channels)
    data = written(array)
    back = iio.imread(data, extension=".igs")
    assert (back.shape, back.dtype) == (array.shape, array.dtype)
    assert np.abs(back.astype(float) - array).mean() < 10
    properties = iio.improps(data, extension=".igs")
    assert (properties.shape, properties.dtype, properties.is_batch) == (array.shape, array.dtype, False)


def test_deep_samples_stay_deep() -> None:
    assert iio.imread(written(gradient(3).astype(np.uint16) * 257), extension=".igs").dtype == np.uint16


def test_a_read_takes_the_options_of_render(path: Path) -> None:
    with gscodec.open(path) as image:
        for options in ({"size": (6, 10)}, {"region": (3, 4, 8, 9)}, {"lod": 1}, {"dtype": "uint16"}):
            np.testing.assert_array_equal(iio.imread(path, **options), image.render(**options))


def test_metadata_is_what_info_shows(path: Path) -> None:
    metadata = iio.immeta(path)
    assert metadata["n_gaussians"] == 60
    assert metadata["map"] == "color.png"


def test_maps_are_images() -> None:
    data = stack_of(["a", "b"], files=["a.png", "b.png"])
    with gscodec.open(data) as image:
        maps = [picture.samples[:, :, 0] for picture in image.render_files().values()]
    np.testing.assert_array_equal(iio.imread(data, extension=".igs", index=1), maps[1])
    np.testing.assert_array_equal(iio.imread(data, extension=".igs", index=EVERY), np.stack(maps))
    for found, expected in zip(iio.imiter(data, extension=".igs"), maps, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert iio.improps(data, extension=".igs", index=EVERY).shape == (2, 12, 20)
    assert iio.immeta(data, extension=".igs", index=1)["map"] == "b.png"
    with pytest.raises(ValueError, match="2 pictures"):
        iio.imread(data, extension=".igs", index=2)


def test_maps_of_different_shapes_do_not_stack() -> None:
    groups = gscodec.open(stack_of(["a", "b"], files=["a.png"])).files
    assert len(groups) == 1
    with pytest.raises(ValueError, match="one picture"):
        written([gradient(3), gradient(1)])  # type: ignore[arg-type]


def test_faults_are_os_errors_and_other_files_are_left_to_others(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    with pytest.raises(OSError, match="truncated"):
        iio.imread(data[: len(data) // 2], extension=".igs")
    (tmp_path / "cad.igs").write_text("a model of IGES, which has the same suffix" + " " * 40)
    with pytest.raises(OSError, match="can not handle"):
        iio.imread(tmp_path / "cad.igs", plugin="gscodec")


def test_an_open_file_is_written_to() -> None:
    stream = io.BytesIO()
    iio.imwrite(stream, gradient(3), extension=".igs", gaussians=20, preset="draft", lods=1)
    assert gscodec.info(stream.getvalue())["n_gaussians"] == 20
