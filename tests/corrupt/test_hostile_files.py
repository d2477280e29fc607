"""Small files that ask for much, or whose faults were reported wrongly. `cases/` holds them as they were found."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gscodec.bench.synthetic import synthetic_grid
from gscodec.errors import CorruptField, GsCodecError, InvalidArgument, UnsupportedChunk
from gscodec.format import ChannelGroup, Contents, IgsReader, Severity, pack, validate
from gscodec.format.lattice import Lattice
from gscodec.format.limits import MAX_GAUSSIANS_PER_BYTE
from gscodec.gaussians import GaussianSet, LodTable

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
