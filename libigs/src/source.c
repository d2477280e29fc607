/* Where bytes come from, their checksums and numbers. */
#include "internal.h"

igs_status igs_read(igs_file *file, const igs_set *set, uint64_t offset, void *to, uint64_t size) {
    CHECK_N(offset <= set->there && size <= set->there - offset && size <= SIZE_MAX, IGS_TRUNCATED_STREAM,
            "the file cannot be read at byte #", offset);
    if (!size) return IGS_OK;
    if (file->memory) {
        memcpy(to, file->memory + set->base + offset, (size_t)size);
        return IGS_OK;
    }
    igs_status status = file->source.read(file->source.user, set->base + offset, to, (size_t)size);
    CHECK_N(status != IGS_NEED_BYTES, IGS_NEED_BYTES, "bytes from # on have not arrived", set->base + offset);
    CHECK_N(!status, IGS_READ_FAILED, "the source cannot be read at byte #", set->base + offset);
    return IGS_OK;
}

igs_status igs_load(igs_file *file, const igs_set *set, uint64_t offset, uint64_t size, uint8_t **data) {
    CHECK_N(offset <= set->there && size <= set->there - offset, IGS_TRUNCATED_STREAM,
            "the file cannot be read at byte #", offset);
    TAKE(*data, &file->scratch, size);
    return igs_read(file, set, offset, *data, size);
}

uint32_t igs_crc32c(const igs_file *file, uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ file->crc_table[(crc ^ data[i]) & 255];
    return ~crc;
}

double igs_f32(const uint8_t *p) {
    uint32_t word = get32(p);
    float value;
    memcpy(&value, &word, 4);
    return value;
}

double igs_f16(const uint8_t *p) {
    uint32_t word = get16(p), exponent = word >> 10 & 31, mantissa = word & 1023;
    double sign = word >> 15 ? -1 : 1;
    if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
    return sign * (exponent ? 1024 + mantissa : mantissa) * power_of_2((int)(exponent ? exponent : 1) - 25);
}
