"""The text of the CUDA kernels: families, the headers each one needs, and the one string a compiler gets.

Headers are joined in as text. CuPy's cache is keyed by the text it compiles and does not see files behind an include
path, and NVRTC then needs no toolkit on the machine.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from gscodec.cuda.runtime import Define

HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "tile_bin": ("gaussian_math.h", "device.cuh", "binning.cuh"),
    "raster_forward": ("device.cuh", "blend.cuh"),
    "raster_backward": ("device.cuh", "blend.cuh", "gather.cuh"),
    "sample": ("device.cuh", "blend.cuh"),
    "loss": ("device.cuh", "partial_sums.cuh"),
    "fit": ("gaussian_math.h", "device.cuh", "binning.cuh", "partial_sums.cuh", "gather.cuh"),
    "unpack": ("device.cuh",),
    "unpack_packed": ("lattice.cuh",),
    "unpack_coded": ("device.cuh", "lattice.cuh"),
    "upkeep": ("device.cuh",),
    "growth": ("device.cuh", "partial_sums.cuh"),
    "averages": (),
}
"""Families, one .cu file each, and what stands in front of it, in order."""

SHARED: Final = frozenset({"gaussian_math.h"})
"""Headers of native/shared, which the C++ engine includes too."""

_OPTIONS: Final = {
    # One division in an inner loop, of a number far above the denormals: the branch for those costs registers.
    "loss": ("--prec-div=false",),
}
"""What families are compiled with besides what all are."""

_ENTRY: Final = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(')
_MACRO: Final = re.compile(r"[A-Za-z_]\w*\Z")


def source(family: str, defines: Mapping[str, Define]) -> str:
    """Everything a compiler needs of a family, as one text.

    Args:
        defines: macros; REAL, the arithmetic type, is float where it is not among them.

    Raises:
        KeyError: no such family.
        ValueError: a macro's name is not an identifier, or its value has more than one line.
    """
    parts = [_preamble(defines)]
    # Compilers then cite the file and line a contributor edits.
    parts += [f'#line 1 "{name}"\n{_text(name)}' for name in (*HEADERS[family], f"{family}.cu")]
    return "\n".join(parts)


def entries(family: str) -> tuple[str, ...]:
    """Names of a family's kernels, in the order of the file.

    Raises:
        KeyError: no such family.
    """
    if family not in HEADERS:
        raise KeyError(family)
    return tuple(_ENTRY.findall(_text(f"{family}.cu")))


def options(family: str) -> tuple[str, ...]:
    """NVRTC's options for a family, apart from the architecture."""
    # Rounding is what the text says: multiply-adds are spelled out, and no compiler contracts what is left. Tile lists
    # then agree on every engine, and kernels made of the same template give the same bits.
    return ("-std=c++17", "--fmad=false", *_OPTIONS.get(family, ()))


def _preamble(defines: Mapping[str, Define]) -> str:
    """Macros by name, so that equal sets make equal texts and hit the same cache entry."""
    lines = []
    for name, value in sorted({"REAL": "float", **defines}.items()):
        if not _MACRO.match(name) or "\n" in str(value):
            raise ValueError(f"#define {name!r} {value!r}: an identifier and one line are needed")
        lines.append(f"#define {name} {value}\n")
    return "".join(lines)


@cache
def _text(name: str) -> str:
    """A file of `SHARED` or of this folder, without `#pragma once`, of which compilers warn in their main file."""
    folder = "native/shared" if name in SHARED else "cuda"
    text = resources.files("gscodec").joinpath(folder, name).read_text(encoding="utf-8")
    return text.replace("#pragma once\n", "\n")
