"""How many requests and bytes the viewer needs."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from chromium import PATIENCE
from PIL import Image
from viewer_page import Viewer, running, serving

from gscodec.container.contents import Contents
from gscodec.container.rewrite import coarser_set, with_coarser
from gscodec.container.writer import pack
from gscodec.io.source import ByteSource
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.viewer.server import Served, ViewerServer

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"


def scattered(n: int, side: int, seed: int, size_px: float) -> Contents:
    """A square picture of n round Gaussians at random places."""
    rng = np.random.default_rng(seed)
    gaussians = GaussianSet(
        rng.uniform(0, side, (n, 2)),
        np.full((n, 2), 1 / size_px),
        np.zeros(n),
        rng.uniform(0, 1, (n, 3)).astype(np.float32),
    )
    grid = Grid(side, side, np.zeros(3, np.float32))
    return Contents(grid, (ChannelGroup("color", n_channels=3),), LodTable((n,), ((1.0,),)), gaussians, page_size=64)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32768 px on each side: a coarse set of a kilobyte, and 100,000 Gaussians in pages of 64."""
    path = tmp_path_factory.mktemp("large") / "large.igs"
    finest = scattered(100_000, 32768, 1, 60)
    coarse = scattered(60, 512, 2, 40)
    path.write_bytes(with_coarser(pack(finest), [coarser_set(pack(coarse), 6)]))
    return path


def test_the_first_picture_takes_one_request_of_two_kilobytes(viewer: Viewer, large: Path) -> None:
    with running(large) as server:
        viewer.open(server.url)
        viewer.run("while (!app.first.scene.version) await new Promise((go) => setTimeout(go, 5))")
        assert server.log[0] == ("/files/0", 2048)
        lod = viewer.run("return app.first.scene.coarsest")
        assert viewer.values(lod, (8, 8), (20000, 9000)).shape == (8, 8, 4)
        assert viewer.run("return app.first.scene.levels[app.first.scene.coarsest].blocks.size") > 0


class Held(Served):
    """A file of which two answers are sent; further requests wait until the gate opens."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, path)
        self.gate = threading.Event()
        self.n_requests = 0

    def open(self) -> ByteSource:
        self.n_requests += 1
        if self.n_requests > 2:
            self.gate.wait(PATIENCE)
        return super().open()


def test_the_first_picture_is_on_the_screen_after_two_requests_and_four_kilobytes(
    viewer: Viewer, large: Path, sample_files: Path
) -> None:
    for path in (large, *sorted(sample_files.glob("*.igs"))):
        held = Held(path)
        with serving(ViewerServer([held])) as server:
            try:
                viewer.browser.errors.clear()
                viewer.browser.open(server.url)
                viewer.browser.press("h")
                viewer.run(
                    "while (!app.first || app.firstPicture === null) await new Promise((go) => setTimeout(go, 5))"
                )
                with Image.open(io.BytesIO(viewer.browser.screenshot())) as shot:
                    pixels = np.asarray(shot.convert("RGB"))[::4, ::4].reshape(-1, 3)
                assert len(np.unique(pixels, axis=0)) > 100, path.name
                assert sum(n_bytes for _, n_bytes in server.log) <= 4096, path.name
            finally:
                held.gate.set()
            viewer.still()
            viewer.run("await app.first.scene.arrived()")


def test_a_large_picture_pans_over_the_pages_in_view(viewer: Viewer, large: Path) -> None:
    with running(large) as server:
        viewer.open(server.url)
        viewer.idle()
        viewer.run("await app.first.scene.open(0)")  # the tables of the finest set
        tables = sum(n_bytes for _, n_bytes in server.log)
        pages: dict[int, int] = {}
        for x, y in ((3000, 4000), (3200, 4000), (3400, 4150), (20000, 30000)):
            viewer.run(f"app.level(0); app.view.set({x}, {y}, 1)")
            viewer.idle()
            seen = viewer.run(
                "const w = app.view.window, tile = (v) => Math.floor(v / 16), { decoder } = app.first.scene;"
                "const right = tile(w.x + w.width / w.zoom), bottom = tile(w.y + w.height / w.zoom);"
                "return (await decoder.pages(0, tile(w.x), tile(w.y), right, bottom)).map((p) => [p.id, p.nBytes])"
            )
            assert seen
            pages |= dict(seen)
        assert viewer.run("return app.first.lod") == 0
        assert sum(n_bytes for _, n_bytes in server.log) - tables <= 1.5 * sum(pages.values())


def test_a_file_behind_a_server_without_ranges_comes_whole(viewer: Viewer) -> None:
    path = VECTORS / "packed_rgb.igs"
    with running(path, without_ranges=True) as server:
        viewer.open(server.url)
        viewer.idle()
        assert server.log == [("/files/0", path.stat().st_size)]
        assert viewer.run("return app.first.lod") == 0
        assert viewer.text("fault") == ""
