from pathlib import Path

import pytest
from gscodec_bench.table import ResultTable, as_text, number

from gscodec.errors import InvalidArgument

FIELDS = ("image", "setting", "psnr", "source_sha256", "codec_version")
KEY = ("image", "setting")
STAMPS = {"source_sha256": "s1", "codec_version": "v1"}


def open_table(path: Path) -> ResultTable:
    return ResultTable(path, FIELDS, KEY)


def row(image: str, setting: object, psnr: float = 30.0) -> dict[str, object]:
    return {"image": image, "setting": setting, "psnr": psnr} | STAMPS


def test_rows_are_on_disk_at_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.csv"
    table = open_table(path)
    table.add(row("a", 10))
    assert path.read_text() == "image,setting,psnr,source_sha256,codec_version\na,10,30,s1,v1\n"
    again = open_table(path)
    assert again.rows == table.rows
    assert again.knows({"image": "a", "setting": 10}, STAMPS)
    assert not again.knows({"image": "a", "setting": 20}, STAMPS)


def test_another_source_or_version_is_measured_again(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.csv")
    table.add(row("a", 1))
    key = {"image": "a", "setting": "1"}
    assert not table.knows(key, STAMPS | {"codec_version": "v2"})
    assert table.knows(key, STAMPS | {"codec_version": "v2"}, any_version=True)
    assert not table.knows(key, STAMPS | {"source_sha256": "s2"}, any_version=True)
    table.add(row("a", 1, 33.0) | {"codec_version": "v2"})
    assert [(r["psnr"], r["codec_version"]) for r in open_table(table.path).rows] == [("33", "v2")]
    assert len(table.path.read_text().splitlines()) == 3
    table.tidy()
    assert table.path.read_text().splitlines()[1:] == ["a,1,33,s1,v2"]


def test_half_a_line_of_a_killed_run_is_forgotten(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.csv")
    table.add(row("a", 1))
    table.add(row("b", 1))
    whole = table.path.read_text()
    for cut in range(whole.index("b,1"), len(whole)):
        table.path.write_text(whole[:cut])
        again = open_table(table.path)
        assert [r["image"] for r in again.rows] == ["a"], cut
        again.add(row("c", 1))
        assert [r["image"] for r in open_table(table.path).rows] == ["a", "c"], cut


def test_the_tidy_order_is_a_persons(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.csv")
    for setting in ("etc1s-64", "10", "0.5", "2", "0.25", "etc1s-255"):
        table.add(row("a", setting))
    table.tidy()
    settings = ["0.25", "0.5", "2", "10", "etc1s-64", "etc1s-255"]
    assert [r["setting"] for r in open_table(table.path).rows] == settings
    before = table.path.read_bytes()
    open_table(table.path).tidy()
    assert table.path.read_bytes() == before


def test_commas_and_line_ends_in_cells_survive(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.csv")
    table.add(row('a, "b"', "x"))
    assert open_table(table.path).rows[0]["image"] == 'a, "b"'


def test_other_columns_are_refused(tmp_path: Path) -> None:
    open_table(tmp_path / "t.csv").add(row("a", 1))
    for other in (FIELDS[1:], (*FIELDS[:2], *FIELDS[3:]), (*FIELDS[:2], "ssim", *FIELDS[3:])):
        with pytest.raises(InvalidArgument, match="other columns"):
            ResultTable(tmp_path / "t.csv", other, KEY[1:])


def test_cells() -> None:
    assert [as_text(value) for value in (None, 0.1, 3, "x", 1 / 3)] == ["", "0.1", "3", "x", "0.333333"]
    assert number({"a": "", "b": "1.5"}, "a") is None
    assert number({"a": "", "b": "1.5"}, "b") == 1.5
    assert number({}, "c") is None


def test_a_table_of_an_earlier_version_gets_its_new_columns(tmp_path: Path) -> None:
    open_table(tmp_path / "t.csv").add(row("a", 1))
    wider = ("image", "setting", "psnr", "log_psnr", "source_sha256", "codec_version")
    table = ResultTable(tmp_path / "t.csv", wider, KEY)
    assert table.knows({"image": "a", "setting": 1}, STAMPS)
    table.add(row("b", 1) | {"log_psnr": 40.0})
    assert [(r["image"], r["log_psnr"]) for r in ResultTable(tmp_path / "t.csv", wider, KEY).rows] == [
        ("a", ""),
        ("b", "40"),
    ]
