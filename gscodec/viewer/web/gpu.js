// WebGL2: programs, targets, and two growing textures that serve as memory: Gaussian records and tile lists.

/** A GPU that cannot do what the viewer needs. */
export class GpuFault extends Error {}

export class Gpu {
  constructor(canvas) {
    const options = { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true, powerPreference: "high-performance" };
    const gl = canvas.getContext("webgl2", options);
    if (!gl) throw new GpuFault("This browser has no WebGL 2, which the viewer draws with.");
    this.gl = gl;
    this.canvas = canvas;
    // Features need more than 8 bits: 32 where they can be drawn to, else 16.
    if (gl.getExtension("EXT_color_buffer_float")) this.float = { format: gl.RGBA32F, type: gl.FLOAT };
    else if (gl.getExtension("EXT_color_buffer_half_float")) this.float = { format: gl.RGBA16F, type: gl.HALF_FLOAT };
    else throw new GpuFault("This GPU cannot draw to floating-point textures, which the viewer needs.");
    this.maxSize = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    gl.disable(gl.DITHER);
    gl.disable(gl.BLEND);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.records = new Arena(this, 2048, 256, gl.RGBA32F, gl.RGBA, gl.FLOAT, 4);
    this.lists = new Arena(this, 4096, 4096, gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, 1);
    this.quad = gl.createVertexArray();
  }

  program(vertex, fragment, defines = "") {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, `#version 300 es\nprecision highp float;\nprecision highp int;\nprecision highp sampler2D;\n` +
        `precision highp usampler2D;\n${defines}\n${text}`);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new GpuFault(`shader: ${gl.getShaderInfoLog(shader)}`);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new GpuFault(`shader: ${gl.getProgramInfoLog(program)}`);
    const uniforms = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const { name } = gl.getActiveUniform(program, i);
      uniforms[name] = gl.getUniformLocation(program, name);
    }
    return { program, uniforms };
  }

  /** A texture to draw to. */
  target(width, height, float = true) {
    const gl = this.gl, texture = gl.createTexture(), framebuffer = gl.createFramebuffer();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, float ? this.float.format : gl.RGBA8, width, height);
    plainSampling(gl);
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    return { texture, framebuffer, width, height };
  }

  release(target) {
    if (!target) return;
    this.gl.deleteTexture(target.texture);
    this.gl.deleteFramebuffer(target.framebuffer);
  }

  bind(unit, texture, uniform) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.uniform1i(uniform, unit);
  }
}

/** Nearest texel, no mipmaps, of the texture that is bound. */
export function plainSampling(gl) {
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
}

/**
 * A texture as linear memory, in lines of `line` texels: allocate, write, free. It grows by doubling its rows; addresses
 * stay, and whoever holds some writes its data again (`onGrow`).
 */
class Arena {
  constructor(gpu, width, line, format, layout, type, parts) {
    Object.assign(this, { gpu, width, line, format, layout, type, parts });
    this.linesPerRow = width / line;
    this.rows = 0;
    this.free = []; // [first line, lines], sorted
    this.used = 0; // lines
    this.kept = new Map(); // address -> data, to write again
    this.grow(64);
  }

  get bytes() {
    return this.used * this.line * this.parts * 4;
  }

  grow(rows) {
    const gl = this.gpu.gl;
    rows = Math.min(rows, this.gpu.maxSize, 4096);
    if (rows <= this.rows) return false;
    gl.deleteTexture(this.texture ?? null);
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, this.format, this.width, rows);
    plainSampling(gl);
    this.give(this.rows * this.linesPerRow, (rows - this.rows) * this.linesPerRow);
    this.rows = rows;
    for (const [address, data] of this.kept) this.upload(address, data);
    return true;
  }

  give(first, n) {
    let at = this.free.findIndex((run) => run[0] > first);
    if (at < 0) at = this.free.length;
    this.free.splice(at, 0, [first, n]);
    for (const i of [at, at - 1]) {
      const run = this.free[i], next = this.free[i + 1];
      if (run && next && run[0] + run[1] === next[0]) {
        run[1] += next[1];
        this.free.splice(i + 1, 1);
      }
    }
  }

  /** Address of new memory with this data; -1 if there is no room. */
  store(data) {
    const n = Math.max(1, Math.ceil(data.length / this.parts / this.line));
    for (;;) {
      const at = this.free.findIndex((run) => run[1] >= n);
      if (at >= 0) {
        const run = this.free[at], first = run[0];
        run[0] += n;
        run[1] -= n;
        if (!run[1]) this.free.splice(at, 1);
        this.used += n;
        const address = first * this.line;
        this.write(address, data);
        return address;
      }
      if (!this.grow(2 * this.rows)) return -1;
    }
  }

  write(address, data) {
    this.kept.set(address, data);
    this.upload(address, data);
  }

  upload(address, data) {
    const gl = this.gpu.gl, { width, parts } = this, total = data.length / parts;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    for (let done = 0; done < total; ) { // the rest of a row, whole rows, the beginning of a row
      const x = (address + done) % width, y = Math.floor((address + done) / width), left = total - done;
      const columns = x || left < width ? Math.min(width - x, left) : width;
      const rows = columns < width ? 1 : Math.floor(left / width), n = columns * rows;
      gl.texSubImage2D(gl.TEXTURE_2D, 0, x, y, columns, rows, this.layout, this.type, data.subarray(done * parts, (done + n) * parts));
      done += n;
    }
  }

  release(address) {
    const data = this.kept.get(address), n = Math.max(1, Math.ceil(data.length / this.parts / this.line));
    this.kept.delete(address);
    this.used -= n;
    this.give(address / this.line, n);
  }
}
