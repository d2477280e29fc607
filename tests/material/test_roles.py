from pathlib import Path

import pytest

from gscodec.batch.walk import pictures_below
from gscodec.material.discover import group_maps
from gscodec.material.roles import map_name
from gscodec.model.channels import NormalConvention, Role

NAMES = {
    "rock_wall_08_diff_2k.jpg": ("rock_wall_08", "albedo"),
    "rock_wall_08_nor_gl_2k.exr": ("rock_wall_08", "normal"),
    "rock_wall_08_arm_2k.jpg": ("rock_wall_08", "arm"),
    "rock_wall_08_rough_1k.png": ("rock_wall_08", "roughness"),
    "rock_wall_08_disp_2k.png": ("rock_wall_08", "height"),
    "Bricks075A_2K-JPG_Color.jpg": ("bricks075a", "albedo"),
    "Bricks075A_2K-JPG_NormalGL.jpg": ("bricks075a", "normal"),
    "Bricks075A_2K-JPG_AmbientOcclusion.jpg": ("bricks075a", "ao"),
    "Metal009_1K_Metalness.jpg": ("metal009", "metalness"),
    "Wood_BaseColor.png": ("wood", "albedo"),
    "Wood_Normal_OpenGL.png": ("wood", "normal"),
    "Wood_OcclusionRoughnessMetallic.png": ("wood", "occlusionroughnessmetallic"),
    "lantern_baseColor.png": ("lantern", "albedo"),
    "lantern_metallicRoughness.png": ("lantern", "metallicroughness"),
    "T_RockAlbedo.tga": ("t_rock", "albedo"),
    "albedo.png": ("", "albedo"),
    "metal.png": ("", "metalness"),
    "leaf_alpha.tif": ("leaf", "opacity"),
    "lava_emissive.png": ("lava", "emissive"),
    "skin_mask.png": ("skin", "mask"),
    "wood_base_color_1001.png": ("wood_1001", "albedo"),
    "wood_base_color_1002.png": ("wood_1002", "albedo"),
    "crate_normalgl.png": ("crate", "normal"),
    "crate_normaldx_2k.png": ("crate", "normal"),
    "crate_nor_02.png": ("crate_02", "normal"),
    "crate_Normal2.png": ("crate_2", "normal"),
    "crate_normaldx2_4k.png": ("crate_2", "normal"),
    "crate_NormalGL_03.png": ("crate_03", "normal"),
    "CRATE-NORMAL-02.PNG": ("crate_02", "normal"),
    "crate.roughness.0007.png": ("crate_0007", "roughness"),
    "crate_displacement_16bit.png": ("crate", "height"),
    "crate_rough_v2.png": ("crate_v2", "roughness"),
    "roughness3.png": ("3", "roughness"),
}


@pytest.mark.parametrize("name", NAMES)
def test_usual_names_are_understood(name: str) -> None:
    parsed = map_name(name)
    assert parsed is not None
    assert (parsed.stem, parsed.kind) == NAMES[name]


@pytest.mark.parametrize(
    "name",
    [
        *("photo.png", "color_of_money.png", "metal_rust.png", "normality.png", "rock_gl.png", "photo_02.png"),
        *("metal009.png", "height_0_3.png", "2.png", "id3.png", "mask_12345.png"),
    ],
)
def test_other_names_are_no_maps(name: str) -> None:
    assert map_name(name) is None


@pytest.mark.parametrize(
    ("name", "convention"),
    [
        ("a_nor_dx_4k.png", NormalConvention.DX),
        ("a_NormalDX.png", NormalConvention.DX),
        ("a_Normal_DirectX.png", NormalConvention.DX),
        ("a_normal.png", NormalConvention.GL),
        ("a_nrm_ogl.png", NormalConvention.GL),
        ("a_nor_dx_02.png", NormalConvention.DX),
        ("a_normaldx2.png", NormalConvention.DX),
    ],
)
def test_normal_maps_have_a_convention(name: str, convention: NormalConvention) -> None:
    parsed = map_name(name)
    assert parsed is not None
    assert (parsed.role, parsed.normal) == (Role.NORMAL, convention)


def test_maps_of_one_material_are_a_stack(tmp_path: Path) -> None:
    for name in ("a_col.png", "a_nor.png", "b_col.png", "photo.png", "sub/albedo.png", "sub/ao.png", ".cache/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    found = group_maps(pictures_below(tmp_path).files)
    assert [(item.name, item.is_stack, [path.name for path in item.paths]) for item in found] == [
        ("a", True, ["a_col.png", "a_nor.png"]),
        ("b_col", False, ["b_col.png"]),
        ("photo", False, ["photo.png"]),
        ("sub", True, ["albedo.png", "ao.png"]),
    ]
