import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import Run

import gscodec
from gscodec.container.reader import IgsReader

QUICK = ("--preset", "fast", "--steps", "20")


def read(path: Path) -> IgsReader:
    return IgsReader(path.read_bytes())


@pytest.mark.parametrize(
    ("option", "value", "limit"),
    [("--bpp", "6", 6 * 48 * 32 / 8), ("--bppc", "2", 2 * 3 * 48 * 32 / 8), ("--size", "1.2kB", 1200)],
)
def test_rates_and_sizes_are_kept(
    run: Run, picture: Path, tmp_path: Path, option: str, value: str, limit: float
) -> None:
    output = tmp_path / "out.igs"
    outcome = run("encode", picture, output, option, value, *QUICK)
    assert outcome.code == 0, outcome.stderr
    assert 0.95 * limit <= output.stat().st_size <= limit


def test_count_and_closing_line(run: Run, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.igs"
    outcome = run("encode", picture, output, "--gaussians", 60, *QUICK)
    assert (outcome.code, outcome.stdout) == (0, b"")
    reader = read(output)
    assert reader.header.n_gaussians == 60
    line = outcome.stderr
    assert line.count("\n") == 1
    for part in (f"{output}: {output.stat().st_size} bytes, ", " bpp, ", " dB, ", "60 Gaussians, ", " s on "):
        assert part in line


def test_quality_target(run: Run, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.igs"
    outcome = run("encode", picture, output, "--psnr", "24", "--preset", "fast")
    assert outcome.code == 0, outcome.stderr
    assert run("compare", picture, output, "--min-psnr", "24").code == 0


def test_quality_out_of_reach_is_said_and_the_file_is_there(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "noise.png", tmp_path / "out.igs"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(source)
    outcome = run("encode", source, output, "--psnr", "90", *QUICK)
    assert outcome.code == 8, outcome.stderr
    assert "--psnr 90.0 was not met" in outcome.stderr
    assert run("validate", output).code == 0


def test_default_output_is_beside_the_input(run: Run, picture: Path, tmp_path: Path) -> None:
    source = tmp_path / "photo.v1.png"
    source.write_bytes(picture.read_bytes())
    assert run("encode", source, "--gaussians", 40, *QUICK, "--quiet").code == 0
    assert (tmp_path / "photo.v1.igs").exists()


def test_streams(run: Run, picture: Path) -> None:
    outcome = run("encode", "-", "-", "--gaussians", 40, *QUICK, stdin=picture.read_bytes())
    assert outcome.code == 0, outcome.stderr
    with gscodec.open(outcome.stdout) as image:
        assert image.shape == (32, 48, 3)
    assert outcome.stderr.startswith("stdout: ")


def test_quiet_is_quiet(run: Run, picture: Path, tmp_path: Path) -> None:
    outcome = run("encode", picture, tmp_path / "out.igs", "--gaussians", 40, *QUICK, "-q")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, b"", "")


def test_levels_and_seed(run: Run, picture: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.igs", "b.igs", "c.igs")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        assert run("encode", picture, path, "--gaussians", 40, "--lods", 2, "--seed", seed, *QUICK).code == 0
    assert [read(path).n_lods for path in paths] == [2, 2, 2]
    first, second, third = (read(path).read() for path in paths)
    np.testing.assert_array_equal(first.means, second.means)
    assert not np.array_equal(first.means, third.means)


def test_existing_files_are_kept_unless_told(run: Run, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.igs"
    output.write_bytes(b"mine")
    outcome = run("encode", picture, output, "--gaussians", 40, *QUICK)
    assert outcome.code == 2
    assert "--overwrite" in outcome.stderr
    assert output.read_bytes() == b"mine"
    assert run("encode", picture, output, "--gaussians", 40, *QUICK, "--overwrite").code == 0
    assert output.read_bytes() != b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out.igs"]


def test_outputs_that_cannot_be(run: Run, picture: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    own.write_bytes(picture.read_bytes())
    for output, code in ((tmp_path, 2), (tmp_path / "none" / "out.igs", 2), (own, 1)):
        outcome = run("encode", own, output, "--gaussians", 40, "--overwrite")
        assert outcome.code == code
        assert outcome.stderr.count("\n") == 1
    assert own.read_bytes() == picture.read_bytes()


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 3), (b"no picture at all", 3), (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 3), (None, 2)],
    ids=["empty", "text", "cut", "missing"],
)
def test_inputs_that_are_no_pictures(run: Run, tmp_path: Path, content: bytes | None, code: int) -> None:
    source = tmp_path / "in.png"
    if content is not None:
        source.write_bytes(content)
    outcome = run("encode", source, tmp_path / "out.igs", "--bpp", 1)
    assert outcome.code == code
    assert outcome.stderr.startswith("gscodec: error: ")
    assert "in.png" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not (tmp_path / "out.igs").exists()


def test_devices_that_are_not_there(run: Run, picture: Path, tmp_path: Path) -> None:
    assert run("encode", picture, tmp_path / "out.igs", "--bpp", 6, "--device", "cuda:99").code == 5
    assert run("encode", picture, tmp_path / "out.igs", "--bpp", 6, "--device", "abacus").code == 1
    assert not (tmp_path / "out.igs").exists()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_other_kinds_of_pixels(run: Run, picture: Path, tmp_path: Path, mode: str) -> None:
    source, output, back = (tmp_path / name for name in ("in.png", "out.igs", "back.png"))
    with Image.open(picture) as image:
        if mode == "I;16":
            Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 257).save(source)
        else:
            image.convert(mode).save(source)
    assert run("encode", source, output, "--gaussians", 40, *QUICK).code == 0
    assert run("decode", output, back).code == 0
    with Image.open(io.BytesIO(back.read_bytes())) as decoded:
        assert decoded.size == (48, 32)


def test_mask_and_weights(run: Run, picture: Path, tmp_path: Path) -> None:
    Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 2, axis=0)).save(tmp_path / "mask.png")
    output = tmp_path / "out.igs"
    shares = []  # of Gaussians right of the left third
    for mask in ([], ["--mask", tmp_path / "mask.png"]):
        outcome = run("encode", picture, output, "--overwrite", "--gaussians", 60, "--halves", 2, *QUICK, *mask)
        assert outcome.code == 0, outcome.stderr
        shares.append((read(output).read(0).means[:, 0] > 16).mean())
    assert shares[0] + 0.15 < shares[1], "the left half is hidden"
    outcome = run("encode", picture, output, "--overwrite", "--gaussians", 60, *QUICK, "--weights", "height=2")
    assert (outcome.code, outcome.stderr.count("\n")) == (1, 1)
    assert "no samples of 'height'" in outcome.stderr
    outcome = run("encode", picture, output, "--overwrite", "--gaussians", 60, *QUICK, "--weights", "color=much")
    assert outcome.code == 1
    assert "name=number" in outcome.stderr


def test_profile_packed_and_what_info_says_of_it(run: Run, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.igs"
    how = ("--preset", "fast", "--steps", 10, "--profile", "packed", "-q")
    assert run("encode", picture, output, "--gaussians", 90, "--record-bytes", 5, *how).code == 0
    assert run("validate", output).code == 0
    text = run("info", output).text
    assert "profile packed" in text
    assert "records   5 bytes: narrow " in text
    assert run("decode", output, tmp_path / "back.png").code == 0
    outcome = run("encode", picture, output, "--gaussians", 90, "--record-bytes", 1, *how, "--overwrite")
    assert outcome.code == 1
    assert "records of 1 bytes are not possible with 3 channels: use 3..11" in outcome.stderr


def test_an_encode_is_tuned_and_told_what_matters(run: Run, picture: Path, tmp_path: Path) -> None:
    mask, output = tmp_path / "map.png", tmp_path / "out.igs"
    Image.fromarray((np.arange(32 * 48).reshape(32, 48) % 48 < 20).astype(np.uint8) * 255).save(mask)
    options = ("--tune", "visual", "--importance", mask, "--importance-strength", 8)
    outcome = run("encode", picture, output, "--gaussians", 40, *QUICK, *options)
    assert outcome.code == 0, outcome.stderr
    meta = read(output).meta or {}
    assert (meta["tune"], meta["importance"]) == ("visual", "map x8")
    assert " dB by importance), 40 Gaussians" in outcome.stderr
    assert run("encode", picture, output, "--gaussians", 40, *QUICK, "--importance", "auto", "--overwrite").code == 0
    assert (read(output).meta or {})["importance"] == "auto x4"


def test_a_map_of_another_size_is_one_line(run: Run, picture: Path, tmp_path: Path) -> None:
    mask = tmp_path / "map.png"
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(mask)
    outcome = run("encode", picture, tmp_path / "out.igs", "--gaussians", 40, *QUICK, "--importance", mask)
    assert outcome.code == 1
    assert outcome.stderr.count("\n") == 1
    assert f"{mask}: the importance map has 20x20 px, the picture 48x32; scale it to that" in outcome.stderr


def test_mips_come_from_files_named_as_decode_writes_them(run: Run, tmp_path: Path) -> None:
    y, x = np.mgrid[0:192, 0:256] / 256
    Image.fromarray(np.asarray(255 * np.dstack([x, y, 0.5 + 0.3 * np.sin(5 * x)]), np.uint8)).save(tmp_path / "in.png")
    options = ("--size", "9k", "--lods", "4", *QUICK)
    assert run("encode", tmp_path / "in.png", tmp_path / "plain.igs", *options).code == 0
    assert run("decode", tmp_path / "plain.igs", tmp_path / "in [a].png", "--mips").code == 0
    for level in range(1, 9):
        path = tmp_path / f"in [a].mip{level}.png"
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    pattern = tmp_path / "in *.mip*.png"
    outcome = run("encode", tmp_path / "in.png", tmp_path / "own.igs", "--mips-from", pattern, *options)
    assert outcome.code == 0, outcome.stderr
    for lod in (1, 2, 3):
        with gscodec.open(tmp_path / "plain.igs") as plain, gscodec.open(tmp_path / "own.igs") as own:
            shown, negative = (image.render(lod=lod, size=(24, 32)).astype(float) for image in (plain, own))
        assert np.abs(255 - shown - negative).mean() < 12
    literal = tmp_path / "in [a].mip3.png"
    assert run("encode", tmp_path / "in.png", tmp_path / "one.igs", "--mips-from", literal, *options).code == 0
    outcome = run(
        "encode", tmp_path / "in.png", tmp_path / "no.igs", "--mips-from", tmp_path / "out.mip*.png", *options
    )
    assert outcome.code == 2
    assert "no such file; --mips-from takes the names of mips, or a pattern in quotes" in outcome.stderr
    outcome = run("encode", tmp_path / "in.png", "-o", literal, "--mips-from", pattern, "--overwrite", *options)
    assert outcome.code == 1
