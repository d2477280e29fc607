"""Pillow plugin: `Image.open("x.igs")` and `image.save("x.igs", bpp=0.2)`.

`import gscodec` registers it with Pillow, in whichever order both are imported; so does `import gscodec.pillow`. Pillow
has no way for a package to be found without an import.

    import gscodec
    from PIL import Image

    with Image.open("photo.igs") as image:
        image.thumbnail((256, 256))  # reads a coarse level
        image.save("photo.png")
    Image.open("photo.png").save("photo.igs", quality=80)

Opening: size, mode and `info` (`icc_profile`, `exif`, `xmp`, `dpi`, `lods`, `map`) come from the first bytes; pixels
are computed by `load()`. `draft()`, and with it `thumbnail()`, computes a smaller picture from a coarser level. The
maps of a material are frames: `n_frames`, `seek()`, `info["map"]`. Modes are L, LA, RGB, RGBA and CMYK at 8 bits, I;16
for one channel of more, F for one channel of floats; deeper colour has 8 bits in Pillow, floats as sRGB within 0..1,
and `gscodec.open` gives it whole. A damaged or truncated file is an OSError; with
`PIL.ImageFile.LOAD_TRUNCATED_IMAGES` a truncated one shows what it holds.

Saving: options of `gscodec.encode` as keywords (`quality`, `bpp`, `size`, `preset`, `lods`, `device`, `threads` ...),
and Pillow's `icc_profile`, `exif`, `xmp`, `dpi`, which replace those of the image. Others are ignored, as by all of
Pillow's writers.
"""

import contextlib
import threading
import warnings
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, cast

from PIL import Image, ImageFile

from gscodec.errors import GsCodecError, TargetWarning, UnsupportedImage

if TYPE_CHECKING:
    import numpy.typing as npt

    from gscodec.decoding.image import IgsImage
    from gscodec.format.files import FileEntry
    from gscodec.material.restore import Restored

FORMAT: Final = "IGS"
_START: Final = b"\xabIGS"
"""First bytes of `gscodec.format.layout.SIGNATURE`, without what that module imports."""
_REDUCTIONS: Final = tuple(1 << step for step in range(12, -1, -1))
_OF_ENCODE: Final = ("importance", "mask", "device", "threads", "progress", "checkpoint")
"""Keywords of `gscodec.encode` that are not fields of `EncodeOptions` and may be passed to `save`."""


class IgsImageFile(ImageFile.ImageFile):
    """An `.igs` file, opened by Pillow."""

    format = FORMAT
    format_description = "2D Gaussian image"
    _igs: "IgsImage | None" = None
    _entries: "tuple[FileEntry, ...]" = ()
    _frame = 0
    _is_drafted = False
    _lock: Any = contextlib.nullcontext()

    def _open(self) -> None:
        from gscodec.decoding.image import IgsImage

        assert self.fp is not None
        self._lock = threading.Lock()
        try:
            self._igs = IgsImage(cast(BinaryIO, self.fp), name=str(self.filename) or None)
            self._entries = self._igs.files
            self.n_frames = len(self._entries)
            self.is_animated = self.n_frames > 1
            self._show(0)
        except GsCodecError as fault:
            if self._igs is not None:
                self._igs.close()
            raise SyntaxError(str(fault)) from fault

    def _show(self, frame: int) -> None:
        """Set size, mode and info to those of a map."""
        assert self._igs is not None
        entry = self._entries[frame]
        self._frame, self._is_drafted = frame, False
        sample, self._mode, icc = _pixels(_example(self._igs, entry), self._igs.name)
        del sample
        self._size = entry.width, entry.height
        self.info = {"map": entry.name, "lods": self._igs.lods}
        metadata = self._igs.metadata
        if icc:
            self.info["icc_profile"] = icc
        if metadata.exif and self.n_frames == 1:
            self.info["exif"] = b"Exif\0\0" + metadata.exif
        if metadata.xmp and self.n_frames == 1:
            self.info["xmp"] = metadata.xmp
        if metadata.density:
            self.info["dpi"] = metadata.density

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Reduce the picture to the smallest of 1/2, 1/4, 1/8 ... of its sides that is at least `size`, if any is."""
        del mode
        if self._igs is None or self._im is not None or self._is_drafted or not size:
            return None
        width, height = self.size
        scale = min(width // max(1, size[0]), height // max(1, size[1]))
        reduction = next(each for each in _REDUCTIONS if each <= max(scale, 1))
        self._size = -(-width // reduction), -(-height // reduction)
        self._is_drafted = True
        return self.mode, (0, 0, float(self._size[0]), float(self._size[1]))

    def seek(self, frame: int) -> None:
        """Go to another map of a material."""
        if not self._seek_check(frame):
            return
        if self._igs is None:
            raise ValueError("Operation on closed image")
        with self._lock:
            self._im = None
            self._show(frame)

    def tell(self) -> int:
        """Index of the current map."""
        return self._frame

    def load(self) -> Any:
        """Compute the pixels, once."""
        with self._lock:
            if self._im is None and self._igs is not None:
                array, mode, _ = _pixels(self._render(self._igs), self._igs.name)
                self.im = Image.fromarray(array, mode if mode == "CMYK" else None).im
                if self.n_frames == 1:
                    self._finish()
        return Image.Image.load(self)

    def _render(self, igs: "IgsImage") -> "Restored":
        width, height = self.size
        name = self._entries[self._frame].name
        size = (height, width) if self._is_drafted else None
        try:
            if 0 not in igs.available_lods and not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise OSError(f"{igs.name}: is truncated; PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True shows what it has")
            shows_arrived = 0 not in igs.available_lods
            (picture,) = igs.render_files([name], size=size, available=shows_arrived).values()
        except OSError:
            raise
        except GsCodecError as fault:
            raise OSError(str(fault)) from fault
        return picture

    def verify(self) -> None:
        """Check the whole file.

        Raises:
            OSError: it has a fault; the text has the first one.
        """
        from gscodec.container.validate import validate

        assert self.fp is not None
        self.fp.seek(0)
        fault = next((issue.message for issue in validate(cast(BinaryIO, self.fp)) if issue.severity == "error"), None)
        self._finish()
        super().verify()
        if fault is not None:
            raise OSError(fault)

    def _finish(self) -> None:
        """Close what was read of the file."""
        if self._igs is not None:
            self._igs.close()
            self._igs = None
        if self._exclusive_fp and self.fp is not None:
            self.fp.close()
            self.fp = None

    def _close_fp(self) -> None:
        if self._igs is not None:
            self._igs.close()
            self._igs = None
        super()._close_fp()


def _example(igs: "IgsImage", entry: "FileEntry") -> "Restored":
    """One pixel of a map, made up; it has the type and the channels of the map."""
    import numpy as np

    from gscodec.material.restore import restore

    return restore(entry, igs.groups, np.zeros((1, 1, igs.shape[2]), np.float32), (1, 1), igs.icc)


def _pixels(picture: "Restored", name: str) -> "tuple[npt.NDArray[Any], str, bytes | None]":
    """Samples as an array for Pillow, their mode, and their ICC profile.

    Raises:
        UnsupportedImage: more channels than Pillow has.
    """
    from gscodec.image.levels import has_floats
    from gscodec.image.save import as_integers

    samples, groups = picture.samples, picture.groups
    if samples.shape[2] == 1 and has_floats(groups):
        return samples[:, :, 0], "F", None
    is_deep = samples.shape[2] == 1 and samples.dtype.itemsize == 2
    integers = as_integers(samples, groups, picture.icc, name, bit_depth=16 if is_deep else 8)
    array = integers.samples
    if integers.is_inks:
        return array, "CMYK", integers.icc
    if array.shape[2] > 4:
        raise UnsupportedImage(f"{name}: Pillow has no mode for {array.shape[2]} channels; use gscodec.open")
    mode = "I;16" if is_deep else {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[array.shape[2]]
    return array[:, :, 0] if array.shape[2] == 1 else array, mode, integers.icc


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Encode an image; called by Pillow."""
    del filename
    import numpy as np

    from gscodec.encoding.api import encode
    from gscodec.encoding.settings import EncodeOptions
    from gscodec.image.arrays import from_array

    keywords: dict[str, Any] = image.encoderinfo
    known = {*EncodeOptions.__annotations__, *_OF_ENCODE}
    options = {key: value for key, value in keywords.items() if key in known}
    replaced = {key: keywords[key] for key in ("icc_profile", "exif", "xmp", "dpi") if key in keywords}
    if replaced:
        image = image.copy()
        if isinstance(replaced.get("exif"), Image.Exif):
            replaced["exif"] = replaced["exif"].tobytes()
        image.info = {key: value for key, value in (image.info | replaced).items() if value is not None}
    try:
        floats = image.mode == "F"
        result = encode(from_array(np.asarray(image), as_floats=True) if floats else image, **options)
    except UnsupportedImage as fault:
        raise OSError(f"cannot write mode {image.mode} as IGS: {fault}") from fault
    if not result.target_met:
        warnings.warn(f"the target was not met: {result.note}", TargetWarning, stacklevel=4)
    file.write(result.data)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(_START)


def register() -> None:
    """Register the plugin with Pillow; done by importing this module."""
    Image.register_open(FORMAT, IgsImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, ".igs")
    Image.register_mime(FORMAT, "image/vnd.gscodec.igs")


register()
