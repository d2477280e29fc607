import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import tifffile

from gscodec.errors import BadImage, InvalidArgument, LimitExceeded, SourceWarning, UnsupportedImage
from gscodec.image.file_types.exr_samples import write_exr
from gscodec.image.file_types.radiance import write_radiance
from gscodec.image.floats import finite
from gscodec.image.levels import to_unit, to_values
from gscodec.image.load import load_image
from gscodec.image.save import encode_image
from gscodec.image.stack import ImageStack
from gscodec.material.restore import Restored, restore
from gscodec.model.channels import ChannelGroup, Role, SampleType, Transfer

HEIGHT, WIDTH = 12, 20


def ramp(low: float, high: float, dtype: type = np.float16) -> np.ndarray:
    return np.geomspace(low, high, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(dtype)


def write(path: Path, channels: dict[str, np.ndarray], **header: object) -> Path:
    OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, dict(channels)).write(str(path))
    return path


def values_of(stack: ImageStack) -> dict[str, np.ndarray]:
    """Channels by name, in the source's units, as the source has them."""
    restored = restored_of(stack)
    return {channel["name"]: restored.samples[:, :, channel["place"]] for channel in restored.entry.exr["channels"]}


def restored_of(stack: ImageStack) -> Restored:
    return restore(stack.files[0], stack.groups, to_values(stack.samples, stack.groups), stack.samples.shape[:2])


def test_channels_keep_names_types_and_windows(tmp_path: Path) -> None:
    channels = {
        "R": ramp(0.01, 1e4),
        "G": ramp(0.5, 8.0),
        "B": ramp(1e-3, 1.0),
        "A": ramp(0.01, 1.0),
        "depth.Z": ramp(1.0, 1e6, np.float32),
        "left.Y": ramp(0.1, 2.0),
    }
    window = (np.array([-3, 5], np.int32), np.array([-3 + WIDTH - 1, 5 + HEIGHT - 1], np.int32))
    primaries = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
    path = write(tmp_path / "in.exr", channels, dataWindow=window, chromaticities=primaries)
    stack = load_image(path)
    kinds = {group.name: (group.role, group.transfer, group.bit_depth) for group in stack.groups}
    assert kinds == {
        "color": (Role.COLOR, Transfer.ASINH, 16),
        "left": (Role.COLOR, Transfer.ASINH, 16),
        "A": (Role.OPACITY, Transfer.ASINH, 16),
        "depth.Z": (Role.DATA, Transfer.ASINH, 32),
    }
    for name, wanted in channels.items():
        np.testing.assert_allclose(values_of(stack)[name], wanted, rtol=2e-4, atol=1e-4)
    again = tmp_path / "out.exr"
    restored = restored_of(stack)
    again.write_bytes(write_exr(restored.samples, restored.groups, restored.entry.exr, None))
    written = OpenEXR.File(str(again), separate_channels=True)
    assert {name: channel.pixels.dtype for name, channel in written.channels().items()} == {
        name: values.dtype for name, values in channels.items()
    }
    header = written.header()
    np.testing.assert_array_equal(header["dataWindow"], window)
    np.testing.assert_allclose(np.ravel(header["chromaticities"]), primaries, rtol=1e-6)


def test_bright_values_are_as_near_as_dark_ones(tmp_path: Path) -> None:
    """An even error of the model is an even ratio from the median's sixteenth up."""
    light = ramp(0.05, 1e4, np.float32)
    stack = load_image(write(tmp_path / "a.exr", {"Y": light}))
    off = to_values(stack.samples + np.float32(0.002), stack.groups)[:, :, 0] / light - 1
    inner = off[(light > 2) & (light < 9e3)]
    assert inner.max() / inner.min() < 1.2


@pytest.mark.parametrize("low", [-1.7e38, -3.0, 0.0])
def test_any_range_comes_back(low: float) -> None:
    samples = np.linspace(low, max(1.0, -low), 240, dtype=np.float64).astype(np.float32).reshape(12, 20, 1)
    for transfer, knee in ((Transfer.LINEAR, 0), (Transfer.ASINH, -4), (Transfer.LOG, 0)):
        if transfer is Transfer.LOG and low < -1e6:
            continue
        group = ChannelGroup(
            "x", Role.DATA, 1, 32, SampleType.FLOAT, transfer, value_min=low, value_max=max(1.0, -low), knee_log2=knee
        )
        unit = to_unit(samples, (group,))
        assert -1e-6 <= unit.min() <= unit.max() <= 1 + 1e-6
        np.testing.assert_allclose(to_values(unit, (group,)), samples, rtol=2e-3, atol=max(1e-5, -low * 1e-5))


def test_what_is_not_finite(tmp_path: Path) -> None:
    light = ramp(0.5, 2.0)
    light[3, 4], light[5, 6] = np.nan, np.inf
    path = write(tmp_path / "a.exr", {"Y": light})
    with pytest.raises(UnsupportedImage, match="2 samples are NaN or infinite; choose --nan"):
        load_image(path)
    zero = values_of(load_image(path, nan="zero"))["Y"]
    assert zero[3, 4] == pytest.approx(0, abs=1e-6)
    hole = values_of(load_image(path, nan="hole"))["Y"]
    assert 0.5 <= hole[3, 4] <= 2.0
    with pytest.raises(InvalidArgument, match="'ignore' is not known"):
        load_image(path, nan="ignore")


def test_holes_without_anything_around() -> None:
    assert (finite(np.full((3, 5, 2), np.nan), "hole", "x") == 0).all()
    one = np.full((3, 5, 1), np.nan)
    one[2, 4] = 4.0
    assert (finite(one, "hole", "x") == 4.0).all()


def test_integer_channels_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", {"id": np.zeros((4, 4), np.uint32), "Y": np.zeros((4, 4), np.float16)})
    with pytest.raises(UnsupportedImage, match="channel id has unsigned integers"):
        load_image(path)


def test_parts_are_chosen(tmp_path: Path) -> None:
    parts = [
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"Y": np.full((4, 6), value, np.float16)}, name=name)
        for name, value in (("beauty", 0.25), ("shadow", 0.75))
    ]
    path = tmp_path / "a.exr"
    OpenEXR.File(parts).write(str(path))
    with pytest.raises(UnsupportedImage, match=r"2 parts \(beauty, shadow\); choose one with --part"):
        load_image(path)
    for part in ("shadow", "1"):
        assert values_of(load_image(path, part=part))["Y"].max() == pytest.approx(0.75)
    with pytest.raises(InvalidArgument, match="has no part 'x'"):
        load_image(path, part="x")


def test_damaged_files_are_one_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "a.exr", {name: ramp(0.1, 1.0) for name in "RGB"}).read_bytes()
    rng = np.random.default_rng(0)
    for cut in (6, 40, 200, len(data) // 2, len(data) - 3):
        with pytest.raises(BadImage, match="OpenEXR"):
            load_image(data[:cut], "cut.exr")
    for _ in range(40):
        broken = bytearray(data)
        for place in rng.integers(8, len(data), 4):
            broken[place] = rng.integers(0, 256)
        with suppress(BadImage, UnsupportedImage, LimitExceeded):
            load_image(bytes(broken), "broken.exr")
    assert capfd.readouterr() == ("", "")


def test_radiance_both_ways() -> None:
    light = np.stack([ramp(1e-3, 1e4, np.float32), ramp(0.5, 2.0, np.float32), ramp(1.0, 3.0, np.float32)], axis=2)
    data = write_radiance(light)
    stack = load_image(data, "x/light.hdr")
    assert stack.files[0].name == "light.hdr"
    got = to_values(stack.samples, stack.groups)
    error = np.abs(got - light) / light.max(axis=2, keepdims=True)
    assert error.max() < 0.01
    with pytest.raises(BadImage, match="cut off"):
        load_image(data[:-9])


def test_radiance_runs() -> None:
    head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 8\n"
    row = bytes([2, 2, 0, 8]) + bytes([136, 128]) + bytes([8, *range(8)]) + bytes([136, 0]) + bytes([136, 129])
    got = to_values(load_image(head + row).samples, load_image(head + row).groups)
    np.testing.assert_allclose(got[0, :, 0], 128.5 / 128, rtol=1e-3)
    np.testing.assert_allclose(got[0, :, 1], (np.arange(8) + 0.5) / 128, rtol=2e-2, atol=1e-4)
    with pytest.raises(BadImage, match="damaged"):
        load_image(head + row[:4] + bytes([255, 1]))


@pytest.mark.parametrize("n_channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_float_tiff(n_channels: int, dtype: type, tmp_path: Path) -> None:
    planes = [ramp(0.1 + k, 50.0 + k, np.float32) for k in range(n_channels)]
    values: np.ndarray = np.stack(planes, axis=2).astype(dtype)
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, values.squeeze(), photometric="rgb" if n_channels > 1 else "minisblack", compression="zlib")
    stack = load_image(path)
    got = to_values(stack.samples, stack.groups)
    np.testing.assert_allclose(got, values, rtol=2e-3)
    data = encode_image("b.tiff", got, stack.groups, None, bit_depth=None, format_name=None)
    again = tifffile.imread(io.BytesIO(data))
    assert again.dtype == dtype
    np.testing.assert_allclose(again.reshape(values.shape), values, rtol=3e-3)


def test_floats_as_an_ordinary_picture() -> None:
    groups = (
        ChannelGroup("data", Role.DATA, 2, 32, SampleType.FLOAT, Transfer.LINEAR),
        ChannelGroup("color", Role.COLOR, 3, 16, SampleType.FLOAT, Transfer.ASINH, value_max=9.0),
        ChannelGroup("A", Role.OPACITY, 1, 16, SampleType.FLOAT, Transfer.LINEAR),
    )
    values = np.zeros((2, 2, 6), np.float32)
    values[:, :, 2:5] = (0.214, 4.0, -1.0)
    values[:, :, 5] = 0.5
    with pytest.warns(SourceWarning, match="left out: data"):
        data = encode_image("a.png", values, groups, None, bit_depth=8, format_name=None)
    stack = load_image(data)
    np.testing.assert_array_equal(np.round(stack.samples[0, 0] * 255), [175, 255, 0, 128])


def test_integer_pictures_become_linear_light(tmp_path: Path) -> None:
    groups = (ChannelGroup("color", n_channels=3),)
    path = tmp_path / "a.exr"
    path.write_bytes(
        encode_image("a.exr", np.full((2, 2, 3), 128, np.uint8), groups, None, bit_depth=None, format_name=None)
    )
    assert float(OpenEXR.File(str(path)).channels()["RGB"].pixels.max()) == pytest.approx(0.2159, abs=1e-3)
