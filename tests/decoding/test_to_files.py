"""What `gscodec.decode` writes: the files of the command, from Python."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import gscodec
from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.errors import InvalidArgument, OutputExists
from gscodec.format.files import FileEntry
from gscodec.model.channels import ChannelGroup, Role, Transfer


@pytest.fixture
def picture(igs: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "photo.igs"
    path.write_bytes(igs)
    return path


@pytest.fixture
def stack(build: Callable[..., bytes], tmp_path: Path) -> Path:
    groups = (
        ChannelGroup("color", n_channels=3, source="c.png"),
        ChannelGroup("ao", Role.AO, 1, transfer=Transfer.LINEAR, source="ao.png"),
    )
    with IgsReader(build(45, 70, n_channels=4, groups=groups)) as reader:
        files = (FileEntry("c.png", 70, 45, 3, ("color",)), FileEntry("ao.png", 20, 10, 1, ("ao",)))
        data = pack(Contents(reader.grid, groups, reader.lods, reader.read(0), files=files))
    path = tmp_path / "rock.igs"
    path.write_bytes(data)
    return path


def test_a_picture_goes_beside_its_file(picture: Path) -> None:
    (written,) = gscodec.decode(picture)
    assert written == gscodec.Decoded(picture.with_suffix(".png"), "color.png", 0, 70, 45)
    with gscodec.open(picture) as image:
        np.testing.assert_array_equal(np.asarray(Image.open(picture.with_suffix(".png"))), image.render())


def test_a_part_at_a_level_and_a_size(picture: Path, tmp_path: Path) -> None:
    (written,) = gscodec.decode(picture, tmp_path / "part.tif", lod=1, region=(3, 5, 30, 20), size=(10, 15), bits=16)
    assert (written.path, written.width, written.height) == (tmp_path / "part.tif", 15, 10)
    with gscodec.open(picture) as image:
        expected = image.render(1, (3, 5, 30, 20), (10, 15), np.uint16)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "part.tif"), expected)


def test_maps_and_their_mips_go_to_a_folder(stack: Path, tmp_path: Path) -> None:
    written = gscodec.decode(stack, tmp_path / "maps", mips=True)
    assert [one.path.name for one in written if one.level == 1 and one.path] == ["c.mip1.png", "ao.mip1.png"]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == sorted(
        one.path.name for one in written if one.path
    )
    assert {(one.source, one.level, one.width, one.height) for one in written} >= {
        ("ao.png", 1, 10, 5),
        ("c.png", 6, 1, 1),
    }
    (ao,) = gscodec.decode(stack, tmp_path / "one.png", only=["ao"])
    assert (ao.path, ao.width, ao.height) == (tmp_path / "one.png", 20, 10)


def test_nothing_is_replaced_unasked(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mip3.png").write_bytes(b"mine")
    with pytest.raises(OutputExists, match=r"a\.mip3\.png"):
        gscodec.decode(picture, tmp_path / "a.png", mips=True)
    assert not (tmp_path / "a.png").exists()
    gscodec.decode(picture, tmp_path / "a.png", mips=True, overwrite=True)
    assert (tmp_path / "a.mip3.png").read_bytes() != b"mine"
    with pytest.raises(InvalidArgument, match="is the input"):
        gscodec.decode(picture, picture, format="png", overwrite=True)


def test_contradictions_are_refused(picture: Path, stack: Path, tmp_path: Path) -> None:
    for source, output, options, text in [
        (picture, "a.png", {"mips": True, "size": (4, 4)}, "whole picture"),
        (picture, "a.png", {"bits": 12}, "bits per sample"),
        (picture, "a.png", {"lod": 1, "max_bytes": 900}, "exclude each other"),
        (picture.read_bytes(), None, {}, "has no path"),
        (stack, "a.png", {}, "cannot store"),
        (stack, "a", {"only": ["height"]}, "has no map 'height'"),
    ]:
        target = None if output is None else tmp_path / output
        with pytest.raises(InvalidArgument, match=text):
            gscodec.decode(source, target, **options)  # type: ignore[arg-type]
        assert target is None or not target.exists()


def test_facts_and_faults_of_a_file(picture: Path, igs: bytes) -> None:
    with gscodec.open(picture) as image:
        assert gscodec.info(picture) == gscodec.info(igs) == image.info
    assert gscodec.validate(picture) == []
    assert gscodec.validate(igs[:-1])[0].severity == "error"
