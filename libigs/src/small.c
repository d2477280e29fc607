/* Section 10. */
#include "bits.h"

enum { HEADER = 29, FIELDS = 6, ENTRY = 9, MOST = 4096, MOST_PX = 65535, N_EXTRAS = 7 };

/* ---- the header ---- */

/* scale_step, position_offset, turn and colours are the four bytes of `fields`. */
static igs_status make_quantiser(igs_file *file, igs_set *set, const uint8_t *fields, const uint8_t *steps) {
    igs_quantiser *quan;
    TAKE(quan, &set->ring, 1);
    uint64_t area = (uint64_t)set->width * set->height, T = 0, at = 0;
    uint32_t shorter = set->width < set->height ? set->width : set->height;
    uint32_t longer = set->width < set->height ? set->height : set->width, cell = 0, most = 0;
    quan->scale_step = fields[0];
    quan->position_offset = fields[1];
    for (uint32_t k = 1, e = 1; k <= 12; k++) {
        double t = igs_pow2(-(int64_t)fields[2]) * (double)(1u << k);
        for (; e < 255; e++) {
            double r = igs_pow2(-(int64_t)e * fields[0]);
            if (1.0 - r * r >= t * r) break;
        }
        quan->rotation_from[k - 1] = (uint8_t)e;
    }
    while (((uint64_t)set->n_gaussians << (2 * cell + 3)) <= area && cell < 16) cell++;
    while (2 * (uint64_t)shorter >> (most + 1)) most++;
    cell = cell < most ? cell : most;
    quan->cell_log2[0] = (uint8_t)(longer > 1u << 15 && !cell ? 1 : cell);
    for (uint32_t g = 0; g < file->n_groups; g++) T += file->group[g].n_channels * file->group[g].n_channels;
    TAKE(quan->transform, &set->ring, T);
    for (uint32_t g = 0; g < file->n_groups; g++) {
        static const int colours[3][3] = {{1182, 1182, 1182}, {1448, 0, -1448}, {-836, 1672, -836}};
        uint32_t n = file->group[g].n_channels, mixed = fields[3] && (n == 3 || n == 4);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++, at++)
                quan->transform[at] = mixed && i < 3 && j < 3 ? colours[i][j] / 2048.0 : i == j;
    }
    for (uint32_t c = 0; c < file->n_channels; c++) quan->feature_step[c] = (float)igs_pow2(-4 * (int64_t)steps[c]);
    set->quantiser = quan;
    return IGS_OK;
}

/* ---- the Gaussians ---- */

typedef struct {
    int64_t n, e, r;
    uint32_t z;
} shape_row;

static igs_status decode(igs_file *file, igs_set *set, const uint8_t *data, size_t size, float *background) {
    const igs_quantiser *quan = set->quantiser;
    uint32_t n = set->n_gaussians, C = file->n_channels;
    igs_bits d;
    igs_numbers *s;
    shape_row *rows;
    int64_t centre[1 + MAX_CHANNELS], z = 0;
    int outside = 0, beyond = 0;
    double transformed[MAX_CHANNELS];
    TAKE(s, &file->scratch, 4 + C);
    TAKE(rows, &file->scratch, n);
    TAKE(set->gaussians, &set->ring, n);
    TAKE(set->features, &set->ring, (uint64_t)n * C);
    igs_begin_bits(&d, data, size, s, 4 + C);
    for (uint32_t i = 0; i <= C; i++) centre[i] = igs_number(&d, &s[0]);
    for (uint32_t c = 0; c < C; c++) transformed[c] = (double)centre[1 + c] * quan->feature_step[c];
    igs_transform(file, quan, transformed, background);
    for (uint32_t i = 0; i < n; i++) {
        shape_row *row = rows + i;
        z += igs_magnitude(&d, &s[1]);
        row->n = centre[0] + igs_number(&d, &s[2]);
        row->e = igs_magnitude(&d, &s[3]);
        row->z = (uint32_t)z;
        outside |= z >= 1 << 30;
        beyond |= (row->n - row->e) * quan->scale_step < -448 || row->n * quan->scale_step > 192;
        for (uint32_t c = 0; c < C; c++)
            transformed[c] = (double)(centre[1 + c] + igs_number(&d, &s[4 + c])) * quan->feature_step[c];
        igs_transform(file, quan, transformed, set->features + (size_t)i * C);
    }
    CHECK(!d.bad, IGS_CORRUPT_FIELD, "a value is too large");
    CHECK(!outside, IGS_CORRUPT_FIELD, "a cell lies outside the grid");
    CHECK(!beyond, IGS_CORRUPT_FIELD, "an inverse scale is outside its range");
    for (uint32_t i = 0; i < n; i++) rows[i].r = igs_plain(&d, igs_rotation_bits(quan, rows[i].e));
    for (uint32_t i = 0; i < n; i++) {
        const shape_row *row = rows + i;
        igs_shape shape = igs_shape_of(quan, row->n, row->e, row->r, igs_rotation_bits(quan, row->e));
        uint32_t x_bits = igs_place_bits(quan, 0, shape.low + shape.leading);
        uint32_t y_bits = igs_place_bits(quan, 0, shape.high - shape.leading);
        uint64_t x_o = (uint64_t)igs_plain(&d, x_bits), y_o = (uint64_t)igs_plain(&d, y_bits);
        igs_set_place(quan, 0, &shape, row->z, x_bits, x_o, y_bits, y_o, &set->gaussians[i]);
    }
    CHECK(d.at >= size, IGS_CORRUPT_FIELD, "bytes follow the last Gaussian");
    return IGS_OK;
}

/* Extras from `at` on; `chan` is NULL where there is none. */
static igs_status read_extras(igs_file *file, const uint8_t *header, const uint8_t *data, size_t end, size_t *at,
                              const uint8_t **chan) {
    static const char extras[N_EXTRAS][5] = {"CHAN", "FILE", "ICCP", "META", "TAGS", "EXIF", "XMP_"};
    static const char others[7][5] = {"GRAN", "CSET", "LODS", "PAGT", "PAGI", "QUAN", "GAUS"};
    int seen[N_EXTRAS] = {0}, wrong = 0;
    *chan = NULL;
    for (uint32_t i = 0; i < header[24]; i++) {
        const uint8_t *p = data + *at;
        CHECK(end - *at >= ENTRY, IGS_CORRUPT_FIELD, "an extra ends early");
        for (int c = 0; c < 4; c++) CHECK(p[c] >= 0x20 && p[c] <= 0x7E, IGS_CORRUPT_FIELD, "a fourcc is not text");
        uint32_t stored = get16(p + 5), raw = get16(p + 7);
        CHECK(p[4] <= 1, IGS_CORRUPT_FIELD, "a codec is not known");
        CHECK(end - *at - ENTRY >= stored, IGS_CORRUPT_FIELD, "an extra ends early");
        CHECK(p[4] ? raw > stored : raw == stored, IGS_CORRUPT_FIELD, "a raw_size does not fit the codec");
        for (int k = 0; k < N_EXTRAS; k++)
            if (!memcmp(p, extras[k], 4)) {
                wrong |= seen[k];
                seen[k] = 1;
                if (!k) *chan = p;
            }
        for (int k = 0; k < 7; k++) wrong |= !memcmp(p, others[k], 4);
        *at += ENTRY + stored;
    }
    CHECK(!wrong, IGS_CORRUPT_FIELD, "an extra is there twice, or does not belong into a small file");
    CHECK((*chan != NULL) == !header[15], IGS_CORRUPT_FIELD, "layout and CHAN do not agree");
    return IGS_OK;
}

static igs_status read_layout(igs_file *file, const uint8_t *header, const uint8_t *chan) {
    if (chan) {
        uint32_t stored = get16(chan + 5), raw = get16(chan + 7);
        CHECK(raw <= 34049, IGS_LIMIT_EXCEEDED, "CHAN is too long");
        if (!chan[4]) return igs_read_channels(file, chan + ENTRY, raw);
        uint8_t *data;
        TAKE(data, &file->scratch, raw);
        CHECK(igs_inflate(chan + ENTRY, stored, data, raw), IGS_CORRUPT_FIELD, "CHAN does not inflate");
        return igs_read_channels(file, data, raw);
    }
    igs_group *g = &file->group[0];
    g->name = "color";
    g->source = "";
    g->n_channels = (header[15] - 1u) % 4 + 1;
    g->bit_depth = header[15] > 4 ? 16 : 8;
    g->alpha = g->n_channels % 2 == 0;
    g->value_max = 1;
    file->n_groups = 1;
    file->n_channels = g->n_channels;
    return IGS_OK;
}

/* ---- a file, and a coarser set in the short form ---- */

/* All of its bytes, whose checksum is right, and where the checksum begins. */
static igs_status load_all(igs_file *file, igs_set *set, uint8_t **data, size_t *end) {
    CHECK(set->there >= set->file_size, IGS_TRUNCATED_STREAM, "the file is cut");
    *end = (size_t)set->file_size - 4;
    TRY(igs_load(file, set, 0, set->file_size, data));
    CHECK(igs_crc32c(file, 0, *data, *end) == get32(*data + *end), IGS_CHECKSUM_MISMATCH, "the file is damaged");
    return IGS_OK;
}

/* n_gaussians, and what every small set has. */
static void begin(igs_set *set, uint32_t n_gaussians) {
    set->profile = SMALL;
    set->lod_count = 1;
    set->n_gaussians = set->counts[0] = n_gaussians;
    set->page_size = MOST;
    set->top_k = 10;
    set->support_q = 25;
    set->gain[0][0] = 1;
}

static igs_status check_steps(igs_file *file, const uint8_t *fields) {
    CHECK_N(fields[0] >= 1 && fields[0] <= 64, IGS_CORRUPT_FIELD, "scale_step is #", fields[0]);
    CHECK_N(fields[3] <= 1, IGS_CORRUPT_FIELD, "colours is #", fields[3]);
    return IGS_OK;
}

/* feature_step and the Gaussians, at `data` + `at`. */
static igs_status read_rest(igs_file *file, igs_set *set, const uint8_t *fields, const uint8_t *data, size_t at, size_t end,
                            float *background) {
    set->n_channels = file->n_channels;
    CHECK(end - at >= file->n_channels, IGS_CORRUPT_FIELD, "feature_step ends early");
    TRY(make_quantiser(file, set, fields, data + at));
    at += file->n_channels;
    CHECK(set->n_gaussians <= 8 * (end - at), IGS_CORRUPT_FIELD, "there are more Gaussians than bits");
    TRY(decode(file, set, data + at, end - at, background));
    set->n_pages = set->n_gaussians > 0;
    TAKE(set->page, &set->ring, 1);
    /* the page is the whole set: its Gaussians are here already */
    set->page[0] = (igs_entry){0, 0, 0, (set->width - 1) / TILE, (set->height - 1) / TILE, 0, (uint32_t)set->file_size,
                               set->n_gaussians, 0, 0, 0};
    return IGS_OK;
}

igs_status igs_open_small(igs_file *file, igs_set *set) {
    uint8_t header[HEADER], *data;
    size_t at = HEADER, end;
    CHECK(set->there >= HEADER, IGS_TRUNCATED_STREAM, "the header is cut");
    TRY(igs_read(file, set, 0, header, HEADER));
    TRY(igs_check_version(file, header));
    set->file_size = get16(header + 16);
    CHECK_N(set->file_size <= MOST, IGS_LIMIT_EXCEEDED, "file_size is #", set->file_size);
    CHECK(set->file_size >= HEADER + 4, IGS_CORRUPT_FIELD, "the file has no room for its header");
    CHECK(set->there <= set->file_size, IGS_CORRUPT_FIELD, "bytes follow the end of the file");
    TRY(load_all(file, set, &data, &end));
    begin(set, get16(header + 22));
    set->width = get16(header + 18);
    set->height = get16(header + 20);
    CHECK_N(header[15] <= 8, IGS_CORRUPT_FIELD, "layout is #", header[15]);
    CHECK(set->width && set->height, IGS_CORRUPT_FIELD, "width or height is 0");
    CHECK_N(set->n_gaussians <= 4096, IGS_LIMIT_EXCEEDED, "n_gaussians is #", set->n_gaussians);
    CHECK_N(header[24] <= 8, IGS_CORRUPT_FIELD, "n_extras is #", header[24]);
    TRY(check_steps(file, header + 25));
    const uint8_t *chan;
    TRY(read_extras(file, header, data, end, &at, &chan));
    TRY(read_layout(file, header, chan));
    file->n_levels = 1;
    float background[MAX_CHANNELS];
    TRY(read_rest(file, set, header + 25, data, at, end, background));
    for (uint32_t c = 0; c < file->n_channels && header[15]; c++) {
        CHECK(fabs(background[c]) <= 65504, IGS_CORRUPT_FIELD, "the background is outside its range");
        file->background[c] = file->group[0].background[c] = background[c];
    }
    set->is_open = set->has_tables = 1;
    return IGS_OK;
}

igs_status igs_open_small_set(igs_file *file, igs_set *set, const igs_chunk *chunk) {
    const igs_set *finest = file->set;
    uint8_t *data;
    size_t end;
    float background[MAX_CHANNELS];
    set->width = ((finest->width - 1) >> chunk->scale_log2) + 1;
    set->height = ((finest->height - 1) >> chunk->scale_log2) + 1;
    set->file_size = chunk->stored_size;
    CHECK(finest->top_k == 10 && finest->support_q == 25, IGS_CORRUPT_FIELD, "the file has not the K and Q of its small set");
    CHECK(set->width <= MOST_PX && set->height <= MOST_PX, IGS_CORRUPT_FIELD, "the picture of a small set is too large");
    CHECK_N(set->file_size <= MOST, IGS_LIMIT_EXCEEDED, "a small set has # bytes", set->file_size);
    CHECK(set->file_size >= FIELDS + 4, IGS_CORRUPT_FIELD, "a small set has no room for its fields");
    TRY(load_all(file, set, &data, &end));
    begin(set, get16(data));
    CHECK_N(set->n_gaussians <= 4096, IGS_LIMIT_EXCEEDED, "n_gaussians is #", set->n_gaussians);
    TRY(check_steps(file, data + 2));
    TRY(read_rest(file, set, data + 2, data, FIELDS, end, background));
    set->is_open = set->has_tables = 1;
    return IGS_OK;
}
