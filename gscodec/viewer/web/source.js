// Bytes of one file, wherever they are: a URL, a dropped file, or an array. What has arrived is kept in `ByteStore`, and
// everyone reads from there; `need` brings more.

/** Pieces of a file, sorted, without overlaps. */
class ByteStore {
  constructor() {
    this.pieces = []; // { offset, bytes }
  }

  /** Number of the first piece that ends after `offset`. */
  find(offset) {
    let low = 0, high = this.pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1, piece = this.pieces[middle];
      if (piece.offset + piece.bytes.length <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Keeps what of `bytes` is new. */
  add(offset, bytes) {
    for (const [from, n] of this.gaps(offset, bytes.length)) {
      const piece = { offset: from, bytes: bytes.subarray(from - offset, from - offset + n) };
      this.pieces.splice(this.find(from), 0, piece);
    }
  }

  /** Ranges [offset, n] within the range that are missing. */
  gaps(offset, n) {
    const missing = [], end = offset + n;
    for (let i = this.find(offset); offset < end; i++) {
      const piece = this.pieces[i], begins = piece ? piece.offset : Infinity;
      if (begins > offset) missing.push([offset, Math.min(begins, end) - offset]);
      if (!piece) break;
      offset = Math.max(offset, begins + piece.bytes.length);
    }
    return missing;
  }

  /** Copies a range into `to`; false if a part of it is missing. */
  read(offset, n, to) {
    if (this.gaps(offset, n).length) return false;
    for (let i = this.find(offset), done = 0; done < n; i++) {
      const { offset: begins, bytes } = this.pieces[i], from = offset + done - begins;
      const part = bytes.subarray(from, Math.min(bytes.length, from + n - done));
      to.set(part, done);
      done += part.length;
    }
    return true;
  }
}

export const FIRST_BYTES = 2048; // of a URL: the coarsest level is within them, as files are written
const GAP_BYTES = 768; // a gap this small costs less than another request
const REQUEST_BYTES = 1 << 18; // of one request, so that the picture grows while a large part arrives
const AT_ONCE = 4;

/** Ranges joined where the gap between them is small, and cut where they are large. */
export function joinRanges(ranges) {
  const joined = [];
  for (const [offset, n] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = joined[joined.length - 1];
    if (last && offset <= last[0] + last[1] + GAP_BYTES && offset + n - last[0] <= REQUEST_BYTES)
      last[1] = Math.max(last[1], offset + n - last[0]);
    else joined.push([offset, n]);
  }
  return joined;
}

/** What all sources have: `size` (-1 while not known), `store`, counts, and `need`. */
class Source {
  constructor(name) {
    this.name = name;
    this.store = new ByteStore();
    this.size = -1;
    this.bytesRead = 0;
    this.requests = 0;
    this.began = performance.now();
    this.ended = this.began;
  }

  received(offset, bytes) {
    this.store.add(offset, bytes);
    this.bytesRead += bytes.length;
    this.ended = performance.now();
  }

  close() {}
}

/** Bytes that are here: embedded in the page. */
export class BytesSource extends Source {
  constructor(bytes, name) {
    super(name);
    this.size = bytes.length;
    this.received(0, bytes);
  }

  async open() {}

  async need() {}
}

/** A file that was dropped or chosen; read in parts, so that a large one is not held whole. */
export class BlobSource extends Source {
  constructor(blob, name) {
    super(name);
    this.blob = blob;
    this.size = blob.size;
  }

  async open() {
    await this.need([[0, Math.min(this.size, FIRST_BYTES)]]);
  }

  async need(ranges) {
    for (const [offset, n] of joinRanges(ranges.flatMap(([o, n]) => this.store.gaps(o, n)))) {
      this.requests++;
      this.received(offset, new Uint8Array(await this.blob.slice(offset, offset + n).arrayBuffer()));
    }
  }
}

/** A URL: byte ranges, or the whole file as it comes where the server has none. */
export class UrlSource extends Source {
  constructor(url, name) {
    super(name);
    this.url = url;
    this.ranges = true;
    this.waiting = []; // of a file that comes whole: what is called when more is there
    this.underway = []; // [offset, n, promise]
    this.abort = new AbortController();
  }

  async open() {
    this.requests++;
    const answer = await this.get(0, FIRST_BYTES);
    if (answer.status === 206) {
      const whole = /\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "");
      if (whole) this.size = Number(whole[1]);
      this.received(0, new Uint8Array(await answer.arrayBuffer()));
    } else {
      this.ranges = false;
      const length = answer.headers.get("Content-Length");
      if (length && !answer.headers.get("Content-Encoding")) this.size = Number(length);
      this.stream(answer.body.getReader());
      await this.need([[0, this.size < 0 ? FIRST_BYTES : Math.min(this.size, FIRST_BYTES)]]);
    }
  }

  async get(offset, n) {
    const headers = { Range: `bytes=${offset}-${offset + n - 1}` };
    let answer;
    try {
      answer = await fetch(this.url, { headers, signal: this.abort.signal });
    } catch (error) {
      if (this.abort.signal.aborted) throw error;
      throw new Error(`${this.name}: cannot be fetched (no network, or the server does not allow this page to read it)`);
    }
    if (!answer.ok) throw new Error(`${this.name}: the server answered ${answer.status} ${answer.statusText}`.trim());
    return answer;
  }

  async stream(reader) {
    let at = 0;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.received(at, value);
        at += value.length;
        this.wake();
      }
    } catch (error) {
      this.fault = error;
    }
    this.size = at; // whatever the server said
    this.ended = performance.now();
    this.whole = true;
    this.wake();
  }

  wake() {
    for (const resume of this.waiting.splice(0)) resume();
  }

  async need(ranges) {
    if (!this.ranges) {
      const missing = () => ranges.some(([offset, n]) => this.store.gaps(offset, n).length);
      while (missing() && !this.whole) await new Promise((resume) => this.waiting.push(resume));
      return;
    }
    const waits = [];
    let missing = ranges.flatMap(([offset, n]) => this.store.gaps(offset, n));
    missing = missing.filter(([offset, n]) => {
      const same = this.underway.find(([o, m]) => o <= offset && offset + n <= o + m);
      if (same) waits.push(same[2]);
      return !same;
    });
    const parts = joinRanges(missing);
    const work = async () => {
      for (let part; (part = parts.shift()); ) {
        const [offset, n] = part;
        const entry = [offset, n, this.part(offset, n)];
        this.underway.push(entry);
        try {
          await entry[2];
        } finally {
          this.underway.splice(this.underway.indexOf(entry), 1);
        }
      }
    };
    await Promise.all([...waits, ...Array.from({ length: AT_ONCE }, work)]);
  }

  async part(offset, n) {
    this.requests++;
    const answer = await this.get(offset, n);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    this.received(answer.status === 206 ? offset : 0, bytes);
  }

  close() {
    this.abort.abort();
  }
}
