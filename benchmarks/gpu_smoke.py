"""The first minute on a GPU: every way into it once, one line a check.

    python benchmarks/gpu_smoke.py                 (or make on-gpu STAGES=smoke, which builds the engine first)
    python benchmarks/gpu_smoke.py --device host   the same without a GPU, on the tests' host runtime: small and slow
    python benchmarks/gpu_smoke.py --workload      nothing but training steps and renders, for a profiler

A check that fails says why and does not stop the others; the exit code is 1 then.
"""

import argparse
import importlib
import time
import traceback
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from _gpu_cases import Sizes, picture, trainee_of
from _gpu_checks import (
    Check,
    files,
    losses,
    opens,
    parity,
    parts,
    refuses_others,
    repeats,
    training,
    unpacks,
    whole_encode,
)
from _gpu_machine import Machine, opened
from gscodec_bench.synthetic import synthetic_file

from gscodec.container.reader import IgsReader
from gscodec.cuda.runtime import PlainStep
from gscodec.cuda.scenes import Renderer, upload_gaussians
from gscodec.errors import GsCodecError
from gscodec.model.gaussians import Window


def torch_check(name: str) -> Check:
    """A check of `_gpu_torch_checks`, which is imported when it runs: without torch, it fails alone."""

    def check(machine: Machine) -> str:
        found: Check = getattr(importlib.import_module("_gpu_torch_checks"), name)
        return found(machine)

    return check


CHECKS: Final[dict[str, Check]] = {
    "opens": opens,
    "refuses another": refuses_others,
    "parity": parity(3),
    "graph": repeats,
    "loss": losses,
    "step paper": training("paper"),
    "step balanced": training("balanced"),
    "encode": whole_encode,
    "files": files,
    "unpack": unpacks,
    "parts": parts,
    "torch arrays": torch_check("arrays_cross"),
    "torch streams": torch_check("streams"),
    "torch gradients": torch_check("gradients"),
    "parity 1 channel": parity(1),
    "parity 11 channels": parity(11),
    "parity in double": parity(3, np.float64),
}
"""By name, those first that others stand on."""

TRACE_LINES: Final = 12
"""Last lines of a failed check's traceback to show: they have the error and its place."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or host")
    parser.add_argument("--only", default="", help=f"names with commas between them: {', '.join(CHECKS)}")
    parser.add_argument("--workload", action="store_true", help="for a profiler: plain launches, no checks")
    options = parser.parse_args(arguments)
    names = [name.strip() for name in options.only.split(",") if name.strip()] or list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        parser.error(f"no check is called {unknown[0]!r}")
    try:
        with opened(options.device) as machine:
            if options.workload:
                workload(machine)
                return 0
            failed = run(machine, names)
    except GsCodecError as error:
        print(f"FAIL opens: {error}")
        return 1
    print(
        f"{len(names) - len(failed)} of {len(names)} checks passed" + (f"; FAILED: {', '.join(failed)}" * bool(failed))
    )
    return int(bool(failed))


def run(machine: Machine, names: Iterable[str]) -> list[str]:
    """Carries checks out, a line each as soon as it is known, and returns the names of those that failed."""
    failed = []
    for name in names:
        began, trace = time.perf_counter(), ""
        try:
            word, text = "ok  ", CHECKS[name](machine)
        except Exception as error:
            failed.append(name)
            word = "FAIL"
            text = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
            trace = "".join(traceback.format_exc().splitlines(keepends=True)[-TRACE_LINES:])
        print(f"{word} {name} ({time.perf_counter() - began:.2f} s): {text}", flush=True)
        if trace:
            print(trace, flush=True)
    return failed


def workload(machine: Machine) -> None:
    """A few steps and renders at full size, each kernel a launch of its own, so that a profiler sees it."""
    side, count, steps = (2048, 10_000, 6) if machine.is_gpu else (40, 20, 2)
    target = np.asarray(picture(side) / np.float32(255), np.float32)
    plain: Any = machine.runtime
    plain.record = PlainStep
    for preset in ("paper", "balanced"):
        sizes = Sizes.of_steps(side, count, warm_up=steps // 2, steps=steps // 2)
        trainee, decided, _ = trainee_of(plain, target, preset, count, sizes)
        list(trainee.run(decided))
    with IgsReader(synthetic_file(side, side, count)) as reader:
        with plain:
            gaussians = upload_gaussians(plain, reader.read(0))
            out = plain.xp.empty((side, side, 3), np.uint8)
        again = Renderer(plain, gaussians, reader.grid, Window.whole(reader.grid), out)
    for _ in range(3):
        again.render()
    plain.synchronize()
    print(f"{steps} steps of two presets and 3 renders at {side}x{side} with {count} Gaussians")


if __name__ == "__main__":
    raise SystemExit(main())
