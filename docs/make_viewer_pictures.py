"""Writes the pictures of docs/viewer.md: the viewer in Chromium on a sample."""

import io
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from chromium import Chromium  # noqa: E402 - it lies beside the tests
from viewer_page import Viewer  # noqa: E402

from gscodec.cli.app import main  # noqa: E402
from gscodec.viewer.server import ViewerServer, files_of  # noqa: E402

SIZE: Final = (860, 520)
SAMPLE: Final = ROOT / "samples" / "photo_dandelions.png"

VIEWS: Final = {
    "viewer_fit": "app.view.fit()",
    "viewer_ellipses": "app.outline(); app.view.set(195, 130, 4)",
    "viewer_zoom": "app.outline(); app.theme(); app.view.set(201, 118, 40)",
}
"""What is done before each picture, one after the other."""


def write() -> None:
    """Encode the sample, and take the pictures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "dandelions.igs"
        assert main(["encode", str(SAMPLE), str(file), "--bpp", "0.4", "--preset", "fast", "--quiet"]) == 0
        with ViewerServer(files_of(file)) as server, Chromium(Path(folder) / "profile", SIZE) as browser:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            viewer = Viewer(browser)
            viewer.open(server.url)
            for name, act in VIEWS.items():
                viewer.run(act)
                viewer.idle()
                with Image.open(io.BytesIO(browser.screenshot())) as shot:
                    shot.convert("RGB").save(ROOT / "docs" / f"{name}.jpg", quality=80)
            assert browser.errors == []
            server.shutdown()


if __name__ == "__main__":
    write()
