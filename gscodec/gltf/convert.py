"""Models with their textures as `.igs` files, and such models with PNG files again."""

import hashlib
import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gscodec.errors import BadFile, InvalidArgument
from gscodec.gltf.edit import Editor
from gscodec.gltf.glb import Chunks, pack_glb
from gscodec.gltf.model import Item, Model, read_model
from gscodec.gltf.pictures import (
    IGS_TYPE,
    PNG_TYPE,
    Encoder,
    Picture,
    decode_texture,
    encode_texture,
    is_igs,
    is_source,
)
from gscodec.gltf.uses import Use, texture_uses
from gscodec.io.atomic import write_atomic
from gscodec.material.outputs import check_outputs, display_name, is_url, make_folder, silent

EXTENSION: Final = "GSCODEC_texture_igs"
"""Name of the extension of textures (`spec/gltf/GSCODEC_texture_igs/README.md`)."""

SUFFIXES: Final = (".gltf", ".glb")


@dataclass(frozen=True)
class Texture:
    """An image that was converted, once for all textures that show it alike."""

    name: str
    kind: str  # color, normal or data; png where it was decoded
    height: int  # px
    width: int
    n_bytes_before: int
    n_bytes: int


@dataclass(frozen=True)
class Converted:
    """A model that was written."""

    path: Path
    files: tuple[Path, ...]  # all files that were written, the model last
    textures: tuple[Texture, ...]


def encode_model(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    encoder: Encoder | None = None,
    fallback: bool = True,
    overwrite: bool = False,
    note: Callable[[str], None] = silent,
) -> Converted:
    """Write a model whose PNG and JPEG textures are `.igs` files as well, or instead.

    What a texture is used for decides how it is encoded. Textures whose use is not known stay as they are, and so does
    all else of the document.

    Args:
        source: path of a `.gltf` or `.glb` file.
        output: path of the result, which is of the type that its suffix says.
        encoder: settings of the encodes; None means the defaults.
        fallback: keep the pictures for renderers that do not know the extension.
        overwrite: replace files that exist, but never one that the source refers to.
        note: called with a line about each texture that is left as it is.

    Raises:
        InvalidArgument: the output is neither type, or a file of the source. OutputExists: a file exists.
        GsCodecError: the model or one of its pictures is damaged or cannot be read.
    """
    encoder = encoder or Encoder()
    path = _checked(output, source, overwrite)
    model = read_model(Path(source), encoder.limits)
    editor, uses = Editor(model, path), texture_uses(model)
    digests: dict[int, bytes | None] = {}  # of the images that are PNG or JPEG files
    images: dict[tuple[bytes, Use], int | None] = {}  # number of the image by content and use
    done, replaced = [], set()
    for number, texture in enumerate(model.items("textures")):
        where, extensions = f"texture {number}", model.extensions(texture, f"texture {number}")
        if EXTENSION in extensions or "source" not in texture:
            continue
        source_number = texture["source"]
        model.item("images", source_number, where)
        use = uses.get(number)
        if source_number not in digests:
            data = model.image_bytes(source_number)
            digests[source_number] = hashlib.sha256(data).digest() if is_source(data) else None
        digest = digests[source_number]
        if use is None or digest is None:
            reason = "is neither PNG nor JPEG" if use is not None else "is used in a way that is not known"
            note(f"{where} {reason if number in uses else 'is used by no material'} and stays as it is")
            continue
        key = digest, use
        if key not in images:
            data = model.image_bytes(source_number)
            name = f"{model.path}: image {source_number}"
            file_name = f"{editor.stem(source_number).name}.png"
            picture = encode_texture(data, use, file_name, name, encoder)
            images[key] = None
            if picture is not None:
                images[key] = editor.add_image(source_number, picture.data, IGS_TYPE, ".igs")
                done.append(_row(model, images[key], picture, len(data)))
        if images[key] is None:
            note(f"{where} is a picture of inks (CMYK) and stays as it is")
            continue
        texture.setdefault("extensions", {})[EXTENSION] = {"source": images[key]}
        if not fallback:
            replaced.add(texture.pop("source"))
    if done:
        _declare(model, "extensionsUsed")
    if replaced:
        _declare(model, "extensionsRequired")
    return _written(editor, replaced, tuple(done), overwrite, note)


def decode_model(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    encoder: Encoder | None = None,
    overwrite: bool = False,
    note: Callable[[str], None] = silent,
) -> Converted:
    """Write a model whose `.igs` textures are PNG files, or the pictures that were kept beside them.

    Args and errors as `encode_model`; of the encoder, device, threads and limits count.
    """
    encoder = encoder or Encoder()
    path = _checked(output, source, overwrite)
    model = read_model(Path(source), encoder.limits)
    editor = Editor(model, path)
    images: dict[int, int] = {}
    done, replaced = [], set()
    for number, texture in enumerate(model.items("textures")):
        where, extensions = f"texture {number}", model.extensions(texture, f"texture {number}")
        if EXTENSION not in extensions:
            continue
        content = extensions.pop(EXTENSION)
        if not extensions:
            del texture["extensions"]
        igs = content.get("source") if isinstance(content, dict) else None
        model.item("images", igs, f"{EXTENSION} of {where}")
        assert isinstance(igs, int)
        if igs not in replaced:
            if not is_igs(model.image_bytes(igs)):
                raise BadFile(f"{model.path}: image {igs}, of {EXTENSION} of {where}, is not an .igs file")
            replaced.add(igs)
        if "source" in texture:
            model.item("images", texture["source"], where)
            continue
        if igs not in images:
            data = model.image_bytes(igs)
            picture = decode_texture(data, f"{model.path}: image {igs}", encoder)
            images[igs] = editor.add_image(igs, picture.data, PNG_TYPE, ".png")
            done.append(_row(model, images[igs], picture, len(data)))
        texture["source"] = images[igs]
    for key in ("extensionsUsed", "extensionsRequired"):
        left = [name for name in model.names(key) if name != EXTENSION]
        if left:
            model.root[key] = left
        else:
            model.root.pop(key, None)
    return _written(editor, replaced, tuple(done), overwrite, note, made_of=())


def _checked(output: str | os.PathLike[str], source: str | os.PathLike[str], overwrite: bool) -> Path:
    """Path of the result, which may be written as far as is known before the encodes, which take minutes."""
    if isinstance(source, str) and is_url(source):
        raise InvalidArgument(f"{display_name(source)}: models are read from files; download it and its textures")
    path = Path(output)
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidArgument(f"{path}: models are written as {' or '.join(SUFFIXES)}; name a file that ends so")
    check_outputs([path], [source], None, overwrite=overwrite)
    return path


def _declare(model: Model, key: str) -> None:
    names = model.names(key)
    if EXTENSION not in names:
        model.root[key] = [*names, EXTENSION]


def _row(model: Model, number: int | None, picture: Picture, n_bytes_before: int) -> Texture:
    assert number is not None
    image = model.items("images")[number]
    uri = image.get("uri")
    is_file = isinstance(uri, str) and not uri.startswith("data:")
    name = uri if is_file else model.text(image, "name", f"image {number}") or f"image {number}"
    kind = "png" if picture.use is None else picture.use.kind
    return Texture(str(name), kind, picture.height, picture.width, n_bytes_before, len(picture.data))


def _written(
    editor: Editor,
    replaced: set[int],
    done: tuple[Texture, ...],
    overwrite: bool,
    note: Callable[[str], None],
    made_of: Collection[str] | None = None,
) -> Converted:
    """Write the model and its files: all are checked before the first is written, and the model comes last.

    Args:
        made_of: as in `check_outputs`.
    """
    model, folder = editor.model, editor.output.parent
    if not editor.remove_images(replaced):
        note("the model has extensions that may refer to images in ways that are not known: unused images stay in it")
    editor.finish()
    files, source_folder = dict(editor.files), model.path.parent
    if not folder.is_dir() or not source_folder.samefile(folder):
        for file in set(model.files()) - set(files):
            files[file] = model.file_bytes(file, str(model.path))
    paths = {folder / file: data for file, data in files.items()}
    read = [model.path, *(source_folder / file for file in editor.sources)]
    check_outputs([*paths, editor.output], read, made_of, overwrite=overwrite)
    paths[editor.output] = _packed(editor)
    for path, data in paths.items():
        make_folder(path.parent)
        write_atomic(path, data, overwrite)
    return Converted(editor.output, tuple(paths), done)


def _packed(editor: Editor) -> bytes:
    model = editor.model
    root: Item = model.root
    if not editor.to_binary:
        return (json.dumps(root, ensure_ascii=False, indent=2) + "\n").encode()
    text = json.dumps(root, ensure_ascii=False, separators=(",", ":")).encode()
    binary = None if model.binary is None else bytes(model.binary)
    return pack_glb(Chunks(text, binary, model.chunks), str(editor.output))
