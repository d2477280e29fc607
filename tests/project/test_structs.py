"""Structs that Python hands over to C++ and CUDA have the same fields, in the same order, on both sides."""

import re
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

import gscodec
from gscodec.cuda.fitting import FitSettings, row_constants
from gscodec.cuda.structs import packed
from gscodec.model.adam import AdamConstants
from gscodec.model.rendering import N_POINTWISE_TERMS, N_TERMS, LossWeights

PACKAGE = Path(gscodec.__file__).parent


def fields_of(file: str, struct: str, kind: str) -> list[str]:
    """Names of a struct's fields of one type, in a file of the package."""
    text = re.sub(r"//[^\n]*", "", (PACKAGE / file).read_text())
    found = re.search(rf"struct {struct} \{{(.*?)\n\}};", text, re.DOTALL)
    assert found, f"{file} has no struct {struct}"
    listed = re.findall(rf"^\s*{kind} ([\w, ]+);", found[1], re.MULTILINE)
    return [name.strip() for names in listed for name in names.split(",")]


def test_terms_of_the_loss() -> None:
    names = [term.name for term in fields(LossWeights)]
    assert fields_of("native/shared/loss_terms.h", "LossTerms", "T") == names
    assert len(names) == N_TERMS
    compares = ["compares_neighbours" in term.metadata for term in fields(LossWeights)]
    assert compares == sorted(compares)  # terms of single samples first
    assert compares.index(True) == N_POINTWISE_TERMS


@pytest.mark.parametrize("name", [term.name for term in fields(LossWeights)])
def test_a_weight_decides_which_sums_there_are(name: str) -> None:
    weights = LossWeights(**{name: 0.5})
    place = [term.name for term in fields(LossWeights)].index(name)
    assert weights.values[place] == 0.5
    assert weights.compares_neighbours == (place >= N_POINTWISE_TERMS)
    assert weights.n_sums == (N_TERMS if weights.compares_neighbours else N_POINTWISE_TERMS)
    assert weights.per_sample(4).values[place] == 0.125


def test_constants_of_adam() -> None:
    names = [constant.name for constant in fields(AdamConstants)]
    assert fields_of("native/render/adam.h", "AdamConstants", "double") == names


def test_constants_of_rows() -> None:
    settings = FitSettings(
        shape=(2, 3, 1),
        counts=(1,),
        weights=LossWeights(),
        has_importance=False,
        best_by_loss=False,
        log_scales=True,
        rate_mean=1.0,
        rate_scale=2.0,
        rate_rotation=3.0,
        rate_feature=4.0,
        rate_gain=5.0,
        adam=AdamConstants(0.9, 0.99, 1e-8),
        coarse_worths=(1.0,),
        coarse_renewed=0.5,
        widening=0.5,
        grad_scale=6.0,
        scale_range=(7.0, 8.0),
        feature_range=(9.0, 10.0),
        log_gain_range=(11.0, 12.0),
        learns_gains=False,
    )
    constants = row_constants(settings)
    assert list(constants) == fields_of("cuda/fit.cu", "RowConstants", "float")
    assert (constants["width"], constants["height"], constants["widening"]) == (3, 2, 1.0)


def test_a_packed_struct_is_its_numbers() -> None:
    struct = packed(asdict(LossWeights(1.0, 2.0, 3.0)))
    assert struct.tobytes() == np.array([1.0, 2.0, 3.0, 0.0], np.float32).tobytes()
    assert packed({"a": 0.1}, np.float64).tobytes() == np.array([0.1]).tobytes()
