"""growth.cu beside the CPU's growth, with the same random numbers."""

from dataclasses import replace

import numpy as np
import pytest
from counter_draws import CounterDraws, philox4x32
from host_runtime import SCHEDULES, HostRuntime

from gscodec.cuda.growth import Growth, GrowthTerms, Placed
from gscodec.cuda.runtime import Runtime
from gscodec.fit.growth import blob_scales, growth_blobs, growth_terms, new_rows
from gscodec.fit.peaks import keep_apart
from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import PRESETS, Preset
from gscodec.model.gaussians import Float32Array

SEED = (5 << 40) + 3
SHAPE = 53, 70, 3


def pictures(shape: tuple[int, int, int] = SHAPE) -> tuple[Float32Array, Float32Array]:
    rng = np.random.default_rng(1)
    target = np.cumsum(np.cumsum(rng.normal(size=shape), axis=0), axis=1)
    target = (target - target.min()) / max(np.ptp(target), 1e-9)
    return target.astype(np.float32), (target + rng.normal(0, 0.1, shape)).astype(np.float32)


def planes(runtime: Runtime, picture: Float32Array | None) -> Float32Array | None:
    return None if picture is None else runtime.upload(np.moveaxis(picture, 2, 0))


def drawn(name: str) -> Preset:
    """A preset that draws all new Gaussians."""
    return replace(PRESETS[name], blob_sizes=())


@pytest.mark.parametrize("preset", ["paper", "fast", "balanced"])
@pytest.mark.parametrize("counts", [None, "map", "channels"])
@pytest.mark.parametrize("grows", [False, True])
def test_new_gaussians_are_those_of_the_cpu(
    device_runtime: Runtime, preset: str, counts: str | None, *, grows: bool
) -> None:
    """At the same places, and alike; one after the other, so that draws do not come twice."""
    plan = FitPlan(drawn(preset), SHAPE, (120,), 100)
    target, shown = pictures()
    image = shown if grows else None
    rng = np.random.default_rng(2)
    allowed = rng.random(SHAPE[:2]) < 0.7
    weights = None
    if counts is not None:
        weights = rng.random(SHAPE[:2] if counts == "map" else (3, *SHAPE[:2]), np.float32)
    draws = CounterDraws(SEED)
    with device_runtime:
        up = device_runtime.upload
        on_device = planes(device_runtime, target)
        growth = Growth(device_runtime, on_device, None if weights is None else up(weights), up(allowed), SEED)
        for n_wanted in (40, 120):
            expected = new_rows(plan, target, image, 10, n_wanted, draws, allowed=allowed, importance=weights)
            terms = growth_terms(plan, n_wanted, is_first=image is None, has_map=counts == "map")
            found = growth.rows(terms, planes(device_runtime, image), n_wanted - 10)
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(device_runtime.download(a), b, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("counts", [None, "map", "channels"])
@pytest.mark.parametrize("shape", [(53, 70, 3), (1, 90, 2), (90, 1, 1)])
def test_gaussians_at_peaks_are_those_of_the_cpu(
    device_runtime: Runtime, shape: tuple[int, int, int], counts: str | None
) -> None:
    """The ones at peaks come first, then the drawn ones."""
    preset = replace(PRESETS["fast"], blob_sizes=(0.2, 0.5, 1.0))
    plan = FitPlan(preset, shape, (150,), 100)
    target, image = pictures(shape)
    rng = np.random.default_rng(2)
    allowed = rng.random(shape[:2]) < 0.7
    weights = None
    if counts is not None:
        weights = rng.random(shape[:2] if counts == "map" else (shape[2], *shape[:2]), np.float32)
    expected = new_rows(plan, target, image, 30, 150, CounterDraws(SEED), allowed=allowed, importance=weights)
    with device_runtime:
        up = device_runtime.upload
        growth = Growth(
            device_runtime, planes(device_runtime, target), None if weights is None else up(weights), up(allowed), SEED
        )
        terms = growth_terms(plan, 150, is_first=False, has_map=counts == "map")
        blobs = growth_blobs(plan, 150)
        shown = planes(device_runtime, image)
        near = growth.candidates(shown, blobs.boxes[:, 0].tolist(), blobs.factors, 10_000)
        pixels, sizes = keep_apart(*near, blobs, shape[:2], 120)
        found = growth.rows(terms, shown, 120, Placed(pixels, blob_scales(plan, blobs)[sizes]))
        assert 10 < len(pixels) <= 120
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(device_runtime.download(a), b, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 90, 2), (90, 1, 1), (70, 130, 4)])
def test_pictures_of_any_shape_grow(device_runtime: Runtime, shape: tuple[int, int, int]) -> None:
    """Radii beyond the picture's sides; as many Gaussians as there are pixels, and more."""
    target, image = pictures(shape)
    plan = FitPlan(drawn("fast"), shape, (7,), 100)
    n_pixels = shape[0] * shape[1]
    for n_new in {1, n_pixels, n_pixels + 5}:
        expected = new_rows(plan, target, image, 0, n_new, CounterDraws(SEED))[0]
        with device_runtime:
            growth = Growth(device_runtime, planes(device_runtime, target), None, None, SEED)
            terms = growth_terms(plan, n_new, is_first=False, has_map=False)
            found = device_runtime.download(growth.rows(terms, planes(device_runtime, image), n_new)[0])
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


TERMS = GrowthTerms(0.0, 2.0, 0.0, False, 0.5, (1.0, 1.0), 0.0, 1)


def test_no_pixel_is_drawn_twice_while_another_has_any_error(device_runtime: Runtime) -> None:
    target, image = np.zeros((2, 20, 30), np.float32), np.zeros((2, 20, 30), np.float32)
    image[0, 3:5, 4:9] = 0.25
    with device_runtime:
        growth = Growth(device_runtime, device_runtime.upload(target), None, None, 1)
        rows = device_runtime.download(growth.rows(TERMS, device_runtime.upload(image), 13)[0])
    wrong = {(x + 0.5, y + 0.5) for y in (3, 4) for x in range(4, 9)}
    places = [(float(x), float(y)) for x, y in rows[:, :2]]
    assert set(places[:10]) == wrong
    assert len(set(places[10:])) == 3
    assert set(places[10:]) <= wrong


def test_without_any_error_they_come_anywhere(device_runtime: Runtime) -> None:
    """So too where a sample is not a number, which the steps will tell."""
    for value in (0.0, np.nan, np.inf):
        image = np.zeros((1, 20, 30), np.float32)
        image[0, 2, 2] = value
        with device_runtime:
            growth = Growth(device_runtime, device_runtime.upload(np.zeros_like(image)), None, None, 1)
            rows = device_runtime.download(growth.rows(TERMS, device_runtime.upload(image), 300)[0])
        assert len(np.unique(rows[:, :2], axis=0)) == 300
        assert 8 < rows[:, 1].mean() < 12


@pytest.mark.parametrize("schedule", SCHEDULES[1:3], ids=str)
def test_growth_does_not_depend_on_the_order_of_threads(schedule: object) -> None:
    runtime, (target, image) = HostRuntime(), pictures()
    terms = growth_terms(FitPlan(PRESETS["fast"], SHAPE, (99,), 9), 99, is_first=False, has_map=False)

    def grown() -> list[Float32Array]:
        growth = Growth(runtime, planes(runtime, target), None, None, SEED)
        return [runtime.download(part) for part in growth.rows(terms, planes(runtime, image), 99)]

    expected = grown()
    with runtime.scheduled(schedule):  # type: ignore[arg-type]
        for a, b in zip(grown(), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_draws_are_philox_s_and_gumbel() -> None:
    """Known answers of the authors' library, Random123; and moments."""
    ones = np.full((4, 1), 0xFFFFFFFF, np.uint64)
    assert philox4x32(np.zeros((4, 1), np.uint64), 0)[:, 0].tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox4x32(ones, (1 << 64) - 1)[:, 0].tolist() == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    values = CounterDraws(3).gumbel(size=20_000)
    assert values.mean() == pytest.approx(np.euler_gamma, abs=0.03)
    assert values.std() == pytest.approx(np.pi / np.sqrt(6), abs=0.03)
