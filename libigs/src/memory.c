/* Allocations in rings, under the limit of the options; and errors. */
#include "internal.h"

enum { HEAD = (sizeof(igs_block) + 15) / 16 * 16 }; /* keeps what follows aligned */

void *igs_take(igs_file *file, igs_ring *ring, uint64_t n, size_t size) {
    uint64_t room = file->max_bytes - file->in_use; /* in_use never exceeds it */
    if (room < HEAD || n > (room - HEAD) / size) {
        igs_fault(file, IGS_LIMIT_EXCEEDED, "more than # bytes of memory would be needed", (int64_t)file->max_bytes);
        return NULL;
    }
    uint64_t bytes = HEAD + n * size;
    igs_block *b = bytes > SIZE_MAX ? NULL : file->allocator.allocate(file->allocator.user, (size_t)bytes);
    if (!b) {
        igs_fault(file, IGS_OUT_OF_MEMORY, "# bytes are not there", (int64_t)bytes);
        return NULL;
    }
    memset(b, 0, (size_t)bytes);
    b->size = (size_t)bytes;
    b->after = ring->first;
    if (b->after) b->after->before = b;
    ring->first = b;
    file->in_use += bytes;
    if (file->in_use > file->most_bytes) file->most_bytes = file->in_use;
    return (uint8_t *)b + HEAD;
}

void igs_free(igs_file *file, igs_ring *ring, void *memory) {
    if (!memory) return;
    igs_block *b = (igs_block *)(void *)((uint8_t *)memory - HEAD);
    if (b->before) b->before->after = b->after;
    else ring->first = b->after;
    if (b->after) b->after->before = b->before;
    file->in_use -= b->size;
    file->allocator.release(file->allocator.user, b, b->size);
}

void igs_free_all(igs_file *file, igs_ring *ring) {
    while (ring->first) igs_free(file, ring, (uint8_t *)ring->first + HEAD);
}

/* ---- errors ---- */

const char *igs_name(igs_status status) {
    static const char names[][20] = {"Ok",           "BadMagic",     "TruncatedStream", "UnsupportedVersion",
                                     "UnsupportedChunk", "ChecksumMismatch", "LimitExceeded", "CorruptField",
                                     "InvalidArgument", "OutOfMemory",  "ReadFailed"};
    if (status == IGS_NEED_BYTES) return "NeedBytes";
    return status <= 0 && status >= IGS_READ_FAILED ? names[-(int)status] : "Unknown";
}

static char *put_text(char *at, const char *end, const char *text) {
    while (*text && at < end) *at++ = *text++;
    return at;
}

static char *put_number(char *at, const char *end, int64_t number) {
    char digits[20];
    int n = 0;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do digits[n++] = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0 && at < end) *at++ = '-';
    while (n && at < end) *at++ = digits[--n];
    return at;
}

igs_status igs_fault(igs_file *file, igs_status status, const char *fact, int64_t number) {
    char *at = file->message, *end = file->message + sizeof file->message - 1;
    at = put_text(at, end, igs_name(status));
    at = put_text(at, end, ": ");
    for (; *fact && at < end; fact++) {
        if (*fact == '#') at = put_number(at, end, number);
        else *at++ = *fact;
    }
    *at = 0;
    file->status = status;
    return status;
}

const char *igs_message(const igs_file *file) { return file ? file->message : ""; }
