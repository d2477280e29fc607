/* libFuzzer target: libigs with the bytes of a file, once more with an allocation that fails. LLVMFuzzerCustomMutator makes sizes and checksums
 * right after most mutations, so that mutated fields are reached; some are left wrong. */
#include "reader_library.h"

#include <stdlib.h>
#include <string.h>

#include "../../../libigs/src/internal.h"

enum { HEADER = 52, SMALL_HEADER = 33, MAX_BLENDED = 100000 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static void use(const uint8_t *data, size_t size, uint32_t draw) {
    static double features[3 * MAX_CHANNELS];
    int few = 1; /* Gaussians: what is blended takes time */
    if (!*fuzz_open(data, size, draw & 1)) {
        fuzz_grain();
        const double w = fuzz_width(), h = fuzz_height(), points[6] = {w * 0.3, h * 0.7, w, h, 0.5, 0.5};
        for (uint32_t lod = 0; lod < fuzz_lods(); lod++) {
            const char *error = fuzz_read(lod);
            few &= fuzz_gaussians() <= MAX_BLENDED / 16;
            if (*error || fuzz_gaussians() > MAX_BLENDED) continue;
            fuzz_blend(points, 3, 1, features);
            for (uint32_t c = 0; c < fuzz_channels(); c++) fuzz_sample(c, features[c]);
        }
    }
    fuzz_close();
    if (few) fuzz_all(data, size, draw);
    fuzz_expect_nothing_left();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t draw = crc32c(0, data, size);
    fuzz_fail_at(0);
    use(data, size, draw);
    fuzz_fail_at(1 + (draw >> 7) % 40);
    use(data, size, draw);
    return 0;
}

/* ---- sizes and checksums ---- */

static void put32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static void put64(uint8_t *p, uint64_t v) {
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t size) {
    static uint32_t table[256];
    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        uint32_t word = i;
        for (int bit = 0; bit < 8; bit++) word = word & 1 ? word >> 1 ^ 0x82F63B78u : word >> 1;
        table[i] = word;
    }
    crc = ~crc;
    for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
    return ~crc;
}

typedef struct { /* an entry of the table of contents: its bytes, those of stored_size and crc, and the chunk's */
    uint8_t *entry, *stored, *crc, *data;
    size_t n_entry, n_stored, size;
    int codec;
} part;

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Bytes of the varint that begins at p, at most 9; 0 where it does not end before `end`. */
static size_t varint_bytes(const uint8_t *p, const uint8_t *end) {
    for (size_t n = 0; n < 9 && p + n < end; n++)
        if (p[n] < 128) return n + 1;
    return 0;
}

/* The number that varints of n bytes have which is nearest to v, written at p. */
static uint64_t put_varint(uint8_t *p, size_t n, uint64_t v) {
    uint64_t least = n > 1 ? UINT64_C(1) << 7 * (n - 1) : 0, most = (UINT64_C(1) << 7 * n) - 1;
    v = v < least ? least : v > most ? most : v;
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)((v >> 7 * i & 127) | (i + 1 < n ? 128 : 0));
    return v;
}

/* The entries of a table of contents whose layout is sound; how many, 0 where it is not. */
static size_t read_toc(uint8_t *data, size_t size, part *parts) {
    size_t n = size > HEADER ? data[39] : 0, at = HEADER;
    if (n > 64 || !n || HEADER + get16(data + 46) > size) return 0;
    uint8_t *end = data + HEADER + get16(data + 46);
    for (size_t i = 0; i < n; i++) {
        part *p = parts + i;
        memset(p, 0, sizeof *p);
        p->entry = data + at;
        if (end - p->entry < 5) return 0;
        int flags = p->entry[4];
        p->codec = flags >> 1 & 3;
        p->stored = p->entry + 5;
        p->n_stored = varint_bytes(p->stored, end);
        p->n_entry = 5 + p->n_stored;
        size_t n_raw = p->codec ? varint_bytes(p->entry + p->n_entry, end) : 0;
        if (!p->n_stored || (p->codec && !n_raw)) return 0;
        p->n_entry += n_raw + (flags & 8 ? 2 : 0);
        if (flags & 16) {
            p->crc = p->entry + p->n_entry;
            p->n_entry += 4;
        }
        at += p->n_entry;
        if (p->entry + p->n_entry > end) return 0;
    }
    return data + at == end ? n : 0;
}

static uint64_t get_varint(const uint8_t *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)(p[i] & 127) << 7 * i;
    return v;
}

/* CRCs of the pages of a file whose chunks lie where its table of contents says; the last page may take what is left. */
static void seal_pages(const uint8_t *data, const part *index, const part *gaus, const part *lods, const part *quan, int fill) {
    uint32_t profile = data[14], n_lods = data[15], C = get16(data + 36), page_size = get16(data + 44), before = 0;
    size_t at = 0, entry = profile == 2 ? 16 : 12, n_pages = index->size / entry, page = 0, head = 0, record = 10 + 2 * C;
    if (!page_size) return;
    if (profile == 1) {
        size_t widths = 1 + 5 * (2 + (size_t)C);
        if (!quan->data || quan->codec || quan->size < widths) return;
        const uint8_t *w = quan->data + quan->size - widths;
        uint32_t bits = w[0];
        for (uint32_t k = 0; k < 2 + C; k++) bits += w[5 + 5 * k];
        head = 16 + 3 * C;
        record = (bits + 7) / 8;
    }
    const uint8_t *row = lods->data;
    for (uint32_t m = 0; m < n_lods && (row ? row + 4 <= lods->data + lods->size : n_lods == 1) && page < n_pages; m++) {
        uint32_t count = row ? get32(row) : get32(data + 32);
        for (uint32_t left = count > before ? count - before : 0; left && page < n_pages; page++) {
            uint32_t n = left < page_size ? left : page_size;
            uint8_t *p = index->data + page * entry;
            size_t size = profile == 2 ? get32(p + 12) : head + n * record;
            if (profile == 2 && (size > gaus->size - at || (fill && page + 1 == n_pages))) {
                size = gaus->size - at;
                put32(p + 12, (uint32_t)size);
            }
            size = smaller(size, gaus->size - at);
            put32(p + 8, crc32c(0, gaus->data + at, size));
            at += size;
            left -= n;
        }
        before = count;
        if (row) row += 4 + 4 * (m + 1);
    }
}

/* The size and the checksum of a small file. */
static void seal_small(uint8_t *data, size_t size) {
    if (size > 65535) return;
    data[16] = (uint8_t)size;
    data[17] = (uint8_t)(size >> 8);
    put32(data + size - 4, crc32c(0, data, size - 4));
}

static void seal(uint8_t *data, size_t size, unsigned how) {
    static const char names[4][5] = {"PAGI", "GAUS", "LODS", "QUAN"};
    part found[4] = {{0}}, parts[64];
    size_t n = read_toc(data, size, parts), at = HEADER + get16(data + 46);
    if (!n) return;
    memcpy(data, "\xABIGS 10\xBB\r\n\x1A\n\x01", 13);
    for (size_t i = 0; i < n; i++) { /* the chunks fill the file, as far as their sizes can say so */
        part *p = parts + i;
        uint64_t stored = get_varint(p->stored, p->n_stored);
        if (stored > size - at || (i + 1 == n && how & 1)) stored = put_varint(p->stored, p->n_stored, size - at);
        p->data = data + at;
        p->size = smaller(size - at, (size_t)stored);
        for (int k = 0; k < 4; k++)
            if (!memcmp(p->entry, names[k], 4)) found[k] = *p;
        at += p->size;
    }
    put64(data + 16, at);
    if (found[0].data && !found[0].codec && found[1].data && how & 4)
        seal_pages(data, &found[0], &found[1], &found[2], &found[3], how & 8);
    for (size_t i = 0; i < n; i++)
        if (parts[i].crc) put32(parts[i].crc, crc32c(0, parts[i].data, parts[i].size));
    put32(data + HEADER - 4, crc32c(crc32c(0, data, HEADER - 4), data + HEADER, get16(data + 46)));
}

/* Mutates the header, an entry of the table of contents, or one chunk in place; or anything, at any size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    uint32_t draw = seed * 2654435761u;
    draw ^= draw >> 15;
    part parts[64];
    size_t first = 0, end = 0, n = size > HEADER && data[14] != 3 ? read_toc(data, size, parts) : 0;
    if (n) {
        size_t pick = (draw >> 8) % n, at = HEADER + get16(data + 46);
        if (draw % 8 == 0) first = 12, end = HEADER;
        else if (draw % 8 == 1) first = (size_t)(parts[pick].entry - data), end = first + parts[pick].n_entry;
        else if (draw % 8 < 7) {
            for (size_t i = 0; i <= pick && at <= size; i++) {
                first = at;
                at += smaller(size - at, (size_t)get_varint(parts[i].stored, parts[i].n_stored));
            }
            end = at;
        }
    }
    if (end > first) {
        uint8_t *part_of = malloc(end - first);
        if (!part_of) return size;
        memcpy(part_of, data + first, end - first);
        size_t changed = LLVMFuzzerMutate(part_of, end - first, end - first);
        memcpy(data + first, part_of, smaller(changed, end - first));
        free(part_of);
    } else {
        size = LLVMFuzzerMutate(data, size, max_size);
    }
    if (size > SMALL_HEADER && data[14] == 3 && (draw >> 20) % 16) seal_small(data, size);
    else if (size > HEADER && (draw >> 20) % 16) seal(data, size, (draw >> 24) | (draw >> 16 & 4) | ((draw >> 28) ? 4 : 0));
    return size;
}
