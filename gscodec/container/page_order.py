"""Files whose pages lie in another order: the same Gaussians, but other parts of the picture come first."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import chunks_of
from gscodec.container.writer import index_chunks
from gscodec.errors import InvalidArgument
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.layout import GAUS, PAGT
from gscodec.format.profile_table import LAYOUTS


def page_runs(reader: IgsReader, most: int) -> list[list[npt.NDArray[np.int64]]]:
    """For each generation of the finest set, the numbers of its pages in runs that may change places, at most `most`.

    The last run must stay: it ends with the page that holds what is left. A run consists of whole blocks of a page
    tree, so that blocks stay compact, and a region takes about as many reads as before.
    """
    index, side, generations, first = reader.pages, reader.block_size, [], 0
    for count in reader.lods.counts:
        last = index.until(count)
        size = side * max(1, -(-(last - first) // (most * side)))
        generations.append([np.arange(at, min(at + size, last)) for at in range(first, last, size)])
        first = last
    return generations


def with_page_order(data: bytes, order: Sequence[int] | npt.NDArray[np.int64], name: str = "(bytes)") -> bytes:
    """A file with the pages of its finest set in another order.

    The picture stays as it is but for rounding, and for points to which several Gaussians are equally near: their order
    in the file decides.

    Args:
        order: (P,) present number of the page that comes to each place.
        name: of the file, in messages.

    Raises:
        InvalidArgument: pages would leave their generation, or the last one of a generation its place.
        GsCodecError: the file is damaged.
    """
    order = np.asarray(order, np.int64)
    with IgsReader(data, name) as reader:
        index, counts = reader.pages, reader.lods.counts
    sizes, lengths = np.diff(index.starts), np.diff(index.edges)
    generations = np.searchsorted(counts, index.starts[:-1], side="right")
    stays = np.array_equal(np.sort(order), np.arange(len(index))) and (
        np.array_equal(sizes[order], sizes) and np.array_equal(generations[order], generations)
    )
    if not stays:
        raise InvalidArgument(f"{name}: pages can only change places with others of as many Gaussians and their level")
    values, chunks = chunks_of(data)
    layout = LAYOUTS[values["profile"]]
    (payload,) = (chunk.stored for chunk in chunks if chunk.fourcc == GAUS)
    pieces = [payload[index.edges[page] : index.edges[page + 1]] for page in order]
    tables = index_chunks(counts, values["page_size"], layout, index.boxes[order], index.crcs[order], lengths[order])
    new = {chunk.fourcc: chunk for chunk in (*tables, StoredChunk.plain(GAUS, b"".join(pieces)))}
    return assemble(values, [new.get(chunk.fourcc, chunk) for chunk in chunks if chunk.fourcc != PAGT or PAGT in new])
