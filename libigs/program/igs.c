/* igs FILE LOD X Y          the samples at a point, in px
 * igs FILE LOD X Y W H      the samples of the pixels of a region, a line each, row by row
 * igs -f FILE LOD ...       features in place of samples
 * igs -n FILE LOD ...       features with film grain
 * igs -g FILE LOD ...       the Gaussians that were read for it: x y s0 s1 theta features...
 * igs -i FILE               what the file holds
 *
 * A fault is one line, "ERROR: fact", and ends the process with code 1. */
#include <igs.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(const char *fact) {
    fprintf(stderr, "InvalidArgument: %s\n", fact);
    return 1;
}

static igs_status show_gaussians(igs_file *file, const igs_info *info, uint32_t lod, igs_tiles tiles) {
    igs_scene *scene;
    igs_status status = igs_scene_create(file, lod, &scene);
    if (status) return status;
    const igs_gaussian *g;
    const float *features;
    if (!(status = igs_scene_read(scene, tiles))) {
        size_t n = igs_scene_gaussians(scene, &g, &features);
        for (size_t i = 0; i < n; i++) {
            printf("%.17g %.17g %.17g %.17g %.17g", g[i].x, g[i].y, g[i].s0, g[i].s1, g[i].theta);
            for (uint32_t c = 0; c < info->n_channels; c++) printf(" %.9g", features[i * info->n_channels + c]);
            puts("");
        }
    }
    igs_scene_close(scene);
    return status;
}

/* Samples, or features where `mode` is not 0, a line each. */
static igs_status show_pixels(igs_file *file, const igs_info *info, const double *features, size_t n, char mode) {
    for (size_t i = 0; i < n; i++, features += info->n_channels) {
        for (uint32_t g = 0; g < info->n_groups; g++) {
            igs_group group;
            igs_status status = igs_get_group(file, g, &group);
            if (status) return status;
            for (uint32_t c = group.first; c < group.first + group.n_channels; c++)
                printf(c ? " %.17g" : "%.17g", mode ? features[c] : igs_to_sample(&group, features[c]));
        }
        puts("");
    }
    return IGS_OK;
}

static igs_status show_info(igs_file *file, const igs_info *info) {
    static const char *const profiles[] = {"f16", "packed", "coded", "small"};
    printf("%u x %u px, %u channels, %u levels in %u sets, profile %s%s\n", info->width, info->height, info->n_channels,
           info->n_levels, info->n_sets, profiles[info->profile], info->truncated ? ", cut" : "");
    for (uint32_t g = 0; g < info->n_groups; g++) {
        igs_group group;
        igs_status status = igs_get_group(file, g, &group);
        if (status) return status;
        printf("group %s: channels %u to %u, role %u, %u-bit %s\n", group.name, group.first,
               group.first + group.n_channels - 1, group.role, group.bit_depth, group.sample_type ? "float" : "uint");
    }
    for (uint32_t lod = 0; lod < info->n_levels; lod++) {
        igs_level level;
        igs_status status = igs_get_level(file, lod, &level);
        if (status == IGS_TRUNCATED_STREAM) continue;
        if (status) return status;
        printf("level %u: set %u, %u Gaussians, %u pages, whole in %llu bytes\n", lod, level.set, level.n_gaussians,
               level.n_pages, (unsigned long long)level.end);
    }
    return IGS_OK;
}

static igs_status show(igs_file *file, const igs_info *info, uint32_t lod, const double *box, int is_region, char mode) {
    double x = box[0], y = box[1], w = box[2], h = box[3];
    igs_tiles tiles = {(uint32_t)(x / IGS_TILE_PX), (uint32_t)(y / IGS_TILE_PX), (uint32_t)((x + w) / IGS_TILE_PX),
                       (uint32_t)((y + h) / IGS_TILE_PX)};
    uint32_t last_x = (info->width - 1) / IGS_TILE_PX, last_y = (info->height - 1) / IGS_TILE_PX;
    if (tiles.x_first > last_x) tiles.x_first = last_x;
    if (tiles.y_first > last_y) tiles.y_first = last_y;
    if (mode == 'g') return show_gaussians(file, info, lod, tiles);
    size_t n_x = is_region ? (size_t)w : 1, n_y = is_region ? (size_t)h : 1;
    double *features = calloc(n_x * n_y * info->n_channels + 1, sizeof *features);
    if (!features) return IGS_OUT_OF_MEMORY;
    igs_request request = {0};
    request.lod = lod;
    request.x = (uint32_t)x;
    request.y = (uint32_t)y;
    request.width = (uint32_t)w;
    request.height = (uint32_t)h;
    request.format = IGS_FEATURES_F64;
    request.grain = mode == 'n';
    igs_status status = IGS_OK;
    if (!is_region) status = igs_sample(file, lod, box, 1, mode == 'n', features);
    else if (n_x && n_y) status = igs_render(file, &request, features);
    if (!status) status = show_pixels(file, info, features, n_x * n_y, mode);
    free(features);
    return status;
}

int main(int argc, char **argv) {
    char mode = argc > 1 && argv[1][0] == '-' ? argv[1][1] : 0;
    int at = mode ? 2 : 1, is_region = argc - at == 6;
    if (mode && (!strchr("fngi", mode) || argv[1][2])) return usage("there is no such option");
    if (mode == 'i' ? argc - at != 1 : argc - at != 4 && !is_region) return usage("igs [-f | -n | -g] FILE LOD X Y [W H], or igs -i FILE");
    long lod = 0;
    double box[4] = {0, 0, 0, 0};
    if (mode != 'i') {
        lod = strtol(argv[at + 1], NULL, 10);
        for (int i = 0; i < (is_region ? 4 : 2); i++) box[i] = strtod(argv[at + 2 + i], NULL);
    }
    igs_file *file;
    igs_info info;
    if (igs_create(NULL, &file)) return usage("there is no memory");
    igs_status status = igs_open_path(file, argv[at]);
    if (!status) status = igs_get_info(file, &info);
    if (!status && mode == 'i') {
        status = show_info(file, &info);
    } else if (!status) {
        if (lod < 0 || lod >= (long)info.n_levels) {
            igs_close(file);
            return usage("there is no such level");
        }
        if (!(box[0] >= 0 && box[1] >= 0 && box[2] >= 0 && box[3] >= 0 && box[0] + box[2] <= info.width &&
              box[1] + box[3] <= info.height)) {
            igs_close(file);
            return usage("the region leaves the picture");
        }
        status = show(file, &info, (uint32_t)lod, box, is_region, mode);
    }
    if (status) fprintf(stderr, "%s\n", igs_message(file));
    igs_close(file);
    return status != IGS_OK;
}
