import io
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageCms
from random_contents import random_contents

import gscodec
from gscodec.container.writer import pack
from gscodec.errors import BadImage, InvalidArgument, LimitExceeded, OutputExists, SourceWarning
from gscodec.model.channels import ChannelGroup, Role


def pixels(source: Path | bytes, lod: int = 0) -> np.ndarray:
    with gscodec.open(source) as image:
        return np.asarray(image.render(lod=lod))


@pytest.mark.parametrize("to", ["npz", "ply"])
def test_gaussians_of_an_f16_file_come_back_with_the_same_pixels(igs: Path, to: str, tmp_path: Path) -> None:
    data = gscodec.export_gaussians(igs, to)
    assert data == gscodec.export_gaussians(igs.read_bytes(), to)
    made = gscodec.import_gaussians(data, tmp_path / "back.igs")
    assert (made.n_gaussians, made.height, made.width, made.n_channels) == (200, 32, 48, 3)
    assert made.path is not None
    assert made.path.read_bytes() == made.data
    np.testing.assert_array_equal(pixels(made.path), pixels(igs))
    with gscodec.open(igs) as first, gscodec.open(made.data) as second:
        assert second.groups == first.groups
    assert not gscodec.validate(made.data)
    with pytest.raises(OutputExists):
        gscodec.import_gaussians(data, made.path)


def test_a_coarser_set_is_a_picture_of_its_own_size(igs: Path) -> None:
    level = gscodec.info(igs)["lods"][-1]
    made = gscodec.import_gaussians(gscodec.export_gaussians(igs, "npz", lod=1))
    assert (made.width, made.height, made.n_gaussians) == (level["width"], level["height"], level["n_gaussians"])
    with pytest.raises(InvalidArgument, match="LOD 2"):
        gscodec.export_gaussians(igs, "npz", lod=2)


def test_numpy_reads_the_arrays_that_the_guide_lists(igs: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "interchange.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \(", guide, re.MULTILINE))
    with np.load(io.BytesIO(gscodec.export_gaussians(igs, "npz")), allow_pickle=False) as arrays:
        for name in arrays.files:
            assert rows[name] == ("text" if name == "picture" else arrays[name].dtype.name)
        assert set(rows) == {*arrays.files, "icc"}
        assert arrays["means"].shape == (200, 2)
        picture = json.loads(str(arrays["picture"]))
    assert (picture["width"], picture["height"]) == (48, 32)
    for member in [*picture, *picture["groups"][0]]:
        assert f"`{member}`" in guide


def test_a_material_comes_back_with_its_files_and_profile() -> None:
    groups = (
        ChannelGroup("albedo", Role.ALBEDO, source="rock_albedo.png"),
        ChannelGroup("normal", Role.NORMAL, source="rock_normal.png"),
    )
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    contents = random_contents(60, 6, (40, 30), counts=(60,), icc=profile)
    contents = type(contents)(**{**vars(contents), "groups": groups})
    made = gscodec.import_gaussians(gscodec.export_gaussians(pack(contents), "npz"))
    with gscodec.open(made.data) as image:
        assert image.groups == groups
        assert image.icc == profile


def test_arrays_of_ones_own_need_a_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / "own.npz"
    arrays: dict[str, Any] = {
        "means": rng.uniform(0, 20, (50, 2)).astype(np.float32),
        "inv_scales": np.full((50, 2), 0.5, np.float16),
        "rotations": np.zeros(50, np.int64),
        "features": np.asfortranarray(rng.uniform(0, 1, (50, 7))),
    }
    np.savez(path, **arrays)
    with pytest.raises(BadImage, match="--size"):
        gscodec.import_gaussians(path)
    with pytest.raises(InvalidArgument, match="--channels"):
        gscodec.import_gaussians(path, size=(20, 24))
    with pytest.raises(InvalidArgument, match="6 channels"):
        gscodec.import_gaussians(path, size=(20, 24), channels={"albedo": 3, "normal": 3})
    with pytest.raises(InvalidArgument, match="size as well"):
        gscodec.import_gaussians(path, channels={"albedo": 3})
    made = gscodec.import_gaussians(path, size=(20, 24), channels={"albedo": 3, "normal_dx": 3, "roughness": 1})
    with gscodec.open(made.data) as image:
        assert [group.role.value for group in image.groups] == ["albedo", "normal", "roughness"]
        assert image.groups[1].normal.value == "dx"
        assert [entry.name for entry in image.files] == ["albedo.png", "normal_dx.png", "roughness.png"]
        assert image.shape == (20, 24, 7)


@pytest.mark.parametrize("profile", ["coded", "packed"])
def test_other_profiles_round_a_little(igs: Path, profile: str) -> None:
    made = gscodec.import_gaussians(gscodec.export_gaussians(igs, "npz"), profile=profile)
    assert gscodec.info(made.data)["profile"] == profile
    assert np.abs(pixels(made.data).astype(int) - pixels(igs)).mean() < 4


def test_text_and_the_other_byte_order_are_read_from_ply(igs: Path) -> None:
    data = gscodec.export_gaussians(igs, "ply")
    end = data.index(b"end_header\n") + len("end_header\n")
    header = data[:end].decode()
    names = re.findall(r"property (\w+) (\w+)", header)
    dtype = np.dtype([(name, "<f4" if kind == "float" else "u1") for kind, name in names])
    rows = np.frombuffer(data[end:], dtype)
    text = "\n".join(" ".join(repr(value.item()) for value in row) for row in rows) + "\n"
    ascii_header = header.replace("binary_little_endian", "ascii").replace("\n", "\r\n")
    swapped = rows.astype(dtype.newbyteorder(">")).tobytes()
    wanted = pixels(igs)
    for other in (
        ascii_header.encode() + text.encode(),
        header.replace("little", "big").encode() + swapped,
        data + b"what follows the vertices",
    ):
        np.testing.assert_array_equal(pixels(gscodec.import_gaussians(other).data), wanted)


def test_pillow_and_others_would_read_the_colours_of_ply() -> None:
    contents = random_contents(40, 3, (30, 30), counts=(40,))
    data = gscodec.export_gaussians(pack(contents), "ply")
    end = data.index(b"end_header\n") + len("end_header\n")
    rows = np.frombuffer(data[end:], np.dtype([("at", "<f4", 3), ("rgb", "u1", 3), ("more", "<f4", 6)]))
    np.testing.assert_array_equal(rows["rgb"], np.floor(np.clip(rows["more"][:, 3:], 0, 1) * 255 + 0.5))
    assert not rows["at"][:, 2].any()


def test_what_lies_outside_is_moved_and_counted() -> None:
    arrays = {
        "means": np.array([[5.0, 5.0], [-3.0, 5.0]]),
        "inv_scales": np.array([[0.5, 0.5], [0.5, 1e9]]),
        "rotations": np.zeros(2),
        "features": np.array([[0.5, 1e6, 0.0], [0.1, 0.2, 0.3]]),
    }
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SourceWarning)
        made = gscodec.import_gaussians(file.getvalue(), size=(10, 10))
    assert [str(one.message).split(" Gaussians ")[0] for one in caught] == ["(bytes): 1 of 2"] * 3
    assert made.n_gaussians == 2


def test_no_gaussians_at_all() -> None:
    contents = random_contents(0, 3, (20, 20), counts=(0,))
    for to in ("npz", "ply"):
        made = gscodec.import_gaussians(gscodec.export_gaussians(pack(contents), to))
        assert made.n_gaussians == 0
        np.testing.assert_array_equal(pixels(made.data), pixels(pack(contents)))
    assert gscodec.export_gaussians(pack(contents), "svg").count(b"<ellipse") == 0


def test_memory_is_limited(igs: Path) -> None:
    data = gscodec.export_gaussians(igs, "npz")
    with pytest.raises(LimitExceeded, match="memory"):
        gscodec.import_gaussians(data, limits=gscodec.Limits(max_memory=20_000))
    with pytest.raises(InvalidArgument, match="obj"):
        gscodec.export_gaussians(igs, "obj")
