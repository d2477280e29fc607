"""Writes the conformance vectors that are missing. Never touches one that is there: those are promises.

Run from the repository root: python tests/support/make_vectors.py
spec/vectors/README.md and shaders/vectors/README.md describe the layout.
The exit code is 1 if a file that is kept is not what would be written now.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from make_shader_vectors import shader_files
from shader_vectors import PLACE
from vector_cases import CASES
from vectors import VECTORS, samples_of

from gscodec.container.reader import IgsReader
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.format.profile_table import LAYOUTS
from gscodec.model.channels import ChannelGroup

MOST_POINTS: Final = 250
"""Pixels of a level that are kept, about."""

SIZES: Final = {
    "coded_hdr": [([0, 0, 40, 28], [13, 17]), ([3, 2, 20, 20], [23, 5])],
    "packed_alpha": [([0, 0, 36, 30], [11, 7]), ([5, 4, 16, 16], [24, 19])],
}
"""Region (x, y, width, height) and size (height, width) of further pictures of some files."""


class Expected:
    """Arrays in one file, each at an offset; equal ones are stored once."""

    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, array: np.ndarray) -> list[Any]:
        """Its place: [offset, type, shape]."""
        raw = array.tobytes()
        at = self.data.find(raw)  # a coarser level is a prefix of a finer one
        if at < 0 or at % array.itemsize:
            self.data += bytes(-len(self.data) % 8)
            at = len(self.data)
            self.data += raw
        return [at, array.dtype.str.replace("|", ""), list(array.shape)]


def levels_of(reader: IgsReader, expected: Expected) -> Iterator[dict[str, Any]]:
    """Gaussians of every level that a file holds, the finest first."""
    for lod in reader.available_lods:
        gaussians = reader.read(lod)
        fields = ("means", "inv_scales", "rotations", "features")
        types = ("<f8", "<f8", "<f8", "<f4")
        arrays = [
            np.ascontiguousarray(getattr(gaussians, name), kind) for name, kind in zip(fields, types, strict=True)
        ]
        yield {"lod": lod} | {name: expected.add(array) for name, array in zip(fields, arrays, strict=True)}


def pictures_of(name: str, image: IgsImage, plain: IgsImage, expected: Expected) -> Iterator[dict[str, Any]]:
    """Samples of every level that a file holds, and of what else it can show."""
    height, width, _ = image.shape
    step = 1
    while -(-height // step) * -(-width // step) > MOST_POINTS:
        step += 1 if step % 2 == 0 else 2  # odd, so that all columns and rows of tiles are met

    def kept(values: np.ndarray, every: int) -> dict[str, Any]:
        samples = samples_of(values[::every, ::every], image.groups)
        return {"step": every, "samples": [expected.add(np.ascontiguousarray(part)) for part in samples]}

    for lod in image.available_lods:
        yield {"lod": lod} | kept(plain.render(lod, dtype=np.float32), step)
        if image.grain:
            yield {"lod": lod, "grain": True} | kept(image.render(lod, dtype=np.float32), step)
    for region, size in SIZES.get(name, []):
        values = plain.render(0, region, size, np.float32)
        yield {"lod": 0, "region": region, "size": size} | kept(values, 1)
    if 0 not in image.available_lods:
        tiles = plain.arrived()
        yield {"tiles": expected.add(tiles.astype("u1"))} | kept(plain.render(available=True, dtype=np.float32), step)


def entry_of(name: str, path: Path, about: str) -> tuple[dict[str, Any], bytes]:
    """Entry of the index of a file, and the arrays that it names."""
    expected = Expected()
    with (
        IgsReader(path) as reader,
        open_igs(path, device="reference") as image,
        open_igs(path, device="reference", grain=False) as plain,
    ):
        n_lods = reader.n_lods
        entry = {
            "file": path.name,
            "about": about,
            "profile": LAYOUTS[reader.header.profile].name,
            "width": reader.grid.width,
            "height": reader.grid.height,
            "lods": n_lods,
            "truncated": sorted(set(range(n_lods)) - set(reader.available_lods)),
            "groups": [_stated(group) for group in reader.groups],
            "background": reader.grid.background.tolist(),
            "levels": list(levels_of(reader, expected)),
            "pictures": list(pictures_of(name, image, plain, expected)),
        }
    return entry, bytes(expected.data)


def _stated(group: ChannelGroup) -> dict[str, Any]:
    """Fields of a group that are not those of one of 8-bit sRGB colour."""
    plain = ChannelGroup("")
    fields = {key: value for key, value in asdict(group).items() if value != getattr(plain, key)}
    return {key: str(value) if isinstance(value, str) else value for key, value in fields.items()}


def text_of(index: dict[str, list[dict[str, Any]]]) -> str:
    """JSON with a line for each fact, level and picture of a file."""
    parts = []
    for kind, entries in index.items():
        rows = []
        for entry in entries:
            lines = []
            for key, value in entry.items():
                if key in {"groups", "levels", "pictures"}:
                    inner = ",\n    ".join(json.dumps(part, ensure_ascii=False) for part in value)
                    lines.append(f'   "{key}": [\n    {inner}\n   ]')
                else:
                    lines.append(f'   "{key}": {json.dumps(value, ensure_ascii=False)}')
            rows.append("  {\n" + ",\n".join(lines) + "\n  }")
        parts.append(f' "{kind}": [\n' + ",\n".join(rows) + "\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def keep_or_write(path: Path, data: bytes) -> bool:
    """Whether a file is what would be written now; one that is not there is written."""
    if not path.exists():
        path.write_bytes(data)
        print(f"{path.name}: written, {len(data)} bytes")
        return True
    if path.read_bytes() != data:
        print(f"{path.name}: kept, but it is not what would be written now; remove it to write it anew")
        return False
    return True


def main() -> int:
    """Exit code: 1 if a file that is kept is not what would be written now."""
    place, same = VECTORS / "index.json", True
    known = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {"decode": [], "refuse": []}
    decode = {entry["file"]: entry for entry in known["decode"]}
    refuse = {entry["file"]: entry for entry in known["refuse"]}
    (VECTORS / "refused").mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        path = VECTORS / f"{name}.igs"
        same &= keep_or_write(path, case())
        if path.name not in decode:
            assert case.__doc__
            decode[path.name], expected = entry_of(name, path, case.__doc__)
            same &= keep_or_write(path.with_suffix(".bin"), expected)
    from refused import COARSEST, REFUSED, REFUSED_SETS  # made of files that are there only now

    for name, (make, error, about) in (REFUSED | REFUSED_SETS).items():
        path = VECTORS / "refused" / f"{name}.igs"
        same &= keep_or_write(path, make())
        entry = {"file": f"refused/{path.name}", "error": error, "about": about}
        refuse.setdefault(f"refused/{path.name}", entry | ({"lod": COARSEST} if name in REFUSED_SETS else {}))
    place.write_text(text_of({"decode": list(decode.values()), "refuse": list(refuse.values())}), encoding="utf-8")
    for name, data in shader_files():
        same &= keep_or_write(PLACE / name, data)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
