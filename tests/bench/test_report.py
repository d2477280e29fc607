import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gscodec_bench.codecs import get_codec
from gscodec_bench.command import main
from gscodec_bench.crops import choose, data_uri, error_map
from gscodec_bench.matched import nearest_size
from gscodec_bench.report import to_html
from PIL import Image

from gscodec.cli.exit import ExitCode
from gscodec.image.arrays import from_array

Waves = Callable[..., npt.NDArray[np.uint8]]


def decoded(uri: str) -> npt.NDArray[np.uint8]:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image)


def test_crops_are_the_busiest_and_the_median_window() -> None:
    samples = np.zeros((300, 500, 3), np.float32)
    samples[160:290, 10:140] = np.random.default_rng(0).random((130, 130, 1), np.float32)
    samples[:, 300:] = np.linspace(0, 1, 200, dtype=np.float32)[None, :, None]
    busiest, typical = choose(samples, side=100)
    assert (busiest.title, busiest.width, busiest.height) == ("most detail", 100, 100)
    assert 100 <= busiest.y <= 200
    assert busiest.x <= 50
    assert busiest.of(samples).shape == (100, 100, 3)
    assert (typical.x, typical.y) != (busiest.x, busiest.y)
    assert [crop.width for crop in choose(samples[:50, :60])] == [60]


def test_an_error_map_is_black_without_error_and_white_from_a_quarter_on() -> None:
    source = np.zeros((1, 4, 3), np.float32)
    other = source.copy()
    other[0, 1:, 1] = (0.125, 0.25, 0.9)
    assert error_map(source, other).tolist() == [[0, 128, 255, 255]]


def test_pictures_in_the_page_are_lossless(waves: Waves) -> None:
    samples = waves(20, 30, 3)
    assert np.array_equal(decoded(data_uri((samples / 255).astype(np.float32))), samples)
    gray = decoded(data_uri(waves(20, 30, 1)))
    assert np.array_equal(gray[:, :, 0], waves(20, 30, 1)[:, :, 0])


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "jxl"])
def test_a_dial_is_turned_to_a_size(name: str, waves: Waves) -> None:
    stack, codec = from_array(waves(96, 120, 3)), get_codec(name)
    wanted = len(codec.encode(stack, codec.dial(0.4) or ""))
    found = nearest_size(codec, stack, wanted)
    assert found is not None
    assert len(found[1][0]) == pytest.approx(wanted, rel=0.03)
    assert (codec.encode(stack, found[0]),) == found[1]
    assert nearest_size(get_codec("bc1"), stack, 1000) is None


def test_markdown_becomes_html() -> None:
    markdown = "# T <x>\n\nOne `code`\nline.\n\n    a & b\n\n| h | k |\n|---|---|\n| 1 | 2 |\n\n- p\n- q\n"
    assert to_html(markdown).split("\n") == [
        "<h1>T &lt;x&gt;</h1>",
        "<p>One <code>code</code> line.</p>",
        "<pre>a &amp; b</pre>",
        "<table><tr><th>h</th><th>k</th></tr><tr><td>1</td><td>2</td></tr></table>",
        "<ul><li>p</li><li>q</li></ul>",
    ]


def test_the_page_stands_alone_and_shows_equal_bytes(gallery: Path, tmp_path: Path) -> None:
    ours = "gscodec:fast:lods1:steps2"
    words = [str(gallery / "photo"), "--output", str(tmp_path), "--quick", "-q", "-j", "1"]
    words += ["--codecs", f"{ours},jpeg,webp", "--rates", "2", "--metrics", "psnr"]
    assert main(words) == ExitCode.OK
    page = (tmp_path / "rd.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "{{" not in page
    assert page.count('<section class="viewer">') == 1  # a picture of 70x90 px has room for one window
    captions = re.findall(r"<figcaption><b>(.*?)</b><br>(.*?)</figcaption>", page)
    assert [name.split()[0] for name, _ in captions] == ["source", ours, "jpeg", "webp"]
    rates = [float(about.split()[0]) for _, about in captions[1:]]
    assert max(rates) < 1.15 * min(rates)
    pictures = re.findall(r'src="(data:image/webp[^"]+)"', page)
    with Image.open(gallery / "photo" / "one.png") as image:
        assert np.array_equal(decoded(pictures[0]), np.asarray(image))
    assert len(re.findall('data-error="data:image/webp', page)) == 3
    svg = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert base64.b64decode(svg[0]) == (tmp_path / "rd-psnr.svg").read_bytes()


def test_a_stack_is_shown_map_by_map(gallery: Path, tmp_path: Path) -> None:
    ours = "gscodec:fast:lods1:steps2"
    words = [str(gallery / "rock"), "--output", str(tmp_path), "--suite", "stacks", "-q", "-j", "1"]
    assert main([*words, "--codecs", f"{ours},jpeg,bc1", "--rates", "0.5", "--metrics", "psnr"]) == ExitCode.OK
    page = (tmp_path / "stacks.html").read_text()
    assert re.findall(r"<h3>(.*?): most", page) == ["rock, albedo", "rock, normal"]
    captions = re.findall(r"<figcaption><b>(.*?)</b><br>(.*?)</figcaption>", page)
    assert [name.split()[0] for name, _ in captions] == ["source", ours, "bc1", "jpeg"] * 2
    rates = [float(about.split()[0]) for name, about in captions if name != "source"]
    assert all("bppc" in about for name, about in captions if name != "source")
    assert max(rates) < 1.6 * min(rates)
