"""Files written once decode the same for ever."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.container.validate import Severity, validate
from gscodec.errors import TruncatedStream

FOLDER = Path(__file__).parent / "v1"
NAMES = sorted(path.stem for path in FOLDER.glob("*.igs"))
FIELDS = ("means", "inv_scales", "rotations", "features")


def test_there_are_golden_files() -> None:
    assert len(NAMES) >= 9


@pytest.mark.parametrize("name", NAMES)
def test_arrays(name: str) -> None:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as expected, IgsReader(FOLDER / f"{name}.igs") as reader:
        assert set(expected.files) == {f"{field}_{lod}" for field in FIELDS for lod in reader.available_lods}
        for lod in reader.available_lods:
            gaussians = reader.read(lod)
            for field in FIELDS:
                got = getattr(gaussians, field)
                assert got.dtype == expected[f"{field}_{lod}"].dtype
                assert np.array_equal(got, expected[f"{field}_{lod}"]), (field, lod)


@pytest.mark.parametrize("name", NAMES)
def test_description(name: str) -> None:
    expected = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    with IgsReader(FOLDER / f"{name}.igs") as reader:
        described = json.loads(json.dumps(describe(reader)))
    assert _known_part(described, expected) == expected


def _known_part(described: Any, expected: Any) -> Any:
    """The description without the members that later versions added."""
    if isinstance(expected, dict) and isinstance(described, dict):
        return {key: _known_part(described.get(key), value) for key, value in expected.items()}
    if isinstance(expected, list) and isinstance(described, list) and len(described) == len(expected):
        return [_known_part(part, value) for part, value in zip(described, expected, strict=True)]
    return described


@pytest.mark.parametrize("name", NAMES)
def test_validator(name: str) -> None:
    errors = [issue for issue in validate(FOLDER / f"{name}.igs") if issue.severity is Severity.ERROR]
    assert len(errors) == (1 if name.endswith("_cut") else 0), errors


def test_the_cut_file_holds_its_coarse_levels() -> None:
    with IgsReader(FOLDER / "made_cut.igs") as reader:
        assert reader.truncated
        assert reader.available_lods == (1, 2)
        assert reader.meta is None
        with pytest.raises(TruncatedStream, match="the finest LOD it holds is 1"):
            reader.read(0)


def test_deflated_tables_are_there() -> None:
    with IgsReader(FOLDER / "made_deflated_tables.igs") as reader:
        assert [chunk.label for chunk in reader.chunks if chunk.codec] == ["PAGI", "LODS", "CHAN"]
