"""Samples the vectors of shaders/vectors with the shaders: GLSL in WebGL 2, WGSL in WebGPU, all in wgpu-native."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from chromium import Chromium
from shader_vectors import SHADERS, ShaderVector
from software_gpu import gpu_device

Samples = npt.NDArray[np.float32]

WIDTH: Final = 64
"""Texels of a row of the textures that hold points and words in WebGL."""

WORKGROUP: Final = 64

WEBGL: Final = """
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
if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
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
gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R32F, WIDTH, rows);
gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target, 0);
gl.viewport(0, 0, WIDTH, rows);
const results = [];
for (let lod = 0; lod < LEVELS; lod++)
  for (let channel = 0; channel < CHANNELS; channel++) {
    gl.uniform2i(gl.getUniformLocation(program, "which"), lod, channel);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    const values = new Float32Array(WIDTH * rows);
    gl.readPixels(0, 0, WIDTH, rows, gl.RED, gl.FLOAT, values);
    results.push(...values);
  }
return results;
"""

VERTEX: Final = (
    "#version 300 es\nvoid main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2. - 1., 0., 1.); }"
)

FRAGMENT: Final = """#version 300 es
precision highp float; precision highp int; precision highp usampler2D; precision highp sampler2D;
#define IGS_CHANNELS {channels}
#define IGS_TOP_K {top_k}
uniform usampler2D words;
uniform sampler2D points;
uniform ivec2 which;
uint igs_word(uint at) {{ return texelFetch(words, ivec2(int(at) % {width}, int(at) / {width}), 0).r; }}
{sample}
out float value;
void main() {{
    float channels[IGS_CHANNELS];
    igs_sample(texelFetch(points, ivec2(gl_FragCoord.xy), 0).xy, which.x, channels);
    value = channels[which.y];
}}
"""

WGSL: Final = """
const IGS_CHANNELS = {channels}u;
const IGS_TOP_K = {top_k}u;
@group(0) @binding(0) var<storage, read> igs_words: array<u32>;
@group(0) @binding(1) var<storage, read> points: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;
fn igs_word(at: u32) -> u32 {{ return igs_words[at]; }}
@compute @workgroup_size({workgroup}, 1, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    let channels = igs_sample(points[id.x], i32(id.y));
    for (var c = 0u; c < IGS_CHANNELS; c++) {{ results[(id.y * {points}u + id.x) * IGS_CHANNELS + c] = channels[c]; }}
}}
{sample}
"""

GLSL: Final = """#version 450
#define IGS_CHANNELS {channels}
#define IGS_TOP_K {top_k}
layout(local_size_x = {workgroup}) in;
layout(std430, binding = 0) readonly buffer Words {{ uint igs_words[]; }};
layout(std430, binding = 1) readonly buffer Points {{ vec2 points[]; }};
layout(std430, binding = 2) buffer Results {{ float results[]; }};
uint igs_word(uint at) {{ return igs_words[at]; }}
{sample}
void main() {{
    uvec2 id = gl_GlobalInvocationID.xy;
    float channels[IGS_CHANNELS];
    igs_sample(points[id.x], int(id.y), channels);
    for (int c = 0; c < IGS_CHANNELS; c++)
        results[(id.y * {points}u + id.x) * uint(IGS_CHANNELS) + uint(c)] = channels[c];
}}
"""

HLSL: Final = """
#define IGS_CHANNELS {channels}
#define IGS_TOP_K {top_k}
StructuredBuffer<uint> igs_words : register(t0);
StructuredBuffer<float2> points : register(t1);
RWStructuredBuffer<float> results : register(u2);
uint igs_word(uint at) {{ return igs_words[at]; }}
{sample}
[numthreads({workgroup}, 1, 1)] void main(uint3 id : SV_DispatchThreadID) {{
    float channels[IGS_CHANNELS];
    igs_sample(points[id.x], int(id.y), channels);
    for (uint c = 0; c < IGS_CHANNELS; c++) results[(id.y * {points} + id.x) * IGS_CHANNELS + c] = channels[c];
}}
"""

WEBGPU: Final = """
const adapter = await navigator.gpu.requestAdapter(), device = await adapter.requestDevice();
const module = device.createShaderModule({ code: CODE });
const faults = (await module.getCompilationInfo()).messages.filter((one) => one.type === "error");
if (faults.length) throw new Error(faults.map((one) => `${one.lineNum}: ${one.message}`).join("; "));
const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
const buffer = (size, usage, data) => {
  const made = device.createBuffer({ size, usage });
  if (data) device.queue.writeBuffer(made, 0, data);
  return made;
};
const words = decoded(BUFFER), points = decoded(POINTS), { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const size = 4 * LEVELS * CHANNELS * (points.byteLength / 8), results = buffer(size, STORAGE | COPY_SRC);
const given = [words, points].map((data) => buffer(data.byteLength, STORAGE | COPY_DST, data));
const parts = [...given, results];
const entries = parts.map((part, binding) => ({ binding, resource: { buffer: part } }));
const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
const read = buffer(size, COPY_DST | MAP_READ);
pass.setPipeline(pipeline);
pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
pass.dispatchWorkgroups(points.byteLength / 8 / WORKGROUP, LEVELS);
pass.end();
encoder.copyBufferToBuffer(results, 0, read, 0, size);
device.queue.submit([encoder.finish()]);
await read.mapAsync(GPUMapMode.READ);
return [...new Float32Array(read.getMappedRange())];
"""


def source(name: str) -> str:
    """Text of a file of shaders/, with what it includes."""
    text = (SHADERS / name).read_text(encoding="utf-8")
    return re.sub(r'^#include "(.+)"$', lambda match: source(match[1]), text, flags=re.MULTILINE)


def _filled(template: str, vector: ShaderVector, sample: str) -> str:
    entry = vector.entry
    assert entry["points"] % WORKGROUP == 0
    return template.format(
        channels=entry["channels"],
        top_k=entry["top_k"],
        points=entry["points"],
        width=WIDTH,
        workgroup=WORKGROUP,
        sample=source(sample),
    )


def _in_browser(browser: Chromium, body: str, vector: ShaderVector, **constants: str) -> Any:
    facts = {
        "BUFFER": base64.b64encode(vector.words.tobytes()).decode(),
        "POINTS": base64.b64encode(vector.points.tobytes()).decode(),
        "LEVELS": vector.entry["levels"],
        "CHANNELS": vector.entry["channels"],
        "WIDTH": WIDTH,
        "WORKGROUP": WORKGROUP,
    }
    lines = "".join(f"const {name} = {json.dumps(value)};" for name, value in {**facts, **constants}.items())
    decoded = "const decoded = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;"
    values = browser.evaluate(f"(async () => {{ {lines} {decoded} {body} }})()")
    assert browser.errors == []
    return values


def sampled_in_webgl(browser: Chromium, vector: ShaderVector) -> Samples:
    """(levels, M, C) features by igs_sample.glsl in WebGL 2."""
    fragment = _filled(FRAGMENT, vector, "igs_sample.glsl")
    values = _in_browser(browser, WEBGL, vector, VERTEX=VERTEX, FRAGMENT=fragment)
    levels, n_channels, n_points = (vector.entry[key] for key in ("levels", "channels", "points"))
    return np.array(values, np.float32).reshape(levels, n_channels, -1)[:, :, :n_points].transpose(0, 2, 1)


def sampled_in_webgpu(browser: Chromium, vector: ShaderVector) -> Samples:
    """(levels, M, C) features by igs_sample.wgsl in the browser's WebGPU; its page has to be from a file or https."""
    values = _in_browser(browser, WEBGPU, vector, CODE=_filled(WGSL, vector, "igs_sample.wgsl"))
    return np.array(values, np.float32).reshape(vector.expected.shape)


def spirv(text: str, *options: str) -> bytes:
    """A shader compiled by glslang.

    Raises:
        RuntimeError: glslang is not installed, or the text has an error.
    """
    program = shutil.which("glslangValidator")
    if not program:
        raise RuntimeError("the tests of the shaders need glslang: apt-get install glslang-tools")
    with tempfile.TemporaryDirectory() as folder:
        given, place = Path(folder) / "shader.txt", Path(folder) / "shader.spv"
        given.write_text(text, encoding="utf-8")
        command = [program, "-V", *options, "-o", str(place), str(given)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=120)
        if done.returncode:
            raise RuntimeError((done.stdout + done.stderr).decode(errors="replace"))
        return place.read_bytes()


def sampled_in_wgpu(vector: ShaderVector, language: str) -> Samples:
    """(levels, M, C) features by the shader in a language, `wgsl`, `glsl` or `hlsl`, in wgpu-native."""
    import wgpu

    template = {"wgsl": WGSL, "glsl": GLSL, "hlsl": HLSL}[language]
    text = _filled(template, vector, f"igs_sample.{language}")
    code = spirv(text, "-D", "-S", "comp", "-e", "main") if language == "hlsl" else text
    gpu, use = gpu_device().handle, wgpu.BufferUsage
    module = gpu.create_shader_module(code=code, label="comp")  # the label states the stage of GLSL
    pipeline = gpu.create_compute_pipeline(layout="auto", compute={"module": module, "entry_point": "main"})
    buffers = [
        gpu.create_buffer_with_data(data=vector.words, usage=use.STORAGE),
        gpu.create_buffer_with_data(data=vector.points, usage=use.STORAGE),
        gpu.create_buffer(size=vector.expected.nbytes, usage=use.STORAGE | use.COPY_SRC),
    ]
    entries = [{"binding": i, "resource": {"buffer": buffer}} for i, buffer in enumerate(buffers)]
    encoder = gpu.create_command_encoder()
    work = encoder.begin_compute_pass()
    work.set_pipeline(pipeline)
    work.set_bind_group(0, gpu.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries))
    work.dispatch_workgroups(vector.entry["points"] // WORKGROUP, vector.entry["levels"])
    work.end()
    gpu.queue.submit([encoder.finish()])
    return np.frombuffer(gpu.queue.read_buffer(buffers[2]), np.float32).reshape(vector.expected.shape)
