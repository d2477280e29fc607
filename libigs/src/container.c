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

static int is_critical(int k) { return k == CHAN || k == CSET || k == LODS || k == PAGI || k == QUAN || k == GAUS; }

static igs_status read_contents(igs_file *file, igs_set *set, const uint8_t *toc, uint32_t n) {
    static const char names[N_KNOWN][5] = {"CHAN", "FILE", "ICCP", "TAGS", "GRAN", "CSET", "LODS",
                                           "PAGT", "QUAN", "PAGI", "GAUS", "EXIF", "XMP_", "META"};
    uint64_t offset = 64 + 28 * (uint64_t)n;
    uint32_t n_levels = set->lod_count, n_coarser = 0;
    int twice = 0, too_long = 0, follows = 0, strange = 0, misplaced = 0, is_coarser = set != file->set;
    igs_chunk *known = set->known;
    for (uint32_t i = 0; i < n; i++, toc += 28) { /* each by itself */
        int k = 0;
        for (int c = 0; c < 4; c++) CHECK(toc[c] >= 0x20 && toc[c] <= 0x7E, IGS_CORRUPT_FIELD, "a fourcc is not text");
        while (k < N_KNOWN && memcmp(toc, names[k], 4)) k++;
        CHECK(toc[4] <= 1, IGS_CORRUPT_FIELD, "a reserved bit of the table of contents is set");
        CHECK(toc[6] <= MAX_LODS && toc[7] <= 20, IGS_CORRUPT_FIELD, "n_lods or scale_log2");
        CHECK(k == CSET ? toc[6] != 0 : !toc[6] && !toc[7], IGS_CORRUPT_FIELD, "n_lods or scale_log2");
        uint64_t stored = get64(toc + 8), raw = get64(toc + 16);
        if (k == N_KNOWN) {
            CHECK(!toc[4], IGS_UNSUPPORTED_CHUNK, "a critical chunk is not known");
        } else {
            CHECK(toc[4] == is_critical(k), IGS_CORRUPT_FIELD, "a chunk has the wrong critical bit");
            CHECK(toc[5] <= (k == GAUS || k == CSET ? 0 : 1), IGS_UNSUPPORTED_CHUNK, "a codec is not known");
            CHECK(toc[5] ? raw > stored : raw == stored, IGS_CORRUPT_FIELD, "a raw_size does not fit the codec");
            CHECK((k != GAUS && k != CSET) || !get32(toc + 24), IGS_CORRUPT_FIELD, "GAUS or CSET has a crc");
            twice |= known[k].present && k != CSET;
            follows |= is_critical(k) && known[GAUS].present;
            strange |= is_coarser && k != LODS && k != PAGT && k != QUAN && k != PAGI && k != GAUS;
            known[k] = (igs_chunk){1, toc[5], toc[6], toc[7], get32(toc + 24), offset, stored, raw};
            if (k == CSET) {
                misplaced |= !known[CHAN].present || known[LODS].present || known[PAGT].present || known[QUAN].present ||
                             known[PAGI].present;
                n_levels += toc[6];
                if (n_coarser < MAX_LODS && !is_coarser) file->coarser[n_coarser] = known[k];
                n_coarser += n_coarser < MAX_LODS;
            }
        }
        too_long |= stored > set->file_size || offset > set->file_size - stored;
        offset += stored;
    }
    CHECK(!twice, IGS_CORRUPT_FIELD, "a chunk is there twice");
    CHECK(!strange, IGS_CORRUPT_FIELD, "a chunk does not belong into a coarser set");
    CHECK((is_coarser || known[CHAN].present) && known[LODS].present && known[PAGI].present && known[GAUS].present,
          IGS_CORRUPT_FIELD, "a chunk is missing");
    CHECK(known[QUAN].present == (set->profile != 0), IGS_CORRUPT_FIELD, "QUAN and the profile do not agree");
    CHECK(!too_long && offset == set->file_size, IGS_CORRUPT_FIELD, "the chunks do not end with the file");
    CHECK(known[GAUS].offset == set->data_offset, IGS_CORRUPT_FIELD, "data_offset is not where GAUS begins");
    CHECK(!follows, IGS_CORRUPT_FIELD, "a critical chunk follows GAUS");
    uint64_t record = 10 + 2 * (uint64_t)set->n_channels;
    CHECK(set->profile || known[GAUS].stored_size == set->n_gaussians * record, IGS_CORRUPT_FIELD, "the size of GAUS");
    CHECK_N(n_levels <= MAX_LODS, IGS_LIMIT_EXCEEDED, "there are # levels of detail", n_levels);
    CHECK(!misplaced, IGS_CORRUPT_FIELD, "CSET stands before CHAN or behind a chunk of the finest set");
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
    uint8_t header[64] = {0}, *toc, *data;
    size_t size, n_read = set->there < 64 ? (size_t)set->there : 64;
    TRY(igs_read(file, set, 0, header, n_read));
    CHECK(!memcmp(header, "\xABIGS 10\xBB\r\n\x1A\n", n_read < 12 ? n_read : 12), IGS_BAD_MAGIC, "this is no IGS file");
    if (n_read > 14 && header[14] == SMALL) return igs_open_small(file, set);
    CHECK(n_read == 64, IGS_TRUNCATED_STREAM, "the header is cut");
    TRY(igs_check_version(file, header));
    CHECK_COUNT(header[39], 1, 64, "chunk_count");
    CHECK(set->there >= 64 + 28u * header[39], IGS_TRUNCATED_STREAM, "the table of contents is cut");
    TRY(igs_load(file, set, 64, 28u * header[39], &toc));
    CHECK(igs_crc32c(file, igs_crc32c(file, 0, header, 60), toc, 28u * header[39]) == get32(header + 60),
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
    set->data_offset = get64(header + 48);
    CHECK_N(set->profile < SMALL, IGS_UNSUPPORTED_CHUNK, "profile # is not known", set->profile);
    CHECK_COUNT(set->lod_count, 1, MAX_LODS, "lod_count");
    CHECK_COUNT(set->width, 1, 1 << 20, "width");
    CHECK_COUNT(set->height, 1, 1 << 20, "height");
    CHECK_N(set->n_gaussians <= 1 << 26, IGS_LIMIT_EXCEEDED, "n_gaussians is #", set->n_gaussians);
    CHECK_COUNT(set->n_channels, 1, MAX_CHANNELS, "n_channels");
    CHECK_COUNT(set->top_k, 1, MAX_TOP_K, "top_k");
    CHECK(set->support_q >= 1 && set->support_q <= 64, IGS_CORRUPT_FIELD, "support_q is outside 1..64");
    CHECK_COUNT(set->page_size, 1, 4096, "page_size");
    CHECK(!get16(header + 46) && !get32(header + 56), IGS_CORRUPT_FIELD, "a reserved field is not 0");
    TRY(read_contents(file, set, toc, header[39]));
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
