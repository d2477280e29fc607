// A fragment shader that lights a surface with a material of one .igs file: albedo, normal and roughness, in this order, as
// `gscodec encode FOLDER rock.igs --profile packed` and `gscodec export rock.igs --to words` make it. Append igs_sample.wgsl.

const IGS_CHANNELS = 7u; // word 4 of the buffer
const IGS_TOP_K = 10u;   // word 5
@group(0) @binding(0) var<storage, read> igs_words: array<u32>;
fn igs_word(at: u32) -> u32 { return igs_words[at]; }

struct Fragment {
    @location(0) uv: vec2<f32>,
    @location(1) to_light: vec3<f32>, // in the surface's own axes: tangent, bitangent, normal
    @location(2) to_eye: vec3<f32>,
}

@fragment
fn main(at: Fragment) -> @location(0) vec4<f32> {
    // The level by the footprint of the pixel, as with mips: a level has about half the detail of the one before.
    let texels = at.uv * vec2<f32>(f32(igs_word(2u)), f32(igs_word(3u)));
    let across = dpdx(texels);
    let down = dpdy(texels);
    let lod = 0.5 * log2(max(dot(across, across), dot(down, down)));
    let m = igs_sample(at.uv, i32(lod + 0.5));

    let albedo = pow(saturate(vec3<f32>(m[0], m[1], m[2])), vec3<f32>(2.2)); // features of sRGB maps are codes
    let normal = normalize(2.0 * vec3<f32>(m[3], m[4], m[5]) - 1.0);
    let roughness = clamp(m[6], 0.05, 1.0);

    let l = normalize(at.to_light);
    let v = normalize(at.to_eye);
    let h = normalize(l + v);
    let n_l = saturate(dot(normal, l));
    let n_h = saturate(dot(normal, h));
    let n_v = max(dot(normal, v), 1e-3);
    let a2 = pow(roughness, 4.0); // GGX, with Smith's shadowing as Karis has it
    let d = n_h * n_h * (a2 - 1.0) + 1.0;
    let k = 0.125 * (roughness + 1.0) * (roughness + 1.0);
    let shadowing = 4.0 * (n_l * (1.0 - k) + k) * (n_v * (1.0 - k) + k);
    let fresnel = 0.04 + 0.96 * pow(1.0 - saturate(dot(v, h)), 5.0);
    return vec4<f32>(n_l * (albedo + a2 * fresnel / (d * d * shadowing)), 1.0);
}
