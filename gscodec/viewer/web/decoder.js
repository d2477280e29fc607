// The C library as WebAssembly: header, tables, pages. It reads through `igsw_read`; what has not arrived makes an
// operation come back with NEED_BYTES, and it is called again when the bytes are there.

const NEED_BYTES = 1;
const PAGE_ENTRY = 48;
const LONG_FILE = 4e6; // bytes

/** A fault of the file, in one line; `truncated` where it ends too early. */
export class FileFault extends Error {
  constructor(text) {
    super(text);
    this.truncated = text.includes(": TruncatedStream: ");
  }
}

export class Decoder {
  /** An opened file. @param module a WebAssembly.Module @param source a Source whose `open` is done */
  static async open(module, source) {
    const decoder = new Decoder();
    decoder.source = source;
    decoder.wanted = null;
    const read = (offset, n, to) => decoder.read(offset, n, to);
    decoder.wasm = (await WebAssembly.instantiate(module, { env: { igsw_read: read } })).exports;
    await decoder.until(() => decoder.wasm.igsw_open(source.size));
    decoder.info = JSON.parse(decoder.text(decoder.wasm.igsw_info()));
    return decoder;
  }

  read(offset, n, to) {
    const size = this.source.size;
    if (size >= 0 && offset + n > size) return 2;
    const into = new Uint8Array(this.wasm.memory.buffer, to, n);
    if (this.source.store.read(offset, n, into)) return 0;
    this.wanted = [offset, n];
    return 1;
  }

  text(at) {
    const bytes = new Uint8Array(this.wasm.memory.buffer);
    let end = at;
    while (bytes[end]) end++;
    return new TextDecoder().decode(bytes.subarray(at, end));
  }

  check(status) {
    if (status < 0) throw new FileFault(`${this.source.name}: ${this.text(this.wasm.igsw_error())}`);
  }

  /** Repeats an operation until all bytes that it reads are there. */
  async until(operation) {
    for (let status; (status = operation()) !== 0; ) {
      this.check(status);
      const [offset, n] = this.wanted, before = this.source.bytesRead;
      await this.source.need([this.wanted]);
      if (this.source.bytesRead === before && this.source.store.gaps(offset, n).length)
        throw new FileFault(`${this.source.name}: TruncatedStream: bytes ${offset} to ${offset + n - 1} cannot be read`);
    }
  }

  /** Reads the tables of the set of a level. */
  async level(lod) {
    await this.until(() => this.wasm.igsw_level(lod));
  }

  /** Gaussians that a level shows; 0, for unknown, of a file whose page index is too long to be read for it. */
  async size(lod) {
    if (this.source.size < 0 || this.source.size > LONG_FILE) return 0;
    const last = (side) => Math.ceil(side / 16) - 1, { width, height } = this.info;
    const pages = await this.pages(lod, 0, 0, last(width), last(height));
    return pages.reduce((sum, page) => sum + page.n, 0);
  }

  /** Pages, in file order, that hold what tiles x0..x1, y0..y1 of the file show at a level. */
  async pages(lod, x0, y0, x1, y1) {
    await this.until(() => this.wasm.igsw_pages(lod, x0, y0, x1, y1));
    const n = this.wasm.igsw_n_pages(), view = new DataView(this.wasm.memory.buffer, this.wasm.igsw_page_list());
    return Array.from({ length: n }, (_, i) => {
      const at = i * PAGE_ENTRY, u32 = (k) => view.getUint32(at + k, true);
      return {
        offset: view.getFloat64(at, true), first: view.getFloat64(at + 8, true),
        id: u32(16), nBytes: u32(20), n: u32(24), generation: u32(28),
        x0: u32(32), y0: u32(36), x1: u32(40), y1: u32(44),
      };
    });
  }

  /** Gaussians of a page whose bytes are here: x, y, s0, s1, theta of each, in px of the file, and C features. */
  decode(lod, page) {
    const status = this.wasm.igsw_decode(lod, page.id);
    if (status === NEED_BYTES) throw new Error("a page was decoded before its bytes came");
    this.check(status);
    const buffer = this.wasm.memory.buffer;
    return {
      geometry: new Float64Array(buffer, this.wasm.igsw_geometry(), 5 * page.n).slice(),
      features: new Float32Array(buffer, this.wasm.igsw_features(), this.info.n_channels * page.n).slice(),
    };
  }
}
