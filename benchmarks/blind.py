"""A blind comparison for people: the source beside our file and a rival's of no more bytes, and the count of answers.

    PYTHONPATH=benchmarks python benchmarks/blind.py PICTURES --rate 0.2 --ours gscodec:fast --rival avif -o blind.html
    PYTHONPATH=benchmarks python benchmarks/blind.py --tally blind.key.json answers/*.csv

The page is one file and needs no network. It names no codec: which picture is whose stands in `blind.key.json`, which
stays with whoever counts. Files that `gscodec_bench --suite visual --files FOLDER` left are used where `--files` names
the folder; others are encoded, and left there.
"""

import argparse
import json
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gscodec_bench.budget import Files, Search, can_search, decoded
from gscodec_bench.codecs import Codec, Igs, get_codec
from gscodec_bench.crops import Samples, choose, data_uri
from gscodec_bench.measure import file_name, keep_files, kept_files
from gscodec_bench.report import resource
from gscodec_bench.sources import discover, try_load
from gscodec_bench.votes import read_answers, tally
from gscodec_bench.write import write_text

from gscodec.errors import GsCodecError, InvalidArgument
from gscodec.image.stack import ImageStack

CROP_PX: Final = 448
"""Side of a window: three stand beside each other on a screen of 1366 px and more."""

Pair = tuple[Samples, Samples]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a page and its key, or print the count of answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="pictures and folders; with --tally files of answers")
    parser.add_argument("--tally", type=Path, metavar="KEY", help="count answers to the page of this key")
    parser.add_argument("--rate", type=float, default=0.2, help="bits per pixel of our files (default 0.2)")
    parser.add_argument("--ours", default="gscodec:fast")
    parser.add_argument("--rival", default="avif")
    parser.add_argument("--files", type=Path, help="folder of encoded files, used and filled")
    parser.add_argument("--crop", type=int, default=CROP_PX, help=f"side of the windows shown, px (default {CROP_PX})")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which pairs are stored")
    parser.add_argument("-o", "--output", type=Path, default=Path("blind.html"))
    options = parser.parse_args(arguments)
    try:
        if options.tally:
            print(tally(json.loads(options.tally.read_text(encoding="utf-8")), read_answers(options.paths)))
        else:
            _write(options)
    except GsCodecError as error:
        print(f"blind.py: {error}", file=sys.stderr)
        return 1
    return 0


def _write(options: argparse.Namespace) -> None:
    ours, rival = get_codec(options.ours), get_codec(options.rival)
    for codec in (ours, rival):
        if reason := codec.available():
            raise InvalidArgument(f"{codec.name}: {reason}")
    if not isinstance(ours, Igs) or not can_search(rival):
        raise InvalidArgument("--ours takes gscodec and a preset, --rival a codec with a dial such as avif, jxl, webp")
    if options.crop < 1:
        raise InvalidArgument(f"--crop {options.crop}: the side of a window is 1 px or more")
    rng = random.Random(options.seed)
    page = f"{rng.getrandbits(32):08x}"
    trials: list[dict[str, Any]] = []
    key: dict[str, Any] = {"page": page, "ours": ours.name, "rival": rival.name, "rate": options.rate, "trials": {}}
    sources, skipped = discover(options.paths)
    reasons = {one.name: one.reason for one in skipped}
    for source in sources:
        stack = "a stack, not a picture" if source.is_stack else try_load(source)
        refusal = stack if isinstance(stack, str) else rival.refuses(stack)
        if isinstance(stack, str) or refusal:
            reasons[source.name] = str(refusal)
            continue
        print(source.name, file=sys.stderr, flush=True)
        files = pair_of_files(source.name, stack, ours, rival, options.rate, options.files)
        if files is None:
            reasons[source.name] = f"{rival.name} has no file as small as ours"
            continue
        pair = (decoded(ours, stack, files[0]), decoded(rival, stack, files[1]))
        for crop in choose(stack.samples, options.crop):
            name, first = f"{len(trials)}", rng.randrange(2)
            shown = [crop.of(samples) for samples in (pair if first == 0 else pair[::-1])]
            trials.append(
                {"trial": name, "source": data_uri(crop.of(stack.samples)), "pair": [data_uri(one) for one in shown]}
            )
            n_bytes = [sum(map(len, parts)) for parts in files]
            key["trials"][name] = {
                "image": source.name,
                "category": source.category,
                "window": [crop.x, crop.y, crop.width, crop.height],
                "ours": first,
                "bytes": n_bytes,
            }
    for name, reason in reasons.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if not trials:
        raise InvalidArgument("no picture is left to compare: name a folder of pictures of 8 bits without alpha")
    write_text(options.output, page_of(page, trials))
    write_text(options.output.with_suffix(".key.json"), json.dumps(key, indent=1))
    print(f"{options.output}: {len(trials)} trials; keep {options.output.with_suffix('.key.json')} to yourself")


def pair_of_files(
    image: str, stack: ImageStack, ours: Igs, rival: Codec, rate: float, folder: Path | None
) -> tuple[Files, Files] | None:
    """Our files at a rate, and the rival's largest of no more bytes; None where it has none so small."""
    name = file_name(image, ours.name, f"{rate:g}")
    mine: Files = kept_files(folder, name, ours) if folder else ()
    if not mine:
        mine = (ours.encode(stack, f"{rate:g}"),)
        if folder:
            keep_files(folder, name, ours, mine)
    budget = sum(map(len, mine))
    _, theirs = Search(rival, stack).largest_within(budget)
    return (mine, theirs) if sum(map(len, theirs)) <= budget else None


def page_of(page: str, trials: Sequence[dict[str, Any]]) -> str:
    """The page of some trials, each with its number, the source and a pair of pictures as data URIs."""
    parts = {
        "style": resource("blind.css"),
        "script": resource("blind.js"),
        "data": json.dumps({"page": page, "trials": list(trials)}),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], resource("blind.html"))


if __name__ == "__main__":
    sys.exit(main())
