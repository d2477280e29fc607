// The Gaussians of a file that a view needs: which level, which pages, and the tile lists made of them, in blocks of 16 x 16
// tiles. The coarsest level comes first, then the wanted one, outwards from the centre of the view.

import { TILE, shapesOf, tileLists } from "./tiles.js";
import { EXACT_PIXELS, tilesOf } from "./lattice.js";

const BLOCK = 16; // tiles, on each side
const ROUND = 4; // tiles: what is prepared begins and ends at multiples of it
const BATCH_BYTES = 32768; // fetched before something is shown
const SLICE_MS = 10; // of decoding before the page may react
const RECORD_BYTES = 96 << 20; // on the GPU, beyond which what is out of sight is given up
const LIST_BYTES = 48 << 20;
const GAUSSIANS_PER_PIXEL = 0.5; // of the screen, of a coarser level of a larger one

const pause = () => new Promise((resume) => setTimeout(resume));

const COLOURS = ["color", "albedo", "emissive"];

/** The alpha of each group's colour: { at, premultiplied }, channel `at`; undefined where there is none. */
function coverOf(groups, i) {
  const group = groups[i], next = groups[i + 1], { n_channels: n } = group;
  if (group.alpha !== "none") return n > 1 ? { at: group.first + n - 1, premultiplied: group.alpha === "premultiplied" } : undefined;
  if (next?.role !== "opacity" || next.n_channels !== 1 || !COLOURS.includes(group.role) || (n !== 1 && n !== 3)) return undefined;
  const dot = next.name.lastIndexOf("."), layer = next.name.slice(0, Math.max(0, dot)), last = next.name.slice(dot + 1);
  if (next.alpha === "none" && !(["A", "alpha", "opacity"].includes(last) && [layer || "color", layer].includes(group.name))) return undefined;
  const unsaid = group.sample_type === "float" && last === "A";
  return { at: next.first, premultiplied: next.alpha === "none" ? unsaid : next.alpha === "premultiplied" };
}

/**
 * What can be shown: four channels, red, green, blue and alpha, -1 for none; how samples become colour, and how those of
 * a pixel are averaged. The alpha of one that is `opaque` only weighs its colour.
 */
export function selections(info) {
  const list = [];
  info.groups.forEach((group, number) => {
    const { first, n_channels: n, alpha } = group, has_alpha = alpha !== "none", colours = n - (has_alpha ? 1 : 0), float = group.sample_type === "float";
    const at = (i) => (i < colours ? first + i : -1), cover = coverOf(info.groups, number);
    const colour = !cover ? "plain" : cover.premultiplied ? (float ? "plain" : "within") : float ? "light" : "straight";
    const weight = cover && !cover.premultiplied ? cover.at : -1;
    const covers = group.role === "opacity" && n === 1 && number > 0 && coverOf(info.groups, number - 1)?.at === first;
    const whole = { name: group.name, group, channels: [at(0), at(1), at(2), has_alpha ? first + n - 1 : weight], gray: colours === 1, mean: colour };
    whole.opaque = !has_alpha;
    whole.normal = group.role === "normal" && colours === 2;
    if (colours === 0) Object.assign(whole, { channels: [first, -1, -1, -1], gray: true, opaque: true });
    if (covers && !float) whole.mean = "within";
    list.push(whole);
    if (n > 1)
      for (let i = 0; i < n; i++) {
        const is_alpha = has_alpha && i === n - 1, letter = is_alpha ? "alpha" : n <= 4 ? (colours === 1 ? "gray" : "RGB"[i]) : String(i);
        const channels = [first + i, -1, -1, is_alpha ? -1 : weight], mean = !is_alpha ? colour : float ? "plain" : "within";
        list.push({ name: `${group.name} · ${letter}`, group, channels, gray: true, part: true, opaque: true, mean });
      }
  });
  return list;
}

class Page {
  constructor(entry) {
    Object.assign(this, entry);
    this.address = -1; // of its records on the GPU
  }
}

class Level {
  constructor(lod, facts) {
    Object.assign(this, facts, { lod });
    this.pages = new Map(); // id -> Page
    this.blocks = new Map(); // key -> Block
  }
}

/** Tile lists of a part of a block: tiles x0..x1, y0..y1 of side 16 * 2^k px. */
class Block {
  constructor(k, x, y) {
    Object.assign(this, { k, x, y, x0: 0, y0: 0, x1: -1, y1: -1, address: -1, pages: [], used: 0 });
  }

  holds(rect) {
    return this.address >= 0 && this.x0 <= rect.x0 && this.y0 <= rect.y0 && rect.x1 <= this.x1 && rect.y1 <= this.y1;
  }
}

const blockKey = (k, x, y) => k * 2 ** 40 + y * 2 ** 20 + x;

export class Scene {
  /** @param decoder of an opened file @param changed called when there is more to show @param failed with an error */
  constructor(gpu, decoder, changed, failed) {
    Object.assign(this, { gpu, decoder, info: decoder.info, changed, failed });
    this.levels = this.info.levels.map((facts) => new Level(facts.lod, facts));
    this.coarsest = this.levels.length - 1;
    this.selections = selections(this.info);
    this.selection = this.selections[0];
    this.version = 0; // grows with what can be seen
    this.clock = 0;
    this.sizes = new Map(); // Gaussians that a level shows, of the sets that are opened
    this.request = null;
    this.busy = false;
    this.closed = false;
    this.finest = 0; // level that a cut file still has
  }

  /**
   * Level for a lattice: the finest, but at half the size or less of a picture of more than a megapixel the coarsest that
   * has enough Gaussians, as `decode` chooses it; and a coarser set that was made for this size is enough.
   */
  levelFor({ x, y }) {
    const { width, height } = this.info, small = width >= 2 * x.shown && height >= 2 * y.shown;
    if (width * height <= EXACT_PIXELS || !small) return this.finest;
    let set = 0;
    for (const level of this.levels) if (level.scale_log2 > 0 && Math.min(x.pixel, y.pixel) >= 2 ** level.scale_log2) set = level.set;
    const members = this.levels.filter((level) => level.set === set);
    let { lod } = members[0];
    for (const level of members) if (this.sizes.get(level.lod) >= GAUSSIANS_PER_PIXEL * x.shown * y.shown) lod = level.lod;
    return Math.max(lod, this.finest);
  }

  /** Brings what a view shows at a level, in the background. */
  want(view, lod, lattice) {
    const { x, y, k } = lattice, left = x.first * x.pixel, top = y.first * y.pixel;
    const tiles = tilesOf(this.info, k, left, top, left + view.width * x.pixel, top + view.height * y.pixel), request = { lod, k };
    for (const [low, high, n] of [["x0", "x1", tiles.columns], ["y0", "y1", tiles.rows]]) {
      request[low] = Math.floor(tiles[low] / ROUND) * ROUND;
      request[high] = Math.min(n, (Math.floor(tiles[high] / ROUND) + 1) * ROUND) - 1;
    }
    const old = this.request, same = old && ["lod", "k", "x0", "y0", "x1", "y1"].every((name) => old[name] === request[name]);
    if (same) return;
    this.request = request;
    this.run();
  }

  get loading() {
    return this.busy;
  }

  /** Waits until what was wanted last is there, or cannot be had. */
  async arrived() {
    while (this.busy) await pause();
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    try {
      for (let done = null; done !== this.request && !this.closed; ) {
        done = this.request;
        try {
          await this.bringRequest(done);
        } catch (error) {
          if (!this.coarsen(error)) throw error;
        }
      }
    } catch (error) {
      if (!this.closed) this.failed(error);
    }
    this.busy = false;
    this.changed();
  }

  /** Whether a fault is that the file was cut before the level that is wanted, and a coarser one can be shown in its place. */
  coarsen(error) {
    const { lod } = this.request;
    if (!error.truncated || lod >= this.coarsest) return false;
    this.finest = Math.max(this.finest, lod + 1);
    this.request = { ...this.request, lod: this.finest };
    return true;
  }

  /** Levels on the way to one: the coarsest of all, then those of its set. */
  stages(lod) {
    const set = this.levels[lod].set, members = this.levels.filter((l) => l.set === set && l.lod >= lod).map((l) => l.lod).reverse();
    return members.includes(this.coarsest) ? members : [this.coarsest, ...members];
  }

  async bringRequest(request) {
    for (const lod of this.stages(request.lod)) {
      const more = await this.bring(lod, request);
      if (!more || this.closed || request !== this.request) break;
    }
    this.trim();
  }

  /** Learns how many Gaussians the levels of a set show. */
  async open(lod) {
    await this.decoder.level(lod);
    const { set } = this.levels[lod];
    for (const level of this.levels) if (level.set === set) this.sizes.set(level.lod, await this.decoder.size(level.lod));
  }

  /** Pages of a level that a rectangle of tiles of grid k needs, in file order. */
  async pagesOf(level, k, rect) {
    const columns = Math.ceil(this.info.width / TILE), rows = Math.ceil(this.info.height / TILE);
    const x1 = Math.min(((rect.x1 + 1) << k) - 1, columns - 1), y1 = Math.min(((rect.y1 + 1) << k) - 1, rows - 1);
    const entries = await this.decoder.pages(level.lod, rect.x0 << k, rect.y0 << k, x1, y1);
    return entries.map((entry) => {
      if (!level.pages.has(entry.id)) level.pages.set(entry.id, new Page(entry));
      return level.pages.get(entry.id);
    });
  }

  /** Brings one level; false when the request was given up. */
  async bring(lod, request) {
    const level = this.levels[lod], { k } = request;
    if (!this.sizes.has(lod)) await this.open(lod);
    const all = await this.pagesOf(level, k, request);
    const blocks = [], middle_x = (request.x0 + request.x1) / 2, middle_y = (request.y0 + request.y1) / 2;
    for (let y = Math.floor(request.y0 / BLOCK); y * BLOCK <= request.y1; y++)
      for (let x = Math.floor(request.x0 / BLOCK); x * BLOCK <= request.x1; x++) {
        const key = blockKey(k, x, y);
        if (!level.blocks.has(key)) level.blocks.set(key, new Block(k, x, y));
        const block = level.blocks.get(key);
        block.used = ++this.clock;
        const rect = {
          x0: Math.max(request.x0, x * BLOCK), y0: Math.max(request.y0, y * BLOCK),
          x1: Math.min(request.x1, x * BLOCK + BLOCK - 1), y1: Math.min(request.y1, y * BLOCK + BLOCK - 1),
        };
        if (block.holds(rect)) continue;
        const shift = level.scale_log2, to = (v) => Math.floor((v * 2 ** k) / 2 ** shift), last = (v) => to(v + 1) + 1;
        const pages = all.filter((p) => p.x0 <= last(rect.x1) && to(rect.x0) <= p.x1 && p.y0 <= last(rect.y1) && to(rect.y0) <= p.y1);
        const distance = Math.hypot((rect.x0 + rect.x1) / 2 - middle_x, (rect.y0 + rect.y1) / 2 - middle_y);
        blocks.push({ block, rect, pages, distance });
      }
    blocks.sort((a, b) => a.distance - b.distance);
    return this.bringBlocks(level, blocks, request);
  }

  async bringBlocks(level, blocks, request) {
    const { source } = this.decoder, batches = [], seen = new Set();
    let batch = null;
    for (const one of blocks) { // as many blocks at a time as one round of requests should bring
      if (!batch || batch.bytes >= BATCH_BYTES) batches.push((batch = { blocks: [], ranges: [], bytes: 0 }));
      batch.blocks.push(one);
      for (const page of one.pages) {
        if (page.address >= 0 || seen.has(page.id)) continue;
        seen.add(page.id);
        const gaps = source.store.gaps(page.offset, page.nBytes);
        batch.ranges.push(...gaps);
        batch.bytes += gaps.reduce((sum, [, n]) => sum + n, 0);
      }
    }
    const fetched = (i) => (batches[i] && batches[i].ranges.length ? source.need(batches[i].ranges) : null);
    let ahead = fetched(0), began = performance.now();
    for (let i = 0; i < batches.length; i++) {
      await ahead;
      ahead = fetched(i + 1);
      ahead?.catch(() => {}); // seen when it is awaited
      for (const { block, rect, pages } of batches[i].blocks) {
        for (const page of pages) {
          if (page.address < 0 && !this.load(level, page)) return false;
          if (performance.now() - began > SLICE_MS) {
            await pause();
            began = performance.now();
          }
          if (this.closed) return false;
        }
        if (pages.some((page) => page.address < 0) || !this.build(block, rect, pages)) return false;
      }
      this.version++;
      this.changed();
      if (request !== this.request) return false;
    }
    return true;
  }

  /** Decodes a page and puts its records on the GPU; false if there is no room. */
  load(level, page) {
    const { geometry, features } = this.decoder.decode(level.lod, page);
    const { ellipses, axes } = shapesOf(geometry, page.n, this.info.support_q);
    Object.assign(page, { ellipses, axes, features });
    page.address = this.store(this.gpu.records, this.recordsOf(page));
    return page.address >= 0;
  }

  recordsOf(page) {
    const { axes, features, n } = page, C = this.info.n_channels, { channels } = this.selection, records = new Float32Array(12 * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < 8; j++) records[12 * i + j] = axes[8 * i + j];
      for (let j = 0; j < 4; j++) records[12 * i + 8 + j] = channels[j] >= 0 ? features[C * i + channels[j]] : j === 3 ? 1 : 0;
    }
    return records;
  }

  build(block, rect, pages) {
    if (block.address >= 0 && block.x1 >= block.x0) { // what it had stays
      rect = {
        x0: Math.min(rect.x0, block.x0), y0: Math.min(rect.y0, block.y0),
        x1: Math.max(rect.x1, block.x1), y1: Math.max(rect.y1, block.y1),
      };
      pages = [...new Set([...pages, ...block.pages])].sort((a, b) => a.id - b.id);
      this.gpu.lists.release(block.address);
      block.address = -1;
    }
    const { starts, entries } = tileLists(pages, this.info.support_q, TILE << block.k, rect.x0, rect.y0, rect.x1, rect.y1);
    block.address = this.store(this.gpu.lists, entries);
    Object.assign(block, rect, { starts, pages });
    return block.address >= 0;
  }

  store(arena, data) {
    let address = arena.store(data);
    if (address < 0) {
      this.trim(true);
      address = arena.store(data);
    }
    return address;
  }

  /** Gives up the blocks that were wanted least recently, and pages that no block is made of. */
  trim(urgent = false) {
    const { records, lists } = this.gpu;
    const over = () => urgent || records.bytes > RECORD_BYTES || lists.bytes > LIST_BYTES;
    if (!over()) return;
    const { request } = this, kept = new Set(this.stages(request.lod));
    const blocks = this.levels.flatMap((level) => [...level.blocks].map(([key, block]) => ({ level, key, block })));
    blocks.sort((a, b) => a.block.used - b.block.used);
    for (const { level, key, block } of blocks) {
      const seen = kept.has(level.lod) && block.k === request.k && block.x * BLOCK <= request.x1 && (block.x + 1) * BLOCK > request.x0 &&
        block.y * BLOCK <= request.y1 && (block.y + 1) * BLOCK > request.y0;
      if (seen || level.lod === this.coarsest) continue;
      if (block.address >= 0) lists.release(block.address);
      level.blocks.delete(key);
    }
    for (const level of this.levels) {
      const used = new Set([...level.blocks.values()].flatMap((block) => block.pages));
      if (level.lod !== this.coarsest) for (const page of level.pages.values()) if (!used.has(page)) this.drop(level, page);
    }
  }

  drop(level, page) {
    if (page.address >= 0) this.gpu.records.release(page.address);
    level.pages.delete(page.id);
  }

  /** Shows other channels. */
  select(selection) {
    this.selection = selection;
    for (const level of this.levels)
      for (const page of level.pages.values()) if (page.address >= 0) this.gpu.records.write(page.address, this.recordsOf(page));
    this.version++;
  }

  /** The lists of a block of a level, or undefined. */
  block(lod, k, x, y) {
    const block = this.levels[lod].blocks.get(blockKey(k, x, y));
    return block && block.address >= 0 ? block : undefined;
  }

  close() {
    this.closed = true;
    this.decoder.source.close();
    for (const level of this.levels) {
      for (const block of level.blocks.values()) if (block.address >= 0) this.gpu.lists.release(block.address);
      for (const page of level.pages.values()) if (page.address >= 0) this.gpu.records.release(page.address);
    }
  }
}
