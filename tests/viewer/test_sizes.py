"""What the viewer shows at other zooms, beside `decode` at the same size: every profile, stacks, HDR and alpha."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from viewer_page import Viewer, running
from viewer_reference import Float32Array, in_codes

import gscodec
from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.viewer.page import EmbeddedFile, viewer_page

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"

ZOOMS = (0.5, 0.37, 1, 6)

FILES = ("rgb", "packed_alpha", "coded_rgb", "small_stack", "stack", "coded_hdr", "source_files")
"""Every profile; stacks; alpha that is straight and premultiplied, of integers and floats; values beyond 0 to 1."""


def size_at(image: gscodec.IgsImage, zoom: float) -> tuple[int, int]:
    """(height, width) that `decode --scale` writes."""
    height, width = image.shape[:2]
    return max(1, round(height * zoom)), max(1, round(width * zoom))


def in_view(viewer: Viewer, whole: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.int_]:
    """The picture's part of what the screen shows: rows and columns from its left upper corner on, which is in view."""
    x, y = viewer.run("const w = app.view.window; return [-w.x * w.zoom, -w.y * w.zoom]")
    return whole[round(y) :, round(x) :][: size[0], : size[1]].astype(int)


def shot(viewer: Viewer) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(viewer.browser.screenshot())) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("zoom", ZOOMS)
def test_samples_are_those_of_decode(viewer: Viewer, zoom: float) -> None:
    with running(VECTORS) as server:
        viewer.open(server.url)
        viewer.still()
        names = [file.name for file in server.served]
        for name in FILES:
            path = VECTORS / f"{name}.igs"
            viewer.show(names.index(path.name))
            selections = viewer.run("return app.first.scene.selections.map((s) => [s.channels, !!s.part])")
            with gscodec.open(path, device="cpu", grain=False) as image:
                size = size_at(image, zoom)
                for lod in image.available_lods[: 1 if zoom > 1 else None]:
                    expected = np.asarray(image.render(lod=lod, size=size, dtype="float32"))
                    for number, (channels, part) in enumerate(selections):
                        if part and (lod > 0 or zoom >= 1 or (name == "stack" and number % 3)):
                            continue
                        viewer.run(f"app.select({number})")
                        error = in_codes(viewer.values(lod, size, zoom=zoom), expected, path, channels)
                        assert error.max() < 0.1, f"{name}, LOD {lod}, channels {channels}"


@pytest.mark.parametrize("zoom", ZOOMS)
def test_the_screen_shows_what_decode_writes(viewer: Viewer, zoom: float) -> None:
    with running(VECTORS) as server:
        viewer.open(server.url)
        viewer.browser.press("h")
        names = [file.name for file in server.served]
        for name in ("rgb", "packed_rgb", "coded_rgb", "small_rgb"):
            path = VECTORS / f"{name}.igs"
            with gscodec.open(path, device="cpu") as image:
                size = size_at(image, zoom)
                expected = np.asarray(image.render(size=size)).astype(int)
            viewer.show(names.index(path.name))
            # at 6 to 1 from the left upper corner on, which lies 10 px inside
            centre = "w / 2, h / 2" if zoom <= 1 else "(c.width / 2 - 10) / 6, (c.height / 2 - 10) / 6"
            viewer.run(f"const {{ width: w, height: h }} = app.first, c = app.canvas; app.view.set({centre}, {zoom})")
            viewer.idle()
            shown = in_view(viewer, shot(viewer), size)
            height, width = shown.shape[:2]
            assert min(height, width) > 12
            assert abs(shown - expected[:height, :width]).max() <= 1, name


def srgb(light: Float32Array) -> Float32Array:
    """Codes 0..255 of light, clamped."""
    light = np.clip(light, 0, 1)
    codes: Float32Array = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return codes


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("zoom", ZOOMS)
def test_light_is_averaged_before_it_is_developed(viewer: Viewer, zoom: float, soft: bool) -> None:
    path = VECTORS / "coded_hdr.igs"
    with gscodec.open(path, device="cpu") as image:
        size = size_at(image, zoom)
        samples = np.asarray(image.render(size=size, dtype="float32"))[:, :, :4]
    alpha = np.clip(samples[:, :, 3:], 0, 1)
    light = np.divide(samples[:, :, :3], alpha, out=samples[:, :, :3].copy(), where=alpha > 0)
    expected = np.concatenate([srgb(1 - np.exp(-np.maximum(light, 0)) if soft else light), 255 * alpha], axis=2)
    with running(path) as server:
        viewer.open(server.url)
        viewer.browser.press("h")
        viewer.run(f"app.look.soft = {str(soft).lower()}; app.view.set(20, 14, {zoom})")
        viewer.idle()
        shown = in_view(viewer, viewer.display(), size)
    certain = alpha[:, :, 0] > 1e-3  # the quotient by next to nothing is whatever rounding makes it
    assert certain.mean() > 0.5
    assert abs(shown - expected)[certain].max() <= 1


@pytest.mark.parametrize("zoom", [0.5, 0.37])
def test_alpha_weighs_colour_on_the_screen(viewer: Viewer, zoom: float) -> None:
    path = VECTORS / "packed_alpha.igs"
    with gscodec.open(path, device="cpu") as image:
        size = size_at(image, zoom)
        expected = np.asarray(image.render(size=size, dtype="uint8")).astype(int)[:, :, :4]
    with running(path) as server:
        viewer.open(server.url)
        viewer.browser.press("h")
        viewer.run(f"app.view.set(18, 15, {zoom})")
        viewer.idle()
        shown = in_view(viewer, viewer.display(), size)
    assert abs(shown - expected).max() <= 1


@pytest.mark.parametrize("zoom", [0.5, 0.37])
def test_a_second_picture_is_averaged_in_the_same_way(viewer: Viewer, tmp_path: Path, zoom: float) -> None:
    path = VECTORS / "coded_rgb.igs"
    with gscodec.open(path, device="cpu") as image:
        size = size_at(image, zoom)
        Image.fromarray(np.asarray(image.render())).save(tmp_path / "decoded.png")
    second = EmbeddedFile("decoded.png", (tmp_path / "decoded.png").read_bytes())
    page = tmp_path / "page.html"
    page.write_text(viewer_page([EmbeddedFile(path.name, path.read_bytes())], second=second), encoding="utf-8")
    viewer.open(page.as_uri())
    viewer.browser.press("h")
    viewer.run(f"app.view.set(45, 35, {zoom})")
    shots = []
    for mode in (0, 1):
        viewer.run(f"app.setMode({mode})")
        viewer.idle()
        shots.append(in_view(viewer, shot(viewer), size))
    assert abs(shots[0] - shots[1]).max() <= 1


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1100x1000 px, 8000 round Gaussians, of which a coarser level has 3000."""
    path, rng, n = tmp_path_factory.mktemp("large") / "large.igs", np.random.default_rng(3), 8000
    sizes = np.repeat(1 / rng.uniform(3, 8, (n, 1)), 2, axis=1)
    features = rng.uniform(0, 1, (n, 3)).astype(np.float32)
    gaussians = GaussianSet(rng.uniform(0, [1100, 1000], (n, 2)), sizes, np.zeros(n), features)
    lods = LodTable((3000, n), ((0.6,), (1.0, 1.0)))
    grid = Grid(1000, 1100, np.full(3, 0.5, np.float32))
    path.write_bytes(pack(Contents(grid, (ChannelGroup("color", n_channels=3),), lods, gaussians)))
    return path


@pytest.mark.parametrize(
    ("zoom", "lod", "canvas"), [(0.37, 0, (480, 420)), (0.2, 0, (360, 300)), (0.05, 1, (240, 180))]
)
def test_a_picture_of_more_than_a_megapixel_has_the_level_and_the_points_of_decode(
    viewer: Viewer, large: Path, zoom: float, lod: int, canvas: tuple[int, int]
) -> None:
    with gscodec.open(large, device="cpu") as image:
        size = size_at(image, zoom)
        expected = np.asarray(image.render(size=size)).astype(int)
    viewer.browser.resize(canvas)
    with running(large) as server:
        viewer.open(server.url)
        viewer.browser.press("h")
        viewer.run(f"app.view.set(550, 500, {zoom})")
        viewer.idle()
        assert viewer.run("return [app.first.lod, app.view.zoom]") == [lod, zoom]
        shown = in_view(viewer, shot(viewer), size)
    assert abs(shown - expected).max() <= 1
