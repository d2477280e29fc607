"""ICC profiles made by hand, small and sound."""

import struct


def make_profile(model: bytes = b"RGB ", tags: dict[bytes, bytes] | None = None, padding: int = 0) -> bytes:
    """A profile of a colour model; without tags it says nothing, but is whole. ICC.1:2022, section 7."""
    tags = tags or {}
    table, body = struct.pack(">I", len(tags)), b""
    at = 132 + 12 * len(tags)
    for name, value in tags.items():
        data = value + bytes(-len(value) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    kind = b"prtr" if model == b"CMYK" else b"mntr"
    space = b"Lab " if model == b"CMYK" else b"XYZ "
    head = struct.pack(
        ">I4sI4s4s4s12s4s", at + len(body) + padding, b"test", 0x02400000, kind, model, space, bytes(12), b"acsp"
    )
    illuminant = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return head + bytes(28) + illuminant + bytes(48) + table + body + bytes(padding)


def ink_profile() -> bytes:
    """A CMYK profile in which cyan ink is red, and all others make black: no formula gives that.

    One lookup table with two points an ink (lut8Type) to Lab: the paper L 100, cyan red.
    """
    corners = b""
    for number in range(16):
        cyan, others = number >> 3, number & 7
        corners += bytes([0, 128, 128] if others else [136, 208, 195] if cyan else [255, 128, 128])
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut += 4 * ramp + corners + 3 * ramp
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return make_profile(b"CMYK", {b"desc": text, b"wtpt": white, b"A2B0": lut, b"cprt": b"text" + bytes(4) + b"none\0"})
