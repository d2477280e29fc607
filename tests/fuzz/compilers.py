"""Compiles the native targets with the best sanitizers that this machine has.

clang's libFuzzer guides the search by coverage. Where there is none, `driver.c` mutates without guidance, under the
sanitizers of whatever compiler there is.
"""

import functools
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
NATIVE: Final = Path(__file__).parent / "native"
ENGINE: Final = ROOT / "gscodec" / "native"
READER: Final = sorted((ROOT / "libigs" / "src").glob("*.c"))
_SANITIZE: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_HARDEN: Final = ("-g", "-O1", "-fno-omit-frame-pointer", "-Wall", "-Wextra")


@dataclass(frozen=True)
class Compiler:
    """A C and a C++ compiler, and what they can do."""

    c: str
    cxx: str
    flags: tuple[str, ...]  # sanitizers
    guided: bool  # whether libFuzzer is there

    @property
    def label(self) -> str:
        """What a report calls it."""
        search = "libFuzzer" if self.guided else "mutation without coverage guidance"
        return f"{Path(self.cxx).name}, {' '.join(self.flags) or 'no sanitizer'}, {search}"


def _runs(compiler: str, flags: Sequence[str], program: str) -> bool:
    """Whether a program compiles with some flags, and runs."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "probe.cpp"), Path(folder, "probe")
        source.write_text(program)
        built = subprocess.run([compiler, *flags, "-o", binary, source], capture_output=True, check=False)
        runs = [str(binary), "-runs=1"]  # what libFuzzer takes, and nothing else minds
        return built.returncode == 0 and subprocess.run(runs, capture_output=True, check=False).returncode == 0


@functools.cache
def fuzz_compiler() -> Compiler:
    """The compiler for fuzz targets: clang with libFuzzer, else any with sanitizers, else any."""
    target = '#include <cstddef>\nextern "C" int LLVMFuzzerTestOneInput(const unsigned char*, size_t) { return 0; }'
    if shutil.which("clang") and _runs("clang++", ["-fsanitize=fuzzer", *_SANITIZE], target):
        return Compiler("clang", "clang++", _SANITIZE, guided=True)
    return unguided_compiler()


@functools.cache
def unguided_compiler() -> Compiler:
    """A compiler for fuzz targets with the driver that stands in for libFuzzer."""
    for c, cxx in (("clang", "clang++"), (_cc(), cxx_compiler())):
        if shutil.which(cxx) and _runs(cxx, _SANITIZE, "int main() { return 0; }"):
            return Compiler(c, cxx, _SANITIZE, guided=False)
    return Compiler(_cc(), cxx_compiler(), (), guided=False)


@functools.cache
def race_flags() -> tuple[str, ...]:
    """What makes the C++ compiler look for data races, where it can."""
    flags = ("-fsanitize=thread",)
    return flags if _runs(cxx_compiler(), flags, "#include <thread>\nint main() { std::thread([] {}).join(); }") else ()


def _cc() -> str:
    return os.environ.get("CC") or shutil.which("cc") or "gcc"


def cxx_compiler() -> str:
    """The C++ compiler of the build."""
    return os.environ.get("CXX") or shutil.which("c++") or "g++"


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr}")


def reader_library(folder: Path) -> Path:
    """libigs as a shared library that Python can call."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = ("-std=c11", "-O2", "-fPIC")
    objects = [_object(_cc(), source, folder, flags) for source in READER]
    library = folder / f"libreader{sysconfig.get_config_var('SHLIB_SUFFIX') or '.so'}"
    _run(_cc(), *flags, "-shared", "-o", library, NATIVE / "reader_library.c", *objects, "-lm")
    return library


def fuzz_target(name: str, folder: Path, compiler: Compiler) -> Path:
    """One of the programs `fuzz_reader`, `fuzz_coded`, `fuzz_packed` and `fuzz_paging`."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = (*_HARDEN, *compiler.flags, *(("-fsanitize=fuzzer-no-link",) if compiler.guided else ()))
    c, cxx = ("-std=c11", *flags), ("-std=c++17", f"-I{ENGINE}", *flags)
    if name == "fuzz_reader":
        objects = [_object(compiler.c, source, folder, c) for source in READER]
        own = [NATIVE / "fuzz_reader.c", NATIVE / "reader_library.c"]
        objects += [_object(compiler.c, source, folder, c) for source in own]
    else:
        sources = [
            NATIVE / f"{name}.cpp",
            *(ENGINE / "codec" / f"{part}.cpp" for part in ("page_codec", "record_codec", "paging")),
        ]
        objects = [_object(compiler.cxx, source, folder, cxx) for source in sources]
    return link_target(name, objects, folder, compiler)


def link_target(name: str, objects: Sequence[Path], folder: Path, compiler: Compiler) -> Path:
    """A program of a target's objects and whatever calls it."""
    objects = list(objects)
    if not compiler.guided:
        objects.append(_object(compiler.c, NATIVE / "driver.c", folder, ("-std=c11", *_HARDEN, *compiler.flags)))
    program = folder / name
    link = ("-fsanitize=fuzzer",) if compiler.guided else ()
    _run(compiler.cxx, *compiler.flags, *link, "-o", program, *objects, "-lm")
    return program


def pool_stress(folder: Path, flags: Sequence[str]) -> Path:
    """The program that uses the engine's thread pool in every way that it may be used."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "pool_stress"
    sources = (NATIVE / "pool_stress.cpp", ENGINE / "threads" / "thread_pool.cpp")
    _run(cxx_compiler(), "-std=c++17", "-g", "-O1", f"-I{ENGINE}", *flags, "-pthread", "-o", program, *sources)
    return program


def _object(compiler: str, source: Path, folder: Path, flags: Sequence[str]) -> Path:
    made = folder / f"{source.stem}.o"
    _run(compiler, *flags, "-c", "-o", made, source)
    return made
