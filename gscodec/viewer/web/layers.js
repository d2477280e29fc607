// What can be looked at: an .igs file, or a plain picture beside it.

import { BlobSource, BytesSource, UrlSource } from "./source.js";
import { Decoder } from "./decoder.js";
import { Scene } from "./scene.js";
import { extent, latticeOf } from "./lattice.js";
import { average, Painter } from "./painter.js";
import { plainSampling } from "./gpu.js";
import { COVER_VERTEX, ELLIPSE_FRAGMENT, ELLIPSE_VERTEX, PICTURE_FRAGMENT } from "./shaders.js";

const SIGNATURE = [0xab, 0x49, 0x47, 0x53];
const SEGMENTS = 32;
const MOST_ELLIPSES = 200000;

/** An .igs file. */
export class SceneLayer {
  constructor(gpu, decoder, changed, failed) {
    this.gpu = gpu;
    this.scene = new Scene(gpu, decoder, changed, failed);
    this.painter = new Painter(gpu, this.scene);
    this.source = decoder.source;
    this.name = this.source.name;
    this.width = decoder.info.width;
    this.height = decoder.info.height;
    this.lod = this.scene.coarsest;
  }

  /** Level that a lattice shows: the chosen one, or that for its size. */
  level(lattice, chosen) {
    const lod = chosen === null ? this.scene.levelFor(lattice) : Math.min(chosen, this.scene.coarsest);
    return Math.max(lod, this.scene.finest);
  }

  /** One step towards the picture of a view; true while there is more to do. */
  step(view, chosen, moving) {
    this.lattice = latticeOf(this.scene.info, view, chosen !== null);
    this.lod = this.level(this.lattice, chosen);
    this.scene.want(view, this.lod, this.lattice);
    return this.painter.step(view, this.lattice, this.shown(), moving);
  }

  /** Levels to draw with, the wanted one first. */
  shown() {
    return this.scene.stages(this.lod).reverse();
  }

  get visible() {
    return this.painter.visible;
  }

  texture(view, look) {
    return this.painter.develop(view, this.lattice, look);
  }

  /** Samples of a level (features of uint groups) on the pixels of a window { x, y, zoom, width, height }: 4 numbers each. */
  async values(window, lod) {
    const { gl } = this.gpu, lattice = latticeOf(this.scene.info, window, true);
    await this.scene.arrived();
    this.scene.want(window, lod, lattice);
    await this.scene.arrived();
    const { target, missing } = this.painter.whole(window, lattice, [lod]), values = new Float32Array(4 * window.width * window.height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.framebuffer);
    gl.readPixels(0, 0, window.width, window.height, gl.RGBA, gl.FLOAT, values);
    this.gpu.release(target);
    if (missing) throw new Error(`${this.name}: ${missing} tiles are missing`);
    return values;
  }

  /** Ellipses of the Gaussians of the level, on the canvas. */
  outline(view, ink) {
    const { gl } = this.gpu, { scene } = this;
    this.gpu.ellipses ??= this.gpu.program(ELLIPSE_VERTEX, ELLIPSE_FRAGMENT, `#define SEGMENTS ${SEGMENTS}`);
    const { program, uniforms } = this.gpu.ellipses, column = Math.floor(view.x / 16), row = Math.floor(view.y / 16);
    gl.useProgram(program);
    gl.bindVertexArray(this.gpu.quad);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    this.gpu.bind(0, this.gpu.records.texture, uniforms.records);
    gl.uniform2f(uniforms.tile, column, row);
    gl.uniform2f(uniforms.corner, view.x - 16 * column, view.y - 16 * row);
    gl.uniform1f(uniforms.zoom, view.zoom);
    gl.uniform2f(uniforms.size, view.width, view.height);
    gl.uniform1f(uniforms.radius, 1);
    gl.uniform4fv(uniforms.ink, ink);
    let n = 0;
    for (const page of scene.levels[this.lod].pages.values()) {
      if (page.address < 0 || n > MOST_ELLIPSES) continue;
      gl.uniform1i(uniforms.address, page.address);
      gl.drawArraysInstanced(gl.LINE_LOOP, 0, SEGMENTS, page.n);
      n += page.n;
    }
    gl.disable(gl.BLEND);
    gl.bindVertexArray(null);
  }

  close() {
    this.painter.close();
    this.scene.close();
  }
}

/** A PNG or any other picture that the browser reads. */
export class PictureLayer {
  constructor(gpu, bitmap, name, n_bytes) {
    const { gl } = gpu;
    Object.assign(this, { gpu, name, n_bytes, width: bitmap.width, height: bitmap.height });
    this.picture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.picture);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    plainSampling(gl);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.generateMipmap(gl.TEXTURE_2D);
  }

  step(view, chosen, moving) {
    this.moving = moving;
    return false;
  }

  get visible() {
    return !this.display || (this.rough && !this.moving);
  }

  texture(view) {
    const { gl } = this.gpu, lattice = latticeOf(this, view, true), { x, y } = lattice;
    if (!this.display || this.display.width !== view.width || this.display.height !== view.height) {
      this.gpu.release(this.display);
      this.display = this.gpu.target(view.width, view.height, false);
      this.averaged = "";
    }
    const key = [view.x, view.y, view.zoom].join();
    if (this.averaged === key) return this.display.texture;
    this.rough = this.moving && !lattice.direct;
    this.averaged = this.rough || lattice.direct ? "" : key;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.display.framebuffer);
    if (this.averaged) {
      const [x0, x1] = extent(x, view.width), [y0, y1] = extent(y, view.height), begin = (axis, side, px) => ((Math.round(axis.first) + px) * side) / axis.shown;
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      const out = { x0, y0, x1, y1, begin_x: begin(x, this.width, x0), begin_y: begin(y, this.height, y0) };
      const whole = { x: { cells: this.width, shown: x.shown }, y: { cells: this.height, shown: y.shown } };
      if (x0 < x1 && y0 < y1) average(this.gpu, this.picture, [this.width, this.height], this.display, out, whole, "straight");
      return this.display.texture;
    }
    this.gpu.pictures ??= this.gpu.program(COVER_VERTEX, PICTURE_FRAGMENT);
    const { program, uniforms } = this.gpu.pictures;
    gl.viewport(0, 0, view.width, view.height);
    gl.useProgram(program);
    gl.bindVertexArray(this.gpu.quad);
    this.gpu.bind(0, this.picture, uniforms.picture);
    gl.uniform4f(uniforms.place, x.pixel, y.pixel, x.first * x.pixel, y.first * y.pixel);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.bindVertexArray(null);
    return this.display.texture;
  }

  close() {
    this.gpu.gl.deleteTexture(this.picture);
    this.gpu.release(this.display);
  }
}

/** A layer of a source: { url } or { bytes } or { blob }, each with a name. */
export async function openLayer(gpu, module, from, changed, failed) {
  const { name } = from;
  const source = from.url ? new UrlSource(from.url, name) : from.bytes ? new BytesSource(from.bytes, name) : new BlobSource(from.blob, name);
  await source.open();
  const head = new Uint8Array(4);
  if (source.store.read(0, 4, head) && SIGNATURE.every((byte, i) => head[i] === byte))
    return new SceneLayer(gpu, await Decoder.open(module, source), changed, failed);
  source.close();
  let blob = from.blob ?? (from.bytes && new Blob([from.bytes]));
  if (!blob) blob = await (await fetch(from.url)).blob();
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${name}: is neither an .igs file nor a picture that this browser reads`);
  }
  const side = Math.max(bitmap.width, bitmap.height);
  if (side > gpu.maxSize) throw new Error(`${name}: is larger than this GPU's ${gpu.maxSize} px`);
  return new PictureLayer(gpu, bitmap, name, blob.size);
}
