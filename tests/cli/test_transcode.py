from pathlib import Path

import numpy as np
from program import Run

import gscodec


def test_one_level_becomes_a_file(run: Run, igs: Path, tmp_path: Path) -> None:
    out = tmp_path / "half.igs"
    outcome = run("transcode", igs, out, "--finest", 1)
    assert (outcome.code, outcome.stdout) == (0, b"")
    assert f"{len(out.read_bytes())} bytes of {len(igs.read_bytes())}" in outcome.stderr
    with gscodec.open(igs) as whole, gscodec.open(out) as part:
        assert part.lods == whole.lods - 1
        np.testing.assert_array_equal(part.render(0), whole.render(1))
    assert run("transcode", igs, out, "--lod", 0, "-q").code == 2  # it is there
    assert run("transcode", igs, out, "--lod", 0, "-q", "--overwrite").stderr == ""
    with gscodec.open(out) as alone, gscodec.open(igs) as whole:
        np.testing.assert_array_equal(alone.render(0), whole.render(0))


def test_what_contradicts_is_refused(run: Run, igs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.igs"
    assert run("transcode", igs, out, "--lod", 1, "--finest", 1).code == 1
    assert run("transcode", igs, out, "--finest", 9).code == 1
    assert run("transcode", igs, igs, "--finest", 1, "--overwrite").code == 1
    assert not out.exists()


def test_another_profile_says_what_it_costs(run: Run, igs: Path, tmp_path: Path) -> None:
    for profile in ("packed", "f16", "coded"):
        out = tmp_path / f"{profile}.igs"
        outcome = run("transcode", igs, out, "--profile", profile)
        assert outcome.code == 0
        assert gscodec.info(out)["profile"] == profile
        assert ("dB from IN" in outcome.stderr) == (gscodec.info(igs)["profile"] != profile)
    assert run("transcode", igs, tmp_path / "x.igs", "--profile", "coded", "--record-bytes", 8).code == 1
    assert run("transcode", igs, tmp_path / "x.igs", "--record-bytes", 8).code == 0
