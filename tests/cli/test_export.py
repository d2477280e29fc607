from pathlib import Path

from PIL import Image, ImageCms
from program import Run


def test_a_line_for_each_texture_on_stdout(run: Run, igs: Path, tmp_path: Path) -> None:
    outcome = run("export", igs, tmp_path / "out", "--to", "dds")
    assert (outcome.code, outcome.stderr) == (0, "")
    path = tmp_path / "out" / "picture.dds"
    assert outcome.text == f"{path}: bc7 srgb, 48x32, 6 levels, {path.stat().st_size} bytes\n"


def test_from_stdin_without_mips(run: Run, igs: Path, tmp_path: Path) -> None:
    options = ["--to", "ktx2", "--no-mips", "--lod", "1", "--bits", "16"]
    outcome = run("export", "-", tmp_path, *options, stdin=igs.read_bytes())
    assert outcome.code == 0
    assert outcome.text.startswith(f"{tmp_path / 'color.ktx2'}: rgba16f, 48x32, ")


def test_a_level_beyond_the_coarsest_exports_that(run: Run, igs: Path, tmp_path: Path) -> None:
    outcome = run("export", igs, tmp_path / "beyond", "--to", "png", "--lod", 7)
    assert (outcome.code, outcome.stderr) == (0, f"{igs}: has 3 levels of detail, decoding LOD 2\n")
    assert run("export", igs, tmp_path / "coarsest", "--to", "png", "--lod", 2).code == 0
    (beyond,), (coarsest,) = (list((tmp_path / folder).iterdir()) for folder in ("beyond", "coarsest"))
    assert beyond.read_bytes() == coarsest.read_bytes()
    assert run("export", igs, tmp_path / "none", "--to", "png", "--lod", 16).code == 1


def test_textures_have_colours_and_no_metadata(run: Run, picture: Path, tmp_path: Path) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x013B] = "An artist"
    with Image.open(picture) as image:
        image.save(tmp_path / "a.png", dpi=(300, 300), icc_profile=icc, exif=exif)
    options = ["--gaussians", 20, "--preset", "fast", "--steps", 5, "--quiet"]
    assert run("encode", tmp_path / "a.png", tmp_path / "a.igs", *options).code == 0
    assert run("export", tmp_path / "a.igs", tmp_path / "out", "--to", "png").code == 0
    (path,) = (tmp_path / "out").iterdir()
    with Image.open(path) as image:
        assert image.info == {"icc_profile": icc}
        assert not image.getexif()


def test_an_existing_file_is_one_line_on_stderr(run: Run, igs: Path, tmp_path: Path) -> None:
    assert run("export", igs, tmp_path, "--to", "png").code == 0
    outcome = run("export", igs, tmp_path, "--to", "png")
    assert (outcome.code, outcome.text) == (2, "")
    assert outcome.stderr.count("\n") == 1
    assert "exists already" in outcome.stderr
    assert run("export", igs, tmp_path, "--to", "png", "--overwrite").code == 0


def test_a_map_that_is_not_there_is_named(run: Run, igs: Path, tmp_path: Path) -> None:
    outcome = run("export", igs, tmp_path, "--to", "dds", "--only", "normal")
    assert outcome.code == 1
    assert "has no map 'normal'" in outcome.stderr


def test_options_of_textures_reach_them(run: Run, igs: Path, tmp_path: Path) -> None:
    how = ("--pack", "first=color.b,1-color.r,0", "--pack", "second=color.g", "--size", "16x8", "--zstd", 9)
    outcome = run("export", igs, tmp_path / "out", "--to", "ktx2", *how)
    assert outcome.code == 0
    written = outcome.text.splitlines()
    assert [Path(line.partition(":")[0]).name for line in written] == ["first.ktx2", "second.ktx2"]
    assert ["16x8" in line for line in written] == [True, True]
    for wrong in (("--zstd", 23), ("--pack", "orm"), ("--pack", "orm=height"), ("--size", "0x1"), ("--normals", "up")):
        outcome = run("export", igs, tmp_path / "out", "--to", "ktx2", "--overwrite", *wrong)
        assert (outcome.code, outcome.stderr.count("\n")) == (1, 1)
    assert run("export", igs, tmp_path / "a.html", "--to", "html", "--zstd", 9).code == 1
