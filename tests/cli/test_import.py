from pathlib import Path

import numpy as np
import pytest
from program import Run

import gscodec


@pytest.mark.parametrize("to", ["npz", "ply", "svg"])
def test_gaussians_go_out_and_in(run: Run, igs: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / f"out.{to}"
    outcome = run("export", igs, out, "--to", to, "--lod", 1)
    assert outcome.code == 0
    assert outcome.stdout.decode() == f"{out}: {to}, {out.stat().st_size} bytes\n"
    assert run("export", igs, out, "--to", to).code == 2  # it is there
    assert run("export", igs, tmp_path / "x", "--to", to, "--mips").code == 1
    outcome = run("import", out)
    if to == "svg":
        assert (outcome.code, outcome.stderr.count("\n")) == (3, 1)
        return
    assert outcome.code == 0
    assert f"{gscodec.info(igs)['lods'][1]['n_gaussians']} Gaussians" in outcome.stderr
    again = run("import", out, "-", "-q")
    assert (again.stdout, again.stderr) == (out.with_suffix(".igs").read_bytes(), "")


def test_a_size_and_channels_are_parsed(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, means=np.ones((3, 2)), inv_scales=np.ones((3, 2)), rotations=np.ones(3), features=np.ones((3, 4)))
    assert run("import", path).code == 3
    assert run("import", path, "--size", "20x10", "--channels", "albedo=3,albedo=1").code == 1
    assert run("import", path, "--size", "20x10", "--channels", "albedo=3,ao=0").code == 1
    assert run("import", path, "--size", "20x10", "--channels", "albedo=3,ao=1", "--profile", "coded").code == 0
    assert gscodec.info(path.with_suffix(".igs"))["width"] == 20
    assert run("import", tmp_path / "none.npz").code == 2
