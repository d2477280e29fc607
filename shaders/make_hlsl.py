"""Writes igs_sample.hlsl: igs_sample.glsl in HLSL's words, line by line, so that it stays as readable as its source.

python shaders/make_hlsl.py     # or make shaders
"""

import re
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent

WORDS: Final = {
    r"\bivec2\b": "int2",
    r"\bvec2\b": "float2",
    r"\buintBitsToFloat\b": "asfloat",
    r"const uint IGS_M\[32\] = uint\[32\]\(([^)]*)\)": r"static const uint IGS_M[32] = {\1}",
    r"For GLSL ES 3\.00 and newer, and GLSL 4\.50\. The\n// program": (
        "Made from igs_sample.glsl by\n// make_hlsl.py; for shader model 5.0 and newer. The program"
    ),
}
"""What is written differently: patterns in the GLSL, and their HLSL."""


def hlsl_of(glsl: str) -> str:
    """The sampling shader in HLSL, from its GLSL.

    Raises:
        ValueError: one of `WORDS` is not in the text.
    """
    for pattern, word in WORDS.items():
        glsl, count = re.subn(pattern, word, glsl)
        if not count:
            raise ValueError(f"igs_sample.glsl has no {pattern!r}, which make_hlsl.py replaces")
    return glsl


if __name__ == "__main__":
    text = (HERE / "igs_sample.glsl").read_text(encoding="utf-8")
    (HERE / "igs_sample.hlsl").write_text(hlsl_of(text), encoding="utf-8")
