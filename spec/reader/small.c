/* Section 10. */
#include "igs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 29, ENTRY = 9, MOST = 4096, MAX_ORDER = 30 };

static void check(int fine, const char *error, const char *what) {
    if (!fine) igs_fail(error, "%s", what);
}

/* ---- bits ---- */

typedef struct {
    uint32_t zeros, ones;
} context;

typedef struct {
    context more[MAX_ORDER + 1], upper[MAX_ORDER + 1];
} stream;

typedef struct {
    const uint8_t *data;
    size_t size, at;
    uint32_t span, code;
} decoder;

static uint32_t next_byte(decoder *d) {
    uint32_t byte = d->at < d->size ? d->data[d->at] : 0;
    d->at++;
    return byte;
}

static uint32_t narrow(decoder *d, uint32_t split) {
    uint32_t bit = d->code >= split;
    if (bit) {
        d->code -= split;
        d->span -= split;
    } else {
        d->span = split;
    }
    while (d->span < 1u << 24) {
        d->span <<= 8;
        d->code = d->code << 8 | next_byte(d);
    }
    return bit;
}

static uint32_t learned(decoder *d, context *c) {
    uint32_t bit = narrow(d, (d->span >> 12) * ((c->zeros << 12) / (c->zeros + c->ones)));
    if (bit) c->ones += 2;
    else c->zeros += 2;
    if (c->zeros + c->ones > 512) {
        c->zeros = (c->zeros + 1) >> 1;
        c->ones = (c->ones + 1) >> 1;
    }
    return bit;
}

static int64_t plain(decoder *d, uint32_t n_bits) {
    int64_t value = 0;
    while (n_bits--) value = value << 1 | narrow(d, d->span >> 1);
    return value;
}

static int64_t magnitude(decoder *d, stream *s) {
    uint32_t o = 0;
    while (learned(d, &s->more[o]))
        if (++o > MAX_ORDER) igs_fail("CorruptField", "a value of 2^%u", o);
    if (!o) return 0;
    int64_t top = 2 | learned(d, &s->upper[o]);
    return (top << (o - 1) | plain(d, o - 1)) - 1;
}

static int64_t number(decoder *d, stream *s) {
    int64_t value = magnitude(d, s);
    return value && plain(d, 1) ? -value : value;
}

/* ---- the header ---- */

static void make_quantiser(igs_file *file, const uint8_t *header, const uint8_t *steps) {
    igs_quantiser *quan = file->quantiser = igs_alloc(1, sizeof *quan);
    uint64_t area = (uint64_t)file->width * file->height, T = 0, at = 0;
    uint32_t shorter = file->width < file->height ? file->width : file->height;
    uint32_t longer = file->width < file->height ? file->height : file->width, cell = 0, most = 0;
    quan->scale_step = header[25];
    quan->position_offset = header[26];
    for (uint32_t k = 1, e = 1; k <= 12; k++) {
        double t = igs_pow2(-(int64_t)header[27]) * (double)(1u << k);
        for (; e < 255; e++) {
            double r = igs_pow2(-(int64_t)e * header[25]);
            if (1.0 - r * r >= t * r) break;
        }
        quan->rotation_from[k - 1] = (uint8_t)e;
    }
    while (((uint64_t)file->n_gaussians << (2 * cell + 3)) <= area && cell < 16) cell++;
    while (2 * (uint64_t)shorter >> (most + 1)) most++;
    cell = cell < most ? cell : most;
    quan->cell_log2[0] = (uint8_t)(longer > 1u << 15 && !cell ? 1 : cell);
    for (uint32_t g = 0; g < file->n_groups; g++) T += (uint64_t)(file->group[g].n_channels * file->group[g].n_channels);
    quan->transform = igs_alloc((size_t)T, sizeof(double));
    for (uint32_t g = 0; g < file->n_groups; g++) {
        static const int colours[3][3] = {{1182, 1182, 1182}, {1448, 0, -1448}, {-836, 1672, -836}};
        int n = file->group[g].n_channels, mixed = header[28] && (n == 3 || n == 4);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++, at++)
                quan->transform[at] = mixed && i < 3 && j < 3 ? colours[i][j] / 2048.0 : i == j;
    }
    for (uint32_t c = 0; c < file->n_channels; c++) quan->feature_step[c] = (float)igs_pow2(-4 * (int64_t)steps[c]);
}

/* ---- the Gaussians ---- */

static void decode(igs_file *file, const uint8_t *data, size_t size, float *background) {
    const igs_quantiser *quan = file->quantiser;
    uint32_t n = file->n_gaussians, C = file->n_channels;
    decoder d = {data, size, 0, 0xFFFFFFFFu, 0};
    stream *s = igs_alloc(4 + C, sizeof *s);
    int64_t centre[1 + MAX_CHANNELS], z = 0, *rows = igs_alloc((size_t)n * 6, sizeof *rows); /* z n e r x_o y_o */
    int outside = 0, beyond = 0;
    for (int i = 0; i < 4; i++) d.code = d.code << 8 | next_byte(&d);
    for (uint32_t i = 0; i < 4 + C; i++)
        for (uint32_t o = 0; o <= MAX_ORDER; o++) s[i].more[o] = s[i].upper[o] = (context){1, 1};
    file->small = (igs_set){n, igs_alloc(n, sizeof(igs_gaussian)), igs_alloc((size_t)n * C, sizeof(float))};
    for (uint32_t i = 0; i <= C; i++) centre[i] = number(&d, &s[0]);
    double transformed[MAX_CHANNELS];
    for (uint32_t c = 0; c < C; c++) transformed[c] = (double)centre[1 + c] * quan->feature_step[c];
    igs_transform(file, transformed, background);
    for (uint32_t i = 0; i < n; i++) {
        int64_t *row = rows + 6 * i;
        row[0] = z += magnitude(&d, &s[1]);
        row[1] = centre[0] + number(&d, &s[2]);
        row[2] = magnitude(&d, &s[3]);
        outside |= z >= 1 << 30;
        beyond |= (row[1] - row[2]) * quan->scale_step < -448 || row[1] * quan->scale_step > 192;
        for (uint32_t c = 0; c < C; c++) {
            int64_t f = centre[1 + c] + number(&d, &s[4 + c]);
            transformed[c] = (double)f * quan->feature_step[c];
        }
        igs_transform(file, transformed, file->small.features + (size_t)i * C);
    }
    check(!outside, "CorruptField", "a cell lies outside the grid");
    check(!beyond, "CorruptField", "an inverse scale is outside its range");
    for (uint32_t i = 0; i < n; i++) rows[6 * i + 3] = plain(&d, igs_rotation_bits(quan, rows[6 * i + 2]));
    for (uint32_t i = 0; i < n; i++) {
        const int64_t *row = rows + 6 * i;
        igs_shape shape = igs_shape_of(quan, row[1], row[2], row[3]);
        int64_t x_bits = igs_place_bits(quan, 0, shape.low + shape.leading);
        int64_t y_bits = igs_place_bits(quan, 0, shape.high - shape.leading);
        int64_t x_o = plain(&d, (uint32_t)x_bits), y_o = plain(&d, (uint32_t)y_bits);
        igs_set_place(quan, 0, &shape, (uint64_t)row[0], x_bits, x_o, y_bits, y_o, &file->small.gaussian[i]);
    }
    check(d.at >= size, "CorruptField", "bytes follow the last Gaussian");
    free(rows);
    free(s);
}

void igs_open_small(igs_file *file, const igs_file *outer) {
    uint8_t header[HEADER], *data;
    check(file->stored_size >= HEADER, "TruncatedStream", "the header is cut");
    memcpy(header, data = igs_load(file, 0, HEADER), HEADER);
    free(data);
    igs_check_version(header);
    file->file_size = get16(header + 16);
    check(file->file_size <= MOST, "LimitExceeded", "file_size");
    check(file->file_size >= HEADER + 4, "CorruptField", "the file has no room for its header");
    check(file->stored_size >= file->file_size, "TruncatedStream", "the file is cut");
    check(file->stored_size == file->file_size, "CorruptField", "bytes follow the end of the file");
    size_t at = HEADER, end = (size_t)file->file_size - 4;
    data = igs_load(file, 0, (size_t)file->file_size);
    check(igs_crc32c(0, data, end) == get32(data + end), "ChecksumMismatch", "the file is damaged");

    file->profile = 3;
    file->lod_count = file->n_lods = 1;
    file->has_tables = 1;
    file->width = get16(header + 18);
    file->height = get16(header + 20);
    file->n_gaussians = file->counts[0] = get16(header + 22);
    file->top_k = 10;
    file->support_q = 25;
    file->gain[0][0] = 1;
    check(header[15] <= 8, "CorruptField", "layout");
    check(file->width && file->height, "CorruptField", "width or height");
    check(file->n_gaussians <= 4096, "LimitExceeded", "n_gaussians");
    check(header[24] <= 8, "CorruptField", "n_extras");
    check(header[25] >= 1 && header[25] <= 64, "CorruptField", "scale_step");
    check(header[28] <= 1, "CorruptField", "colours");

    static const char extras[7][5] = {"CHAN", "FILE", "ICCP", "META", "TAGS", "EXIF", "XMP_"};
    static const char others[7][5] = {"GRAN", "CSET", "LODS", "PAGT", "PAGI", "QUAN", "GAUS"};
    const uint8_t *entry[7] = {NULL};
    int wrong = 0;
    for (uint32_t i = 0; i < header[24]; i++) {
        const uint8_t *p = data + at;
        check(end - at >= ENTRY, "CorruptField", "an extra ends early");
        for (int c = 0; c < 4; c++) check(p[c] >= 0x20 && p[c] <= 0x7E, "CorruptField", "a fourcc is not text");
        uint32_t stored = get16(p + 5), raw = get16(p + 7);
        check(p[4] <= 1, "CorruptField", "a codec is not known");
        check(end - at - ENTRY >= stored, "CorruptField", "an extra ends early");
        check(p[4] ? raw > stored : raw == stored, "CorruptField", "a raw_size does not fit the codec");
        for (int k = 0; k < 7; k++)
            if (!memcmp(p, extras[k], 4)) {
                wrong |= entry[k] != NULL;
                entry[k] = p;
            }
        for (int k = 0; k < 7; k++) wrong |= !memcmp(p, others[k], 4);
        at += ENTRY + stored;
    }
    check(!wrong, "CorruptField", "an extra is there twice, or does not belong into a small file");
    if (outer) {
        for (int k = 0; k < 7; k++) wrong |= entry[k] != NULL;
        check(!wrong && !header[15], "CorruptField", "layout or an extra does not belong into a coarser set");
        igs_share(file, outer);
    } else {
        check((entry[0] != NULL) == !header[15], "CorruptField", "layout and CHAN do not agree");
    }
    if (outer) {
        /* its channels are known */
    } else if (entry[0]) {
        uint32_t stored = get16(entry[0] + 5), raw = get16(entry[0] + 7);
        check(raw <= 34049, "LimitExceeded", "CHAN is too long");
        uint8_t *chan = igs_alloc(raw, 1);
        if (entry[0][4])
            check(igs_inflate(entry[0] + ENTRY, stored, chan, raw), "CorruptField", "CHAN does not inflate");
        else
            memcpy(chan, entry[0] + ENTRY, raw);
        igs_read_channels(file, chan, raw);
        free(chan);
    } else {
        int C = (header[15] - 1) % 4 + 1, depth = header[15] > 4 ? 16 : 8;
        file->n_groups = 1;
        file->n_channels = (uint32_t)C;
        file->group[0] = (igs_group){0, C, depth, 0, 0, 0, 0, 1, 0, C - (C % 2 == 0), 0, {0}};
    }
    check(end - at >= file->n_channels, "CorruptField", "feature_step ends early");
    make_quantiser(file, header, data + at);
    at += file->n_channels;
    check(file->n_gaussians <= 8 * (end - at), "CorruptField", "too many Gaussians for their bytes");
    float background[MAX_CHANNELS];
    decode(file, data + at, end - at, background);
    for (uint32_t c = 0; c < file->n_channels && header[15]; c++) {
        check(fabs(background[c]) <= 65504, "CorruptField", "the background is outside its range");
        file->background[c] = background[c];
    }
    file->n_pages = file->n_gaussians > 0;
    file->page = igs_alloc(1, sizeof *file->page);
    file->page[0] = (igs_page){0, 0, (file->width - 1) / TILE, (file->height - 1) / TILE, igs_crc32c(0, data + at, end - at),
                               (uint32_t)(end - at), file->n_gaussians, 0, at};
    free(data);
}

void igs_decode_small(const igs_file *file, const igs_page *page, const uint8_t *data, igs_set *set, size_t first) {
    (void)data;
    memcpy(set->gaussian + first, file->small.gaussian, page->n_gaussians * sizeof(igs_gaussian));
    memcpy(set->features + first * file->n_channels, file->small.features,
           (size_t)page->n_gaussians * file->n_channels * sizeof(float));
}
