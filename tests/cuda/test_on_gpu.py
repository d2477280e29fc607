"""benchmarks/on_gpu.py: run to its end on the host shim; what it does with stages that fail, hang or lack a tool."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import _gpu_build
import _gpu_imports
import _gpu_versions
import on_gpu
import pytest
from devices import NEEDED

from gscodec.cuda import sources

ROOT = Path(__file__).parents[2]


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_all_stages_run_through_on_the_host(tmp_path: Path) -> None:
    """With programs in place of the toolkit's: ncu sees no counters, so that nsys must; the sanitizer runs tests."""
    out, tools = tmp_path / "out", tmp_path / "bin"
    tools.mkdir()
    program(tools / "ncu", "echo '==ERROR== ERR_NVGPUCTRPERM'")
    program(tools / "nsys", 'echo "$@"; shift 9; "$@"')
    program(tools / "compute-sanitizer", 'echo "$@"; test $2 != memcheck && exit; shift 4; "$@"')
    environment = {name: value for name, value in os.environ.items() if name != NEEDED}
    environment["PATH"] = f"{tools}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, str(ROOT / "benchmarks" / "on_gpu.py"), str(out), "5000", "--host"]
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    log = (out / "log.txt").read_text()
    assert result.returncode == 0, result.stdout + result.stderr + log
    summary = (out / "summary.txt").read_text()
    assert summary == result.stdout
    lines = [line.split("] ", 1)[1] for line in summary.splitlines()]
    names = ["versions", "build", "smoke", "tests", "bench", "profile, ncu", "profile, nsys", *list(on_gpu.STAGES)[-3:]]
    assert [line.split(":")[0] for line in lines] == [*names, "all stages that ran passed"]
    assert all(": ok after" in line for line in lines[:5])
    assert "FAILED (no kernel was profiled)" in lines[5]
    assert "host shim: no GPU is looked for" in log
    assert "an engine for" in lines[1]
    assert "4 of 4 checks passed" in lines[2]
    assert "passed" in lines[3]
    assert "3 rows" in lines[4]
    assert "3 renders at 40x40" in lines[6]
    assert '<testcase classname="tests.cuda.test_runtime"' in (out / "tests.xml").read_text()
    assert len(json.loads((out / "host_shim_no_gpu.json").read_text())["rows"]) == 3
    assert "--tool racecheck --error-exitcode 9" in log
    assert "1 passed" in lines[7]


def test_a_stage_that_fails_or_hangs_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, survived = tmp_path / "lock", tmp_path / "survived"
    child = (
        "import fcntl, pathlib, signal, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"held = open({str(lock)!r}, 'w')\n"
        "fcntl.flock(held, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "time.sleep(60)\n"
        f"pathlib.Path({str(survived)!r}).touch()\n"
    )
    hangs = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "try: time.sleep(600)\n"
        "except KeyboardInterrupt: print('a report of what there is')\n"
    )

    def runs(*texts: str, limit_s: float = 30, missing: str = "") -> on_gpu.Stage:
        return on_gpu.Stage("", limit_s, lambda s: [[s.python, "-c", text] for text in texts], missing)

    stages = {
        "fails": runs("print('FAIL this: planted'); print('more'); raise SystemExit(3)"),
        "lacks": runs(missing="a tool was not found"),
        "hangs": runs(hangs, limit_s=8),
        "starts not": on_gpu.Stage("", 30, lambda _: [[str(tmp_path / "none")]]),
        "passes": runs("raise SystemExit(1)", "import os; print('second try', os.environ['PYTHONPATH'])"),
    }
    monkeypatch.setattr(on_gpu, "STAGES", stages)
    assert on_gpu.main([str(tmp_path), "600"]) == 1
    lines = [line.split("] ", 1)[1] for line in (tmp_path / "summary.txt").read_text().splitlines()]
    assert lines[0].startswith("fails: FAILED (exit code 3) after")
    assert lines[0].endswith(": more")
    assert lines[1] == "lacks: not run: a tool was not found"
    assert lines[2].startswith("hangs: STOPPED at its limit of 8 s")
    assert lines[2].endswith("a report of what there is")
    assert lines[3].startswith("starts not: FAILED (exit code 127)")
    assert lines[5].endswith(f"second try {ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep))
    assert lines[-1] == "FAILED: fails, hangs, starts not"
    assert "    FAIL this: planted\n" in capsys.readouterr().out
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # whoever held it has ended
    assert not survived.exists(), "what a stage started goes on when it is stopped"


def test_what_there_is_no_time_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_gpu, "STAGES", {"late": on_gpu.Stage("", 30, lambda _: [["never"]])})
    assert on_gpu.main([str(tmp_path), "1"]) == 1
    assert "late: NOT RUN, no time is left" in (tmp_path / "summary.txt").read_text()


def test_without_an_engine_nothing_else_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {
        "build": on_gpu.Stage("", 30, lambda s: [[s.python, "-c", "raise SystemExit(1)"]]),
        "tests": on_gpu.Stage("", 30, lambda _: [["never"]]),
    }
    monkeypatch.setattr(on_gpu, "STAGES", stages)
    assert on_gpu.main([str(tmp_path)]) == 1
    summary = (tmp_path / "summary.txt").read_text()
    assert "without the engine nothing else runs" in summary
    assert "tests:" not in summary
    assert summary.splitlines()[-1].endswith("FAILED: build")


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (0, "12 passed, 1 deselected in 3.21s", (True, "ok")),
        (0, "12 passed, 2 skipped in 3.21s", (False, "FAILED (2 tests were skipped, which is no pass)")),
        (0, "==WARNING== No kernels were profiled.", (False, "FAILED (no kernel was profiled)")),
        (9, "", (False, "FAILED (exit code 9)")),
        (None, "12 passed in 3.21s", (False, "STOPPED at its limit of 30 s")),
    ],
)
def test_what_a_stage_printed_is_judged(code: int | None, text: str, expected: tuple[bool, str]) -> None:
    assert on_gpu.judge(code, text, 30) == expected


def test_stages_are_taken_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"b": "second", "a": "first", "c": "third"}
    stages = {
        name: on_gpu.Stage("", 30, lambda s, text=text: [[s.python, "-c", f"print({text!r})"]])  # type: ignore[misc]
        for name, text in texts.items()
    }
    monkeypatch.setattr(on_gpu, "STAGES", stages)
    assert on_gpu.main([str(tmp_path), "60", "c,b"]) == 0
    lines = (tmp_path / "summary.txt").read_text().splitlines()
    assert [line.split()[-1] for line in lines[:-1]] == ["second", "third"]
    with pytest.raises(SystemExit, match="2"):
        on_gpu.main([str(tmp_path), "60", "nothing"])


def test_on_a_gpu_a_skipped_test_is_a_failure_and_all_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NEEDED, raising=False)
    monkeypatch.setattr(on_gpu, "tool", lambda name: f"/tools/{name}")
    setting = on_gpu.Setting("python", tmp_path, host=False, limit_s=100)
    assert setting.environment()[NEEDED] == "1"
    assert on_gpu.smoke(setting) == [["python", "benchmarks/gpu_smoke.py"]]
    assert on_gpu.bench(setting) == [["python", "benchmarks/gpu.py", "--out", str(tmp_path), "--seconds", "85"]]
    (tests,) = on_gpu.tests(setting)
    assert list(tests[-2:]) == ["tests/cuda", "tests/render"]
    assert tests[tests.index("-m", 3) + 1] == "cuda"
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda _: None)
        assert "xdist" not in on_gpu.tests(setting)[0]
    ncu, nsys = on_gpu.profile(setting)
    assert ncu[0] == "/tools/ncu"
    assert nsys[-3:] == ["python", "benchmarks/gpu_smoke.py", "--workload"]
    for name in ("memcheck", "racecheck", "synccheck"):
        (command,) = on_gpu.STAGES[name].commands(setting)
        assert list(command[:5]) == ["/tools/compute-sanitizer", "--tool", name, "--error-exitcode", "9"]
        chosen = [Path(word) for word in command if word.startswith("tests/")]
        assert chosen
        assert all((ROOT / path).is_file() for path in chosen)
    monkeypatch.setattr(on_gpu, "tool", lambda _: None)
    for name in ("profile", "memcheck", "racecheck", "synccheck"):
        assert on_gpu.STAGES[name].commands(setting) == []
        assert "not found" in on_gpu.STAGES[name].missing


def test_profiled_kernels_are_there() -> None:
    families = {path.stem for path in (ROOT / "gscodec" / "cuda").glob("*.cu")}
    entries = {entry for family in families for entry in sources.entries(family)}
    assert set(on_gpu.PROFILED) <= entries


def test_tools_are_found_on_path_and_among_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "lib"))
    assert on_gpu.tool("no-such-tool") is None
    folder = tmp_path / "lib" / "nvidia" / "tools" / "bin"
    folder.mkdir(parents=True)
    (folder / "no-such-tool").write_text("")
    assert on_gpu.tool("no-such-tool") is None
    program(folder / "no-such-tool", "")
    assert on_gpu.tool("no-such-tool") == str(folder / "no-such-tool")
    program(tmp_path / "no-such-tool", "")
    assert on_gpu.tool("no-such-tool") == str(tmp_path / "no-such-tool")


def test_the_engine_comes_out_of_a_wheel_built_without_isolation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A package `pip` in place of the real one, which would compile for a minute."""
    root, pip = tmp_path / "tree", tmp_path / "tools" / "pip"
    (root / "gscodec").mkdir(parents=True)
    (root / "gscodec" / "__init__.py").touch()
    pip.mkdir(parents=True)
    (pip / "__init__.py").touch()
    wheel = tmp_path / "gscodec-1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("gscodec/_engine.so", "compiled")
        archive.writestr("gscodec/other.so", "not wanted")
    (pip / "__main__.py").write_text(
        "import shutil, sys\nprint(*sys.argv[1:])\n"
        f"shutil.copy({str(wheel)!r}, sys.argv[sys.argv.index('--wheel-dir') + 1])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(pip.parent))
    # Without site packages: where gscodec is installed to be edited, its engine is found from everywhere.
    monkeypatch.setattr(_gpu_build, "IMPORTS", (sys.executable, "-S", *_gpu_build.IMPORTS[1:]))
    assert _gpu_build.main(root) == 1, "what it built does not load"
    output = capfd.readouterr().out
    assert "wheel --no-index --no-deps --no-build-isolation" in output
    assert "ERROR the engine was built and does not load" in output
    assert (root / "gscodec" / "_engine.so").read_text() == "compiled"
    assert not (root / "gscodec" / "other.so").exists()
    (root / "gscodec" / "_engine.py").write_text("def available_isas(): return ['avx2']")
    (root / "gscodec" / "_engine.so").unlink()
    assert _gpu_build.main(root) == 0
    assert capfd.readouterr().out == "an engine for avx2\n"
    (root / "gscodec" / "_engine.py").unlink()
    (pip / "__main__.py").write_text("raise SystemExit(5)")
    assert _gpu_build.main(root) == 1
    assert "the engine does not build: pip's exit code is 5" in capfd.readouterr().out


def test_a_missing_package_costs_the_modules_that_import_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> None:
    edges, oracle_loss, runtime = (
        ROOT / "tests" / name for name in ("cuda/test_edges.py", "render/test_oracle_loss.py", "cuda/test_runtime.py")
    )
    assert "typer" in _gpu_imports.packages(edges), "through the command line, which it imports"
    assert {"numpy", "pytest", "skimage"} <= _gpu_imports.packages(oracle_loss)
    assert not {"typer", "skimage", "torch", "host_runtime"} & _gpu_imports.packages(runtime)
    assert _gpu_imports.lost([edges, oracle_loss, runtime]) == {}
    monkeypatch.setattr(_gpu_imports, "_is_installed", lambda name: name not in {"skimage", "typer"})
    assert _gpu_imports.lost([edges, oracle_loss, runtime]) == {edges: ("typer",), oracle_loss: ("skimage",)}
    assert _gpu_versions.main(["--device", "host"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "NOT COLLECTED tests/cuda/test_edges.py: typer is not installed" in printed
    assert "NOT COLLECTED tests/render/test_oracle_loss.py: skimage is not installed" in printed

    plugins: list[Any] = list(pytestconfig.pluginmanager.get_plugins())
    (ours,) = (each for each in plugins if getattr(each, "__file__", None) == str(ROOT / "tests" / "conftest.py"))
    config = SimpleNamespace(stash=pytest.Stash())
    monkeypatch.setenv(NEEDED, "1")
    assert ours.pytest_ignore_collect(edges, config)
    assert not ours.pytest_ignore_collect(runtime, config)
    monkeypatch.delenv(NEEDED)
    assert not ours.pytest_ignore_collect(edges, config), "elsewhere a missing package is a fault"
    lines: list[str] = []
    ours.pytest_terminal_summary(SimpleNamespace(write_line=lines.append), config)
    assert lines == ["not collected, for want of a package: test_edges.py (typer)"]


def test_versions_name_the_gpu_and_what_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _gpu_versions.gpu() == "nvidia-smi was not found"
    program(tmp_path / "nvidia-smi", "echo 0, A GPU, 580.1")
    assert _gpu_versions.gpu() == "0, A GPU, 580.1"
    assert _gpu_versions.installed()["pytest"] == pytest.__version__


def test_make_takes_the_interpreter_at_hand_and_installs_nothing() -> None:
    arguments = ["PYTHON=py", "OUT=there", "STAGES=smoke,tests"]
    command = ["make", "-n", "-C", str(ROOT), *arguments, "on-gpu", "test-cuda", "bench-gpu"]
    lines = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.splitlines()
    assert [line for line in lines if not line.startswith("make")] == [
        "py benchmarks/on_gpu.py there 560 smoke,tests",
        "py benchmarks/_gpu_build.py",
        f"{NEEDED}=1 py -m pytest -q -m cuda tests/cuda tests/render",
        "py benchmarks/_gpu_build.py",
        f"PYTHONPATH={ROOT} py benchmarks/gpu.py --seconds 600",
    ]


def test_what_is_stopped_is_asked_first() -> None:
    assert on_gpu.GRACE_S > 0
    with on_gpu.interruptible():
        process = subprocess.Popen(
            [sys.executable, "-c", "import time\nprint(flush=True)\ntime.sleep(600)"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    assert process.stdout is not None
    process.stdout.read(1)
    on_gpu.end(process)
    process.stdout.close()
    assert process.returncode == -signal.SIGINT
