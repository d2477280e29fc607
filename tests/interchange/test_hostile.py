import io
import re
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gscodec
from gscodec.errors import BadImage, GsCodecError, InvalidArgument, LimitExceeded, SourceWarning
from gscodec.model.limits import Limits


@pytest.fixture(scope="module")
def archive(igs: Path) -> dict[str, Any]:
    with np.load(io.BytesIO(gscodec.export_gaussians(igs, "npz"))) as arrays:
        return dict(arrays)


def saved(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def refused(data: bytes) -> str:
    with pytest.raises(BadImage) as caught:
        gscodec.import_gaussians(data)
    text = str(caught.value)
    assert text.startswith("(bytes): ")
    assert "\n" not in text
    assert len(text) < 300
    return text


def test_arrays_that_are_no_gaussians_are_refused(archive: dict[str, Any]) -> None:
    nan = archive["means"].copy()
    nan[7, 1] = np.nan
    zero = archive["inv_scales"].copy()
    zero[9] = 0
    text = str(archive["picture"])
    for fact, change in {
        "no array means": {"means": None},
        "has the shape": {"means": archive["means"][:, :1]},
        "rotations has the shape (3,)": {"rotations": np.zeros(3)},
        "with 1 to 64 channels": {"features": np.zeros((200, 65))},
        "means of Gaussian 7 are not finite": {"means": nan},
        "inverse scale of Gaussian 9": {"inv_scales": zero},
        "the type": {"features": np.full((200, 3), "x")},
        "complex": {"features": np.zeros((200, 3), complex)},
        "object": {"means": np.full((200, 2), None)},
        "must be bytes": {"icc": np.zeros((2, 2))},
        "no text": {"picture": np.array([1, 2])},
        "not a JSON object": {"picture": np.array("{")},
        "width must be": {"picture": np.array('{"width":0,"height":1,"groups":[]}')},
        "no 'height'": {"picture": np.array('{"width":1}')},
        "not known": {"picture": np.array(text.replace('"width"', '"other":1,"width"'))},
        "role": {"picture": np.array(text.replace('"role":"color"', '"role":"sky"'))},
        "'bit_depth'": {"picture": np.array(text.replace('"bit_depth":8', '"bit_depth":true'))},
        "bit_depth": {"picture": np.array(text.replace('"bit_depth":8', '"bit_depth":99'))},
        "support_q is 0.5": {"picture": np.array(text.replace('"support_q":25.0', '"support_q":0.5'))},
        "twice": {"picture": np.array(text.replace('"top_k"', '"top_k":1,"top_k"'))},
        "float32 cannot": {"picture": np.array(re.sub(r'"background":\[[^,]*', '"background":[1e39', text))},
    }.items():
        arrays = {key: value for key, value in {**archive, **change}.items() if value is not None}
        assert fact in refused(saved(arrays)), fact


def with_member(data: bytes, name: str, member: bytes) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w") as new:
        for other in old.namelist():
            new.writestr(other, member if other == name else old.read(other))
    return result.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY\x09\x00",
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 2)}"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-200, 2)}"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (200, 2)}"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (200, 2)}", bytes(3199)),
        npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", bytes(8)),
        npy("__import__('os').system('echo executed')"),
        npy("(" * 3000),
        npy("{'descr': '<U9', 'fortran_order': False, 'shape': ()}", b"\xff" * 36),
    ],
)
@pytest.mark.parametrize("name", ["means.npy", "picture.npy"])
def test_members_that_lie_are_refused(igs: Path, member: bytes, name: str) -> None:
    refused(with_member(gscodec.export_gaussians(igs, "npz"), name, member))


def test_an_archive_that_unpacks_to_much_is_refused(igs: Path) -> None:
    result, source = io.BytesIO(), io.BytesIO(gscodec.export_gaussians(igs, "npz"))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, bytes(20 << 20) if name == "picture.npy" else old.read(name))
    assert "at most" in refused(result.getvalue())


def test_no_more_is_unpacked_than_the_archive_states() -> None:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("means.npy", "w") as member:
        for _ in range(64):
            member.write(bytes(1 << 20))
    data = bytearray(result.getvalue())
    entry = data.index(b"PK\1\2")
    data[entry + 24 : entry + 28] = struct.pack("<I", 1000)  # in place of 64 MiB
    tracemalloc.start()
    try:
        refused(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_members_that_are_packed_in_other_ways_are_refused(igs: Path) -> None:
    result = io.BytesIO()
    source = io.BytesIO(gscodec.export_gaussians(igs, "npz"))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(result, "w", zipfile.ZIP_LZMA) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert "neither stored nor deflated" in refused(result.getvalue())


def test_memory_is_that_of_the_gaussians_not_of_their_bytes(archive: dict[str, Any]) -> None:
    n = 50_000
    arrays = {
        "means": np.zeros((n, 2), np.uint8),
        "inv_scales": np.ones((n, 2), np.uint8),
        "rotations": np.zeros(n, np.uint8),
        "features": np.zeros((n, 3), np.uint8),
    }
    data = saved({**archive, **arrays})
    with pytest.raises(LimitExceeded, match="50000 Gaussians of 3 channels"):
        gscodec.import_gaussians(data, limits=Limits(max_memory=4 << 20))


def ply(header: str, data: bytes = b"") -> bytes:
    return f"ply\n{header}\nend_header\n".encode() + data


NEEDED = "\n".join(f"property float {name}" for name in ("x", "y", "inv_scale_0", "inv_scale_1", "rotation", "f_0"))


@pytest.mark.parametrize(
    "data",
    [
        b"ply",
        b"ply\n" + bytes(1 << 16),
        ply("format ascii 1.0\nelement vertex 1\nproperty float x", b"1\n"),
        ply(f"format ascii 1.0\nelement vertex 2\n{NEEDED}", b"1 2 3 4 5 6\n"),
        ply(f"format ascii 1.0\nelement vertex 1\n{NEEDED}", b"1 2 3 4 5 six\n"),
        ply(f"format ascii 1.0\nelement vertex 1\n{NEEDED}", b"1 2 3 4 5 nan\n"),
        ply(f"format binary_little_endian 1.0\nelement vertex 99999999999\n{NEEDED}"),
        ply(f"format binary_little_endian 1.0\nelement vertex 60000000\n{NEEDED}"),
        ply(f"format middle_endian 1.0\nelement vertex 1\n{NEEDED}", bytes(24)),
        ply(f"format ascii 1.0\nelement face 1\n{NEEDED}", b"1 2 3 4 5 6\n"),
        ply(f"format ascii 1.0\nelement vertex 1\n{NEEDED}\nproperty list uchar int i", b"1 2 3 4 5 6 0\n"),
        ply(f"format ascii 1.0\nelement vertex 1\n{NEEDED}\n{NEEDED}", b"1 2 3 4 5 6\n"),
        ply(f"format ascii 1.0\nelement vertex 1\n{NEEDED}", b"1 2 3 4 5 6\n"),
        ply(f"format ascii 1.0\ncomment gscodec []\nelement vertex 1\n{NEEDED}", b"1 2 3 4 5 6\n"),
        ply(f"format ascii 1.0\nsurprise\nelement vertex 1\n{NEEDED}", b"1 2 3 4 5 6\n"),
        ply("format ascii 1.0\n" + "property float x\n" * 9, b""),
        ply(f"format ascii 1.0\nelement vertex \u0661\n{NEEDED}", b""),
        b"PK\x03\x04",
        b"",
        b"<svg/>",
    ],
)
def test_files_that_are_no_gaussians_are_refused(data: bytes) -> None:
    refused(data)


def test_a_name_may_be_a_word_of_the_header(archive: dict[str, Any]) -> None:
    arrays = {key: value for key, value in archive.items() if key != "picture"}
    made = gscodec.import_gaussians(saved(arrays), size=(32, 48), channels={"end_header": 3}).data
    again = gscodec.import_gaussians(gscodec.export_gaussians(made, "ply")).data
    with gscodec.open(again) as image:
        assert image.groups[0].name == "end_header"


def test_the_source_is_not_replaced(archive: dict[str, Any], tmp_path: Path) -> None:
    source = tmp_path / "a.npz"
    source.write_bytes(saved(archive))
    (tmp_path / "b.igs").symlink_to(source)
    for output in (source, tmp_path / "b.igs"):
        with pytest.raises(InvalidArgument, match="the input"):
            gscodec.import_gaussians(source, output, overwrite=True)
    assert source.read_bytes() == saved(archive)


def test_a_size_that_no_picture_has_is_refused(archive: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=r"\(bytes\).* height is 1048577"):
        gscodec.import_gaussians(saved(archive), size=(1048577, 8))


def test_signalling_nans_are_not_finite_either(igs: Path) -> None:
    data = bytearray(_exported(igs, "ply"))
    begin = data.index(b"end_header\n") + len(b"end_header\n")
    assert "means of Gaussian 0 are not finite" in refused(
        bytes(data[:begin] + b"\x01\x00\x80\x7f" + data[begin + 4 :])
    )


@pytest.mark.parametrize("to", ["npz", "ply"])
@given(place=st.floats(0, 1), change=st.binary(min_size=1, max_size=4), cut=st.booleans())
@settings(max_examples=60)
def test_damage_is_refused_or_harmless(igs: Path, to: str, place: float, change: bytes, cut: bool) -> None:
    data = bytearray(_exported(igs, to))
    at = int(place * (len(data) - 4))
    data[at : at + len(change)] = change
    del data[at + len(change) if cut else len(data) :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SourceWarning)
        try:
            made = gscodec.import_gaussians(bytes(data)).data
        except GsCodecError as fault:
            made, fact = None, str(fault)
    if made is None:
        assert "\n" not in fact
    else:
        assert not gscodec.validate(made)


_CACHE: dict[tuple[Path, str], bytes] = {}


def _exported(igs: Path, to: str) -> bytes:
    make: Callable[[Path, str], bytes] = gscodec.export_gaussians
    return _CACHE.setdefault((igs, to), make(igs, to) if (igs, to) not in _CACHE else b"")
