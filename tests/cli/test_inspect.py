import json
from pathlib import Path

from program import Run

import gscodec
from gscodec.container.reader import IgsReader


def test_info_as_json_has_everything(run: Run, igs: Path) -> None:
    outcome = run("info", igs, "--json")
    assert (outcome.code, outcome.stderr) == (0, "")
    with gscodec.open(igs) as image:
        assert json.loads(outcome.text) == json.loads(json.dumps(image.info))


def test_info_for_people(run: Run, igs: Path) -> None:
    outcome = run("info", igs)
    assert (outcome.code, outcome.stderr) == (0, "")
    reader = IgsReader(igs.read_bytes())
    for text in ("48 x 32", "80 Gaussians", f"{reader.file_size} bytes", "color"):
        assert text in outcome.text
    for lod in range(3):
        assert f"\n  {lod} " in outcome.text  # its row in the table
        assert str(reader.prefix_size(lod)) in outcome.text


def test_info_of_stdin_and_of_a_cut_file(run: Run, igs: Path) -> None:
    data = igs.read_bytes()
    assert run("info", "-", stdin=data).code == 0
    outcome = run("info", "-", stdin=data[:-1])
    assert outcome.code == 0
    assert "truncated" in outcome.text


def test_info_of_nonsense(run: Run, picture: Path) -> None:
    outcome = run("info", picture)
    assert (outcome.code, outcome.stdout) == (3, b"")


def test_validate_a_good_file(run: Run, igs: Path) -> None:
    outcome = run("validate", igs)
    assert (outcome.code, outcome.text, outcome.stderr) == (0, f"{igs}: valid\n", "")
    outcome = run("validate", "-", "--json", stdin=igs.read_bytes())
    assert outcome.code == 0
    assert json.loads(outcome.text) == {"file": "stdin", "valid": True, "issues": []}


def test_validate_numbers_the_faults(run: Run, igs: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.igs"
    data = bytearray(igs.read_bytes())
    start = IgsReader(bytes(data)).data_offset
    for place in (start + 3, len(data) - 3):  # two different pages or chunks
        data[place] ^= 0x10
    bad.write_bytes(data)
    outcome = run("validate", bad)
    assert outcome.code == 3
    assert outcome.stderr == ""
    lines = outcome.text.splitlines()
    assert len(lines) == 2
    assert [line.split(".")[0].strip() for line in lines] == ["1", "2"]
    outcome = run("validate", bad, "--json")
    assert outcome.code == 3
    found = json.loads(outcome.text)
    assert found["valid"] is False
    assert [issue["number"] for issue in found["issues"]] == [1, 2]
    assert set(found["issues"][0]) == {"number", "severity", "message", "where"}


def test_validate_what_is_not_there(run: Run, tmp_path: Path) -> None:
    assert run("validate", tmp_path / "none.igs").code == 2
