from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from gscodec_bench import plots, tables
from gscodec_bench.table import Row
from PIL import Image


def row(image: str, codec: str, setting: str, bpp: float, psnr: float) -> Row:
    category = "photo" if image < "c" else "art"
    keys = {"image": image, "category": category, "codec": codec, "setting": setting}
    return keys | {"bpp": f"{bpp}", "psnr": f"{psnr}", "flip": f"{3 / psnr}", "encode_s": "2", "decode_ms": ""}


ROWS = [
    *(row(image, "jpeg", str(q), 0.1 * 2**q, 25.0 + 2 * q) for image in "abc" for q in range(4)),
    *(row(image, "bc7", f"mip{m}", 8 / 4**m, 44.0 - 5 * m) for image in "abc" for m in range(2)),
    *(row(image, "gscodec:fast", f"{bpp}", bpp, 30.0) for image in "ab" for bpp in (0.2,)),
    row("c", "gscodec:fast", "0.2", 0.2, 26.5),
]


def cells(lines: list[str], first: str) -> list[str]:
    """Cells of the first table row that begins with these."""
    return next(
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith(f"| {first}")
    )


def test_quality_is_read_off_curves_by_category() -> None:
    lines = tables.quality_at_rates(ROWS, "psnr", "bpp", (0.2, 100.0), 2)
    assert cells(lines, "codec") == ["codec", "photo", "art", "all"]
    assert cells(lines, "jpeg") == ["jpeg", "27.00", "27.00", "27.00"]
    assert cells(lines, "gscodec:fast") == ["gscodec:fast", "30.00", "26.50", "28.83"]
    assert cells(lines, "bc7")[1:] == ["-", "-", "-"]
    assert not any("100" in line for line in lines)


def test_errors_are_read_off_the_right_way_up() -> None:
    lines = tables.quality_at_rates(ROWS, "flip", "bpp", (0.2,), 3)
    assert cells(lines, "jpeg")[1] == f"{3 / 27:.3f}"


def test_losses_stand_beside_wins() -> None:
    lines = tables.leads(ROWS, "psnr", "bpp")
    assert cells(lines, "0.2 | jpeg") == ["0.2", "jpeg", "+3.00", "-0.50", "+1.83"]
    assert not any("bc7" in line for line in lines)  # it has no point there


def test_means_say_of_how_many() -> None:
    assert tables.mean_cell([1.0, None, 2.0]) == "1.50 (2 of 3)"
    assert tables.mean_cell([None]) == "-"
    assert tables.mean_cell([1.0], signed=True) == "+1.00"


def test_deltas_are_means_of_the_pictures() -> None:
    rows = [*ROWS, *(row(image, "webp", str(q), 0.08 * 2**q, 25.0 + 2 * q) for image in "abc" for q in range(4))]
    found = {(d["codec"], d["category"]): d for d in tables.deltas(rows, "psnr", "bpp", "jpeg")}
    assert float(found["webp", "all"]["bd_rate_percent"]) == pytest.approx(-20.0, abs=0.01)
    assert float(found["webp", "photo"]["bd_quality"]) == pytest.approx(2 * np.log2(1.25), abs=0.01)
    assert found["gscodec:fast", "all"]["bd_rate_percent"] == ""  # one point is no curve
    assert ("jpeg", "all") not in found
    lines = tables.delta_tables(list(found.values()))
    assert cells(lines, "webp")[3] == "-20 % / +0.64"
    assert cells(lines, "gscodec:fast")[1] == "-"


def test_costs_are_medians() -> None:
    assert cells(tables.costs(ROWS), "jpeg") == ["jpeg", "2.00", "-", "-", "-"]


def test_plots_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    paths = plots.rate_distortion(ROWS, "psnr", "bpp", tmp_path / "one")
    again = plots.rate_distortion(ROWS, "psnr", "bpp", tmp_path / "two")
    assert [path.suffix for path in paths] == [".svg", ".png"]
    for first, second in zip(paths, again, strict=True):
        assert first.read_bytes() == second.read_bytes()
    text = paths[0].read_text()
    ET.fromstring(text)
    for word in ("photo (2)", "art (1)", "all (3)", "gscodec:fast", "jpeg", "PSNR"):
        assert word in text
    with Image.open(paths[1]) as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
