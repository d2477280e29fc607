// Tile lists, section "Tiles" of the specification, in binary64.

export const TILE = 16; // px

/** What tiles and GPU need of a page's Gaussians: ellipses (x, y, a, b, d, det, hx, hy) and records of the GPU. */
export function shapesOf(geometry, n, Q) {
  const ellipses = new Float64Array(8 * n), axes = new Float32Array(8 * n);
  for (let i = 0; i < n; i++) {
    const x = geometry[5 * i], y = geometry[5 * i + 1], s0 = geometry[5 * i + 2], s1 = geometry[5 * i + 3];
    const c = Math.cos(geometry[5 * i + 4]), s = Math.sin(geometry[5 * i + 4]), at = 8 * i;
    const a = s0 * s0 * c * c + s1 * s1 * s * s;
    const b = (s0 * s0 - s1 * s1) * c * s;
    const d = s0 * s0 * s * s + s1 * s1 * c * c;
    const det = (s0 * s0) * (s1 * s1);
    ellipses[at] = x; ellipses[at + 1] = y; ellipses[at + 2] = a; ellipses[at + 3] = b;
    ellipses[at + 4] = d; ellipses[at + 5] = det;
    ellipses[at + 6] = Math.sqrt((Q * d) / det); ellipses[at + 7] = Math.sqrt((Q * a) / det);
    // The mean as the number of its tile and what is left, so that binary32 has 20 bits after the point anywhere.
    const column = Math.floor(x / TILE), row = Math.floor(y / TILE);
    axes[at] = column; axes[at + 1] = row; axes[at + 2] = x - column * TILE; axes[at + 3] = y - row * TILE;
    axes[at + 4] = s0 * c; axes[at + 5] = s0 * s; axes[at + 6] = -s1 * s; axes[at + 7] = s1 * c;
  }
  return { ellipses, axes };
}

/** First of the tiles that meet an interval that begins at u, in tiles: one more where u is on an edge. */
function firstTile(u) {
  const first = Math.floor(u);
  return first === u ? first - 1 : first;
}

/**
 * Lists of the tiles x0..x1, y0..y1 of side `side` px, inclusive: { starts, entries }. The list of a tile, row by row, is
 * entries[starts[j]..starts[j + 1]]; an entry is the address of a record. `pages` are in file order, so lists are, too.
 */
export function tileLists(pages, Q, side, x0, y0, x1, y1) {
  const columns = x1 - x0 + 1, rows = y1 - y0 + 1;
  const starts = new Uint32Array(columns * rows + 1);
  let spans = new Int32Array(4096), used = 0; // record address, first tile, length of the run
  const left = x0 * side, right = (x1 + 1) * side, top = y0 * side, bottom = (y1 + 1) * side;
  for (const page of pages) {
    const e = page.ellipses;
    for (let i = 0; i < page.n; i++) {
      const at = 8 * i, x = e[at], y = e[at + 1], hx = e[at + 6], hy = e[at + 7];
      if (y + hy < top || y - hy > bottom || x + hx < left - 1 || x - hx > right + 1) continue;
      const a = e[at + 2], b = e[at + 3], d = e[at + 4], det = e[at + 5];
      const tip = (b * hx) / d;
      const lastRow = Math.min(y1, Math.floor((y + hy) / side));
      for (let row = Math.max(y0, firstTile((y - hy) / side)); row <= lastRow; row++) {
        const lo = Math.max(side * row - y, -hy), hi = Math.min(side * row - y + side, hy);
        let at1 = Math.min(Math.max(-tip, lo), hi);
        const xRight = (-b * at1 + Math.sqrt(Math.max(0, a * Q - det * at1 * at1))) / a;
        at1 = Math.min(Math.max(tip, lo), hi);
        const xLeft = (-b * at1 - Math.sqrt(Math.max(0, a * Q - det * at1 * at1))) / a;
        const first = Math.max(x0, firstTile((x + xLeft) / side)), last = Math.min(x1, Math.floor((x + xRight) / side));
        if (first > last) continue;
        if (used + 3 > spans.length) {
          const larger = new Int32Array(2 * spans.length);
          larger.set(spans);
          spans = larger;
        }
        const tile = (row - y0) * columns + first - x0;
        spans[used++] = page.address + 3 * i; spans[used++] = tile; spans[used++] = last - first + 1;
        for (let j = tile; j <= tile + last - first; j++) starts[j + 1]++;
      }
    }
  }
  for (let j = 0; j < columns * rows; j++) starts[j + 1] += starts[j];
  const entries = new Uint32Array(starts[columns * rows]), next = starts.slice();
  for (let k = 0; k < used; k += 3)
    for (let j = spans[k + 1], end = j + spans[k + 2]; j < end; j++) entries[next[j]++] = spans[k];
  return { starts, entries };
}
