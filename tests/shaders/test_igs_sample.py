"""The shaders beside their vectors, in every language and in every runner that there is."""

from collections.abc import Iterator
from pathlib import Path

import make_hlsl
import numpy as np
import pytest
from chromium import Chromium
from shader_runners import Samples, sampled_in_webgl, sampled_in_webgpu, sampled_in_wgpu, source, spirv
from shader_vectors import PLACE, ShaderVector, shader_vectors
from software_gpu import gpu_device
from vectors import VECTORS

import gscodec
from gscodec.errors import UnsupportedImage
from gscodec.exporting.shader_data import MAGIC, shader_data

each_vector = pytest.mark.parametrize("vector", shader_vectors(), ids=lambda vector: vector.name)

ALLOWED = 0.01
"""Codes of 8 bits that a shader may be off: at no point of the vectors does rounding decide which Gaussians count."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    page = tmp_path_factory.mktemp("page") / "page.html"
    page.write_text("<!doctype html><link rel=icon href=data:,>", encoding="utf-8")
    with Chromium(tmp_path_factory.mktemp("chromium"), (100, 100)) as running:
        running.open(page.as_uri())
        yield running


def miss(samples: Samples, vector: ShaderVector) -> float:
    """Greatest difference from what is expected, in codes of 8 bits."""
    return float(255 * np.abs(samples - vector.expected).max())


@each_vector
def test_glsl_in_webgl(browser: Chromium, vector: ShaderVector) -> None:
    assert miss(sampled_in_webgl(browser, vector), vector) < ALLOWED


@each_vector
def test_wgsl_in_a_browsers_webgpu(browser: Chromium, vector: ShaderVector) -> None:
    assert miss(sampled_in_webgpu(browser, vector), vector) < ALLOWED


@pytest.mark.parametrize("language", ["wgsl", "glsl", "hlsl"])
@each_vector
def test_all_languages_in_wgpu(vector: ShaderVector, language: str) -> None:
    assert miss(sampled_in_wgpu(vector, language), vector) < ALLOWED


@each_vector
def test_the_vectors_are_those_of_the_engine(vector: ShaderVector) -> None:
    path = VECTORS / f"{vector.name}.igs"
    np.testing.assert_array_equal(shader_data(path), vector.words)
    with gscodec.open(path, device="cpu", grain=False) as image:
        height, width, _ = image.shape
        at = vector.points.astype(np.float64) * [width, height]
        got = np.array([image.sample(at, lod=lod) for lod in range(vector.entry["levels"])])
    assert miss(got, vector) < ALLOWED


def test_the_vectors_are_listed_and_described() -> None:
    names = {vector.name for vector in shader_vectors()}
    assert {path.stem for path in PLACE.glob("*.words")} == {path.stem for path in PLACE.glob("*.bin")} == names
    assert {vector.entry["levels"] for vector in shader_vectors()} >= {2, 3, 4}
    assert max(vector.entry["channels"] for vector in shader_vectors()) > 3


def test_hlsl_is_made_from_the_glsl() -> None:
    assert make_hlsl.hlsl_of(source("igs_sample.glsl")) == source("igs_sample.hlsl")
    with pytest.raises(ValueError, match="which make_hlsl"):
        make_hlsl.hlsl_of("void main() {}")


def test_the_example_in_glsl_compiles() -> None:
    assert len(spirv(source("material.glsl"), "-S", "frag")) > 0


def test_the_example_in_hlsl_compiles() -> None:
    assert len(spirv(source("material.hlsl"), "-D", "-S", "frag", "-e", "main")) > 0


def test_the_example_in_wgsl_compiles() -> None:
    module = gpu_device().handle.create_shader_module(code=source("material.wgsl") + source("igs_sample.wgsl"))
    assert module is not None


def test_the_buffer_begins_with_what_the_shader_reads() -> None:
    words = shader_data((VECTORS / "packed_rgb.igs").read_bytes())
    with gscodec.open(VECTORS / "packed_rgb.igs") as image:
        height, width, n_channels = image.shape
        assert words[:5].tolist() == [MAGIC, image.lods, width, height, n_channels]
    assert words[5] == 10
    assert words[-1] == 0


@pytest.mark.parametrize("name", ["coded_rgb", "rgb", "small_rgb"])
def test_other_profiles_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedImage, match="encode with --profile packed"):
        shader_data(Path(VECTORS / f"{name}.igs"))
