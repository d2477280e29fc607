// Draws a scene: Gaussians to samples in slices that keep the page alive, then samples to display colour, with a fade
// from one level to the next.

import { TILE } from "./tiles.js";
import { SAMPLE_VERTEX, SAMPLE_FRAGMENT, COVER_VERTEX, DEVELOP_FRAGMENT } from "./shaders.js";

const FADE_MS = 180;
const FRAME_MS = 30; // a frame may take while the view moves; then it has fewer pixels
const MOVING_SLICE_MS = 14;
const RESTING_SLICE_MS = 60; // of drawing before the page may react
const LEAST_WORK = 4e6; // points times candidates of a slice: less than that is not worth a slice on any GPU
const WORDS = 10; // of an instance
const BLOCK_TILES = 16;
const MOST_SAMPLES = 4; // along a pixel's side, below 1:1

const programs = new WeakMap(); // gpu -> Map of top_k -> program

function sampler(gpu, K) {
  if (!programs.has(gpu)) programs.set(gpu, new Map());
  const of = programs.get(gpu);
  if (!of.has(K)) of.set(K, gpu.program(SAMPLE_VERTEX, SAMPLE_FRAGMENT, `#define K ${K}`));
  return of.get(K);
}

function developer(gpu) {
  if (!programs.has(gpu)) programs.set(gpu, new Map());
  const of = programs.get(gpu);
  if (!of.has("develop")) of.set("develop", gpu.program(COVER_VERTEX, DEVELOP_FRAGMENT));
  return of.get("develop");
}

const KINDS = { linear: 1, srgb: 1, log: 2, asinh: 3 };

/** What the shader needs to make samples of features. */
function sampleRule(selection, info) {
  const { group } = selection, float = group.sample_type === "float";
  const kind = float ? KINDS[group.transfer] : 0, knee = 2 ** (group.knee - 64);
  const range = kind === 3 ? [Math.asinh(group.value_min / knee), Math.asinh(group.value_max / knee)] : [group.value_min, group.value_max];
  const all = info.groups.flatMap((g) => g.background), background = selection.channels.map((c, i) => (c >= 0 ? all[c] : i === 3 ? 1 : 0));
  return { kind, knee, range, background, premultiplied: !selection.part && group.alpha === "premultiplied" ? 1 : 0 };
}

/** What the shader needs to add the grain of section "Grain" to what is shown, or null. */
function grainRule(selection, info, zoom) {
  const number = info.groups.indexOf(selection.group), entry = info.grain?.find(({ group }) => group === number);
  if (!entry || selection.part || selection.channels.every((c, i) => i === 3 || c < 0)) return null;
  const a = entry.correlation, ratio = Math.max(1, 1 / zoom), G = (16 + 2 * a) ** 2 / (256 + 2 * a * a);
  const side = ratio > 1 ? 0 : a, unit = 1 / (1 + (ratio - 1) / G) / 1024 / (147.8 * (256 + 2 * side * side)), m = entry.independence / 255;
  const colours = selection.channels.slice(0, 3).filter((c) => c >= 0).length;
  return { colours, side, field: 128 * number, units: [Math.sqrt(1 - m) * unit, Math.sqrt(m) * unit], strength: entry.strength };
}

const LIGHT_ROLES = ["color", "albedo", "emissive"];

export class Painter {
  constructor(gpu, scene) {
    const gl = gpu.gl;
    Object.assign(this, { gpu, scene, rate: 2e4 }); // points times candidates in a millisecond, measured as it goes
    this.front = this.before = this.back = null; // frames: { target, view, lod, version }
    this.faded = false;
    this.instances = gl.createBuffer();
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.instances);
    for (const place of [0, 1, 2]) {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribDivisor(place, 1);
    }
    gl.bindVertexArray(null);
    this.display = null;
  }

  /** Quads of the tiles of a view, each at the finest level of `lods` that is there; ordered by blocks. */
  quads(view, lods) {
    const { scene } = this, { k, side, rect } = scene.gridOf(view), { info } = scene;
    const columns = rect.x1 - rect.x0 + 1, rows = rect.y1 - rect.y0 + 1;
    const words = new Int32Array(WORDS * columns * rows), numbers = new Float32Array(words.buffer), work = [];
    const edges = (first, n, origin, size, last) => // px of the target where tiles begin; the last entry is where they end
      Array.from({ length: n + 1 }, (_, i) => {
        const at = Math.min((first + i) * side, last);
        return Math.min(Math.max(Math.ceil((at - origin) * view.zoom - 0.5 - 1e-9), 0), size);
      });
    const xs = edges(rect.x0, columns, view.x, view.width, info.width), ys = edges(rect.y0, rows, view.y, view.height, info.height);
    let n = 0, missing = 0;
    for (let by = Math.floor(rect.y0 / BLOCK_TILES); by * BLOCK_TILES <= rect.y1; by++)
      for (let bx = Math.floor(rect.x0 / BLOCK_TILES); bx * BLOCK_TILES <= rect.x1; bx++) {
        const blocks = lods.map((lod) => scene.block(lod, k, bx, by)).filter(Boolean);
        for (let ty = Math.max(rect.y0, by * BLOCK_TILES); ty <= Math.min(rect.y1, by * BLOCK_TILES + BLOCK_TILES - 1); ty++)
          for (let tx = Math.max(rect.x0, bx * BLOCK_TILES); tx <= Math.min(rect.x1, bx * BLOCK_TILES + BLOCK_TILES - 1); tx++) {
            const block = blocks.find((b) => b.x0 <= tx && tx <= b.x1 && b.y0 <= ty && ty <= b.y1);
            const i = tx - rect.x0, j = ty - rect.y0;
            if (xs[i] >= xs[i + 1] || ys[j] >= ys[j + 1]) continue;
            if (!block) {
              missing++;
              continue;
            }
            const tile = (ty - block.y0) * (block.x1 - block.x0 + 1) + tx - block.x0, at = WORDS * n++;
            const start = block.starts[tile], count = block.starts[tile + 1] - start;
            words.set([xs[i], ys[j], xs[i + 1], ys[j + 1], block.address + start, count, tx << k, ty << k], at);
            numbers[at + 8] = view.x + xs[i] / view.zoom - tx * side;
            numbers[at + 9] = view.y + ys[j] / view.zoom - ty * side;
            work.push((xs[i + 1] - xs[i]) * (ys[j + 1] - ys[j]) * (count + 16));
          }
      }
    return { words: words.subarray(0, WORDS * n), work, n, missing };
  }

  /** Draws quads first..last - 1 to a frame. */
  draw(frame, first, last) {
    const gl = this.gpu.gl, { scene } = this, { program, uniforms } = sampler(this.gpu, scene.info.top_k);
    const rule = sampleRule(scene.selection, scene.info);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame.target.framebuffer);
    gl.viewport(0, 0, frame.target.width, frame.target.height);
    gl.useProgram(program);
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.instances);
    gl.bufferData(gl.ARRAY_BUFFER, frame.quads.words.subarray(first * WORDS, last * WORDS), gl.STREAM_DRAW);
    gl.vertexAttribIPointer(0, 4, gl.INT, 4 * WORDS, 0);
    gl.vertexAttribIPointer(1, 4, gl.INT, 4 * WORDS, 16);
    gl.vertexAttribPointer(2, 2, gl.FLOAT, false, 4 * WORDS, 32);
    this.gpu.bind(0, this.gpu.records.texture, uniforms.records);
    this.gpu.bind(1, this.gpu.lists.texture, uniforms.lists);
    gl.uniform2f(uniforms.target_size, frame.target.width, frame.target.height);
    gl.uniform1f(uniforms.pixel, 1 / frame.view.zoom);
    gl.uniform1i(uniforms.sub, frame.sub);
    gl.uniform4fv(uniforms.background, rule.background);
    gl.uniform1i(uniforms.kind, rule.kind);
    gl.uniform4f(uniforms.range, ...rule.range, 0, 0);
    gl.uniform1f(uniforms.knee, rule.knee);
    gl.uniform1i(uniforms.premultiplied, rule.premultiplied);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, last - first);
    gl.bindVertexArray(null);
  }

  /** A frame of a view, cleared, with its quads; nothing is drawn yet. */
  begin(view, lods, key) {
    const gl = this.gpu.gl;
    const target = this.spare && this.spare.width === view.width && this.spare.height === view.height ? this.spare : this.gpu.target(view.width, view.height);
    if (this.spare !== target) this.gpu.release(this.spare);
    this.spare = null;
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.framebuffer);
    gl.clearColor(0, 0, 0, -9); // an alpha that no sample has: nothing is there
    gl.clear(gl.COLOR_BUFFER_BIT);
    const sub = view.zoom >= 1 ? 1 : Math.min(MOST_SAMPLES, Math.ceil(1 / view.zoom - 1e-9));
    return { target, view, key, sub: lods[0] > 0 && view.zoom < 1 ? Math.min(sub, 2) : sub, quads: this.quads(view, lods), at: 0 };
  }

  /** Whether the front frame is that of a view and of all that has arrived. */
  current(view, key) {
    const f = this.front;
    return f && f.key === key && f.view.x === view.x && f.view.y === view.y && f.view.zoom === view.zoom && f.view.width === view.width && f.view.height === view.height;
  }

  /**
   * One step: draws a slice of the next frame if one is due. True while there is more to do.
   * @param view { x, y, zoom, width, height } @param lods finest first @param moving whether the view will change again
   */
  step(view, lods, moving) {
    const gl = this.gpu.gl, { scene } = this, key = `${scene.version}/${lods[0]}/${scene.selection.name}`;
    if (this.fence) { // the slice before this one
      const state = gl.clientWaitSync(this.fence.sync, gl.SYNC_FLUSH_COMMANDS_BIT, 0);
      if (state === gl.TIMEOUT_EXPIRED) return true;
      gl.deleteSync(this.fence.sync);
      const ms = Math.max(0.5, performance.now() - this.fence.began), rate = this.fence.work / ms;
      this.rate = Math.min(Math.max(rate, this.rate / 2), this.rate * 4);
      this.fence = null;
      if (this.back && this.back.at >= this.back.quads.n) this.swap();
    }
    if (!this.back) {
      if (this.current(view, key)) return this.fading();
      if (this.fading() && !moving && this.front.view.zoom === view.zoom) return true; // one after the other
      let shown = view;
      if (moving && this.front) { // fewer pixels, if it would take too long
        const total = this.front.quads.work.reduce((sum, w) => sum + w, 0) * (view.width * view.height) / (this.front.view.width * this.front.view.height);
        for (let half = 1; half <= 2 && total / 4 ** (half - 1) / this.rate > FRAME_MS; half++)
          shown = { x: view.x, y: view.y, zoom: view.zoom / 2 ** half, width: Math.ceil(view.width / 2 ** half), height: Math.ceil(view.height / 2 ** half) };
      }
      this.back = this.begin(shown, lods, shown === view ? key : "");
      if (shown !== view) this.back.sub = 1;
    }
    const { quads } = this.back;
    let last = this.back.at, work = 0;
    const scale = this.back.sub ** 2, budget = Math.max(moving ? LEAST_WORK / 4 : LEAST_WORK, this.rate * (moving ? MOVING_SLICE_MS : RESTING_SLICE_MS));
    while (last < quads.n && (work === 0 || work < budget)) work += quads.work[last++] * scale;
    if (last > this.back.at) this.draw(this.back, this.back.at, last);
    this.back.at = last;
    this.fence = { sync: gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0), began: performance.now(), work };
    gl.flush();
    return true;
  }

  swap() {
    const { front, back } = this;
    const same = front && front.view.zoom === back.view.zoom;
    if (this.before) this.spare = this.before.target;
    this.before = front;
    this.front = back;
    this.back = null;
    this.fadeFrom = same ? performance.now() : -Infinity;
    this.fresh = true; // what is seen has changed
  }

  fading() {
    const is = performance.now() - (this.fadeFrom ?? -Infinity) < FADE_MS;
    if (is || this.faded) this.fresh = true; // its last frame, too
    this.faded = is;
    return is;
  }

  /** Whether there is something to see that the last `develop` did not show. */
  get visible() {
    return this.fresh || !this.display;
  }

  /** Draws all of a view at once, to a frame that the caller releases. */
  whole(view, lods) {
    const frame = this.begin(view, lods, "");
    for (let at = 0; at < frame.quads.n; at += 2048) this.draw(frame, at, Math.min(frame.quads.n, at + 2048));
    return frame;
  }

  /** Display colour of a view as a texture of its size. */
  develop(view, look) {
    this.fresh = false;
    const gl = this.gpu.gl, { program, uniforms } = developer(this.gpu), { scene } = this;
    if (!this.display || this.display.width !== view.width || this.display.height !== view.height) {
      this.gpu.release(this.display);
      this.display = this.gpu.target(view.width, view.height, false);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.display.framebuffer);
    gl.viewport(0, 0, view.width, view.height);
    if (!this.front) {
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      return this.display.texture;
    }
    const { selection } = scene, { group } = selection, rule = sampleRule(selection, scene.info), before = this.before ?? this.front;
    const place = (frame) => {
      const scale = frame.view.zoom / view.zoom;
      return [scale, scale, (view.x - frame.view.x) * frame.view.zoom, (view.y - frame.view.y) * frame.view.zoom];
    };
    const light = rule.kind !== 0 && LIGHT_ROLES.includes(group.role);
    gl.useProgram(program);
    gl.bindVertexArray(this.gpu.quad);
    this.gpu.bind(0, this.front.target.texture, uniforms.now);
    this.gpu.bind(1, before.target.texture, uniforms.before);
    gl.uniform4fv(uniforms.place_now, place(this.front));
    gl.uniform4fv(uniforms.place_before, place(before));
    gl.uniform1f(uniforms.fade, this.before ? Math.min(1, (performance.now() - this.fadeFrom) / FADE_MS) : 1);
    gl.uniform1i(uniforms.kind, rule.kind);
    gl.uniform1i(uniforms.shown, selection.normal ? 2 : selection.gray ? 1 : 0);
    gl.uniform1i(uniforms.light, light ? 1 : 0);
    gl.uniform1i(uniforms.tone, look.soft ? 1 : 0);
    gl.uniform1i(uniforms.premultiplied, rule.premultiplied);
    gl.uniform1i(uniforms.smoothly, this.front.view.zoom === view.zoom && this.front.view.width === view.width ? 0 : 1);
    gl.uniform1f(uniforms.exposure, 2 ** look.exposure);
    const grain = look.grain ? grainRule(selection, scene.info, view.zoom) : null;
    gl.uniform1i(uniforms.grain, grain ? grain.colours : 0);
    if (grain) {
      gl.uniform2i(uniforms.grain_at, Math.round(view.x * view.zoom), Math.round(view.y * view.zoom));
      gl.uniform1i(uniforms.grain_side, grain.side);
      gl.uniform1ui(uniforms.grain_field, grain.field);
      gl.uniform2fv(uniforms.grain_unit, grain.units);
      gl.uniform1fv(uniforms["grain_strength[0]"], grain.strength);
    }
    gl.uniform2f(uniforms.span, group.value_min, group.value_max);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.bindVertexArray(null);
    return this.display.texture;
  }

  close() {
    for (const frame of [this.front, this.before, this.back]) if (frame) this.gpu.release(frame.target);
    this.gpu.release(this.spare);
    this.gpu.release(this.display);
    if (this.fence) this.gpu.gl.deleteSync(this.fence.sync);
    this.gpu.gl.deleteBuffer(this.instances);
    this.gpu.gl.deleteVertexArray(this.array);
  }
}
