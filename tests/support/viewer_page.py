"""The viewer in a browser, for tests: opens pages and files, reads what is drawn."""

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from chromium import PATIENCE, Chromium

from gscodec.viewer.server import ViewerServer, files_of

Float32Array = npt.NDArray[np.float32]


class Viewer:
    """The viewer in a browser, and what tests look at."""

    def __init__(self, browser: Chromium) -> None:
        self.browser = browser

    def open(self, url: str) -> None:
        """Load a page, and wait for its file and for the layout of its controls."""
        self.browser.errors.clear()
        self.browser.open(url)
        self.run(
            "await app.ready; const stage = document.getElementById('stage');"
            "while (app.canvas.height !== Math.max(1, Math.round(stage.clientHeight * devicePixelRatio)))"
            " await new Promise(requestAnimationFrame)"
        )

    def run(self, code: str) -> Any:
        """Value that a piece of JavaScript returns; `app` is the viewer."""
        return self.browser.evaluate(f"(async () => {{ const app = window.igsViewer; {code} }})()")

    def still(self) -> None:
        """Stop drawing to the screen, which software does slowly; values can be read all the same."""
        self.run("app.frame = () => {}")

    def idle(self) -> None:
        """Wait until the picture is as fine as it becomes."""
        end = time.monotonic() + PATIENCE
        while self.run("return app.scheduled || app.working"):
            assert time.monotonic() < end, "the viewer does not come to rest"
            time.sleep(0.05)

    def show(self, number: int) -> None:
        """Open another file of the list."""
        self.run(f"await app.open(app.files[{number}])")

    def values(
        self, lod: int, size: tuple[int, int], corner: tuple[int, int] = (0, 0), zoom: float = 1
    ) -> Float32Array:
        """Samples (height, width, 4) of the first file at a level, on pixels of the screen: features of integers."""
        height, width = size
        x, y = corner
        window = f"{{x: {x}, y: {y}, zoom: {zoom}, width: {width}, height: {height}}}"
        data = self._bytes(f"const v = await app.first.values({window}, {lod}), bytes = new Uint8Array(v.buffer);")
        return np.frombuffer(data, np.float32).reshape(height, width, 4)

    def display(self) -> npt.NDArray[np.uint8]:
        """Display colour (height, width, 4) of the first file's part of the screen: sRGB codes and straight alpha."""
        data = self._bytes(
            "const { gl } = app.gpu, { framebuffer, width, height } = app.first.painter.display;"
            "const bytes = new Uint8Array(4 * width * height);"
            "gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);"
            "gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, bytes);"
        )
        height, width = self.run("const { width, height } = app.first.painter.display; return [height, width]")
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)

    def _bytes(self, code: str) -> bytes:
        """What a piece of JavaScript leaves in its constant `bytes`."""
        text = self.run(
            f"{code} let text = '';"
            "for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));"
            "return btoa(text)"
        )
        return base64.b64decode(text)

    def text(self, name: str) -> str:
        """Text of an element of the page."""
        return str(self.run(f"return document.getElementById('{name}').textContent"))


@contextmanager
def serving(server: ViewerServer) -> Iterator[ViewerServer]:
    """A server that serves, and stops whatever happens."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(PATIENCE)


def running(source: Path, *, without_ranges: bool = False) -> AbstractContextManager[ViewerServer]:
    """A server of files that serves."""
    return serving(ViewerServer(files_of(source), without_ranges=without_ranges))
