"""A pytest plugin: the kernels' text with one place changed, as GSCODEC_MUTANT says in JSON (mutants.py)."""

import json
import os

from gscodec.cuda import sources


def pytest_configure() -> None:
    """Changes what `sources` reads of one file, before anything is compiled."""
    mutant = json.loads(os.environ["GSCODEC_MUTANT"])
    unchanged = sources._text

    def text(name: str) -> str:
        whole: str = unchanged(name)
        if name != mutant["file"]:
            return whole
        at, old, new = int(mutant["at"]), str(mutant["old"]), str(mutant["new"])
        assert whole[at : at + len(old)] == old, (name, at, old)
        return whole[:at] + new + whole[at + len(old) :]

    sources._text = text  # type: ignore[assignment]
