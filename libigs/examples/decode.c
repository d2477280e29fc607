/* decode FILE OUT.pam [WIDTH HEIGHT]: the finest level that a file has, also a cut one, as 8-bit samples in a PAM file. */
#include <igs.h>

#include <stdio.h>
#include <stdlib.h>

static int write_pam(const char *path, const unsigned char *pixels, const igs_info *info, uint32_t width, uint32_t height) {
    FILE *out = fopen(path, "wb");
    if (!out) return 1;
    const char *type = info->n_channels == 4 ? "RGB_ALPHA" : info->n_channels == 3 ? "RGB" : "GRAYSCALE";
    fprintf(out, "P7\nWIDTH %u\nHEIGHT %u\nDEPTH %u\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n", width, height, info->n_channels, type);
    size_t n = (size_t)width * height * info->n_channels;
    int bad = fwrite(pixels, 1, n, out) != n;
    return fclose(out) || bad;
}

static int decode(igs_file *file, const char *path, const char *out, uint32_t width, uint32_t height) {
    igs_info info;
    igs_request request = {0};
    if (igs_open_path(file, path) || igs_get_info(file, &info)) return 1;
    request.out_width = width ? width : info.width;
    request.out_height = height ? height : info.height;
    request.available = 1; /* of a cut file, the best that is there; of a whole one, the finest level */
    unsigned char *pixels = malloc((size_t)request.out_width * request.out_height * info.n_channels);
    int bad = !pixels || igs_render(file, &request, pixels) ||
              write_pam(out, pixels, &info, request.out_width, request.out_height);
    free(pixels);
    return bad;
}

int main(int argc, char **argv) {
    igs_file *file;
    if ((argc != 3 && argc != 5) || igs_create(NULL, &file)) {
        fputs("decode FILE OUT.pam [WIDTH HEIGHT]\n", stderr);
        return 2;
    }
    uint32_t width = argc == 5 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    uint32_t height = argc == 5 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    int bad = decode(file, argv[1], argv[2], width, height);
    if (bad) fprintf(stderr, "%s: %s\n", argv[1], *igs_message(file) ? igs_message(file) : "cannot be written");
    igs_close(file);
    return bad;
}
