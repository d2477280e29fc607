// On which points of a picture a view is evaluated: section "Other sizes" of the specification, for the whole picture at
// the size that its zoom makes it, so that each pixel of the screen is a pixel of what `gscodec decode --scale` writes.

import { TILE } from "./tiles.js";

export const EXACT_PIXELS = 2 ** 20; // of a picture, up to which every stored pixel of the finest level is averaged at any size
const MOST_STORED = 2 ** 24; // of a picture, up to which a level that was chosen is averaged so
const OVERSAMPLING = 4; // points along a pixel's side, where not all are averaged
const MOST_CELLS = 1000; // along a pixel's side that are averaged

/** A picture's side at a zoom, in px: the nearest integer, even of two, as Python rounds. */
export function sideAt(stored, zoom) {
  const exact = stored * zoom, nearest = Math.round(exact);
  return Math.max(1, nearest - exact === 0.5 && nearest % 2 ? nearest - 1 : nearest);
}

/**
 * Points of a view. Of each axis: `shown`, the picture's side in px of the screen; `cells`, how many points it is evaluated
 * at; `pixel` and `step`, of one of these in px of the picture; `first`, number of the view's first px within `shown`.
 * @param chosen whether the level was, so that no coarser picture is asked for
 */
export function latticeOf(info, view, chosen) {
  const { width, height } = info, w = sideAt(width, view.zoom), h = sideAt(height, view.zoom), stored = width * height;
  const small = width >= OVERSAMPLING * w && height >= OVERSAMPLING * h, sampled = small && stored > (chosen ? MOST_STORED : EXACT_PIXELS);
  const axis = (side, shown, origin) => {
    const most = Math.max(side, shown), cells = sampled || side > MOST_CELLS * shown ? Math.min(OVERSAMPLING * shown, most) : most;
    return { shown, cells, pixel: side / shown, step: side / cells, first: origin * view.zoom };
  };
  const x = axis(width, w, view.x), y = axis(height, h, view.y);
  // Tiles that hold as few points as those of the picture hold pixels.
  const k = Math.min(16, Math.max(0, Math.floor(Math.log2(Math.min(x.step, y.step)) + 1e-12)));
  return { x, y, k, direct: x.cells === x.shown && y.cells === y.shown };
}

/** Pixels of a view, along an axis of a lattice, that show the picture: first and one past the last. */
export function extent(axis, side) {
  const first = Math.round(axis.first);
  return [Math.min(side, Math.max(0, -first)), Math.max(0, Math.min(side, axis.shown - first))];
}

/** Tiles of side 16 * 2^k px of a picture that a part of it meets, px, inclusive. */
export function tilesOf(info, k, left, top, right, bottom) {
  const side = TILE * 2 ** k, columns = Math.ceil(info.width / side), rows = Math.ceil(info.height / side);
  const at = (v, n) => Math.min(Math.max(Math.floor(v / side), 0), n - 1);
  return { side, columns, rows, x0: at(left, columns), y0: at(top, rows), x1: at(right, columns), y1: at(bottom, rows) };
}
