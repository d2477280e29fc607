"""What the browser draws, level by level, beside what the engine decodes."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from viewer_page import Viewer, running
from viewer_reference import Float32Array, available_lods, features, in_codes

import gscodec
from gscodec.model.channels import channel_spans

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"


def check_levels(viewer: Viewer, path: Path, region: tuple[int, int, int, int], most_undecided: float) -> None:
    """Compare each map that the viewer offers, at each level that the file holds."""
    x, y, width, height = region
    selections = viewer.run("return app.first.scene.selections.map(({channels, part}) => ({channels, part: !!part}))")
    for number, selection in enumerate(selections):
        if selection["part"]:
            continue
        viewer.run(f"app.select({number})")
        channels = selection["channels"]
        for lod in available_lods(path):
            values = viewer.values(lod, (height, width), (x, y))
            error = in_codes(values, features(path, lod, region), path, channels)
            # The specification leaves out points where rounding decides which of two Gaussians is the K-th nearest.
            assert (error > 1).mean() < most_undecided, f"{path.name}, LOD {lod}, channels {channels}"


def test_every_level_of_every_profile(viewer: Viewer) -> None:
    with running(VECTORS) as server:
        viewer.open(server.url)
        viewer.still()
        profiles = set()
        for number, file in enumerate(server.served):
            path = Path(file.source)
            if path.parent != VECTORS:  # those in folders are refused
                continue
            viewer.show(number)
            assert viewer.text("fault") == ""
            profiles.add(viewer.run("return app.first.scene.info.profile"))
            if path.stem == "channels_64":  # 64 maps of one channel: one in eight
                viewer.run("app.first.scene.selections = app.first.scene.selections.filter((_, i) => i % 8 === 3)")
            width, height = viewer.run("return [app.first.width, app.first.height]")
            check_levels(viewer, path, (0, 0, min(width, 128), min(height, 128)), 1e-9)
    assert profiles == {"f16", "packed", "coded", "small"}


def test_every_sample(viewer: Viewer, sample_files: Path) -> None:
    with running(sample_files) as server:
        viewer.open(server.url)
        viewer.still()
        for number, file in enumerate(server.served):
            viewer.show(number)
            width, height = viewer.run("return [app.first.width, app.first.height]")
            check_levels(viewer, Path(file.source), (width // 3, height // 3, 80, 64), 1e-3)


def test_the_canvas_shows_the_codes_of_decode(viewer: Viewer) -> None:
    path = VECTORS / "ladder_coded.igs"
    with gscodec.open(path) as image:
        decoded = [np.asarray(image.render(lod=lod)) for lod in image.available_lods]
    with running(path) as server:
        viewer.open(server.url)
        viewer.browser.press("h")
        for lod, expected in enumerate(decoded):
            viewer.run(f"app.level({lod}); app.view.set(app.first.width / 2, app.first.height / 2, 1)")
            viewer.idle()
            with Image.open(io.BytesIO(viewer.browser.screenshot())) as shot:
                shown = np.asarray(shot.convert("RGB")).astype(int)
            x, y = viewer.run("const w = app.view.window; return [Math.round(-w.x), Math.round(-w.y)]")
            height, width, _ = expected.shape
            assert abs(shown[y : y + height, x : x + width] - expected).max() <= 1
            paper = shown[0, 0]
            assert (shown[y - 1, x : x + width] == paper).all()
            assert (shown[y + height, x : x + width] == paper).all()


@pytest.mark.parametrize("zoom", [3, 1000])
def test_between_pixels_the_picture_is_evaluated(viewer: Viewer, zoom: float) -> None:
    path = VECTORS / "coded_rgb.igs"
    with gscodec.open(path, grain=False) as image:
        steps = (np.arange(12) + 0.5) / zoom
        points = np.stack(np.meshgrid(30 + steps, 40 + steps), -1).reshape(-1, 2)
        expected = np.clip(image.sample(points).astype(float), 0, 1).reshape(12, 12, 3)
    with running(path) as server:
        viewer.open(server.url)
        viewer.still()
        shown = np.clip(viewer.values(0, (12, 12), (30, 40), zoom)[:, :, :3], 0, 1)
    assert abs(shown - expected).max() < 1.5 / 255


@pytest.mark.parametrize(("zoom", "name"), [(1, "color"), (1, "emissive"), (0.5, "color"), (2, "color")])
def test_grain_is_that_of_decode(viewer: Viewer, zoom: float, name: str) -> None:
    path = VECTORS / "grain.igs"
    with gscodec.open(path) as image:
        height, width, _ = image.shape
        size = round(height * zoom), round(width * zoom)
        decoded = np.asarray(image.render(size=size)).astype(float) / 257
        (channels,) = [span for group, span in channel_spans(image.groups) if group.name == name]
    with running(path) as server:
        viewer.open(server.url)
        viewer.browser.press("h")
        viewer.run(f"app.select(app.first.scene.selections.findIndex((s) => s.name === '{name}'))")
        viewer.run(f"app.level(0); app.view.set({width} / 2, {height} / 2, {zoom})")
        viewer.idle()
        assert viewer.run("return document.getElementById('grain').hidden") is False

        def shown() -> Float32Array:
            x, y = viewer.run("const w = app.view.window; return [-w.x * w.zoom, -w.y * w.zoom]")
            return viewer.display()[round(y) :, round(x) :][: size[0], : size[1]].astype(np.float32)

        expected = decoded[:, :, channels]
        kept = [0, 1, 2, 3] if name == "color" else [0]
        assert abs(shown()[:, :, kept] - expected).max() <= 1.01
        viewer.browser.press("g")
        viewer.idle()
        assert abs(shown()[:, :, kept] - expected).max() > 2
