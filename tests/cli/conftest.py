import io
import sys
from pathlib import Path

import pytest
from PIL import Image
from program import Outcome, Run
from small_pictures import draw_picture

from gscodec.cli.app import main


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the program in this process: run("info", path, stdin=b"")."""

    def call(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsysbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        return Outcome(code, captured.out, captured.err.decode())

    return call


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 48x32 RGB PNG."""
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    Image.fromarray(draw_picture(32, 48)).save(path)
    return path


@pytest.fixture(scope="session")
def igs(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The picture encoded with 80 Gaussians in three levels. Read only: copy it before writing beside it."""
    path = tmp_path_factory.mktemp("igs") / "picture.igs"
    options = ["--gaussians", "80", "--preset", "fast", "--steps", "40", "--lods", "3", "--halves", "1", "--quiet"]
    assert main(["encode", str(picture), str(path), *options]) == 0
    return path
