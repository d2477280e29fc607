import base64
import json
import re
from importlib.resources import files

from gscodec.viewer.page import MODULES, EmbeddedFile, LinkedFile, joined_script, viewer_page

WEB = files("gscodec.viewer") / "web"


def config_of(page: str) -> dict[str, object]:
    (text,) = re.findall(r'id="config">(.*?)</script>', page)
    facts: dict[str, object] = json.loads(text)
    return facts


def test_script_and_style_are_small() -> None:
    script, style = joined_script(), (WEB / "style.css").read_text("utf-8")
    assert len(script.encode()) + len(style.encode()) < 150_000


def test_every_module_is_part_of_the_page_once() -> None:
    assert sorted(MODULES) == sorted(path.name[:-3] for path in WEB.iterdir() if path.name.endswith(".js"))
    script = joined_script()
    assert not re.search(r"^(?:import|export) ", script, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:class|const|function|let) (\w+)", script, re.MULTILINE)
    assert len(names) == len(set(names))


def test_the_page_refers_to_nothing_outside_of_itself() -> None:
    page = viewer_page([EmbeddedFile("a.igs", b"abc")])
    without_data = re.sub(r'<script type="application/octet-stream".*?</script>', "", page)
    assert not re.search(r"https?://|@import|<link(?! rel=\"icon\" href=\"data:,\")", without_data)


def test_names_cannot_end_the_element_that_they_are_in() -> None:
    name = "</script><script>alert(1)</script>.igs"
    page = viewer_page([LinkedFile(name, "/files/0")])
    assert config_of(page)["files"] == [{"name": name, "url": "/files/0"}]
    assert "<script>alert" not in page


def test_files_are_embedded_in_base64() -> None:
    page = viewer_page([EmbeddedFile("a.igs", b"\xabIGS")], second=EmbeddedFile("a.png", b"PNG"), figures="PSNR 30 dB")
    facts = config_of(page)
    assert facts["files"] == [{"name": "a.igs", "embedded": "data1"}]
    assert facts["second"] == {"name": "a.png", "embedded": "data2"}
    assert (facts["mode"], facts["figures"]) == (2, "PSNR 30 dB")
    contents = dict(re.findall(r'octet-stream" id="(\w+)">([^<]*)</script>', page))
    assert base64.b64decode(contents["data1"]) == b"\xabIGS"
    assert base64.b64decode(contents["data2"]) == b"PNG"
    assert base64.b64decode(contents["wasm"]).startswith(b"\0asm")
