"""What the user does: pointer, wheel, touch and keys, maps and levels, drops, a second picture, faults."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from viewer_page import Viewer, running

import gscodec
from gscodec.viewer.page import EmbeddedFile, viewer_page

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
LADDER = VECTORS / "ladder_coded.igs"


def page_of(folder: Path, *files: Path, second: Path | None = None, figures: str = "") -> str:
    """Address of a page that holds files, without a server."""
    embedded = [EmbeddedFile(path.name, path.read_bytes()) for path in files]
    beside = None if second is None else EmbeddedFile(second.name, second.read_bytes())
    path = folder / "page.html"
    path.write_text(viewer_page(embedded, second=beside, figures=figures), encoding="utf-8")
    return path.as_uri()


def decoded(folder: Path) -> Path:
    """A PNG of what the file decodes to."""
    with gscodec.open(LADDER, grain=False) as image:
        Image.fromarray(np.asarray(image.render())).save(folder / "decoded.png")
    return folder / "decoded.png"


def state(viewer: Viewer) -> dict[str, float]:
    facts: dict[str, float] = viewer.run("const {cx, cy, zoom} = app.view; return {cx, cy, zoom}")
    return facts


def test_a_page_that_holds_its_file_needs_no_server(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path, LADDER))
    viewer.idle()
    assert viewer.text("fault") == ""
    assert viewer.text("name") == LADDER.name
    assert viewer.text("level_text").startswith("LOD 0")
    assert viewer.run("return performance.getEntriesByType('resource').length") == 0
    size = f"{LADDER.stat().st_size / 1000:.1f} KB"
    assert viewer.text("stats").startswith(f"{size} of {size}")


def test_pointer_wheel_and_keys_move_the_view(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path, LADDER))
    viewer.still()
    browser, fitted = viewer.browser, state(viewer)
    browser.mouse("mouseWheel", 180, 150, deltaX=0, deltaY=-120)
    assert state(viewer)["zoom"] > fitted["zoom"]
    viewer.run("app.view.set(40, 40, 8)")
    for kind, x in (("mousePressed", 180), ("mouseMoved", 140), ("mouseReleased", 140)):
        browser.mouse(kind, x, 150, button="left", buttons=1, clickCount=1)
    assert state(viewer)["cx"] == pytest.approx(45)
    browser.press("ArrowLeft")
    assert state(viewer)["cx"] == pytest.approx(37)
    browser.press("1")
    assert state(viewer)["zoom"] == 1
    browser.press("+")
    assert state(viewer)["zoom"] == pytest.approx(1.25)
    browser.press("0")
    assert state(viewer) == fitted


def test_two_fingers_zoom_about_the_point_between_them(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path, LADDER))
    viewer.still()
    viewer.browser.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    viewer.browser.press("h")
    viewer.run("while (app.canvas.height !== innerHeight) await new Promise(requestAnimationFrame)")
    viewer.run("app.view.set(40, 40, 2)")
    before = viewer.run("return app.view.point([180, 100])")
    box = viewer.run("const b = app.canvas.getBoundingClientRect(); return [b.left, b.top]")

    def touch(kind: str, spread: float) -> None:
        points = [{"x": box[0] + 180 + side * spread, "y": box[1] + 100, "id": side + 1} for side in (-1, 1)]
        viewer.browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points if kind != "touchEnd" else [])

    touch("touchStart", 30)
    for spread in (40, 50, 60):
        touch("touchMove", spread)
    touch("touchEnd", 0)
    viewer.browser.call("Emulation.setTouchEmulationEnabled", enabled=False)
    assert state(viewer)["zoom"] == pytest.approx(4, rel=0.05)
    assert viewer.run("return app.view.point([180, 100])") == pytest.approx(before, abs=1)


def test_levels_maps_and_ellipses(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path, VECTORS / "stack.igs"))
    viewer.idle()
    browser = viewer.browser
    pictures = [browser.screenshot()]
    browser.press("e")
    viewer.idle()
    pictures.append(browser.screenshot())
    browser.press("e")
    browser.press("[")
    viewer.idle()
    assert viewer.text("level_text").startswith("LOD 1")
    pictures.append(browser.screenshot())
    browser.press("a")
    browser.press("m")
    viewer.idle()
    assert viewer.run("return document.getElementById('map').selectedOptions[0].textContent") == "color · R"
    pictures.append(browser.screenshot())
    assert len(set(pictures)) == 4
    names = viewer.run("return app.first.scene.selections.map((s) => s.name)")
    assert {"color", "normal_gl", "roughness", "emissive", "data · G", "color · alpha"} <= set(names)
    viewer.run("app.select(app.first.scene.selections.findIndex((s) => s.name === 'height'))")
    assert viewer.run("return document.getElementById('light_box').hidden") is False


def test_two_pictures_along_a_wipe_and_their_difference(viewer: Viewer, tmp_path: Path) -> None:
    picture = decoded(tmp_path)
    viewer.open(page_of(tmp_path, LADDER, second=picture, figures="PSNR 99 dB"))
    viewer.run("app.view.set(app.first.width / 2, app.first.height / 2, 1)")
    viewer.idle()
    assert viewer.text("figures") == "PSNR 99 dB"
    assert [viewer.text("name_a"), viewer.text("name_b")] == [LADDER.name, picture.name]

    def shown() -> np.ndarray:
        viewer.idle()
        with Image.open(io.BytesIO(viewer.browser.screenshot())) as shot:
            whole = np.asarray(shot.convert("RGB")).astype(int)
        left, top, x, y = viewer.run(
            "const b = app.canvas.getBoundingClientRect(), w = app.view.window; return [b.left, b.top, -w.x, -w.y]"
        )
        return whole[round(top + y) :, round(left + x) :][: int(height), : int(width)]

    width, height = viewer.run("return [app.first.width, app.first.height]")
    viewer.browser.press("h")
    viewer.run("app.setMode(0)")
    first = shown()
    viewer.run("app.setMode(1)")
    second = shown()
    assert abs(first - second).max() <= 1  # the PNG is what the file decodes to
    viewer.run("app.gain = 1; app.setMode(3)")
    assert shown().max() <= 8  # no difference is black
    viewer.browser.press("x")
    assert viewer.run("return app.mode") == 2
    viewer.run("app.setWipe(0.25)")
    viewer.idle()
    assert viewer.run("return document.getElementById('divider').getAttribute('aria-valuenow')") == "25"
    viewer.run("app.closeSecond()")
    assert viewer.run("return document.getElementById('compare_box').hidden") is True


def test_dropped_files_are_opened_and_compared(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path))
    assert viewer.run("return document.getElementById('welcome').hidden") is False
    numbers = ",".join(map(str, LADDER.read_bytes()))
    viewer.run(f"await app.dropped([new File([new Uint8Array([{numbers}])], 'dropped.igs')])")
    viewer.idle()
    assert viewer.text("name") == "dropped.igs"
    assert viewer.run("return document.getElementById('welcome').hidden") is True
    numbers = ",".join(map(str, decoded(tmp_path).read_bytes()))
    viewer.run(f"await app.dropped([new File([new Uint8Array([{numbers}])], 'beside.png')])")
    assert viewer.text("name_b") == "beside.png"
    assert viewer.text("fault") == ""


def test_a_damaged_file_is_one_line_and_the_page_goes_on(viewer: Viewer, tmp_path: Path) -> None:
    data = bytearray((VECTORS / "rgb.igs").read_bytes())
    data[70] ^= 1
    (tmp_path / "damaged.igs").write_bytes(data)
    (tmp_path / "good.igs").write_bytes(LADDER.read_bytes())
    (tmp_path / "text.igs").write_bytes(b"this is no picture")
    with running(tmp_path) as server:
        viewer.open(server.url)
        assert (
            viewer.text("fault") == "damaged.igs: ChecksumMismatch: " + viewer.text("fault").partition("Mismatch: ")[2]
        )
        viewer.browser.press("n")
        viewer.show(2)
        assert "is neither an .igs file nor a picture" in viewer.text("fault")
        viewer.show(1)
        viewer.idle()
        assert viewer.text("fault") == ""
        assert viewer.text("name") == "good.igs"


def test_every_control_has_a_name(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path, LADDER))
    viewer.still()
    nodes = viewer.browser.call("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "slider", "combobox", "radio", "img"}
    unnamed = [
        node["role"]["value"]
        for node in nodes
        if node.get("role", {}).get("value") in controls
        and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]
    assert unnamed == []


def test_light_and_dark(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path, LADDER))
    viewer.still()
    light = viewer.run("return app.colours.paper[0]")
    viewer.browser.press("t")
    dark = viewer.run("return app.colours.paper[0]")
    assert light > 0.8
    assert dark < 0.2


def test_of_a_cut_file_the_finest_level_that_is_there_is_shown(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path, VECTORS / "made_cut.igs", VECTORS / "made_ladder_cut.igs"))
    for number, finest in enumerate((1, 4)):
        viewer.show(number)
        viewer.idle()
        assert viewer.text("fault") == ""
        assert viewer.text("level_text").startswith(f"LOD {finest} (cut)")
        viewer.run("app.level(0)")
        viewer.idle()
        assert viewer.run("return app.first.lod") == finest


def test_a_phone_shows_every_control(viewer: Viewer, tmp_path: Path) -> None:
    browser, vectors = (
        viewer.browser,
        [VECTORS / f"{name}.igs" for name in ("coded_rgb", "stack", "coded_hdr", "grain")],
    )
    browser.resize((375, 667))
    viewer.open(page_of(tmp_path, *vectors, second=decoded(tmp_path), figures="PSNR 31.42 dB, SSIMULACRA 2 71.3"))
    fits = (
        "const boxes = [...document.querySelectorAll('.bar :is(button, select, input, output)')].map((e) => [e.id, e]);"
        "const shown = boxes.map(([id, e]) => [id, e.getBoundingClientRect()]).filter(([, b]) => b.width > 0);"
        "return shown.filter(([, b]) => b.left < 0 || b.right > innerWidth || b.bottom > innerHeight).map(([id]) => id)"
    )
    for number in range(len(vectors)):
        viewer.show(number)
        for mode in (2, 3):
            viewer.run(f"app.setMode({mode})")
            viewer.idle()
            assert viewer.run(fits) == []
        assert viewer.run("return app.canvas.clientHeight") > 280
    low = viewer.run(
        "const heights = [...document.querySelectorAll('.bar :is(button, select)')].map((e) => [e.id, e.offsetHeight]);"
        "return heights.filter(([, height]) => height > 0 && height < 36)"
    )
    assert low == []


def test_a_finger_moves_the_divider(viewer: Viewer, tmp_path: Path) -> None:
    browser = viewer.browser
    browser.resize((375, 667))
    viewer.open(page_of(tmp_path, LADDER, second=decoded(tmp_path)))
    viewer.idle()
    x, y = viewer.run(
        "const b = document.querySelector('#divider i').getBoundingClientRect(); return [b.x + 12, b.y + 12]"
    )
    browser.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=1)
    for kind, at in (("touchStart", x), ("touchMove", x - 40), ("touchMove", x - 75), ("touchEnd", None)):
        points = [] if at is None else [{"x": at, "y": y}]
        browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    browser.call("Emulation.setTouchEmulationEnabled", enabled=False)
    assert viewer.run("return app.wipe") == pytest.approx(0.3, abs=0.02)


def test_levels_fade_into_each_other(viewer: Viewer, tmp_path: Path) -> None:
    viewer.open(page_of(tmp_path, LADDER))
    viewer.browser.press("h")
    viewer.run("app.view.set(app.first.width / 2, app.first.height / 2, 1)")
    shown = []
    for level in (4, 0):
        viewer.run(f"app.level({level})")
        viewer.idle()
        shown.append(viewer.display().astype(int))
    coarse, fine = shown
    viewer.run(
        "const { painter } = app.first, { prototype } = painter.constructor; app.level(4);"
        "while (app.scheduled || app.working) await new Promise((go) => setTimeout(go, 5));"
        "app.level(0); painter.swap = () => { prototype.swap.call(painter); painter.fadeFrom = performance.now() - 90;"
        "painter.develop(app.view.window, app.first.lattice, app.look); app.frame = () => {}; }"
    )
    viewer.run("while (app.scheduled) await new Promise((go) => setTimeout(go, 5))")
    half = viewer.display().astype(int)
    apart = abs(coarse - fine) > 20
    assert apart.any()
    low, high = np.minimum(coarse, fine), np.maximum(coarse, fine)
    assert (half[apart] > low[apart] + 2).mean() > 0.99
    assert (half[apart] < high[apart] - 2).mean() > 0.99


def test_without_a_file_there_is_paper_and_keys_do_nothing(viewer: Viewer, tmp_path: Path) -> None:
    browser = viewer.browser
    viewer.open(page_of(tmp_path))
    for dark in (False, True):
        if dark:
            browser.press("t")
        viewer.idle()
        with Image.open(io.BytesIO(browser.screenshot())) as shot:
            pixel = shot.convert("RGB").getpixel((4, 150))
        assert pixel == tuple(round(255 * part) for part in viewer.run("return app.colours.paper"))
    for key in "[]amegxnph0f1+-":
        browser.press(key)
    viewer.run("app.step(1); app.select(1); app.level(0)")
