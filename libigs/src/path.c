/* Files on disk, through stdio. */
#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200112L /* fseeko */
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include <stdio.h>

#include "internal.h"

#ifdef _WIN32
#define seek(stream, offset, whence) _fseeki64(stream, (int64_t)(offset), whence)
#define tell _ftelli64
#else
#include <sys/types.h>
#define seek(stream, offset, whence) fseeko(stream, (off_t)(offset), whence)
#define tell ftello
#endif

static igs_status read_stream(void *user, uint64_t offset, void *to, size_t size) {
    FILE *stream = user;
    return seek(stream, offset, SEEK_SET) || fread(to, 1, size, stream) != size ? IGS_READ_FAILED : IGS_OK;
}

static void close_stream(void *user) { fclose((FILE *)user); }

igs_status igs_open_path(igs_file *file, const char *path) {
    FILE *stream = fopen(path, "rb");
    CHECK(stream, IGS_READ_FAILED, "the file cannot be opened");
    int64_t size = seek(stream, 0, SEEK_END) ? -1 : (int64_t)tell(stream);
    if (size < 0) fclose(stream);
    CHECK(size >= 0, IGS_READ_FAILED, "the file cannot be read");
    igs_source source = {(uint64_t)size, read_stream, close_stream, stream};
    return igs_open(file, &source);
}
