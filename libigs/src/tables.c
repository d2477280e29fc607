/* LODS, PAGI and PAGT of a set: sections 6.1, 6.3 and 6.4. */
#include "internal.h"

/* Without LODS there is one level, which shows all Gaussians as they are. */
static igs_status read_lods(igs_file *file, igs_set *set) {
    uint64_t L = set->lod_count;
    uint8_t *data;
    size_t size;
    if (!set->known[LODS].present) {
        set->counts[0] = set->n_gaussians;
        set->gain[0][0] = 1;
        return IGS_OK;
    }
    TRY(igs_load_chunk(file, set, &set->known[LODS], 4 * L + 2 * L * (L + 1), 1, &data, &size));
    for (uint32_t m = 0; m < set->lod_count; m++) {
        set->counts[m] = get32(data);
        CHECK(!m || set->counts[m] >= set->counts[m - 1], IGS_CORRUPT_FIELD, "LOD counts fall");
        data += 4;
        for (uint32_t g = 0; g <= m; g++, data += 4) {
            set->gain[m][g] = igs_f32(data);
            CHECK(set->gain[m][g] >= 1.0 / 64 && set->gain[m][g] <= 64, IGS_CORRUPT_FIELD, "a gain is outside its range");
        }
    }
    CHECK(set->counts[set->lod_count - 1] == set->n_gaussians, IGS_CORRUPT_FIELD, "LOD counts do not end at n_gaussians");
    CHECK(L > 1 || set->gain[0][0] != 1, IGS_CORRUPT_FIELD, "LODS has one level with a gain of 1, which must be left out");
    return IGS_OK;
}

/* ---- pages ---- */

static uint32_t entry_size(const igs_set *set) { return set->profile == 2 ? 16 : 12; }

/* Bytes of a page of n records, where entries do not have them. */
static uint32_t page_bytes(const igs_set *set, uint32_t n) {
    return set->profile == 1 ? 16 + 3 * set->n_channels + n * set->quantiser->record_size : n * (10 + 2 * set->n_channels);
}

/* An entry of PAGI or PAGT, in which n_gaussians, generation and, unless it is stored, n_bytes are set. */
static igs_status read_entry(igs_file *file, const igs_set *set, const uint8_t *p, igs_entry *e) {
    e->tx_first = get16(p);
    e->ty_first = get16(p + 2);
    e->tx_last = get16(p + 4);
    e->ty_last = get16(p + 6);
    e->crc = get32(p + 8);
    if (set->profile == 2) e->n_bytes = get32(p + 12);
    CHECK(e->tx_first <= e->tx_last && e->ty_first <= e->ty_last && e->tx_last <= (set->width - 1) / TILE &&
              e->ty_last <= (set->height - 1) / TILE,
          IGS_CORRUPT_FIELD, "a page's box leaves the grid");
    CHECK(e->n_bytes, IGS_CORRUPT_FIELD, "a page has no bytes");
    CHECK(e->n_gaussians <= 8 * (uint64_t)e->n_bytes, IGS_CORRUPT_FIELD, "a page has more Gaussians than bits");
    return IGS_OK;
}

/* Number of pages, at first all without entries, but with what follows from the counts. */
static igs_status make_pages(igs_file *file, igs_set *set) {
    uint64_t n_pages = 0;
    uint32_t before = 0, number = 0;
    for (uint32_t g = 0; g < set->lod_count; before = set->counts[g++])
        n_pages += ((uint64_t)set->counts[g] - before + set->page_size - 1) / set->page_size;
    CHECK_N(n_pages <= 1u << 20, IGS_LIMIT_EXCEEDED, "there are # pages", n_pages);
    CHECK(set->known[PAGI].raw_size == entry_size(set) * n_pages, IGS_CORRUPT_FIELD, "PAGI has the wrong size");
    set->n_pages = (uint32_t)n_pages;
    TAKE(set->page, &set->ring, n_pages);
    before = 0;
    for (uint32_t g = 0; g < set->lod_count; before = set->counts[g++])
        for (uint32_t left = set->counts[g] - before; left; number++) {
            igs_entry *e = &set->page[number];
            e->n_gaussians = left < set->page_size ? left : set->page_size;
            e->generation = g;
            if (set->profile != 2) e->n_bytes = page_bytes(set, e->n_gaussians);
            left -= e->n_gaussians;
        }
    return IGS_OK;
}

/* Entries of pages from `first` on, whose bytes begin at `offset`; how many bytes they have. */
static igs_status read_pages(igs_file *file, igs_set *set, const uint8_t *data, uint32_t first, uint32_t n, uint64_t offset,
                             uint64_t *n_bytes) {
    *n_bytes = 0;
    for (uint32_t i = first; i < first + n; i++, data += entry_size(set)) {
        TRY(read_entry(file, set, data, &set->page[i]));
        set->page[i].offset = offset + *n_bytes;
        *n_bytes += set->page[i].n_bytes;
    }
    return IGS_OK;
}

/* ---- page tree ---- */

static igs_status read_tree(igs_file *file, igs_set *set) {
    const igs_chunk *tree = &set->known[PAGT], *gaus = &set->known[GAUS];
    CHECK(!set->known[PAGI].codec, IGS_CORRUPT_FIELD, "PAGI is compressed beside PAGT");
    CHECK(tree->offset < gaus->offset, IGS_CORRUPT_FIELD, "PAGT follows GAUS");
    uint64_t cap = 4 + entry_size(set) * (uint64_t)set->n_pages, offset = set->data_offset;
    uint8_t *data;
    size_t size;
    TRY(igs_load_chunk(file, set, tree, cap, 0, &data, &size));
    CHECK(size >= 4, IGS_CORRUPT_FIELD, "PAGT ends early");
    uint32_t block_size = get16(data), n_blocks = 0;
    CHECK(block_size, IGS_CORRUPT_FIELD, "block_size is 0");
    CHECK_N(block_size <= 4096, IGS_CORRUPT_FIELD, "block_size is #", block_size);
    CHECK(!get16(data + 2), IGS_CORRUPT_FIELD, "a reserved field is not 0");
    TAKE(set->block, &set->ring, set->n_pages);
    for (uint32_t i = 0; i < set->n_pages; i++) {
        igs_entry *b = &set->block[n_blocks - (n_blocks > 0)];
        if (!n_blocks || b->generation != set->page[i].generation || b->n_pages == block_size) {
            b = &set->block[n_blocks++];
            b->first_page = i;
            b->generation = set->page[i].generation;
        }
        b->n_pages++;
        b->n_gaussians += set->page[i].n_gaussians;
        b->n_bytes += set->page[i].n_bytes; /* at most 4096 * 4096 records; 0 where entries have them */
    }
    CHECK(size == 4 + entry_size(set) * (uint64_t)n_blocks, IGS_CORRUPT_FIELD, "PAGT has the wrong size");
    for (uint32_t i = 0; i < n_blocks; i++) {
        TRY(read_entry(file, set, data + 4 + entry_size(set) * (size_t)i, &set->block[i]));
        set->block[i].offset = offset;
        offset += set->block[i].n_bytes;
    }
    CHECK(offset - set->data_offset == gaus->stored_size, IGS_CORRUPT_FIELD, "the blocks do not fill GAUS");
    set->n_blocks = n_blocks;
    return IGS_OK;
}

static igs_status read_block(igs_file *file, igs_set *set, igs_entry *b) {
    uint8_t *data;
    uint64_t n_bytes, size = entry_size(set) * (uint64_t)b->n_pages;
    TRY(igs_load(file, set, set->known[PAGI].offset + entry_size(set) * (uint64_t)b->first_page, size, &data));
    CHECK(igs_crc32c(file, 0, data, (size_t)size) == b->crc, IGS_CHECKSUM_MISMATCH, "a block of PAGI is damaged");
    TRY(read_pages(file, set, data, b->first_page, b->n_pages, b->offset, &n_bytes));
    CHECK(n_bytes == b->n_bytes, IGS_CORRUPT_FIELD, "the pages of a block do not have its bytes");
    b->n_pages = 0;
    igs_free(file, &file->scratch, data);
    return IGS_OK;
}

igs_status igs_need_entries(igs_file *file, igs_set *set, uint32_t row, igs_tiles tiles) {
    for (uint32_t i = 0; i < set->n_blocks; i++)
        if (set->block[i].n_pages && set->block[i].generation <= row && igs_meets(&set->block[i], tiles))
            TRY(read_block(file, set, &set->block[i]));
    return IGS_OK;
}

igs_status igs_need_entry(igs_file *file, igs_set *set, uint32_t page) {
    if (igs_is_known(set, &set->page[page])) return IGS_OK;
    uint32_t i = 0;
    while (page - set->block[i].first_page >= set->block[i].n_pages) i++; /* blocks that were read have none */
    return read_block(file, set, &set->block[i]);
}

/* ---- all of them ---- */

/* Asks for all tables at once, so that a source that waits for bytes waits once. */
static igs_status announce(igs_file *file, const igs_set *set, int with_tree) {
    uint64_t first = UINT64_MAX, end = 0;
    uint8_t *data;
    for (int k = LODS; k <= PAGI; k++) {
        const igs_chunk *c = &set->known[k];
        if (!c->present || k == (with_tree ? PAGI : PAGT) || c->offset > set->data_offset) continue;
        if (c->offset < first) first = c->offset;
        if (c->offset + c->stored_size > end) end = c->offset + c->stored_size;
    }
    if (file->memory || end - first > 1u << 20) return IGS_OK;
    TRY(igs_load(file, set, first, end - first, &data));
    igs_free(file, &file->scratch, data);
    return IGS_OK;
}

igs_status igs_read_tables(igs_file *file, igs_set *set) {
    if (set->has_tables) return IGS_OK;
    CHECK(set->there >= set->data_offset, IGS_TRUNCATED_STREAM, "the file is cut before its Gaussians");
    int with_tree = file->use_page_tree && set->known[PAGT].present;
    uint64_t L = set->lod_count, C = file->n_channels, T = 0, n_bytes;
    uint8_t *data;
    size_t size;
    TRY(announce(file, set, with_tree));
    igs_free_all(file, &set->ring); /* of an attempt before */
    set->quantiser = NULL;
    set->n_blocks = 0;
    TRY(read_lods(file, set));
    if (set->profile) {
        for (uint32_t g = 0; g < file->n_groups; g++) T += file->group[g].n_channels * file->group[g].n_channels;
        T = 16 + L + 4 * C + 2 * T;
        TRY(igs_load_chunk(file, set, &set->known[QUAN], T + (set->profile == 1 ? 11 + 5 * C : 24 * MAX_TOKENS * (3 + C)),
                           set->profile == 1, &data, &size));
        TRY(igs_read_quantiser(file, set, data, size));
    }
    TRY(make_pages(file, set));
    if (with_tree) {
        TRY(read_tree(file, set));
    } else {
        TRY(igs_load_chunk(file, set, &set->known[PAGI], set->known[PAGI].raw_size, 1, &data, &size));
        TRY(read_pages(file, set, data, 0, set->n_pages, set->data_offset, &n_bytes));
        CHECK(n_bytes == set->known[GAUS].stored_size, IGS_CORRUPT_FIELD, "the pages do not fill GAUS");
    }
    igs_free_all(file, &file->scratch);
    set->has_tables = 1;
    return IGS_OK;
}
