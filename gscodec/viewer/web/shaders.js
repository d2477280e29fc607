// GLSL ES 3.0. K, the Gaussians of a blend, is defined in front of SAMPLE_FRAGMENT.

/** A quad per tile, in whole pixels of the target; rows run down. */
export const SAMPLE_VERTEX = `
uniform vec2 target_size;
layout(location = 0) in ivec4 rect;   // x0, y0, x1, y1, px of the target
layout(location = 1) in ivec4 source; // start and length of the list, column and row of the tile's corner in tiles of 16 px
layout(location = 2) in vec2 corner;  // where the left upper edge of pixel x0, y0 lies in the tile, px of the picture
flat out ivec4 list;
flat out vec2 offset;
flat out vec2 base;
void main() {
  vec2 at = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  vec2 p = mix(vec2(rect.xy), vec2(rect.zw), at);
  list = source; offset = corner; base = vec2(rect.xy);
  gl_Position = vec4(p / target_size * 2.0 - 1.0, 0.0, 1.0);
}`;

/** The value of section "Blending" of one point; or, while the view moves, the mean of sub x sub points of a pixel. */
export const SAMPLE_FRAGMENT = `
uniform sampler2D records;
uniform usampler2D lists;
uniform vec2 pixel;       // sides of a pixel of the target, px of the picture
uniform int sub;
uniform vec4 background;
uniform ivec2 kind;       // samples, of colour and alpha: 0 uint, 1 float, linear; 2 log; 3 asinh
uniform vec4 range;       // value_min, value_max of each; for asinh a, b
uniform vec2 knee;        // s of asinh
uniform int weigh;        // colour by alpha
flat in ivec4 list;
flat in vec2 offset;
flat in vec2 base;
out vec4 color;

vec4 record(int at) { return texelFetch(records, ivec2(at & 2047, at >> 11), 0); }

vec4 blend(vec2 p) {
  float q[K];
  int r[K];
  for (int i = 0; i < K; i++) { q[i] = 3.0e38; r[i] = -1; }
  vec2 tile = vec2(list.zw);
  for (int j = list.x; j < list.x + list.y; j++) {
    int at = int(texelFetch(lists, ivec2(j & 4095, j >> 12), 0).r);
    vec4 mean = record(at), axes = record(at + 1);
    vec2 d = (p - mean.zw) - (mean.xy - tile) * 16.0;
    vec2 uv = vec2(dot(axes.xy, d), dot(axes.zw, d));
    float distance = dot(uv, uv);
    if (distance < q[K - 1]) {
      bool placed = false; // equal ones stay in the order of the file
      float carried = distance;
      int carried_r = at;
      for (int i = 0; i < K; i++) {
        placed = placed || carried < q[i];
        float old = q[i];
        int old_r = r[i];
        q[i] = placed ? carried : old;
        r[i] = placed ? carried_r : old_r;
        carried = placed ? old : carried;
        carried_r = placed ? old_r : carried_r;
      }
    }
  }
  if (r[0] < 0) return background;
  vec4 sum = vec4(0.0);
  float weights = 0.0;
  for (int i = 0; i < K; i++) {
    if (r[i] >= 0) {
      float w = exp(-0.5 * (q[i] - q[0]));
      weights += w;
      sum += w * record(r[i] + 2);
    }
  }
  return sum / weights;
}

vec3 samples(vec3 v, int kind, vec2 range, float knee) {
  if (kind == 0) return v;
  if (kind == 1) return range.x + v * (range.y - range.x);
  v = clamp(v, 0.0, 1.0);
  if (kind == 2) return range.x + exp2(v * log2(1.0 + range.y - range.x)) - 1.0;
  vec3 t = range.x + v * (range.y - range.x), e = exp(abs(t));
  return sign(t) * knee * 0.5 * (e - 1.0 / e);
}

vec4 samples_at(vec2 p) {
  vec4 v = blend(p);
  return vec4(samples(v.rgb, kind.x, range.xy, knee.x), samples(v.aaa, kind.y, range.zw, knee.y).r);
}

void main() {
  vec2 left = (gl_FragCoord.xy - base - 0.5) * pixel + offset;
  if (sub == 1) {
    color = samples_at(left + 0.5 * pixel);
    return;
  }
  vec4 sum = vec4(0.0), plain = vec4(0.0);
  for (int i = 0; i < sub * sub; i++) {
    vec4 v = samples_at(left + (vec2(i % sub, i / sub) + 0.5) * (pixel / float(sub)));
    float a = clamp(v.a, 0.0, 1.0);
    plain += vec4(v.rgb, a);
    sum += vec4(v.rgb * a, a);
  }
  float n = float(sub * sub);
  color = vec4(weigh == 0 || sum.a <= 0.0 ? plain.rgb / n : sum.rgb / sum.a, plain.a / n);
}`;

/**
 * Means over area, section "Other sizes": of points, of which a pixel of the target covers ratio.x x ratio.y. Points that
 * have not arrived (alpha -9) are left out.
 */
export const MEAN_FRAGMENT = `
uniform sampler2D cells;
uniform ivec2 size;  // of what is there, points
uniform ivec2 first; // pixel of the target
uniform vec2 begin;  // where that begins, points
uniform vec2 ratio;
uniform int mean;    // 0 plain; 1 of values within 0..1; 2 colour weighed by alpha, of integers, 3 of floats
out vec4 color;

const float CLEAR = 7.8886e-31; // weight of colour where alpha is 0: it shows only where there is no other

void main() {
  vec2 a = begin + vec2(ivec2(gl_FragCoord.xy) - first) * ratio, b = a + ratio;
  ivec2 low = max(ivec2(floor(a)), 0), high = min(ivec2(ceil(b)), size);
  vec4 sum = vec4(0.0);
  float weights = 0.0, covers = 0.0;
  for (int j = low.y; j < high.y; j++) {
    vec4 row = vec4(0.0);
    float row_weights = 0.0, row_covers = 0.0;
    for (int i = low.x; i < high.x; i++) {
      vec4 v = texelFetch(cells, ivec2(i, j), 0);
      float w = min(b.x, float(i + 1)) - max(a.x, float(i)), cover = 1.0;
      if (v.a < -1.0 || w <= 0.0) continue;
      if (mean >= 2) cover = clamp(v.a, CLEAR, 1.0);
      if (mean == 1) v = clamp(v, 0.0, 1.0);
      if (mean == 2) v.a = cover;
      row += w * vec4(cover * v.rgb, v.a);
      row_weights += w;
      row_covers += w * cover;
    }
    float w = max(0.0, min(b.y, float(j + 1)) - max(a.y, float(j)));
    sum += w * row;
    weights += w * row_weights;
    covers += w * row_covers;
  }
  color = weights > 0.0 ? vec4(sum.rgb / covers, sum.a / weights) : vec4(0.0, 0.0, 0.0, -9.0);
}`;

/** Two triangles over everything. */
export const COVER_VERTEX = `
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0, 0.0, 1.0); }`;

/** From samples to display colour, sRGB codes with straight alpha; fades from one frame to the next. */
export const DEVELOP_FRAGMENT = `
uniform sampler2D now, before;
uniform vec4 place_now, place_before; // pixel of the output -> pixel of the frame: scale, -, offset
uniform vec4 edges;                   // of the picture, px of the output: left, top, right, bottom
uniform float fade;                   // 1: only now
uniform int kind, shown, light, tone, premultiplied, smoothly, opaque; // shown: 0 colour, 1 gray, 2 normals of x and y
uniform float exposure;
uniform vec2 span;                    // values shown as black and white, of maps
uniform int grain;                    // colours that get grain: 0, 1 or 3
uniform ivec2 grain_at;               // column and row, in the whole picture at this zoom, of pixel 0, 0
uniform int grain_side;               // weight of the neighbours
uniform uint grain_field;
uniform vec2 grain_unit;              // of the shared field and of a channel's own
uniform float grain_strength[8];
out vec4 color;

int noise(uint x, uint y, uint field) {
  uint v = x * 0x9E3779B1u + y * 0x85EBCA77u + field * 0xC2B2AE3Du + 0x165667B1u;
  v = (v ^ (v >> 16)) * 0x7FEB352Du;
  v = (v ^ (v >> 15)) * 0x846CA68Bu;
  v = v ^ (v >> 16);
  v = (v & 0x00FF00FFu) + ((v >> 8) & 0x00FF00FFu);
  return int((v & 0xFFFFu) + (v >> 16)) - 510;
}

float noise_sum(uvec2 p, uint field) {
  if (grain_side == 0) return float(256 * noise(p.x, p.y, field));
  int total = 0;
  for (int j = -1; j <= 1; j++)
    for (int i = -1; i <= 1; i++)
      total += (i == 0 ? 16 : grain_side) * (j == 0 ? 16 : grain_side) * noise(p.x + uint(i), p.y + uint(j), field);
  return float(total);
}

vec3 grained(vec3 v) {
  float place = 7.0 * clamp(grain == 3 ? (v.r + 2.0 * v.g + v.b) / 4.0 : v.r, 0.0, 1.0);
  int i = min(int(place), 6);
  float strength = grain_strength[i] + (place - float(i)) * (grain_strength[i + 1] - grain_strength[i]);
  uvec2 p = uvec2(ivec2(gl_FragCoord.xy) + grain_at);
  float shared_noise = grain_unit.x * noise_sum(p, grain_field);
  for (int c = 0; c < grain; c++) {
    float room = max(0.0, min(v[c], 1.0 - v[c])), d = strength * (shared_noise + grain_unit.y * noise_sum(p, grain_field + 1u + uint(c)));
    v[c] += clamp(d, -room, room);
  }
  return v;
}

vec4 texel(sampler2D frame, ivec2 at) { return texelFetch(frame, clamp(at, ivec2(0), textureSize(frame, 0) - 1), 0); }

bool inside(sampler2D frame, vec2 p) { return all(greaterThanEqual(p, vec2(0.0))) && all(lessThan(p, vec2(textureSize(frame, 0)))); }

vec4 read(sampler2D frame, vec2 p) {
  if (smoothly == 0) return texel(frame, ivec2(floor(p)));
  vec2 at = p - 0.5, f = fract(at);
  ivec2 i = ivec2(floor(at));
  vec4 s00 = texel(frame, i), s10 = texel(frame, i + ivec2(1, 0)), s01 = texel(frame, i + ivec2(0, 1)), s11 = texel(frame, i + ivec2(1, 1));
  if (s00.a < -1.0 || s10.a < -1.0 || s01.a < -1.0 || s11.a < -1.0) return texel(frame, ivec2(floor(p)));
  return mix(mix(s00, s10, f.x), mix(s01, s11, f.x), f.y);
}

float encode(float v) { return v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1.0 / 2.4) - 0.055; }

vec4 develop(vec4 s) {
  float a = opaque == 1 ? 1.0 : clamp(s.a, 0.0, 1.0);
  vec3 v = s.rgb;
  if (grain != 0) v = grained(v);
  if (kind != 0) {
    if (premultiplied == 1 && a > 0.0) v /= a;
    if (light == 1) {
      v *= exposure;
      if (tone == 1) v = 1.0 - exp(-max(v, 0.0));
      v = clamp(v, 0.0, 1.0);
      v = vec3(encode(v.r), encode(v.g), encode(v.b));
    } else {
      v = (v - span.x) / (span.y - span.x) * exposure;
    }
  } else if (premultiplied == 1 && a > 0.0) {
    v /= a;
  }
  v = clamp(v, 0.0, 1.0);
  if (shown == 1) v = v.rrr;
  if (shown == 2) {
    vec2 n = 2.0 * v.xy - 1.0;
    v.z = 0.5 + 0.5 * sqrt(max(0.0, 1.0 - dot(n, n)));
  }
  return vec4(v, a);
}

void main() {
  vec2 p = gl_FragCoord.xy, p_now = p * place_now.xy + place_now.zw, p_before = p * place_before.xy + place_before.zw;
  if (any(lessThan(p, edges.xy)) || any(greaterThan(p, edges.zw))) { color = vec4(0.0); return; }
  vec4 a = vec4(0.0, 0.0, 0.0, -9.0), b = a;
  if (inside(now, p_now)) a = read(now, p_now);
  if (fade < 1.0 || a.a < -1.0) { if (inside(before, p_before)) b = read(before, p_before); }
  bool has_a = a.a >= -1.0, has_b = b.a >= -1.0;
  if (!has_a && !has_b) { color = vec4(0.0); return; }
  if (!has_b) { color = develop(a); return; }
  if (!has_a) { color = develop(b); return; }
  color = mix(develop(b), develop(a), fade);
}`;

/** A plain picture, at its place in the view: texels beyond 1:1, roughly averaged below, for a view that moves. */
export const PICTURE_FRAGMENT = `
uniform sampler2D picture;
uniform vec4 place; // pixel of the output -> texel of the picture
out vec4 color;
void main() {
  vec2 p = gl_FragCoord.xy * place.xy + place.zw, size = vec2(textureSize(picture, 0));
  if (any(lessThan(p, vec2(0.0))) || any(greaterThanEqual(p, size))) { color = vec4(0.0); return; }
  color = place.x <= 1.0 ? texelFetch(picture, ivec2(p), 0) : textureGrad(picture, p / size, vec2(place.x / size.x, 0.0), vec2(0.0, place.y / size.y));
}`;

/** What is seen: one layer or two, side by side along a wipe or as their difference, on paper or a chequered ground. */
export const SHOW_FRAGMENT = `
uniform sampler2D first, second;
uniform int mode;      // 0 the first, 1 the second, 2 wipe, 3 difference
uniform float wipe;    // px of the canvas
uniform float gain;    // of the difference
uniform vec2 size;     // of the canvas
uniform vec3 paper;
uniform vec3 checker;
out vec4 color;

vec3 over(vec4 layer, vec2 p) {
  bool odd = (int(p.x / 12.0) + int(p.y / 12.0)) % 2 == 1;
  return mix(odd ? checker : vec3(1.0) - 0.5 * (vec3(1.0) - checker), layer.rgb, layer.a);
}

vec3 heat(float e) { // black, blue, red, yellow, white
  return clamp(vec3(3.0 * e - 0.75, 3.0 * e - 1.6, e < 0.33 ? 3.0 * e : e < 0.6 ? 1.0 - 3.7 * (e - 0.33) : 4.0 * (e - 0.75)), 0.0, 1.0);
}

void main() {
  vec2 p = vec2(gl_FragCoord.x, size.y - gl_FragCoord.y);
  ivec2 at = ivec2(p);
  vec4 a = texelFetch(first, at, 0), b = texelFetch(second, at, 0);
  if (mode == 3) {
    if (a.a == 0.0 && b.a == 0.0) { color = vec4(paper, 1.0); return; }
    vec3 d = abs(a.rgb * a.a - b.rgb * b.a);
    color = vec4(heat(clamp(gain * max(d.r, max(d.g, d.b)), 0.0, 1.0)), 1.0);
    return;
  }
  vec4 layer = mode == 1 || (mode == 2 && p.x >= wipe) ? b : a;
  color = vec4(layer.a == 0.0 ? paper : layer.a == 1.0 ? layer.rgb : over(layer, p), 1.0);
}`;

/** Ellipses of a page's Gaussians, at `radius` standard deviations, as line loops. */
export const ELLIPSE_VERTEX = `
uniform sampler2D records;
uniform int address;
uniform vec2 tile;   // of the left upper corner of the view, in tiles of 16 px
uniform vec2 corner; // of the same within that tile, px
uniform float zoom;
uniform vec2 size;
uniform float radius;
out vec3 fill;
void main() {
  int at = address + 3 * gl_InstanceID;
  vec4 mean = texelFetch(records, ivec2(at & 2047, at >> 11), 0);
  at++;
  vec4 axes = texelFetch(records, ivec2(at & 2047, at >> 11), 0);
  at++;
  fill = texelFetch(records, ivec2(at & 2047, at >> 11), 0).rgb;
  float t = 6.28318531 * float(gl_VertexID) / float(SEGMENTS);
  vec2 uv = radius * vec2(cos(t), sin(t));
  float det = axes.x * axes.w - axes.y * axes.z;
  vec2 d = vec2(axes.w * uv.x - axes.y * uv.y, axes.x * uv.y - axes.z * uv.x) / det;
  vec2 p = ((mean.xy - tile) * 16.0 + (mean.zw - corner) + d) * zoom;
  gl_Position = vec4(p.x / size.x * 2.0 - 1.0, 1.0 - p.y / size.y * 2.0, 0.0, 1.0);
}`;

export const ELLIPSE_FRAGMENT = `
uniform vec4 ink;
in vec3 fill;
out vec4 color;
void main() { color = ink; }`;
