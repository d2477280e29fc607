import re
import subprocess
import sys
import tomllib
from pathlib import Path

import gscodec
from gscodec.cuda import sources
from gscodec.extras import EXTRAS, install_command

ROOT = Path(__file__).parents[2]


def test_one_version() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert described["project"]["dynamic"] == ["version"]
    read = described["tool"]["scikit-build"]["metadata"]["version"]
    found = re.findall(read["regex"].replace("(?P<value>", "("), (ROOT / read["input"]).read_text("utf-8"), re.M)
    assert found == [gscodec.__version__]
    for name in ("CITATION.cff", "release/conda/recipe.yaml"):
        assert re.findall(r"^ *version: \"?(\d[\d.]*)\"?$", (ROOT / name).read_text("utf-8"), re.M) == found
    assert (ROOT / "release" / "tag.txt").read_text("utf-8").startswith(f"gscodec {gscodec.__version__}\n")
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] in {"Unreleased", gscodec.__version__}


def test_a_missing_extra_is_installed_by_the_names_of_its_packages() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {name: list(needs) for name, needs in EXTRAS.items()} == described["optional-dependencies"]
    assert install_command("remote") == "pip install 'fsspec>=2024.6' 'aiohttp>=3.9'"


def test_nothing_advises_what_no_index_has() -> None:
    """The package is on no index yet, so `pip install gscodec` would install nothing, or somebody else's package."""
    advice = re.compile(r"pip install (?:--?\S+ )*['\"]?gscodec(?![-\w./*])")
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "gscodec").rglob("*.py")]
    texts += [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "libigs").rglob("*.md")]
    found = [path.relative_to(ROOT).as_posix() for path in texts if advice.search(path.read_text(encoding="utf-8"))]
    assert not found


def test_make_lists_its_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == phony.split()
    for line in done.stdout.splitlines():
        assert len(line.split()) > 2, f"no description: {line}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.splitlines()[-1] == "make test"
    assert "\nmake test " in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, gscodec; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert not {"torch", "cupy", "numpy", "PIL", "OpenEXR", "rich", "typer"} & set(done.stdout.split())


def test_dir_and_help_show_the_api_in_a_fresh_interpreter() -> None:
    code = "import gscodec; print(*dir(gscodec)); help(gscodec)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    names, _, text = done.stdout.partition("\n")
    assert {*gscodec.__all__, "errors", "metrics"} <= set(names.split())
    assert not {"Any", "import_module", "_HOMES"} & set(names.split())
    for shown in ("class IgsImage", "encode(source", "decode(source", "bits of the file per pixel"):
        assert shown in text


def test_modules_of_the_api_need_no_import_of_their_own() -> None:
    code = "import gscodec; print(gscodec.errors.BadFile.__name__, gscodec.metrics.psnr.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "BadFile psnr\n"


def test_encoding_and_decoding_need_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"  # an import of it fails as where it is not installed
        "import gscodec, gscodec.decoding, gscodec.format, gscodec.image, gscodec.metrics\n"
        "import numpy as np\n"
        "data = gscodec.encode(np.eye(64, dtype=np.uint8), gaussians=40, lods=3, steps=4).data\n"
        "print(gscodec.open(data).render().shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "(64, 64, 1)\n"


def test_the_package_is_marked_as_typed() -> None:
    assert (Path(str(gscodec.__file__)).parent / "py.typed").exists()


def test_users_install_the_package_alone() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert described["tool"]["scikit-build"]["wheel"]["packages"] == ["gscodec"]
    assert not (ROOT / "gscodec" / "bench").exists()
    assert "bench" in described["dependency-groups"]
    assert "bench" not in described["project"]["optional-dependencies"]


def test_a_wheel_has_the_headers_that_cuda_kernels_need_and_no_other_source_of_the_engine() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    suffix, *folders = described["tool"]["scikit-build"]["wheel"]["exclude"]
    assert suffix == "**.cpp"
    headers = [path.relative_to(ROOT).as_posix() for path in (ROOT / "gscodec" / "native").rglob("*.h")]
    shipped = {path for path in headers if not path.startswith(tuple(folders))}
    assert shipped == {f"gscodec/native/shared/{name}" for name in sources.SHARED}
