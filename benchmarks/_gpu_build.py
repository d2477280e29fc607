"""Builds the engine beside its sources, with the build tools at hand: no isolation, no network, no install."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
IMPORTS: Final = (sys.executable, "-c", "import gscodec._engine as e; print('an engine for', *e.available_isas())")


def main(root: Path = ROOT) -> int:
    if imports(root):
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
        command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, str(root)]
        if code := subprocess.run(command, cwd=root, check=False).returncode:
            print(f"ERROR the engine does not build: pip's exit code is {code}")
            return 1
        for wheel in Path(folder).glob("gscodec-*.whl"):
            take_engine(wheel, root)
    if not imports(root):
        print("ERROR the engine was built and does not load")
        return 1
    return 0


def imports(root: Path) -> bool:
    """Whether an engine for this interpreter is there; it says for which processors."""
    return subprocess.run(IMPORTS, cwd=root, check=False).returncode == 0


def take_engine(wheel: Path, root: Path) -> None:
    """Copies the compiled module out of a wheel to where it is imported from."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if Path(name).match("gscodec/_engine*") and Path(name).suffix in {".so", ".pyd"}:
                with archive.open(name) as packed, (root / name).open("wb") as there:
                    shutil.copyfileobj(packed, there)


if __name__ == "__main__":
    raise SystemExit(main())
