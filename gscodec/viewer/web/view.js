// Where one looks: centre and zoom, and how pointer, wheel, touch and keys change them.

const MOST_ZOOM = 16384; // px of the screen per px of the picture
const STEP = 1.25;

export class View {
  /** @param canvas that is looked at @param changed called after each change */
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, width: 1, height: 1, cx: 0, cy: 0, zoom: 1, fitted: true });
    this.moved = -Infinity; // when it last changed
    this.pointers = new Map();
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, (event) => this.up(event));
    canvas.addEventListener("dblclick", (event) => this.zoomAt(this.at(event), this.zoom < 1 ? 1 / this.zoom : 2));
  }

  /** Size of the picture, in px; fits it into the canvas. */
  show(width, height) {
    Object.assign(this, { width, height });
    this.fit();
  }

  get fitZoom() {
    return Math.min(this.canvas.width / this.width, this.canvas.height / this.height);
  }

  /** The whole picture; small ones are not enlarged beyond whole factors. */
  fit() {
    const zoom = this.fitZoom;
    this.set(this.width / 2, this.height / 2, zoom > 1 ? Math.max(1, Math.floor(zoom)) : zoom);
    this.fitted = true;
  }

  set(cx, cy, zoom) {
    this.zoom = Math.min(Math.max(zoom, Math.min(1, this.fitZoom) / 4), MOST_ZOOM);
    this.cx = Math.min(Math.max(cx, 0), this.width);
    this.cy = Math.min(Math.max(cy, 0), this.height);
    this.fitted = false;
    this.moved = performance.now();
    this.changed();
  }

  /** What the canvas shows: the picture begins at a whole pixel of the screen. */
  get window() {
    const { canvas, zoom } = this, snap = (centre, size) => Math.round((centre - size / 2 / zoom) * zoom) / zoom;
    return { x: snap(this.cx, canvas.width), y: snap(this.cy, canvas.height), zoom, width: canvas.width, height: canvas.height };
  }

  /** Pixel of the canvas of an event. */
  at(event) {
    const box = this.canvas.getBoundingClientRect(), scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  /** Point of the picture below a pixel of the canvas. */
  point([x, y]) {
    const { window } = this;
    return [window.x + x / window.zoom, window.y + y / window.zoom];
  }

  zoomAt([x, y], factor) {
    const [px, py] = this.point([x, y]), { canvas } = this, before = this.zoom;
    let zoom = before * factor;
    for (const exact of [1, this.fitZoom]) if (Math.abs(zoom / exact - 1) < 0.04) zoom = exact; // stop at 1:1
    zoom = Math.min(Math.max(zoom, Math.min(1, this.fitZoom) / 4), MOST_ZOOM);
    this.set(px + (canvas.width / 2 - x) / zoom, py + (canvas.height / 2 - y) / zoom, zoom);
  }

  zoomBy(factor) {
    this.zoomAt([this.canvas.width / 2, this.canvas.height / 2], factor);
  }

  panBy(dx, dy) {
    this.set(this.cx - dx / this.zoom, this.cy - dy / this.zoom, this.zoom);
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1, scale = event.ctrlKey ? 0.01 : 0.0016;
    this.zoomAt(this.at(event), Math.exp(-Math.min(Math.max(event.deltaY * lines, -300), 300) * scale));
  }

  down(event) {
    if (event.button > 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    this.canvas.classList.add("held");
  }

  move(event) {
    const old = this.pointers.get(event.pointerId);
    if (!old) return;
    const at = this.at(event), other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, at);
    if (!other) {
      this.panBy(at[0] - old[0], at[1] - old[1]);
      return;
    }
    const span = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
    this.panBy((at[0] - old[0]) / 2, (at[1] - old[1]) / 2);
    this.zoomAt([(at[0] + other[0]) / 2, (at[1] + other[1]) / 2], span(at) / span(old));
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.canvas.classList.remove("held");
  }

  /** Whether a key moved the view. */
  key(event) {
    const step = event.shiftKey ? 256 : 64, moves = {
      ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step],
    };
    if (moves[event.key]) this.panBy(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoomBy(STEP);
    else if (event.key === "-") this.zoomBy(1 / STEP);
    else if (event.key === "0" || event.key === "f") this.fit();
    else if (event.key === "1") this.set(this.cx, this.cy, 1);
    else return false;
    return true;
  }
}
