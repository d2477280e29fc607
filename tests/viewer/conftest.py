from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium
from viewer_page import Viewer

from gscodec.cli.app import main

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Chromium; without one, an error that says how to get it."""
    with Chromium(tmp_path_factory.mktemp("chromium"), (360, 300)) as running_browser:
        yield running_browser


@pytest.fixture
def viewer(browser: Chromium) -> Iterator[Viewer]:
    """The viewer; a test that leaves errors in the console fails. After one that lost the browser there is another."""
    if browser.lost:
        browser.restart()
    browser.resize((360, 300))
    yield Viewer(browser)
    if not browser.lost:
        browser.open("about:blank")
        assert browser.errors == []


@pytest.fixture(scope="session")
def sample_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an .igs file of few Gaussians for every sample: photographs and drawings, a stack, an HDR picture."""
    folder = tmp_path_factory.mktemp("samples")
    sources = [path for path in sorted(SAMPLES.iterdir()) if path.suffix in {".png", ".exr"} or path.is_dir()]
    for source in sources:
        if source.stem != "readme_compare":
            options = ["--gaussians", "200", "--preset", "fast", "--steps", "1", "--lods", "2", "--quiet"]
            assert main(["encode", str(source), str(folder / f"{source.stem}.igs"), *options]) == 0
    return folder
