"""Options that raise the limits, the same for all commands."""

from pathlib import Path

import pytest

from gscodec.cli.app import main

CASES = Path(__file__).parents[1] / "corrupt" / "cases"
PICTURES = Path(__file__).parents[1] / "image" / "cases"


@pytest.mark.parametrize(
    "command",
    [
        ["decode", "{igs}", "{out}.tif"],
        ["export", "{igs}", "{out}", "--to", "png"],
        ["compare", "{igs}", "{igs}"],
        ["encode", "{gif}", "{out}.igs", "--bpp", "1"],
        ["compare", "{gif}", "{gif}"],
    ],
    ids=lambda command: f"{command[0]} {command[1]}",
)
def test_pixels(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    igs, gif = CASES / "packed_33000x16.igs", PICTURES / "small_frame_on_a_huge_canvas.gif"
    words = [word.format(igs=igs, gif=gif, out=tmp_path / "out") for word in command]
    assert main([*words, "--max-pixels", "1000"]) == 3
    assert "--max-pixels" in capsys.readouterr().err
    assert main([*words, "--max-pixels", str(1 << 40), "--max-memory", "100kB"]) == 3
    assert "--max-memory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_raised_limits_let_a_picture_through(tmp_path: Path) -> None:
    source = str(CASES / "packed_33000x16.igs")
    assert main(["decode", source, str(tmp_path / "a.png"), "--max-pixels", str(33000 * 16 - 1)]) == 3
    assert main(["decode", source, str(tmp_path / "a.png"), "--max-pixels", str(33000 * 16)]) == 0


def test_batch_has_them_too(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "wide.igs").write_bytes((CASES / "packed_33000x16.igs").read_bytes())
    words = ["batch", "--decode", str(folder), str(tmp_path / "out"), "--jobs", "1"]
    assert main([*words, "--max-pixels", "1000"]) == 9
    assert main([*words, "--max-pixels", "1000000"]) == 0
    assert len(list((tmp_path / "out").glob("wide*"))) == 1
