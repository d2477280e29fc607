"""The optional requirements, and the pip command that installs those of an extra.

The command names the packages themselves, so that it works whether gscodec came from an index, a wheel or a checkout.
`[project.optional-dependencies]` of pyproject.toml has the same table; a test compares the two.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "torch": ("torch>=2.5",),
        "cuda12": ("cupy-cuda12x>=14", "cuda-toolkit[cudart,curand,nvrtc]==12.*"),
        "cuda13": ("cupy-cuda13x>=14", "cuda-toolkit[cudart,curand,nvrtc]==13.*"),
        "gpu": ("wgpu>=0.32,<0.33",),
        "metrics": ("flip-evaluator>=1.6", "lpips>=0.1.4"),
        "cluster": ("distributed>=2024.1",),
        "remote": ("fsspec>=2024.6", "aiohttp>=3.9"),
        "export": ("etcpak>=0.9.15", "astc-encoder-py>=0.1.12", "zstandard>=0.22"),
    }
)


def install_command(extra: str) -> str:
    """The command of a shell that installs what an extra needs."""
    return "pip install " + " ".join(f"'{requirement}'" for requirement in EXTRAS[extra])
