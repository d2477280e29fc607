"""Instructions of the CUDA kernels' loops, from NVRTC's machine code: `python benchmarks/sass_counts.py --arch sm_90`.

Needs NVRTC and nvdisasm (`pip install nvidia-cuda-nvdisasm`, or a CUDA toolkit), and no GPU. A loop is what lies
between a label and the last branch back to it; an instruction is counted in the innermost loop around it. Classes:
`fma` float multiply and add, `minmax` minima, maxima and comparisons (half rate), `ex2` the special functions, `shfl`
shuffles and votes, `lds`/`sts` shared memory, `ldg`/`stg` global memory, `control` branches and convergence barriers,
`other` the rest.
"""

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gscodec.cuda import sources
from gscodec.cuda.kernel_report import main_variants
from gscodec.cuda.nvrtc import ARCHITECTURES, compile_cubin

CLASSES = {
    "fma": ("FFMA", "FADD", "FMUL", "FFMA2", "FADD2", "FMUL2"),
    "minmax": ("FMNMX", "FMNMX3", "FSETP", "FSEL"),
    "ex2": ("MUFU",),
    "shfl": ("SHFL", "VOTE", "VOTEU"),
    "lds": ("LDS",),
    "sts": ("STS",),
    "ldg": ("LDG", "LD"),
    "stg": ("STG", "ST"),
    "control": ("BRA", "BSSY", "BSYNC", "BREAK", "WARPSYNC", "BAR", "EXIT", "CALL", "RET"),
}
_FUNCTION = re.compile(r"^\s*\.section\s+\.text\.(\w+)")
_LABEL = re.compile(r"^(\.L\w+):")
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9]+)\S*(.*)")
_TARGET = re.compile(r"`\((\.L\w+)\)")


@dataclass
class Loop:
    """Instructions first .. last of a kernel, without those of loops inside."""

    first: int
    last: int
    counts: Counter[str]


def class_of(operation: str) -> str:
    """The class that an operation is counted in."""
    return next((name for name, members in CLASSES.items() if operation in members), "other")


def loops(text: str) -> dict[str, list[Loop]]:
    """Of each kernel in nvdisasm's text: first the whole kernel, then its loops in the order of the code."""
    found: dict[str, list[Loop]] = {}
    for name, body in _functions(text):
        labels: dict[str, int] = {}
        operations: list[str] = []
        branches: list[tuple[int, str]] = []
        for line in body:
            if label := _LABEL.match(line):
                labels[label[1]] = len(operations)
            elif instruction := _INSTRUCTION.match(line):
                if instruction[1] == "BRA" and (target := _TARGET.search(instruction[2])):
                    branches.append((len(operations), target[1]))
                operations.append(instruction[1])
        ends: dict[int, int] = {}
        for at, target_label in branches:
            begin = labels.get(target_label, at + 1)
            if begin < at:  # one that jumps to itself is padding
                ends[begin] = max(at, ends.get(begin, 0))
        ranges = sorted(ends.items())
        result = [Loop(first, last, Counter()) for first, last in ranges]
        whole = Loop(
            0, len(operations) - 1, Counter(class_of(operation) for operation in operations if operation != "NOP")
        )
        for place, operation in enumerate(operations):
            around = [loop for loop in result if loop.first <= place <= loop.last]
            if around:
                min(around, key=lambda loop: loop.last - loop.first).counts[class_of(operation)] += 1
        found[name] = [whole, *result]
    return found


def _functions(text: str) -> Iterator[tuple[str, list[str]]]:
    name, body = "", list[str]()
    for line in text.splitlines():
        if section := re.match(r"^\s*\.section\s+(\S+?)[,\s]", line):
            if name:
                yield name, body
            started = _FUNCTION.match(line)
            name, body = (started[1] if started and section else ""), []
        elif name:
            body.append(line)
    if name:
        yield name, body


def disassemble(cubin: bytes) -> str:
    """nvdisasm's text of a cubin.

    Raises:
        FileNotFoundError: there is no nvdisasm.
    """
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    program = shutil.which("nvdisasm") or next((str(p) for r in roots for p in r.glob("*/bin/nvdisasm")), None)
    if program is None:
        raise FileNotFoundError("nvdisasm is not there; pip install nvidia-cuda-nvdisasm")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        return subprocess.run((program, file.name), capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Prints a line a loop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", action="append", choices=ARCHITECTURES, help="repeatable; default sm_90")
    parser.add_argument("--family", action="append", choices=list(sources.HEADERS), help="repeatable; default rasters")
    args = parser.parse_args()
    names = [*CLASSES, "other"]
    print(f"{'kernel':<26}{'arch':<8}{'place':>12}{'all':>6}" + "".join(f"{name:>8}" for name in names))
    wanted = args.family or ["raster_forward", "raster_backward"]
    first = {variant.family: variant for variant in reversed(main_variants()) if variant.family in wanted}
    for variant in first.values():
        for architecture in args.arch or ["sm_90"]:
            text = sources.source(variant.family, dict(variant.defines))
            for kernel, found in loops(
                disassemble(compile_cubin(text, sources.options(variant.family), architecture))
            ).items():
                for loop in found:
                    total = sum(loop.counts.values())
                    numbers = "".join(f"{loop.counts[name]:>8}" for name in names)
                    print(f"{kernel:<26}{architecture:<8}{f'{loop.first}-{loop.last}':>12}{total:>6}{numbers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
