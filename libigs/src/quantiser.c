/* Section 6.6: the chunk QUAN. */
#include "internal.h"

static igs_status make_counts(igs_file *file, igs_table *table, const uint8_t *deltas, uint32_t n) {
    static const uint32_t steps[4] = {16, 19, 23, 27};
    uint64_t S = 0, s[MAX_TOKENS];
    uint32_t sum = 0, greatest;
    uint8_t weight = 0;
    for (uint32_t t = 0; t < n; t++) {
        weight = (uint8_t)(weight + deltas[t]);
        CHECK_N(weight <= 64, IGS_CORRUPT_FIELD, "QUAN has a weight of #", weight);
        s[t] = weight ? (uint64_t)steps[(weight - 1) % 4] << ((weight - 1) / 4) : 0;
        S += s[t];
    }
    CHECK(S, IGS_CORRUPT_FIELD, "QUAN has a table without weights");
    for (uint32_t t = 0; t < n; t++) {
        table->count[t] = (uint16_t)(4096 * s[t] / S);
        if (s[t] && !table->count[t]) table->count[t] = 1;
        sum += table->count[t];
    }
    for (;;) {
        greatest = 0;
        for (uint32_t t = 1; t < n; t++)
            if (table->count[t] > table->count[greatest]) greatest = t;
        if (sum <= 4096) break;
        table->count[greatest]--;
        sum--;
    }
    table->count[greatest] = (uint16_t)(table->count[greatest] + 4096 - sum);
    for (uint32_t t = 0, slot = 0; t < n; t++) {
        table->start[t] = (uint16_t)slot;
        for (uint32_t i = 0; i < table->count[t]; i++) table->token_of[slot++] = (uint16_t)t;
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
        TAKE(quan->table, &set->ring, 3 + C);
        for (uint32_t i = 0; i < 3 + C; i++) {
            CHECK(size - at >= 6, IGS_CORRUPT_FIELD, "QUAN ends early");
            uint32_t n = get16(data + at + 4);
            quan->table[i].low = (int32_t)get32(data + at);
            CHECK_N(n >= 1 && n <= MAX_TOKENS, IGS_CORRUPT_FIELD, "QUAN has a table of # tokens", n);
            at += 6;
            CHECK(size - at >= n, IGS_CORRUPT_FIELD, "QUAN ends early");
            TRY(make_counts(file, &quan->table[i], data + at, n));
            at += n;
        }
    }
    CHECK_N(at == size, IGS_CORRUPT_FIELD, "QUAN has # bytes too many", size - at);
    set->quantiser = quan;
    return IGS_OK;
}
