"""What the program says and keeps of a source's metadata."""

from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from program import Run

import gscodec

QUICK = ("--gaussians", "20", "--preset", "fast", "--steps", "10", "--lods", "1", "--quiet")


@pytest.fixture
def photo(picture: Path, tmp_path: Path) -> Path:
    """A picture with Exif, a density, texts, and texts that are not kept."""
    exif = Image.Exif()
    exif[271] = "Maker"
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "a\x1b[31mb")
    text.add_text("Ti\x1bl", "x")
    text.add_text("Title", "Dusk", zip=True)
    text.add_itxt("Copyright", "\u00a9 \u8535", lang="ja")
    text.add_text("workflow", "w" * 5000)
    text.add_text("Software", "a program")
    path = tmp_path / "photo.png"
    with Image.open(picture) as image:
        image.save(path, exif=exif, dpi=(300, 300), pnginfo=text)
    return path


def test_metadata_comes_through_and_what_does_not_is_one_line(run: Run, photo: Path, tmp_path: Path) -> None:
    outcome = run("encode", photo, tmp_path / "a.igs", *QUICK)
    assert outcome.code == 0
    assert outcome.stderr.count("\n") == 1
    assert outcome.stderr.startswith(f"gscodec: warning: {photo}: metadata is left out: text Author, Ti")
    assert "\x1b" not in outcome.stderr
    assert "Exif, " in run("info", tmp_path / "a.igs").text
    assert run("decode", tmp_path / "a.igs", tmp_path / "a.jpg").code == 0
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif()[271] == "Maker"
        assert image.info["dpi"] == (300, 300)


def test_texts_come_back_in_png_and_go_with_strip(run: Run, photo: Path, tmp_path: Path) -> None:
    outcome = run("encode", photo, tmp_path / "a.igs", *QUICK)
    assert outcome.stderr.rstrip().endswith("text Author, Ti\\x1bl, workflow")
    assert "Dusk" in run("info", tmp_path / "a.igs").text
    assert run("decode", tmp_path / "a.igs", tmp_path / "a.png").stderr == ""
    with Image.open(tmp_path / "a.png") as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert image.text == {"Title": "Dusk", "Copyright": "\u00a9 \u8535"}
    assert "JPEG has no place for text Title, Copyright" in run("decode", tmp_path / "a.igs", tmp_path / "a.jpg").stderr
    assert not run("validate", tmp_path / "a.igs").code
    run("encode", photo, tmp_path / "none.igs", *QUICK, "--metadata", "none")
    run("encode", photo, tmp_path / "strip.igs", *QUICK, "--strip")
    assert (tmp_path / "strip.igs").read_bytes() == (tmp_path / "none.igs").read_bytes()
    assert "Dusk" not in run("info", tmp_path / "strip.igs").text
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "photo.png").write_bytes(photo.read_bytes())
    batch = ("batch", tmp_path / "in", tmp_path / "out", *QUICK, "--strip", "-j", "1", "--threads", "1")
    assert run(*batch).code == 0
    assert gscodec.info(tmp_path / "out" / "photo.igs")["exif_bytes"] is None


def test_a_type_without_a_place_says_so_and_is_written(run: Run, photo: Path, tmp_path: Path) -> None:
    run("encode", photo, tmp_path / "a.igs", *QUICK)
    outcome = run("decode", tmp_path / "a.igs", tmp_path / "a.ppm")
    assert outcome.code == 0
    lost = "Exif, pixel density, text Title, Copyright"
    assert outcome.stderr == f"gscodec: warning: {tmp_path / 'a.ppm'}: PPM has no place for {lost}\n"
    assert (tmp_path / "a.ppm").exists()


def test_metadata_none_keeps_nothing(run: Run, photo: Path, tmp_path: Path) -> None:
    run("encode", photo, tmp_path / "all.igs", *QUICK)
    run("encode", photo, tmp_path / "none.igs", *QUICK, "--metadata", "none")
    assert (tmp_path / "none.igs").stat().st_size < (tmp_path / "all.igs").stat().st_size
    assert b"EXIF" not in (tmp_path / "none.igs").read_bytes()
    assert run("encode", photo, tmp_path / "x.igs", *QUICK, "--metadata", "some").code == 1
