from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image
from program import Run

QUICK = ("--gaussians", 60, "--preset", "fast", "--steps", 20, "--lods", 2, "-q")


@pytest.fixture
def material(tmp_path: Path) -> Path:
    folder = tmp_path / "rock"
    folder.mkdir()
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (4, 4, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    Image.fromarray(smooth).save(folder / "albedo.png")
    Image.fromarray(smooth[:16, :16, 0]).save(folder / "roughness.png")
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(folder / "ao.png")
    Image.fromarray(np.where(smooth[:, :, 1] > 128, 255, 0).astype(np.uint8)).save(folder / "mask.png")
    return folder


def test_a_folder_of_maps_comes_back(run: Run, material: Path, tmp_path: Path) -> None:
    assert run("encode", material, "--bppc", "8", "--preset", "fast", "--steps", 30, "-q").code == 0
    packed, out = tmp_path / "rock.igs", tmp_path / "back"
    assert run("validate", packed).code == 0
    assert run("decode", packed, out).code == 0
    assert {path.name for path in out.iterdir()} == {"albedo.png", "roughness.png", "ao.png", "mask.png"}
    for path in out.iterdir():
        with Image.open(path) as got, Image.open(material / path.name) as source:
            assert (got.size, got.mode) == (source.size, source.mode)
    with Image.open(out / "ao.png") as image:
        assert np.unique(np.asarray(image)).tolist() == [99]
    with Image.open(out / "mask.png") as image:
        assert set(np.unique(np.asarray(image)).tolist()) <= {0, 255}
    text = run("info", packed).text
    assert "ao.png: 8 x 8 px, all 0.388" in text
    assert "mask.png: 32 x 32 px, 1 channel, 0 or 1, from mask" in text


def test_single_maps_and_sizes(run: Run, material: Path, tmp_path: Path) -> None:
    packed = tmp_path / "a.igs"
    maps = [material / name for name in ("albedo.png", "roughness.png", "ao.png")]
    assert run("encode", *maps, packed, *QUICK).code == 0
    assert run("decode", packed, tmp_path / "one.png", "--only", "roughness").code == 0
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (16, 16)
    assert run("decode", packed, tmp_path / "small", "--only", "albedo,ao", "--scale", "0.25").code == 0
    assert {path.name for path in (tmp_path / "small").iterdir()} == {"albedo.png", "ao.png"}
    with Image.open(tmp_path / "small" / "ao.png") as image:
        assert image.size == (8, 8)
    assert run("decode", packed, tmp_path / "webp", "--format", "webp").code == 0
    assert {path.suffix for path in (tmp_path / "webp").iterdir()} == {".webp"}


def test_what_a_stack_cannot_do(run: Run, material: Path, tmp_path: Path) -> None:
    packed = tmp_path / "a.igs"
    assert run("encode", material, packed, *QUICK).code == 0
    outcome = run("decode", packed, tmp_path / "x.png")
    assert outcome.code == 1
    assert "name a folder, or select one map with --only" in outcome.stderr
    outcome = run("decode", packed, "--only", "height")
    assert outcome.code == 1
    assert "has no map 'height'; its maps are albedo.png" in outcome.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "ao.png").write_bytes(b"mine")
    assert run("decode", packed, tmp_path / "full").code == 2
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["ao.png"]
    outcome = run("encode", material / "albedo.png", material / "ao.png", *QUICK)
    assert outcome.code == 1
    assert "2 inputs and no output" in outcome.stderr


@pytest.mark.parametrize("profile", ["coded", "packed"])
def test_exr_through_the_program(run: Run, tmp_path: Path, profile: str) -> None:
    y, x = np.mgrid[0:24, 0:32]
    light = (0.01 * np.exp(0.2 * (x + y) / 2)).astype(np.float16)
    source, packed = tmp_path / "sky.exr", tmp_path / "sky.igs"
    channels = {"R": light, "G": light, "B": light, "Z": (x + 0.5).astype(np.float32)}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(source))
    how = ("--gaussians", 200, "--preset", "fast", "--steps", 150, "--profile", profile, "-q")
    assert run("encode", source, packed, *how).code == 0
    assert run("decode", packed, tmp_path / "back.exr").code == 0
    got = OpenEXR.File(str(tmp_path / "back.exr"), separate_channels=True).channels()
    assert {name: str(channel.pixels.dtype) for name, channel in got.items()} == {
        "R": "float16",
        "G": "float16",
        "B": "float16",
        "Z": "float32",
    }
    assert np.median(np.abs(got["R"].pixels.astype(np.float64) / light - 1)) < 0.1
    assert run("decode", packed, tmp_path / "back.png").code == 0
    with Image.open(tmp_path / "back.png") as image:
        assert (image.mode, image.size) == ("RGB", (32, 24))
    assert run("decode", packed, "--only", "sky").code == 0
    assert (tmp_path / "sky" / "sky.exr").exists()
    assert run("compare", source, packed, "--min-psnr", "20").code == 0


def test_cmyk_comes_back_as_cmyk(run: Run, tmp_path: Path) -> None:
    source, packed = tmp_path / "ink.tif", tmp_path / "ink.igs"
    values = np.zeros((16, 16, 4), np.uint8)
    values[:, :8] = (200, 30, 0, 10)
    Image.fromarray(values, "CMYK").save(source)
    assert run("encode", source, packed, *QUICK).code == 0
    for name, mode in (("a.tif", "CMYK"), ("a.jpg", "CMYK"), ("a.png", "RGB")):
        assert run("decode", packed, tmp_path / name).code == 0
        with Image.open(tmp_path / name) as image:
            assert image.mode == mode


def test_unrelated_pictures_are_not_one_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        values = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(values).save(tmp_path / "holiday" / name)
    names = [tmp_path / "holiday" / name for name in ("a.png", "b.png")]
    packed = tmp_path / "out.igs"
    for sources in (names, [tmp_path / "holiday"]):
        outcome = run("encode", *sources, packed, *QUICK)
        assert outcome.code == 1
        assert "are not the maps of one material: a.png does not name a map" in outcome.stderr
        assert "--stack" in outcome.stderr
        assert outcome.stderr.count("\n") == 1
        assert not packed.exists()
        assert run("encode", *sources, packed, *QUICK, "--stack").code == 0
        assert run("decode", packed, tmp_path / "back", "--overwrite").code == 0
        assert {path.name for path in (tmp_path / "back").iterdir()} == {"a.png", "b.png"}
        packed.unlink()


def test_the_roles_of_maps_are_reported(run: Run, tmp_path: Path) -> None:
    y, x = np.mgrid[0:16, 0:16] / 16
    slopes = np.stack([0.4 * np.sin(6 * x), 0.4 * np.cos(5 * y)], axis=2)
    normals = np.concatenate([slopes, np.sqrt(1 - np.square(slopes).sum(axis=2, keepdims=True))], axis=2)
    Image.fromarray(np.asarray(127.5 + 127.5 * normals, np.uint8)).save(tmp_path / "brick_nor_dx.png")
    photo = np.stack([x, 0.8 * x + 0.2 * y, y], axis=2)
    Image.fromarray(np.asarray(255 * photo, np.uint8)).save(tmp_path / "heavy_metal.png")
    how = ("--gaussians", 40, "--preset", "fast", "--steps", 10)
    outcome = run("encode", tmp_path / "brick_nor_dx.png", *how)
    assert outcome.code == 0
    assert outcome.stderr.rstrip().endswith("; normal dx")
    assert "normal (normal): 2 x 8-bit uint, linear, normal dx" in run("info", tmp_path / "brick_nor_dx.igs").text
    outcome = run("encode", tmp_path / "heavy_metal.png", *how)
    assert "heavy_metal.png: is called 'metal', but is not gray: taken as colour" in outcome.stderr
    assert run("decode", tmp_path / "heavy_metal.igs", tmp_path / "back.png").code == 0
    outcome = run("encode", tmp_path / "heavy_metal.png", *how, "--role", "metalness", "--overwrite")
    assert outcome.stderr.rstrip().endswith("; metalness")
    outcome = run("encode", tmp_path / "brick_nor_dx.png", *how, "--normal", "gl", "--overwrite")
    assert outcome.stderr.rstrip().endswith("; normal gl")
    outcome = run("encode", tmp_path / "heavy_metal.png", *how, "--normal", "gl", "--overwrite")
    assert outcome.code == 1
    assert "is not a normal map" in outcome.stderr


@pytest.mark.parametrize("mode", ["L", "RGB gray", "RGBA opaque", "RGBA", "RGB normals"])
def test_one_picture_comes_back_as_it_was(run: Run, mode: str, tmp_path: Path) -> None:
    y, x = np.mgrid[0:24, 0:24] / 24
    gray = 0.5 + 0.4 * np.sin(6 * x * y)
    planes = {
        "L": gray,
        "RGB gray": np.stack([gray] * 3, axis=2),
        "RGBA opaque": np.stack([x, y, gray, np.ones_like(x)], axis=2),
        "RGBA": np.stack([x, y, gray, 0.3 + 0.5 * x], axis=2),
        "RGB normals": np.stack(
            [0.5 + 0.2 * x, 0.5 - 0.2 * y, 0.5 + 0.5 * np.sqrt(1 - 0.16 * (x * x + y * y))], axis=2
        ),
    }[mode]
    name = "a_nor.png" if mode == "RGB normals" else "a.png"
    source = np.asarray(255 * planes + 0.5, np.uint8)
    Image.fromarray(source).save(tmp_path / name)
    packed = tmp_path / "a.igs"
    assert (
        run("encode", tmp_path / name, packed, "--gaussians", 150, "--preset", "fast", "--steps", 100, "-q").code == 0
    )
    for output, bits in (("back.png", 8), ("deep.png", 16)):
        assert run("decode", packed, tmp_path / output, "--bits", bits).code == 0
    with Image.open(tmp_path / "back.png") as image:
        assert np.asarray(image).shape == source.shape
        assert np.abs(np.asarray(image).astype(int) - source).mean() < 6
    deep = levels_of(tmp_path / "deep.png")
    assert len(np.unique(deep)) > 300, "16 bits are those of the model, not of 8-bit codes"
    assert run("compare", tmp_path / name, packed, "--min-psnr", 25).code == 0


def levels_of(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Samples at the depth that the file has; Pillow reads 16-bit colour at 8."""
    from gscodec.image.load import load_image

    return load_image(path).samples
