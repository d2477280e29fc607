// Draws a scene: Gaussians to samples in slices that keep the page alive, then samples to display colour, with a fade
// from one level to the next.

import { extent, tilesOf } from "./lattice.js";
import { SAMPLE_VERTEX, SAMPLE_FRAGMENT, COVER_VERTEX, DEVELOP_FRAGMENT, MEAN_FRAGMENT } from "./shaders.js";

const FADE_MS = 180;
const FRAME_MS = 30; // a frame may take while the view moves; then it has fewer pixels
const MOVING_SLICE_MS = 14;
const RESTING_SLICE_MS = 60; // of drawing before the page may react
const LEAST_WORK = 4e6; // points times candidates of a slice: less than that is not worth a slice on any GPU
const WORDS = 10; // of an instance
const BLOCK_TILES = 16;
const SCRATCH = 1024; // points along each side that are evaluated before they are averaged

const programs = new WeakMap(); // gpu -> Map of top_k -> program

function sampler(gpu, K) {
  if (!programs.has(gpu)) programs.set(gpu, new Map());
  const of = programs.get(gpu);
  if (!of.has(K)) of.set(K, gpu.program(SAMPLE_VERTEX, SAMPLE_FRAGMENT, `#define K ${K}`));
  return of.get(K);
}

function shared(gpu, name, fragment) {
  if (!programs.has(gpu)) programs.set(gpu, new Map());
  const of = programs.get(gpu);
  if (!of.has(name)) of.set(name, gpu.program(COVER_VERTEX, fragment));
  return of.get(name);
}

const MEANS = { plain: 0, within: 1, straight: 2, light: 3 };

/**
 * Means over area, of the points in a texture, in pixels x0..x1, y0..y1 of a target: { x0, y0, x1, y1, begin_x, begin_y }.
 * @param size of what the texture holds @param lattice of the target
 */
export function average(gpu, texture, size, target, out, lattice, mean) {
  const { gl } = gpu, { program, uniforms } = shared(gpu, "mean", MEAN_FRAGMENT);
  gl.bindFramebuffer(gl.FRAMEBUFFER, target.framebuffer);
  gl.viewport(out.x0, out.y0, out.x1 - out.x0, out.y1 - out.y0);
  gl.useProgram(program);
  gl.bindVertexArray(gpu.quad);
  gpu.bind(0, texture, uniforms.cells);
  gl.uniform2i(uniforms.size, ...size);
  gl.uniform2i(uniforms.first, out.x0, out.y0);
  gl.uniform2f(uniforms.begin, out.begin_x, out.begin_y);
  gl.uniform2f(uniforms.ratio, lattice.x.cells / lattice.x.shown, lattice.y.cells / lattice.y.shown);
  gl.uniform1i(uniforms.mean, MEANS[mean]);
  gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  gl.bindVertexArray(null);
}

const KINDS = { linear: 1, srgb: 1, log: 2, asinh: 3 };

/** How samples are made of features: kind, range and knee. */
function transferOf(group) {
  const kind = group?.sample_type === "float" ? KINDS[group.transfer] : 0, knee = group ? 2 ** (group.knee - 64) : 1;
  const range = !group ? [0, 1] : kind === 3 ? [Math.asinh(group.value_min / knee), Math.asinh(group.value_max / knee)] : [group.value_min, group.value_max];
  return { kind, range, knee };
}

/** What the shader needs to make samples of features. */
function sampleRule(selection, info) {
  const { group, channels } = selection, all = info.groups.flatMap((g) => g.background);
  const colour = transferOf(group), alpha = transferOf(info.groups.find((g) => g.first <= channels[3] && channels[3] < g.first + g.n_channels));
  const background = channels.map((c, i) => (c >= 0 ? all[c] : i === 3 ? 1 : 0));
  const premultiplied = !selection.part && group.alpha === "premultiplied" ? 1 : 0, weigh = MEANS[selection.mean] >= 2 ? 1 : 0;
  return { kind: colour.kind, colour, alpha, background, premultiplied, weigh };
}

/** What the shader needs to add the grain of section "Grain" to what is shown, or null. */
function grainRule(selection, info, { x, y }) {
  const number = info.groups.indexOf(selection.group), entry = info.grain?.find(({ group }) => group === number);
  if (!entry || selection.part || selection.channels.every((c, i) => i === 3 || c < 0)) return null;
  const a = entry.correlation, G = (16 + 2 * a) ** 2 / (256 + 2 * a * a), left = (axis) => Math.sqrt(1 + (Math.max(1, axis.pixel) - 1) / G);
  const side = x.pixel > 1 || y.pixel > 1 ? 0 : a, unit = 1 / (left(x) * left(y)) / 1024 / (147.8 * (256 + 2 * side * side)), m = entry.independence / 255;
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

  /**
   * Quads of the tiles of a part of a lattice, each at the finest level of `lods` that is there; ordered by blocks.
   * @param part { x, y, width, height, step_x, step_y, k }: first point, not always a whole number, and how many
   */
  quads(part, lods) {
    const { scene } = this, { k, step_x, step_y } = part, { info } = scene, left = part.x * step_x, top = part.y * step_y;
    const rect = tilesOf(info, k, left, top, left + part.width * step_x, top + part.height * step_y), { side } = rect;
    const columns = rect.x1 - rect.x0 + 1, rows = rect.y1 - rect.y0 + 1;
    const words = new Int32Array(WORDS * columns * rows), numbers = new Float32Array(words.buffer), work = [];
    const edges = (first, n, origin, size, step, last) => // px of the target where tiles begin; the last entry is where they end
      Array.from({ length: n + 1 }, (_, i) => {
        const at = Math.min((first + i) * side, last);
        return Math.min(Math.max(Math.ceil(at / step - origin - 0.5 - 1e-9), 0), size);
      });
    const xs = edges(rect.x0, columns, part.x, part.width, step_x, info.width);
    const ys = edges(rect.y0, rows, part.y, part.height, step_y, info.height);
    let n = 0, missing = 0, points = 0;
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
            numbers[at + 8] = (part.x + xs[i]) * step_x - tx * side;
            numbers[at + 9] = (part.y + ys[j]) * step_y - ty * side;
            const area = (xs[i + 1] - xs[i]) * (ys[j + 1] - ys[j]);
            points += area;
            work.push(area * (count + 16));
          }
      }
    return { words: words.subarray(0, WORDS * n), work, n, missing, points };
  }

  /** Draws quads first..last - 1 of a frame's part. */
  draw(frame, first, last) {
    const gl = this.gpu.gl, { scene } = this, { program, uniforms } = sampler(this.gpu, scene.info.top_k);
    const rule = sampleRule(scene.selection, scene.info), part = frame.parts[frame.part], target = part.out ? this.scratch : frame.target;
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.framebuffer);
    gl.viewport(0, 0, target.width, target.height);
    gl.useProgram(program);
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.instances);
    gl.bufferData(gl.ARRAY_BUFFER, frame.quads.words.subarray(first * WORDS, last * WORDS), gl.STREAM_DRAW);
    gl.vertexAttribIPointer(0, 4, gl.INT, 4 * WORDS, 0);
    gl.vertexAttribIPointer(1, 4, gl.INT, 4 * WORDS, 16);
    gl.vertexAttribPointer(2, 2, gl.FLOAT, false, 4 * WORDS, 32);
    this.gpu.bind(0, this.gpu.records.texture, uniforms.records);
    this.gpu.bind(1, this.gpu.lists.texture, uniforms.lists);
    gl.uniform2f(uniforms.target_size, target.width, target.height);
    gl.uniform2f(uniforms.pixel, part.step_x, part.step_y);
    gl.uniform1i(uniforms.sub, frame.sub);
    gl.uniform4fv(uniforms.background, rule.background);
    gl.uniform2i(uniforms.kind, rule.colour.kind, rule.alpha.kind);
    gl.uniform4f(uniforms.range, ...rule.colour.range, ...rule.alpha.range);
    gl.uniform2f(uniforms.knee, rule.colour.knee, rule.alpha.knee);
    gl.uniform1i(uniforms.weigh, rule.weigh);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, last - first);
    gl.bindVertexArray(null);
  }

  /** Where the points of a view are, in parts: one that is drawn at once, or blocks that are averaged. */
  parts(view, lattice, roughly, half) {
    const { x, y, k } = lattice, f = 2 ** half;
    if (lattice.direct || roughly)
      return [{ x: x.first / f, y: y.first / f, width: view.width, height: view.height, step_x: x.pixel * f, step_y: y.pixel * f, k }];
    const parts = [], [x0, x1] = extent(x, view.width), [y0, y1] = extent(y, view.height);
    const side = (axis) => Math.max(1, Math.floor(((SCRATCH - 2) * axis.shown) / axis.cells)), across = side(x), down = side(y);
    const span = (axis, low, high) => { // points of some pixels: the first, where they begin, and one past the last
      const at = (px) => ((px + Math.round(axis.first)) * axis.cells) / axis.shown;
      return [Math.floor(at(low) + 1e-9), at(low), Math.ceil(at(high) - 1e-9)];
    };
    for (let oy = y0; oy < y1; oy += down)
      for (let ox = x0; ox < x1; ox += across) {
        const out = { x0: ox, y0: oy, x1: Math.min(x1, ox + across), y1: Math.min(y1, oy + down) };
        const [cx, bx, ex] = span(x, out.x0, out.x1), [cy, by, ey] = span(y, out.y0, out.y1);
        Object.assign(out, { begin_x: bx - cx, begin_y: by - cy });
        parts.push({ x: cx, y: cy, width: ex - cx, height: ey - cy, step_x: x.step, step_y: y.step, k, out });
      }
    return parts;
  }

  /** A frame of a view, cleared; nothing is drawn yet. `roughly`: fewer points than it should have, where it is reduced. */
  begin(view, lattice, lods, key, roughly = false, half = 0) {
    const spare = this.spare && this.spare.width === view.width && this.spare.height === view.height;
    const target = spare ? this.spare : this.gpu.target(view.width, view.height);
    if (!spare) this.gpu.release(this.spare);
    this.spare = null;
    this.clear(target);
    const parts = this.parts(view, lattice, roughly, half);
    return { target, view, lattice, lods, key, sub: 1, parts, part: 0, quads: null, at: 0, drawn: 0, missing: 0, points: 0, work: 0 };
  }

  clear(target) {
    const gl = this.gpu.gl;
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.framebuffer);
    gl.clearColor(0, 0, 0, -9); // an alpha that no sample has: nothing is there
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  /** Draws about as much of a frame as a budget allows; the work that it took. */
  advance(frame, budget) {
    const part = frame.parts[frame.part];
    if (!frame.quads) {
      frame.quads = this.quads(part, frame.lods);
      frame.at = 0;
      if (part.out) {
        this.scratch ??= this.gpu.target(SCRATCH, SCRATCH);
        this.clear(this.scratch);
      }
    }
    const { quads } = frame, scale = frame.sub ** 2;
    let last = frame.at, work = 0;
    while (last < quads.n && (work === 0 || work < budget)) work += quads.work[last++] * scale;
    if (last > frame.at) this.draw(frame, frame.at, last);
    frame.at = last;
    frame.work += work / scale;
    if (last < quads.n) return work;
    if (part.out) average(this.gpu, this.scratch.texture, [part.width, part.height], frame.target, part.out, frame.lattice, this.scene.selection.mean);
    frame.drawn += quads.n;
    frame.missing += quads.missing;
    frame.points += quads.points;
    frame.quads = null;
    frame.part++;
    return work;
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
  step(view, lattice, lods, moving) {
    const gl = this.gpu.gl, { scene } = this, roughly = moving && !lattice.direct;
    const key = `${scene.version}/${lods[0]}/${scene.selection.name}/${lattice.k}${lattice.direct ? "" : `/${lattice.x.cells}`}${roughly ? "/roughly" : ""}`;
    if (this.fence) { // the slice before this one
      const state = gl.clientWaitSync(this.fence.sync, gl.SYNC_FLUSH_COMMANDS_BIT, 0);
      if (state === gl.TIMEOUT_EXPIRED) return true;
      gl.deleteSync(this.fence.sync);
      const ms = Math.max(0.5, performance.now() - this.fence.began), rate = this.fence.work / ms;
      this.rate = Math.min(Math.max(rate, this.rate / 2), this.rate * 4);
      this.fence = null;
      if (this.back && this.back.part >= this.back.parts.length) this.swap();
    }
    if (this.back && roughly && !this.back.roughly) { // nobody waits for it any more
      this.gpu.release(this.spare);
      this.spare = this.back.target;
      this.back = null;
    }
    if (!this.back) {
      if (this.current(view, key)) return this.fading();
      if (this.fading() && !moving && this.front.view.zoom === view.zoom) return true; // one after the other
      let shown = view, half = 0, total = 0;
      if (moving && this.front?.points) { // fewer pixels, if it would take too long
        total = (this.front.work / this.front.points) * view.width * view.height;
        while (half < 2 && total / 4 ** half / this.rate > FRAME_MS) half++;
        if (half) shown = { x: view.x, y: view.y, zoom: view.zoom / 2 ** half, width: Math.ceil(view.width / 2 ** half), height: Math.ceil(view.height / 2 ** half) };
      }
      this.back = this.begin(shown, lattice, lods, half ? "" : key, moving, half);
      this.back.roughly = roughly;
      if (roughly && !half && (4 * total) / this.rate <= FRAME_MS) this.back.sub = 2;
    }
    const budget = Math.max(moving ? LEAST_WORK / 4 : LEAST_WORK, this.rate * (moving ? MOVING_SLICE_MS : RESTING_SLICE_MS));
    let work = 0;
    while (this.back.part < this.back.parts.length && (work === 0 || work < budget)) work += this.advance(this.back, budget - work);
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
  whole(view, lattice, lods) {
    const frame = this.begin(view, lattice, lods, "");
    while (frame.part < frame.parts.length) this.advance(frame, LEAST_WORK);
    return frame;
  }

  /** Display colour of a view as a texture of its size. */
  develop(view, lattice, look) {
    this.fresh = false;
    const gl = this.gpu.gl, { program, uniforms } = shared(this.gpu, "develop", DEVELOP_FRAGMENT), { scene } = this;
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
    const [left, right] = extent(lattice.x, view.width), [top, bottom] = extent(lattice.y, view.height);
    gl.uniform4f(uniforms.edges, left, top, right, bottom);
    gl.uniform1f(uniforms.fade, this.before ? Math.min(1, (performance.now() - this.fadeFrom) / FADE_MS) : 1);
    gl.uniform1i(uniforms.kind, rule.kind);
    gl.uniform1i(uniforms.shown, selection.normal ? 2 : selection.gray ? 1 : 0);
    gl.uniform1i(uniforms.light, light ? 1 : 0);
    gl.uniform1i(uniforms.tone, look.soft ? 1 : 0);
    gl.uniform1i(uniforms.premultiplied, rule.premultiplied);
    gl.uniform1i(uniforms.smoothly, this.front.view.zoom === view.zoom && this.front.view.width === view.width ? 0 : 1);
    gl.uniform1i(uniforms.opaque, selection.opaque ? 1 : 0);
    gl.uniform1f(uniforms.exposure, 2 ** look.exposure);
    const grain = look.grain ? grainRule(selection, scene.info, lattice) : null;
    gl.uniform1i(uniforms.grain, grain ? grain.colours : 0);
    if (grain) {
      gl.uniform2i(uniforms.grain_at, Math.round(lattice.x.first), Math.round(lattice.y.first));
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
    for (const target of [this.spare, this.scratch, this.display]) this.gpu.release(target);
    if (this.fence) this.gpu.gl.deleteSync(this.fence.sync);
    this.gpu.gl.deleteBuffer(this.instances);
    this.gpu.gl.deleteVertexArray(this.array);
  }
}
