import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gscodec.cli.app import main


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()


Run = Callable[..., Outcome]


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


def draw_picture(height: int, width: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A smooth colour picture with an edge, uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    phase = np.random.default_rng(seed).uniform(0.0, 6.0, 3)
    waves = np.stack([0.5 + 0.4 * np.sin(5.0 * x + 3.0 * y + angle) for angle in phase], axis=-1)
    waves[x > y] *= 0.6
    return np.asarray(waves * 255.0 + 0.5, dtype=np.uint8)


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
    options = ["--gaussians", "80", "--preset", "fast", "--steps", "40", "--lods", "3", "--quiet"]
    assert main(["encode", str(picture), str(path), *options]) == 0
    return path
