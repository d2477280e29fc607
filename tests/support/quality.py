"""Fits whose quality is guarded: small real pictures, their settings, and the PSNR that they are expected to have.

    python tests/support/quality.py          (or make guard-update)

rewrites the table of expected values, tests/encoding/quality.csv. That is right after a change that is meant to move
quality, and wrong for any other.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import gscodec
from gscodec.image.levels import has_floats, to_native, to_unit
from gscodec.image.load import load_image
from gscodec.image.stack import ImageStack
from gscodec.material.maps import load_source
from gscodec.metrics import psnr

ROOT: Final = Path(__file__).parents[2]
SAMPLES: Final = ROOT / "samples"
TABLE: Final = ROOT / "tests" / "encoding" / "quality.csv"

ALLOWED_DB: Final = 0.2
"""Difference from the table that is none.

The table has the middle of what the instruction sets of an x86-64 CPU give, which lie up to 0.17 dB apart: a loss of
0.3 dB is found with any of them. Parts of pictures whose fits differ by more have no place among the cases.
"""


@dataclass(frozen=True)
class Case:
    """One fit."""

    name: str
    sources: tuple[str, ...]  # below samples/
    crop: tuple[int, int, int, int]  # x, y, width, height, px
    settings: dict[str, Any]


CASES: Final = (
    Case("photo fast", ("photo_dandelions.png",), (300, 200, 128, 96), {"bpp": 0.6, "preset": "fast"}),
    Case("art balanced", ("art_concert.png",), (250, 200, 80, 64), {"bpp": 0.8, "preset": "balanced"}),
    Case(
        "art packed",
        ("art_concert.png",),
        (250, 200, 128, 128),
        {"bpp": 1.0, "preset": "fast", "profile": "packed"},
    ),
    Case("art f16", ("art_concert.png",), (100, 300, 96, 96), {"gaussians": 150, "preset": "fast", "profile": "f16"}),
    Case("photo small", ("photo_dandelions.png",), (250, 150, 160, 120), {"size": 400, "preset": "fast"}),
    Case(
        "plates",
        tuple(f"plates_512/{name}.png" for name in ("albedo", "normal", "roughness")),
        (64, 64, 96, 96),
        {"bppc": 0.25, "preset": "fast"},
    ),
    Case("studio", ("hdr_studio.exr",), (140, 40, 96, 96), {"bpp": 1.5, "preset": "fast"}),
)


def picture_of(case: Case) -> ImageStack:
    """The part of the sample that is encoded."""
    paths = [SAMPLES / name for name in case.sources]
    whole = load_source(paths) if len(paths) > 1 else load_image(paths[0])
    x, y, width, height = case.crop
    samples = whole.samples[y : y + height, x : x + width]
    assert samples.shape[:2] == (height, width), case.name
    return replace(whole, samples=samples, files=())


def measure(case: Case) -> dict[str, float]:
    """PSNR in dB of the decoded file, in the domain that is fitted, by the names of case and group of channels."""
    picture = picture_of(case)
    result = gscodec.encode(picture, device="cpu", tune="psnr", **case.settings)  # the measure of the table
    assert result.target_met, result.note
    with gscodec.open(result.data, device="cpu") as image:
        decoded = image.render()
    if has_floats(picture.groups):
        return {case.name: psnr(picture.samples, to_unit(decoded, picture.groups), peak=1.0)}
    original, at, found = to_native(picture.samples, picture.groups), 0, {}
    for group in picture.groups:
        channels = slice(at, at + group.n_channels)
        label = case.name if len(picture.groups) == 1 else f"{case.name} {group.name}"
        found[label] = psnr(original[..., channels], decoded[..., channels])
        at += group.n_channels
    return found


def expected() -> dict[str, float]:
    """The table: dB by name."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {row["fit"]: float(row["psnr_db"]) for row in csv.DictReader(file)}


def by_instruction_set() -> Iterator[tuple[str, dict[str, float]]]:
    """What all cases measure with each instruction set of this machine's CPU."""
    from gscodec.render.cpu import CpuRasterizer, available_isas

    plain = CpuRasterizer.__init__
    for isa in available_isas():
        CpuRasterizer.__init__ = lambda self, threads=None, isa=isa: plain(self, threads, isa)  # type: ignore[method-assign]
        try:
            yield isa, {name: value for case in CASES for name, value in measure(case).items()}
        finally:
            CpuRasterizer.__init__ = plain  # type: ignore[method-assign]


def main() -> None:
    found = dict(by_instruction_set())
    (*_, fastest) = found.values()
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("fit", "psnr_db"))
        for name in fastest:
            values = [measured[name] for measured in found.values()]
            writer.writerow((name, f"{(min(values) + max(values)) / 2:.2f}"))
            print(name, *(f"{isa} {measured[name]:.3f}" for isa, measured in found.items()), sep=", ")


if __name__ == "__main__":
    main()
