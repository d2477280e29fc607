"""What `encode` and `decode` take: paths, bytes, open files, arrays of any library, floats of any range."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import gscodec
from gscodec.errors import BadImage, InvalidArgument, SourceWarning, UnsupportedImage

QUICK: dict[str, Any] = {"gaussians": 30, "steps": 3, "lods": 1, "profile": "f16"}  # no name decides how it is rounded


@pytest.fixture(scope="module")
def png() -> bytes:
    x, y = np.meshgrid(np.arange(24), np.arange(16))
    stream = io.BytesIO()
    Image.fromarray(np.stack([10 * x, 15 * y, 5 * (x + y)], -1).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def igs(png: bytes) -> bytes:
    return gscodec.encode(png, **QUICK).data


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "BytesIO", "file", "pipe", "path", "str", "PIL"])
def test_a_picture_is_the_same_from_anywhere(kind: str, png: bytes, igs: bytes, tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    path = tmp_path / "picture.png"
    path.write_bytes(png)
    with path.open("rb") as file, Image.open(path) as image:
        sources: dict[str, Any] = {
            "bytes": png,
            "bytearray": bytearray(png),
            "memoryview": memoryview(png),
            "BytesIO": io.BytesIO(png),
            "file": file,
            "pipe": Pipe(png),
            "path": path,
            "str": str(path),
            "PIL": image,
        }
        data = gscodec.encode(sources[kind], **QUICK).data
        assert not file.closed
    np.testing.assert_array_equal(gscodec.open(data).render(), gscodec.open(igs).render())


def test_an_open_file_has_the_role_of_its_name(tmp_path: Path, png: bytes) -> None:
    path = tmp_path / "rock_albedo.png"
    path.write_bytes(png)
    with path.open("rb") as file:
        from_file, from_path = (gscodec.info(gscodec.encode(each, **QUICK).data)["groups"] for each in (file, path))
    assert from_file == from_path


def test_arrays_of_any_library_are_taken(igs: bytes) -> None:
    with gscodec.open(igs) as image:
        samples = image.render()
        sources: list[Any] = [samples, torch.from_numpy(samples), image]
        results = {gscodec.encode(source, **QUICK).data for source in sources}
    assert len(results) == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "a NoneType is not a path"),
        (3, "a int is not a path"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.zeros((4, 4), np.uint32), "uint32"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.array("text"), "shape"),
        (io.StringIO("text"), "mode 'rb'"),
    ],
)
def test_sources_of_another_kind_are_refused_in_one_line(source: Any, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason) as caught:
        gscodec.encode(source, **QUICK)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_picture_are_refused(igs: bytes) -> None:
    with pytest.raises(BadImage, match=r"^\(bytes\): is not a picture"):
        gscodec.encode(b"something else that is longer", **QUICK)
    with pytest.raises(UnsupportedImage, match="file already"):
        gscodec.encode(igs, **QUICK)


def test_an_encode_writes_to_an_open_file(png: bytes, tmp_path: Path) -> None:
    stream = io.BytesIO()
    result = gscodec.encode(png, stream, **QUICK)
    assert (stream.getvalue(), result.path) == (result.data, None)
    with (tmp_path / "a.igs").open("wb") as file:
        gscodec.encode(png, file, **QUICK)
    assert gscodec.validate(tmp_path / "a.igs") == []


def test_a_text_file_is_refused_before_anything_is_computed(png: bytes, igs: bytes, tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("w") as text:
        for call in (lambda: gscodec.encode(png, text, steps=10**6), lambda: gscodec.decode(igs, text)):  # type: ignore[arg-type]
            with pytest.raises(InvalidArgument, match="open it with mode 'wb'"):
                call()


def test_a_file_that_takes_nothing_is_an_os_error(igs: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with (tmp_path / "a").open("rb") as file, pytest.raises(OSError, match="cannot be written"):
        gscodec.decode(igs, file)


def test_a_decode_reads_and_writes_open_files(igs: bytes) -> None:
    stream = io.BytesIO()
    (written,) = gscodec.decode(io.BytesIO(igs), stream)
    assert (written.path, written.width, written.height) == (None, 24, 16)
    with Image.open(stream) as picture, gscodec.open(igs) as image:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), image.render())
    stream = io.BytesIO()
    gscodec.decode(igs, stream, format="tiff", size=(8, 12))
    with Image.open(stream) as picture:
        assert (picture.format, picture.size) == ("TIFF", (12, 8))


def test_an_export_reads_an_open_file(igs: bytes, tmp_path: Path) -> None:
    (written,) = gscodec.export(io.BytesIO(igs), tmp_path / "out", to="png")
    assert written.path.is_file()


def light(channels: int, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    x, y = np.meshgrid(np.linspace(0, 1, 24), np.linspace(0, 1, 16))
    planes = [8 * x * y, 4 * x + 0.01, 0.1 + y, np.ones_like(x), x - 0.5, y]
    chosen = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3], 6: list(range(6))}[channels]
    return np.stack([planes[each] for each in chosen], -1).astype(dtype)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_any_range_come_back_in_their_units(channels: int, dtype: npt.DTypeLike) -> None:
    array = light(channels, dtype)
    with pytest.warns(SourceWarning, match=r"samples from .* are stored as floats"):
        data = gscodec.encode(array, gaussians=150, preset="draft", lods=1).data
    with gscodec.open(data) as image:
        assert (image.shape, image.dtype) == (array.shape, np.dtype(np.float32))
        back = image[:]
        roles = [group.role.value for group in image.groups]
    assert np.abs(back - array).mean() < 0.15
    assert (
        roles == {1: ["color"], 2: ["color", "opacity"], 3: ["color"], 4: ["color", "opacity"], 6: ["data"]}[channels]
    )


def test_floats_within_0_and_1_are_display_codes() -> None:
    with gscodec.open(gscodec.encode(light(3) / 9, **QUICK).data) as image:
        assert (image.dtype, image.groups[0].transfer.value) == (np.dtype(np.uint16), "srgb")


def test_samples_that_are_not_finite_follow_the_policy() -> None:
    array = light(3)
    array[3, 3] = np.nan
    with pytest.raises(UnsupportedImage, match="NaN"):
        gscodec.encode(array, **QUICK)
    with (
        pytest.warns(SourceWarning, match="stored as floats"),
        gscodec.open(gscodec.encode(array, nan="hole", **QUICK).data) as image,
    ):
        assert np.isfinite(image.render()).all()


def test_the_dataset_of_the_guide_runs_in_workers_without_a_report(tmp_path: Path, igs: bytes) -> None:
    """Under -X dev, unclosed files and leaked objects are reported on stderr; so is what a worker leaves behind."""
    guide = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    (code,) = (block.partition("```")[0] for block in guide.split("```python\n") if "DataLoader" in block)
    for number in range(4):
        (tmp_path / f"{number}.igs").write_bytes(igs)
    script = tmp_path / "train.py"
    script.write_text(code.replace('"pictures"', repr(str(tmp_path))).replace("256", "12"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-X", "dev", str(script)], capture_output=True, encoding="utf-8", check=True, timeout=600
    )
    assert (done.stdout, done.stderr) == ("torch.Size([2, 3, 12, 12])\n" * 2, "")
