// The page: opens what it is asked for, and connects controls, view and layers.

import { Gpu } from "./gpu.js";
import { View } from "./view.js";
import { openLayer, SceneLayer } from "./layers.js";
import { COVER_VERTEX, SHOW_FRAGMENT } from "./shaders.js";

const MOVING_MS = 140; // after the last change of the view it rests
const POLL_MS = 3;
const MODES = [2, 0, 1, 3];

const element = (id) => document.getElementById(id);
const counted = (n) => n.toLocaleString("en");

function size_text(bytes) {
  return bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} KB` : `${(bytes / 1e6).toFixed(2)} MB`;
}

function bytes_of(base64) {
  const text = atob(base64.trim()), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Red, green and blue, 0 to 1, of a CSS colour as browsers print it. */
function colour(text) {
  const [r, g, b] = text.match(/[\d.]+/g).map(Number);
  return [r / 255, g / 255, b / 255];
}

class App {
  constructor() {
    this.canvas = element("canvas");
    this.gpu = new Gpu(this.canvas);
    this.show = this.gpu.program(COVER_VERTEX, SHOW_FRAGMENT);
    this.view = new View(this.canvas, () => this.redraw());
    this.first = this.second = null;
    this.chosen = null; // level; null: by the zoom
    this.mode = 0;
    this.wipe = 0.5;
    this.gain = 8;
    this.look = { exposure: 0, soft: false, grain: true };
    this.outlined = false;
    this.scheduled = false;
    this.opening = 0;
    this.config = JSON.parse(element("config")?.textContent || "{}");
    new ResizeObserver(() => this.resize()).observe(element("stage"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    this.recolour();
    this.connect();
    this.resize();
  }

  async start() {
    this.module = await WebAssembly.compile(bytes_of(element("wasm").textContent));
    const query = new URLSearchParams(location.search), name = (url) => decodeURIComponent(url.split(/[?#]/)[0].split("/").pop()) || url;
    this.files = (this.config.files ?? []).map((file) => this.from(file));
    for (const url of query.getAll("src")) this.files.push({ name: name(url), url });
    const beside = query.get("beside"), second = this.config.second ? this.from(this.config.second) : beside && { name: name(beside), url: beside };
    element("figures").textContent = this.config.figures ?? "";
    this.listFiles();
    if (!this.files.length) {
      element("welcome").hidden = false;
      return;
    }
    await this.open(this.files[0]);
    if (second) await this.openSecond(second);
  }

  from(file) {
    return file.embedded ? { name: file.name, bytes: bytes_of(element(file.embedded).textContent) } : file;
  }

  // ---- files ----

  async open(from) {
    const turn = ++this.opening, began = performance.now();
    this.fault("");
    element("welcome").hidden = true;
    try {
      const layer = await openLayer(this.gpu, this.module, from, () => this.go(), (error) => this.fault(error.message));
      if (turn !== this.opening) return layer.close();
      this.first?.close();
      this.first = layer;
    } catch (error) {
      this.fault(error.message);
      return;
    }
    this.began = began;
    this.firstPicture = null;
    this.chosen = null;
    this.look.exposure = 0;
    this.describe();
    this.view.show(this.first.width, this.first.height);
  }

  async openSecond(from) {
    this.fault("");
    try {
      const layer = await openLayer(this.gpu, this.module, from, () => this.go(), (error) => this.fault(error.message));
      this.second?.close();
      this.second = layer;
      const { width, height } = this.first;
      if (layer.width !== width || layer.height !== height)
        this.fault(`${layer.name} has ${layer.width} × ${layer.height} px, ${this.first.name} ${width} × ${height} px: they are laid over each other from the left upper corner`);
    } catch (error) {
      this.fault(error.message);
      return;
    }
    this.setMode(this.config.mode ?? 2);
  }

  closeSecond() {
    this.second?.close();
    this.second = null;
    this.setMode(0);
  }

  listFiles() {
    const several = this.files.length > 1, list = element("files");
    element("files_box").hidden = !several;
    list.replaceChildren(...this.files.map((file, i) => new Option(file.name, i)));
  }

  step(by) {
    const list = element("files");
    if (this.files.length < 2) return;
    list.selectedIndex = (list.selectedIndex + by + this.files.length) % this.files.length;
    this.open(this.files[list.selectedIndex]);
  }

  fault(text) {
    element("fault").textContent = text;
    element("fault").hidden = !text;
  }

  say(text) {
    element("said").textContent = text;
  }

  /** What the controls offer for the opened file. */
  describe() {
    const { first } = this, igs = first instanceof SceneLayer;
    document.body.classList.remove("empty");
    document.title = `${first.name} · IGS viewer`;
    element("name").textContent = first.name;
    this.canvas.setAttribute("aria-label", `Picture ${first.name}, ${first.width} by ${first.height} pixels`);
    element("level_box").hidden = !igs;
    element("ellipses").hidden = !igs;
    element("map_box").hidden = element("light_box").hidden = element("grain").hidden = true;
    if (!igs) {
      element("facts").textContent = `${first.width} × ${first.height}`;
      return;
    }
    const { info, coarsest, selections } = first.scene;
    this.canvas.onwebglcontextlost = () => this.fault("The GPU has dropped this page: reload it");
    element("level").max = coarsest;
    element("level_box").hidden = coarsest === 0;
    element("map").replaceChildren(...selections.map((one, i) => new Option(one.name, i)));
    element("map_box").hidden = selections.length < 2;
    this.lookOf();
    const depth = info.groups.map((g) => `${g.bit_depth}${g.sample_type === "float" ? "f" : ""}`), depths = [...new Set(depth)].join("/");
    const channels = `${info.n_channels} channel${info.n_channels > 1 ? "s" : ""}`;
    element("facts").textContent = `${info.width} × ${info.height} · ${channels} · ${depths} bit · ${info.profile}`;
  }

  lookOf() {
    const { group } = this.first.scene.selection;
    element("light_box").hidden = group.sample_type !== "float";
    element("grain").hidden = !this.first.scene.info.grain?.length;
  }

  select(i) {
    const scene = this.first?.scene;
    if (!scene || scene.selections.length < 2) return;
    const at = (i + scene.selections.length) % scene.selections.length;
    element("map").selectedIndex = at;
    scene.select(scene.selections[at]);
    this.lookOf();
    this.say(`Map ${scene.selection.name}`);
    this.redraw();
  }

  // ---- controls ----

  connect() {
    const on = (id, type, act) => element(id).addEventListener(type, act), click = (id, act) => on(id, "click", act);
    click("fit", () => this.view.fit());
    click("actual", () => this.view.set(this.view.cx, this.view.cy, 1));
    click("less", () => this.view.zoomBy(0.8));
    click("more", () => this.view.zoomBy(1.25));
    click("ellipses", () => this.outline());
    click("compare", () => this.pick("second"));
    click("uncompare", () => this.closeSecond());
    click("choose", () => this.pick("first"));
    click("theme", () => this.theme());
    click("help", () => this.keys());
    click("auto", () => this.level(this.chosen === null ? this.first.lod : null));
    on("level", "input", (event) => this.level(this.first.scene.coarsest - Number(event.target.value)));
    on("map", "change", (event) => this.select(event.target.selectedIndex));
    on("files", "change", (event) => this.open(this.files[event.target.selectedIndex]));
    on("exposure", "input", (event) => this.expose(Number(event.target.value)));
    click("soft", () => this.soften());
    click("grain", () => this.grain());
    on("gain", "input", (event) => { this.gain = 2 ** Number(event.target.value); element("gain_text").textContent = `${this.gain} ×`; this.redraw(); });
    for (const button of element("compare_box").querySelectorAll("[data-mode]"))
      button.addEventListener("click", () => this.setMode(Number(button.dataset.mode)));
    on("file", "change", (event) => this.dropped([...event.target.files], event.target.dataset.place));
    addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("pointermove", (event) => { this.pointer = this.view.at(event); this.redraw(); });
    this.canvas.addEventListener("pointerleave", () => { this.pointer = null; element("sample").textContent = ""; });
    this.connectDivider();
    addEventListener("dragover", (event) => {
      event.preventDefault();
      element("drop").hidden = false;
      element("drop_text").textContent = this.first ? "Drop an .igs file to open it, or a picture to compare with" : "Drop an .igs file";
    });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) element("drop").hidden = true; });
    addEventListener("drop", (event) => {
      event.preventDefault();
      element("drop").hidden = true;
      this.dropped([...event.dataTransfer.files], event.shiftKey ? "second" : null);
    });
  }

  connectDivider() {
    const divider = element("divider");
    const move = (event) => {
      const [x] = this.view.at(event);
      this.setWipe(x / this.canvas.width);
    };
    divider.addEventListener("pointerdown", (event) => divider.setPointerCapture(event.pointerId));
    divider.addEventListener("pointermove", (event) => { if (divider.hasPointerCapture(event.pointerId)) move(event); });
    divider.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (!by) return;
      event.stopPropagation();
      event.preventDefault();
      this.setWipe(this.wipe + by);
    });
  }

  setWipe(share) {
    this.wipe = Math.min(Math.max(share, 0), 1);
    this.redraw();
  }

  pick(place) {
    const input = element("file");
    input.dataset.place = place;
    input.value = "";
    input.click();
  }

  /** Files dropped or chosen: an .igs file is opened, anything else is compared with it. */
  async dropped(files, place) {
    for (const blob of files.slice(0, 2)) {
      const from = { name: blob.name, blob }, igs = /\.igs$/i.test(blob.name);
      if (this.first && (place === "second" || (!place && !igs) || blob !== files[0])) await this.openSecond(from);
      else await this.open(from);
    }
  }

  level(lod) {
    if (!this.first?.scene) return;
    this.chosen = lod === null ? null : Math.min(Math.max(lod, 0), this.first.scene.coarsest);
    this.redraw();
  }

  outline() {
    this.outlined = !this.outlined;
    element("ellipses").setAttribute("aria-pressed", this.outlined);
    this.redraw();
  }

  expose(stops) {
    this.look.exposure = stops;
    this.redraw();
  }

  soften() {
    this.look.soft = !this.look.soft;
    element("soft").setAttribute("aria-pressed", this.look.soft);
    this.redraw();
  }

  grain() {
    this.look.grain = !this.look.grain;
    element("grain").setAttribute("aria-pressed", this.look.grain);
    this.redraw();
  }

  setMode(mode) {
    this.mode = this.second ? mode : 0;
    element("compare_box").hidden = !this.second;
    element("figures").hidden = !this.second;
    element("gain").disabled = this.mode !== 3;
    element("divider").hidden = this.mode !== 2;
    element("names").hidden = this.mode !== 2;
    element("name_a").textContent = this.first?.name ?? "";
    element("name_b").textContent = this.second?.name ?? "";
    for (const button of element("compare_box").querySelectorAll("[data-mode]")) button.setAttribute("aria-checked", Number(button.dataset.mode) === this.mode);
    this.redraw();
  }

  theme() {
    const root = document.documentElement, dark = getComputedStyle(root).colorScheme === "dark" ||
      (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    this.recolour();
  }

  recolour() {
    const probe = document.createElement("i");
    document.body.append(probe);
    const of = (name) => {
      probe.style.color = `var(${name})`;
      return colour(getComputedStyle(probe).color);
    };
    this.colours = { paper: of("--paper"), checker: of("--checker") };
    probe.remove();
    this.redraw();
  }

  keys() {
    const panel = element("keys");
    panel.hidden = !panel.hidden;
    element("help").setAttribute("aria-expanded", !panel.hidden);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const acts = {
      "[": () => this.level((this.chosen ?? this.first?.lod ?? 0) + 1), "]": () => this.level((this.chosen ?? this.first?.lod ?? 0) - 1),
      a: () => this.level(null), m: () => this.select(element("map").selectedIndex + 1), e: () => this.outline(), g: () => this.grain(), c: () => this.pick("second"),
      x: () => this.setMode(MODES[(MODES.indexOf(this.mode) + 1) % MODES.length]), n: () => this.step(1), p: () => this.step(-1), t: () => this.theme(),
      h: () => document.body.classList.toggle("bare"), "?": () => this.keys(), Escape: () => { element("keys").hidden = true; },
    };
    const act = acts[event.key] ?? acts[event.key.toLowerCase()];
    if (act) act();
    else if (!this.first || !this.view.key(event)) return;
    event.preventDefault();
  }

  // ---- drawing ----

  resize() {
    const stage = element("stage"), scale = devicePixelRatio || 1;
    const width = Math.max(1, Math.round(stage.clientWidth * scale)), height = Math.max(1, Math.round(stage.clientHeight * scale));
    if (this.canvas.width === width && this.canvas.height === height) return;
    const { fitted } = this.view;
    this.canvas.width = width;
    this.canvas.height = height;
    if (fitted && this.first) this.view.fit();
    this.redraw();
  }

  /** Draws again, since what should be seen has changed. */
  redraw() {
    this.stale = true;
    this.go();
  }

  /** Goes on drawing, with the screen's next frame, or at once while nothing new can be seen. */
  go(soon = false) {
    if (this.scheduled) return;
    this.scheduled = true;
    const act = () => {
      this.scheduled = false;
      this.frame();
    };
    if (soon) setTimeout(act, POLL_MS);
    else requestAnimationFrame(act);
  }

  get layers() {
    return [this.first, this.second].filter(Boolean);
  }

  /** One step of drawing; another one follows while there is more to do. */
  frame() {
    if (!this.first) return this.blank();
    const view = this.view.window, moving = performance.now() - this.view.moved < MOVING_MS;
    let more = moving;
    for (const layer of this.layers) more = layer.step(view, this.chosen, moving) || more;
    const seen = this.stale || this.layers.some((layer) => layer.visible);
    if (seen) this.see(view);
    this.stale = false;
    if (seen || !more) this.texts(view);
    this.working = more || this.layers.some((layer) => layer.scene?.loading);
    if (more) this.go(!seen && !moving);
  }

  /** Paper, where no file is open. */
  blank() {
    const { gl } = this.gpu;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.clearColor(...this.colours.paper, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  see(view) {
    const textures = this.layers.map((layer) => layer.texture(view, this.look));
    this.compose(view, textures[0], textures[1] ?? textures[0]);
    if (this.outlined && this.first.scene) this.first.outline(view, [1, 1, 1, view.zoom > 2 ? 0.6 : 0.35]);
    if (this.firstPicture === null && (!this.first.painter || this.first.painter.front?.drawn)) this.firstPicture = performance.now() - this.began;
  }

  compose(view, first, second) {
    const { gl } = this.gpu, { program, uniforms } = this.show;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, view.width, view.height);
    gl.useProgram(program);
    gl.bindVertexArray(this.gpu.quad);
    this.gpu.bind(0, first, uniforms.first);
    this.gpu.bind(1, second, uniforms.second);
    gl.uniform1i(uniforms.mode, this.mode);
    gl.uniform1f(uniforms.wipe, this.wipe * view.width);
    gl.uniform1f(uniforms.gain, this.gain);
    gl.uniform2f(uniforms.size, view.width, view.height);
    gl.uniform3fv(uniforms.paper, this.colours.paper);
    gl.uniform3fv(uniforms.checker, this.colours.checker);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.bindVertexArray(null);
  }

  texts(view) {
    const { first } = this, css = view.zoom;
    element("zoom").textContent = css >= 10 ? `${Math.round(css)} ×` : `${(100 * css).toFixed(css < 0.1 ? 1 : 0)} %`;
    element("divider").style.left = `${100 * this.wipe}%`;
    element("divider").setAttribute("aria-valuenow", Math.round(100 * this.wipe));
    element("exposure_text").textContent = `${this.look.exposure > 0 ? "+" : ""}${this.look.exposure}`;
    element("exposure").value = this.look.exposure;
    if (!first.scene) return;
    const { scene, lod, source } = first, n = scene.sizes.get(lod);
    element("level").value = scene.coarsest - lod;
    element("level").setAttribute("aria-valuetext", `level ${lod} of 0 to ${scene.coarsest}`);
    element("auto").setAttribute("aria-pressed", this.chosen === null);
    element("level_text").textContent = `LOD ${lod}${scene.finest ? " (cut)" : ""}${!n ? "" : ` · ${counted(n)} Gaussians`}`;
    const whole = source.size >= 0 ? ` of ${size_text(source.size)}` : "", requests = source.requests, stats = element("stats");
    const asked = requests ? ` · ${requests} request${requests > 1 ? "s" : ""}` : "", seconds = (ms) => `${(Math.max(0, ms) / 1000).toFixed(2)} s`;
    const all = source.ended - source.began;
    stats.textContent = `${size_text(source.bytesRead)}${whole}${asked} · ${seconds(this.firstPicture ?? 0)}`;
    stats.title = `Read${asked.slice(2)} in ${seconds(all)}; first picture after ${seconds(this.firstPicture ?? 0)}`;
    this.sample(view);
  }

  /** Value of the pixel below the pointer. */
  sample(view) {
    const { painter, scene } = this.first, { front } = painter;
    if (!this.pointer || !front || !painter.current(view, front.key)) return;
    const [px, py] = this.view.point(this.pointer), { gl } = this.gpu, [x, y] = this.pointer.map(Math.floor);
    if (x < 0 || y < 0 || x >= view.width || y >= view.height || px < 0 || py < 0 || px >= scene.info.width || py >= scene.info.height) {
      element("sample").textContent = "";
      return;
    }
    const value = new Float32Array(4), { group, channels, opaque } = scene.selection;
    gl.bindFramebuffer(gl.FRAMEBUFFER, front.target.framebuffer);
    gl.readPixels(x, y, 1, 1, gl.RGBA, gl.FLOAT, value);
    const most = 2 ** group.bit_depth - 1, text = (v) => (group.sample_type === "float" ? v.toPrecision(4) : Math.floor(Math.min(Math.max(v, 0), 1) * most + 0.5));
    const shown = [...value].filter((_, i) => channels[i] >= 0 && !(opaque && i === 3)).map(text);
    element("sample").textContent = `${Math.floor(px)}, ${Math.floor(py)}: ${shown.join(" ")}`;
  }
}

let app;
try {
  app = new App();
  window.igsViewer = app;
  app.ready = app.start();
  app.ready.catch((error) => app.fault(error.message));
} catch (error) {
  element("fault").textContent = error.message;
  element("fault").hidden = false;
  element("welcome").hidden = true;
}
