import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.decoding.scene import HostScene
from gscodec.errors import BadMagic, InvalidArgument, LimitExceeded, TruncatedStream
from gscodec.image.levels import to_native
from gscodec.model.channels import ChannelGroup, Role, SampleType
from gscodec.model.gaussians import Window
from gscodec.render.engines import get_backend

Builder = Callable[..., bytes]

hypothesis_over_fixtures = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def centres(height: int, width: int) -> npt.NDArray[np.float64]:
    """(height * width, 2) x, y of pixel centres, row by row."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x.ravel(), y.ravel()], axis=1) + 0.5


def test_whole_picture_is_the_engines(igs: bytes, device: str) -> None:
    reader, engine = IgsReader(igs), get_backend(device)
    gaussians = reader.read(1)
    expected = engine.forward(gaussians, reader.grid, engine.bin(gaussians, reader.grid), Window.whole(reader.grid))
    with open_igs(igs, device=device) as image:
        np.testing.assert_array_equal(image.render(lod=1, dtype=np.float32), expected)


@hypothesis_over_fixtures
@given(data=st.data())
def test_any_region_is_that_part_of_the_whole(data: st.DataObject, igs: bytes, device: str) -> None:
    lod = data.draw(st.integers(0, 2))
    x, y = data.draw(st.integers(0, 69)), data.draw(st.integers(0, 44))
    w, h = data.draw(st.integers(1, 70 - x)), data.draw(st.integers(1, 45 - y))
    dtype = data.draw(st.sampled_from([None, np.uint16, np.float32]))
    with open_igs(igs, device=device) as fresh, open_igs(igs, device=device) as whole:
        part = fresh.render(lod, (x, y, w, h), dtype=dtype)
        np.testing.assert_array_equal(part, whole.render(lod, dtype=dtype)[y : y + h, x : x + w])


@pytest.mark.parametrize("lod", [0, 2])
def test_samples_at_pixel_centres_are_the_pixels(igs: bytes, device: str, lod: int) -> None:
    with open_igs(igs, device=device) as image:
        expected = image.render(lod, dtype=np.float32)
    with open_igs(igs, device=device) as image:
        np.testing.assert_array_equal(image.sample(centres(45, 70), lod).reshape(expected.shape), expected)


@hypothesis_over_fixtures
@given(data=st.data())
def test_a_sample_does_not_depend_on_its_company(data: st.DataObject, igs: bytes, device: str) -> None:
    place = st.tuples(st.floats(0, 70), st.floats(0, 45))
    points = data.draw(st.lists(place, min_size=1, max_size=30))
    with open_igs(igs, device=device) as image:
        together = image.sample(points)
    with open_igs(igs, device=device) as image:
        alone = np.concatenate([image.sample([point]) for point in points])
    np.testing.assert_array_equal(together, alone)


def test_the_border_belongs_to_the_picture(igs: bytes, device: str) -> None:
    with open_igs(igs, device=device) as image:
        corners = image.sample([[0, 0], [70, 0], [0, 45], [70, 45]])
        near = image.sample([[1e-9, 1e-9], [70 - 1e-9, 0], [0, 45 - 1e-9], [70 - 1e-9, 45 - 1e-9]])
    np.testing.assert_allclose(corners, near, atol=1e-5)


def test_order_of_calls_does_not_matter(igs: bytes, device: str) -> None:
    with open_igs(igs, device=device) as image:
        first = image.render()
        small = image.render(region=(3, 4, 5, 6))
        point = image.sample([[33.3, 22.2]])
        np.testing.assert_array_equal(image.render(), first)
    with open_igs(igs, device=device) as image:
        np.testing.assert_array_equal(image.sample([[33.3, 22.2]]), point)
        np.testing.assert_array_equal(image.render(region=(3, 4, 5, 6)), small)
        np.testing.assert_array_equal(image.render(), first)


def test_only_the_pages_of_a_region_are_read(build: Builder) -> None:
    data = build(height=300, width=300, n_gaussians=900, lods=1)

    class Counting(io.BytesIO):
        n_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            part = super().read(size)
            self.n_read += len(part)
            return part

    file = Counting(data)
    with open_igs(file) as image:
        opened = file.n_read
        image.sample([[150.5, 150.5]])
        one_point = file.n_read - opened
        image.render()
    everything = file.n_read - opened - one_point
    assert 0 < one_point < everything / 3
    assert not file.closed


def test_native_types(build: Builder, device: str) -> None:
    for depth, dtype in ((8, np.uint8), (16, np.uint16)):
        with open_igs(build(bit_depth=depth), device=device) as image:
            native = image.render()
            assert native.dtype == dtype
            blend = image.render(dtype=np.float32)
            assert blend.dtype == np.float32
            assert blend.min() < 0
            np.testing.assert_allclose(native / np.iinfo(dtype).max, blend.clip(0, 1), atol=0.51 / np.iinfo(dtype).max)


@pytest.mark.parametrize("depth", [1, 4, 12])
def test_other_depths_show_their_own_levels(build: Builder, depth: int) -> None:
    with open_igs(build(bit_depth=depth)) as image:
        native = image.render()
        assert native.dtype == (np.uint8 if depth < 8 else np.uint16)
        np.testing.assert_array_equal(native, to_native(image.render(dtype=np.float32), image.groups))
        assert len(np.unique(native)) <= 2**depth
        assert len(np.unique(image.render(dtype=np.uint8))) > 2 ** min(depth, 4)
        half = image.render(size=(22, 35))
        np.testing.assert_array_equal(half, to_native(half, image.groups))


def test_float_files_give_floats(build: Builder) -> None:
    group = ChannelGroup("height", Role.HEIGHT, 3, 32, SampleType.FLOAT)
    with open_igs(build(groups=(group,))) as image:
        assert image.render().dtype == np.float32
        assert image.render(size=(9, 9)).dtype == np.float32


def test_facts_about_the_file(build: Builder) -> None:
    data = build(n_channels=4, icc=b"profile")
    with open_igs(data) as image:
        assert image.shape == (45, 70, 4)
        assert image.lods == 3
        assert image.available_lods == (0, 1, 2)
        assert image.icc == b"profile"
        assert [group.name for group in image.groups] == ["color"]
        assert image.info["width"] == 70
        assert "70x45" in repr(image)


def test_sources(igs: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.igs"
    path.write_bytes(igs)
    with path.open("rb") as file:
        images = [open_igs(path), open_igs(str(path)), open_igs(igs), open_igs(file), gscodec.open(path)]
        pictures = [image.render() for image in images]
        for image in images:
            image.close()
    for picture in pictures:
        np.testing.assert_array_equal(picture, pictures[0])
    assert images[0].name == str(path)


def test_a_closed_file_says_so(igs: bytes) -> None:
    image = open_igs(igs)
    image.close()
    image.close()
    calls: list[Callable[[IgsImage], Any]] = [
        lambda i: i.render(),
        lambda i: i.sample([[1, 1]]),
        lambda i: i.info,
        lambda i: i.icc,
    ]
    for call in calls:
        with pytest.raises(InvalidArgument, match="closed"):
            call(image)


def test_an_empty_set_is_the_background(build: Builder, device: str) -> None:
    with open_igs(build(n_gaussians=0, height=20, width=33), device=device) as image:
        picture = image.render(dtype=np.float32)
        assert (picture == np.linspace(0.2, 0.9, 3, dtype=np.float32)).all()
        assert image.render(size=(3, 4)).shape == (3, 4, 3)
        np.testing.assert_array_equal(image.sample([[33, 20]]), picture[:1, 0])


def test_no_points_no_values(igs: bytes) -> None:
    with open_igs(igs) as image:
        assert image.sample([]).shape == (0, 3)
        assert image.sample(np.zeros((0, 2))).shape == (0, 3)


@pytest.mark.parametrize(
    "region",
    [
        (0, 0, 71, 1),
        (0, 0, 1, 46),
        (-1, 0, 2, 2),
        (0, 0, 0, 4),
        (5, 5, -1, 1),
        (70, 0, 1, 1),
        (0, 0, 1),
        (0, 0, 1.5, 1),
    ],
)
def test_regions_outside_are_refused(igs: bytes, region: tuple[int, ...]) -> None:
    with open_igs(igs) as image, pytest.raises(InvalidArgument, match="region"):
        image.render(region=region)


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4), (4,), (1.5, 2), (1 << 15, (1 << 15) + 1)])
def test_impossible_sizes_are_refused(igs: bytes, size: tuple[int, ...]) -> None:
    with open_igs(igs) as image, pytest.raises(InvalidArgument):
        image.render(size=size)


@pytest.mark.parametrize("lod", [-1, 3, 0.5, "0"])
def test_missing_lods_are_refused(igs: bytes, lod: Any) -> None:
    with open_igs(igs) as image:
        for call in (lambda: image.render(lod), lambda: image.sample([[1, 1]], lod)):
            with pytest.raises(InvalidArgument):
                call()


@pytest.mark.parametrize("dtype", [np.int8, np.float64, "no such type", bool, np.uint32])
def test_other_types_are_refused(igs: bytes, dtype: npt.DTypeLike) -> None:
    with open_igs(igs) as image, pytest.raises(InvalidArgument, match="dtype"):
        image.render(dtype=dtype)


@pytest.mark.parametrize(
    "points",
    [
        [[-0.001, 1]],
        [[1, 45.001]],
        [[70.5, 1]],
        [[np.nan, 1]],
        [[1, np.inf]],
        [1, 2],
        [[1, 2, 3]],
        [["a", "b"]],
        [[1, 2], [3]],
    ],
)
def test_points_outside_are_refused(igs: bytes, points: Any) -> None:
    with open_igs(igs) as image, pytest.raises(InvalidArgument, match="point"):
        image.sample(points)


def test_unknown_devices_are_refused(igs: bytes) -> None:
    with pytest.raises(InvalidArgument, match="abacus"):
        open_igs(igs, device="abacus")


def test_what_is_no_igs_file_is_refused() -> None:
    with pytest.raises(BadMagic):
        open_igs(b"not an igs file at all, not even nearly so, whatever its name says it is")


def test_a_cut_file_shows_what_it_holds(igs: bytes) -> None:
    size = IgsReader(igs).prefix_size(1)
    with open_igs(igs[:size]) as cut, open_igs(igs) as whole:
        assert cut.available_lods == (1, 2)
        for lod in (1, 2):
            np.testing.assert_array_equal(cut.render(lod), whole.render(lod))
        np.testing.assert_array_equal(cut.render(None), whole.render(1))
        np.testing.assert_array_equal(cut.sample([[3, 4]], None), whole.sample([[3, 4]], 1))
        np.testing.assert_array_equal(cut.render(), whole.render(1))
        for call in (lambda: cut.render(0), lambda: cut.render(0, (0, 0, 1, 1)), lambda: cut.sample([[1, 1]], 0)):
            with pytest.raises(TruncatedStream, match="LOD it holds is 1"):
                call()


def test_every_cut_opens_or_says_why(igs: bytes) -> None:
    held = set()
    for length in [*range(0, len(igs), 41), len(igs)]:
        try:
            image = open_igs(igs[:length])
        except TruncatedStream:
            continue
        with image:
            held.add(image.available_lods)
            for lod in image.available_lods[:1]:
                assert image.render(lod).shape == image.shape
    assert held == {(), (2,), (1, 2), (0, 1, 2)}


def test_huge_pictures_are_refused_before_memory_is_taken(build: Builder) -> None:
    side = 1 << 20
    with open_igs(build(height=side, width=side, n_gaussians=0, lods=1)) as image:
        with pytest.raises(LimitExceeded, match="region"):
            image.render()
        with pytest.raises(LimitExceeded, match="or a smaller size"):
            image.render(0, size=(10, 10))
        with pytest.raises(InvalidArgument, match="limit of 16777216 pixels for 145 bytes"):
            image.render(region=(0, 0, 1 << 16, 1 << 16))
        corner = image.render(region=(side - 3, side - 2, 3, 2))
        assert corner.shape == (2, 3, 3)
        np.testing.assert_allclose(image.sample([[side, side]]), corner[:1, 0] / 255, atol=0.01)


def test_running_out_of_memory_is_a_limit(igs: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with open_igs(igs) as image:
        monkeypatch.setattr(HostScene, "forward", fail)
        with pytest.raises(LimitExceeded, match="memory"):
            image.render()
