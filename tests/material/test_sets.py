"""Grouping of pictures to the maps of a material, and treatment of the others."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gscodec.batch.keys import changed
from gscodec.batch.plan import make_items, read_manifest
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import InvalidArgument
from gscodec.material.discover import group_maps, set_fault
from gscodec.material.maps import Overrides, load_source


def draw(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        values = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(values).save(path)
    return paths


SETS = [
    ("rock_col.png", "rock_nor.png"),
    ("albedo.png", "normal.png", "roughness.png"),
    ("Rock_Color.jpg", "Rock_NormalGL.jpg", "Rock_NormalDX.jpg", "Rock_Roughness.jpg"),
    ("rock_diff_2k.jpg", "rock_rough_1k.png"),
    ("rock_arm.png", "rock_orm.png", "rock_col.png"),
]

NO_SETS: dict[tuple[str, ...], str] = {
    ("a.png", "b.png"): "a.png does not name a map",
    ("rock_col.png", "preview.png"): "preview.png does not name a map",
    ("rock_col.png", "rock.png"): "rock.png does not name a map",
    ("rock_col.png", "wall_nor.png"): "name different materials",
    ("albedo.png", "rock_nor.png"): "name different materials",
    ("rock_col.png", "rock_diff.png"): "rock_col.png and rock_diff.png are both albedo",
    ("rock_nor_gl.png", "rock_normal_opengl.png"): "are both normal",
    ("rock_col_1k.png", "rock_col_2k.png"): "are both albedo",
    ("rock_col.png", "rock_col.jpg"): "are both albedo",
    ("wood_col_1001.png", "wood_nor_1002.png"): "name different materials",
}


@pytest.mark.filterwarnings("ignore:.*is called 'nor:gscodec.errors.SourceWarning")  # gray, and quick to draw
@pytest.mark.parametrize("names", SETS)
def test_maps_of_one_material_are_one_stack(names: tuple[str, ...], tmp_path: Path) -> None:
    paths = draw(tmp_path / "rock", *names)
    assert set_fault(paths) is None
    assert {entry.name for entry in load_source(paths).files} == set(names)
    assert {entry.name for entry in load_source([tmp_path / "rock"]).files} == set(names)
    (found,) = group_maps(paths)
    assert found.is_stack


@pytest.mark.filterwarnings("ignore:.*is called 'nor:gscodec.errors.SourceWarning")
@pytest.mark.parametrize("names", NO_SETS)
def test_other_pictures_are_not_welded_together(names: tuple[str, ...], tmp_path: Path) -> None:
    paths = draw(tmp_path / "holiday", *names)
    for sources in (paths, [tmp_path / "holiday"]):
        with pytest.raises(InvalidArgument, match=NO_SETS[names]) as refusal:
            load_source(sources)
        assert "--stack" in str(refusal.value)
        assert "\n" not in str(refusal.value)
        stack = load_source(sources, overrides=Overrides(stack=True))
        assert {entry.name for entry in stack.files} == set(names)
    assert not any(found.is_stack for found in group_maps(paths))


def test_map_words_alone_are_a_set_in_one_folder_only(tmp_path: Path) -> None:
    paths = [*draw(tmp_path / "a", "albedo.png"), *draw(tmp_path / "b", "normal.png")]
    with pytest.raises(InvalidArgument, match="different materials"):
        load_source(paths)


def test_one_picture_in_a_folder_is_that_picture(tmp_path: Path) -> None:
    draw(tmp_path / "one", "photo.png")
    stack = load_source([tmp_path / "one"])
    assert stack.files == ()
    assert [group.name for group in stack.groups] == ["color"]


def test_sizes_and_types_of_a_material_are_stacks_of_their_own(tmp_path: Path) -> None:
    names = ["rock_col_1k.png", "rock_col_2k.png", "rock_nor_1k.png", "rock_nor_2k.png", "rock_ao_2k.png"]
    names += ["wall_col.png", "wall_col.jpg", "wall_ao.jpg", "bark_col.png", "bark_diff.png", "bark_ao.png"]
    found = group_maps(draw(tmp_path, *names))
    assert {item.name: [path.name for path in item.paths] for item in found} == {
        "rock_1k": ["rock_col_1k.png", "rock_nor_1k.png"],
        "rock_2k": ["rock_col_2k.png", "rock_nor_2k.png", "rock_ao_2k.png"],
        "wall_jpg": ["wall_col.jpg", "wall_ao.jpg"],
        "wall_col": ["wall_col.png"],
        "bark_col": ["bark_col.png"],
        "bark_diff": ["bark_diff.png"],
        "bark_ao": ["bark_ao.png"],
    }


def test_both_conventions_of_a_normal_map_have_names_of_their_own(tmp_path: Path) -> None:
    values = np.full((8, 8, 3), (128, 128, 255), np.uint8)
    values[::2] = (188, 128, 240)
    paths = [tmp_path / "rock_NormalDX.png", tmp_path / "rock_NormalGL.png"]
    for path in paths:
        Image.fromarray(values).save(path)
    stack = load_source(paths)
    assert [(group.name, group.normal.value) for group in stack.groups] == [("normal", "dx"), ("normal_2", "gl")]


def test_a_batch_manifest_says_stack_and_role(tmp_path: Path) -> None:
    draw(tmp_path / "art", "front.png", "back.png", "heavy_metal.png")
    (tmp_path / "m.toml").write_text(
        'output = "out"\nsource = "art"\n'
        '[[rule]]\nmatch = "heavy_*"\nrole = "color"\n'
        '[[item]]\nname = "sign"\nfiles = ["art/front.png", "art/back.png"]\nstack = true\n'
        '[[item]]\nname = "poster"\nfiles = ["art/front.png", "art/back.png"]\n',
        encoding="utf-8",
    )
    items = {item.name: item for item in make_items(read_manifest(tmp_path / "m.toml"), EncodeSettings(bpp=1))}
    sign, poster, metal = items["sign"], items["poster"], items["heavy_metal"]
    assert len(load_source(sign.sources, overrides=sign.settings.overrides).files) == 2
    with pytest.raises(InvalidArgument, match="does not name a map"):
        load_source(poster.sources, overrides=poster.settings.overrides)
    assert load_source(metal.sources, overrides=metal.settings.overrides).groups[0].role.value == "color"
    assert metal.settings.role == "color"
    assert metal.settings.for_samples() == EncodeSettings(bpp=1)


@pytest.mark.parametrize(
    ("values", "fact"),
    [
        ({"role": "nice"}, "role is one of color"),
        ({"normal": "up"}, "gl or dx"),
        ({"stack": 1}, "is not true or false"),
    ],
)
def test_settings_of_a_batch_are_checked_when_it_is_read(values: dict[str, object], fact: str) -> None:
    with pytest.raises(InvalidArgument, match=fact):
        changed(EncodeSettings(), values, "rule 1")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("file = ''", "names no file"),
        ("file = 'a.png'\nnormal = 'none'", "normal is gl or dx"),
        ("file = 'a.png'\nrole = 'ao'\nnormal = 'dx'", "is not a normal map"),
        ("file = 'a.png'\nrole = ''", "role is one of color"),
    ],
)
def test_words_of_a_manifest_that_mean_nothing_are_refused(text: str, fact: str, tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    (tmp_path / "m.toml").write_text(f"[[map]]\n{text}\n", encoding="utf-8")
    with pytest.raises(InvalidArgument, match=fact):
        load_source([tmp_path / "m.toml"])


def test_a_manifest_without_end_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("map = " + "[" * 5000, encoding="utf-8")
    with pytest.raises(InvalidArgument, match="nested too deep"):
        load_source([tmp_path / "m.toml"])
