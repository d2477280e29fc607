"""The documentation's site has every page and name; `make site` builds it, and fails on a warning."""

import re
from pathlib import Path

import gscodec

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "site"


def listed() -> list[Path]:
    """Pages of the navigation, without their suffix."""
    text = (SITE / "index.md").read_text(encoding="utf-8")
    return [(SITE / name).resolve() for name in re.findall(r"^(\.\./\S+)$", text, re.MULTILINE)]


def test_the_navigation_has_every_page_once() -> None:
    pages = listed()
    assert len(pages) == len(set(pages))
    written = [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "tutorials").glob("*.md"),
        *(ROOT / "spec").glob("*.md"),
    ]
    assert not {path.with_suffix("") for path in written} - set(pages)
    assert all(page.with_suffix(".md").exists() or page.with_suffix(".rst").exists() for page in pages)


def test_the_reference_has_every_public_name_once() -> None:
    text = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. auto(?:class|function):: gscodec\.(\w+)$", text, re.MULTILINE)
    assert sorted(named) == sorted(set(gscodec.__all__) - {"__version__"})


def test_what_builds_it_is_pinned() -> None:
    lines = (SITE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines if not line.startswith("#"))
