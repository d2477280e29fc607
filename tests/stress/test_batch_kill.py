"""A short run of batch_kill.py; `make stress` is the long one."""

import json
import subprocess
import sys
from pathlib import Path


def test_batches_that_are_killed_keep_their_promises(tmp_path: Path) -> None:
    script = Path(__file__).with_name("batch_kill.py")
    result = tmp_path / "result.json"
    ended = subprocess.run(
        [sys.executable, str(script), "--fork", "--kills", "5", "--seed", "3", "--output", str(result)],
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert ended.returncode == 0, ended.stderr
    counts = json.loads(result.read_text())
    assert counts["encode: killed"] + counts["decode: killed"] >= 5
