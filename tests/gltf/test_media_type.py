"""One media type, whoever names it."""

import re
from pathlib import Path

from PIL import Image

import gscodec.pillow
from gscodec.gltf.pictures import IGS_TYPE

ROOT = Path(__file__).parents[2]


def test_the_media_type_is_that_of_the_specification() -> None:
    text = (ROOT / "spec" / "igs.md").read_text(encoding="utf-8")
    (name,) = re.findall(r"^\| Subtype name \| (\S+) \|$", text, re.MULTILINE)
    assert f"image/{name}" == IGS_TYPE == Image.MIME[gscodec.pillow.FORMAT]
    assert IGS_TYPE in (ROOT / "gscodec" / "viewer" / "server.py").read_text(encoding="utf-8")
