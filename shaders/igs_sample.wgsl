// Samples an .igs material of profile `packed` in a shader: the K nearest Gaussians of the point's tile, decoded in place.
// The WGSL twin of igs_sample.glsl, function by function; tests hold both to the same vectors.
//
// Everything comes from one buffer of 32-bit words, which `gscodec export --to words` makes of a file: the pages as they are
// stored, and tile lists of every level (spec/igs.md, section 18.1). The module that this text is appended to declares
//
//     const IGS_CHANNELS, IGS_TOP_K: u32   those of the file
//     fn igs_word(at: u32) -> u32          word `at` of the buffer
//
// and calls igs_sample(uv, lod). A sample reads about 25 words, most of which neighbouring points share, and takes about
// 120 operations for each Gaussian of the tile's list, of which there are 20 to 100. Numbers of sections are those of
// spec/igs.md.

const IGS_M = array<u32, 32>(1073741824u, 1050733751u, 1028218693u, 1006186087u, 984625594u, 963527098u, 942880699u,
    922676710u, 902905651u, 883558244u, 864625413u, 846098274u, 827968132u, 810226483u, 792865000u, 775875538u, 759250125u,
    742980960u, 727060411u, 711481005u, 696235434u, 681316545u, 666717336u, 652430958u, 638450708u, 624770026u, 611382493u,
    598281827u, 585461881u, 572916640u, 560640218u, 548626854u);

// n bits, 0 to 31, from a bit of the buffer on.
fn igs_bits(word: u32, bit: u32, n: u32) -> u32 {
    let w = word + (bit >> 5u);
    let s = bit & 31u;
    let low = igs_word(w) >> s;
    let high = select(igs_word(w + 1u) << ((32u - s) & 31u), 0u, s == 0u);
    return (low | high) & ((1u << n) - 1u);
}

fn igs_log2(v: u32) -> i32 { return i32(firstLeadingBit(max(v, 1u))); }

// (a * b) >> 30 of numbers up to 2^30, exactly.
fn igs_product(a: u32, b: u32) -> u32 {
    let a1 = a >> 15u;
    let a0 = a & 32767u;
    let b1 = b >> 15u;
    let b0 = b & 32767u;
    return a1 * b1 + ((a1 * b0 + a0 * b1 + ((a0 * b0) >> 15u)) >> 15u);
}

// sine(v) of "Quantised Gaussians".
fn igs_sine(v: i32) -> i32 {
    let t = (v * v) >> 15u;
    return min((v * (51465 - ((t * (21077 - ((t * 2382) >> 15u))) >> 15u))) >> 15u, 32768);
}

// sin(pi x) for x of -1/2 to 1/2, whose error is that of binary32: built-in functions may be far off.
fn igs_sinpi(x: f32) -> f32 {
    let y = 3.14159265 * x;
    let z = y * y;
    return y * (1.0 + z * (-1.6666667e-1 + z * (8.3333333e-3 + z * (-1.9841270e-4 + z * (2.7557319e-6 + z * -2.5052108e-8)))));
}

struct IgsRecord {
    page: u32,        // first word of the page
    bit: u32,         // of the record in it
    offset: vec2<f32>, // from the mean to the point, px of the picture
    scale: vec2<f32>,  // inverse scales, 1/px of the picture
    angle: f32,       // of half a turn
}

// An integer of a page's field k, from the value that a record has.
fn igs_field(set_at: u32, page: u32, k: u32, value: u32) -> i32 {
    let fields = igs_word(set_at + 7u);
    let head = 80u + 24u * k;
    return i32(igs_word(fields + 2u * k)) + i32(igs_bits(page, head, 16u)) +
        i32(igs_bits(page, head + 16u, 8u)) * i32(value);
}

fn igs_width(set_at: u32, k: u32) -> u32 { return igs_word(igs_word(set_at + 7u) + 2u * k + 1u); }

// Where a record lies, and what it says of the point `p`, px from the corner of `tile`, in tiles of 16 px.
fn igs_record(set_at: u32, level: u32, entry: u32, tile: vec2<i32>, p: vec2<f32>) -> IgsRecord {
    let table = igs_word(set_at + 9u) + 2u * (entry >> 12u);
    let i = entry & 4095u;
    let b0 = igs_width(set_at, 0u);
    let b1 = igs_width(set_at, 1u);
    let page = igs_word(table);
    let bit = 8u * (16u + 3u * IGS_CHANNELS + i * igs_word(set_at));
    let n = igs_field(set_at, page, 0u, igs_bits(page, bit, b0));
    let e = igs_field(set_at, page, 1u, igs_bits(page, bit + b0, b1));
    let place_bits = igs_word(set_at + 1u);
    let place = igs_bits(page, bit + b0 + b1, place_bits);
    let scale_step = i32(igs_word(set_at + 2u));
    let high = n * scale_step;
    let low = (n - e) * scale_step;
    let rotation_from = igs_word(set_at + 6u);
    var rotation_bits = 0u;
    for (var k = 0u; k < 12u; k++) {
        rotation_bits += select(0u, 1u, igs_word(rotation_from + k) <= u32(e));
    }
    let angle = i32((place & ((1u << rotation_bits) - 1u)) << (16u - rotation_bits));
    let c = igs_sine(abs(angle - 32768));
    let s = igs_sine(32768 - abs(angle - 32768));
    let d = 2 * (high - low);
    var ratio = 0u;
    if (d < 31 * 32) { // an array of constants takes no index of run time in every compiler
        var table_of_powers = IGS_M;
        ratio = table_of_powers[d & 31] >> u32(d >> 5u);
    }
    let variance = igs_product(ratio, u32(c * c)) + u32(s * s) + 1u;
    let leading = 16 * (30 - igs_log2(variance)) - 8;
    let left = i32(place_bits - rotation_bits);
    let X = igs_bits(page, 0u, 16u);
    let Y = igs_bits(page, 16u, 16u);
    let w = min(igs_bits(page, 32u, 16u), igs_word(set_at + 4u) - X);
    let h = min(igs_bits(page, 48u, 16u), igs_word(set_at + 5u) - Y);
    let lean = low - high + 2 * leading + 16 * (igs_log2(w * w) - igs_log2(h * h));
    let x_bits = clamp((32 * left + lean + 32) >> 6u, 0, left);
    let y_bits = left - x_bits;
    let x_o = (place >> rotation_bits) & ((1u << u32(x_bits)) - 1u);
    let y_o = place >> (rotation_bits + u32(x_bits));
    let x_i = min(X + ((i * igs_bits(page, 64u, 16u)) >> 8u), igs_word(set_at + 4u) - w);
    let shift = igs_word(level + 4u);
    let whole = vec2<i32>(i32(x_i << shift), i32(Y << shift)) - 16 * tile; // exact, and small near the tile
    let part = (vec2<f32>(f32(x_o), f32(y_o)) + 0.5) * vec2<f32>(f32(w << shift), f32(h << shift)) *
        exp2(-vec2<f32>(f32(x_bits), f32(y_bits)));
    let gain = bitcast<f32>(igs_word(igs_word(level + 3u) + igs_word(table + 1u))) * exp2(-f32(shift));
    let scale = gain * exp2(vec2<f32>(f32(high), f32(low)) / 32.0);
    return IgsRecord(page, bit, p - (vec2<f32>(whole) + part), scale, f32(angle) / 65536.0);
}

fn igs_distance(record: IgsRecord) -> f32 {
    let c = igs_sinpi(0.5 - record.angle);
    let s = igs_sinpi(select(1.0 - record.angle, record.angle, record.angle <= 0.5));
    let d = record.offset;
    let uv = record.scale * vec2<f32>(c * d.x + s * d.y, c * d.y - s * d.x);
    return dot(uv, uv);
}

// Features of the picture at a point, uv of 0 to 1 from the left upper corner, at a level: 0 is the finest. They are codes
// divided by the largest one; floats follow from them as in "From features to samples".
fn igs_sample(uv: vec2<f32>, lod: i32) -> array<f32, IGS_CHANNELS> {
    let level = igs_word(6u) + 8u * u32(clamp(lod, 0, i32(igs_word(1u)) - 1));
    let set_at = igs_word(level);
    let size = vec2<i32>(i32(igs_word(2u)), i32(igs_word(3u)));
    let tiles = (size + 15) / 16;
    let at = uv * vec2<f32>(size);
    let tile = clamp(vec2<i32>(floor(at / 16.0)), vec2<i32>(0), tiles - 1);
    let p = at - 16.0 * vec2<f32>(tile);
    let first = igs_word(level + 1u) + u32(tile.y * tiles.x + tile.x);
    let last = igs_word(first + 1u);
    let entries = igs_word(level + 2u);
    var q: array<f32, IGS_TOP_K>;
    var nearest: array<u32, IGS_TOP_K>;
    for (var k = 0u; k < IGS_TOP_K; k++) { q[k] = 3.0e38; }
    for (var j = igs_word(first); j < last; j++) {
        var entry = igs_word(entries + j);
        var distance = igs_distance(igs_record(set_at, level, entry, tile, p));
        if (distance >= q[IGS_TOP_K - 1u]) { continue; }
        var placed = false; // of equal ones the first in the file stays first
        for (var k = 0u; k < IGS_TOP_K; k++) {
            placed = placed || distance < q[k];
            if (placed) {
                let old = q[k];
                let old_entry = nearest[k];
                q[k] = distance;
                nearest[k] = entry;
                distance = old;
                entry = old_entry;
            }
        }
    }
    var channels: array<f32, IGS_CHANNELS>;
    if (q[0] >= 3.0e38) { // no Gaussian reaches the tile
        for (var c = 0u; c < IGS_CHANNELS; c++) { channels[c] = bitcast<f32>(igs_word(igs_word(7u) + c)); }
        return channels;
    }
    var weights = 0.0;
    for (var k = 0u; k < IGS_TOP_K && q[k] < 3.0e38; k++) {
        let weight = exp(-0.5 * (q[k] - q[0]));
        weights += weight;
        let record = igs_record(set_at, level, nearest[k], tile, p);
        var bit = record.bit + igs_width(set_at, 0u) + igs_width(set_at, 1u) + igs_word(set_at + 1u);
        var row = igs_word(set_at + 8u);
        for (var i = 0u; i < IGS_CHANNELS; i++) {
            let n = igs_width(set_at, 2u + i);
            let g = weight * f32(igs_field(set_at, record.page, 2u + i, igs_bits(record.page, bit, n)));
            bit += n;
            for (var c = 0u; c < IGS_CHANNELS; c++) {
                channels[c] += g * bitcast<f32>(igs_word(row));
                row += 1u;
            }
        }
    }
    for (var c = 0u; c < IGS_CHANNELS; c++) { channels[c] /= weights; }
    return channels;
}
