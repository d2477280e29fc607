"""EncodeSettings: what they refuse, how they are layered, and when their fingerprint changes."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from gscodec.encoding import settings as settings_module
from gscodec.encoding.settings import TARGETS, EncodeOptions, EncodeSettings
from gscodec.errors import InvalidArgument
from gscodec.format.profile_table import PROFILE_NAMES
from gscodec.model.choices import PRESET_NAMES


def test_keywords_of_encode_are_the_fields() -> None:
    named = {field.name for field in fields(EncodeSettings)}
    assert set(EncodeOptions.__annotations__) | {"importance"} == named
    assert set(settings_module._CHECKS) == named


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"bpp": 0}, "positive"),
        ({"bpp": float("nan")}, "positive"),
        ({"bpp": "much"}, "not a number"),
        ({"bpp": True}, "not a number"),
        ({"gaussians": 2.5}, "whole number"),
        ({"seed": -1}, "at least 0"),
        ({"lods": 17}, r"1\.\.16"),
        ({"preset": "slow"}, "use paper, draft, fast, balanced, best"),
        ({"profile": "raw"}, "use coded, packed, f16, small"),
        ({"size": "many"}, "size"),
        ({"weights": {"ao": 1000}}, "ao: weight"),
        ({"as_stack": 1}, "true or false"),
        ({"role": "nice"}, "role"),
        ({"bpp": 1, "psnr": 30}, "bpp and psnr"),
        ({"speed": 3}, "'speed' is not a setting"),
    ],
)
def test_wrong_values_are_refused_where_they_come_from(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^here: .*{text}"):
        EncodeSettings().changed(values, "here")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (EncodeSettings(bpp=1, tune="visual", preset="paper"), "published loss"),
        (EncodeSettings(bpp=1, record_bytes=6), "need profile packed"),
        (EncodeSettings(bpp=1, profile="small", lods=2), "single level"),
        (EncodeSettings(bpp=1, profile="small", block=64), "cannot encode in blocks"),
        (EncodeSettings(psnr=30, time_budget=5), "exclude each other"),
    ],
)
def test_settings_that_exclude_each_other_are_refused_by_an_encode(settings: EncodeSettings, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        settings.check_together()


def test_a_target_replaces_another_and_other_settings_stay() -> None:
    settings = EncodeSettings(bpp=0.5, seed=3).changed({"size": "40k"})
    assert (settings.target, settings.size, settings.bpp, settings.seed) == ("size", 40_000, None, 3)


def test_values_are_kept_in_one_form() -> None:
    settings = EncodeSettings(bpp=np.float32(0.5), seed=np.int64(2), weights={"ao": 1})  # type: ignore[arg-type]
    assert settings == EncodeSettings(bpp=0.5, seed=2, weights=(("ao", 1.0),))
    assert settings.map_weights == {"ao": 1.0}
    assert hash(settings) == hash(replace(settings))


def test_defaults_follow_the_preset_and_the_profile() -> None:
    assert (EncodeSettings().chosen_profile, EncodeSettings().chosen_lods) == ("coded", 4)
    paper = EncodeSettings(preset="paper")
    assert (paper.chosen_profile, paper.chosen_lods) == ("f16", 1)
    assert EncodeSettings(profile="small").chosen_lods == 1
    assert {EncodeSettings(preset=name).recipe.name for name in PRESET_NAMES} == set(PRESET_NAMES)
    assert {EncodeSettings(profile=name).chosen_profile for name in PROFILE_NAMES} == set(PROFILE_NAMES)


def test_the_fingerprint_changes_with_every_setting_and_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    others: dict[str, Any] = {
        **dict.fromkeys(TARGETS, 7),
        "preset": "fast",
        "tune": "visual",
        "importance": "auto",
        "importance_strength": 2.0,
        "profile": "f16",
        "record_bytes": 7,
        "weights": {"ao": 2},
        "lods": 2,
        "halves": 1,
        "steps": 5,
        "seed": 1,
        "block": 64,
        "time_budget": 3.0,
        "part": "left",
        "nan": "zero",
        "metadata": "none",
        "role": "normal",
        "normal": "dx",
        "as_stack": True,
        "grain": True,
    }
    assert set(others) == {field.name for field in fields(EncodeSettings)}
    plain = EncodeSettings()
    prints = {plain.changed({name: value}).fingerprint() for name, value in others.items()} | {plain.fingerprint()}
    assert len(prints) == len(others) + 1
    before = plain.fingerprint()
    assert EncodeSettings().fingerprint() == before
    monkeypatch.setattr(settings_module, "fingerprint", lambda: "another build")
    assert plain.fingerprint() != before
