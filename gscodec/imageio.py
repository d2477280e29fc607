"""imageio plugin: `imageio.v3.imread("x.igs")` and `imageio.v3.imwrite("x.igs", array, bpp=0.2)`.

`import gscodec` registers it with imageio, in whichever order both are imported; so does `import gscodec.imageio`. Its
name in imageio is `gscodec`.

    import gscodec
    import imageio.v3 as iio

    whole = iio.imread("photo.igs")
    small = iio.imread("photo.igs", size=(256, 384))  # or lod=, region=, dtype=, as in IgsImage.render
    iio.imwrite("copy.igs", whole, quality=80)  # options of gscodec.encode

Arrays have the type that the file holds: uint8, uint16 or float32, (H, W) for one channel, else (H, W, C). The maps of
a material are images: `index=1` is the second, `iio.imiter` yields all of them, and `index=...` stacks maps of one
shape.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from imageio import config
from imageio.core.request import URI_BYTES, InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3

from gscodec.decoding.image import IgsImage
from gscodec.errors import BadMagic, GsCodecError, InvalidArgument
from gscodec.material.restore import Restored, restore

NAME: Final = "gscodec"
_SUFFIX: Final = ".igs"


class IgsPlugin(PluginV3):
    """Reads and writes `.igs` files for imageio."""

    def __init__(self, request: Request) -> None:
        self._image: IgsImage | None = None
        super().__init__(request)
        if request.mode.io_mode == IOMode.write:
            if (request.extension or request.format_hint) != _SUFFIX:
                raise InitializationError(f"gscodec writes {_SUFFIX} files only")
            return
        try:
            self._image = IgsImage(request.get_file(), name=_name(request))
        except BadMagic as fault:  # IGES has the same suffix
            raise InitializationError(str(fault)) from fault
        except GsCodecError as fault:
            raise OSError(str(fault)) from fault

    def read(self, *, index: Any = None, **options: Any) -> npt.NDArray[Any]:
        """The picture, or a map of a material by its number.

        Args:
            index: number of a map; an ellipsis stacks all maps along a new first axis; None is the first.
            options: `lod`, `region`, `size`, `dtype` and others of `IgsImage.render_files`.

        Raises:
            ValueError: no such map, or maps of different shapes.
            OSError: the file is damaged or truncated.
        """
        if index is not Ellipsis:
            return self._map(0 if index is None else index, options)
        maps = list(self.iter(**options))
        if len({each.shape for each in maps}) > 1 or len({each.dtype for each in maps}) > 1:
            raise ValueError("the maps have different shapes or types and do not stack; read them by index")
        return np.stack(maps)

    def iter(self, **options: Any) -> Iterator[npt.NDArray[Any]]:
        """Yields the maps one by one."""
        for number in range(len(self._opened.files)):
            yield self._map(number, options)

    def write(self, ndimage: Any, *, is_batch: bool | None = None, **options: Any) -> bytes | None:
        """Encode an array (H, W) or (H, W, C) as `gscodec.encode` does.

        Args:
            options: keyword arguments of `gscodec.encode`.

        Returns:
            The file where imageio asked for bytes, else None.

        Raises:
            ValueError: several images.
        """
        from gscodec.encoding.api import encode

        if is_batch or isinstance(ndimage, list):
            raise ValueError("an .igs file holds one picture, or the maps of a material: gscodec.encode([paths])")
        data = encode(np.asarray(ndimage), **options).data
        self.request.get_file().write(data)
        return data if self.request._uri_type == URI_BYTES else None  # as imageio's own plugins tell

    def properties(self, index: Any = None, **_: Any) -> ImageProperties:
        """Shape and type of what `read` returns, without reading pixels."""
        shapes = [self._shape(number) for number in range(len(self._opened.files))]
        if index is not Ellipsis:
            shape, dtype = shapes[self._checked(0 if index is None else index)]
            return ImageProperties(shape, dtype, spacing=self._spacing())
        if len(set(shapes)) > 1:
            raise ValueError("the maps have different shapes or types and do not stack; read them by index")
        shape, dtype = shapes[0]
        return ImageProperties((len(shapes), *shape), dtype, len(shapes), is_batch=True, spacing=self._spacing())

    def metadata(self, index: Any = None, exclude_applied: bool = True) -> dict[str, Any]:
        """What `gscodec.info` shows, and `map`, `icc_profile`, `exif` and `xmp` where the file has them."""
        del exclude_applied
        image = self._opened
        entry = image.files[self._checked(0 if index in {None, Ellipsis} else index)]
        stored = {"icc_profile": image.icc, "exif": image.metadata.exif, "xmp": image.metadata.xmp}
        return dict(image.info) | {"map": entry.name} | {key: value for key, value in stored.items() if value}

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(AttributeError):  # of an object whose construction failed
            if self._image is not None:
                self._image.close()
            self.request.finish()

    @property
    def _opened(self) -> IgsImage:
        if self._image is None:
            raise ValueError("the file is open for writing")
        return self._image

    def _checked(self, index: Any) -> int:
        count = len(self._opened.files)
        if not 0 <= index < count:
            raise ValueError(f"index {index}: the file has {count} pictures")
        return int(index)

    def _map(self, index: Any, options: dict[str, Any]) -> npt.NDArray[Any]:
        image = self._opened
        name = image.files[self._checked(index)].name
        try:
            if not image.available_lods or (0 not in image.available_lods and not options):
                raise OSError(f"{image.name}: is truncated; lod=N or available=True reads what it has")
            (picture,) = image.render_files([name], **options).values()
        except (InvalidArgument, OSError):
            raise
        except GsCodecError as fault:
            raise OSError(str(fault)) from fault
        return _squeezed(picture)

    def _shape(self, index: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
        image = self._opened
        entry = image.files[index]
        pixel = np.zeros((1, 1, image.shape[2]), np.float32)
        example = _squeezed(restore(entry, image.groups, pixel, (1, 1), image.icc))
        return (entry.height, entry.width, *example.shape[2:]), example.dtype

    def _spacing(self) -> tuple[float, ...] | None:
        """Inches between pixels."""
        density = self._opened.metadata.density
        return None if density is None else (1 / density[1], 1 / density[0])


def _squeezed(picture: Restored) -> npt.NDArray[Any]:
    return picture.samples[:, :, 0] if picture.samples.shape[2] == 1 else picture.samples


def _name(request: Request) -> str | None:
    return request.raw_uri if isinstance(request.raw_uri, str) else None


def register() -> None:
    """Register the plugin with imageio; done by importing this module."""
    config.known_plugins[NAME] = config.PluginConfig(NAME, "IgsPlugin", "gscodec.imageio", install_name=NAME)
    if _SUFFIX not in config.known_extensions:
        extension = config.FileExtension(extension=_SUFFIX, priority=[NAME], name="2D Gaussian image")
        config.extension_list.append(extension)
        config.known_extensions[_SUFFIX] = [extension]


register()
