"""Names from files become names of files, in every writer, and never anything else."""

from pathlib import Path

import pytest
from named_stack import stack_of
from program import Run


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


CASES = Path(__file__).parents[1] / "corrupt" / "cases"


@pytest.mark.parametrize("case", ["trav_rel.igs", "trav_abs.igs"])
def test_paths_for_names_are_refused(run: Run, tmp_path: Path, case: str) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    source = tmp_path / "in" / "deep" / case
    source.write_bytes((CASES / case).read_bytes())
    outcome = run("validate", source)
    assert outcome.code == 3
    assert "is not a bare file name" in outcome.text
    for command in (
        ["decode", source, tmp_path / "out"],
        ["decode", source, tmp_path / "out", "--mips"],
        ["decode", source],
        ["export", source, tmp_path / "out", "--to", "dds"],
    ):
        assert run(*command).code == 3
    assert run("batch", "--decode", tmp_path / "in", tmp_path / "out").code == 9
    assert below(tmp_path) == {f"in/deep/{case}"}
    assert not Path("/tmp/fuzz/trav_target").exists()  # where trav_abs.igs would write


ODD = ["NUL", "a:b", "-rf", ".hidden", "~root", "A|B"]
SAFE = {"_NUL", "a_b", "_rf", "_hidden", "_root", "A_B_2"}


@pytest.mark.parametrize("how", ["groups", "sources", "files"])
def test_odd_names_are_made_safe(run: Run, tmp_path: Path, how: str) -> None:
    groups = ODD if how == "groups" else [f"g{k}" for k in range(len(ODD))]
    named = [f"{name}.png" for name in ODD]
    data = stack_of(groups, named if how == "sources" else (), named if how == "files" else ())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "odd.igs").write_bytes(data)
    source = tmp_path / "in" / "odd.igs"
    assert run("decode", source, tmp_path / "a").code == 0
    assert run("batch", "--decode", tmp_path / "in", tmp_path / "b").code == 0
    assert run("export", source, tmp_path / "c", "--to", "dds").code == 0
    assert run("export", source, tmp_path / "d", "--to", "png", "--mips").code == 0
    assert below(tmp_path / "a") == {f"{name}.png" for name in SAFE}
    assert below(tmp_path / "b" / "odd") == {f"{name}.png" for name in SAFE}
    assert below(tmp_path / "c") == {f"{name}.dds" for name in SAFE}
    assert below(tmp_path / "d") == {f"{name}_mip{level}.png" for name in SAFE for level in range(5)}


def test_only_pictures_are_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "x.igs"
    source.write_bytes(stack_of(["a", "b", "c"], files=["evil.sh", "index.html", "x.desktop"]))
    assert run("decode", source, tmp_path / "a").code == 0
    assert run("batch", "--decode", tmp_path / "in", tmp_path / "b").code == 0
    assert below(tmp_path / "a") == {"evil.png", "index.png", "x.png"}
    assert below(tmp_path / "b" / "x") == below(tmp_path / "a")


def test_two_sources_of_one_stem_both_come_back(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "x.igs"
    source.write_bytes(stack_of(["a", "b", "c"], files=["wood.gif", "wood.png", "wood.jpg"]))
    assert run("decode", source, tmp_path / "a").code == 0
    assert below(tmp_path / "a") == {"wood.gif.png", "wood.png", "wood.jpg"}
    assert run("decode", source, tmp_path / "b", "--format", "png").code == 0
    assert below(tmp_path / "b") == {"wood.gif.png", "wood.png", "wood.jpg.png"}


def test_two_groups_of_one_source_both_come_back(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "x.igs"
    source.write_bytes(stack_of(["a", "b"], sources=["one.png", "one.png"]))
    assert run("decode", source, tmp_path / "a").code == 0
    assert below(tmp_path / "a") == {"one.png", "one_2.png"}


def test_mip_chains_that_meet_are_refused(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "x.igs"
    source.write_bytes(stack_of(["a", "b"], files=["t.png", "t.mip1.png"]))
    outcome = run("decode", source, tmp_path / "a", "--mips")
    assert outcome.code == 1
    assert "t.mip1.png" in outcome.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("target", ["precious.png", "not_there.png"])
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_link_in_the_folder_does_not_lead_out(
    run: Run, tmp_path: Path, target: str, overwrite: tuple[str, ...]
) -> None:
    (tmp_path / "precious.png").write_bytes(b"mine")
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "out.igs"
    source.write_bytes(stack_of(["a", "b"]))
    for folder in ("decoded", "batch/out", "exported"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.png").symlink_to(tmp_path / target)
    before = below(tmp_path)
    assert run("decode", source, tmp_path / "decoded", *overwrite).code == 2
    assert run("export", source, tmp_path / "exported", "--to", "png", *overwrite).code == 2
    assert run("batch", "--decode", tmp_path / "in", tmp_path / "batch", *overwrite).code == 9
    assert (tmp_path / "precious.png").read_bytes() == b"mine"
    assert below(tmp_path) == before
