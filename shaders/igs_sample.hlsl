// Samples an .igs material of profile `packed` in a shader: the K nearest Gaussians of the point's tile, decoded in place.
//
// Everything comes from one buffer of 32-bit words, which `gscodec export --to words` makes of a file: the pages as they are
// stored, and tile lists of every level (spec/igs.md, section 18.1). Made from igs_sample.glsl by
// make_hlsl.py; for shader model 5.0 and newer. The program that includes this file defines before it
//
//     IGS_CHANNELS, IGS_TOP_K      numbers, those of the file
//     uint igs_word(uint at)       word `at` of the buffer
//
// and calls igs_sample(uv, lod, channels). A sample reads about 25 words, most of which neighbouring points share, and takes
// about 120 operations for each Gaussian of the tile's list, of which there are 20 to 100. Numbers of sections are those of
// spec/igs.md.

static const uint IGS_M[32] = {1073741824u, 1050733751u, 1028218693u, 1006186087u, 984625594u, 963527098u, 942880699u,
    922676710u, 902905651u, 883558244u, 864625413u, 846098274u, 827968132u, 810226483u, 792865000u, 775875538u, 759250125u,
    742980960u, 727060411u, 711481005u, 696235434u, 681316545u, 666717336u, 652430958u, 638450708u, 624770026u, 611382493u,
    598281827u, 585461881u, 572916640u, 560640218u, 548626854u};

// n bits, 0 to 31, from a bit of the buffer on.
uint igs_bits(uint word, uint bit, uint n) {
    uint w = word + (bit >> 5), s = bit & 31u;
    uint low = igs_word(w) >> s, high = s == 0u ? 0u : igs_word(w + 1u) << (32u - s);
    return (low | high) & ((1u << n) - 1u);
}

int igs_log2(uint v) {
    int n = 0;
    for (int s = 16; s > 0; s >>= 1)
        if (v >> uint(s) != 0u) {
            v >>= uint(s);
            n += s;
        }
    return n;
}

// (a * b) >> 30 of numbers up to 2^30, exactly.
uint igs_product(uint a, uint b) {
    uint a1 = a >> 15, a0 = a & 32767u, b1 = b >> 15, b0 = b & 32767u;
    return a1 * b1 + ((a1 * b0 + a0 * b1 + ((a0 * b0) >> 15)) >> 15);
}

// sine(v) of "Quantised Gaussians".
int igs_sine(int v) {
    int t = (v * v) >> 15;
    return min((v * (51465 - ((t * (21077 - ((t * 2382) >> 15))) >> 15))) >> 15, 32768);
}

// sin(pi x) for x of -1/2 to 1/2, whose error is that of binary32: built-in functions may be far off.
float igs_sinpi(float x) {
    float y = 3.14159265 * x, z = y * y;
    return y * (1.0 + z * (-1.6666667e-1 + z * (8.3333333e-3 + z * (-1.9841270e-4 + z * (2.7557319e-6 + z * -2.5052108e-8)))));
}

struct IgsRecord {
    uint page, bit; // first word of the page; bit of the record in it
    float2 offset;    // from the mean to the point, px of the picture
    float2 scale;     // inverse scales, 1/px of the picture
    float angle;    // of half a turn
};

// An integer of a page's field k, from the value that a record has.
int igs_field(uint set, uint page, uint k, uint value) {
    uint fields = igs_word(set + 7u), head = 80u + 24u * k;
    return int(igs_word(fields + 2u * k)) + int(igs_bits(page, head, 16u)) + int(igs_bits(page, head + 16u, 8u)) * int(value);
}

uint igs_width(uint set, uint k) { return igs_word(igs_word(set + 7u) + 2u * k + 1u); }

// Where a record lies, and what it says of the point `p`, px from the corner of `tile`, in tiles of 16 px.
IgsRecord igs_record(uint set, uint level, uint entry, int2 tile, float2 p) {
    uint table = igs_word(set + 9u) + 2u * (entry >> 12), i = entry & 4095u, b0 = igs_width(set, 0u), b1 = igs_width(set, 1u);
    IgsRecord record;
    record.page = igs_word(table);
    record.bit = 8u * (16u + 3u * uint(IGS_CHANNELS) + i * igs_word(set));
    int n = igs_field(set, record.page, 0u, igs_bits(record.page, record.bit, b0));
    int e = igs_field(set, record.page, 1u, igs_bits(record.page, record.bit + b0, b1));
    uint place_bits = igs_word(set + 1u), place = igs_bits(record.page, record.bit + b0 + b1, place_bits);
    int scale_step = int(igs_word(set + 2u)), high = n * scale_step, low = (n - e) * scale_step;
    uint from = igs_word(set + 6u), rotation_bits = 0u;
    for (uint k = 0u; k < 12u; k++) rotation_bits += igs_word(from + k) <= uint(e) ? 1u : 0u;
    int angle = int((place & ((1u << rotation_bits) - 1u)) << (16u - rotation_bits));
    int c = igs_sine(abs(angle - 32768)), s = igs_sine(32768 - abs(angle - 32768)), d = 2 * (high - low);
    uint ratio = d < 31 * 32 ? IGS_M[d & 31] >> uint(d >> 5) : 0u;
    uint variance = igs_product(ratio, uint(c * c)) + uint(s * s) + 1u;
    int leading = 16 * (30 - igs_log2(variance)) - 8, left = int(place_bits - rotation_bits);
    uint W = igs_word(set + 4u), H = igs_word(set + 5u), X = igs_bits(record.page, 0u, 16u), Y = igs_bits(record.page, 16u, 16u);
    uint w = min(igs_bits(record.page, 32u, 16u), W - X), h = min(igs_bits(record.page, 48u, 16u), H - Y);
    int lean = low - high + 2 * leading + 16 * (igs_log2(w * w) - igs_log2(h * h));
    int x_bits = clamp((32 * left + lean + 32) >> 6, 0, left), y_bits = left - x_bits;
    uint x_o = (place >> rotation_bits) & ((1u << uint(x_bits)) - 1u), y_o = place >> (rotation_bits + uint(x_bits));
    uint x_i = min(X + ((i * igs_bits(record.page, 64u, 16u)) >> 8), W - w), shift = igs_word(level + 4u);
    int2 whole = int2(int(x_i << shift), int(Y << shift)) - 16 * tile; // exact, and small near the tile
    float2 part = (float2(float(x_o), float(y_o)) + 0.5) * float2(float(w << shift), float(h << shift)) *
        exp2(-float2(float(x_bits), float(y_bits)));
    record.offset = p - (float2(whole) + part);
    float gain = asfloat(igs_word(igs_word(level + 3u) + igs_word(table + 1u))) * exp2(-float(shift));
    record.scale = gain * exp2(float2(float(high), float(low)) / 32.0);
    record.angle = float(angle) / 65536.0;
    return record;
}

float igs_distance(IgsRecord record) {
    float c = igs_sinpi(0.5 - record.angle), s = record.angle <= 0.5 ? igs_sinpi(record.angle) : igs_sinpi(1.0 - record.angle);
    float2 d = record.offset, uv = record.scale * float2(c * d.x + s * d.y, c * d.y - s * d.x);
    return dot(uv, uv);
}

// Features of the picture at a point, uv of 0 to 1 from the left upper corner, at a level: 0 is the finest. They are codes
// divided by the largest one; floats follow from them as in "From features to samples".
void igs_sample(float2 uv, int lod, out float channels[IGS_CHANNELS]) {
    uint level = igs_word(6u) + 8u * uint(clamp(lod, 0, int(igs_word(1u)) - 1)), set = igs_word(level);
    int2 size = int2(int(igs_word(2u)), int(igs_word(3u))), tiles = (size + 15) / 16;
    float2 at = uv * float2(size);
    int2 tile = clamp(int2(floor(at / 16.0)), int2(0, 0), tiles - 1);
    float2 p = at - 16.0 * float2(tile);
    uint first = igs_word(level + 1u) + uint(tile.y * tiles.x + tile.x), last = igs_word(first + 1u), entries = igs_word(level + 2u);
    float q[IGS_TOP_K];
    uint nearest[IGS_TOP_K];
    for (int k = 0; k < IGS_TOP_K; k++) {
        q[k] = 3.0e38;
        nearest[k] = 0u;
    }
    for (uint j = igs_word(first); j < last; j++) {
        uint entry = igs_word(entries + j);
        float distance = igs_distance(igs_record(set, level, entry, tile, p));
        if (distance >= q[IGS_TOP_K - 1]) continue;
        bool placed = false; // of equal ones the first in the file stays first
        for (int k = 0; k < IGS_TOP_K; k++) {
            placed = placed || distance < q[k];
            float old = q[k];
            uint old_entry = nearest[k];
            if (placed) {
                q[k] = distance;
                nearest[k] = entry;
                distance = old;
                entry = old_entry;
            }
        }
    }
    for (int c = 0; c < IGS_CHANNELS; c++) channels[c] = q[0] < 3.0e38 ? 0.0 : asfloat(igs_word(igs_word(7u) + uint(c)));
    float weights = 0.0;
    for (int k = 0; k < IGS_TOP_K; k++) {
        if (q[k] >= 3.0e38) break;
        float weight = exp(-0.5 * (q[k] - q[0]));
        weights += weight;
        IgsRecord record = igs_record(set, level, nearest[k], tile, p);
        uint bit = record.bit + igs_width(set, 0u) + igs_width(set, 1u) + igs_word(set + 1u), row = igs_word(set + 8u);
        for (uint i = 0u; i < uint(IGS_CHANNELS); i++) {
            uint n = igs_width(set, 2u + i);
            float g = weight * float(igs_field(set, record.page, 2u + i, igs_bits(record.page, bit, n)));
            bit += n;
            for (int c = 0; c < IGS_CHANNELS; c++) channels[c] += g * asfloat(igs_word(row++));
        }
    }
    if (weights > 0.0)
        for (int c = 0; c < IGS_CHANNELS; c++) channels[c] /= weights;
}
