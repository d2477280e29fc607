/* Header and table of contents, in the order of section 13.2. */
#include "internal.h"

/* A field whose least value is `low`, and which is too large for this reader above `high`. */
#define CHECK_COUNT(value, low, high, what)                                \
    do {                                                                   \
        CHECK_N((value) >= (low), IGS_CORRUPT_FIELD, what " is #", value); \
        CHECK_N((value) <= (high), IGS_LIMIT_EXCEEDED, what " is #", value); \
    } while (0)

igs_status igs_check_version(igs_file *file, const uint8_t *header) {
    CHECK(header[12] == 1 && !header[13], IGS_UNSUPPORTED_VERSION, "the version is not 1.0");
    return IGS_OK;
}

enum { HEADER = 52 };

static int is_critical(int k) { return k == CHAN || k == CSET || k == LODS || k == PAGI || k == QUAN || k == GAUS; }

enum { CRITICAL = 1, OF_SET = 8, HAS_CRC = 16, IS_SMALL = 32 }; /* flags of an entry; bits 1 and 2 are the codec */

/* A varint, and what follows it; 0 where it is cut, too long or not as short as it can be. */
static int take_varint(const uint8_t **at, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 63 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return byte || !shift;
    }
    return 0;
}

/* The entry of a chunk of type k at `toc`, which then points behind it; `offset` is where the chunk begins. */
static igs_status read_entry(igs_file *file, int k, const uint8_t **toc, const uint8_t *end, uint64_t offset, igs_chunk *c) {
    uint32_t flags = (*toc)[4];
    CHECK(flags < 64, IGS_CORRUPT_FIELD, "a reserved bit of the table of contents is set");
    CHECK((k == CSET) == !!(flags & OF_SET), IGS_CORRUPT_FIELD, "the flag of sets does not fit the type of a chunk");
    CHECK((k != CSET && k != GAUS) == !!(flags & HAS_CRC), IGS_CORRUPT_FIELD,
          "the flag of a crc does not fit the type of a chunk");
    CHECK(k == CSET || !(flags & IS_SMALL), IGS_CORRUPT_FIELD, "a chunk is flagged as a small set");
    memset(c, 0, sizeof *c);
    c->present = 1;
    c->is_critical = flags & CRITICAL;
    c->is_small = !!(flags & IS_SMALL);
    c->codec = flags >> 1 & 3;
    c->offset = offset;
    *toc += 5;
    CHECK(take_varint(toc, end, &c->stored_size), IGS_CORRUPT_FIELD, "a stored_size");
    c->raw_size = c->stored_size;
    CHECK(!c->codec || take_varint(toc, end, &c->raw_size), IGS_CORRUPT_FIELD, "a raw_size");
    if (k == CSET) {
        CHECK(end - *toc >= 2, IGS_CORRUPT_FIELD, "the table of contents ends within an entry");
        c->n_lods = (*toc)[0];
        c->scale_log2 = (*toc)[1];
        *toc += 2;
        CHECK(c->n_lods && c->n_lods <= (c->is_small ? 1 : MAX_LODS) && c->scale_log2 <= 20, IGS_CORRUPT_FIELD,
              "n_lods or scale_log2");
    }
    if (flags & HAS_CRC) {
        CHECK(end - *toc >= 4, IGS_CORRUPT_FIELD, "the table of contents ends within an entry");
        c->crc = get32(*toc);
        *toc += 4;
    }
    return IGS_OK;
}

static igs_status read_contents(igs_file *file, igs_set *set, const uint8_t *toc, uint32_t toc_size, uint32_t n) {
    static const char names[N_KNOWN][5] = {"CHAN", "FILE", "ICCP", "TAGS", "GRAN", "CSET", "LODS",
                                           "PAGT", "QUAN", "PAGI", "GAUS", "EXIF", "XMP_", "META"};
    const uint8_t *end = toc + toc_size;
    uint64_t offset = HEADER + (uint64_t)toc_size;
    uint32_t n_levels = set->lod_count, n_coarser = 0;
    int twice = 0, too_long = 0, follows = 0, strange = 0, misplaced = 0, is_coarser = set != file->set;
    igs_chunk *known = set->known, c;
    for (uint32_t i = 0; i < n; i++) { /* each by itself */
        int k = 0;
        CHECK(end - toc >= 5, IGS_CORRUPT_FIELD, "the table of contents ends within an entry");
        for (int b = 0; b < 4; b++) CHECK(toc[b] >= 0x20 && toc[b] <= 0x7E, IGS_CORRUPT_FIELD, "a fourcc is not text");
        while (k < N_KNOWN && memcmp(toc, names[k], 4)) k++;
        TRY(read_entry(file, k, &toc, end, offset, &c));
        if (k == N_KNOWN) {
            CHECK(!c.is_critical, IGS_UNSUPPORTED_CHUNK, "a critical chunk is not known");
        } else {
            CHECK(c.is_critical == is_critical(k), IGS_CORRUPT_FIELD, "a chunk has the wrong critical bit");
            CHECK(c.codec <= (k == GAUS || k == CSET ? 0 : 1), IGS_UNSUPPORTED_CHUNK, "a codec is not known");
            CHECK(!c.codec || c.raw_size > c.stored_size, IGS_CORRUPT_FIELD, "a raw_size does not fit the codec");
            twice |= known[k].present && k != CSET;
            follows |= is_critical(k) && known[GAUS].present;
            strange |= is_coarser && k != LODS && k != PAGT && k != QUAN && k != PAGI && k != GAUS;
            known[k] = c;
            if (k == CSET) {
                misplaced |= !known[CHAN].present || known[LODS].present || known[PAGT].present || known[QUAN].present ||
                             known[PAGI].present;
                n_levels += c.n_lods;
                if (n_coarser < MAX_LODS && !is_coarser) file->coarser[n_coarser] = c;
                n_coarser += n_coarser < MAX_LODS;
            }
        }
        too_long |= c.stored_size > set->file_size || offset > set->file_size - c.stored_size;
        offset += c.stored_size;
    }
    CHECK(toc == end, IGS_CORRUPT_FIELD, "bytes follow the last entry of the table of contents");
    CHECK(!twice, IGS_CORRUPT_FIELD, "a chunk is there twice");
    CHECK(!strange, IGS_CORRUPT_FIELD, "a chunk does not belong into a coarser set");
    CHECK((is_coarser || known[CHAN].present) && (set->lod_count == 1 || known[LODS].present) && known[PAGI].present &&
              known[GAUS].present,
          IGS_CORRUPT_FIELD, "a chunk is missing");
    CHECK(known[QUAN].present == (set->profile != 0), IGS_CORRUPT_FIELD, "QUAN and the profile do not agree");
    CHECK(!too_long && offset == set->file_size, IGS_CORRUPT_FIELD, "the chunks do not end with the file");
    CHECK(!follows, IGS_CORRUPT_FIELD, "a critical chunk follows GAUS");
    uint64_t record = 10 + 2 * (uint64_t)set->n_channels;
    CHECK(set->profile || known[GAUS].stored_size == set->n_gaussians * record, IGS_CORRUPT_FIELD, "the size of GAUS");
    CHECK_N(n_levels <= MAX_LODS, IGS_LIMIT_EXCEEDED, "there are # levels of detail", n_levels);
    CHECK(!misplaced, IGS_CORRUPT_FIELD, "CSET stands before CHAN or behind a chunk of the finest set");
    set->data_offset = known[GAUS].offset;
    if (is_coarser) return IGS_OK;
    file->n_levels = n_levels;
    file->n_coarser = n_coarser;
    return IGS_OK;
}

igs_status igs_load_chunk(igs_file *file, const igs_set *set, const igs_chunk *c, uint64_t cap, int exact, uint8_t **data,
                          size_t *size) {
    CHECK(!exact || c->raw_size == cap, IGS_CORRUPT_FIELD, "a table has the wrong size");
    CHECK(c->raw_size <= cap, IGS_LIMIT_EXCEEDED, "a table is too long");
    uint8_t *stored;
    TRY(igs_load(file, set, c->offset, c->stored_size, &stored));
    CHECK(igs_crc32c(file, 0, stored, (size_t)c->stored_size) == c->crc, IGS_CHECKSUM_MISMATCH, "a chunk is damaged");
    *size = (size_t)c->raw_size;
    *data = stored;
    if (!c->codec) return IGS_OK;
    TAKE(*data, &file->scratch, c->raw_size);
    CHECK(igs_inflate(stored, (size_t)c->stored_size, *data, *size), IGS_CORRUPT_FIELD, "a chunk does not inflate");
    igs_free(file, &file->scratch, stored);
    return IGS_OK;
}

igs_status igs_open_set(igs_file *file, igs_set *set) {
    uint8_t header[HEADER] = {0}, *toc, *data;
    size_t size, n_read = set->there < HEADER ? (size_t)set->there : HEADER;
    TRY(igs_read(file, set, 0, header, n_read));
    CHECK(!memcmp(header, "\xABIGS 10\xBB\r\n\x1A\n", n_read < 12 ? n_read : 12), IGS_BAD_MAGIC, "this is no IGS file");
    if (n_read > 14 && header[14] == SMALL && set == file->set) return igs_open_small(file, set);
    CHECK(n_read == HEADER, IGS_TRUNCATED_STREAM, "the header is cut");
    TRY(igs_check_version(file, header));
    CHECK_COUNT(header[39], 1, 64, "chunk_count");
    uint32_t toc_size = get16(header + 46);
    CHECK(set->there >= HEADER + toc_size, IGS_TRUNCATED_STREAM, "the table of contents is cut");
    TRY(igs_load(file, set, HEADER, toc_size, &toc));
    CHECK(igs_crc32c(file, igs_crc32c(file, 0, header, HEADER - 4), toc, toc_size) == get32(header + HEADER - 4),
          IGS_CHECKSUM_MISMATCH, "header and table of contents do not match header_crc");

    set->profile = header[14];
    set->lod_count = header[15];
    set->file_size = get64(header + 16);
    set->width = get32(header + 24);
    set->height = get32(header + 28);
    set->n_gaussians = get32(header + 32);
    set->n_channels = get16(header + 36);
    set->top_k = header[38];
    set->support_q = igs_f32(header + 40);
    set->page_size = get16(header + 44);
    CHECK_N(set->profile < SMALL, IGS_UNSUPPORTED_CHUNK, "profile # is not known", set->profile);
    CHECK_COUNT(set->lod_count, 1, MAX_LODS, "lod_count");
    CHECK_COUNT(set->width, 1, 1 << 20, "width");
    CHECK_COUNT(set->height, 1, 1 << 20, "height");
    CHECK_N(set->n_gaussians <= 1 << 26, IGS_LIMIT_EXCEEDED, "n_gaussians is #", set->n_gaussians);
    CHECK_COUNT(set->n_channels, 1, MAX_CHANNELS, "n_channels");
    CHECK_COUNT(set->top_k, 1, MAX_TOP_K, "top_k");
    CHECK(set->support_q >= 1 && set->support_q <= 64, IGS_CORRUPT_FIELD, "support_q is outside 1..64");
    CHECK_COUNT(set->page_size, 1, 4096, "page_size");
    TRY(read_contents(file, set, toc, toc_size, header[39]));
    CHECK(set->there <= set->file_size, IGS_CORRUPT_FIELD, "bytes follow the end of the file");
    CHECK(set->there >= (file->n_coarser && set == file->set ? file->coarser[0].offset : set->data_offset),
          IGS_TRUNCATED_STREAM, "the file is cut before its Gaussians");
    if (set == file->set) {
        file->n_channels = set->n_channels;
        TRY(igs_load_chunk(file, set, &set->known[CHAN], 34049, 0, &data, &size));
        TRY(igs_read_channels(file, data, size));
    }
    set->is_open = 1;
    return IGS_OK;
}
