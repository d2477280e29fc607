// Blends Gaussians at points (spec/igs.md, section 3.5), as render/reference.py does: of the point's tile list the K with the
// smallest q, of equal ones the lower index, with weights that sum to 1. The text follows `const TOP_K`.
//
// An invocation is a point, and keeps its K best in registers, in order. A point is given as its tile and px from the
// tile's corner, a mean as whole px and the rest: their difference is exact, or small next to its rounding.
//
// gaussians (N,), features (N, C) row by row, lists: starts (n_tiles + 1,) and from `entries` on indices of Gaussians.
// lattice: columns (width,) and rows (height,) of a window, or x and y of each point; results (points, C).

struct Gaussian {
    whole: vec2<i32>, // mean, px
    part: vec2<f32>,
    axes: vec4<f32>,  // (U, V) of a step along x, and along y
}

struct Place {
    tile: i32,
    at: f32,
}

struct Launch {
    width: u32,
    height: u32,
    n_channels: u32,
    entries: u32,
    first_tile: vec2<i32>,
    tiles_across: i32,
}

// Above q of every Gaussian that counts.
const FAR = 3.0e38;

@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> gaussians: array<Gaussian>;
@group(0) @binding(2) var<storage, read> features: array<f32>;
@group(0) @binding(3) var<storage, read> lists: array<u32>;
@group(0) @binding(4) var<storage, read> lattice: array<Place>;
@group(0) @binding(5) var<storage, read> background: array<f32>;
@group(0) @binding(6) var<storage, read_write> results: array<f32>;

fn distance_to(index: u32, tile: vec2<i32>, at: vec2<f32>) -> f32 {
    let g = gaussians[index];
    let d = vec2<f32>(16 * tile - g.whole) + (at - g.part);
    let uv = g.axes.xy * d.x + g.axes.zw * d.y;
    return dot(uv, uv);
}

fn blend(x: Place, y: Place, first_result: u32) {
    let tile = vec2<i32>(x.tile, y.tile);
    let at = vec2<f32>(x.at, y.at);
    let relative = tile - launch.first_tile;
    let list = u32(relative.y * launch.tiles_across + relative.x);
    let last = lists[list + 1u];

    var q: array<f32, TOP_K>;
    var nearest: array<u32, TOP_K>;
    for (var k = 0u; k < TOP_K; k++) { q[k] = FAR; }
    for (var j = lists[list]; j < last; j++) {
        var index = lists[launch.entries + j];
        var candidate = distance_to(index, tile, at);
        if (!(candidate < q[TOP_K - 1u])) { continue; }
        var placed = false;
        for (var k = 0u; k < TOP_K; k++) {
            placed = placed || candidate < q[k];
            if (placed) {
                let farther = q[k];
                let farther_index = nearest[k];
                q[k] = candidate;
                nearest[k] = index;
                candidate = farther;
                index = farther_index;
            }
        }
    }

    if (!(q[0] < FAR)) {
        for (var c = 0u; c < launch.n_channels; c++) { results[first_result + c] = background[c]; }
        return;
    }
    let least = q[0];
    var total = 0.0;
    for (var k = 0u; k < TOP_K; k++) {
        q[k] = select(0.0, exp(-0.5 * (q[k] - least)), q[k] < FAR);
        total += q[k];
    }
    for (var c = 0u; c < launch.n_channels; c++) {
        var sum = 0.0;
        for (var k = 0u; k < TOP_K; k++) { sum += q[k] * features[nearest[k] * launch.n_channels + c]; }
        results[first_result + c] = sum / total;
    }
}

@compute @workgroup_size(8, 8)
fn blend_window(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= launch.width || id.y >= launch.height) { return; }
    blend(lattice[id.x], lattice[launch.width + id.y], (id.y * launch.width + id.x) * launch.n_channels);
}

@compute @workgroup_size(64)
fn blend_points(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= launch.width) { return; }
    blend(lattice[2u * id.x], lattice[2u * id.x + 1u], id.x * launch.n_channels);
}
