// Pages of profile `coded` -> Gaussians (spec/igs.md, section 9; CPU: native/codec/page_codec.cpp).
//
//   decode_pages   thread a page      bytes to the integers of its Gaussians, one after the other
//   place_codes    block a page       integers to Gaussians, a thread each
//
// A page decodes alone and from its first byte to its last, so pages are what there is to do at once: 2,000 of them in
// a file of a million Gaussians, a warp for every second processor's scheduler of a large GPU. Streams come in the same
// order in every page, so that a warp's pages share the table that lies in shared memory: tokens by slot, and where a
// token's slots begin and how many it has. The latency of a token, two reads there and a multiplication, is what a page
// takes: about 100 cycles x 3,000 tokens, 0.2 ms (predicted).
//
// Nothing is read outside a page and nothing written outside its Gaussians, whatever the bytes are. A page that is none
// keeps `good` at 0 and raises `fault`, as a value outside its range does: the host's decoder then says what is wrong.
//
// Buffers: data u8, pages one after the other, page p at ends[p] to ends[p + 1], (P + 1,) i64; firsts (P + 1,) i32
// first Gaussian of each; cells (P,) i32 binary logarithm of the side of its cells, px; cell_bits (P,) i32; S = 3 + C
// streams: slot_tokens (S, 4096) u16, token_slots (S, MAX_TOKENS) u32 first slot and, from bit 16 on, their number;
// lows (S,) i32; rows (n, 6 + C) i32: cell, x, y, narrow, elongation, rotation, features. Outputs: lattice.cuh.

#define TABLE_BITS 12
#define SLOTS (1 << TABLE_BITS)
#define LOWEST (1u << 16)  // states are kept in LOWEST .. 2^32 - 1

#define GAP 0
#define NARROW 1
#define ELONGATION 2
#define FEATURE 3

#define COLUMN_CELL 0
#define COLUMN_X 1
#define COLUMN_Y 2
#define COLUMN_NARROW 3
#define COLUMN_ELONGATION 4
#define COLUMN_ROTATION 5
#define COLUMN_FEATURE 6

__device__ inline int column_of(int stream) {
    return stream == GAP      ? COLUMN_CELL
           : stream < FEATURE ? COLUMN_NARROW + stream - NARROW
                              : COLUMN_FEATURE + stream - FEATURE;
}

// What is left of a page: words of 16 bits, then bits from the least significant of a byte on.
struct PageReader {
    const unsigned char *at, *end;
    unsigned long long held;
    int n_held;
    bool failed;

    __device__ unsigned word() {
        if (end - at < 2) {
            failed = true;
            return 0;
        }
        const unsigned value = at[0] | (unsigned)at[1] << 8;
        at += 2;
        return value;
    }

    // n is at most 30.
    __device__ unsigned take(int n) {
        while (n_held < n) {
            if (at == end) {
                failed = true;
                return 0;
            }
            held |= (unsigned long long)*at++ << n_held;
            n_held += 8;
        }
        const unsigned value = (unsigned)held & ((1u << n) - 1);
        held >>= n;
        n_held -= n;
        return value;
    }

    // Whether all bytes were used, and what is left of the last one is zero.
    __device__ bool finished() const { return !failed && at == end && held == 0 && n_held < 8; }

    // The value of a token: its least one, the bits after it, and the low of its table.
    __device__ long long whole(unsigned token, int split, int low) {
        if (token < 1u << split) return (long long)token + low;
        const unsigned rest = token - (1u << split);
        const int octave = split + (int)(rest >> 2);
        if (octave > 31) {
            failed = true;
            return 0;
        }
        return ((4LL | (rest & 3)) << (octave - 2)) + take(octave - 2) + low;
    }
};

struct PlaceBits {
    int x, y;
};

__device__ inline PlaceBits place_bits_of(const Shape& shape, int position_offset, int cell_log2) {
    const int base = position_offset + 32 * cell_log2;
    return {clamped((base + shape.x_units) >> 5, 0, 16), clamped((base + shape.y_units) >> 5, 0, 16)};
}

// Bytes after the tokens to the integers of a page, whose rows hold tokens.
__device__ inline bool finish_rows(PageReader& page, int* rows, int count, int n_channels, const int* lows,
                                   const unsigned char* rotation_from, int scale_step, int position_offset,
                                   int cell_log2, int cell_bits) {
    long long cell = 0;
    for (int i = 0; i < count; ++i) {
        int* row = rows + i * (COLUMN_FEATURE + n_channels);
        const long long narrow = page.whole((unsigned)row[COLUMN_NARROW], 8, lows[NARROW]);
        const long long elongation = page.whole((unsigned)row[COLUMN_ELONGATION], 8, lows[ELONGATION]);
        if (narrow < -(1 << 15) || narrow > 1 << 15 || elongation < 0 || elongation > 1 << 15) return false;
        const int rotation_bits = rotation_bits_of(rotation_from, (int)elongation);
        const int rotation = (int)page.take(rotation_bits);
        cell = i ? cell + page.whole((unsigned)row[COLUMN_CELL], 4, lows[GAP]) : page.take(cell_bits);
        if (cell < 0 || cell >= 1 << 30) return false;
        const Shape shape = shape_of(scale_step, (int)narrow, (int)elongation, rotation, rotation_bits);
        const PlaceBits bits = place_bits_of(shape, position_offset, cell_log2);
        row[COLUMN_CELL] = (int)cell;
        row[COLUMN_X] = (int)page.take(bits.x);
        row[COLUMN_Y] = (int)page.take(bits.y);
        row[COLUMN_NARROW] = (int)narrow;
        row[COLUMN_ELONGATION] = (int)elongation;
        row[COLUMN_ROTATION] = rotation;
        for (int c = 0; c < n_channels; ++c) {
            const long long feature = page.whole((unsigned)row[COLUMN_FEATURE + c], 8, lows[FEATURE + c]);
            if (feature != (int)feature) return false;
            row[COLUMN_FEATURE + c] = (int)feature;
        }
        if (page.failed) return false;
    }
    return page.finished();
}

extern "C" __global__ void __launch_bounds__(WARP)
    decode_pages(const unsigned char* data, const long long* ends, const int* firsts, const int* cells,
                 const int* cell_bits, int n_pages, const unsigned short* slot_tokens, const unsigned* token_slots,
                 const int* lows, const unsigned char* rotation_from, int scale_step, int position_offset,
                 int n_channels, int* rows, int* good, int* fault) {
    __shared__ unsigned short tokens[SLOTS];
    __shared__ unsigned slots[MAX_TOKENS];
    const int n = blockIdx.x * WARP + threadIdx.x, lane = threadIdx.x;
    const bool mine = n < n_pages;
    const int n_columns = COLUMN_FEATURE + n_channels, count = mine ? firsts[n + 1] - firsts[n] : 0;
    int* own = rows + (mine ? (long long)firsts[n] * n_columns : 0);
    PageReader page = {data + (mine ? ends[n] : 0), data + (mine ? ends[n + 1] : 0), 0, 0, false};
    unsigned state = page.word();
    state |= page.word() << 16;
    bool valid = mine && !page.failed && state >= LOWEST;
    for (int stream = 0; stream < FEATURE + n_channels; ++stream) {
        __syncthreads();  // of the one before
        for (int k = lane; k < SLOTS; k += WARP) tokens[k] = slot_tokens[stream * SLOTS + k];
        for (int k = lane; k < MAX_TOKENS; k += WARP) slots[k] = token_slots[stream * MAX_TOKENS + k];
        __syncthreads();
        if (!valid) continue;
        const int column = column_of(stream);
        for (int i = stream == GAP; i < count; ++i) {  // the first cell has no gap before it
            const unsigned slot = state & (SLOTS - 1), token = tokens[slot], found = slots[token];
            state = (found >> 16) * (state >> TABLE_BITS) + slot - (found & 0xffff);
            if (state < LOWEST) state = state << 16 | page.word();
            own[i * n_columns + column] = (int)token;
        }
        valid = !page.failed;
    }
    if (!mine) return;
    valid = valid && state == LOWEST &&  // where every writer begins
            finish_rows(page, own, count, n_channels, lows, rotation_from, scale_step, position_offset, cells[n],
                        cell_bits[n]);
    good[n] = valid;
    if (!valid) atomicOr(fault, 1);
}

// The even bits of a number, together.
__device__ inline int even_bits(unsigned v) {
    v &= 0x55555555u;
    v = (v | v >> 1) & 0x33333333u;
    v = (v | v >> 2) & 0x0f0f0f0fu;
    v = (v | v >> 4) & 0x00ff00ffu;
    return (int)((v | v >> 8) & 0x0000ffffu);
}

extern "C" __global__ void __launch_bounds__(PAGE_THREADS)
    place_codes(const int* rows, const int* good, const int* firsts, const int* cells, const double* gains,
                const unsigned char* rotation_from, int scale_step, int position_offset, int width, int height,
                int n_channels, int feature_slope, const double* steps, const double* transform,
                const int* group_begins, const int* group_ends, double* means, double* inv_scales, double* rotations,
                float* features, int* fault) {
    const int page = blockIdx.x, cell_log2 = cells[page];
    if (!good[page]) return;
    const Unpacked out = {means, inv_scales, rotations, features, fault};
    const FeatureMix mix = {n_channels, feature_slope, steps, transform, group_begins, group_ends};
    for (int i = firsts[page] + threadIdx.x; i < firsts[page + 1]; i += PAGE_THREADS) {
        const int* row = rows + (long long)i * (COLUMN_FEATURE + n_channels);
        const int rotation = row[COLUMN_ROTATION];
        const int rotation_bits = rotation_bits_of(rotation_from, row[COLUMN_ELONGATION]);
        const Shape shape = shape_of(scale_step, row[COLUMN_NARROW], row[COLUMN_ELONGATION], rotation, rotation_bits);
        const PlaceBits bits = place_bits_of(shape, position_offset, cell_log2);
        const unsigned cell = (unsigned)row[COLUMN_CELL];
        const long long x = ((long long)even_bits(cell) << bits.x) + row[COLUMN_X];
        const long long y = ((long long)even_bits(cell >> 1) << bits.y) + row[COLUMN_Y];
        out.place(i, ((double)x + 0.5) * two_to(cell_log2 - bits.x), ((double)y + 0.5) * two_to(cell_log2 - bits.y),
                  shape, rotation, rotation_bits, gains[page], width, height);
        mix.mix(i, out, shape, [&](int c) { return row[COLUMN_FEATURE + c]; });
    }
}
