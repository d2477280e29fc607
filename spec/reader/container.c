/* Header, table of contents, CHAN, LODS, PAGI, in the order of section 13.2. */
#include "igs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void *igs_alloc(size_t n, size_t size) {
    void *memory = calloc(n ? n : 1, size);
    if (!memory) igs_fail("memory", "%lu bytes are not there", (unsigned long)(n * size));
    return memory;
}

double get_f32(const uint8_t *p) {
    uint32_t word = get32(p);
    float value;
    memcpy(&value, &word, 4);
    return value;
}

double get_f16(const uint8_t *p) {
    uint32_t word = get16(p), exponent = word >> 10 & 31, mantissa = word & 1023;
    double sign = word >> 15 ? -1 : 1;
    if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
    return sign * ldexp(exponent ? 1024 + mantissa : mantissa, (int)(exponent ? exponent : 1) - 25);
}

uint32_t igs_crc32c(uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

uint8_t *igs_load(igs_file *file, uint64_t offset, size_t size) {
    uint8_t *data = igs_alloc(size, 1);
    if (fseek(file->stream, (long)(file->base + offset), SEEK_SET) || fread(data, 1, size, file->stream) != size)
        igs_fail("TruncatedStream", "the file cannot be read at byte %lu", (unsigned long)offset);
    return data;
}

static void check(int fine, const char *error, const char *what) {
    if (!fine) igs_fail(error, "%s", what);
}

/* A field whose least value is `low`, and which is too large for this reader above `high`. */
static void check_count(uint64_t value, uint64_t low, uint64_t high, const char *what) {
    check(value >= low, "CorruptField", what);
    check(value <= high, "LimitExceeded", what);
}

/* ---- table of contents ---- */

enum { CHAN, FILE_, ICCP, TAGS, GRAN, CSET, LODS, PAGT, QUAN, PAGI, GAUS, EXIF, XMP_, META };
static const char KNOWN[N_KNOWN][5] = {"CHAN", "FILE", "ICCP", "TAGS", "GRAN", "CSET", "LODS", "PAGT", "QUAN", "PAGI", "GAUS", "EXIF", "XMP_", "META"};

static int is_critical(int k) { return k == CHAN || k == CSET || k == LODS || k == PAGI || k == QUAN || k == GAUS; }

static void read_contents(igs_file *file, const uint8_t *toc, uint32_t n, const igs_file *outer) {
    uint64_t offset = 64 + 28 * (uint64_t)n;
    int twice = 0, too_long = 0, follows = 0, strange = 0, misplaced = 0;
    igs_chunk *known = file->known;
    file->n_lods = file->lod_count;
    for (uint32_t i = 0; i < n; i++, toc += 28) { /* each by itself */
        int k = 0;
        for (int c = 0; c < 4; c++) check(toc[c] >= 0x20 && toc[c] <= 0x7E, "CorruptField", "a fourcc is not text");
        while (k < N_KNOWN && memcmp(toc, KNOWN[k], 4)) k++;
        check(toc[4] <= 1, "CorruptField", "a reserved bit of the table of contents is set");
        check(toc[6] <= MAX_LODS && toc[7] <= 20, "CorruptField", "n_lods or scale_log2");
        check(k == CSET ? toc[6] != 0 : !toc[6] && !toc[7], "CorruptField", "n_lods or scale_log2");
        uint64_t stored = get64(toc + 8), raw = get64(toc + 16);
        if (k == N_KNOWN) {
            check(!toc[4], "UnsupportedChunk", "a critical chunk is not known");
        } else {
            check(toc[4] == is_critical(k), "CorruptField", "a chunk has the wrong critical bit");
            check(toc[5] <= (k == GAUS || k == CSET ? 0 : 1), "UnsupportedChunk", "a codec is not known");
            check(toc[5] ? raw > stored : raw == stored, "CorruptField", "a raw_size does not fit the codec");
            check((k != GAUS && k != CSET) || !get32(toc + 24), "CorruptField", "GAUS or CSET has a crc");
            twice |= known[k].entry != NULL && k != CSET;
            follows |= is_critical(k) && known[GAUS].entry;
            strange |= outer && k != LODS && k != PAGT && k != QUAN && k != PAGI && k != GAUS;
            known[k] = (igs_chunk){toc, offset, stored, raw};
            if (k == CSET) {
                misplaced |= !known[CHAN].entry || known[LODS].entry || known[PAGT].entry || known[QUAN].entry || known[PAGI].entry;
                file->n_lods += toc[6];
                if (file->n_coarser < MAX_LODS) file->coarser[file->n_coarser++] = known[k];
            }
        }
        too_long |= stored > file->file_size || offset > file->file_size - stored;
        offset += stored;
    }
    check(!twice, "CorruptField", "a chunk is there twice");
    check(!strange, "CorruptField", "a chunk does not belong into a coarser set");
    check((outer || known[CHAN].entry) && known[LODS].entry && known[PAGI].entry && known[GAUS].entry, "CorruptField",
          "a chunk is missing");
    check((known[QUAN].entry != NULL) == (file->profile != 0), "CorruptField", "QUAN and the profile do not agree");
    check(!too_long && offset == file->file_size, "CorruptField", "the chunks do not end with the file");
    check(known[GAUS].offset == file->data_offset, "CorruptField", "data_offset is not where GAUS begins");
    check(!follows, "CorruptField", "a critical chunk follows GAUS");
    uint64_t record = 10 + 2 * (uint64_t)file->n_channels;
    check(file->profile || known[GAUS].stored_size == file->n_gaussians * record, "CorruptField", "the size of GAUS");
    check(file->n_lods <= MAX_LODS, "LimitExceeded", "levels of detail");
    check(!misplaced, "CorruptField", "CSET stands before CHAN or behind a chunk of the finest set");
}

/* The raw bytes of a chunk of at most `cap`, or, where `exact`, of that many. */
static uint8_t *load_chunk(igs_file *file, const igs_chunk *c, uint64_t cap, int exact, size_t *size) {
    check(!exact || c->raw_size == cap, "CorruptField", "a table has the wrong size");
    check(c->raw_size <= cap, "LimitExceeded", "a table is too long");
    uint8_t *stored = igs_load(file, c->offset, (size_t)c->stored_size);
    check(igs_crc32c(0, stored, (size_t)c->stored_size) == get32(c->entry + 24), "ChecksumMismatch", "a chunk is damaged");
    *size = (size_t)c->raw_size;
    if (!c->entry[5]) return stored;
    uint8_t *raw = igs_alloc(*size, 1);
    check(igs_inflate(stored, (size_t)c->stored_size, raw, *size), "CorruptField", "a chunk does not inflate");
    free(stored);
    return raw;
}

/* ---- tables ---- */

/* Controls and characters that do not show: the table of section 5.2. */
static int is_hidden(uint32_t code) {
    static const uint32_t ranges[][2] = {
        {0x0, 0x1F},        {0x7F, 0x9F},     {0xAD, 0xAD},     {0x61C, 0x61C},   {0x115F, 0x1160},   {0x17B4, 0x17B5},
        {0x180E, 0x180E},   {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F}, {0x3164, 0x3164},   {0xFEFF, 0xFEFF},
        {0xFFA0, 0xFFA0},   {0xFFF0, 0xFFFB}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1]) return 1;
    return 0;
}

/* One length-prefixed text of CHAN; returns where the next field begins. */
static size_t read_text(const uint8_t *data, size_t size, size_t at, int is_name) {
    check(at < size && size - at > data[at], "CorruptField", "CHAN ends early");
    size_t n = data[at], end = at + 1 + n;
    const uint8_t *text = data + at + 1;
    check(n || !is_name, "CorruptField", "a name is empty");
    check(!((n == 1 || (n == 2 && text[1] == '.')) && text[0] == '.'), "CorruptField", "a name is . or ..");
    for (size_t i = 0; i < n;) {
        uint32_t lead = text[i], more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        uint32_t code = more ? lead & (0x3Fu >> more) : lead;
        static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
        check((lead < 0x80 || lead >= 0xC0) && lead < 0xF8 && i + more < n, "CorruptField", "a text is not UTF-8");
        for (uint32_t k = 1; k <= more; k++) {
            check(text[i + k] >> 6 == 2, "CorruptField", "a text is not UTF-8");
            code = code << 6 | (text[i + k] & 0x3F);
        }
        check(code >= least[more] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF), "CorruptField",
              "a text is not UTF-8");
        check(!is_hidden(code), "CorruptField", "a name has a control or invisible character");
        check(code != '/' && code != '\\', "CorruptField", "a name is no bare file name");
        i += more + 1;
    }
    return end;
}

void igs_read_channels(igs_file *file, const uint8_t *data, size_t size) {
    size_t at = 1, names[MAX_CHANNELS];
    uint32_t channels = 0, n_groups = size ? data[0] : 0;
    int coverable = 0;  // the group before may have its alpha in the next one
    check_count(n_groups, 1, MAX_CHANNELS, "groups of CHAN");
    for (uint32_t k = 0; k < n_groups; k++) {
        check(size - at >= 16, "CorruptField", "CHAN ends early");
        const uint8_t *p = data + at;
        igs_group g = {(int)channels, p[0], p[2], p[3], p[4], p[7], get_f32(p + 8), get_f32(p + 12),
                       p[1], p[0] - (p[0] > 1 && p[5]), 0, {0}};
        check(p[0] >= 1 && p[0] <= 64 && p[1] <= 10 && p[2] >= 1 && p[2] <= 32 && p[3] <= 1 && p[4] <= 3 && p[5] <= 2 &&
                  p[6] <= 2 && p[7] <= 127,
              "CorruptField", "a field of a channel group is outside its range");
        check(g.sample_type ? g.bit_depth == 16 || g.bit_depth == 32 : g.bit_depth <= 16, "CorruptField", "a bit_depth");
        check(!p[5] || g.n_channels >= 2 || (p[1] == 7 && coverable), "CorruptField", "an alpha is alone");
        coverable = (p[1] <= 1 || p[1] == 9) && (g.n_channels == 1 || g.n_channels == 3) && !p[5];
        check(g.transfer == 3 ? g.sample_type == 1 : !g.knee, "CorruptField", "transfer asinh or knee");
        check(isfinite(g.value_min) && isfinite(g.value_max) && g.value_min < g.value_max, "CorruptField", "a range");
        at += 16;
        channels += p[0];
        check(file->n_channels || channels <= MAX_CHANNELS, "LimitExceeded", "channels of CHAN");
        check((!file->n_channels || channels <= file->n_channels) && size - at >= 4u * p[0], "CorruptField",
              "CHAN has other channels");
        for (int c = 0; c < g.n_channels; c++, at += 4) {
            file->background[g.first + c] = get_f32(data + at);
            check(isfinite(file->background[g.first + c]), "CorruptField", "the background is not finite");
        }
        names[k] = at;
        at = read_text(data, size, at, 1);
        for (uint32_t other = 0; other < k; other++)
            check(data[names[k]] != data[names[other]] || memcmp(data + names[k], data + names[other], at - names[k]),
                  "CorruptField", "two groups have the same name");
        at = read_text(data, size, at, 0);
        file->group[k] = g;
    }
    if (!file->n_channels) file->n_channels = channels; /* of a small file */
    check(channels == file->n_channels && at == size, "CorruptField", "CHAN has other channels, or bytes too many");
    file->n_groups = n_groups;
}

static void read_lods(igs_file *file, const uint8_t *data) {
    for (uint32_t m = 0; m < file->lod_count; m++) {
        file->counts[m] = get32(data);
        check(!m || file->counts[m] >= file->counts[m - 1], "CorruptField", "LOD counts fall");
        data += 4;
        for (uint32_t g = 0; g <= m; g++, data += 4) {
            file->gain[m][g] = get_f32(data);
            check(file->gain[m][g] >= 1.0 / 64 && file->gain[m][g] <= 64, "CorruptField", "a gain");
        }
    }
    check(file->counts[file->lod_count - 1] == file->n_gaussians, "CorruptField", "LOD counts do not end at N");
}

static void read_pages(igs_file *file, const igs_chunk *index, const igs_chunk *gaus) {
    uint64_t n_pages = 0, offset = 0;
    uint32_t entry_size = file->profile == 2 ? 16 : 12, number = 0, before = 0;
    uint32_t head_size = file->profile == 1 ? 16 + 3 * file->n_channels : 0;
    uint32_t record_size = file->profile == 1 ? file->quantiser->record_size : 10 + 2 * file->n_channels;
    size_t size;
    for (uint32_t g = 0; g < file->lod_count; before = file->counts[g++])
        n_pages += ((uint64_t)file->counts[g] - before + file->page_size - 1) / file->page_size;
    check(n_pages <= 1u << 20, "LimitExceeded", "pages");
    uint8_t *data = load_chunk(file, index, entry_size * n_pages, 1, &size);
    file->n_pages = (uint32_t)n_pages;
    file->page = igs_alloc((size_t)n_pages, sizeof *file->page);
    before = 0;
    for (uint32_t g = 0; g < file->lod_count; before = file->counts[g++])
        for (uint32_t left = file->counts[g] - before; left; number++) {
            const uint8_t *p = data + (size_t)number * entry_size;
            uint32_t n = left < file->page_size ? left : file->page_size;
            igs_page page = {get16(p), get16(p + 2), get16(p + 4), get16(p + 6), get32(p + 8),
                             file->profile == 2 ? get32(p + 12) : head_size + n * record_size, n, g,
                             file->data_offset + offset};
            check(page.tx_first <= page.tx_last && page.ty_first <= page.ty_last &&
                      page.tx_last <= (file->width - 1) / TILE && page.ty_last <= (file->height - 1) / TILE,
                  "CorruptField", "a page's box leaves the grid");
            check(page.n_bytes != 0, "CorruptField", "a page has no bytes");
            check(n <= 8 * (uint64_t)page.n_bytes, "CorruptField", "a page has more Gaussians than bits");
            offset += page.n_bytes;
            left -= n;
            file->page[number] = page;
        }
    check(offset == gaus->stored_size, "CorruptField", "the pages do not fill GAUS");
    free(data);
}

void igs_check_version(const uint8_t *header) {
    check(header[12] == 1 && !header[13], "UnsupportedVersion", "the version is not 1.0");
}

void igs_share(igs_file *file, const igs_file *outer) {
    file->n_channels = outer->n_channels;
    file->n_groups = outer->n_groups;
    memcpy(file->group, outer->group, sizeof file->group);
    memcpy(file->background, outer->background, sizeof file->background);
}

/* Header, table of contents and CHAN of a file, or of a coarser set in it. */
static void open_set(igs_file *file, const igs_file *outer) {
    static const uint8_t signature[12] = "\xABIGS 10\xBB\r\n\x1A\n";
    uint8_t header[64] = {0}, *data;
    size_t size, n_read = file->stored_size < 64 ? (size_t)file->stored_size : 64;
    memcpy(header, data = igs_load(file, 0, n_read), n_read);
    free(data);
    check(!memcmp(header, signature, n_read < 12 ? n_read : 12), "BadMagic", "not an IGS file");
    if (n_read > 14 && header[14] == 3) {
        igs_open_small(file, outer);
        return;
    }
    check(n_read == 64, "TruncatedStream", "the header is cut");
    igs_check_version(header);
    check_count(header[39], 1, 64, "chunk_count");
    check(file->stored_size >= 64 + 28u * header[39], "TruncatedStream", "the table of contents is cut");
    uint8_t *toc = igs_load(file, 64, 28u * header[39]); /* stays: chunks point into it */
    check(igs_crc32c(igs_crc32c(0, header, 60), toc, 28u * header[39]) == get32(header + 60), "ChecksumMismatch", "header_crc");

    file->profile = header[14];
    file->lod_count = header[15];
    file->file_size = get64(header + 16);
    file->width = get32(header + 24);
    file->height = get32(header + 28);
    file->n_gaussians = get32(header + 32);
    file->n_channels = get16(header + 36);
    file->top_k = header[38];
    file->support_q = get_f32(header + 40);
    file->page_size = get16(header + 44);
    file->data_offset = get64(header + 48);
    check(file->profile <= 2, "UnsupportedChunk", "the profile is not known");
    check_count(file->lod_count, 1, MAX_LODS, "lod_count");
    check_count(file->width, 1, 1 << 20, "width");
    check_count(file->height, 1, 1 << 20, "height");
    check_count(file->n_gaussians, 0, 1 << 26, "n_gaussians");
    check_count(file->n_channels, 1, MAX_CHANNELS, "n_channels");
    check_count(file->top_k, 1, MAX_TOP_K, "top_k");
    check(file->support_q >= 1 && file->support_q <= 64, "CorruptField", "support_q");
    check_count(file->page_size, 1, 4096, "page_size");
    check(!get16(header + 46) && !get32(header + 56), "CorruptField", "a reserved field is not 0");
    read_contents(file, toc, header[39], outer);
    check(file->stored_size <= file->file_size, "CorruptField", "bytes follow the end of the file");
    check(file->stored_size >= (file->n_coarser ? file->coarser[0].offset : file->data_offset), "TruncatedStream",
          "the file is cut before its Gaussians");
    if (outer) return;
    data = load_chunk(file, &file->known[CHAN], 34049, 0, &size);
    igs_read_channels(file, data, size);
    free(data);
}

/* LODS, QUAN and PAGI. */
static void read_tables(igs_file *file) {
    if (file->has_tables) return;
    check(file->stored_size >= file->data_offset, "TruncatedStream", "the file is cut before its Gaussians");
    uint64_t L = file->lod_count, T = 0;
    size_t size;
    uint8_t *data = load_chunk(file, &file->known[LODS], 4 * L + 2 * L * (L + 1), 1, &size);
    read_lods(file, data);
    free(data);
    if (file->profile) {
        uint64_t C = file->n_channels;
        for (uint32_t g = 0; g < file->n_groups; g++) T += (uint64_t)(file->group[g].n_channels * file->group[g].n_channels);
        T = 16 + L + 4 * C + 2 * T;
        data = load_chunk(file, &file->known[QUAN], T + (file->profile == 1 ? 11 + 5 * C : 358 * (3 + C)), file->profile == 1, &size);
        igs_read_quantiser(file, data, size);
        free(data);
    }
    read_pages(file, &file->known[PAGI], &file->known[GAUS]);
    file->has_tables = 1;
}

void igs_open(igs_file *file, const char *path) {
    if (!(file->stream = fopen(path, "rb")) || fseek(file->stream, 0, SEEK_END)) igs_fail("file", "%s cannot be opened", path);
    file->stored_size = (uint64_t)ftell(file->stream);
    open_set(file, NULL);
    if (!file->n_coarser) read_tables(file);
}

/* ---- film grain, which is read where it is asked for ---- */

void igs_read_grain(igs_file *file) {
    const igs_chunk *c = &file->known[GRAN];
    size_t size;
    if (!c->entry || c->offset + c->stored_size > file->stored_size) return;
    uint8_t *data = load_chunk(file, c, 1 + 11 * (uint64_t)file->n_groups, 0, &size);
    check(size && data[0] && size == 1 + 11 * (size_t)data[0], "CorruptField", "GRAN has other entries than it says");
    for (const uint8_t *p = data + 1; p < data + size; p += 11) {
        check(p[0] < 64 && p[1] <= 16, "CorruptField", "a field of GRAN is outside its range");
        check(p == data + 1 || p[0] > p[-11], "CorruptField", "the groups of GRAN do not ascend");
        check(p[0] < file->n_groups, "CorruptField", "GRAN has a group that is not there");
        igs_group *g = &file->group[p[0]];
        check((g->role <= 1 || g->role == 9) && !g->sample_type && (g->n_colours == 1 || g->n_colours == 3), "CorruptField",
              "GRAN has a group that is no integer gray or RGB");
        memcpy(g->grain, p, 11);
        g->has_grain = 1;
    }
    free(data);
}

/* ---- Gaussians ---- */

static igs_set read_set(igs_file *file, uint32_t lod, uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1) {
    igs_set set = {0, NULL, NULL};
    uint32_t m = file->lod_count - 1 - lod;
    size_t first = 0;
    for (int pass = 0; pass < 3; pass++) { /* count, compare the CRCs, decode */
        for (uint32_t i = 0; i < file->n_pages; i++) {
            const igs_page *page = &file->page[i];
            if (page->generation > m) continue;
            check(page->offset + page->n_bytes <= file->stored_size, "TruncatedStream", "the file is cut inside this LOD");
            if (page->tx_first > x1 || page->tx_last < x0 || page->ty_first > y1 || page->ty_last < y0) continue;
            if (pass == 0) {
                set.n += page->n_gaussians;
                continue;
            }
            uint8_t *data = igs_load(file, page->offset, page->n_bytes);
            if (pass == 1) check(igs_crc32c(0, data, page->n_bytes) == page->crc, "ChecksumMismatch", "a page is damaged");
            else igs_decode_page(file, page, data, &set, first);
            free(data);
            if (pass == 1) continue;
            for (size_t end = first + page->n_gaussians; first < end; first++) {
                set.gaussian[first].s0 *= file->gain[m][page->generation];
                set.gaussian[first].s1 *= file->gain[m][page->generation];
            }
        }
        if (pass == 0) {
            set.gaussian = igs_alloc(set.n, sizeof *set.gaussian);
            set.features = igs_alloc(set.n * file->n_channels, sizeof *set.features);
        }
    }
    return set;
}

/* The same of a coarser set, whose pixels are `side` px wide: section 6.2. */
static igs_set read_coarser(const igs_file *file, const igs_chunk *c, uint32_t lod, uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1) {
    igs_file *own = igs_alloc(1, sizeof *own);
    uint32_t scale_log2 = c->entry[7], side = 1u << scale_log2;
    own->stream = file->stream;
    own->base = c->offset;
    own->stored_size = file->stored_size < c->offset ? 0 : file->stored_size - c->offset;
    if (own->stored_size > c->stored_size) own->stored_size = c->stored_size;
    open_set(own, file);
    check(own->file_size == c->stored_size, "CorruptField", "the size of a coarser set");
    check(own->profile == file->profile || own->profile == 3, "CorruptField", "the profile of a coarser set");
    check(own->lod_count == c->entry[6] && own->n_channels == file->n_channels && own->top_k == file->top_k &&
              own->support_q == file->support_q && own->width == (file->width - 1) / side + 1 &&
              own->height == (file->height - 1) / side + 1,
          "CorruptField", "a coarser set does not agree with the file");
    igs_share(own, file);
    read_tables(own);
    igs_set set = read_set(own, lod, x0 >> scale_log2, y0 >> scale_log2, x1 >> scale_log2, y1 >> scale_log2);
    for (size_t i = 0; i < set.n; i++) {
        set.gaussian[i].x *= side;
        set.gaussian[i].y *= side;
        set.gaussian[i].s0 /= side;
        set.gaussian[i].s1 /= side;
    }
    free(own);
    return set;
}

igs_set igs_read(igs_file *file, uint32_t lod, uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1) {
    if (lod < file->lod_count) {
        read_tables(file);
        return read_set(file, lod, x0, y0, x1, y1);
    }
    lod -= file->lod_count;
    uint32_t k = file->n_coarser - 1; /* the finest of them */
    for (; lod >= file->coarser[k].entry[6]; k--) lod -= file->coarser[k].entry[6];
    return read_coarser(file, &file->coarser[k], lod, x0, y0, x1, y1);
}
