"""Progressive JPEG XL, through libjxl's programs, which can also decode a part of a file."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from gscodec.image.stack import ImageStack
from gscodec_bench.codecs.base import Picture, bytes_of
from gscodec_bench.codecs.jpegxl import EFFORT, JpegXl

PROGRAMS: Final = ("cjxl", "djxl")


class ProgressiveJxl(JpegXl):
    """Lossy JPEG XL whose passes are ordered for partial decoding (`cjxl -p`), at effort 6; settings as of `jxl`."""

    name = "jxl-progressive"
    suffix = ".jxl"
    decode_is_timed = False

    def available(self) -> str | None:
        """See `Codec.available`."""
        missing = [name for name in PROGRAMS if not shutil.which(name)]
        return f"the program {missing[0]} is not on PATH: on Debian, apt-get install libjxl-tools" if missing else None

    def version(self) -> str:
        """See `Codec.version`."""
        done = subprocess.run([PROGRAMS[0], "--version"], check=True, capture_output=True, encoding="utf-8")
        return f"{done.stdout.splitlines()[0]}, -p, effort {EFFORT}"

    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """See `Codec.encode`."""
        samples = bytes_of(stack)
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.png", Path(folder) / "out.jxl"
            Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples).save(source, compress_level=0)
            words = [PROGRAMS[0], str(source), str(target), "-p", "-d", setting, "-e", str(EFFORT), "--quiet"]
            subprocess.run(words, check=True, capture_output=True)
            return target.read_bytes()

    def decode(self, data: bytes, height: int, width: int) -> Picture:
        """See `Codec.decode`."""
        picture = self.decode_partial(data, height, width)
        assert picture is not None, "a whole file"
        return picture

    def decode_partial(self, data: bytes, height: int, width: int) -> Picture | None:  # noqa: ARG002
        """See `Codec.decode_partial`."""
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.jxl", Path(folder) / "out.png"
            source.write_bytes(data)
            words = [PROGRAMS[1], str(source), str(target), "--allow_partial_files", "--quiet"]
            done = subprocess.run(words, check=False, capture_output=True)
            if done.returncode or not target.exists():
                return None
            with Image.open(target) as image:
                return np.asarray(image)
