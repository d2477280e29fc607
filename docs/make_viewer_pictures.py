"""Writes the pictures of docs/viewer.md: the viewer in Chromium on a sample."""

import io
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from chromium import Chromium  # noqa: E402 - it lies beside the tests
from viewer_page import Viewer, running  # noqa: E402

import gscodec  # noqa: E402
from gscodec.cli.app import main  # noqa: E402

SIZE: Final = (860, 520)
SAMPLE: Final = ROOT / "samples" / "photo_dandelions.png"

VIEWS: Final = {
    "viewer_fit": "app.view.fit()",
    "viewer_ellipses": "app.outline(); app.view.set(195, 130, 4)",
    "viewer_zoom": "app.outline(); app.theme(); app.view.set(201, 118, 40)",
}
"""What is done before each picture, one after the other."""


BESIDE_SIZE: Final = (480, 270)
BESIDE: Final = {0.63: (384, 216), 1: (300, 150), 6: (200, 117.5)}
"""Zooms, and the points of the picture in the middle of the view."""


def beside(viewer: Viewer, file: Path) -> Image.Image:
    """The viewer at some zooms, a row each; to the right what `decode` writes of the same part at the same size."""
    width, height = BESIDE_SIZE
    whole = Image.new("RGB", (2 * width + 8, len(BESIDE) * (height + 8) - 8), "white")
    viewer.browser.resize(BESIDE_SIZE)
    viewer.browser.press("h")
    with gscodec.open(file, device="cpu") as image:
        for row, (zoom, (x, y)) in enumerate(BESIDE.items()):
            viewer.run(f"app.level(0); app.view.set({x}, {y}, {zoom})")
            viewer.idle()
            with Image.open(io.BytesIO(viewer.browser.screenshot())) as shot:
                shown = shot.convert("RGB")
            left, top = viewer.run("const w = app.view.window; return [w.x * w.zoom, w.y * w.zoom]")
            scaled = image.render(0, size=(round(image.shape[0] * zoom), round(image.shape[1] * zoom)))
            decoded = scaled[round(top) :, round(left) :][:height, :width]
            assert abs(np.asarray(shown).astype(int) - decoded).max() <= 1, f"zoom {zoom}"
            whole.paste(shown, (0, row * (height + 8)))
            whole.paste(Image.fromarray(decoded), (width + 8, row * (height + 8)))
    return whole


def write() -> None:
    """Encode the sample, and take the pictures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "dandelions.igs"
        assert main(["encode", str(SAMPLE), str(file), "--bpp", "0.4", "--preset", "fast", "--quiet"]) == 0
        profile = Path(folder) / "profile"
        profile.mkdir()
        with running(file) as server, Chromium(profile, SIZE) as browser:
            viewer = Viewer(browser)
            viewer.open(server.url)
            for name, act in VIEWS.items():
                viewer.run(act)
                viewer.idle()
                with Image.open(io.BytesIO(browser.screenshot())) as shot:
                    shot.convert("RGB").save(ROOT / "docs" / f"{name}.jpg", quality=80)
            beside(viewer, file).save(ROOT / "docs" / "viewer_beside_decode.jpg", quality=80)
            assert browser.errors == []


if __name__ == "__main__":
    write()
