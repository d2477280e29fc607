import io
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from program import Run
from toc_fields import seal

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.errors import InvalidArgument


def pixels(source: Path | bytes) -> npt.NDArray[np.generic]:
    with Image.open(io.BytesIO(source if isinstance(source, bytes) else source.read_bytes())) as image:
        return np.asarray(image)


@pytest.fixture
def whole(igs: Path) -> npt.NDArray[np.generic]:
    with gscodec.open(igs) as image:
        return image.render()


def test_default_output_is_a_png_beside_the_input(run: Run, igs: Path, tmp_path: Path) -> None:
    source = tmp_path / "out.igs"
    shutil.copy(igs, source)
    outcome = run("decode", source, "--lod", 2)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, b"", "")
    with gscodec.open(igs) as image:
        np.testing.assert_array_equal(pixels(tmp_path / "out.png"), image.render(lod=2))


def test_whole_picture(run: Run, igs: Path, tmp_path: Path, whole: npt.NDArray[np.generic]) -> None:
    assert run("decode", igs, tmp_path / "out.png", "-j", 1).code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), whole)


def test_region(run: Run, igs: Path, tmp_path: Path, whole: npt.NDArray[np.generic]) -> None:
    assert run("decode", igs, tmp_path / "out.png", "--region", "5,7,20,11").code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), whole[7:18, 5:25])


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (["--size", "30x20"], (20, 30, 3)),
        (["--scale", "0.5"], (16, 24, 3)),
        (["--scale", "2"], (64, 96, 3)),
        (["--region", "0,0,10,6", "--scale", "3"], (18, 30, 3)),
        (["--scale", "0.001"], (1, 1, 3)),
    ],
)
def test_sizes(run: Run, igs: Path, tmp_path: Path, options: list[str], shape: tuple[int, int, int]) -> None:
    assert run("decode", igs, tmp_path / "out.png", *options).code == 0
    assert pixels(tmp_path / "out.png").shape == shape


def test_formats(run: Run, igs: Path, tmp_path: Path, whole: npt.NDArray[np.generic]) -> None:
    for name, options in (("a.bmp", []), ("b.tif", []), ("c.bin", ["--format", "png"]), ("d.ppm", [])):
        outcome = run("decode", igs, tmp_path / name, *options)
        assert outcome.code == 0, outcome.stderr
        np.testing.assert_array_equal(pixels(tmp_path / name), whole)
    source = tmp_path / "e.igs"
    shutil.copy(igs, source)
    assert run("decode", source, "--format", "webp").code == 0
    assert (tmp_path / "e.webp").exists()


def test_streams(run: Run, igs: Path, whole: npt.NDArray[np.generic]) -> None:
    for arguments in (["-", "-"], ["-"]):
        outcome = run("decode", *arguments, stdin=igs.read_bytes())
        assert (outcome.code, outcome.stderr) == (0, "")
        np.testing.assert_array_equal(pixels(outcome.stdout), whole)


def test_existing_files_are_kept_unless_told(run: Run, igs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    output.write_bytes(b"mine")
    outcome = run("decode", igs, output)
    assert outcome.code == 2
    assert "--overwrite" in outcome.stderr
    assert output.read_bytes() == b"mine"
    assert run("decode", igs, output, "--overwrite").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_requests_outside_the_file(run: Run, igs: Path, tmp_path: Path) -> None:
    for options in (["--lod", 16], ["--lod", -1], ["--region", "40,0,20,8"], ["--device", "abacus"]):
        outcome = run("decode", igs, tmp_path / "out.png", *options)
        assert outcome.code == 1, options
        assert outcome.stderr.count("\n") == 1
    assert run("decode", igs, tmp_path / "out.png", "--device", "cuda:99").code == 5
    assert not list(tmp_path.iterdir())


def test_a_level_beyond_the_coarsest_shows_that(run: Run, igs: Path, tmp_path: Path) -> None:
    outcome = run("decode", igs, tmp_path / "out.png", "--lod", 15)
    assert (outcome.code, outcome.stderr) == (0, f"{igs}: has 3 levels of detail, decoding LOD 2\n")
    with gscodec.open(igs) as image:
        np.testing.assert_array_equal(pixels(tmp_path / "out.png"), image.render(lod=2))
        with pytest.raises(InvalidArgument):
            image.render(lod=3)


def test_every_file_of_a_mixed_folder_has_a_coarse_level_to_show(run: Run, picture: Path, tmp_path: Path) -> None:
    sizes = {"icon": 300, "least": 2100, "usual": 8192}
    for name, size in sizes.items():
        options = ["--size", size, "--preset", "fast", "--steps", 5, "--quiet"]
        assert run("encode", picture, tmp_path / f"{name}.igs", *options).code == 0
        outcome = run("decode", tmp_path / f"{name}.igs", "--lod", 3)
        assert outcome.code == 0
        shown = {"icon": "decoding LOD 0", "least": "decoding LOD 1", "usual": ""}[name]
        assert shown in outcome.stderr
        assert bool(outcome.stderr) == bool(shown)
    levels = {name: IgsReader((tmp_path / f"{name}.igs").read_bytes()).n_lods for name in sizes}
    assert levels == {"icon": 1, "least": 2, "usual": 4}


def test_a_cut_file_decodes_at_the_levels_it_holds(run: Run, igs: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.igs"
    cut.write_bytes(igs.read_bytes()[: IgsReader(igs.read_bytes()).prefix_size(1)])
    assert run("decode", cut, tmp_path / "out.png", "--lod", 1).code == 0
    with gscodec.open(igs) as image:
        np.testing.assert_array_equal(pixels(tmp_path / "out.png"), image.render(lod=1))
    outcome = run("decode", cut, tmp_path / "finest.png")
    assert (outcome.code, outcome.stderr) == (0, f"{cut}: truncated; LOD 1 is its finest complete level\n")
    assert pixels(tmp_path / "finest.png").tolist() == pixels(tmp_path / "out.png").tolist()
    assert run("decode", cut, tmp_path / "fine.png", "--lod", 0).code == 3
    tail = tmp_path / "tail.igs"
    tail.write_bytes(igs.read_bytes()[: IgsReader(igs.read_bytes()).prefix_size(2) - 1])
    assert run("decode", tail, tmp_path / "fine.png", "--lod", 3).code == 3


def damaged(data: bytes, fault: str) -> bytes:
    """The file with one thing wrong."""
    if fault == "magic":
        return b"\x00" + data[1:]
    if fault == "empty":
        return b""
    if fault == "cut":
        return data[:100]
    if fault == "flipped":
        place = IgsReader(data).data_offset + 5  # in the first Gaussian
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    if fault == "longer":
        return data + b"\0"
    return seal(data[:12] + b"\x02" + data[13:])  # major version 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [("magic", 3), ("empty", 3), ("cut", 3), ("flipped", 3), ("longer", 3), ("version", 5)],
)
def test_damaged_files(run: Run, igs: Path, tmp_path: Path, fault: str, code: int) -> None:
    source = tmp_path / "bad.igs"
    source.write_bytes(damaged(igs.read_bytes(), fault))
    outcome = run("decode", source, tmp_path / "out.png")
    assert outcome.code == code
    assert outcome.stdout == b""
    assert outcome.stderr.startswith("gscodec: error: ")
    assert "bad.igs" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


def test_missing_files(run: Run, tmp_path: Path) -> None:
    outcome = run("decode", tmp_path / "none.igs")
    assert outcome.code == 2
    assert "none.igs" in outcome.stderr


def test_sixteen_bits(run: Run, picture: Path, tmp_path: Path) -> None:
    gray = tmp_path / "gray.png"
    with Image.open(picture) as image:
        image.convert("L").save(gray)
    encoded = tmp_path / "gray.igs"
    assert run("encode", gray, encoded, "--gaussians", 40, "--preset", "fast", "--steps", 10, "-q").code == 0
    assert run("decode", encoded, tmp_path / "deep.png", "--bits", 16).code == 0
    deep = pixels(tmp_path / "deep.png")
    assert deep.max() > 255
    with gscodec.open(encoded) as image:
        np.testing.assert_array_equal(deep, image.render(dtype=np.uint16)[..., 0])
