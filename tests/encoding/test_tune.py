import numpy as np

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.encoding.api import encode
from gscodec.encoding.settings import EncodeSettings
from gscodec.model.choices import TUNE_NAMES, TuneName
from gscodec.model.gaussians import Float32Array


def texture(height: int, width: int) -> Float32Array:
    """Faint fine waves beside a strong edge, which is what squared errors are about."""
    y, x = np.mgrid[0:height, 0:width]
    waves = 0.5 + 0.06 * np.sin(0.9 * x + 0.5 * y)
    picture = np.where(x < width // 2, waves, np.where((x // 12 + y // 12) % 2, 0.9, 0.1))
    return np.ascontiguousarray(picture[:, :, None], np.float32)


def test_files_say_which_tune_was_chosen_and_visual_is_the_default() -> None:
    picture = texture(40, 48)
    tunes: tuple[TuneName | None, ...] = (None, "visual", "psnr")
    files = [encode(picture, gaussians=40, preset="fast", steps=20, tune=tune).data for tune in tunes]
    metas, features = [], []
    for data in files:
        with IgsReader(data) as reader:
            metas.append(reader.meta or {})
            features.append(reader.read(0).features)
    assert [meta.get("tune") for meta in metas] == list(tunes)
    assert np.array_equal(features[0], features[1])
    assert not np.array_equal(features[0], features[2])


def test_a_target_psnr_and_preset_paper_count_all_errors_alike() -> None:
    assert EncodeSettings(bpp=0.5).chosen_tune == "visual"
    assert EncodeSettings(psnr=35).chosen_tune == "psnr"
    assert EncodeSettings(bpp=0.5, preset="paper").chosen_tune == "psnr"
    assert EncodeSettings(psnr=35, tune="visual").chosen_tune == "visual"


def test_visual_takes_error_from_flat_areas_and_leaves_that_of_noise() -> None:
    rng = np.random.default_rng(4)
    picture = np.full((96, 128, 3), 0.5, np.float32)
    picture[:, :64] += np.linspace(-0.2, 0.2, 96, dtype=np.float32)[:, None, None] ** 2
    picture[:, 64:] += rng.normal(0, 0.15, (96, 64, 1)).astype(np.float32)
    picture = np.clip(picture, 0, 1)
    flat, noisy, flat_visual, noisy_visual = (
        float(error[:, columns].mean())
        for error in (_squared_error(picture, "psnr"), _squared_error(picture, "visual"))
        for columns in (slice(56), slice(72, None))
    )
    assert flat_visual < 0.9 * flat
    assert 0.95 * noisy < noisy_visual < 1.1 * noisy, "most of it stays whatever is coded"


def _squared_error(picture: Float32Array, tune: TuneName) -> Float32Array:
    result = encode(picture, gaussians=150, preset="fast", steps=120, tune=tune, lods=1, seed=1)
    with gscodec.open(result.data) as image:
        return np.asarray(np.square(image.render(dtype=np.float32) - picture), np.float32)


def test_blocks_are_tuned_too() -> None:
    picture = texture(128, 128)
    plain, visual = (encode(picture, gaussians=80, preset="fast", steps=15, block=64, tune=t) for t in TUNE_NAMES)
    assert plain.data != visual.data
    assert visual.psnr > 10
