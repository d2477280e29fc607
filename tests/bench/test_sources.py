from pathlib import Path

import numpy as np
import pytest
from gscodec_bench.sources import Skipped, discover, try_load
from icc_profiles import make_profile
from PIL import Image

from gscodec.errors import FileAccessError
from gscodec.model.channels import NormalConvention, Role, Transfer


def test_pictures_stacks_and_what_is_left_out(gallery: Path) -> None:
    sources, skipped = discover([gallery], skip=["odd/*"])
    assert [(s.name, s.category, len(s.paths)) for s in sources] == [
        ("art_two", "art", 1),
        ("photo/one", "photo", 1),
        ("rock/rock", "stack", 3),
    ]
    assert skipped == [Skipped("sky.exr", "the rivals have no pictures of floats")]


def test_a_folder_of_bare_maps_is_a_stack_named_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "plates"
    folder.mkdir()
    for name in ("normal", "albedo", "ao"):
        Image.new("RGB" if name != "ao" else "L", (20, 10)).save(folder / f"{name}.png")
    for root in (tmp_path, folder):
        (source,), _ = discover([root])
        assert (source.name, source.is_stack) == ("plates", True)
        assert [path.stem for path in source.paths] == ["albedo", "normal", "ao"]


def test_a_single_map_is_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "wall_albedo.png")
    (source,), _ = discover([tmp_path])
    assert not source.is_stack


def test_a_file_can_be_given_and_a_missing_one_is_refused(gallery: Path) -> None:
    (source,), _ = discover([gallery / "photo" / "one.png"])
    assert source.name == "one"
    with pytest.raises(FileAccessError, match="nowhere"):
        discover([gallery / "nowhere"])


def test_equal_names_below_two_folders_stay_apart(gallery: Path) -> None:
    names = [source.name for source in discover([gallery / "photo", gallery / "photo"])[0]]
    assert names == ["one", "one#2"]


def test_a_stack_loads_with_its_roles(gallery: Path) -> None:
    stack = next(source for source in discover([gallery])[0] if source.is_stack).load()
    assert stack.samples.shape == (64, 72, 7)
    roles = [(group.role, group.n_channels, group.transfer, group.normal) for group in stack.groups]
    assert roles == [
        (Role.ALBEDO, 3, Transfer.SRGB, NormalConvention.NONE),
        (Role.NORMAL, 3, Transfer.LINEAR, NormalConvention.GL),
        (Role.ROUGHNESS, 1, Transfer.LINEAR, NormalConvention.NONE),
    ]
    assert [group.source for group in stack.groups] == ["rock_albedo.png", "rock_normal.png", "rock-roughness.png"]
    with Image.open(gallery / "rock" / "rock_normal.png") as image:
        assert np.array_equal(np.rint(stack.samples[:, :, 3:6] * 255), np.asarray(image))


def test_faults_are_reasons(gallery: Path) -> None:
    by_name = {source.name: source for source in discover([gallery])[0]}
    assert "empty" in str(try_load(by_name["odd/empty"]))
    Image.new("L", (5, 5)).save(gallery / "rock" / "rock-roughness.png")
    assert try_load(by_name["rock/rock"]) == "rock/rock: rock-roughness.png is not 72x64 px as the first map"


def test_the_hash_follows_the_bytes_of_every_file(gallery: Path) -> None:
    stack = next(source for source in discover([gallery])[0] if source.is_stack)
    before = stack.sha256()
    assert before == stack.sha256()
    assert len(before) == 16
    Image.new("L", (72, 64)).save(gallery / "rock" / "rock-roughness.png")
    assert stack.sha256() != before


def test_icc_profiles_are_left_out(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png", icc_profile=make_profile())
    (source,), _ = discover([tmp_path])
    assert source.load().icc is None
