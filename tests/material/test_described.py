"""What a picture is taken as: by its name and its pixels, and not by the way that it comes in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
from PIL import Image

import gscodec
from gscodec.batch.plan import Manifest, make_items
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import InvalidArgument, SourceWarning
from gscodec.image.stack import ImageStack
from gscodec.material.load_picture import load_picture
from gscodec.material.maps import Overrides, load_source
from gscodec.material.restore import restore
from gscodec.model.channels import AlphaMode, NormalConvention, Role, Transfer

Levels = npt.NDArray[Any]
SIDE = 48

_Y, _X = np.mgrid[0:SIDE, 0:SIDE] / SIDE
_WAVE = 0.5 + 0.4 * np.sin(9 * _X) * np.cos(7 * _Y)


def codes(*planes: Levels) -> Levels:
    return np.asarray(np.clip(np.stack(np.broadcast_arrays(*planes), axis=2), 0, 1) * 255 + 0.5, np.uint8)


def vectors(slope: float = 0.5) -> tuple[Levels, Levels, Levels]:
    x, y = slope * np.sin(11 * _X), slope * np.cos(8 * _Y)
    return x, y, np.sqrt(1 - x * x - y * y)


def photo() -> Levels:
    """Light and shade over a few hues: what a camera sees."""
    shade = 0.15 + 0.8 * _WAVE
    return codes(shade, shade * (0.8 + 0.1 * _X), shade * (0.6 + 0.3 * _Y))


def colour_ramps() -> Levels:
    return codes(_X, _Y, 0.5 + 0.3 * np.sin(8 * _X))


def normals() -> Levels:
    return codes(*(0.5 + 0.5 * each for each in vectors()))


def short_normals() -> Levels:
    return codes(*(0.5 + 0.4 * each for each in vectors()))


def object_normals() -> Levels:
    angle = 6 * _X
    return codes(0.5 + 0.5 * np.sin(angle), 0.5 + 0.25 * _Y, 0.5 + 0.5 * np.cos(angle) * np.sqrt(1 - 0.25 * _Y**2))


def two_channel_normals(fill: float = 0.0) -> Levels:
    x, y, _ = vectors(0.65)
    return codes(0.5 + 0.5 * x, 0.5 + 0.5 * y, np.full_like(x, fill))


def gray() -> Levels:
    return codes(_WAVE)[:, :, 0]


def gray_rgb() -> Levels:
    return np.repeat(gray()[:, :, None], 3, axis=2)


def gray_rgb_nearly() -> Levels:
    noise = np.random.default_rng(0).integers(-2, 3, (SIDE, SIDE, 3))
    return np.asarray(np.clip(gray_rgb() + noise, 0, 255), np.uint8)


def packed() -> Levels:
    return codes(0.7 + 0.3 * _X, _WAVE, (_Y > 0.6).astype(float))


def smooth_alpha() -> Levels:
    return np.concatenate([gray_rgb(), codes(_X)], axis=2)


def opaque_photo() -> Levels:
    return np.concatenate([photo(), np.full((SIDE, SIDE, 1), 255, np.uint8)], axis=2)


def cut_out_photo() -> Levels:
    return np.concatenate([photo(), codes(_X)], axis=2)


def flat_areas() -> Levels:
    colours = np.array([[200, 30, 40], [20, 90, 210], [240, 220, 10]], np.uint8)
    return np.asarray(colours[(3 * _X).astype(int)])


def binary() -> Levels:
    return np.asarray(np.where(_WAVE > 0.5, 255, 0), np.uint8)


def deep_gray() -> Levels:
    return np.asarray(_WAVE * 65535, np.uint16)


def normals_with_height() -> Levels:
    return np.concatenate([normals(), codes(_WAVE)], axis=2)


COLOUR = (Role.COLOR, Transfer.SRGB)


def linear(role: Role) -> tuple[Role, Transfer]:
    return role, Transfer.LINEAR


CASES: list[tuple[str, Callable[[], Levels], tuple[Role, Transfer], int]] = [
    # A name and pixels that agree.
    ("rock_nor.png", normals, linear(Role.NORMAL), 2),
    ("rock_normal_dx.png", normals, linear(Role.NORMAL), 2),
    ("Rock_NormalGL.png", normals, linear(Role.NORMAL), 2),
    ("rock_n.png", normals, linear(Role.NORMAL), 2),
    ("rock_normal_map.png", short_normals, linear(Role.NORMAL), 3),
    ("rock_nrm.png", object_normals, linear(Role.NORMAL), 3),
    ("rock_nor.png", two_channel_normals, linear(Role.NORMAL), 2),
    ("rock_nor.png", lambda: two_channel_normals(1.0), linear(Role.NORMAL), 2),
    ("rock_nor.png", normals_with_height, linear(Role.NORMAL), 4),
    ("rock_rough.png", gray, linear(Role.ROUGHNESS), 1),
    ("rock_rough_2k.png", gray_rgb, linear(Role.ROUGHNESS), 1),
    ("rock_rough.png", gray_rgb_nearly, linear(Role.ROUGHNESS), 3),
    ("rock_ao.png", gray_rgb, linear(Role.AO), 1),
    ("rock_metal.png", binary, linear(Role.METALNESS), 1),
    ("rock_disp.png", deep_gray, linear(Role.HEIGHT), 1),
    ("rock_HeightMap.png", deep_gray, linear(Role.HEIGHT), 1),
    ("rock_opacity.png", binary, linear(Role.OPACITY), 1),
    ("rock_mask.png", gray, linear(Role.MASK), 1),
    ("rock_mask.png", flat_areas, linear(Role.MASK), 3),
    ("rock_arm.png", packed, linear(Role.DATA), 3),
    ("rock_orm.png", colour_ramps, linear(Role.DATA), 3),
    ("rock_metallicSmoothness.png", smooth_alpha, linear(Role.DATA), 4),
    ("rock_MaskMap.png", cut_out_photo, linear(Role.MASK), 4),
    ("rock_id.png", flat_areas, linear(Role.DATA), 3),
    ("rock_flow.png", two_channel_normals, linear(Role.DATA), 2),
    ("rock_spec.png", gray, linear(Role.DATA), 1),
    ("rock_col.png", photo, (Role.ALBEDO, Transfer.SRGB), 3),
    ("rock_diff.png", cut_out_photo, (Role.ALBEDO, Transfer.SRGB), 4),
    ("rock_glow.png", photo, (Role.EMISSIVE, Transfer.SRGB), 3),
    ("rock_basecolor.png", gray_rgb, (Role.ALBEDO, Transfer.SRGB), 1),
    # Words of which maps are called in the names of ordinary pictures.
    ("heavy_metal.png", photo, COLOUR, 3),
    ("my_id.png", photo, COLOUR, 3),
    ("left_arm.png", photo, COLOUR, 3),
    ("left_arm.png", colour_ramps, COLOUR, 3),
    ("aunt_norm.png", photo, COLOUR, 3),
    ("aunt_norm.png", gray_rgb, COLOUR, 1),
    ("carnival_mask.png", photo, COLOUR, 3),
    ("carnival_mask.png", cut_out_photo, COLOUR, 4),
    ("river_flow.png", photo, COLOUR, 3),
    ("leaf_alpha.png", cut_out_photo, COLOUR, 4),
    ("leaf_alpha.png", smooth_alpha, COLOUR, 4),
    ("speed_bump.png", photo, COLOUR, 3),
    ("full_spec.png", photo, COLOUR, 3),
    ("lip_gloss.png", photo, COLOUR, 3),
    ("in_the_rough.png", colour_ramps, COLOUR, 3),
    # Names that say nothing.
    ("holiday.png", photo, COLOUR, 3),
    ("holiday.png", opaque_photo, COLOUR, 3),
    ("holiday.png", gray_rgb, COLOUR, 1),
    ("flat_light.png", normals, COLOUR, 3),
]


def save(path: Path, levels: Levels) -> Path:
    Image.fromarray(levels).save(path)
    return path


def partner(path: Path) -> Path:
    """Another map of the material that a file's name says."""
    name = "rock_ao.png" if "ao" not in path.name else "rock_col.png"
    other = Path(path.parent) / name
    return save(other, gray()[::-1] if "ao" in name else photo()[::-1])


def alone(path: Path) -> ImageStack:
    return load_source([path])


def in_a_list(path: Path) -> ImageStack:
    return load_source([partner(path), path], overrides=Overrides(stack=True))


def in_a_folder(path: Path) -> ImageStack:
    partner(path)
    return load_source([path.parent], overrides=Overrides(stack=True))


def alone_in_a_folder(path: Path) -> ImageStack:
    return load_source([path.parent])


def in_a_manifest(path: Path) -> ImageStack:
    manifest = path.parent / "m.toml"
    manifest.write_text(f'[[map]]\nfile = "{partner(path).name}"\n[[map]]\nfile = "{path.name}"\n', encoding="utf-8")
    return load_source([manifest])


def in_a_batch(path: Path) -> ImageStack:
    partner(path)
    items = make_items(Manifest(path.parent / "out", path.parent), EncodeSettings())
    item = next(item for item in items if path in item.sources)
    return load_source(item.sources, overrides=item.settings.overrides)


WAYS = [alone, alone_in_a_folder, in_a_list, in_a_folder, in_a_manifest, in_a_batch]


@pytest.mark.filterwarnings("ignore:.*is called:gscodec.errors.SourceWarning")
@pytest.mark.parametrize(("name", "draw", "meant", "n_channels"), CASES)
def test_a_picture_is_the_same_whichever_way_it_comes(
    name: str, draw: Callable[[], Levels], meant: tuple[Role, Transfer], n_channels: int, tmp_path: Path
) -> None:
    levels = draw()
    for number, way in enumerate(WAYS):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = save(folder / name, levels)
        stack = way(path)
        entry = next((entry for entry in stack.files if entry.name == name), None)
        group = stack.groups[0] if entry is None else next(g for g in stack.groups if g.name == entry.groups[0])
        assert (group.role, group.transfer) == meant, way.__name__
        is_gray_alone = n_channels == 1 and group.role in {Role.COLOR, Role.ALBEDO} and len(stack.groups) == 1
        assert group.n_channels == (levels.shape[2] if is_gray_alone else n_channels), way.__name__
        dx = NormalConvention.DX if "dx" in name else NormalConvention.GL
        assert group.normal is (dx if group.role is Role.NORMAL else NormalConvention.NONE)
        assert group.bit_depth == 8 * levels.dtype.itemsize
        has_alpha = n_channels == 4 and group.role in {Role.COLOR, Role.ALBEDO}
        assert group.alpha is (AlphaMode.STRAIGHT if has_alpha else AlphaMode.NONE)
        if entry is not None:
            back = restore(entry, stack.groups, stack.samples, stack.samples.shape[:2]).samples
            assert back.shape == (*levels.shape[:2], levels.shape[2] if levels.ndim == 3 else 1)
            assert back.dtype == levels.dtype
            assert np.abs(back.squeeze().astype(int) - levels).max() <= (2 if entry.unit_z else 0)


@pytest.mark.parametrize(
    ("name", "draw", "note"),
    [
        (
            "left_arm.png",
            photo,
            "'arm', but is no map of occlusion, roughness and metalness: taken as colour",
        ),
        ("heavy_metal.png", photo, "is not gray"),
        ("aunt_norm.png", photo, "no vectors of length 1"),
        ("leaf_alpha.png", smooth_alpha, "has an alpha of its own"),
    ],
)
def test_a_name_that_is_not_believed_is_reported(
    name: str, draw: Callable[[], Levels], note: str, tmp_path: Path
) -> None:
    with pytest.warns(SourceWarning, match=f"{name}: is called .*{note}"):
        load_source([save(tmp_path / name, draw())])


def test_a_role_may_be_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path / "holiday.png", photo())
    stack = load_source([path], overrides=Overrides(role=Role.NORMAL, normal=NormalConvention.DX))
    assert (stack.groups[0].role, stack.groups[0].normal) == (Role.NORMAL, NormalConvention.DX)
    metal = save(tmp_path / "heavy_metal.png", gray())
    assert load_source([metal]).groups[0].role is Role.METALNESS
    assert load_source([metal], overrides=Overrides(role=Role.COLOR)).groups[0].transfer is Transfer.SRGB
    with pytest.raises(InvalidArgument, match="has one channel, a normal map needs two or three"):
        load_source([metal], overrides=Overrides(role=Role.NORMAL))
    with pytest.raises(InvalidArgument, match="is not a normal map"):
        load_source([metal], overrides=Overrides(normal=NormalConvention.DX))
    with pytest.raises(InvalidArgument, match="a manifest"):
        load_source([path, metal], overrides=Overrides(role=Role.COLOR, stack=True))
    with pytest.raises(InvalidArgument, match="role 'nice' is not known; role is one of color"):
        gscodec.encode(path, gaussians=5, role="nice")


def floats(path: Path, channels: dict[str, Levels], dtype: str = "float16") -> Path:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {name: np.ascontiguousarray(plane.astype(dtype)) for name, plane in channels.items()}).write(
        str(path)
    )
    return path


def test_normals_of_floats_are_one_group_in_even_steps(tmp_path: Path) -> None:
    x, y, z = vectors()
    cases: list[dict[str, Levels]] = [
        {"R": x, "G": y, "B": z},
        {"R": 0.5 + 0.5 * x, "G": 0.5 + 0.5 * y, "B": 0.5 + 0.5 * z},
        {"X": x, "Y": y, "Z": z},
        {"R": x, "G": y},
        {"R": x, "G": y, "B": z, "A": np.ones_like(x)},
    ]
    for number, channels in enumerate(cases):
        stack = load_source([floats(tmp_path / f"rock{number}_nor_gl_2k.exr", channels)])
        group = stack.groups[0]
        colours = [name for name in channels if name != "A"]
        assert (group.role, group.transfer, group.n_channels) == (Role.NORMAL, Transfer.LINEAR, len(colours))
        (entry,) = stack.files
        (back,) = [restore(entry, stack.groups, to_render(stack), stack.samples.shape[:2]).samples]
        places = {channel["name"]: channel["place"] for channel in entry.exr["channels"]}
        for name, plane in channels.items():
            np.testing.assert_allclose(back[:, :, places[name]], plane.astype(np.float16), atol=1e-3)


def to_render(stack: ImageStack) -> npt.NDArray[np.float32]:
    from gscodec.image.levels import to_values

    return to_values(stack.samples, stack.groups)


def test_light_of_floats_stays_as_it_was_read(tmp_path: Path) -> None:
    light = floats(tmp_path / "rock_col.exr", dict.fromkeys("RGB", 100 * _X))
    assert load_source([light]).groups[0].transfer is Transfer.ASINH
    layers = {"a.R": _X, "a.G": _X, "a.B": _X, "b.Z": _Y}
    stack = load_source([floats(tmp_path / "rock_nor.exr", layers)])
    assert [group.role for group in stack.groups] == [Role.COLOR, Role.DATA]


@pytest.mark.parametrize(
    ("name", "role"), [("lamp_emissive", "emissive"), ("lamp_albedo", "albedo"), ("lamp", "color")]
)
def test_light_of_floats_has_the_role_that_its_name_says(name: str, role: str, tmp_path: Path) -> None:
    groups = load_source([floats(tmp_path / f"{name}.exr", dict.fromkeys("RGBA", 9 * _X))]).groups
    assert [group.role for group in groups] == [role, Role.OPACITY]
    assert groups[0].transfer is Transfer.ASINH


def test_a_material_of_openexr_and_png(tmp_path: Path) -> None:
    x, y, z = vectors()
    paths = [
        save(tmp_path / "rock_diff_2k.png", photo()),
        floats(tmp_path / "rock_nor_gl_2k.exr", {"R": x, "G": y, "B": z}),
        floats(tmp_path / "rock_disp_2k.exr", {"Y": _WAVE}),
        floats(tmp_path / "rock_rough_2k.exr", dict.fromkeys("RGB", _WAVE)),
    ]
    stack = load_source(paths)
    assert [(g.name, g.role.value, g.n_channels) for g in stack.groups] == [
        ("albedo", "albedo", 3),
        ("normal", "normal", 3),
        ("height", "height", 1),
        ("roughness", "roughness", 1),
    ]
    assert [entry.name for entry in stack.files] == [path.name for path in paths]
    rough = restore(stack.files[3], stack.groups, to_render(stack), stack.samples.shape[:2])
    assert rough.entry.n_channels == 3


def test_large_pictures_and_tiles_have_their_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gscodec.material.load_picture.LARGE_PIXELS", 1000)
    monkeypatch.setattr("gscodec.material.tile_folder.LARGE_PIXELS", 10_000)
    for name in ("rock_nor.png", "rock_nor.tif"):
        with load_picture([save(tmp_path / name, normals())]) as source:  # type: ignore[union-attr]  # in parts
            assert (source.groups[0].role, source.groups[0].transfer) == (Role.NORMAL, Transfer.LINEAR)
    with pytest.warns(SourceWarning, match="is called 'nor'"):
        source = load_picture([save(tmp_path / "aunt_nor.png", photo())])
    with source:  # type: ignore[union-attr]
        assert source.groups[0].role is Role.COLOR
    (tmp_path / "tiles").mkdir()
    for row in (0, 1):
        save(tmp_path / "tiles" / f"rock_nor_0_{row}.png", normals())
    monkeypatch.setattr("gscodec.material.load_picture.LARGE_PIXELS", 1 << 20)
    found = load_picture([tmp_path / "tiles"])
    assert isinstance(found, ImageStack)
    assert (found.groups[0].role, found.groups[0].n_channels) == (Role.NORMAL, 2)
