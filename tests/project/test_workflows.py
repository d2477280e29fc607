"""The workflows of .github: what they use is pinned, and what they name exists."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in WORKFLOWS}


def test_all_are_there() -> None:
    assert sorted(TEXTS) == ["ci", "docs", "fuzz", "sanitizers", "wheels"]


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned_to_a_commit_and_name_its_version(name: str) -> None:
    used = re.findall(r"uses: (.+)$", TEXTS[name], re.MULTILINE)
    assert used
    assert not [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)]


def test_one_action_has_one_version() -> None:
    used = {one for text in TEXTS.values() for one in re.findall(r"uses: (.+)$", text, re.MULTILINE)}
    assert len({one.partition("@")[0] for one in used}) == len(used)


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_granted_that_a_job_does_not_ask_for(name: str) -> None:
    text = TEXTS[name]
    assert re.search(r"^permissions:\n  contents: read\n", text, re.MULTILINE)
    assert "secrets." not in text
    checkouts = text.count("actions/checkout@")
    assert text.count("persist-credentials: false") == checkouts
    jobs = re.findall(r"^  [\w-]+:$", text[text.index("\njobs:") :], re.MULTILINE)
    assert text.count("timeout-minutes:") == len(jobs)
    for script in re.findall(r"run: (.+)$", text, re.MULTILINE):
        assert "${{" not in script  # values reach a script as variables, never as its text


@pytest.mark.parametrize("name", TEXTS)
def test_targets_and_files_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert set(re.findall(r"\bmake ([a-z][\w-]*)", TEXTS[name])) <= targets
    for path in re.findall(r"\b(?:release|tests)/[\w./-]*\w", TEXTS[name]):
        assert (ROOT / path).exists(), path


def test_the_sanitizers_are_targets_of_make() -> None:
    (line,) = re.findall(r"target: \[(.+)\]", TEXTS["sanitizers"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target.strip()}: ", makefile, re.MULTILINE) for target in line.split(","))


def test_the_oldest_versions_are_those_of_the_package() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest = {re.split(r"[><=]", one)[0]: re.findall(r">=([\d.]+)", one)[0] for one in described["dependencies"]}
    listed = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "release" / "oldest.txt").read_text("utf-8"), re.MULTILINE))
    assert set(listed) == set(lowest)
    for name, version in lowest.items():
        assert (listed[name] + ".").startswith(version + "."), name
