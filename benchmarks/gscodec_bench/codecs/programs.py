"""GPU formats whose encoders are programs: ASTC (`astcenc`) and Basis Universal (`basisu`).

Programs and files meet in a folder that is gone afterwards.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from gscodec.image.stack import ImageStack
from gscodec_bench.codecs.base import Codec, Layout, Picture, rgb_of
from gscodec_bench.codecs.mips import enlarge, mip_of, shrink

ASTC_PROGRAMS: Final = ("astcenc", "astcenc-avx2", "astcenc-sse4.1", "astcenc-sse2", "astcenc-neon")
ASTC_HEADER_BYTES: Final = 16
ASTC_QUALITY: Final = "-medium"


class Astc(Codec):
    """ASTC, LDR linear, 128 bits a block; a setting is the block's size and a mip level, as `12x12/mip1`."""

    name = "astc"
    layout = Layout.TEXTURES
    suffix = ".astc"

    def available(self) -> str | None:
        """See `Codec.available`."""
        if not any(shutil.which(name) for name in ASTC_PROGRAMS):
            return "the program astcenc is not on PATH: on Debian, apt-get install astcenc"
        if not find_spec("texture2ddecoder"):
            return "texture2ddecoder is not installed: pip install --group bench"
        return None

    def version(self) -> str:
        """See `Codec.version`."""
        return f"astcenc {_said_version(_program(ASTC_PROGRAMS), '-version')}, {ASTC_QUALITY[1:]}"

    def settings(self, rates: Sequence[float]) -> list[str]:  # noqa: ARG002
        """Block sizes from 8 to 0.89 bits per texel, then mips."""
        whole = [f"{block}/mip0" for block in ("4x4", "6x6", "8x8", "12x12")]
        return [*whole, "8x8/mip1", "12x12/mip1", "8x8/mip2", "12x12/mip2"]

    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """See `Codec.encode`."""
        block, mip = mip_of(setting)
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.png", Path(folder) / "out.astc"
            Image.fromarray(shrink(rgb_of(stack), mip)).save(source, compress_level=0)
            _run([_program(ASTC_PROGRAMS), "-cl", str(source), str(target), block, ASTC_QUALITY, "-silent"])
            return target.read_bytes()

    def decode(self, data: bytes, height: int, width: int) -> Picture:
        """See `Codec.decode`."""
        import texture2ddecoder

        block_width, block_height = data[4], data[5]
        stored_width, stored_height = (int.from_bytes(data[at : at + 3], "little") for at in (7, 10))
        texels = texture2ddecoder.decode_astc(
            data[ASTC_HEADER_BYTES:], stored_width, stored_height, block_width, block_height
        )
        rgb = np.frombuffer(texels, np.uint8).reshape(stored_height, stored_width, 4)[:, :, 2::-1]  # BGRA
        return enlarge(np.ascontiguousarray(rgb), height, width)


class Basis(Codec):
    """Basis Universal in KTX2 files; a setting is `etc1s-` and a quality of 1 to 255, or `uastc`."""

    name = "basis"
    layout = Layout.TEXTURES
    suffix = ".ktx2"
    decode_is_timed = False

    def available(self) -> str | None:
        """See `Codec.available`."""
        return None if shutil.which("basisu") else "the program basisu is not on PATH"

    def version(self) -> str:
        """See `Codec.version`."""
        return f"basisu {_said_version(_program(('basisu',)), '-version')}"

    def settings(self, rates: Sequence[float]) -> list[str]:  # noqa: ARG002
        """ETC1S from its smallest to its largest, then UASTC."""
        return ["etc1s-1", "etc1s-16", "etc1s-64", "etc1s-128", "etc1s-255", "uastc"]

    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """See `Codec.encode`."""
        mode, _, quality = setting.partition("-")
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.png", Path(folder) / "out.ktx2"
            Image.fromarray(rgb_of(stack)).save(source, compress_level=0)
            words = ["-uastc"] if mode == "uastc" else ["-q", quality]
            # -linear: errors are weighed in stored samples, as PSNR weighs them.
            _run(
                [_program(("basisu",)), "-ktx2", "-linear", *words, "-output_file", str(target), str(source)],
                folder=folder,
            )
            return target.read_bytes()

    def decode(self, data: bytes, height: int, width: int) -> Picture:  # noqa: ARG002
        """See `Codec.decode`. The picture is the transcoder's BC7, what a desktop GPU would be given."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "in.ktx2").write_bytes(data)
            _run([_program(("basisu",)), "-unpack", "-no_ktx", "-file", "in.ktx2"], folder=folder)
            (path,) = Path(folder).glob("*_unpacked_rgb_BC7_RGBA_*.png")
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))


def _program(names: Sequence[str]) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found is not None, "available() was not asked"
    return found


def _run(words: Sequence[str], folder: str | None = None) -> None:
    done = subprocess.run(
        words, check=False, capture_output=True, encoding="utf-8", cwd=folder, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise RuntimeError(f"{Path(words[0]).name} ended with {done.returncode}: {' '.join(last)}")


@cache
def _said_version(program: str, option: str) -> str:
    done = subprocess.run(
        [program, option], check=False, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL
    )
    found = re.search(r"\bv(\d+(?:\.\d+)+)", done.stdout + done.stderr)
    return found[1] if found else "of unknown version"
