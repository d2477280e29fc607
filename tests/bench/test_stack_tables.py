import pytest
from gscodec_bench.stack_tables import maps_of, stack_sections, with_map_columns

Row = dict[str, str]


def row(codec: str, setting: str, psnr: float, maps: str, angle: float) -> Row:
    figures = {"psnr": str(psnr), "ssim": str(psnr / 100), "normal_deg": str(angle), "group_psnr": maps}
    return {"image": "rock", "category": "stack", "codec": codec, "setting": setting, "bppc": setting} | figures


ROWS = [
    row("gscodec:fast", "0.1", 30.0, "albedo=28.000;ao=40.000", 4.0),
    row("gscodec:fast:maps", "0.1", 27.5, "albedo=29.000;ao=inf", 5.5),
    row("gscodec:fast", "0.2", 33.0, "albedo=31.000;ao=41.000", 3.0),
    row("bc7", "0.05", 20.0, "albedo=20.000;ao=20.000", 9.0),
    row("bc7", "0.2", 24.0, "albedo=24.000;ao=24.000", 7.0),
]


def test_maps_become_columns() -> None:
    wide = with_map_columns(ROWS[0])
    assert maps_of([wide]) == ["albedo", "ao", "mean"]
    assert (wide["psnr of albedo"], wide["psnr of mean"]) == ("28.000", "34.000")
    assert "psnr of ao" not in with_map_columns(ROWS[1])
    assert with_map_columns(ROWS[1])["psnr of mean"] == ""


def test_one_geometry_is_held_to_a_file_a_map_at_equal_bytes() -> None:
    text = "\n".join(stack_sections(ROWS, (0.1, 0.2)))
    assert "| rock | 0.1 | +2.50 | - | -1.00 | - | -1.50 |" in text
    assert "| mean of 1 | 0.1 | +2.50 | - |  |  |  |" in text
    assert "| rock | 0.2 |" not in text


@pytest.mark.parametrize(
    "line",
    [
        "| gscodec:fast | 30.00 | 28.00 | 40.00 | 0.3000 | 4.00 |",
        "| gscodec:fast:maps | 27.50 | 29.00 | - | 0.2750 | 5.50 |",
        "| bc7 | 24.00 | 24.00 | 24.00 | 0.2400 | 7.00 |",
    ],
)
def test_every_map_has_its_psnr(line: str) -> None:
    assert line in "\n".join(stack_sections(ROWS, (0.1, 0.2))).splitlines()


def test_without_a_pair_there_is_no_comparison() -> None:
    assert "One geometry" not in "\n".join(stack_sections(ROWS[3:], (0.2,)))
