"""What a system without POSIX's calls has to do with: the commands and the API run where Python lacks them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WITHOUT = """
import os, signal, sys
for name in ("fchmod", "fchown", "pread", "posix_fadvise", "sched_getaffinity", "sysconf", "O_TMPFILE", "O_CLOEXEC",
             "O_NONBLOCK", "O_NOFOLLOW", "O_DIRECTORY", "getuid", "geteuid", "fork", "mkfifo", "statvfs"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGPIPE", "SIGALRM"):
    if hasattr(signal, name):
        delattr(signal, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None  # an import of it fails
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "fcntl" else found(name, *more)
"""
"""Takes away what the standard library of Windows does not have. (Not `subprocess`'s own needs: it starts nothing.)"""

PROGRAM = """
import numpy as np
from PIL import Image
import gscodec
from gscodec.cli.app import main

rows, columns = np.mgrid[0:48, 0:64]
Image.fromarray(np.stack([rows * 4, columns * 3, rows + columns], axis=-1).astype(np.uint8)).save("a.png")
for words in (
    ["encode", "a.png", "a.igs", "--gaussians", "40", "--preset", "fast", "--steps", "8", "-q"],
    ["encode", "a.png", "a.igs", "--gaussians", "30", "--preset", "fast", "--steps", "8", "-q", "--overwrite"],
    ["validate", "a.igs"],
    ["decode", "a.igs", "back.png", "--region", "8,8,16,16"],
    ["export", "a.igs", "a.html", "--to", "html"],
    ["info", "a.igs", "--json"],
):
    assert main(words) == 0, words
assert main(["decode", "a.igs", "back.png"]) == 2  # never replaces without --overwrite
with gscodec.open("a.igs") as image:
    whole = image.render()
    assert (image.render(region=(16, 16, 16, 16)) == whole[16:32, 16:32]).all()
print("done")
"""


def test_commands_and_api_run_without_posix(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["done"], done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.igs", "a.png", "back.png"]
