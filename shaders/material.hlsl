// A pixel shader that lights a surface with a material of one .igs file: albedo, normal and roughness, in this order, as
// `gscodec encode FOLDER rock.igs --profile packed` and `gscodec export rock.igs --to words` make it.

#define IGS_CHANNELS 7 // word 4 of the buffer
#define IGS_TOP_K 10   // word 5
StructuredBuffer<uint> igs_words : register(t0);
uint igs_word(uint at) { return igs_words[at]; }
#include "igs_sample.hlsl"

struct Fragment {
    float2 uv : TEXCOORD0;
    float3 to_light : TEXCOORD1; // in the surface's own axes: tangent, bitangent, normal
    float3 to_eye : TEXCOORD2;
};

float4 main(Fragment at) : SV_Target {
    // The level by the footprint of the pixel, as with mips: a level has about half the detail of the one before.
    float2 texels = at.uv * float2(igs_word(2u), igs_word(3u));
    float lod = 0.5 * log2(max(dot(ddx(texels), ddx(texels)), dot(ddy(texels), ddy(texels))));
    float m[IGS_CHANNELS];
    igs_sample(at.uv, int(lod + 0.5), m);

    float3 albedo = pow(saturate(float3(m[0], m[1], m[2])), 2.2); // features of sRGB maps are codes
    float3 normal = normalize(2.0 * float3(m[3], m[4], m[5]) - 1.0);
    float roughness = clamp(m[6], 0.05, 1.0);

    float3 l = normalize(at.to_light), v = normalize(at.to_eye), h = normalize(l + v);
    float n_l = saturate(dot(normal, l)), n_h = saturate(dot(normal, h)), n_v = max(dot(normal, v), 1e-3);
    float a2 = pow(roughness, 4.0), d = n_h * n_h * (a2 - 1.0) + 1.0; // GGX, with Smith's shadowing as Karis has it
    float k = 0.125 * (roughness + 1.0) * (roughness + 1.0);
    float shadowing = 4.0 * (n_l * (1.0 - k) + k) * (n_v * (1.0 - k) + k);
    float fresnel = 0.04 + 0.96 * pow(1.0 - saturate(dot(v, h)), 5.0);
    return float4(n_l * (albedo + a2 * fresnel / (d * d * shadowing)), 1.0);
}
