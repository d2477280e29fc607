"""Builds the source distribution and wheels from it, and tries each in a new environment without a compiler."""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGEST_WHEEL = 8 << 20  # bytes; a wheel has been 1.1 MB since debug symbols stayed out


def run(*command: object, **options: object) -> None:
    """Run a command; an error of it is an error here."""
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    subprocess.run(words, check=True, **options)  # type: ignore[call-overload]


def new_environment(python: str, folder: Path) -> Path:
    """The interpreter of a new virtual environment."""
    run(python, "-m", "venv", folder)
    found = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(found, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "pip>=25.1")
    return found


def build(python: str, folder: Path, source: Path, kind: str, output: Path) -> Path:
    """The file that `python -m build` makes of a source folder; kind is sdist or wheel."""
    builder = new_environment(python, folder)
    run(builder, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "build>=1.2")
    before = set(output.glob("*")) if output.exists() else set()
    run(builder, "-m", "build", "--quiet", f"--{kind}", "--outdir", output, source)
    (made,) = set(output.glob("*")) - before
    return made


def try_wheel(wheel: Path, python: str, folder: Path) -> None:
    """Install a wheel where no compiler is, and run the smoke test away from the sources."""
    if wheel.stat().st_size > LARGEST_WHEEL:
        raise SystemExit(f"{wheel.name}: {wheel.stat().st_size} bytes, more than {LARGEST_WHEEL}")
    interpreter = new_environment(python, folder / "environment")
    nothing = {**os.environ, "PATH": str(interpreter.parent), "CC": "no-compiler", "CXX": "no-compiler"}
    nothing.pop("PYTHONPATH", None)
    run(interpreter, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel, env=nothing)
    test = shutil.copy(ROOT / "release" / "smoke_test.py", folder)
    run(interpreter, "-I", test, cwd=folder, env=nothing)
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB", flush=True)


def main() -> None:
    """Build and try."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", help="interpreter to build with and to try; may be repeated")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for sdist and wheels")
    options = parser.parse_args()
    pythons: list[str] = options.python or [sys.executable]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist = build(pythons[0], folder / "sdist", ROOT, "sdist", folder / "made")
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / "source", filter="data")
        (source,) = (folder / "source").iterdir()
        made: list[Path] = []
        for k, python in enumerate(pythons):
            serves = [wheel for wheel in made if "abi3" in wheel.name and _version(python) >= (3, 12)]
            wheel = serves[0] if serves else build(python, folder / f"builder{k}", source, "wheel", folder / "made")
            made.append(wheel)
            (folder / f"try{k}").mkdir()
            try_wheel(wheel, python, folder / f"try{k}")
        options.output.mkdir(exist_ok=True)
        for path in {sdist, *made}:
            shutil.copy(path, options.output)


def _version(python: str) -> tuple[int, ...]:
    code = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


if __name__ == "__main__":
    main()
