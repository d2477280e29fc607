"""Decoding: an open `.igs` file as pictures and values. Needs neither torch nor cupy."""

from gscodec.decode.decoder import IgsImage, open_igs

__all__ = ["IgsImage", "open_igs"]
