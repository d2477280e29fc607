"""Writes a gallery of the samples: a page of thumbnails, and for each sample a page that holds file and viewer.

    python docs/make_gallery.py FOLDER [FILES]    # or make gallery

FILES is a folder of .igs files; without it the samples are encoded first, into FOLDER. The pages need no server.
"""

import html
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

import gscodec
from gscodec.cli.app import main
from gscodec.image.levels import has_floats
from gscodec.model.channels import channel_spans
from gscodec.viewer.embedding import embedded_igs
from gscodec.viewer.page import viewer_page

SAMPLES: Final = Path(__file__).parents[1] / "samples"
SHOWN_PX: Final = 320
"""Longer side of a thumbnail."""

INDEX: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gallery of gscodec</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif; }}
  body {{ margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }}
  main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.5rem; margin: 1.5rem 0; }}
  a {{ color: inherit; text-decoration: none; }}
  img {{ width: 100%; aspect-ratio: 4 / 3; object-fit: cover; border-radius: 6px; display: block; }}
  p {{ margin: .4rem 0 0; }}
  small {{ opacity: .7; }}
</style>
<h1>Gallery</h1>
<p>Each picture opens in the viewer: zoom with the wheel or two fingers, beyond pixels; <kbd>?</kbd> lists the keys.</p>
<main>
{entries}
</main>
</html>
"""

ENTRY: Final = """  <a href="{page}"><img src="{picture}" alt=""><p>{name}<br><small>{facts}</small></p></a>"""


def encode_samples(folder: Path) -> None:
    """Encode the samples that are not there yet."""
    for source in sorted(SAMPLES.iterdir()):
        file = folder / f"{source.stem}.igs"
        is_sample = source.is_dir() or source.suffix in {".png", ".exr"}
        if is_sample and not source.stem.startswith("readme_") and not file.exists():
            code = main(["encode", str(source), str(file), "--bpp", "0.5", "--preset", "fast"])
            if code:
                raise SystemExit(code)


def thumbnail(image: gscodec.IgsImage) -> npt.NDArray[np.uint8]:
    """(height, width, 3) codes of the first map, as a screen shows it."""
    height, width, _ = image.shape
    scale = min(1.0, SHOWN_PX / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    values = image.render(size=size, dtype=np.float32)
    group, channels = next(iter(channel_spans(image.groups)))
    colours = np.clip(values[:, :, channels][:, :, : 3 if group.n_channels >= 3 else 1], 0, 1)
    if has_floats((group,)):  # light
        colours = np.where(colours < 0.0031308, 12.92 * colours, 1.055 * colours ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    return np.broadcast_to(np.round(255 * colours), (*size, 3)).astype(np.uint8)


def write_gallery(files: Path, folder: Path) -> None:
    """Write the pages of all .igs files of a folder, and their index.

    Raises:
        GsCodecError: a file cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = "\n".join(_entries(files, folder))
    (folder / "index.html").write_text(INDEX.format(entries=entries), encoding="utf-8")


def _entries(files: Path, folder: Path) -> Iterator[str]:
    for path in sorted(files.glob("*.igs")):
        with gscodec.open(path, device="cpu") as image:
            height, width, n_channels = image.shape
            Image.fromarray(thumbnail(image)).save(folder / f"{path.stem}.png")
            maps = f"{len(image.groups)} maps, " if len(image.groups) > 1 else ""
            size = f"{path.stat().st_size / 1000:.1f} kB"
            facts = f"{width} x {height} px, {maps}{n_channels} channels, {image.lods} levels, {size}"
        page = folder / f"{path.stem}.html"
        page.write_text(viewer_page([embedded_igs(path, path.name)]), encoding="utf-8")
        yield ENTRY.format(
            page=html.escape(page.name),
            picture=f"{html.escape(path.stem)}.png",
            name=html.escape(path.stem),
            facts=facts,
        )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else place
    place.mkdir(parents=True, exist_ok=True)
    if given == place:
        encode_samples(place)
    write_gallery(given, place)
    print(place / "index.html")
