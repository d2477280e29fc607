"""What a batch never does: call current what is not, lose a source, replace what is not its own."""

import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from quick_batch import QUICK, Painter

from gscodec.batch.back import DecodeState, plan_decode
from gscodec.batch.journal import KEPT, Journal
from gscodec.batch.keys import changed
from gscodec.batch.outcome import Outcome
from gscodec.batch.plan import Manifest, in_shard, make_items, make_plan, read_manifest
from gscodec.batch.pool import Event, Task
from gscodec.batch.run import decode_all, encode_all
from gscodec.batch.state import State
from gscodec.batch.work import Options, read_key
from gscodec.decoding.image import open_igs
from gscodec.encoding.settings import EncodeSettings
from gscodec.image.load import load_image
from gscodec.io import atomic
from gscodec.metrics import psnr

SETTINGS = changed(EncodeSettings(), QUICK, "test")
OPTIONS = Options(threads=1, device="cpu")


def here(tasks: Sequence[Task]) -> Iterator[Event]:
    for number, task in enumerate(tasks):
        yield "begin", number, None
        yield "done", number, task.run(lambda _: None)


def encode(source: Path, target: Path, how: Options = OPTIONS, settings: EncodeSettings = SETTINGS, **more: Any) -> Any:
    items = make_items(Manifest(target, source), settings)
    outcomes = encode_all(items, how, here, State(target), **more)
    return {outcome.name: outcome.status.value for outcome in outcomes}


def decode(source: Path, target: Path, how: Options = OPTIONS, **more: Any) -> dict[str, Outcome]:
    state = DecodeState(target)
    outcomes = decode_all(plan_decode(source, target, state).items, how, here, state, **more)
    return {outcome.name: outcome for outcome in outcomes}


def back(source: Path, target: Path, how: Options = OPTIONS, **more: Any) -> dict[str, str]:
    return {name: outcome.status.value for name, outcome in decode(source, target, how, **more).items()}


def pictures(root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".igs" and not path.name.startswith(".")
    )


# State that lies.


def test_a_source_that_is_replaced_while_it_is_encoded(
    tmp_path: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gscodec.encoding.api

    source, target = tmp_path / "s", tmp_path / "d"
    path = paint(source / "a.png", 1)
    whole = gscodec.encoding.api.encode

    def slow(*arguments: Any, **options: Any) -> Any:
        paint(path, 2)
        return whole(*arguments, **options)

    monkeypatch.setattr(gscodec.encoding.api, "encode", slow)
    assert encode(source, target) == {"a": "encoded"}
    monkeypatch.undo()
    assert encode(source, target) == {"a": "encoded"}
    assert encode(source, target) == {"a": "current"}
    fresh = tmp_path / "fresh"
    assert encode(source, fresh) == {"a": "encoded"}
    assert (target / "a.igs").read_bytes() == (fresh / "a.igs").read_bytes()


def test_a_source_that_is_replaced_while_it_is_read(
    tmp_path: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "s"
    path = paint(source / "a.png", 1)
    reads = []

    def restless(*arguments: Any, **options: Any) -> Any:
        reads.append((arguments, options))
        stack = load_image(path)
        if len(reads) < limit:
            paint(path, 1 + len(reads))
        return stack

    monkeypatch.setattr("gscodec.material.maps.load_source", restless)
    limit = 3
    assert encode(source, tmp_path / "d") == {"a": "encoded"}
    assert len(reads) == 3
    limit = 1000
    paint(path, 500)
    assert encode(source, tmp_path / "d") == {"a": "failed"}
    assert len(reads) < 20


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_damaged_output_is_never_current(tmp_path: Path, paint: Painter, where: float) -> None:
    source, target = tmp_path / "s", tmp_path / "d"
    paint(source / "a.png")
    encode(source, target)
    path = target / "a.igs"
    good, times = path.read_bytes(), path.stat()
    bad = bytearray(good)
    bad[int(where * len(bad))] ^= 1
    for forget in (False, True):  # with the state, and by the file alone
        path.write_bytes(bad)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk does it
        if forget:
            for state in target.glob(".gscodec*"):
                state.unlink()
            if read_key(path) is None and b"key" not in bad:
                continue
        assert encode(source, target) in ({"a": "encoded"}, {"a": "failed"})
        if not forget:
            assert path.read_bytes() == good
    assert encode(source, target, replace(OPTIONS, overwrite=True))["a"] in {"encoded", "current"}
    assert path.read_bytes() == good


def test_an_output_that_is_gone_or_cut_is_made_again(tmp_path: Path, paint: Painter) -> None:
    source, target = tmp_path / "s", tmp_path / "d"
    paint(source / "a.png")
    encode(source, target)
    good = (target / "a.igs").read_bytes()
    (target / "a.igs").unlink()
    assert encode(source, target) == {"a": "encoded"}
    for cut in (0, 10, len(good) // 2):
        (target / "a.igs").write_bytes(good[:cut])
        assert encode(source, target) == {"a": "encoded"}
        assert (target / "a.igs").read_bytes() == good
    (target / "a.igs").write_bytes(b"not one of ours")
    assert encode(source, target) == {"a": "failed"}
    assert (target / "a.igs").read_bytes() == b"not one of ours"


@pytest.mark.parametrize("where", [0.3, 0.7])
def test_a_damaged_cache_entry_is_not_copied_and_is_replaced(tmp_path: Path, paint: Painter, where: float) -> None:
    how = replace(OPTIONS, cache=tmp_path / "cache")
    paint(tmp_path / "s" / "a.png")
    encode(tmp_path / "s", tmp_path / "d1", how)
    (entry,) = (tmp_path / "cache").rglob("*.igs")
    good = entry.read_bytes()
    bad = bytearray(good)
    bad[int(where * len(bad))] ^= 4
    entry.write_bytes(bad)
    assert encode(tmp_path / "s", tmp_path / "d2", how) == {"a": "encoded"}
    assert entry.read_bytes() == good == (tmp_path / "d2" / "a.igs").read_bytes()
    assert encode(tmp_path / "s", tmp_path / "d3", how) == {"a": "copied"}


@pytest.mark.filterwarnings("ignore::gscodec.errors.TargetWarning")
@pytest.mark.parametrize("target", [{"size": 60}, {"psnr": 90.0}])
def test_a_missed_target_is_told_every_time(tmp_path: Path, paint: Painter, target: dict[str, Any]) -> None:
    source, packed, how = tmp_path / "s", tmp_path / "d", replace(OPTIONS, cache=tmp_path / "cache")
    paint(source / "a.png", side=48)
    settings = SETTINGS.changed(target | {"steps": 2, "lods": 5}, "test")
    seen = [encode(source, packed, how, settings) for _ in range(2)]
    (packed / ".gscodec-batch.jsonl").unlink()
    seen.append(encode(source, packed, how, settings))
    seen.append(encode(source, tmp_path / "copy", how, settings))
    seen.append(encode(source, packed, how, settings, trust=True))
    assert seen == [{"a": "missed"}] * 5


def test_a_link_that_leads_to_another_file(tmp_path: Path, paint: Painter) -> None:
    one, two = paint(tmp_path / "one.bmp", 1), paint(tmp_path / "two.bmp", 2)
    for path in (one, two):
        os.utime(path, (1, 1))
    assert one.stat().st_size == two.stat().st_size
    source, target = tmp_path / "s", tmp_path / "d"
    source.mkdir()
    (source / "a.bmp").symlink_to(one)
    assert encode(source, target) == {"a": "encoded"}
    (source / "a.bmp").unlink()
    (source / "a.bmp").symlink_to(two)
    assert encode(source, target) == {"a": "encoded"}
    two.unlink()
    one.rename(two)
    assert encode(source, target) == {"a": "encoded"}


def test_a_renamed_map_comes_back_under_its_new_name(tmp_path: Path, paint: Painter) -> None:
    source, target = tmp_path / "s", tmp_path / "d"
    paint(source / "rock" / "rock_albedo.png", 1)
    paint(source / "rock" / "rock_ao.png", 2)
    assert encode(source, target) == {"rock": "encoded"}
    (source / "rock" / "rock_albedo.png").rename(source / "rock" / "rock_col.png")
    assert encode(source, target) == {"rock": "encoded"}
    assert back(target, tmp_path / "b") == {"rock": "decoded"}
    assert pictures(tmp_path / "b") == ["rock/rock_ao.png", "rock/rock_col.png"]


def test_a_renamed_picture_is_recorded_under_its_new_name(tmp_path: Path, paint: Painter) -> None:
    how = replace(OPTIONS, cache=tmp_path / "cache")
    source, target = tmp_path / "s", tmp_path / "d"
    paint(source / "a.png").rename(source / "a.apng")
    settings = SETTINGS.changed({"bppc": 20.0}, "test")
    assert encode(source, target, how, settings) == {"a": "encoded"}
    (source / "a.apng").rename(source / "a.png")
    assert encode(source, target, how, settings) == {"a": "encoded"}
    with open_igs(target / "a.igs") as image:
        assert image.source_names == {"a.png"}


def test_files_behind_a_folder_or_a_manifest_count(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "m" / "x_albedo.png", 1)
    paint(tmp_path / "m" / "x_ao.png", 2)
    (tmp_path / "m.toml").write_text('[[map]]\nfile = "m/x_albedo.png"\n[[map]]\nfile = "m/x_ao.png"\n')
    listing = tmp_path / "batch.toml"
    listing.write_text(
        'output = "d"\n[[item]]\nname = "one"\nfiles = ["m.toml"]\n[[item]]\nname = "two"\nfiles = ["m"]\n'
    )

    def run() -> Any:
        items = make_items(read_manifest(listing), SETTINGS)
        return {o.name: o.status.value for o in encode_all(items, OPTIONS, here, State(tmp_path / "d"))}

    assert run() == {"one": "encoded", "two": "encoded"}
    assert run() == {"one": "current", "two": "current"}
    paint(tmp_path / "m" / "x_ao.png", 3)
    assert run() == {"one": "encoded", "two": "encoded"}


HEAD = b'{"gscodec":"encodes of a batch","version":2}\n'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"\xff" * 1000,
        HEAD + b"[" * 100_000 + b"\n",
        HEAD + b'[1]\nnull\n{"name":3}\n{"name":"a"}\n{"name":"a","outcome":[]}\n',
        HEAD + b'{"name":"a","settings":"S","sources":3,"digest":{},"paths":{"a":1}}\n',
        HEAD + b"x" * (3 << 20),
        HEAD + b'{"name":"a","outcome":{"n_bytes":1e999,"key":[]}}',
    ],
)
@pytest.mark.parametrize("name", [".gscodec-batch.jsonl", ".gscodec-decode.jsonl"])
def test_hostile_states_cost_only_time(tmp_path: Path, paint: Painter, name: str, content: bytes) -> None:
    source, packed, target = tmp_path / "s", tmp_path / "d", tmp_path / "b"
    paint(source / "a.png")
    for folder in (packed, target):
        folder.mkdir()
        (folder / name).write_bytes(content.replace(b"encodes", b"decodes") if "decode" in name else content)
    assert encode(source, packed) == {"a": "encoded"}
    assert back(packed, target) == {"a": "decoded"}
    assert encode(source, packed) == {"a": "current"}
    assert back(packed, target) == {"a": "current"}


def test_notes_that_name_other_types_are_not_believed(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "s" / "a.png")
    encode(tmp_path / "s", tmp_path / "d")
    path = tmp_path / "d" / ".gscodec-batch.jsonl"
    good = json.loads(path.read_text().splitlines()[-1])
    head = path.read_text().splitlines()[0]
    wrongs: list[dict[str, Any]] = [{"outcome": None}, {"missed": 1}, {"outcome": {}}]
    for wrong in [*wrongs, {"outcome": {**good["outcome"], "n_bytes": "1"}}]:
        path.write_text(f"{head}\n{json.dumps(good | wrong)}\n")
        assert encode(tmp_path / "s", tmp_path / "d") == {"a": "current"}


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_state_that_is_no_file_is_left_alone(tmp_path: Path, paint: Painter, kind: str) -> None:
    source, packed, mine = tmp_path / "s", tmp_path / "d", tmp_path / "mine"
    paint(source / "a.png")
    mine.write_bytes(b"mine\n")
    packed.mkdir()
    path = packed / ".gscodec-batch.jsonl"
    if kind == "link":
        path.symlink_to(mine)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    lines: list[str] = []
    items = make_items(Manifest(packed, source), SETTINGS)
    for status in ("encoded", "current"):
        (outcome,) = encode_all(items, OPTIONS, here, State(packed, lines.append))
        assert outcome.status == status
    assert lines
    assert all("nothing is remembered" in line and "\n" not in line for line in lines)
    assert mine.read_bytes() == b"mine\n"
    assert path.is_symlink() == (kind == "link")
    notes = tmp_path / "b" / ".gscodec-decode.jsonl"
    notes.parent.mkdir()
    notes.symlink_to(mine)
    outcome = decode(packed, tmp_path / "b")["a"]
    assert (outcome.status, mine.read_bytes()) == ("failed", b"mine\n")
    assert "cannot store notes" in outcome.message


def test_two_runs_beside_each_other_lose_no_note(tmp_path: Path, paint: Painter) -> None:
    source, packed = tmp_path / "s", tmp_path / "d"
    for number, name in enumerate("abcd"):
        paint(source / f"{name}.png", number)
    items = make_items(Manifest(packed, source), SETTINGS)
    one, two = State(packed), State(packed)
    encode_all(items[:2], OPTIONS, here, one)
    encode_all(items[2:], OPTIONS, here, two)
    state = State(packed)
    assert all(state.current(item) is not None for item in items)


def test_notes_do_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    journal = Journal(path, "test")
    for number in range(400):
        journal.add({"name": str(number % 3), "value": number})
    assert sorted(notes[-1]["value"] for notes in journal.read().values()) == [397, 398, 399]
    assert len(path.read_bytes().splitlines()) == 1 + 3 * KEPT
    with path.open("ab") as file:
        file.write(b'{"name":"torn')
    journal.add({"name": "next"})
    assert set(journal.read()) == {"0", "1", "2", "next"}
    lines: list[str] = []
    assert set(Journal(path, "other", lines.append).read()) == set()
    assert len(lines) == 1


def test_the_state_of_an_older_version_is_replaced(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "s" / "a.png")
    (tmp_path / "d").mkdir()
    old = tmp_path / "d" / ".gscodec-batch-1-of-2.json"
    old.write_bytes(b"{broken")
    lines: list[str] = []
    State(tmp_path / "d", lines.append, dry=True)
    assert old.exists()
    State(tmp_path / "d", lines.append)
    assert not old.exists()
    assert len(lines) == 1
    assert "older version" in lines[0]


def test_other_code_encodes_anew(tmp_path: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    how = replace(OPTIONS, cache=tmp_path / "cache")
    paint(tmp_path / "s" / "a.png")
    encode(tmp_path / "s", tmp_path / "d", how)
    monkeypatch.setattr("gscodec.encoding.settings.fingerprint", lambda: "0123456789abcdef")
    assert encode(tmp_path / "s", tmp_path / "d", how) == {"a": "encoded"}
    assert len(list((tmp_path / "cache").rglob("*.igs"))) == 2


def test_an_encode_beside_another_takes_its_files_for_its_own(
    tmp_path: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, how = tmp_path / "s", tmp_path / "d", replace(OPTIONS, cache=tmp_path / "cache")
    paint(source / "a.png")
    write = atomic.write_atomic

    def beaten(*arguments: Any, **options: Any) -> None:
        monkeypatch.undo()
        assert encode(source, target, how)["a"] in {"encoded", "copied", "current"}
        write(*arguments, **options)

    for status in ("encoded", "copied"):
        monkeypatch.setattr(atomic, "write_atomic", beaten)
        assert encode(source, target, how) == {"a": status}
        (target / "a.igs").unlink()


# Names.


def test_dots_in_names(tmp_path: Path, paint: Painter) -> None:
    source = tmp_path / "s"
    for number, name in enumerate(("tile.png", "tile.001.png", "tile.001.bmp", "tile.igs.png")):
        paint(source / name, number)
    assert len(encode(source, tmp_path / "d")) == 4
    assert set(back(tmp_path / "d", tmp_path / "b").values()) == {"decoded"}
    assert len(pictures(tmp_path / "b")) == 4
    assert {"tile.png", "tile.igs.png"} <= set(pictures(tmp_path / "b"))
    assert set(back(tmp_path / "d", tmp_path / "b").values()) == {"current"}


@pytest.mark.parametrize(
    "names",
    [
        ("Wood.png", "wood.png"),
        (unicodedata.normalize("NFC", "caf\u00e9.png"), unicodedata.normalize("NFD", "caf\u00e9.png")),
        ("A/x.png", "a/x.png"),
        ("a.png", "a.bmp"),
        ("a.png", "a.PNG"),
        ("wood/oak.png", "wood.png"),
        ("wood.igs/oak.png", "wood.png"),
    ],
)
def test_two_pictures_stay_two(tmp_path: Path, paint: Painter, names: tuple[str, str]) -> None:
    source = tmp_path / "s"
    for number, name in enumerate(names):
        paint(source / name, number)
    outcomes = encode(source, tmp_path / "d")
    assert list(outcomes.values()) == ["encoded", "encoded"]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in outcomes}) == 2
    assert set(back(tmp_path / "d", tmp_path / "b").values()) == {"decoded"}
    decoded = [load_image(tmp_path / "b" / name).samples for name in pictures(tmp_path / "b")]
    assert len(decoded) == 2
    likeness = [[psnr(load_image(source / name).samples, picture) for picture in decoded] for name in names]
    assert {row.index(max(row)) for row in likeness} == {0, 1}


def test_names_that_are_no_text(tmp_path: Path, paint: Painter) -> None:
    source = tmp_path / "s"
    path = paint(source / "x.png", 1)
    path.rename(source / os.fsdecode(b"\xff\n.png"))
    paint(source / "m" / "rock_albedo.png", 2)
    (source / "m").rename(source / os.fsdecode(b"\xfe"))
    outcomes = encode(source, tmp_path / "d")
    assert list(outcomes.values()) == ["encoded", "encoded"]
    assert set(encode(source, tmp_path / "d").values()) == {"current"}
    assert set(back(tmp_path / "d", tmp_path / "b").values()) == {"decoded"}
    assert set(back(tmp_path / "d", tmp_path / "b").values()) == {"current"}
    assert len(pictures(tmp_path / "b")) == 2
    assert in_shard(next(iter(outcomes)), 1, 1)


@pytest.mark.parametrize("kind", ["files", "folder"])
def test_what_becomes_of_nan_is_said_for_every_map(tmp_path: Path, kind: str) -> None:
    samples = np.random.default_rng(0).random((16, 16, 3), np.float32)
    samples[3, 3] = np.nan
    (tmp_path / "m").mkdir()
    for name in ("rock_albedo.tif", "rock_ao.tif"):
        tifffile.imwrite(tmp_path / "m" / name, samples, photometric="rgb")
    listing = tmp_path / "b.toml"
    files = '["m"]' if kind == "folder" else '["m/rock_albedo.tif", "m/rock_ao.tif"]'
    for nan, status in (("error", "failed"), ("zero", "encoded")):
        listing.write_text(f'output = "d"\nnan = "{nan}"\n[[item]]\nname = "rock"\nfiles = {files}\n')
        items = make_items(read_manifest(listing), SETTINGS)
        (outcome,) = encode_all(items, OPTIONS, here, State(tmp_path / "d"))
        assert outcome.status == status, outcome.message


def test_a_material_beside_a_picture_of_its_name(tmp_path: Path, paint: Painter) -> None:
    source = tmp_path / "s"
    for number, name in enumerate(("wood/wood_albedo.png", "wood/wood_rough.png", "wood.png")):
        paint(source / name, number)
    assert encode(source, tmp_path / "d") == {"wood": "encoded", "wood/wood": "encoded"}
    assert set(back(tmp_path / "d", tmp_path / "b").values()) == {"decoded"}
    assert pictures(tmp_path / "b") == ["wood.png", "wood/wood/wood_albedo.png", "wood/wood/wood_rough.png"]
    paint(source / "wood/wood.png", 7)
    assert len(encode(source, tmp_path / "d")) == 3


def test_igs_files_that_differ_in_case_alone(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "s" / "x.png")
    encode(tmp_path / "s", tmp_path / "d")
    data = (tmp_path / "d" / "x.igs").read_bytes()
    for name in ("x.png.igs", "X.igs"):
        (tmp_path / "d" / name).write_bytes(data)
    assert set(back(tmp_path / "d", tmp_path / "b").values()) == {"decoded"}
    assert len({name.casefold() for name in pictures(tmp_path / "b")}) == 3


# Decodes that replace nothing but their own.


def test_a_decode_among_the_sources_leaves_them_alone(tmp_path: Path, paint: Painter) -> None:
    folder = tmp_path / "a"
    for number, name in enumerate(("x.png", "rock/rock_albedo.png", "rock/rock_ao.png")):
        paint(folder / name, number)
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    assert set(encode(folder, folder).values()) == {"encoded"}
    for how in (OPTIONS, replace(OPTIONS, overwrite=True)):
        outcomes = decode(folder, folder, how)
        assert [outcome.status.value for outcome in outcomes.values()] == ["failed", "failed"]
        assert "is a source of x; name another folder" in outcomes["x"].message
        assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_decode_onto_the_sources_elsewhere(tmp_path: Path, paint: Painter, overwrite: bool) -> None:
    path = paint(tmp_path / "a" / "x.png")
    before = path.read_bytes()
    encode(tmp_path / "a", tmp_path / "b")
    assert back(tmp_path / "b", tmp_path / "a", replace(OPTIONS, overwrite=overwrite)) == {"x": "failed"}
    (tmp_path / "c").symlink_to("a")
    assert back(tmp_path / "b", tmp_path / "c", replace(OPTIONS, overwrite=overwrite)) == {"x": "failed"}
    assert path.read_bytes() == before


def test_a_file_of_somebody_is_replaced_when_that_is_asked_for(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "s" / "x.png")
    encode(tmp_path / "s", tmp_path / "d")
    path = tmp_path / "b" / "x.png"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    outcome = decode(tmp_path / "d", tmp_path / "b")["x"]
    assert (outcome.status, path.read_bytes()) == ("failed", b"mine")
    assert "was not written by a decode of x; use --overwrite" in outcome.message
    assert back(tmp_path / "d", tmp_path / "b", replace(OPTIONS, overwrite=True)) == {"x": "decoded"}
    assert back(tmp_path / "d", tmp_path / "b") == {"x": "current"}
    path.write_bytes(b"edited")
    assert back(tmp_path / "d", tmp_path / "b") == {"x": "failed"}
    assert path.read_bytes() == b"edited"


def test_what_a_decode_wrote_it_replaces(tmp_path: Path, paint: Painter) -> None:
    source, packed, target = tmp_path / "s", tmp_path / "d", tmp_path / "b"
    paint(source / "x.png", 1)
    encode(source, packed)
    assert back(packed, target) == {"x": "decoded"}
    first = (target / "x.png").read_bytes()
    (target / ".gscodec-decode.jsonl").unlink()
    assert back(packed, target) == {"x": "current"}  # by its bytes
    paint(source / "x.png", 2)
    encode(source, packed)
    assert back(packed, target) == {"x": "decoded"}
    second = (target / "x.png").read_bytes()
    assert second != first
    os.utime(target / "x.png", (1, 1))
    assert back(packed, target) == {"x": "current"}
    (target / "x.png").unlink()
    assert back(packed, target) == {"x": "decoded"}
    assert (target / "x.png").read_bytes() == second


def test_a_kill_between_the_note_and_the_picture_costs_nothing(
    tmp_path: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, packed, target = tmp_path / "s", tmp_path / "d", tmp_path / "b"
    paint(source / "x.png", 1)
    encode(source, packed)
    back(packed, target)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for seed in (2, 3):
        paint(source / "x.png", seed)
        encode(source, packed)
        monkeypatch.setattr("gscodec.io.atomic.write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            back(packed, target)
        monkeypatch.undo()
    assert back(packed, target) == {"x": "decoded"}


def test_a_decode_beside_another_takes_its_pictures_for_its_own(
    tmp_path: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, packed, target = tmp_path / "s", tmp_path / "d", tmp_path / "b"
    paint(source / "x.png", 1)
    encode(source, packed)
    state = DecodeState(target)
    plan = plan_decode(packed, target, state)  # of a run that is slow
    assert back(packed, target) == {"x": "decoded"}
    assert [outcome.status for outcome in decode_all(plan.items, OPTIONS, here, state)] == ["current"]
    plan = plan_decode(packed, target, state)
    paint(source / "x.png", 2)
    encode(source, packed)
    assert back(packed, target) == {"x": "decoded"}
    paint(source / "x.png", 3)
    encode(source, packed)
    assert [outcome.status for outcome in decode_all(plan.items, OPTIONS, here, state)] == ["decoded"]
    (target / "x.png").unlink()
    write = atomic.write_atomic

    def beaten(*arguments: Any, **options: Any) -> None:
        monkeypatch.undo()
        assert back(packed, target) == {"x": "decoded"}
        write(*arguments, **options)

    monkeypatch.setattr(atomic, "write_atomic", beaten)
    assert back(packed, target) == {"x": "decoded"}
    assert back(packed, target) == {"x": "current"}


def test_an_item_is_not_another_of_the_same_path(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "s" / "x.png", 1)
    paint(tmp_path / "t" / "x.png", 2)
    encode(tmp_path / "s", tmp_path / "d")
    encode(tmp_path / "t", tmp_path / "e")
    assert back(tmp_path / "d", tmp_path / "b") == {"x": "decoded"}
    before = (tmp_path / "b" / "x.png").read_bytes()
    assert back(tmp_path / "e", tmp_path / "b") == {"x": "failed"}
    assert (tmp_path / "b" / "x.png").read_bytes() == before
    (tmp_path / "moved").mkdir()
    for name in ("d", "b"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    assert back(tmp_path / "moved" / "d", tmp_path / "moved" / "b") == {"x": "current"}


def test_links_lead_no_output_out_of_its_folder(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "s" / "a" / "x.png")
    paint(tmp_path / "s" / "y.png")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "y").write_bytes(b"mine")
    packed, target = tmp_path / "d", tmp_path / "b"
    for folder in (packed, target):
        folder.mkdir()
        (folder / "a").symlink_to(elsewhere)
    (packed / "y.igs").symlink_to(elsewhere / "y")
    (target / "y.png").symlink_to(elsewhere / "y")
    assert encode(tmp_path / "s", packed, replace(OPTIONS, overwrite=True)) == {"a/x": "failed", "y": "failed"}
    encode(tmp_path / "s", tmp_path / "good")
    assert back(tmp_path / "good", target, replace(OPTIONS, overwrite=True)) == {"a/x": "failed", "y": "failed"}
    assert [path.name for path in elsewhere.iterdir()] == ["y"]
    assert (elsewhere / "y").read_bytes() == b"mine"


def test_an_output_that_leads_to_a_source(tmp_path: Path, paint: Painter) -> None:
    folder = tmp_path / "s"
    path = paint(folder / "x.png")
    before = path.read_bytes()
    (folder / "x.igs").symlink_to("x.png")
    assert encode(folder, folder, replace(OPTIONS, overwrite=True)) == {"x": "failed"}
    assert path.read_bytes() == before


def test_profiles_go_with_colours_alone(tmp_path: Path, paint: Painter) -> None:
    from PIL import Image, ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = tmp_path / "s"
    for number, name in enumerate(("rock_col", "rock_nor", "rock_rough")):
        path = paint(source / "rock" / f"{name}.png", number)
        with Image.open(path) as image:
            image.convert("L" if name == "rock_rough" else "RGB").save(
                path, icc_profile=profile if name == "rock_col" else None
            )
    encode(source, tmp_path / "d")
    back(tmp_path / "d", tmp_path / "b")
    kept = {}
    for name in pictures(tmp_path / "b"):
        with Image.open(tmp_path / "b" / name) as image:
            kept[name] = image.info.get("icc_profile")
    assert kept == {"rock/rock_col.png": profile, "rock/rock_nor.png": None, "rock/rock_rough.png": None}


# What is left out is named.


def test_what_is_left_out_is_named(tmp_path: Path, paint: Painter) -> None:
    source = tmp_path / "s"
    for name in ("a.gif", "b.png", "c.ppm", "d.jpg"):
        paint(source / name)
    (source / "c.ppm").rename(source / "c.pbm")
    (source / "d.jpg").rename(source / "d.jpe")
    paint(tmp_path / "other" / "x.png")
    (source / "linked").symlink_to(tmp_path / "other")
    (source / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(source / "pipe.png")
    paint(source / "odd.png").rename(source / "odd.dat")
    (source / "layers.psd").write_bytes(b"8BPS" + bytes(20))
    (source / "old.tga").write_bytes(bytes(20))
    (source / "readme.txt").write_text("BM, P1 and RIFF")
    (source / "page.svg").write_text("<svg/>")
    plan = make_plan(Manifest(tmp_path / "d", source), SETTINGS)
    assert [item.name for item in plan.items] == ["a", "b", "c", "d"]
    named = {line.partition(":")[0]: line for line in plan.left_out}
    assert set(named) == {"linked", "gone.png", "pipe.png", "odd.dat", "layers.psd", "old.tga", "page.svg"}
    assert "link to a folder" in named["linked"]
    assert "is PNG by its content" in named["odd.dat"]
    assert "Photoshop pictures are not read" in named["layers.psd"]


def test_folders_that_link_in_circles(tmp_path: Path, paint: Painter) -> None:
    source = tmp_path / "s"
    paint(source / "a" / "x.png")
    (source / "a" / "again").symlink_to("..")
    plan = make_plan(Manifest(tmp_path / "d", source), SETTINGS)
    assert [item.name for item in plan.items] == ["a/x"]
    assert plan.left_out[0].startswith("a/again: is a link")
