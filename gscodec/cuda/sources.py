"""Texts of the CUDA kernels: families, the headers of each, and the single string that is compiled.

Headers are inserted as text: CuPy's cache is keyed by the text it compiles and ignores files on an include path, and
NVRTC then needs no toolkit on the machine.
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
    "raster_backward": ("loss_terms.h", "device.cuh", "pointwise.cuh", "blend.cuh", "gather.cuh"),
    "sample": ("device.cuh", "blend.cuh"),
    "loss": ("loss_terms.h", "device.cuh", "pointwise.cuh", "partial_sums.cuh"),
    "fit": (
        "gaussian_math.h",
        "loss_terms.h",
        "adam_update.h",
        "device.cuh",
        "binning.cuh",
        "partial_sums.cuh",
        "gather.cuh",
    ),
    "unpack": ("device.cuh",),
    "unpack_packed": ("lattice.cuh",),
    "unpack_coded": ("device.cuh", "lattice.cuh"),
    "upkeep": ("device.cuh",),
    "growth": ("device.cuh", "partial_sums.cuh"),
    "averages": (),
    "grain": ("grain_noise.h",),
}
"""Families, one .cu file each, and the headers inserted before it, in order."""

SHARED: Final = frozenset({"adam_update.h", "gaussian_math.h", "grain_noise.h", "loss_terms.h"})
"""Headers of native/shared, which the C++ engine includes too."""

_OPTIONS: Final = {
    # One division in an inner loop, by a number far above the denormals: the branch for those costs registers.
    "loss": ("--prec-div=false",),
}
"""Additional compiler options of families."""

_ENTRY: Final = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(')
_MACRO: Final = re.compile(r"[A-Za-z_]\w*\Z")


def source(family: str, defines: Mapping[str, Define]) -> str:
    """The complete text of a family, as one string.

    Args:
        defines: macros; REAL, the arithmetic type, defaults to float.

    Raises:
        KeyError: the family does not exist.
        ValueError: a macro's name is not an identifier, or its value has several lines.
    """
    parts = [_preamble(defines)]
    # Compiler messages then cite the original file and line.
    parts += [f'#line 1 "{name}"\n{_text(name)}' for name in (*HEADERS[family], f"{family}.cu")]
    return "\n".join(parts)


def entries(family: str) -> tuple[str, ...]:
    """Names of a family's kernels, in the order of the file.

    Raises:
        KeyError: the family does not exist.
    """
    if family not in HEADERS:
        raise KeyError(family)
    return tuple(_ENTRY.findall(_text(f"{family}.cu")))


def options(family: str) -> tuple[str, ...]:
    """NVRTC options of a family, without the architecture."""
    # Rounding follows the text: multiply-adds are explicit, and the compiler must not contract others. Tile lists are
    # then identical on every engine, and kernels from the same template give the same bits.
    return ("-std=c++17", "--fmad=false", *_OPTIONS.get(family, ()))


def _preamble(defines: Mapping[str, Define]) -> str:
    """Macro definitions sorted by name, so that equal sets give equal texts and hit the same cache entry."""
    lines = []
    for name, value in sorted({"REAL": "float", **defines}.items()):
        if not _MACRO.match(name) or "\n" in str(value):
            raise ValueError(f"#define {name!r} {value!r}: an identifier and one line are needed")
        lines.append(f"#define {name} {value}\n")
    return "".join(lines)


@cache
def _text(name: str) -> str:
    """A file of `SHARED` or of this folder, without `#pragma once`, which compilers warn about in a main file."""
    folder = "native/shared" if name in SHARED else "cuda"
    text = resources.files("gscodec").joinpath(folder, name).read_text(encoding="utf-8")
    return text.replace("#pragma once\n", "\n")
