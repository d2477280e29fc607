import pytest
import typer

from gscodec.cli._values import human_bytes, parse_byte_size, parse_dimensions, parse_point, parse_region


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("12345", 12345),
        ("10k", 10_000),
        ("10K", 10_000),
        ("10KB", 10_000),
        ("10KiB", 10_240),
        ("1MiB", 1 << 20),
        ("1.5MB", 1_500_000),
        ("2 GiB", 2 << 30),
        ("500b", 500),
    ],
)
def test_byte_sizes(text: str, size: int) -> None:
    assert parse_byte_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-5", "ten", "10x", "1e3", "0.2", "i", "5i", "9" * 400])
def test_bad_byte_sizes(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_byte_size(text)


def test_points() -> None:
    assert parse_point("120.5,88") == (120.5, 88.0)
    assert parse_point(" 1   2\n") == (1.0, 2.0)
    assert parse_point("-1, 2e1") == (-1.0, 20.0)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,1", "1,inf"])
def test_bad_points(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="not a point"):
        parse_point(text)


def test_regions_and_dimensions() -> None:
    region = parse_region("1,2,30,40")
    assert (region.x, region.y, region.width, region.height) == (1, 2, 30, 40)
    size = parse_dimensions("640x480")
    assert (size.height, size.width) == (480, 640)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "-1,0,2,2", "0,0,0,2", "0,0,2,0", "1.5,0,2,2"])
def test_bad_regions(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="not a region"):
        parse_region(text)


@pytest.mark.parametrize("text", ["", "640", "640x", "0x5", "5x0", "-1x5", "1.5x2", "640*480"])
def test_bad_dimensions(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="not a size"):
        parse_dimensions(text)


def test_human_bytes() -> None:
    assert [human_bytes(size) for size in (999, 9_999, 12_345, 2_500_000)] == [
        "999 bytes",
        "9999 bytes",
        "12.3 kB",
        "2.50 MB",
    ]
