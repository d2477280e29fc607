"""The single text of each family: what is inserted before a kernel, and which texts differ."""

from importlib import resources

import pytest

from gscodec.cuda import sources


@pytest.mark.parametrize("family", sources.HEADERS)
def test_a_text_has_macros_then_headers_then_kernels(family: str) -> None:
    text = sources.source(family, {"B": 2, "A": "x y"})
    names = [*sources.HEADERS[family], f"{family}.cu"]
    marks = [f'#line 1 "{name}"\n' for name in names]
    assert text.startswith(f"#define A x y\n#define B 2\n#define REAL float\n\n{marks[0]}")
    assert [text.count(mark) for mark in marks] == [1] * len(marks)
    assert sorted(marks, key=text.index) == marks
    for mark, name in zip(marks, names, strict=True):
        # Lines are counted on from the mark, so nothing may be lost.
        folder = "native/shared" if name in sources.SHARED else "cuda"
        original = resources.files("gscodec").joinpath(folder, name).read_text(encoding="utf-8")
        found = text[text.index(mark) + len(mark) :].splitlines()[: original.count("\n")]
        assert [a for a, b in zip(found, original.splitlines(), strict=True) if a != b] in ([], [""])
    assert "#pragma once" not in text
    assert "#include" not in text


def test_equal_macros_make_equal_texts() -> None:
    assert sources.source("sample", {"A": 1, "B": 2}) == sources.source("sample", {"B": 2, "A": 1})
    assert sources.source("sample", {"A": 1}) != sources.source("sample", {"A": 2})
    assert "#define REAL double\n" in sources.source("sample", {"REAL": "double"})


@pytest.mark.parametrize("defines", [{"1A": 1}, {"A B": 1}, {"": 1}, {"A\n": 1}, {"A": "1\n2"}])
def test_what_is_no_macro_is_refused(defines: dict[str, int | str]) -> None:
    with pytest.raises(ValueError, match="an identifier and one line are needed"):
        sources.source("sample", defines)


def test_entries_are_those_of_the_file() -> None:
    assert sources.entries("sample") == ("sample_points",)
    assert sources.entries("tile_bin")[:2] == ("count_pairs", "sum_chunks")
    for family in sources.HEADERS:
        text = resources.files("gscodec.cuda").joinpath(f"{family}.cu").read_text(encoding="utf-8")
        assert len(sources.entries(family)) == text.count("__global__") > 0


def test_unknown_families_are_refused() -> None:
    with pytest.raises(KeyError):
        sources.source("nonsense", {})
    with pytest.raises(KeyError):
        sources.entries("nonsense")


def test_every_file_belongs_to_a_family() -> None:
    """And is package data: what is not found here would be missing from a wheel too."""
    files = {path.name for path in resources.files("gscodec.cuda").iterdir()}
    kernels = {name for name in files if name.endswith((".cu", ".cuh", ".h"))} | sources.SHARED
    used = {name for family, headers in sources.HEADERS.items() for name in (f"{family}.cu", *headers)}
    assert kernels == used


def test_no_family_may_be_contracted() -> None:
    assert all("--fmad=false" in sources.options(family) for family in sources.HEADERS)
    assert all("-std=c++17" in sources.options(family) for family in sources.HEADERS)
