"""The shader beside the engine, at points, in WebGL 2."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from chromium import Chromium

import gscodec
from gscodec.errors import UnsupportedImage
from gscodec.exporting.shader_data import MAGIC, shader_data

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "spec" / "vectors"
WIDTH = 512
"""Points of a row of the texture that holds them, and words of one that holds the buffer."""

DRAW = """
const decoded = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const canvas = document.createElement("canvas"), gl = canvas.getContext("webgl2");
gl.getExtension("EXT_color_buffer_float");
const program = gl.createProgram();
for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, text);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  gl.attachShader(program, shader);
}
gl.linkProgram(program);
gl.useProgram(program);
const texture = (unit, format, layout, type, data, parts) => {
  const rows = Math.ceil(data.length / parts / WIDTH), all = new data.constructor(rows * WIDTH * parts);
  all.set(data);
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texStorage2D(gl.TEXTURE_2D, 1, format, WIDTH, rows);
  gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, WIDTH, rows, layout, type, all);
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  return rows;
};
texture(0, gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, new Uint32Array(decoded(BUFFER)), 1);
const rows = texture(1, gl.RG32F, gl.RG, gl.FLOAT, new Float32Array(decoded(POINTS)), 2);
gl.uniform1i(gl.getUniformLocation(program, "words"), 0);
gl.uniform1i(gl.getUniformLocation(program, "points"), 1);
const target = gl.createTexture(), framebuffer = gl.createFramebuffer();
gl.activeTexture(gl.TEXTURE2);
gl.bindTexture(gl.TEXTURE_2D, target);
gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, WIDTH, rows);
gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target, 0);
gl.viewport(0, 0, WIDTH, rows);
const results = [];
for (const lod of LODS) {
  gl.uniform1i(gl.getUniformLocation(program, "lod"), lod);
  gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  const values = new Float32Array(4 * WIDTH * rows);
  gl.readPixels(0, 0, WIDTH, rows, gl.RGBA, gl.FLOAT, values);
  results.push([...values]);
}
return results;
"""

VERTEX = (
    "#version 300 es\nvoid main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2. - 1., 0., 1.); }"
)

FRAGMENT = """#version 300 es
precision highp float; precision highp int; precision highp usampler2D; precision highp sampler2D;
#define IGS_CHANNELS {channels}
#define IGS_TOP_K {top_k}
uniform usampler2D words;
uniform sampler2D points;
uniform int lod;
uint igs_word(uint at) {{ return texelFetch(words, ivec2(int(at) % {width}, int(at) / {width}), 0).r; }}
{sample}
out vec4 color;
void main() {{
    float channels[IGS_CHANNELS];
    igs_sample(texelFetch(points, ivec2(gl_FragCoord.xy), 0).xy, lod, channels);
    vec4 first = vec4(0.);
    for (int c = 0; c < min(4, IGS_CHANNELS); c++) first[c] = channels[c];
    color = first;
}}
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium"), (100, 100)) as running:
        yield running


def sampled(browser: Chromium, path: Path, points: npt.NDArray[np.float32], lods: range) -> npt.NDArray[np.float32]:
    """(lods, M, up to 4) features at points (M, 2), uv, by the shader."""
    words = shader_data(path)
    sample = (ROOT / "shaders" / "igs_sample.glsl").read_text(encoding="utf-8")
    facts = {"channels": int(words[4]), "top_k": int(words[5]), "width": WIDTH, "sample": sample}
    constants = {
        "VERTEX": VERTEX,
        "FRAGMENT": FRAGMENT.format(**facts),
        "WIDTH": WIDTH,
        "LODS": list(lods),
        "BUFFER": base64.b64encode(words.tobytes()).decode(),
        "POINTS": base64.b64encode(points.tobytes()).decode(),
    }
    lines = "".join(f"const {name} = {json.dumps(value)};" for name, value in constants.items())
    values = np.array(browser.evaluate(f"(() => {{ {lines} {DRAW} }})()"), np.float32)
    assert browser.errors == []
    return values.reshape(len(lods), -1, 4)[:, : len(points), : min(4, int(words[4]))]


@pytest.mark.parametrize("name", ["packed_rgb", "packed_stack", "ladder_packed"])
def test_the_shader_samples_what_the_engine_does(browser: Chromium, name: str) -> None:
    path = VECTORS / f"{name}.igs"
    words = shader_data(path)
    rng = np.random.default_rng(1)
    uv = rng.random((3000, 2), np.float32)
    with gscodec.open(path, device="cpu", grain=False) as image:
        height, width, n_channels = image.shape
        lods = range(int(words[1]))
        at = uv.astype(np.float64) * [width, height]
        expected = np.array([image.sample(at, lod=lod) for lod in lods])[:, :, :4]
    error = 255 * abs(np.clip(sampled(browser, path, uv, lods), 0, 1) - np.clip(expected, 0, 1))
    # Points where rounding decides which Gaussian is the K-th nearest, or which tile they lie in, are left out.
    assert (error > 1).mean() < 1e-3
    assert np.median(error) < 0.01
    assert n_channels == words[4]


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
        shader_data(VECTORS / f"{name}.igs")
