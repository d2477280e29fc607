"""The page of a blind comparison in a browser: what is shown, flipped, wiped, answered and saved."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import blind
import numpy as np
import pytest
from chromium import Chromium
from gscodec_bench.budget import Search
from gscodec_bench.codecs import Igs, get_codec
from gscodec_bench.crops import data_uri
from gscodec_bench.votes import count, read_answers
from PIL import Image

from gscodec.image.arrays import from_array

SIDE = 24
SECONDS = 30
"""Time that a page has for what a person would wait for."""


def flat(level: float) -> str:
    return data_uri(np.full((SIDE, SIDE, 3), level, np.float32))


def wait(browser: Chromium, condition: str) -> None:
    end = time.monotonic() + SECONDS
    while not browser.evaluate(condition):
        assert time.monotonic() < end, f"not within {SECONDS} s: {condition}; the page reported {browser.errors}"
        time.sleep(0.02)


def seen(browser: Chromium) -> Any:
    """Names of the images that are visible."""
    return browser.evaluate("blind.shown.filter((one) => one.style.visibility === 'visible').map((one) => one.alt)")


@pytest.fixture
def page(browser: Chromium, tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """page(viewer) opens a page of four trials: pictures of a pair are nearly black (0) and nearly white (1)."""
    trials = [{"trial": f"{number}", "source": flat(0.5), "pair": [flat(0.1), flat(0.9)]} for number in range(4)]
    path = tmp_path / "blind.html"
    path.write_text(blind.page_of("ab", trials), encoding="utf-8")

    def opened(viewer: int) -> None:
        browser.open("about:blank")
        browser.open(f"{path.as_uri()}#viewer={viewer}")
        wait(browser, "blind.shown.length === 3")

    browser.errors.clear()
    yield opened
    browser.evaluate("window.blind ? blind.state.saved = true : null")  # or the browser asks before it leaves
    browser.open("about:blank")
    browser.resize((360, 300))
    assert browser.errors == []


def level(browser: Chromium, name: str) -> Any:
    """Red of the first pixel of the shown image of a name."""
    return browser.evaluate(
        f"(() => {{ const image = blind.shown.find((one) => one.alt === '{name}');"
        "const canvas = document.createElement('canvas'), brush = canvas.getContext('2d');"
        "brush.drawImage(image, 0, 0); return brush.getImageData(0, 0, 1, 1).data[0]; })()"
    )


def answer(browser: Chromium, key: str) -> None:
    at = browser.evaluate("blind.state.at")
    browser.press(key)
    wait(browser, f"blind.state.at === {at + 1} && (blind.state.at === 4 || blind.shown.length === 3)")


def test_answers_name_the_picture_that_was_chosen(
    page: Callable[[int], None], browser: Chromium, tmp_path: Path
) -> None:
    sides = set()
    for viewer in (1, 2):
        page(viewer)
        for _ in range(4):
            white = "A" if level(browser, "A") > level(browser, "B") else "B"
            assert {level(browser, "A"), level(browser, "B"), level(browser, "source")} == {26, 128, 230}
            sides.add(white)
            answer(browser, white.lower())
        rows = [line.split(",") for line in browser.evaluate("blind.csv()").splitlines()[1:]]
        assert sorted(row[2] for row in rows) == ["0", "1", "2", "3"]
        assert all(row[:2] == ["ab", str(viewer)] and row[3] == "1" for row in rows)
        assert browser.evaluate("document.getElementById('text').value") == browser.evaluate("blind.csv()")
        browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        browser.evaluate(
            "[...document.querySelectorAll('button')].find((one) => one.textContent === 'Save answers').click()"
        )
        saved, end = tmp_path / f"answers-ab-{viewer}.csv", time.monotonic() + SECONDS
        while not (saved.exists() and saved.stat().st_size):
            assert time.monotonic() < end, "nothing was saved"
            time.sleep(0.02)
        key = {"page": "ab", "trials": {f"{n}": {"category": "flat", "ours": 1} for n in range(4)}}
        assert count(key, read_answers([saved]))["flat"].ours == 4
    assert sides == {"A", "B"}


def test_an_answer_can_be_changed_or_withheld(page: Callable[[int], None], browser: Chromium) -> None:
    page(3)
    answer(browser, "n")
    browser.press("Backspace")
    wait(browser, "blind.state.at === 0 && blind.shown.length === 3")
    assert browser.evaluate("document.querySelector('#answers .on').textContent") == "N  Cannot tell"
    answer(browser, "b")
    answer(browser, "n")
    rows = [line.split(",") for line in browser.evaluate("blind.csv()").splitlines()[1:]]
    assert [row[4] for row in rows] == ["B", ""]
    assert rows[1][3] == "none"


def test_views_and_zoom_by_keys(page: Callable[[int], None], browser: Chromium) -> None:
    page(4)
    assert seen(browser) == ["source", "A", "B"]
    browser.press("2")
    assert seen(browser) == ["A"]
    browser.press(" ")
    assert seen(browser) == ["B"]
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="s", text="s")
    assert seen(browser) == ["source"]
    browser.call("Input.dispatchKeyEvent", type="keyUp", key="s")
    assert seen(browser) == ["B"]
    browser.press("3")
    assert seen(browser) == ["A", "B"]
    assert browser.evaluate("blind.shown[2].style.clipPath") == "inset(0px 0px 0px 50%)"
    browser.press("ArrowRight")
    assert browser.evaluate("blind.state.wipe") == pytest.approx(0.52)
    for scale in (1, 2):  # pixels of the screen, whatever its scale
        browser.resize((360, 300), scale)
        for key, zoom in (("5", 2), ("4", 1)):
            browser.press(key)
            assert browser.evaluate("blind.shown[0].getBoundingClientRect().width") == zoom * SIDE / scale


def test_touch_flicks_and_wipes(page: Callable[[int], None], browser: Chromium) -> None:
    page(5)
    browser.press("5")
    browser.press("3")
    box = browser.evaluate("(({ left, top }) => [left, top])(blind.shown[0].getBoundingClientRect())")
    x, y = box[0] + 12, box[1] + SIDE
    browser.call("Emulation.setTouchEmulationEnabled", enabled=True)
    touch: list[dict[str, float]] = [{"x": x, "y": y}]
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=touch)
    wait(browser, "Math.abs(blind.state.wipe - 0.25) < 0.01")
    browser.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x + 24, "y": y}])
    wait(browser, "Math.abs(blind.state.wipe - 0.75) < 0.01")
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    browser.press("2")
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=touch)
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    wait(browser, "blind.state.side === 1")
    browser.call("Emulation.setTouchEmulationEnabled", enabled=False)


def test_a_page_of_pictures_names_no_codec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    y, x = np.mgrid[0:64, 0:64]
    samples = np.asarray(127 + 90 * np.sin(x / 5 + y / 7)[:, :, None] * [1, 0.5, -1], np.uint8)
    (tmp_path / "photo").mkdir()
    Image.fromarray(samples).save(tmp_path / "photo" / "waves.png")
    (tmp_path / "photo" / "empty.png").write_bytes(b"")
    output, files = tmp_path / "out.html", tmp_path / "files"
    words = [
        "--rate",
        "4",
        "--ours",
        "gscodec:fast:steps2",
        "--rival",
        "webp",
        "--files",
        str(files),
        "-o",
        str(output),
    ]
    assert blind.main([str(tmp_path), *words]) == 0
    assert "left out: photo/empty" in capsys.readouterr().err
    page, key = output.read_text(encoding="utf-8"), json.loads((tmp_path / "out.key.json").read_text(encoding="utf-8"))
    assert not any(name in page for name in ("gscodec", "webp:", "waves", key["rival"] + '"'))
    (trial,) = key["trials"].values()
    ours, theirs = trial["bytes"]
    assert theirs <= ours
    assert trial["category"] == "photo"
    (kept,) = files.iterdir()
    before = kept.stat().st_mtime_ns
    assert blind.main([str(tmp_path), *words]) == 0  # of the files that are there
    assert kept.stat().st_mtime_ns == before
    assert output.read_text(encoding="utf-8") == page
    stack = from_array(samples)
    found = blind.pair_of_files("photo/waves", stack, Igs("fast", steps=2), get_codec("webp"), 4, files)
    assert found is not None
    assert (kept.read_bytes(),) == found[0]
    assert found[1] == Search(get_codec("webp"), stack).largest_within(ours)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ours", "jpeg"], "--ours takes gscodec"),
        (["--rival", "bc7"], "with a dial"),
        (["--crop", "0"], "--crop 0"),
        ([], "no picture is left"),
    ],
)
def test_what_cannot_be_compared_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert blind.main([str(tmp_path), *words, "-o", str(tmp_path / "out.html")]) == 1
    assert message in capsys.readouterr().err
