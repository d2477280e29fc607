/* Section 5.1. */
#include "internal.h"

/* Controls and characters that do not show: the table of section 5.2. */
static int is_hidden(uint32_t code) {
    static const uint32_t ranges[][2] = {
        {0x0, 0x1F},        {0x7F, 0x9F},       {0xAD, 0xAD},       {0x61C, 0x61C},     {0x115F, 0x1160}, {0x17B4, 0x17B5},
        {0x180E, 0x180E},   {0x200B, 0x200F},   {0x2028, 0x202E},   {0x2060, 0x206F},   {0x3164, 0x3164}, {0xFEFF, 0xFEFF},
        {0xFFA0, 0xFFA0},   {0xFFF0, 0xFFFB},   {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1]) return 1;
    return 0;
}

/* One text with its length before it, which is kept; `*at` moves to the next field. */
static igs_status read_text(igs_file *file, const uint8_t *data, size_t size, size_t *at, int is_name, const char **kept) {
    CHECK(*at < size && size - *at > data[*at], IGS_CORRUPT_FIELD, "CHAN ends early");
    size_t n = data[*at];
    const uint8_t *text = data + *at + 1;
    CHECK(n || !is_name, IGS_CORRUPT_FIELD, "a name is empty");
    CHECK(!((n == 1 || (n == 2 && text[1] == '.')) && text[0] == '.'), IGS_CORRUPT_FIELD, "a name is . or ..");
    for (size_t i = 0; i < n;) {
        uint32_t lead = text[i], more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        uint32_t code = more ? lead & (0x3Fu >> more) : lead;
        static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
        CHECK((lead < 0x80 || lead >= 0xC0) && lead < 0xF8 && i + more < n, IGS_CORRUPT_FIELD, "a text is not UTF-8");
        for (uint32_t k = 1; k <= more; k++) {
            CHECK(text[i + k] >> 6 == 2, IGS_CORRUPT_FIELD, "a text is not UTF-8");
            code = code << 6 | (text[i + k] & 0x3F);
        }
        CHECK(code >= least[more] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF), IGS_CORRUPT_FIELD,
              "a text is not UTF-8");
        CHECK(!is_hidden(code), IGS_CORRUPT_FIELD, "a name has a control or invisible character");
        CHECK(code != '/' && code != '\\', IGS_CORRUPT_FIELD, "a name is no bare file name");
        i += more + 1;
    }
    char *copy;
    TAKE(copy, &file->ring, n + 1);
    memcpy(copy, text, n);
    *kept = copy;
    *at += 1 + n;
    return IGS_OK;
}

igs_status igs_read_channels(igs_file *file, const uint8_t *data, size_t size) {
    size_t at = 1;
    uint32_t channels = 0, n_groups = size ? data[0] : 0;
    int coverable = 0; /* the group before may have its alpha in the next one */
    CHECK(n_groups, IGS_CORRUPT_FIELD, "CHAN has no groups");
    CHECK_N(n_groups <= MAX_CHANNELS, IGS_LIMIT_EXCEEDED, "CHAN has # groups", n_groups);
    for (uint32_t k = 0; k < n_groups; k++) {
        CHECK(size - at >= 16, IGS_CORRUPT_FIELD, "CHAN ends early");
        const uint8_t *p = data + at;
        igs_group *g = &file->group[k];
        g->first = channels;
        g->n_channels = p[0];
        g->role = p[1];
        g->bit_depth = p[2];
        g->sample_type = p[3];
        g->transfer = p[4];
        g->alpha = p[5];
        g->normal = p[6];
        g->knee = p[7];
        g->value_min = igs_f32(p + 8);
        g->value_max = igs_f32(p + 12);
        CHECK(p[0] >= 1 && p[0] <= 64 && p[1] <= 10 && p[2] >= 1 && p[2] <= 32 && p[3] <= 1 && p[4] <= 3 && p[5] <= 2 &&
                  p[6] <= 2 && p[7] <= 127,
              IGS_CORRUPT_FIELD, "a field of a channel group is outside its range");
        CHECK(g->sample_type ? g->bit_depth == 16 || g->bit_depth == 32 : g->bit_depth <= 16, IGS_CORRUPT_FIELD,
              "a bit_depth does not fit its sample_type");
        CHECK(!p[5] || g->n_channels >= 2 || (p[1] == 7 && coverable), IGS_CORRUPT_FIELD, "an alpha is alone");
        coverable = (p[1] <= 1 || p[1] == 9) && (g->n_channels == 1 || g->n_channels == 3) && !p[5];
        CHECK(g->transfer == 3 ? g->sample_type == 1 : !g->knee, IGS_CORRUPT_FIELD, "transfer asinh or knee");
        CHECK(is_finite(g->value_min) && is_finite(g->value_max) && g->value_min < g->value_max, IGS_CORRUPT_FIELD,
              "value_min and value_max are no range");
        at += 16;
        channels += p[0];
        CHECK(file->n_channels || channels <= MAX_CHANNELS, IGS_LIMIT_EXCEEDED, "CHAN has too many channels");
        CHECK((!file->n_channels || channels <= file->n_channels) && size - at >= 4u * p[0], IGS_CORRUPT_FIELD,
              "CHAN has other channels");
        for (uint32_t c = 0; c < g->n_channels; c++, at += 4) {
            file->background[g->first + c] = g->background[c] = igs_f32(data + at);
            CHECK(is_finite(g->background[c]), IGS_CORRUPT_FIELD, "the background is not finite");
        }
        const uint8_t *name = data + at;
        TRY(read_text(file, data, size, &at, 1, &g->name));
        for (uint32_t other = 0; other < k; other++)
            CHECK(strlen(file->group[other].name) != name[0] || memcmp(file->group[other].name, name + 1, name[0]),
                  IGS_CORRUPT_FIELD, "two groups have the same name");
        TRY(read_text(file, data, size, &at, 0, &g->source));
    }
    if (!file->n_channels) file->n_channels = channels; /* of a small file */
    CHECK(channels == file->n_channels && at == size, IGS_CORRUPT_FIELD, "CHAN has other channels, or bytes too many");
    file->n_groups = n_groups;
    return IGS_OK;
}
