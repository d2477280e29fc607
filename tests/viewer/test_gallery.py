"""The gallery of samples: pages that open from a folder, without a server."""

from pathlib import Path

from make_gallery import write_gallery
from viewer_page import Viewer


def test_every_sample_opens_from_the_index(viewer: Viewer, sample_files: Path, tmp_path: Path) -> None:
    write_gallery(sample_files, tmp_path)
    names = sorted(path.stem for path in sample_files.glob("*.igs"))
    browser = viewer.browser
    browser.errors.clear()
    browser.open((tmp_path / "index.html").as_uri())
    links = browser.evaluate("[...document.querySelectorAll('main a')].map((a) => a.href)")
    assert [Path(link).stem for link in links] == names
    widths = browser.evaluate("[...document.querySelectorAll('main img')].map((img) => img.naturalWidth)")
    assert all(width > 100 for width in widths)
    assert browser.errors == []
    for link in links:
        viewer.open(link)
        viewer.still()
        assert viewer.text("fault") == ""
        assert viewer.values(viewer.run("return app.first.scene.coarsest"), (8, 8)).std() > 0
