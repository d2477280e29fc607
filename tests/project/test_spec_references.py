"""Code, documentation and the specification itself name sections of spec/igs.md by number, and these exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "spec"
OWN = (SPEC, ROOT / "libigs")  # their texts mean the specification where they say "section"
READ = {".py", ".c", ".h", ".cpp", ".cu", ".cuh", ".md", ".js", ".mjs", ".ts", ".glsl", ".wgsl", ".toml"}
SKIPPED = {".git", ".venv", "build", "node_modules", "results"}

_NUMBERS = r"(\d+(?:\.\d+)*(?:(?:, | and | to | - )\d+(?:\.\d+)*)*)"
ELSEWHERE = rf"igs\.md(?:\]\([^)]*\))?,? sections? {_NUMBERS}"
OF_OWN = rf"[Ss]ections? {_NUMBERS}"


def test_references_lead_to_sections() -> None:
    text = (SPEC / "igs.md").read_text(encoding="utf-8")
    numbers = set(re.findall(r"^##+ ([\d.]+?)\.? ", text, re.MULTILINE))
    files = [path for path in sorted(ROOT.rglob("*")) if path.suffix in READ and not SKIPPED & set(path.parts)]
    n_found = 0
    for path in files:
        lines = re.sub(r"\s*\n\s*(?://|#|\*)?\s*", " ", path.read_text(encoding="utf-8"))
        assert not re.search(r"igs\.md,? \"[A-Z]", lines), f"{path}: names a section by its title, not by its number"
        for listed in re.findall(OF_OWN if any(map(path.is_relative_to, OWN)) else ELSEWHERE, lines):
            found = re.findall(r"\d+(?:\.\d+)*", listed)
            assert set(found) <= numbers, f"{path}: section {listed} of spec/igs.md does not exist"
            n_found += len(found)
    assert n_found > 100
