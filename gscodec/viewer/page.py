"""The viewer as one page: HTML, style, script and decoder joined, so that it works from a server, a file or a mail."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

MODULES: Final = (
    "source", "decoder", "tiles", "lattice", "gpu", "shaders", "scene", "painter", "view", "layers", "main",
)  # fmt: skip
"""ES modules, each after those that it imports. Joined, they share one scope: top-level names are unique."""

WIPE: Final = 2
"""Mode of the viewer that shows two pictures on either side of a divider."""

_IMPORT: Final = re.compile(r'^import (?:\{[^}]*\} from )?"\./[a-z_]+\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ", re.MULTILINE)


@dataclass(frozen=True)
class LinkedFile:
    """A file that the page fetches, by ranges where its server has them."""

    name: str
    url: str


@dataclass(frozen=True)
class EmbeddedFile:
    """A file within the page: an `.igs` file, or a picture of a type that browsers read."""

    name: str
    data: bytes


def viewer_page(
    shown: Sequence[LinkedFile | EmbeddedFile] = (),
    *,
    second: LinkedFile | EmbeddedFile | None = None,
    figures: str = "",
) -> str:
    """HTML of the viewer.

    Args:
        shown: files to choose from; the first is opened. None: the page asks for one, and takes URLs as `?src=URL`.
        second: what the first one is compared with, along a wipe.
        figures: text shown beside the comparison.
    """
    data: list[str] = [_element("wasm", _base64(_web("igs.wasm")))]
    config: dict[str, Any] = {"files": [], "figures": figures}
    for file in (*shown, *(() if second is None else (second,))):
        entry = {"name": file.name}
        if isinstance(file, LinkedFile):
            entry["url"] = file.url
        else:
            entry["embedded"] = f"data{len(data)}"
            data.append(_element(entry["embedded"], _base64(file.data)))
        if file is second and len(config["files"]) == len(shown):
            config |= {"second": entry, "mode": WIPE}
        else:
            config["files"].append(entry)
    text = json.dumps(config).replace("<", "\\u003c")  # a name must not end the element
    data.append(f'<script type="application/json" id="config">{text}</script>')
    page = _web("index.html").decode()
    for mark, content in (("/*STYLE*/", _web("style.css").decode()), ("<!--DATA-->", "\n".join(data))):
        page = page.replace(mark, content)
    return page.replace("/*SCRIPT*/", "\n" + joined_script())


@cache
def joined_script() -> str:
    """The modules as one, without imports and exports."""
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _web(f"{name}.js").decode())) for name in MODULES)


def _element(name: str, content: str) -> str:
    return f'<script type="application/octet-stream" id="{name}">{content}</script>'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _web(name: str) -> bytes:
    folder = files("gscodec.viewer")
    return (folder / name if name == "igs.wasm" else folder / "web" / name).read_bytes()
