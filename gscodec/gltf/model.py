"""A glTF 2.0 model: the JSON document, checked as far as textures, images and buffers go, and what it refers to.

Documents may be hostile: every index, offset and length is checked where it is used, and nothing is followed that a
document could refer to in a circle.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn

from gscodec.errors import BadFile, Unsupported
from gscodec.gltf.glb import MAGIC, Chunks, unpack_glb
from gscodec.gltf.uris import data_of, file_of, is_data, read_file, read_regular
from gscodec.model.limits import DEFAULT_LIMITS, Limits

Item = dict[str, Any]
"""An object of the document."""

_MAX_DEPTH: Final = 256
"""Nesting of objects and lists, at most: glTF has about ten, and writers of JSON call themselves for each."""

_BYTES_PER_VALUE: Final = 128
"""Memory of a value of the document, of which there are about as many as commas and opening brackets."""

_MAX_INTEGER: Final = 2**53
"""Integers up to here are exact in every reader of JSON."""


@dataclass
class Model:
    """A model in memory. `root` and `binary` are changed in place."""

    path: Path
    root: Item
    binary: bytearray | None  # of the first buffer, if it has no URI
    chunks: tuple[tuple[bytes, bytes], ...] = ()  # other chunks of a .glb file
    limits: Limits = DEFAULT_LIMITS
    is_binary: bool = False  # whether it was read from a .glb file
    _files: dict[PurePosixPath, bytes] = field(default_factory=dict)
    _checked: set[str] = field(default_factory=set)  # keys of lists that are lists of objects

    def items(self, key: str) -> list[Item]:
        """A list of objects at the root; empty where there is none.

        Raises:
            BadFile: it is something else.
        """
        listed: list[Item] = self.root.get(key, [])
        if key not in self._checked:  # once: all is looked up here
            if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
                raise BadFile(f"{self.path}: {key} is not a list of objects")
            self._checked.add(key)
        return listed

    def names(self, key: str) -> list[str]:
        """A list of texts at the root, such as `extensionsUsed`."""
        listed = self.root.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise BadFile(f"{self.path}: {key} is not a list of names")
        return listed

    def item(self, key: str, number: object, where: str) -> Item:
        """The object of a list that an index refers to.

        Raises:
            BadFile: no index of that list.
        """
        items = self.items(key)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(items):
            raise BadFile(f"{self.path}: {where} refers to {str(number)[:40]} of {len(items)} {key}")
        return items[number]

    def text(self, item: Item, key: str, where: str) -> str | None:
        """A text of an object, None where it is missing."""
        value = item.get(key)
        if value is not None and not isinstance(value, str):
            raise BadFile(f"{self.path}: {key} of {where} is not a text")
        return value

    def count(self, item: Item, key: str, where: str, default: int | None = None) -> int:
        """A number of bytes of an object."""
        value = item.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
            raise BadFile(f"{self.path}: {key} of {where} is {str(value)[:40]}, which is not a number of bytes")
        return value

    def extensions(self, item: Item, where: str) -> Item:
        """The extensions of an object; an empty object where it has none."""
        value = item.get("extensions", {})
        if not isinstance(value, dict):
            raise BadFile(f"{self.path}: extensions of {where} are not an object")
        return value

    def image_bytes(self, number: int) -> bytes:
        """The picture file of an image.

        Raises:
            BadFile, Unsupported, FileAccessError, LimitExceeded: what it refers to is not there or cannot be read.
        """
        where = f"image {number}"
        image = self.item("images", number, where)
        uri = self.text(image, "uri", where)
        if (uri is None) == ("bufferView" not in image):
            raise BadFile(f"{self.path}: {where} needs either a uri or a bufferView")
        return self.uri_bytes(uri, where) if uri is not None else self.view_bytes(image["bufferView"], where)

    def view_bytes(self, number: object, where: str) -> bytes:
        """Content of a view of a buffer."""
        view = self.item("bufferViews", number, where)
        what = f"bufferView {number}"
        offset = self.count(view, "byteOffset", what, 0)
        length = self.count(view, "byteLength", what)
        data = self.buffer_bytes(view.get("buffer"), what)
        if offset + length > len(data):
            raise BadFile(f"{self.path}: {what} ends at byte {offset + length} of a buffer of {len(data)}")
        return bytes(data[offset : offset + length])

    def buffer_bytes(self, number: object, where: str) -> bytes | bytearray:
        """Content of a buffer, of at most its `byteLength`."""
        buffer = self.item("buffers", number, where)
        what = f"buffer {number}"
        length = self.count(buffer, "byteLength", what)
        uri = self.text(buffer, "uri", what)
        if uri is None and (number != 0 or self.binary is None):
            raise BadFile(f"{self.path}: {what} has no uri, and the file no binary chunk for it")
        data = self.uri_bytes(uri, what) if uri is not None else self.binary
        assert data is not None
        if length > len(data):
            raise BadFile(f"{self.path}: {what} has {len(data)} bytes where the document says {length}")
        return data if length == len(data) else data[:length]

    def uri_bytes(self, uri: str, where: str) -> bytes:
        """What a URI refers to."""
        where = f"{self.path}: {where}"
        return data_of(uri, where, self.limits) if is_data(uri) else self.file_bytes(file_of(uri, where), where)

    def file_bytes(self, path: PurePosixPath, where: str) -> bytes:
        """Content of a file beside the document; it is read once, and all that were read are held."""
        if path not in self._files:
            held = sum(map(len, self._files.values()))
            self._files[path] = read_file(self.path.parent, path, where, self.limits, held)
        return self._files[path]

    def files(self) -> Iterator[PurePosixPath]:
        """Files of buffers and images, relative to the document's folder."""
        for key in ("buffers", "images"):
            for number, item in enumerate(self.items(key)):
                where = f"{key[:-1]} {number}"
                uri = self.text(item, "uri", where)
                if uri is not None and not is_data(uri):
                    yield file_of(uri, f"{self.path}: {where}")


def read_model(path: Path, limits: Limits = DEFAULT_LIMITS) -> Model:
    """The model in a `.gltf` or `.glb` file, recognised by content.

    Raises:
        BadFile: it is neither, or damaged. Unsupported: another version. FileAccessError: it cannot be read.
        LimitExceeded: it takes more memory than allowed.
    """
    data = read_regular(path, str(path), limits)
    is_binary = data.startswith(MAGIC)
    chunks = unpack_glb(data, str(path)) if is_binary else Chunks(data, None)
    root = _parsed(chunks.text, str(path), limits)
    asset = root.get("asset")
    version = asset.get("version") if isinstance(asset, dict) else None
    if not isinstance(version, str):
        raise BadFile(f"{path}: is not a glTF document: it has no asset.version")
    if version.split(".")[0] != "2":
        raise Unsupported(f"{path}: is glTF {version[:20]}; only version 2 is read")
    binary = None if chunks.binary is None else bytearray(chunks.binary)
    return Model(path, root, binary, chunks.others, limits, is_binary)


def _parsed(text: bytes, name: str, limits: Limits) -> Item:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")

    n_values = sum(map(text.count, (b",", b"[", b"{")))
    limits.check_memory(_BYTES_PER_VALUE * n_values, f"{name}: a document of about {n_values} values")
    try:
        root = json.loads(text.decode("utf-8"), parse_constant=refuse)
        _check_depth(root)
        json.dumps(root, ensure_ascii=False, allow_nan=False).encode("utf-8")  # lone surrogates, numbers such as 1e999
    except (ValueError, RecursionError) as fault:
        raise BadFile(f"{name}: is neither binary glTF nor JSON: {' '.join(str(fault).split())[:120]}") from fault
    if not isinstance(root, dict):
        raise BadFile(f"{name}: is not a glTF document: its JSON is not an object")
    return root


def _check_depth(root: object) -> None:
    level: list[Any] = [root] if isinstance(root, dict | list) else []
    for _ in range(_MAX_DEPTH):
        inner = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return
    raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
