import numpy as np
import pytest

from gscodec.format.crc32c import crc32c, crc32c_spans


def slow_crc32c(data: bytes) -> int:
    """The definition, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_published_values(data: bytes, value: int) -> None:
    assert crc32c(data) == value  # RFC 3720, B.4


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 255, 1000, 4099])
def test_equals_the_definition_at_any_length(length: int) -> None:
    data = np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8).tobytes()
    assert crc32c(data) == slow_crc32c(data)


def test_spans_equal_single_calls() -> None:
    data = np.random.default_rng(4).integers(0, 256, 1000, dtype=np.uint8)
    lengths = np.array([3, 0, 500, 17, 480])
    parts = np.split(data, np.cumsum(lengths)[:-1])
    assert crc32c_spans(data, lengths).tolist() == [slow_crc32c(part.tobytes()) for part in parts]
    assert crc32c_spans(data[:0], lengths[:0]).shape == (0,)


def test_spans_stay_inside_the_data() -> None:
    for lengths in ([1001], [5, -1], [500, 501]):
        with pytest.raises(ValueError, match="spans"):
            crc32c_spans(np.zeros(1000, np.uint8), np.array(lengths))


def test_takes_views() -> None:
    data = bytearray(range(200))
    assert crc32c(memoryview(data)[3:90]) == slow_crc32c(bytes(data[3:90]))
