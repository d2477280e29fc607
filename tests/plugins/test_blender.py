"""The Blender add-on: its pixels without Blender, its operator against a stub of `bpy`.

The stub is not Blender. It has the names that the add-on uses and records what it is given; that Blender takes these
calls is tried by hand, with the wheel of `bpy` (docs/tools.md).
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from small_pictures import draw_picture

import gscodec
from gscodec.errors import UnsupportedImage
from gscodec.format.files import FileEntry
from gscodec.image.stack import cmyk_groups
from gscodec.image.transfer import light_of_srgb
from gscodec.material.restore import Restored
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer

FOLDER = Path(__file__).parents[2] / "integrations" / "blender"
QUICK: Any = {"gaussians": 30, "preset": "fast", "steps": 2, "device": "cpu", "threads": 1}


class StubImage:
    def __init__(self, name: str, width: int, height: int, **options: Any) -> None:
        known = {"sRGB": 0, "Linear Rec.709": 0, "Non-Color": 0}
        kinds = SimpleNamespace(enum_items=known)
        self.name, self.size, self.options, self.alpha_mode = name, (width, height), options, ""
        self.colorspace_settings = SimpleNamespace(name="", bl_rna=SimpleNamespace(properties={"name": kinds}))
        self.pixels = SimpleNamespace(foreach_set=self._set)
        self.values: npt.NDArray[np.float32] = np.empty(0, np.float32)
        self.calls: list[str] = []

    def _set(self, values: npt.NDArray[np.float32]) -> None:
        assert values.shape == (self.size[0] * self.size[1] * 4,)
        assert values.dtype == np.float32
        self.values = values

    def update(self) -> None:
        self.calls.append("update")

    def pack(self) -> None:
        self.calls.append("pack")


class StubMenu(list[Any]):
    """Functions that draw a menu."""


def stub() -> dict[str, ModuleType]:
    """Modules that stand for Blender's."""
    modules = {name: ModuleType(name) for name in ("bpy", "bpy.props", "bpy_extras", "bpy_extras.io_utils")}
    bpy: Any = modules["bpy"]
    images: list[StubImage] = []

    def new(*arguments: Any, **options: Any) -> StubImage:
        images.append(StubImage(*arguments, **options))
        return images[-1]

    operator = type("Operator", (), {"report": lambda self, kind, text: self.reports.append((kind, text))})
    bpy.types = SimpleNamespace(Operator=operator, TOPBAR_MT_file_import=StubMenu(), IMAGE_MT_image=StubMenu())
    bpy.data = SimpleNamespace(images=SimpleNamespace(new=new, all=images))
    classes: list[type] = []
    bpy.utils = SimpleNamespace(register_class=classes.append, unregister_class=classes.remove, classes=classes)
    props: Any = modules["bpy.props"]
    bpy.props = props
    for name in ("BoolProperty", "EnumProperty", "IntProperty", "StringProperty"):
        setattr(props, name, lambda **options: options)
    modules["bpy_extras.io_utils"].ImportHelper = type("ImportHelper", (), {})  # type: ignore[attr-defined]
    return modules


@pytest.fixture
def addon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, module in stub().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("gscodec_igs")
    for name in ("gscodec_igs", "gscodec_igs.pixels"):
        sys.modules.pop(name, None)


@pytest.fixture
def pixels(addon: Any) -> Any:
    return importlib.import_module(f"{addon.__name__}.pixels")


def restored(samples: npt.NDArray[Any], *groups: ChannelGroup) -> Restored:
    entry = FileEntry("a.png", samples.shape[1], samples.shape[0], samples.shape[2], tuple(one.name for one in groups))
    return Restored(entry, samples, groups)


def rows_of(picture: Any) -> npt.NDArray[np.float32]:
    """(H, W, 4), top row first."""
    values: npt.NDArray[np.float32] = picture.pixels.reshape(picture.height, picture.width, 4)[::-1]
    return values


@pytest.fixture(scope="module")
def igs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 24x16 px RGB picture in two levels."""
    path = tmp_path_factory.mktemp("blender") / "leaf.igs"
    gscodec.encode(draw_picture(16, 24), path, lods=2, **QUICK)
    return path


def test_a_picture_comes_as_codes_with_its_bottom_row_first(pixels: Any, igs: Path) -> None:
    (picture,) = pixels.read_pictures(igs)
    with gscodec.open(igs, device="cpu") as image:
        expected = image.render()
    assert (picture.name, picture.height, picture.width) == ("leaf", 16, 24)
    assert (picture.is_float, picture.colour_space, picture.alpha) == (False, "srgb", "NONE")
    assert np.array_equal(np.round(rows_of(picture)[:, :, :3] * 255), expected)
    assert (rows_of(picture)[:, :, 3] == 1).all()


def test_levels_and_sizes(pixels: Any, igs: Path) -> None:
    levels = pixels.levels(igs)
    assert [level.lod for level in levels] == [0, 1]
    assert levels[0].n_bytes > levels[1].n_bytes > 0
    (coarse,), (coarsest,) = (pixels.read_pictures(igs, lod=lod) for lod in (1, 99))
    assert np.array_equal(coarse.pixels, coarsest.pixels)
    (small,) = pixels.read_pictures(igs, reduction=5)
    assert (small.height, small.width) == (4, 5)


def test_hdr_is_linear_light_in_floats(pixels: Any, tmp_path: Path) -> None:
    light = draw_picture(16, 16).astype(np.float32) / 40
    with pytest.warns(gscodec.errors.SourceWarning):
        gscodec.encode(light, tmp_path / "sky.igs", **QUICK)
    (picture,) = pixels.read_pictures(tmp_path / "sky.igs")
    with gscodec.open(tmp_path / "sky.igs", device="cpu") as image:
        expected = image.render()
    assert (picture.is_float, picture.colour_space) == (True, "linear")
    assert picture.pixels.max() > 1
    assert np.array_equal(rows_of(picture)[:, :, :3], expected)


def test_deep_colour_becomes_light_and_deep_data_stays(pixels: Any) -> None:
    samples = np.arange(0, 48000, 1000, dtype=np.uint16).reshape(4, 4, 3)
    colour = pixels.to_blender(restored(samples, ChannelGroup("color", Role.COLOR, 3, 16)), "a")
    assert (colour.is_float, colour.colour_space) == (True, "linear")
    assert np.allclose(rows_of(colour)[:, :, :3], light_of_srgb(samples / np.float32(65535)), atol=1e-6)
    group = ChannelGroup("height", Role.HEIGHT, 1, 16, transfer=Transfer.LINEAR)
    height = pixels.to_blender(restored(samples[:, :, :1], group), "a")
    assert (height.is_float, height.colour_space) == (True, "data")
    assert np.allclose(rows_of(height)[:, :, :3], samples[:, :, :1] / 65535)


def test_green_of_normals_points_up(pixels: Any) -> None:
    samples = np.array([[[10, 20, 250]]], np.uint8)
    for convention, green in ((NormalConvention.GL, 20), (NormalConvention.DX, 235)):
        group = ChannelGroup("normal", Role.NORMAL, 3, transfer=Transfer.LINEAR, normal=convention)
        picture = pixels.to_blender(restored(samples, group), "a")
        assert picture.colour_space == "data"
        assert np.round(picture.pixels * 255).tolist() == [10, green, 250, 255]


@pytest.mark.parametrize(
    ("mode", "is_byte", "expected", "alpha"),
    [
        (AlphaMode.STRAIGHT, True, 0.4, "STRAIGHT"),
        (AlphaMode.PREMULTIPLIED, True, 0.8, "STRAIGHT"),
        (AlphaMode.STRAIGHT, False, 0.2, "PREMUL"),
        (AlphaMode.PREMULTIPLIED, False, 0.4, "PREMUL"),
    ],
)
def test_alpha_as_the_buffers_of_blender_have_it(
    pixels: Any, mode: AlphaMode, is_byte: bool, expected: float, alpha: str
) -> None:
    values = np.full((2, 2, 4), 0.4)
    values[:, :, 3] = 0.5
    group = ChannelGroup("color", Role.COLOR, 4, alpha=mode)
    samples = np.round(values * 255).astype(np.uint8)
    if not is_byte:
        group = ChannelGroup(
            "color", Role.COLOR, 4, 32, sample_type=SampleType.FLOAT, transfer=Transfer.LINEAR, alpha=mode
        )
        samples = values.astype(np.float32)
    picture = pixels.to_blender(restored(samples, group), "a")
    assert picture.alpha == alpha
    assert np.allclose(picture.pixels[:3], expected, atol=0.005)
    assert np.allclose(picture.pixels[3::4], 0.5, atol=0.005)


def test_deep_codes_become_light_before_they_are_multiplied(pixels: Any) -> None:
    straight = np.full((2, 2, 4), 0.4)
    straight[:, :, 3] = 0.5
    multiplied = straight * [0.5, 0.5, 0.5, 1]  # of codes, as TIFF has it
    for values, mode in ((straight, AlphaMode.STRAIGHT), (multiplied, AlphaMode.PREMULTIPLIED)):
        samples = np.round(values * 65535).astype(np.uint16)
        picture = pixels.to_blender(restored(samples, ChannelGroup("color", Role.COLOR, 4, 16, alpha=mode)), "a")
        assert picture.alpha == "PREMUL"
        assert np.allclose(picture.pixels[:3], 0.5 * light_of_srgb(np.full(3, 0.4, np.float32)), atol=1e-4)
        assert np.allclose(picture.pixels[3::4], 0.5, atol=1e-4)


def test_an_alpha_that_is_not_the_last_channel_is_a_channel(pixels: Any) -> None:
    gray, opacity, depth = (
        ChannelGroup("Y", Role.COLOR, 1),
        ChannelGroup("A", Role.OPACITY, 1, transfer=Transfer.LINEAR, alpha=AlphaMode.STRAIGHT),
        ChannelGroup("Z", Role.DATA, 1, transfer=Transfer.LINEAR),
    )
    picture = pixels.to_blender(restored(np.array([[[51, 102, 153]]], np.uint8), gray, opacity, depth), "a")
    assert np.round(picture.pixels * 255).tolist() == [51, 102, 153, 255]
    assert picture.alpha == "NONE"


def test_channels_that_are_missing_and_packed(pixels: Any) -> None:
    samples = np.array([[[51, 102, 153, 204]]], np.uint8)
    linear: Any = {"transfer": Transfer.LINEAR}
    for n_channels, expected, alpha in ((1, [51, 51, 51, 255], "NONE"), (2, [51, 102, 0, 255], "NONE")):
        group = ChannelGroup("data", Role.DATA, n_channels, **linear)
        picture = pixels.to_blender(restored(samples[:, :, :n_channels], group), "a")
        assert (np.round(picture.pixels * 255).tolist(), picture.alpha) == (expected, alpha)
    packed = pixels.to_blender(restored(samples, ChannelGroup("data", Role.DATA, 4, **linear)), "a")
    assert (np.round(packed.pixels * 255).tolist(), packed.alpha) == ([51, 102, 153, 204], "CHANNEL_PACKED")
    gray = ChannelGroup("color", Role.COLOR, 2, alpha=AlphaMode.STRAIGHT)
    assert np.round(pixels.to_blender(restored(samples[:, :, :2], gray), "a").pixels * 255).tolist() == [
        51,
        51,
        51,
        102,
    ]


def test_what_blender_has_no_image_for_is_refused(pixels: Any) -> None:
    samples = np.zeros((2, 2, 5), np.uint8)
    with pytest.raises(UnsupportedImage, match="5 channels"):
        pixels.to_blender(restored(samples, ChannelGroup("data", Role.DATA, 5, transfer=Transfer.LINEAR)), "a")
    with pytest.raises(UnsupportedImage, match="CMYK"):
        pixels.to_blender(restored(samples[:, :, :4], *cmyk_groups(8)), "a")


def opened(addon: Any, path: Path, **options: Any) -> tuple[set[str], Any]:
    operator = addon.OpenIgs()
    settings = {"filepath": str(path), "lod": -1, "reduction": "1", "only": "", "pack": True, "reports": []} | options
    for name, value in settings.items():
        setattr(operator, name, value)
    return operator.execute(SimpleNamespace()), operator


def test_the_operator_makes_an_image_for_every_map(addon: Any, igs: Path) -> None:
    bpy: Any = sys.modules["bpy"]
    result, operator = opened(addon, igs, reduction="2")
    assert result == {"FINISHED"}
    (image,) = bpy.data.images.all
    assert (image.name, image.size, image.calls) == ("leaf", (12, 8), ["update", "pack"])
    assert image.options == {"alpha": False, "float_buffer": False, "is_data": False}
    assert image.colorspace_settings.name == "sRGB"
    assert image.alpha_mode == "NONE"
    assert operator.reports == [({"INFO"}, "leaf.igs: leaf; the file has 2 levels of detail")]


def test_faults_are_reported_and_cancel(addon: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.igs").write_bytes(b"nothing")
    result, operator = opened(addon, tmp_path / "bad.igs")
    assert result == {"CANCELLED"}
    ((kind, text),) = operator.reports
    assert kind == {"ERROR"}
    assert "bad.igs" in text
    assert not sys.modules["bpy"].data.images.all


def test_it_registers_and_leaves_nothing_behind(addon: Any) -> None:
    bpy: Any = sys.modules["bpy"]
    addon.register()
    assert bpy.utils.classes == [addon.OpenIgs]
    assert len(bpy.types.TOPBAR_MT_file_import) == len(bpy.types.IMAGE_MT_image) == 1
    addon.unregister()
    assert bpy.utils.classes == bpy.types.TOPBAR_MT_file_import == bpy.types.IMAGE_MT_image == []
