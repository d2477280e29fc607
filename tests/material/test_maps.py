from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gscodec.errors import FileAccessError, InvalidArgument, LimitExceeded
from gscodec.image.stack import ImageStack
from gscodec.material.maps import Overrides, load_source
from gscodec.material.restore import restore
from gscodec.model.channels import NormalConvention, Role, Transfer


def save(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def unit_normals(side: int) -> np.ndarray:
    y, x = np.mgrid[-0.6 : 0.6 : side * 1j, -0.6 : 0.6 : side * 1j]
    vectors = np.stack([x, y, np.sqrt(1 - x * x - y * y)], axis=2)
    return np.asarray(np.round((vectors + 1) * 127.5), np.uint8)


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """A folder of maps in all shapes: RGBA without transparency, gray as RGB, a mask, 16 bits, a smaller one."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "rock"
    folder.mkdir()
    opaque = np.concatenate([rng.integers(0, 256, (16, 16, 3)), np.full((16, 16, 1), 255)], axis=2).astype(np.uint8)
    save(folder / "rock_basecolor.png", opaque)
    save(folder / "rock_normal_dx.png", unit_normals(16))
    save(folder / "rock_rough.png", np.repeat(rng.integers(0, 256, (16, 16, 1), np.uint8), 3, axis=2))
    save(folder / "rock_mask.png", (rng.random((8, 8)) > 0.5).astype(np.uint8) * 255)
    save(folder / "rock_height.png", rng.integers(0, 65536, (16, 16), np.uint16))
    save(folder / "rock_ao.png", np.full((4, 4), 200, np.uint8))
    return folder


def restored(stack: ImageStack) -> dict[str, np.ndarray]:
    """What a perfect codec would give back."""
    return {
        entry.name: restore(entry, stack.groups, stack.samples, stack.samples.shape[:2]).samples
        for entry in stack.files
    }


def test_channels_are_those_that_say_something(material: Path) -> None:
    stack = load_source([material])
    groups = {group.name: group for group in stack.groups}
    assert {name: group.n_channels for name, group in groups.items()} == {
        "albedo": 3,
        "normal": 2,
        "roughness": 1,
        "mask": 1,
        "height": 1,
    }
    assert stack.samples.shape == (16, 16, 8)
    assert groups["normal"].normal is NormalConvention.DX
    assert (groups["albedo"].transfer, groups["roughness"].transfer) == (Transfer.SRGB, Transfer.LINEAR)
    assert groups["height"].bit_depth == 16
    assert [entry.name for entry in stack.files][:2] == ["rock_basecolor.png", "rock_normal_dx.png"]
    constant = next(entry for entry in stack.files if entry.name == "rock_ao.png")
    assert constant.groups == ()
    assert constant.constant == pytest.approx((200 / 255,))


def test_files_are_put_together_again(material: Path) -> None:
    pictures = restored(load_source([material]))
    for name in ("rock_basecolor.png", "rock_rough.png", "rock_height.png"):
        with Image.open(material / name) as image:
            source = np.asarray(image)
        np.testing.assert_array_equal(pictures[name].squeeze(), source)
    with Image.open(material / "rock_normal_dx.png") as image:
        source = np.asarray(image).astype(int)
    assert np.abs(pictures["rock_normal_dx.png"] - source).max() <= 2
    with Image.open(material / "rock_mask.png") as image:
        mask = np.asarray(image)
    np.testing.assert_array_equal(pictures["rock_mask.png"][:, :, 0], np.kron(mask, np.ones((2, 2), np.uint8)))
    assert (pictures["rock_ao.png"] == 200).all()


def test_normals_that_are_not_of_length_one_keep_their_z(tmp_path: Path) -> None:
    values = np.asarray(np.round((unit_normals(12) / 127.5 - 1) * 102 + 127.5), np.uint8)
    stack = load_source([save(tmp_path / "a_normal.png", values), save(tmp_path / "a_col.png", values)])
    assert [group.n_channels for group in stack.groups if group.role is Role.NORMAL] == [3]


def test_a_stack_of_constants_keeps_one_group(tmp_path: Path) -> None:
    paths = [save(tmp_path / name, np.full((4, 4), 7, np.uint8)) for name in ("a_ao.png", "a_rough.png")]
    stack = load_source(paths)
    assert [group.name for group in stack.groups] == ["ao"]
    assert {name: int(values.max()) for name, values in restored(stack).items()} == {"a_ao.png": 7, "a_rough.png": 7}


def test_manifest(tmp_path: Path, material: Path) -> None:
    manifest = tmp_path / "rock.toml"
    manifest.write_text(
        '[[map]]\nfile = "rock/rock_rough.png"\nname = "gloss"\nrole = "data"\n'
        '[[map]]\nfile = "rock/rock_normal_dx.png"\nnormal = "gl"\n',
        encoding="utf-8",
    )
    stack = load_source([manifest])
    assert [(group.name, group.role) for group in stack.groups] == [("gloss", Role.DATA), ("normal", Role.NORMAL)]
    assert stack.groups[1].normal is NormalConvention.GL
    assert material.exists()


def test_a_manifest_tells_weights_and_a_mask(tmp_path: Path, material: Path) -> None:
    save(tmp_path / "charts.png", np.repeat(np.array([[0, 255]], np.uint8), 2, axis=0))
    manifest = tmp_path / "rock.toml"
    manifest.write_text(
        'mask = "charts.png"\n[[map]]\nfile = "rock/rock_rough.png"\nweight = 0.5\n'
        '[[map]]\nfile = "rock/rock_basecolor.png"\n[[map]]\nfile = "rock/rock_ao.png"\nweight = 3\n',
        encoding="utf-8",
    )
    stack = load_source([manifest])
    assert dict(zip([group.name for group in stack.groups], stack.weights, strict=True)) == {
        "roughness": 0.5,
        "albedo": 1.0,
    }, "a map of one value has no samples to weigh"
    assert stack.visible is not None
    assert stack.visible[:, 10:].all()
    assert not stack.visible[:, :4].any()
    assert material.exists()


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("[[map]", "not a TOML file"),
        ("", "lists no maps"),
        ("[[map]]\nrole = 'ao'", "names no file"),
        ("[[map]]\nfile = 'a.png'\nrole = 'x'", "role is one of color"),
        ("[[map]]\nfile = 'a.png'\nsize = '3'", "'size'"),
        ("preset = 'fast'\n[[map]]\nfile = 'a.png'", "'preset'"),
        ("[[map]]\nfile = 'a.png'\nweight = 'much'", "weight 'much'"),
        ("[[map]]\nfile = 'a.png'\nweight = 1000", "0.01 to 100"),
        ("mask = 3\n[[map]]\nfile = 'a.png'", "mask 3"),
    ],
)
def test_manifests_that_are_wrong(tmp_path: Path, text: str, fact: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidArgument, match=fact):
        load_source([path])


def test_what_cannot_be_a_stack(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="no pictures"):
        load_source([tmp_path])
    gray = np.zeros((2, 2), np.uint8)
    for name in ("a_col.png", "a_ao.png", "b_col.png", "b_ao.png"):
        save(tmp_path / name, gray)
    with pytest.raises(InvalidArgument, match=r"several materials \(a, b\)"):
        load_source([tmp_path])
    (tmp_path / "x").mkdir()
    twin = save(tmp_path / "x" / "a_col.png", gray)
    with pytest.raises(InvalidArgument, match="two maps are called a_col"):
        load_source([tmp_path / "a_col.png", twin], overrides=Overrides(stack=True))
    with pytest.raises(InvalidArgument, match="name a picture"):
        load_source([])


def test_too_many_channels(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    paths = [save(tmp_path / f"m{number}.png", values) for number in range(22)]
    with pytest.raises(LimitExceeded, match="66 channels"):
        load_source(paths, overrides=Overrides(stack=True))


def test_names_of_groups_are_made_unique(tmp_path: Path) -> None:
    values = np.arange(4, dtype=np.uint8).reshape(2, 2)
    stack = load_source(
        [save(tmp_path / name, values) for name in ("a_ao.png", "b_ao.png")], overrides=Overrides(stack=True)
    )
    assert [group.name for group in stack.groups] == ["ao", "ao_2"]
    assert [entry.groups for entry in stack.files] == [("ao",), ("ao_2",)]
