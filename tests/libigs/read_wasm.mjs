// node read_wasm.mjs WASM FILE OUT: opens FILE through igs.wasm, whose bytes arrive only once they were asked for, and writes
// what it reads of every level: a header in JSON and arrays, one after the other. Prints the header.
import { readFileSync, writeFileSync } from "node:fs";

const [wasm, path, out, reserved] = process.argv.slice(2);
const bytes = readFileSync(path);
const PIECE = 512;
const arrived = new Set();
let wanted = null;
let asked = 0;

const imports = {
    env: {
        igsw_read(offset, size, to) {
            size >>>= 0;
            for (let piece = Math.floor(offset / PIECE); piece * PIECE < offset + size; piece++)
                if (!arrived.has(piece)) {
                    wanted = [offset, size];
                    return 1;
                }
            new Uint8Array(igs.memory.buffer).set(bytes.subarray(offset, offset + size), to >>> 0);
            return 0;
        },
    },
};
const igs = (await WebAssembly.instantiate(readFileSync(wasm), imports)).instance.exports;

const text = (at) => {
    const all = new Uint8Array(igs.memory.buffer);
    return new TextDecoder().decode(all.subarray(at >>> 0, all.indexOf(0, at >>> 0)));
};

class IgsError extends Error {}

/** Calls until no bytes are missing. */
function call(name, ...args) {
    for (;;) {
        const status = igs[name](...args);
        if (status < 0) throw new IgsError(text(igs.igsw_error()));
        if (status === 0) return;
        asked++;
        for (let piece = Math.floor(wanted[0] / PIECE); piece * PIECE < wanted[0] + wanted[1]; piece++) arrived.add(piece);
    }
}

const parts = [];
function keep(Type, at, n) {
    const copy = new Type(igs.memory.buffer.slice(at >>> 0, (at >>> 0) + n * Type.BYTES_PER_ELEMENT));
    parts.push(Buffer.from(copy.buffer));
    return copy;
}

function level(info, lod) {
    const columns = Math.ceil(info.width / 16), rows = Math.ceil(info.height / 16);
    call("igsw_level", lod);
    call("igsw_pages", lod, 0, 0, columns - 1, rows - 1);
    const n = igs.igsw_n_pages(), at = igs.igsw_page_list() >>> 0;
    const table = igs.memory.buffer.slice(at, at + 48 * n);
    const pages = [...Array(n).keys()].map((i) => ({
        offset: new Float64Array(table, 48 * i, 2)[0],
        first: new Float64Array(table, 48 * i, 2)[1],
        fields: [...new Uint32Array(table, 48 * i + 16, 8)],
    }));
    for (const page of pages) {
        call("igsw_decode", lod, page.fields[0]);
        keep(Float64Array, igs.igsw_geometry(), 5 * page.fields[2]);
        keep(Float32Array, igs.igsw_features(), info.n_channels * page.fields[2]);
    }
    call("igsw_scene", lod, 0, 0, columns - 1, rows - 1);
    call("igsw_lists", 0, 0, columns - 1, rows - 1);
    const offsets = keep(Uint32Array, igs.igsw_list_offsets(), columns * rows + 1);
    keep(Uint32Array, igs.igsw_list_entries(), offsets.at(-1));
    const w = Math.min(info.width, 40), h = Math.min(info.height, 30);
    call("igsw_render", lod, 0, 0, w, h, 0, 0, 4);
    keep(Float32Array, igs.igsw_pixels(), w * h * info.n_channels);
    return { pages, size: igs.igsw_scene_size(), entries: offsets.at(-1), render: [h, w] };
}

let result;
try {
    call("igsw_open", reserved ? -1 : bytes.length);
    let info;
    while (!(info = text(igs.igsw_info()))) for (let i = 0; i * PIECE < bytes.length; i++) arrived.add(i); // GRAN
    info = JSON.parse(info);
    result = { info, levels: info.levels.map(({ lod }) => level(info, lod)), asked };
} catch (error) {
    if (!(error instanceof IgsError)) throw error;
    result = { error: error.message };
}
writeFileSync(out, Buffer.concat(parts));
console.log(JSON.stringify(result));
