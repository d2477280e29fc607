"""Files with fewer levels hold the same Gaussians, bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from random_contents import random_contents

from gscodec.container.reader import IgsReader
from gscodec.container.transcode import in_profile, transcoded
from gscodec.container.validate import validate
from gscodec.container.writer import pack
from gscodec.errors import InvalidArgument, TruncatedStream
from gscodec.format.layout import PAGT

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.igs") if not path.stem.endswith("_cut"))


def assert_same_levels(found: bytes, data: bytes, lods: list[int], scale: int = 1) -> None:
    """Whether the levels of a file are these of another one, on pixels that are `scale` of its px wide."""
    assert [issue for issue in validate(found) if issue.severity == "error"] == []
    with IgsReader(found) as mine, IgsReader(data) as theirs:
        assert mine.n_lods == len(lods)
        assert (mine.groups, mine.icc) == (theirs.groups, theirs.icc)
        assert mine.grid.background.tolist() == theirs.grid.background.tolist()
        for own, lod in enumerate(lods):
            one, other = mine.read(own), theirs.read(lod)
            np.testing.assert_array_equal(one.means * scale, other.means)
            np.testing.assert_array_equal(one.inv_scales / scale, other.inv_scales)
            np.testing.assert_array_equal(one.rotations, other.rotations)
            np.testing.assert_array_equal(one.features, other.features)


@pytest.mark.parametrize("name", NAMES)
def test_every_level_becomes_the_finest(name: str) -> None:
    data = (VECTORS / f"{name}.igs").read_bytes()
    with IgsReader(data) as reader:
        for lod in range(reader.n_lods):
            number, _ = reader.place(lod)
            is_small = reader.stored_set(number).is_one_piece
            kept = [lod] if is_small else list(range(lod, reader.n_lods))
            assert_same_levels(transcoded(data, finest=lod), data, kept, reader.scale_of(number))


@pytest.mark.parametrize("name", NAMES)
def test_coarser_sets_are_left_out(name: str) -> None:
    data = (VECTORS / f"{name}.igs").read_bytes()
    with IgsReader(data) as reader:
        for lod in range(reader.n_lods):
            last = reader.lods_of(reader.place(lod)[0])[-1]
            found = transcoded(data, coarsest=lod)
            assert_same_levels(found, data, list(range(last + 1)))
            assert IgsReader(found).meta == reader.meta
            alone = transcoded(data, finest=lod, coarsest=lod)
            assert_same_levels(alone, data, list(range(lod, last + 1)), reader.scale_of(reader.place(lod)[0]))


@pytest.mark.parametrize("name", NAMES)
def test_profile_f16_rounds_to_16_bits(name: str) -> None:
    data = (VECTORS / f"{name}.igs").read_bytes()
    found = in_profile(data, lambda contents: contents)
    assert [issue for issue in validate(found) if issue.severity == "error"] == []
    with IgsReader(found) as mine, IgsReader(data) as theirs:
        assert (mine.header.profile, mine.n_lods, mine.meta, mine.files) == (
            0,
            theirs.n_lods,
            theirs.meta,
            theirs.files,
        )
        for lod in range(mine.n_lods):
            one, other = mine.read(lod), theirs.read(lod)
            order, there = (np.lexsort(s.means.round(1).T) for s in (one, other))
            side = max(theirs.grid.width, theirs.grid.height)
            np.testing.assert_allclose(one.means[order], other.means[there], rtol=0, atol=side / 60_000 + 0.06)
            assert len(one) == len(other)


def test_long_page_indices_keep_their_tree() -> None:
    data = pack(random_contents(3000, 3, (400, 300), (1400, 3000), page_size=1))
    assert any(chunk.fourcc == PAGT for chunk in IgsReader(data).chunks)
    found = transcoded(data, finest=1)
    assert any(chunk.fourcc == PAGT for chunk in IgsReader(found).chunks)
    assert_same_levels(found, data, [1])


def test_what_cannot_be_is_refused() -> None:
    data = (VECTORS / "ladder_coded.igs").read_bytes()
    for finest, coarsest in ((5, None), (0, 9), (2, 1)):
        with pytest.raises(InvalidArgument):
            transcoded(data, finest=finest, coarsest=coarsest)
    with pytest.raises(TruncatedStream, match="whole file"):
        transcoded(data[:-1], finest=4)
    assert transcoded(data) == data
