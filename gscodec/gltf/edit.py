"""Changes of a model: images added, and images that nothing refers to any more removed with their bytes."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gscodec.gltf.glb import ALIGNMENT
from gscodec.gltf.model import Item, Model
from gscodec.gltf.uris import data_uri, file_of, is_data, uri_of
from gscodec.model.file_names import file_key, safe_file_name

_KEPT_ALIGNMENT: Final = 8
"""Bytes that are removed from a buffer are a multiple of it, so that what follows keeps its alignment: 4 bytes in glTF
2.0, 8 in extensions."""

_MEDIA_TYPES: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
"""Media types of the pictures that glTF 2.0 has, by their first bytes."""

_INDEXED: Final = re.compile(
    r"KHR_.*|EXT_texture_(?:webp|avif)|EXT_meshopt_compression|EXT_mesh_gpu_instancing|MSFT_texture_dds|"
    r"GSCODEC_texture_igs"
)
"""Extensions that refer to images as `source` of textures, to views as `bufferView`, and to neither in another way."""


class Editor:
    """Changes a model that will be written to a path.

    Args:
        model: changed in place.
        output: where it goes. A `.glb` file holds all pictures; beside a `.gltf` file lie pictures that replace files
            or views of buffers, while data URIs stay data URIs.
    """

    def __init__(self, model: Model, output: Path) -> None:
        self.model = model
        self.output = output
        self.to_binary = output.suffix.lower() == ".glb"
        self.files: dict[PurePosixPath, bytes] = {}  # new, relative to the folder of the output
        self.sources = frozenset(model.files())  # that the model refers to before it is changed
        self._taken = {file_key(path.as_posix()) for path in self.sources} | {file_key(output.name)}
        self._take_first_buffer()

    def add_image(self, like: int, data: bytes, media_type: str, suffix: str) -> int:
        """Number of a new image, stored in the way of another one whose name it takes.

        Args:
            like: number of that image. suffix: of a file, with its dot.
        """
        images = self.model.items("images")
        old = images[like]
        new: Item = {key: value for key, value in old.items() if key not in {"uri", "bufferView", "mimeType"}}
        uri = old.get("uri")
        if self.to_binary:
            new["bufferView"] = self._add_view(data)
        elif uri is not None and is_data(uri):
            new["uri"] = data_uri(data, media_type)
        else:
            new["uri"] = uri_of(self._add_file(self.stem(like), data, suffix))
        new["mimeType"] = media_type
        images.append(new)
        return len(images) - 1

    def stem(self, number: int) -> PurePosixPath:
        """Path without suffix that a file of this image gets: that of its own file, or its name."""
        image = self.model.items("images")[number]
        uri = image.get("uri")
        if isinstance(uri, str) and not is_data(uri):
            return file_of(uri, f"{self.model.path}: image {number}").with_suffix("")
        name = self.model.text(image, "name", f"image {number}") or f"image{number}"
        return PurePosixPath(safe_file_name(f"{self.output.stem}_{name}", max_bytes=100))

    def remove_images(self, numbers: Iterable[int]) -> bool:
        """Remove those of these images that nothing refers to, and their bytes from the binary chunk.

        Returns:
            False if the model has extensions that may refer to images and buffers in unknown ways: nothing is removed.
        """
        model = self.model
        used = {*model.names("extensionsUsed"), *model.extensions(model.root, "the document")}
        gone = set(numbers) - {item["source"] for item in self._image_references()}
        if not gone:
            return True
        if not all(_INDEXED.fullmatch(name) for name in used):
            return False
        images = model.items("images")
        views = {images[number]["bufferView"] for number in gone if _is_index(images[number].get("bufferView"))}
        references = list(self._image_references())
        for item in references:
            model.item("images", item["source"], "a texture")
        kept = _remove(model.root, "images", gone)
        for item in references:
            item["source"] = kept[item["source"]]
        self._remove_views(views - {item["bufferView"] for item in _objects_with(model.root, "bufferView")})
        return True

    def finish(self) -> None:
        """Take all pictures into a `.glb` file, and describe the first buffer; beside a `.gltf` file it is a file."""
        if self.to_binary:
            self._embed_images()
        binary, buffers = self.model.binary, self.model.items("buffers")
        if binary is None:
            return
        if not binary and len(buffers) == 1:
            del self.model.root["buffers"]
            self.model.binary = None
            return
        if not binary:
            binary += bytes(ALIGNMENT)  # a buffer is never empty, and the numbers of the others stay
        buffers[0]["byteLength"] = len(binary)
        if not self.to_binary:
            stem = PurePosixPath(safe_file_name(self.output.stem, suffix=""))
            buffers[0]["uri"] = uri_of(self._add_file(stem, bytes(binary), ".bin"))
            self.model.binary = None

    def _embed_images(self) -> None:
        """Make images with URIs, whose type is known, views of the binary chunk; one view for equal bytes."""
        views: dict[bytes, int] = {}
        for number, image in enumerate(self.model.items("images")):
            uri = self.model.text(image, "uri", f"image {number}")
            if uri is None:
                continue
            data = self.model.image_bytes(number)
            media_type = next((name for start, name in _MEDIA_TYPES.items() if data.startswith(start)), None)
            media_type = media_type or self.model.text(image, "mimeType", f"image {number}")
            if media_type is None:
                continue
            digest = hashlib.sha256(data).digest()
            if digest not in views:
                views[digest] = self._add_view(data)
            del image["uri"]
            image |= {"bufferView": views[digest], "mimeType": media_type}

    def _image_references(self) -> Iterator[Item]:
        """Objects whose `source` is the number of an image: textures and their extensions."""
        for number, texture in enumerate(self.model.items("textures")):
            for item in (texture, *self.model.extensions(texture, f"texture {number}").values()):
                if isinstance(item, dict) and _is_index(item.get("source")):
                    yield item

    def _take_first_buffer(self) -> None:
        """Take the first buffer into memory where it is, or will be, the binary chunk; without the chunk's padding.

        A chunk beside a first buffer that is elsewhere is no buffer's.
        """
        model, buffers = self.model, self.model.items("buffers")
        if buffers and (self.to_binary or "uri" not in buffers[0]):
            model.binary = bytearray(model.buffer_bytes(0, "the document"))
            buffers[0].pop("uri", None)
        else:
            model.binary = None

    def _add_view(self, data: bytes) -> int:
        model = self.model
        if model.binary is None:
            model.binary = bytearray()
            model.root.setdefault("buffers", []).insert(0, {"byteLength": 0})
        model.binary.extend(bytes(-len(model.binary) % ALIGNMENT))
        views = model.root.setdefault("bufferViews", [])
        views.append({"buffer": 0, "byteOffset": len(model.binary), "byteLength": len(data)})
        model.binary.extend(data)
        return len(views) - 1

    def _add_file(self, stem: PurePosixPath, data: bytes, suffix: str) -> PurePosixPath:
        path, tries = stem.with_name(stem.name + suffix), 1
        while file_key(path.as_posix()) in self._taken:
            tries += 1
            path = stem.with_name(f"{stem.name}-{tries}{suffix}")
        self._taken.add(file_key(path.as_posix()))
        self.files[path] = data
        return path

    def _remove_views(self, numbers: set[int]) -> None:
        """Remove views that nothing refers to, and the bytes that only they show in the binary chunk."""
        model = self.model
        views = model.items("bufferViews")
        free = [views[number] for number in numbers if views[number].get("buffer") == 0]
        ranges = sorted((view.get("byteOffset", 0), view["byteLength"]) for view in free)
        references = list(_objects_with(model.root, "bufferView"))
        for item in references:
            model.item("bufferViews", item["bufferView"], "an object")
        kept = _remove(model.root, "bufferViews", numbers)
        for item in references:
            item["bufferView"] = kept[item["bufferView"]]
        if model.binary is None:
            return
        live = [item for item in _objects_with(model.root.get("bufferViews", []), "buffer") if item["buffer"] == 0]
        for start, n_bytes in reversed(ranges):
            self._cut(start, start + n_bytes // _KEPT_ALIGNMENT * _KEPT_ALIGNMENT, live)

    def _cut(self, start: int, end: int, live: list[Item]) -> None:
        """Remove bytes of the binary chunk unless a view shows some of them."""
        assert self.model.binary is not None
        for item in live:
            offset = self.model.count(item, "byteOffset", "a bufferView", 0)
            if offset < end and offset + self.model.count(item, "byteLength", "a bufferView") > start:
                return
        del self.model.binary[start:end]
        for item in live:
            if item.get("byteOffset", 0) >= end:
                item["byteOffset"] -= end - start


def _remove(root: Item, key: str, gone: set[int]) -> dict[int, int]:
    """Remove items of a list at the root, which goes where it would be empty; the new number of each that stays."""
    left = [number for number in range(len(root[key])) if number not in gone]
    root[key] = [root[key][number] for number in left]
    if not left:
        del root[key]
    return {old: new for new, old in enumerate(left)}


def _objects_with(value: Any, key: str) -> Iterator[Item]:
    """Objects at any depth that have a number at this key; `extras` are not the document's own."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if _is_index(item.get(key)):
                yield item
            stack += (inner for name, inner in item.items() if name != "extras")
        elif isinstance(item, list):
            stack += item


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
