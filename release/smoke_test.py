"""Checks an installed gscodec from outside its sources, as `make wheel-test` and the workflows do.

It needs what the wheel and its dependencies install and nothing else: no compiler, no pytest, no checkout, no network.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SHARE = (
    "share/man/man1/gscodec.1",
    "share/bash-completion/completions/gscodec",
    "share/zsh/site-functions/_gscodec",
    "share/fish/vendor_completions.d/gscodec.fish",
)


def program() -> str:
    """Path of the installed command."""
    found = Path(sysconfig.get_path("scripts")) / ("gscodec.exe" if os.name == "nt" else "gscodec")
    assert found.is_file(), f"{found} is missing"
    return str(found)


def run(*arguments: object) -> str:
    """Standard output of the command."""
    done = subprocess.run(
        [program(), *map(str, arguments)], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, f"gscodec {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}"
    return done.stdout


def check_package() -> None:
    """The package that is imported is the installed one, of the version that its metadata states."""
    import gscodec
    from gscodec import _engine

    heavy = {"numpy", "PIL", "OpenEXR", "torch", "cupy"} & set(sys.modules)
    assert not heavy, f"import gscodec loads {heavy}"
    assert importlib.metadata.version("gscodec") == gscodec.__version__
    assert run("--version").startswith(f"gscodec {gscodec.__version__}")
    assert "baseline" in _engine.available_isas()
    folder = Path(gscodec.__file__).parent
    for name in ("py.typed", "viewer/igs.wasm", "native/shared/gaussian_math.h"):
        assert (folder / name).is_file(), f"{name} is missing"
    for name in SHARE:
        assert (Path(sysconfig.get_path("data")) / name).is_file(), f"{name} is missing"


def check_python() -> None:
    """Encode, decode, regions and points, with every instruction set of this machine."""
    import numpy as np

    import gscodec
    from gscodec.metrics.psnr import psnr
    from gscodec.render.cpu import CpuRasterizer, available_isas

    rows, columns = np.mgrid[0:96, 0:128]
    picture = np.stack([rows * 2, columns, 255 - rows - columns], axis=-1).clip(0, 255).astype(np.uint8)
    result = gscodec.encode(picture, gaussians=60, preset="fast", steps=40, lods=2)
    with gscodec.open(result.data) as image:
        whole = image.render()
        part = image.render(region=(32, 16, 48, 32))
        values = image.sample([[40.5, 20.5]])
    assert whole.shape == picture.shape
    assert np.array_equal(part, whole[16:48, 32:80])
    assert np.abs(values[0] * 255 - whole[20, 40]).max() <= 0.51
    assert psnr(picture, whole) > 30, f"{psnr(picture, whole)} dB"
    assert not gscodec.validate(result.data)
    for isa in available_isas():
        assert CpuRasterizer(isa=isa)


def check_command(folder: Path) -> None:
    """The commands, on PNG and OpenEXR files."""
    import numpy as np
    import OpenEXR
    from PIL import Image

    rows, columns = np.mgrid[0:64, 0:96]
    Image.fromarray(np.stack([rows * 3, columns * 2, rows + columns], axis=-1).astype(np.uint8)).save(folder / "a.png")
    light = np.stack([rows / 8, columns / 8, (rows + columns) / 4], axis=-1).astype(np.float32)
    OpenEXR.File({}, {"RGB": light}).write(str(folder / "b.exr"))
    for name, suffix in (("a.png", ".png"), ("b.exr", ".exr")):
        source, coded, back = folder / name, folder / f"{name}.igs", folder / f"{name}.back{suffix}"
        run("encode", source, coded, "--gaussians", 40, "--preset", "fast", "--steps", 20)
        run("decode", coded, back)
        assert back.stat().st_size > 0
        run("validate", coded)
    assert json.loads(run("info", "--json", folder / "a.png.igs"))
    run("export", folder / "a.png.igs", folder / "a.html", "--to", "html")
    assert len(run("sample", folder / "a.png.igs", "--at", "10.5,20.5").split()) >= 3


def main() -> None:
    """Run all checks."""
    with tempfile.TemporaryDirectory() as folder:
        defaults = Path(folder) / "config.toml"  # none: the user's own would change what is tested
        defaults.touch()
        os.environ["GSCODEC_CONFIG"] = str(defaults)
        check_package()
        check_python()
        check_command(Path(folder))
    print(run("--version").strip(), "works on", sys.version.split()[0], sysconfig.get_platform())


if __name__ == "__main__":
    main()
