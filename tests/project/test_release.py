"""What a wheel brings beside the package, and the engine's choice of instruction sets."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gscodec import _engine

ROOT = Path(__file__).parents[2]
SHARE = ROOT / "release" / "share"


def test_the_smoke_test_looks_for_every_file_of_share() -> None:
    text = (ROOT / "release" / "smoke_test.py").read_text(encoding="utf-8")
    files = [path.relative_to(SHARE.parent).as_posix() for path in SHARE.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert not [name for name in files if f'"{name}"' not in text]


def completed(tmp_path: Path, shell: str, **words: str) -> str:
    """What the program answers a shell's question, by the variables that files of release/share set."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "gscodec"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from gscodec.cli.app import main; main()'\n")
    program.chmod(0o755)
    variables = {**os.environ, **words, "_GSCODEC_COMPLETE": f"complete_{shell}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([program], env=variables, capture_output=True, encoding="utf-8", check=False)
    return done.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_program_answers_other_shells(tmp_path: Path, shell: str) -> None:
    more = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    assert "transcode" in completed(tmp_path, shell, _TYPER_COMPLETE_ARGS="gscodec tran", **more)


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    completed(tmp_path, "bash", COMP_WORDS="gscodec", COMP_CWORD="0")  # makes the program
    bash = shutil.which("bash")
    assert bash
    script = (
        f"source {SHARE}/bash-completion/completions/gscodec\n"
        'COMP_WORDS=(gscodec decode --reg) COMP_CWORD=2; _gscodec_completion gscodec; echo "${COMPREPLY[@]}"\n'
        'COMP_WORDS=(gscodec enc) COMP_CWORD=1; _gscodec_completion gscodec; echo "${COMPREPLY[@]}"\n'
    )
    variables = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([bash, "-c", script], env=variables, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines() == ["--region", "encode"]


def test_wheels_are_those_of_the_stable_abi() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert described["scikit-build"]["wheel"]["py-api"] == "cp312"
    assert described["cibuildwheel"]["build"].split() == ["cp311-*", "cp312-*"]
    assert "STABLE_ABI" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


def test_instruction_sets_are_those_that_the_processor_has() -> None:
    """The kernel lists what processor and operating system have; a build of other processors has the baseline alone."""
    path = Path("/proc/cpuinfo")
    listed = path.read_text(encoding="utf-8").split() if path.exists() else []
    expected = ["baseline"]
    if {"avx2", "fma"} <= set(listed):
        expected.append("avx2")
        if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= set(listed):
            expected.append("avx512")
    assert _engine.available_isas() == expected


def test_builtins_of_one_compiler_are_behind_a_guard() -> None:
    """GCC's and clang's names appear in machine/, and in the branch of simd.h that is theirs."""
    native = ROOT / "gscodec" / "native"
    elsewhere = [
        path.relative_to(native).as_posix()
        for path in (*native.rglob("*.cpp"), *native.rglob("*.h"))
        if "__builtin_" in path.read_text(encoding="utf-8") or "__attribute__" in path.read_text(encoding="utf-8")
    ]
    assert {name for name in elsewhere if not name.startswith("machine/")} == {"render/isa/simd.h"}
