"""A result never takes the place of what it was made of, nor of any other input."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import Run

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.errors import InvalidArgument
from gscodec.image.arrays import from_array
from gscodec.model.channels import ChannelGroup, Role

QUICK = ("--gaussians", 40, "--preset", "fast", "--steps", 10, "--lods", 2, "-q")


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (24, 32)) -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    Image.fromarray(noise).resize(size[::-1]).save(path)
    return path


def digest(*paths: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo(run: Run, here: Path) -> Path:
    """photo.png and photo.igs beside it."""
    path = draw(here / "photo.png")
    assert run("encode", "photo.png", "photo.igs", *QUICK).code == 0
    return path


@pytest.fixture
def rock(run: Run, here: Path) -> Path:
    """rock/ and rock.igs beside it."""
    folder = here / "rock"
    folder.mkdir()
    for number, name in enumerate(["rock_albedo.png", "rock_ao.png"]):
        draw(folder / name, number)
    assert run("encode", "rock", *QUICK).code == 0
    return folder


def test_the_quick_start_does_not_cost_the_source(run: Run, here: Path, photo: Path) -> None:
    before = digest(photo)
    outcome = run("decode", "photo.igs", "--lod", 1)
    assert outcome.code == 0
    assert "photo.decoded.png" in outcome.stderr
    assert (here / "photo.decoded.png").is_file()
    for arguments in (["decode", "photo.igs"], ["decode", "photo.igs", "photo.png"]):
        outcome = run(*arguments)
        assert outcome.code == 2
        assert ("--overwrite" in outcome.stderr) == ("photo.png: exists" not in outcome.stderr)
    assert run("decode", "photo.igs", "--overwrite").code == 0
    assert digest(photo) == before


def test_the_name_is_recorded_and_changes_nothing_else(run: Run, here: Path, photo: Path) -> None:
    with IgsReader("photo.igs") as reader:
        assert [group.source for group in reader.groups] == ["photo.png"]
    deep = here / "private" / "folder"
    deep.mkdir(parents=True)
    (deep / "photo.png").write_bytes(photo.read_bytes())
    assert run("encode", deep / "photo.png", here / "deep.igs", *QUICK).code == 0
    assert (here / "deep.igs").read_bytes() == (here / "photo.igs").read_bytes()  # the bare name, no folder
    with gscodec.open("photo.igs") as image, Image.open(photo) as source:
        assert list(image.render_files()) == ["color.png"]
        nameless = gscodec.encode(np.asarray(source), gaussians=40, preset="fast", steps=10, lods=2, device="cpu")
        with gscodec.open(nameless.data) as other:
            np.testing.assert_array_equal(other.render(), image.render())
            assert other.source_names == set()


def test_a_decode_without_a_clash_keeps_the_short_name(run: Run, here: Path, photo: Path) -> None:
    (here / "photo.igs").rename("other.igs")
    assert run("decode", "other.igs").code == 0
    assert (here / "other.png").is_file()
    assert run("decode", "other.igs", "--format", "tiff").code == 0
    assert (here / "other.tiff").is_file()
    assert photo.is_file()


def test_a_renamed_source_is_not_replaced_on_advice(run: Run, here: Path, photo: Path) -> None:
    photo.rename(here / "img.png")
    (here / "photo.igs").rename("img.igs")
    outcome = run("decode", "img.igs")
    assert outcome.code == 2
    assert "--overwrite" not in outcome.stderr


def test_a_file_that_records_no_name_replaces_nothing_unasked(run: Run, here: Path) -> None:
    source = draw(here / "a.png")
    assert run("encode", "a.png", "--size", "400", "--preset", "fast", "--steps", 10, "-q").code == 0
    with gscodec.open("a.igs") as image:
        assert image.source_names == set()  # 5 bytes of 400 are too many
    before = digest(source)
    outcome = run("decode", "a.igs")
    assert (outcome.code, outcome.stderr.count("\n"), "a.decoded.png" in outcome.stderr) == (0, 1, True)
    decoded = digest(here / "a.decoded.png")
    (here / "a.decoded.png").write_bytes(b"old")
    outcome = run("decode", "a.igs")
    assert (outcome.code, "use --overwrite" in outcome.stderr) == (2, True)
    assert run("decode", "a.igs", "--overwrite").code == 0
    assert digest(here / "a.decoded.png") == decoded
    assert run("decode", "a.igs", "--mips", "--overwrite").code == 0
    assert (here / "a.decoded.mip1.png").is_file()
    assert "--overwrite" not in run("decode", "a.igs", "a.png").stderr
    assert digest(source) == before


def test_a_stack_that_records_no_names_replaces_nothing_unasked(run: Run, here: Path, rock: Path) -> None:
    maps = [np.asarray(Image.open(rock / f"rock_{name}.png")) for name in ("albedo", "ao")]
    groups = (ChannelGroup("color"), ChannelGroup("ao", Role.AO))
    nameless = from_array(np.concatenate(maps, axis=2), groups)
    result = gscodec.encode(nameless, gaussians=40, preset="fast", steps=10, lods=1, device="cpu")
    with gscodec.open(result.data) as image:
        assert image.source_names == set()
    (here / "rock.igs").write_bytes(result.data)
    draw(rock / "color.png")
    before = digest(*sorted(rock.iterdir()))
    assert run("decode", "rock.igs", "--overwrite").code == 0
    assert run("export", "rock.igs", "--to", "png", "--overwrite").code == 0
    assert digest(*sorted(rock.iterdir())) == before
    assert (here / "rock.decoded" / "color.png").is_file()
    assert list((here / "rock.exported").iterdir())
    (here / "rock.igs").rename("stone.igs")
    assert run("decode", "stone.igs").code == 0
    assert (here / "stone" / "color.png").is_file()


@pytest.mark.parametrize("suffix", [".exr", ".hdr", ".tiff"])
def test_float_sources_too(run: Run, here: Path, suffix: str) -> None:
    from gscodec.image.arrays import from_array
    from gscodec.image.save import save_image

    stack = from_array(np.random.default_rng(0).random((12, 16, 3), np.float32))
    save_image(here / f"light{suffix}", stack.samples, stack.groups)
    assert run("encode", f"light{suffix}", "light.igs", *QUICK).code == 0
    before = digest(here / f"light{suffix}")
    assert run("decode", "light.igs", "--format", suffix).code == 0
    assert (here / f"light.decoded{suffix}").is_file()
    assert digest(here / f"light{suffix}") == before


def test_mips_keep_off_the_source(run: Run, here: Path, photo: Path) -> None:
    before = digest(photo)
    assert run("decode", "photo.igs", "--mips").code == 0
    assert (here / "photo.decoded.mip1.png").is_file()
    assert digest(photo) == before


def test_a_stack_does_not_land_among_its_sources(run: Run, here: Path, rock: Path) -> None:
    before = digest(*sorted(rock.iterdir()))
    outcome = run("decode", "rock.igs")
    assert outcome.code == 0
    assert "rock.decoded" in outcome.stderr
    assert sorted(path.name for path in (here / "rock.decoded").iterdir()) == ["rock_albedo.png", "rock_ao.png"]
    assert run("decode", "rock.igs", "--overwrite").code == 0
    outcome = run("decode", "rock.igs", "rock")
    assert outcome.code == 2
    assert "--overwrite" not in outcome.stderr
    assert run("export", "rock.igs", "--to", "png", "--overwrite").code == 0
    assert (here / "rock.exported" / "rock_ao.png").is_file()
    assert digest(*sorted(rock.iterdir())) == before
    (here / "rock.igs").rename("stone.igs")
    assert run("decode", "stone.igs").code == 0
    assert (here / "stone" / "rock_ao.png").is_file()


def linked(path: Path, how: str) -> Path:
    """Another name of a file."""
    if how == "same":
        return path
    if how == "dotted":
        return path.parent / "." / "x" / ".." / path.name
    other = path.with_name(f"{how}_{path.name}")
    if how == "hard":
        os.link(path, other)
    else:
        other.symlink_to(path)
    return other


@pytest.mark.parametrize("how", ["same", "dotted", "hard", "soft"])
def test_no_input_of_an_encode_is_its_output(run: Run, here: Path, rock: Path, how: str) -> None:
    (here / "x").mkdir()
    (rock / "x").mkdir()
    photo, mask, weight = (draw(here / f"{name}.png", 7) for name in ("photo", "mask", "weight"))
    manifest = here / "rock.toml"
    manifest.write_text(
        'mask = "mask.png"\n[[map]]\nfile = "rock/rock_albedo.png"\n[[map]]\nfile = "rock/rock_ao.png"\n'
    )
    files = [photo, mask, weight, manifest, rock / "rock_albedo.png", rock / "rock_ao.png"]
    before = digest(*files)
    albedo, ao = rock / "rock_albedo.png", rock / "rock_ao.png"
    cases: list[tuple[Sequence[object], Path]] = [
        ([photo], photo),
        ([albedo, ao], ao),
        ([rock], ao),
        ([manifest], ao),
        ([manifest], manifest),
        ([manifest], mask),
        ([photo, "--mask", mask], mask),
        ([photo, "--importance", weight], weight),
    ]
    for number, (inputs, output) in enumerate(cases):
        if how in {"hard", "soft"}:
            (output.with_name(f"{how}_{output.name}")).unlink(missing_ok=True)
        other = linked(output, how)
        outcome = run("encode", *inputs, "-o", other, "--overwrite", *QUICK)
        assert (outcome.code, "input" in outcome.stderr) == (1, True), (number, outcome.stderr)
        assert "--overwrite" not in outcome.stderr
        outcome = run("encode", *inputs, "-o", here / "new.igs", "--checkpoint", other, "--block", 64, *QUICK)
        assert outcome.code == 1, (number, outcome.stderr)
        if how in {"hard", "soft"}:
            other.unlink()
        assert digest(*files) == before
        assert not (here / "new.igs").exists()


def test_the_checkpoint_is_not_the_output(run: Run, here: Path) -> None:
    photo = draw(here / "photo.png")
    outcome = run("encode", photo, "a.igs", "--checkpoint", "./a.igs", "--block", 64, *QUICK)
    assert outcome.code == 1
    assert not (here / "a.igs").exists()


def test_the_library_refuses_too(here: Path) -> None:
    photo = draw(here / "photo.png")
    before = digest(photo)
    with pytest.raises(InvalidArgument, match="is the input"):
        gscodec.encode(photo, photo, gaussians=5, overwrite=True)
    assert digest(photo) == before


@pytest.mark.parametrize("how", ["same", "hard", "soft"])
def test_no_other_command_writes_over_its_inputs(run: Run, here: Path, photo: Path, rock: Path, how: str) -> None:
    del photo, rock
    points = here / "points.csv"
    points.write_text("1,2\n3,4\n")
    single, stack = here / "photo.igs", here / "rock.igs"
    before = digest(points, single, stack)
    assert run("decode", single, linked(single, how), "--format", "png", "--overwrite").code == 1
    if how == "same":
        assert run("sample", single, "--points", points, "-o", points, "--overwrite").code == 1
        assert run("sample", single, "--at", "1,1", "-o", single, "--overwrite").code == 1
        (here / "out").mkdir()
    for command in (["decode"], ["export", "--to", "png"], ["decode", "--mips"], ["export", "--to", "png", "--mips"]):
        folder = here / f"out_{'_'.join(command)}".replace("--", "")
        folder.mkdir()
        name = "rock_ao_mip1.png" if "export" in command else "rock_ao.mip1.png"
        disguised = folder / (name if "--mips" in command else "rock_ao.png")
        if how == "same":
            disguised.write_bytes(stack.read_bytes())
            outcome = run(command[0], disguised, folder, *command[1:], "--overwrite")
        elif how == "hard":
            os.link(stack, disguised)
            outcome = run(command[0], stack, folder, *command[1:], "--overwrite")
        else:
            disguised.symlink_to(stack)
            outcome = run(command[0], stack, folder, *command[1:], "--overwrite")
        assert outcome.code in ({1, 2} if how == "soft" else {1}), (command, outcome.stderr)
        assert list(folder.iterdir()) == [disguised]
    assert digest(points, single, stack) == before


def test_stdin_that_is_the_output(here: Path) -> None:
    import subprocess
    import sys

    photo = draw(here / "photo.png")
    before = digest(photo)
    with photo.open("rb") as file:
        words = [sys.executable, "-m", "gscodec", "encode", "-", "-o", "photo.png", "--overwrite", *map(str, QUICK)]
        done = subprocess.run(words, stdin=file, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, "stdin" in done.stderr) == (1, True)
    assert digest(photo) == before


def test_the_folder_one_is_in_gives_the_name(run: Run, here: Path, rock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "rock.igs").unlink()
    monkeypatch.chdir(rock)
    assert run("encode", ".", *QUICK).code == 0
    assert (here / "rock.igs").is_file()
    dotted = here / "v1.2"
    rock.rename(dotted)
    monkeypatch.chdir(here)
    assert run("encode", "v1.2", *QUICK).code == 0
    assert (here / "v1.2.igs").is_file()


def test_a_default_output_is_not_led_away_by_a_link(run: Run, here: Path, photo: Path) -> None:
    (here / "shelf").mkdir()
    (here / "photo.igs").rename(here / "shelf" / "pic.igs")
    (here / "shelf" / "pic.png").symlink_to(here / "elsewhere.png")
    assert run("decode", here / "shelf" / "pic.igs").code == 2
    assert not (here / "elsewhere.png").exists()
    assert photo.is_file()
