"""Instructions of the CUDA kernels' loops, from NVRTC's machine code: `python benchmarks/sass_counts.py --arch sm_90`.

`--hot` prints the loops that rendering and training spend their time in: benchmarks/results/sass.md, which
tests/cuda/test_sass_counts.py holds the kernels to.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gscodec.cuda import sources
from gscodec.cuda.nvrtc import ARCHITECTURES, compile_cubin, installed
from gscodec.render.kernel_report import main_variants

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
RASTERS = ("raster_forward", "raster_backward")
_FUNCTION = re.compile(r"^\s*\.section\s+\.text\.(\w+)")
_LABEL = re.compile(r"^(\.L\w+):")
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9]+)\S*(.*)")
_TARGET = re.compile(r"`\((\.L\w+)\)")


@dataclass
class Loop:
    """Instructions first .. last of a kernel, without those of loops inside."""

    first: int
    last: int
    operations: Counter[str]

    @property
    def counts(self) -> Counter[str]:
        """By class."""
        classes: Counter[str] = Counter()
        for operation, count in self.operations.items():
            classes[class_of(operation)] += count
        return classes


def class_of(operation: str) -> str:
    """The class that an operation is counted in."""
    return next((name for name, members in CLASSES.items() if operation in members), "other")


def loops(text: str) -> dict[str, list[Loop]]:
    """Loops of each kernel in nvdisasm's text: first the whole kernel, then its loops in the order of the code."""
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
        whole = Loop(0, len(operations) - 1, Counter(operation for operation in operations if operation != "NOP"))
        for place, operation in enumerate(operations):
            around = [loop for loop in result if loop.first <= place <= loop.last]
            if around:
                min(around, key=lambda loop: loop.last - loop.first).operations[operation] += 1
        found[name] = [whole, *result]
    return found


def hot_loops(found: dict[str, list[Loop]]) -> dict[tuple[str, str], Loop]:
    """By kernel and what they do: those of raster_forward and raster_backward that their time goes into.

    `select` a block of K candidates into the K smallest, `blend` two candidates, `weights` one candidate's for its
    moments, `moments` a chunk of candidates.
    """
    hot: dict[tuple[str, str], Loop] = {}
    for kernel, (_, *inner) in found.items():
        kinds: dict[str, list[Loop]] = {"select": [], "blend": [], "weights": [], "moments": []}
        for loop in inner:
            n = loop.counts
            if n["minmax"] > 100:
                kinds["select"].append(loop)
            elif n["fma"] > 200:
                kinds["moments"].append(loop)
            elif n["ex2"] and n["sts"] == n["shfl"] == 1:
                kinds["weights"].append(loop)
            elif n["ex2"] >= 4 and not n["shfl"]:
                kinds["blend"].append(loop)
        # The longer of two is the one that tells equal distances apart, which few warps come to.
        for name, those in kinds.items():
            if those:
                hot[kernel, name] = min(those, key=lambda loop: loop.operations.total())
    return hot


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
        return subprocess.run((program, file.name), capture_output=True, encoding="utf-8", check=True).stdout


def families(names: Sequence[str], architecture: str) -> dict[str, list[Loop]]:
    """`loops` of all kernels of some families, as three channels take them."""
    first = {variant.family: variant for variant in reversed(main_variants()) if variant.family in names}
    found: dict[str, list[Loop]] = {}
    for variant in first.values():
        text = sources.source(variant.family, dict(variant.defines))
        found |= loops(disassemble(compile_cubin(text, sources.options(variant.family), architecture)))
    return found


def hot_table(architecture: str) -> Iterator[str]:
    """Lines of benchmarks/results/sass.md.

    Yields:
        str: a line of Markdown.
    """
    major, minor = installed()[0].version
    yield "# Instructions of the hot loops"
    yield ""
    yield f"NVRTC {major}.{minor}, {architecture}; three channels, K = 10, float32, two points a lane. Made by"
    yield "`python benchmarks/sass_counts.py --hot`. A kernel that takes more of them fails a test, and so does one"
    yield "with a convergence barrier in any of them but `select`. What the loops are: benchmarks/notes/kernels.md."
    yield ""
    names = [*CLASSES, "other"]
    yield "| " + " | ".join(["kernel", "loop", "all", *names]) + " |"
    yield "|---" * (len(names) + 3) + "|"
    found = families(RASTERS, architecture)
    wholes = {(kernel, "whole"): whole for kernel, (whole, *_) in found.items()}
    for (kernel, name), loop in {**hot_loops(found), **wholes}.items():
        counts = loop.counts
        yield f"| {kernel} | {name} | " + " | ".join(map(str, (counts.total(), *(counts[c] for c in names)))) + " |"


def main() -> int:
    """Prints a line a loop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", action="append", choices=ARCHITECTURES, help="repeatable; default sm_90")
    parser.add_argument("--family", action="append", choices=list(sources.HEADERS), help="repeatable; default rasters")
    parser.add_argument("--hot", action="store_true", help="only the rasters' hot loops, as a table")
    args = parser.parse_args()
    if args.hot:
        for line in hot_table((args.arch or ["sm_90"])[0]):
            print(line)
        return 0
    names = [*CLASSES, "other"]
    print(f"{'kernel':<26}{'arch':<8}{'place':>12}{'all':>6}" + "".join(f"{name:>8}" for name in names))
    for architecture in args.arch or ["sm_90"]:
        for kernel, found in families(args.family or RASTERS, architecture).items():
            for loop in found:
                counts = loop.counts
                numbers = "".join(f"{counts[name]:>8}" for name in names)
                print(f"{kernel:<26}{architecture:<8}{f'{loop.first}-{loop.last}':>12}{counts.total():>6}{numbers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
