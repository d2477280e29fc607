"""Small files that ask for much, or whose faults were reported wrongly. `cases/` holds them as they were found."""

import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from synthetic import synthetic_gaussians, synthetic_grid

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.validate import MAX_ISSUES, Severity, validate
from gscodec.container.writer import pack
from gscodec.errors import CorruptField, GsCodecError, InvalidArgument, UnsupportedChunk
from gscodec.format.limits import MAX_GAUSSIANS_PER_BYTE
from gscodec.format.pages import PageRefs
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.profiles.f16 import F16PageDecoder
from gscodec.profiles.lattice import Lattice

CASES = Path(__file__).parent / "cases"


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("bomb_4m_gaussians", CorruptField),
        ("bomb_k32", CorruptField),
        ("features_overflow", CorruptField),
        ("two_faults_in_contents", UnsupportedChunk),
        ("trav_abs", CorruptField),
        ("trav_rel", CorruptField),
    ],
)
def test_refused(name: str, error: type[GsCodecError]) -> None:
    data = (CASES / f"{name}.igs").read_bytes()
    with pytest.raises(error), IgsReader(data) as reader:
        reader.read(0)
    assert validate(data)[0].severity is Severity.ERROR


@pytest.mark.parametrize("name", ["packed_33000x16", "small_file_of_wide_picture"])
def test_read(name: str) -> None:
    data = (CASES / f"{name}.igs").read_bytes()
    with IgsReader(data) as reader:
        assert len(reader.read(0)) == reader.header.n_gaussians
    assert all(issue.severity is Severity.WARNING for issue in validate(data))


def _one_spot(n: int) -> Contents:
    """n Gaussians that coded pages tell apart by nothing."""
    grid = synthetic_grid(16, 16, 1)
    gaussians = GaussianSet(
        np.full((n, 2), 8.0), np.full((n, 2), 2.0**-12), np.zeros(n), np.full((n, 1), 0.5, np.float32)
    )
    lattice = Lattice(32, -400, (255,) * 12, (4,), np.array([0.5], np.float32), np.eye(1))
    return Contents(
        grid,
        (ChannelGroup("gray", n_channels=1),),
        LodTable((n,), ((1.0,),)),
        gaussians,
        page_size=4096,
        lattice=lattice,
    )


def test_no_page_has_more_gaussians_than_bits() -> None:
    least = IgsReader(pack(_one_spot(MAX_GAUSSIANS_PER_BYTE)))
    n_bytes = least.payload_size
    fits = IgsReader(pack(_one_spot(MAX_GAUSSIANS_PER_BYTE * n_bytes)))
    assert fits.payload_size == n_bytes
    assert len(fits.read(0)) == MAX_GAUSSIANS_PER_BYTE * n_bytes
    with pytest.raises(InvalidArgument, match="more than 8 a byte"):
        pack(_one_spot(MAX_GAUSSIANS_PER_BYTE * n_bytes + 1))


@pytest.mark.parametrize("fault", [None, "boxes", "crcs", "values"])
def test_pages_without_number(fault: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are looked at together, and one by one only where some are wrong; not all issues are listed."""
    n = 3000
    contents = Contents(
        synthetic_grid(64, 64, 1),
        (ChannelGroup("gray", n_channels=1),),
        LodTable((n // 2, n), ((1.0,), (1.0, 1.0))),
        synthetic_gaussians(64, 64, n, 1, 2),
        page_size=1,
    )
    reader = IgsReader(pack(contents))
    boxes, crcs = reader.pages.boxes.copy(), reader.pages.crcs.copy()
    if fault == "boxes":
        boxes[:, :] = 0
    if fault == "crcs":
        crcs ^= 1
    index = replace(reader.pages, boxes=boxes, crcs=crcs)
    module = sys.modules["gscodec.container.validate"]  # the package has a function of that name
    monkeypatch.setattr(module, "load_pages", lambda *_: index)
    monkeypatch.setattr(module, "load_tree", lambda *_: None)
    calls = []
    decode = F16PageDecoder.decode

    def counted(self: F16PageDecoder, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        calls.append(len(pages))
        if fault == "values":
            raise CorruptField("wrong")
        return decode(self, data, pages)

    monkeypatch.setattr(F16PageDecoder, "decode", counted)
    issues = validate(pack(contents))
    if fault is None:
        assert issues == []
    elif fault == "boxes":
        assert len(issues) == MAX_ISSUES + 1
        assert {issue.severity for issue in issues} == {Severity.WARNING}
    else:
        assert len(issues) == MAX_ISSUES + 1
        assert {issue.severity for issue in issues} == {Severity.ERROR}
        assert "more issues" in issues[-1].message
    assert sum(calls) <= 2 * n
    assert fault is not None or len(calls) == 1
