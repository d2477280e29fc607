"""`Profile`: a way to store Gaussians, with both directions, registered by name.

A new profile is a row of `format.profile_table`, a subclass of `Profile` here, and one of
`encoding.profiles.ProfileEncoder`, which makes pictures into files of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gscodec.format.chunks import StoredChunk
from gscodec.format.pages import PageRefs, page_starts
from gscodec.format.profile_table import ProfileLayout
from gscodec.format.records import RecordLayout
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid
from gscodec.profiles.lattice import Lattice

Int64Array = npt.NDArray[np.int64]


class Profile(ABC):
    """A way to store Gaussians. Objects have no state."""

    layout: ProfileLayout
    """Properties of the files of the profile."""

    @abstractmethod
    def stores(self, lattice: Lattice | None) -> bool:
        """Whether Gaussians on such a lattice, or on none, are stored this way."""

    def size_fault(self, height: int, width: int) -> str:  # noqa: ARG002  # most profiles take any picture
        """Why a picture of height x width px cannot be stored, as a sentence with a remedy; empty where it can."""
        return ""


class PagedProfile(Profile):
    """A profile whose files have pages, which are read one by one."""

    @abstractmethod
    def encode_pages(self, source: "PageSource") -> "EncodedPages":
        """The pages of some Gaussians.

        Raises:
            InvalidArgument: the profile cannot hold them.
        """

    def quan_bytes(self, lod_count: int, groups: Sequence[ChannelGroup]) -> tuple[int, int]:
        """Fewest and most raw bytes of chunk QUAN; a profile without one has none."""
        raise NotImplementedError

    @abstractmethod
    def decoder(
        self,
        quan: bytes,
        groups: Sequence[ChannelGroup],
        grid: Grid,
        counts: tuple[int, ...],
        name: str,
        threads: int,
    ) -> "PageDecoder":
        """Decoder of the pages of a file.

        Args:
            quan: the raw chunk QUAN; empty where the profile has none.
            counts: of Gaussians up to the end of each generation.
            name: of the file, for messages.
            threads: CPU threads; 0 is one per processor.

        Raises:
            GsCodecError: CorruptField or LimitExceeded for what `quan` says.
        """


class FixedSizeProfile(PagedProfile):
    """A profile in which the size of a file follows from the number of its Gaussians."""

    @abstractmethod
    def chunk_sizes(
        self, counts: Sequence[int], n_pages: int, groups: Sequence[ChannelGroup], record_bytes: int | None
    ) -> dict[bytes, int]:
        """Bytes of chunks QUAN, if the profile has it, and GAUS.

        Args:
            counts: of Gaussians up to the end of each generation.
            record_bytes: of a record, where the profile leaves that to its user.
        """


class PageDecoder(ABC):
    """Bytes of pages to Gaussians."""

    @property
    @abstractmethod
    def record_bytes(self) -> int | None:
        """Bytes of a record; None where they differ."""

    @property
    def record_layout(self) -> RecordLayout | None:
        """Widths of the values of a record; None where the file does not choose them."""
        return None

    @abstractmethod
    def page_bytes(self, page_size: int) -> Int64Array | None:
        """(P,) bytes of each page of the file; None where the page index says so. Their number has been checked."""

    @abstractmethod
    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """The Gaussians of some pages as stored, gains not applied.

        Args:
            data: the bytes of the pages, one after the other; their checksums have been compared.

        Raises:
            CorruptField: a value is outside its valid range.
        """


@dataclass(frozen=True)
class PageSource:
    """Gaussians that are to become pages. They are ordered by generation; a profile sorts inside each."""

    gaussians: GaussianSet
    lattice: Lattice | None
    grid: Grid
    groups: tuple[ChannelGroup, ...]
    counts: tuple[int, ...]  # of Gaussians up to the end of each generation
    page_size: int  # most records of a page
    where: str  # what messages begin with

    @cached_property
    def starts(self) -> Int64Array:
        """(P + 1,) numbers of the Gaussians that pages begin with."""
        return page_starts(self.counts, self.page_size)


@dataclass(frozen=True)
class EncodedPages:
    """Pages as bytes."""

    gaussians: GaussianSet  # as a reader gets them back, in file order
    data: bytes  # of the pages, one after the other
    lengths: Int64Array  # (P,) bytes
    quan: StoredChunk | None = None  # chunk QUAN


@dataclass(frozen=True)
class StoredPages:
    """Pages of a level as they lie in the file, and what it takes to make Gaussians of them."""

    decoder: PageDecoder
    data: npt.NDArray[np.uint8]  # the bytes of the pages, one after the other; their checksums have been compared
    refs: PageRefs
    generations: Int64Array  # (P,) of each page's Gaussians
    gains: Float64Array  # (P,) factors on their inverse scales, of a coarser set divided by `scale`
    grid: Grid  # of the set
    scale: int = 1  # side of a pixel of the set, px of the picture; a power of two

    def unpack(self) -> GaussianSet:
        """The Gaussians that the level shows of them.

        Raises:
            CorruptField: a value is outside its valid range.
        """
        stored = self.decoder.decode(self.data, self.refs)
        gain = np.repeat(self.gains, self.refs.sizes)
        means = stored.means if self.scale == 1 else stored.means * self.scale
        return GaussianSet(means, stored.inv_scales * gain[:, None], stored.rotations, stored.features)
