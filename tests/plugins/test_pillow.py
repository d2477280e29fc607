"""`Image.open` and `Image.save` of `.igs` files."""

import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from named_stack import stack_of
from PIL import Image, ImageFile, ImageSequence, UnidentifiedImageError
from synthetic import synthetic_gaussians, synthetic_grid

import gscodec
from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.errors import TargetWarning
from gscodec.format.layout import SIGNATURE
from gscodec.image.stack import picture_groups
from gscodec.model.gaussians import LodTable
from gscodec.pillow import IgsImageFile

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def picture(mode: str, size: tuple[int, int] = (40, 24)) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    planes = np.stack([x, y, (x + y) / 2, 255 - x / 2], axis=-1).astype(np.uint8)
    if mode == "I;16":
        return Image.fromarray(planes[:, :, 0].astype(np.uint16) * 257)
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.fromarray(planes[:, :, 0] if bands == 1 else planes[:, :, :bands], "CMYK" if mode == "CMYK" else None)


def saved(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "IGS", **({"gaussians": 60, "preset": "draft", "lods": 1} | options))
    return stream.getvalue()


@pytest.fixture(scope="module")
def igs() -> bytes:
    return saved(picture("RGB", (96, 64)), gaussians=150, lods=3)


@pytest.mark.parametrize(
    "order", ["import gscodec; from PIL import Image", "from PIL import Image; import gscodec", "import gscodec.pillow"]
)
def test_the_plugin_is_there_in_whichever_order_packages_are_imported(order: str, tmp_path: Path, igs: bytes) -> None:
    (tmp_path / "a.igs").write_bytes(igs)
    code = f"{order}; from PIL import Image; print(Image.open({str(tmp_path / 'a.igs')!r}).size, Image.__loader__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.startswith("(96, 64)")
    assert "SourceFileLoader" in done.stdout


def test_files_are_known_by_their_first_bytes() -> None:
    assert SIGNATURE.startswith(b"\xabIGS")
    assert Image.registered_extensions()[".igs"] == "IGS"


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "I;16"])
def test_modes_come_back(mode: str) -> None:
    data = saved(picture(mode))
    with Image.open(io.BytesIO(data)) as image, gscodec.open(data) as file:
        assert (image.format, image.mode, image.size) == ("IGS", mode, (40, 24))
        pixels = np.asarray(image)
        (restored,) = file.render_files().values()
    np.testing.assert_array_equal(pixels.reshape(24, 40, -1), restored.samples)
    assert np.abs(pixels.astype(float) - np.asarray(picture(mode))).mean() < (2000 if mode == "I;16" else 8)


@pytest.mark.parametrize(("mode", "back"), [("1", "L"), ("P", "RGB"), ("YCbCr", "RGB")])
def test_other_modes_are_saved_as_what_they_show(mode: str, back: str) -> None:
    with Image.open(io.BytesIO(saved(picture("RGB").convert(mode)))) as image:
        assert image.mode == back


@pytest.mark.parametrize("mode", ["I", "LAB", "HSV"])
def test_modes_without_a_place_are_an_os_error(mode: str) -> None:
    with pytest.raises(OSError, match=f"cannot write mode {mode} as IGS"):
        saved(Image.new(mode, (16, 16)))


def test_a_path_is_opened_and_closed(tmp_path: Path, igs: bytes) -> None:
    path = tmp_path / "a.igs"
    path.write_bytes(igs)
    image = Image.open(path)
    image.load()
    assert image.fp is None  # closed, as a file with one picture is after it has been read
    image.save(path, gaussians=20, preset="draft", lods=1)
    assert gscodec.info(path)["n_gaussians"] == 20


def test_save_takes_the_options_of_encode_and_ignores_those_of_other_types() -> None:
    data = saved(picture("RGB"), gaussians=None, size=700, optimize=True, seed=3)
    assert 500 < len(data) <= 700
    with pytest.raises(ValueError, match="at most one"):
        saved(picture("RGB"), bpp=1)


def test_a_missed_target_is_a_warning() -> None:
    with pytest.warns(TargetWarning) as caught:
        saved(picture("RGB"), gaussians=None, psnr=90)
    assert any("was not met" in str(each.message) for each in caught)


def test_size_and_info_need_no_pixels(igs: bytes) -> None:
    with Image.open(io.BytesIO(igs)) as image:
        assert isinstance(image, IgsImageFile)
        assert image.info == {"map": "color.png", "lods": 3}
        assert image.get_format_mimetype() == "image/vnd.gscodec.igs"
        assert image._igs is not None
        assert image._igs.stats.gaussians_read == 0


def test_metadata_goes_through() -> None:
    source = picture("RGB")
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    data = saved(source, exif=exif, xmp=XMP, dpi=(300, 300), size=20000, gaussians=None)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[0x010F] == "a maker"
        assert (image.info["xmp"], image.info["dpi"]) == (XMP, (300, 300))
        again = io.BytesIO()
        image.save(again, "PNG", exif=image.info["exif"])
    with Image.open(again) as png:
        assert png.getexif()[0x010F] == "a maker"


def test_a_thumbnail_reads_a_coarse_level() -> None:
    gaussians = synthetic_gaussians(800, 1400, 4000)
    lods = LodTable((200, 1000, 4000), ((0.4,), (0.6, 0.6), (1.0, 1.0, 1.0)))
    data = pack(Contents(synthetic_grid(800, 1400), picture_groups(3, 8), lods, gaussians, page_size=4))
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, IgsImageFile)
        assert image.draft(None, (20, 20)) == ("RGB", (0, 0, 44.0, 25.0))
        assert image.size == (44, 25)
        assert image.draft(None, (10, 10)) is None
        image.load()
        assert image.size == (44, 25)
    with gscodec.open(data) as file:
        file.render(size=(25, 44))
        assert file.stats.gaussians_read == 1000
    with Image.open(io.BytesIO(data)) as image:
        whole = np.asarray(image)
        assert image.draft(None, (100, 100)) is None  # it has been read
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((70, 70))
        assert image.size == (70, 40)
        shown = np.asarray(image, float)
    reduced = np.asarray(Image.fromarray(whole).resize((70, 40), Image.Resampling.BOX), float)
    assert np.abs(shown - reduced).mean() < 6


def test_maps_are_frames() -> None:
    names = ["a.png", "b.png", "c.png"]
    data = stack_of(["a", "b", "c"], files=names)
    with Image.open(io.BytesIO(data)) as image, gscodec.open(data) as file:
        assert (image.n_frames, image.is_animated) == (3, True)  # type: ignore[attr-defined]
        assert [frame.info["map"] for frame in ImageSequence.Iterator(image)] == names
        image.seek(1)
        assert image.tell() == 1
        np.testing.assert_array_equal(np.asarray(image), file.render_files(["b.png"])["b.png"].samples[:, :, 0])
        with pytest.raises(EOFError):
            image.seek(3)


@pytest.mark.parametrize("junk", [b"", b"\x00" * 200])
def test_what_only_begins_like_a_file_is_not_identified(junk: bytes) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(SIGNATURE + junk))


def test_a_truncated_file_is_an_os_error_unless_pillow_is_told_otherwise(
    igs: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = igs[: len(igs) * 4 // 5]
    with Image.open(io.BytesIO(cut)) as image, pytest.raises(OSError, match="LOAD_TRUNCATED_IMAGES"):
        image.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(cut)) as image, gscodec.open(cut) as file:
        np.testing.assert_array_equal(np.asarray(image), file.render(available=True))


def test_a_damaged_file_is_an_os_error(igs: bytes) -> None:
    damaged = bytearray(igs)
    damaged[len(damaged) // 2] ^= 255
    with Image.open(io.BytesIO(damaged)) as image, pytest.raises(OSError, match=r"checksum|CRC"):
        image.load()
    with Image.open(io.BytesIO(damaged)) as image, pytest.raises(OSError, match=r"checksum|CRC"):
        image.verify()
    with Image.open(io.BytesIO(igs)) as image:
        image.verify()


def test_threads_may_load_one_image_and_many(igs: bytes) -> None:
    with Image.open(io.BytesIO(igs)) as shared, ThreadPoolExecutor(8) as pool:

        def own(_: int) -> bytes:
            with Image.open(io.BytesIO(igs)) as image:
                return image.tobytes()

        results = {*pool.map(own, range(8)), *pool.map(lambda _: shared.tobytes(), range(8))}
    assert len(results) == 1


def test_an_open_image_is_copied_and_pickled(igs: bytes) -> None:
    with Image.open(io.BytesIO(igs)) as image:
        again = pickle.loads(pickle.dumps(image))
        assert again.tobytes() == image.copy().tobytes() == image.tobytes()


def test_a_decode_does_not_write_igs_through_pillow(tmp_path: Path, igs: bytes) -> None:
    with pytest.raises(ValueError, match="not written as"):
        gscodec.decode(igs, tmp_path / "b.igs")
