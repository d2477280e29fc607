"""Sphinx's configuration: `make site`. Sources are the Markdown files of the repository where they lie."""

from gscodec.version import __version__

project = "gscodec"
author = project_copyright = "the gscodec contributors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/site/index"
include_patterns = [
    "docs/site/index.md",
    "docs/*.md",
    "docs/tutorials/*.md",
    "docs/api.rst",
    "spec/*.md",
    "spec/vectors/README.md",
    "spec/gltf/**.md",
    "benchmarks/README.md",
    "benchmarks/notes/*.md",
    "benchmarks/results/**.md",
    "libigs/README.md",
    "shaders/**.md",
    "samples/LICENSES.md",
    "tests/fuzz/corpus/INDEX.md",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4
# Headings of the specification begin at the second level below a preamble, and code blocks name languages that the
# highlighter does not know.
suppress_warnings = ["myst.header", "misc.highlighting_failure", "toc.not_included", "toc.excluded"]

default_role = "literal"  # docstrings write `names` as Markdown does
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True

html_theme = "furo"
html_title = f"gscodec {release}"
html_extra_path = ["front"]
html_copy_source = False
templates_path: list[str] = []
