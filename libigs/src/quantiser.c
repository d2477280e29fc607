/* Section 6.6: the chunk QUAN. */
#include "bits.h"

enum { LOW, TOKENS, FIRST, CHANGES, RUN, STEP, N_STREAMS };

/* Section 9.1: the weights of a table, each spread from 0 on. */
static igs_status read_table(igs_file *file, igs_table *table, igs_bits *bits, igs_numbers *s) {
    static const uint32_t quarters[4] = {16, 19, 23, 27};
    uint64_t S = 0, spread[MAX_TOKENS];
    uint32_t sum = 0, greatest;
    table->low = (int32_t)igs_number(bits, &s[LOW]);
    int64_t last = igs_magnitude(bits, &s[TOKENS]), weight = 1 + igs_magnitude(bits, &s[FIRST]);
    int64_t n_changes = igs_magnitude(bits, &s[CHANGES]), t = 0;
    CHECK_N(last < MAX_TOKENS, IGS_CORRUPT_FIELD, "QUAN has a table of # tokens", last + 1);
    CHECK_N(n_changes <= last, IGS_CORRUPT_FIELD, "QUAN has a table with # changes, too many for its tokens", n_changes);
    for (int64_t change = 0; change <= n_changes; change++) {
        int64_t end = change < n_changes ? t + 1 + igs_magnitude(bits, &s[RUN]) : last + 1;
        CHECK(!bits->bad, IGS_CORRUPT_FIELD, "QUAN has a table with a value that is too large");
        CHECK(end <= last + (change == n_changes), IGS_CORRUPT_FIELD, "QUAN has a change after a last token");
        CHECK_N(weight >= 1 && weight <= 64, IGS_CORRUPT_FIELD, "QUAN has a weight of #", weight);
        for (; t < end; t++) S += spread[t] = (uint64_t)quarters[(weight - 1) % 4] << ((weight - 1) / 4);
        if (change < n_changes) weight += igs_number(bits, &s[STEP]);
    }
    uint32_t n = (uint32_t)last + 1;
    for (uint32_t k = 0; k < n; k++) {
        table->count[k] = (uint16_t)(4096 * spread[k] / S);
        if (!table->count[k]) table->count[k] = 1;
        sum += table->count[k];
    }
    for (;;) {
        greatest = 0;
        for (uint32_t k = 1; k < n; k++)
            if (table->count[k] > table->count[greatest]) greatest = k;
        if (sum <= 4096) break;
        table->count[greatest]--;
        sum--;
    }
    table->count[greatest] = (uint16_t)(table->count[greatest] + 4096 - sum);
    for (uint32_t k = 0, slot = 0; k < n; k++) {
        table->start[k] = (uint16_t)slot;
        for (uint32_t i = 0; i < table->count[k]; i++) table->token_of[slot++] = (uint16_t)k;
    }
    return IGS_OK;
}

igs_status igs_read_quantiser(igs_file *file, igs_set *set, const uint8_t *data, size_t size) {
    igs_quantiser *quan;
    TAKE(quan, &set->ring, 1);
    uint32_t L = set->lod_count, C = file->n_channels, T = 0;
    for (uint32_t g = 0; g < file->n_groups; g++) T += file->group[g].n_channels * file->group[g].n_channels;
    size_t at = 16 + L + 4 * C + 2 * T;
    CHECK(size >= at, IGS_CORRUPT_FIELD, "QUAN ends early");
    quan->scale_step = data[0];
    quan->feature_slope = data[1];
    quan->position_offset = (int32_t)get16(data + 2) - (data[3] & 0x80 ? 65536 : 0);
    CHECK_N(data[0] >= 1 && data[0] <= 64, IGS_CORRUPT_FIELD, "QUAN has a scale_step of #", data[0]);
    CHECK_N(data[1] <= 64, IGS_CORRUPT_FIELD, "QUAN has a feature_slope of #", data[1]);
    for (uint32_t i = 0; i < 12; i++) {
        quan->rotation_from[i] = data[4 + i];
        CHECK(!i || data[4 + i] >= data[3 + i], IGS_CORRUPT_FIELD, "QUAN has a rotation_from that falls");
    }
    for (uint32_t i = 0; i < L; i++) {
        quan->cell_log2[i] = data[16 + i];
        CHECK_N(data[16 + i] <= 20, IGS_CORRUPT_FIELD, "QUAN has a cell_log2 of #", data[16 + i]);
    }
    for (uint32_t c = 0; c < C; c++) {
        quan->feature_step[c] = igs_f32(data + 16 + L + 4 * c);
        CHECK(quan->feature_step[c] > 0 && is_finite(quan->feature_step[c]), IGS_CORRUPT_FIELD,
              "QUAN has a feature_step that is not positive");
    }
    TAKE(quan->transform, &set->ring, T);
    for (uint32_t i = 0; i < T; i++) {
        quan->transform[i] = igs_f16(data + 16 + L + 4 * C + 2 * i);
        CHECK(is_finite(quan->transform[i]), IGS_CORRUPT_FIELD, "QUAN has a transform that is not finite");
    }
    if (set->profile == 1) {
        TRY(igs_read_widths(file, set, quan, data + at, size - at));
        at = size;
    } else {
        uint32_t side = set->width > set->height ? set->width : set->height;
        for (uint32_t i = 0; i < L; i++)
            CHECK_N((side - 1) >> quan->cell_log2[i] < 1u << 15, IGS_LIMIT_EXCEEDED, "QUAN has cells of 2^# px",
                    quan->cell_log2[i]);
        igs_bits bits;
        igs_numbers *streams;
        TAKE(quan->table, &set->ring, 3 + C);
        TAKE(streams, &file->scratch, N_STREAMS);
        igs_begin_bits(&bits, data + at, size - at, streams, N_STREAMS);
        for (uint32_t i = 0; i < 3 + C; i++) TRY(read_table(file, &quan->table[i], &bits, streams));
        CHECK(!bits.bad, IGS_CORRUPT_FIELD, "QUAN has a table with a value that is too large");
        CHECK(bits.at >= size - at, IGS_CORRUPT_FIELD, "QUAN has bytes after its last token table");
        igs_free(file, &file->scratch, streams);
        at = size;
    }
    CHECK_N(at == size, IGS_CORRUPT_FIELD, "QUAN has # bytes too many", size - at);
    set->quantiser = quan;
    return IGS_OK;
}
