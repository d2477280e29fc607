/* igs_render FILE LOD X Y          the samples at a point, in px
 * igs_render FILE LOD X Y W H      the samples of the pixels of a region, a line each, row by row
 * igs_render -f FILE LOD ...       features in place of samples
 * igs_render -n FILE LOD ...       features with film grain
 * igs_render -g FILE LOD ...       the Gaussians that were read for it: x y s0 s1 theta features... */
#include "igs.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void igs_fail(const char *error, const char *fact, ...) {
    va_list values;
    va_start(values, fact);
    fprintf(stderr, "%s: ", error);
    vfprintf(stderr, fact, values);
    fputs("\n", stderr);
    va_end(values);
    exit(1);
}

static uint32_t tile_of(double v, uint32_t side) {
    uint32_t last = (side - 1) / TILE;
    return v / TILE >= last ? last : (uint32_t)(v / TILE);
}

static void show_gaussians(const igs_file *file, const igs_set *set) {
    for (size_t i = 0; i < set->n; i++) {
        const igs_gaussian *g = &set->gaussian[i];
        printf("%.17g %.17g %.17g %.17g %.17g", g->x, g->y, g->s0, g->s1, g->theta);
        for (uint32_t c = 0; c < file->n_channels; c++) printf(" %.9g", set->features[i * file->n_channels + c]);
        puts("");
    }
}

static void show_point(const igs_file *file, const igs_set *set, double x, double y, char mode) {
    double features[MAX_CHANNELS];
    igs_blend(file, set, x, y, features);
    if (mode == 'n') igs_add_grain(file, x, y, features);
    for (uint32_t g = 0; g < file->n_groups; g++)
        for (int c = 0; c < file->group[g].n_channels; c++) {
            double v = features[file->group[g].first + c];
            printf(g || c ? " %.17g" : "%.17g", mode ? v : igs_sample(&file->group[g], v));
        }
    puts("");
}

int main(int argc, char **argv) {
    static igs_file file;
    const char *mode = argc > 1 && argv[1][0] == '-' ? argv[1] : "";
    int at = *mode ? 2 : 1, region = argc - at == 6;
    if ((argc - at != 4 && !region) || (*mode && strcmp(mode, "-f") && strcmp(mode, "-n") && strcmp(mode, "-g")))
        igs_fail("usage", "igs_render [-f | -n | -g] FILE LOD X Y [W H]");
    long lod = strtol(argv[at + 1], NULL, 10);
    double x = strtod(argv[at + 2], NULL), y = strtod(argv[at + 3], NULL);
    double w = region ? strtod(argv[at + 4], NULL) : 0, h = region ? strtod(argv[at + 5], NULL) : 0;
    igs_open(&file, argv[at]);
    if (lod < 0 || lod >= (long)file.n_lods) igs_fail("usage", "there are LODs 0 to %u", file.n_lods - 1);
    if (!(x >= 0 && y >= 0 && w >= 0 && h >= 0 && x + w <= file.width && y + h <= file.height))
        igs_fail("usage", "the picture has %u x %u px", file.width, file.height);
    igs_set set = igs_read(&file, (uint32_t)lod, tile_of(x, file.width), tile_of(y, file.height),
                           tile_of(x + w, file.width), tile_of(y + h, file.height));
    if (!strcmp(mode, "-n")) igs_read_grain(&file);
    if (!strcmp(mode, "-g")) show_gaussians(&file, &set);
    else if (!region) show_point(&file, &set, x, y, *mode ? mode[1] : 0);
    else
        for (double r = 0; r < h; r++)
            for (double c = 0; c < w; c++) show_point(&file, &set, x + c + 0.5, y + r + 0.5, *mode ? mode[1] : 0);
    return 0;
}
