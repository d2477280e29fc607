"""The kernels of one instruction set share no function with those of another.

A linker keeps one of several weak functions of one name. Were it one that was compiled for AVX-512, the engine would
crash on every older processor, however carefully it chose its kernels.
"""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from compilers import ENGINE, cxx_compiler

ISAS: dict[str, tuple[str, ...]] = {"baseline": ()}
if platform.machine().lower() in {"x86_64", "amd64"}:
    ISAS |= {
        "avx2": ("-mavx2", "-mfma"),
        "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
    }


def shared_symbols(source: Path, isa: str, folder: Path) -> list[str]:
    """Symbols that the linker sees of a source compiled for an instruction set, but for those named after it.

    Nothing is inlined, so that every function that some compiler may leave out of line shows.
    """
    made = folder / f"{isa}.o"
    flags = ("-std=c++17", "-O0", "-w", f"-DGSCODEC_ISA={isa}", f"-DGSCODEC_ISA_{isa}=1", f"-I{ENGINE}", *ISAS[isa])
    subprocess.run([cxx_compiler(), *flags, "-c", "-o", made, source], check=True)
    nm = shutil.which("nm")
    assert nm, "nm comes with the compiler's binutils"
    listed = subprocess.run(
        [nm, "-C", "--defined-only", "-g", made], check=True, capture_output=True, encoding="utf-8"
    ).stdout
    names = [line.split(maxsplit=2)[2] for line in listed.splitlines()]
    assert f"gscodec::kernels_{isa}()" in names
    return [name for name in names if not name.startswith((f"gscodec::kernels_{isa}()", f"gscodec::{isa}::"))]


@pytest.mark.parametrize("named", ISAS)
def test_no_symbol_of_the_kernels_may_stand_in_for_another_instruction_sets(named: str, tmp_path: Path) -> None:
    assert shared_symbols(ENGINE / "render" / "isa" / "kernels.cpp", named, tmp_path) == []


@pytest.mark.parametrize("named", ISAS)
def test_a_template_of_the_standard_library_among_the_kernels_is_found(named: str, tmp_path: Path) -> None:
    source = tmp_path / "kernels.cpp"
    source.write_text(
        "#include <algorithm>\nnamespace gscodec {\nstruct KernelTable;\nint larger(int a, int b);\n"
        f"const KernelTable* kernels_{named}() {{ return nullptr; }}\n"
        "inline int larger(int a, int b) { return std::max(a, b); }\n"
        "static int (*volatile used)(int, int) = larger;\n}\n"
    )
    found = shared_symbols(source, named, tmp_path)
    assert "gscodec::larger(int, int)" in found
    assert any("std::max<int>" in name for name in found)
