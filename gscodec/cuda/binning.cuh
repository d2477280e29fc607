// Which tiles a Gaussian meets, and the counting of them: shared by tile_bin.cu, whose Gaussians lie in memory, and by
// fit.cu, which makes them first (spec/igs.md, section 3.4).
//
// A block owns BIN_GAUSSIANS Gaussians. One warp derives their axes and ellipses, a lane each, which is the float64
// work; then ROW_LANES lanes share a Gaussian, a row of tiles each.

struct Root {
    __device__ double operator()(double x) const { return sqrt(x); }
};

struct Span {
    int first, last;  // closed; empty when first > last
};

// Tiles whose closed interval meets the closed interval [low, high] px, clipped to [begin, end). NaN meets nothing.
__device__ inline Span touched_tiles(double low, double high, int begin, int end) {
    const double u = low / TILE_SIZE, v = high / TILE_SIZE;
    double first = floor(u), last = floor(v);
    if (first == u) first -= 1;  // a border belongs to both neighbours
    if (first < begin) first = begin;
    if (last > end - 1) last = end - 1;
    if (!(first <= last)) return {1, 0};
    return {(int)first, (int)last};
}

__device__ inline gscodec::Ellipse load_ellipse(const double* ellipses, int i, double support_q) {
    const double* e = ellipses + 6LL * i;
    return {e[0], e[1], e[2], e[3], support_q, e[4], e[5]};
}

// Columns of tiles that Gaussian i meets in one row of tiles.
__device__ inline Span columns_in_row(const gscodec::Ellipse& ellipse, const double* means, int i, int row, int x0,
                                      int x1) {
    const double top = (double)row * TILE_SIZE - means[2LL * i + 1];
    double left, right;
    gscodec::slab_extent(ellipse, top, top + TILE_SIZE, Root(), left, right);
    return touched_tiles(means[2LL * i] + left, means[2LL * i] + right, x0, x1);
}

// A Gaussian as it is shown.
struct Shown {
    double x, y;    // mean, px
    double s0, s1;  // inverse scales, 1/px
    double rotation;
};

struct TileRect {
    int x0, y0, x1, y1;  // half-open
};

// Fills rows 0 .. n_max of axes, ellipses, rows and counts, and adds to tile_counts. Where that is null nothing is
// counted, where axes are null Gaussians are only loaded. `load(i, shown)` gives Gaussian i, or says that it is not
// shown.
template <class Load>
__device__ inline void count_block(int n_max, const Load& load, double support_q, TileRect tiles, double* axes,
                                   double* ellipses, int* rows, int* counts, int* tile_counts) {
    __shared__ gscodec::Ellipse staged[BIN_GAUSSIANS];
    __shared__ double means[2 * BIN_GAUSSIANS];
    __shared__ Span spans[BIN_GAUSSIANS];
    const int first = blockIdx.x * BIN_GAUSSIANS, i = first + threadIdx.x;
    if (threadIdx.x < BIN_GAUSSIANS && i < n_max) {
        Span span = {1, 0};
        Shown g;
        const bool shown = load(i, g);
        if (shown && axes) {
            const double cosine = cos(g.rotation), sine = sin(g.rotation);
            const gscodec::Axes a = gscodec::make_axes(AXIS_SCALE * g.s0, AXIS_SCALE * g.s1, cosine, sine);
            const gscodec::Ellipse e = gscodec::make_ellipse(g.s0, g.s1, cosine, sine, support_q, Root());
            double* axis = axes + 4LL * i;
            axis[0] = a.u_x;
            axis[1] = a.u_y;
            axis[2] = a.v_x;
            axis[3] = a.v_y;
            double* ellipse = ellipses + 6LL * i;
            ellipse[0] = e.a;
            ellipse[1] = e.b;
            ellipse[2] = e.d;
            ellipse[3] = e.det;
            ellipse[4] = e.half_width;
            ellipse[5] = e.half_height;
            span = touched_tiles(g.y - e.half_height, g.y + e.half_height, tiles.y0, tiles.y1);
            staged[threadIdx.x] = e;
            means[2 * threadIdx.x] = g.x;
            means[2 * threadIdx.x + 1] = g.y;
        }
        if (axes) {
            rows[2LL * i] = span.first;
            rows[2LL * i + 1] = span.last;
        }
        spans[threadIdx.x] = span;
    }
    if (!tile_counts) return;
    __syncthreads();
    const int place = threadIdx.x / ROW_LANES, lane = threadIdx.x % ROW_LANES;
    int count = 0;
    if (first + place < n_max) {
        for (int row = spans[place].first + lane; row <= spans[place].last; row += ROW_LANES) {
            const Span span = columns_in_row(staged[place], means, place, row, tiles.x0, tiles.x1);
            int* const counted = tile_counts + (row - tiles.y0) * (tiles.x1 - tiles.x0) - tiles.x0;
            for (int x = span.first; x <= span.last; ++x) atomicAdd(counted + x, 1);
            count += span.first <= span.last ? span.last - span.first + 1 : 0;
        }
    }
#pragma unroll
    for (int mask = ROW_LANES / 2; mask > 0; mask >>= 1) count += __shfl_xor_sync(FULL_MASK, count, mask);
    if (first + place < n_max && lane == 0) counts[first + place] = count;
}
