#version 450
// A fragment shader that lights a surface with a material of one .igs file: albedo, normal and roughness, in this order, as
// `gscodec encode FOLDER rock.igs --profile packed` and `gscodec export rock.igs --to words` make it. For Vulkan and
// OpenGL 4.5; WebGL 2 reads the words from a texture of type R32UI instead.

#define IGS_CHANNELS 7 // word 4 of the buffer
#define IGS_TOP_K 10   // word 5
layout(std430, binding = 0) readonly buffer Igs { uint igs_words[]; };
uint igs_word(uint at) { return igs_words[at]; }
#include "igs_sample.glsl"

layout(location = 0) in vec2 uv;
layout(location = 1) in vec3 to_light; // in the surface's own axes: tangent, bitangent, normal
layout(location = 2) in vec3 to_eye;
layout(location = 0) out vec4 light;

void main() {
    // The level by the footprint of the pixel, as with mips: a level has about half the detail of the one before.
    vec2 texels = uv * vec2(igs_word(2u), igs_word(3u));
    float lod = 0.5 * log2(max(dot(dFdx(texels), dFdx(texels)), dot(dFdy(texels), dFdy(texels))));
    float m[IGS_CHANNELS];
    igs_sample(uv, int(lod + 0.5), m);

    vec3 albedo = pow(clamp(vec3(m[0], m[1], m[2]), 0.0, 1.0), vec3(2.2)); // features of sRGB maps are codes
    vec3 normal = normalize(2.0 * vec3(m[3], m[4], m[5]) - 1.0);
    float roughness = clamp(m[6], 0.05, 1.0);

    vec3 l = normalize(to_light), v = normalize(to_eye), h = normalize(l + v);
    float n_l = max(dot(normal, l), 0.0), n_h = max(dot(normal, h), 0.0), n_v = max(dot(normal, v), 1e-3);
    float a2 = pow(roughness, 4.0), d = n_h * n_h * (a2 - 1.0) + 1.0; // GGX, with Smith's shadowing as Karis has it
    float k = 0.125 * (roughness + 1.0) * (roughness + 1.0);
    float shadowing = 4.0 * (n_l * (1.0 - k) + k) * (n_v * (1.0 - k) + k);
    float fresnel = 0.04 + 0.96 * pow(1.0 - max(dot(v, h), 0.0), 5.0);
    light = vec4(n_l * (albedo + a2 * fresnel / (d * d * shadowing)), 1.0);
}
