"""The interface of a codec under test, and how a stack is laid out for codecs that hold one picture a file."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.image.arrays import from_array
from gscodec.image.levels import to_native
from gscodec.image.stack import ImageStack
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, channel_spans

Picture = npt.NDArray[Any]


class Layout(Enum):
    """How many files a stack takes."""

    STACK = "one file"
    MAPS = "one file a map"
    TEXTURES = "scalar maps three to an RGB file"  # a GPU texture costs the same whatever it holds


class Codec(ABC):
    """One way to make bytes of a picture. Instances are cheap, and can be sent to another process.

    `encode` and `decode` are what is timed. A codec with `holds_depth` takes samples of any depth; the others take
    8 bits, and refuse more.
    """

    name: str
    layout: Layout = Layout.MAPS
    suffix: str = ".bin"
    decode_is_timed: bool = True
    """False where decoding starts a program and goes through files, whose time says little about the format."""

    @abstractmethod
    def available(self) -> str | None:
        """Why it cannot run here, with the remedy; None if it can."""

    @abstractmethod
    def version(self) -> str:
        """What the bytes depend on: rows measured with another version are measured again."""

    @abstractmethod
    def settings(self, rates: Sequence[float]) -> list[str]:
        """Points of the rate-distortion curve.

        Args:
            rates: bits per pixel (pictures) or per pixel and channel (stacks), for codecs that are asked for a rate;
                the others have a grid of their own.
        """

    @abstractmethod
    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """The file of a picture, or of a stack where the layout is STACK."""

    @abstractmethod
    def decode(self, data: bytes, height: int, width: int) -> Picture:
        """(height, width, C) samples at the file's depth; size as a renderer knows it, though the file holds less."""

    def decode_partial(self, data: bytes, height: int, width: int) -> Picture | None:  # noqa: ARG002 - for those that can
        """As `decode`, of the first bytes of a file; None as long as they show nothing, or if the codec needs all."""
        return None

    def prepare(self) -> None:
        """Load what the first encode would otherwise load, and be timed with."""
        return

    def dial(self, level: float) -> str | None:  # noqa: ARG002 - for those that have a dial
        """The setting that far from the smallest files (0) to the largest (1); None where there is no such dial."""
        return None

    def refuses(self, stack: ImageStack) -> str | None:
        """Why a picture cannot be encoded, or None. The default is what 8-bit codecs without alpha have to say."""
        for group in stack.groups:
            if group.sample_type is SampleType.FLOAT or group.bit_depth > 8:
                return f"{group.bit_depth}-bit samples, the codec has 8"
            if group.alpha is not AlphaMode.NONE:
                return "has alpha, the codec has none"
        return None


def split(stack: ImageStack, layout: Layout) -> list[ImageStack]:
    """The pictures that a stack is stored as."""
    if layout is Layout.STACK or len(stack.groups) == 1:
        return [stack]
    parts: list[ImageStack] = []
    scalars: list[ImageStack] = []
    for group, channels in channel_spans(stack.groups):
        part = ImageStack(np.ascontiguousarray(stack.samples[:, :, channels]), (group,), None, group.name)
        (scalars if layout is Layout.TEXTURES and group.n_channels == 1 else parts).append(part)
    return parts + [_packed(scalars[first : first + 3]) for first in range(0, len(scalars), 3)]


def join(pictures: Sequence[Picture], stack: ImageStack, layout: Layout) -> Picture:
    """(H, W, C) samples of the whole stack from the decoded pictures of `split`, in the stack's order of channels."""
    if layout is Layout.STACK or len(stack.groups) == 1:
        return channels_of(pictures[0], stack.samples.shape[2])
    wide = [group for group in stack.groups if layout is Layout.MAPS or group.n_channels > 1]
    whole = {group.name: channels_of(picture, group.n_channels) for group, picture in zip(wide, pictures, strict=False)}
    scalars = [group for group in stack.groups if group.name not in whole]
    for number, group in enumerate(scalars):
        picture = pictures[len(wide) + number // 3]
        whole[group.name] = picture[:, :, number % 3 : number % 3 + 1]
    return np.concatenate([whole[group.name] for group in stack.groups], axis=2)


def channels_of(picture: Picture, n_channels: int) -> Picture:
    """A decoded picture with the channels that were put in: gray comes back from RGB codecs as its green channel."""
    picture = picture[:, :, None] if picture.ndim == 2 else picture
    if n_channels == 1 and picture.shape[2] >= 3:
        return picture[:, :, 1:2]
    return picture[:, :, :n_channels]


def bytes_of(stack: ImageStack) -> npt.NDArray[np.uint8]:
    """(H, W, C) uint8 samples of a picture of at most 8 bits."""
    return np.asarray(to_native(stack.samples, stack.groups), np.uint8)


def rgb_of(stack: ImageStack) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 samples, gray repeated."""
    samples = bytes_of(stack)
    return np.ascontiguousarray(np.broadcast_to(samples, (*samples.shape[:2], 3)))


def is_normal_map(stack: ImageStack) -> bool:
    """Whether a picture's channels are directions, which chroma subsampling would ruin."""
    return stack.groups[0].role is Role.NORMAL


def _packed(scalars: Sequence[ImageStack]) -> ImageStack:
    """Up to three scalar maps as the channels of one picture; what is left over repeats the last."""
    planes = [bytes_of(part) for part in scalars]
    planes += [planes[-1]] * (3 - len(planes))
    packed = from_array(np.concatenate(planes, axis=2))
    group: ChannelGroup = replace(packed.groups[0], name="+".join(part.groups[0].name for part in scalars))
    return ImageStack(packed.samples, (group,), None, group.name)
