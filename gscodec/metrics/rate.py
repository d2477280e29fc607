"""Bit rates: 8 x the length of the whole file on disk / pixels."""

from gscodec.errors import InvalidArgument


def bpp(n_bytes: int, height: int, width: int) -> float:
    """Bits per pixel of a file of n_bytes that holds a height x width picture.

    Raises:
        InvalidArgument: a negative size, or a picture without pixels.
    """
    if n_bytes < 0 or height < 1 or width < 1:
        raise InvalidArgument(f"no rate for {n_bytes} bytes over {width}x{height} px")
    return 8 * n_bytes / (height * width)


def bppc(n_bytes: int, height: int, width: int, n_channels: int) -> float:
    """Bits per pixel and channel of a file of n_bytes.

    Raises:
        InvalidArgument: a negative size, or a picture without pixels or channels.
    """
    if n_channels < 1:
        raise InvalidArgument(f"no rate for a picture of {n_channels} channels")
    return bpp(n_bytes, height, width) / n_channels
