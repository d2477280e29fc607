from pathlib import Path

import pytest
from gscodec_bench.guard import compare

from gscodec.errors import FileAccessError, InvalidArgument

HEAD = "image,codec,setting,bytes,psnr,encode_s\n"
KEY = ("image", "codec", "setting")


def new(psnr: float, n_bytes: int, image: str = "a") -> dict[str, str]:
    keys = {"image": image, "codec": "c", "setting": "0.2"}
    return keys | {"bytes": str(n_bytes), "psnr": str(psnr), "encode_s": "3"}


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    path = tmp_path / "check.csv"
    path.write_text(HEAD + "a,c,0.2,1000,30.000,1.5\n")
    return path


@pytest.mark.parametrize(
    ("psnr", "n_bytes", "lost"),
    [(30.0, 1000, False), (29.9, 1010, False), (29.89, 1000, True), (33.0, 1011, True), (30.5, 900, False)],
)
def test_a_loss_is_a_tenth_of_a_db_or_a_hundredth_of_the_bytes(
    committed: Path, psnr: float, n_bytes: int, lost: bool
) -> None:
    ((change,), missing) = compare([new(psnr, n_bytes)], committed, KEY)
    assert change.lost is lost
    assert missing == []
    assert str(change).startswith("LOST" if lost else "ok")
    assert "encode time x2.00" in str(change)


def test_rows_that_were_not_measured_are_named(committed: Path) -> None:
    changes, missing = compare([new(30, 1000, "b")], committed, KEY)
    assert changes == []
    assert missing == ["a c 0.2"]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="cannot be read"):
        compare([], tmp_path / "none.csv", KEY)
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InvalidArgument, match="not a table of results"):
        compare([], tmp_path / "t.csv", KEY)
