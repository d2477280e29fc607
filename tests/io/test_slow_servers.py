"""Servers that drip, never end, or send something else than was asked for: one line each, in bounded time."""

import re
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from random_contents import MakeContents

from gscodec.cli.exit import ExitCode, code_of
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.errors import FileAccessError
from gscodec.io.remote import Pace, within
from gscodec.model.limits import Limits

Send = Callable[[bytes], None]
Behaviour = Callable[["Exchange"], None]


class Exchange:
    """One request and what is sent back."""

    def __init__(self, data: bytes, first: int, last: int, number: int, send: Send) -> None:
        self.data, self.first, self.last, self.number, self.send = data, first, last, number, send

    def head(self, status: int = 206, length: int | None = None, span: str = "", etag: str = '"a"') -> None:
        n_bytes = len(self.asked) if length is None else length
        span = span or f"bytes {self.first}-{self.first + n_bytes - 1}/{len(self.data)}"
        self.send(
            f"HTTP/1.1 {status} X\r\nContent-Length: {n_bytes}\r\nContent-Range: {span}\r\nETag: {etag}\r\n"
            "Connection: close\r\n\r\n".encode()
        )

    @property
    def asked(self) -> bytes:
        return self.data[self.first : self.last + 1]


@contextmanager
def server(data: bytes, behaviour: Behaviour) -> Iterator[str]:
    count = 0

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            nonlocal count
            text = b""
            while b"\r\n\r\n" not in text:
                part = self.request.recv(4096)
                if not part:
                    return
                text += part
            first, last = map(int, re.findall(rb"bytes=(\d+)-(\d+)", text)[0])
            count += 1
            try:
                behaviour(Exchange(data, first, last, count, self.request.sendall))
            except OSError:  # the client has seen enough
                return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}/a.igs"
        finally:
            running.shutdown()
            thread.join()


def drips(exchange: Exchange) -> None:
    exchange.head()
    for byte in exchange.asked:
        exchange.send(bytes([byte]))
        time.sleep(0.02)


def drips_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 206 X\r\n")
    for number in range(10_000):
        exchange.send(f"X-{number}: 1\r\n".encode())
        time.sleep(0.02)


def stays_silent(exchange: Exchange) -> None:
    del exchange
    time.sleep(20)


def never_ends(exchange: Exchange) -> None:
    exchange.head(status=200, length=1 << 40)
    while True:
        exchange.send(bytes(1 << 20))


def sends_more(exchange: Exchange) -> None:
    exchange.head(length=1 << 30, span=f"bytes {exchange.first}-{exchange.last}/{len(exchange.data)}")
    while True:
        exchange.send(bytes(1 << 20))


def later(other: Behaviour) -> Behaviour:
    """Well behaved at first."""

    def behave(exchange: Exchange) -> None:
        if exchange.number == 1:
            exchange.head()
            exchange.send(exchange.asked)
        else:
            other(exchange)

    return behave


def elsewhere(exchange: Exchange) -> None:
    exchange.head(span=f"bytes {exchange.first + 1}-{exchange.last + 1}/{len(exchange.data)}")
    exchange.send(exchange.asked)


def grown(exchange: Exchange) -> None:
    exchange.head(span=f"bytes {exchange.first}-{exchange.last}/{len(exchange.data) + 1}")
    exchange.send(exchange.asked)


def changed(exchange: Exchange) -> None:
    exchange.head(etag='"b"')
    exchange.send(exchange.asked)


def goes_in_circles(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 302 X\r\nLocation: /b.igs\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


SHORT, AMPLE = 0.5, 600.0
"""Seconds: what ends however fast the machine is because the server never does, and what no machine needs."""

CASES: dict[str, tuple[Behaviour, str]] = {
    "drips": (drips, r"took more than 0.5 s for \d+ bytes; raise --timeout"),
    "drips headers": (drips_headers, "took more than 0.5 s for 0 bytes"),
    "silent": (stays_silent, "took more than 0.5 s for 0 bytes"),
    "no end": (never_ends, "does not support range requests|above the limit"),
    "more": (sends_more, "sent more bytes than requested"),
    "drips later": (later(drips), "took more than 0.5 s"),
    "more later": (later(sends_more), "sent more bytes than requested"),
    "elsewhere": (later(elsewhere), "sent other ranges than requested"),
    "grown": (later(grown), "changed on the server"),
    "changed": (later(changed), "changed on the server"),
    "circle": (goes_in_circles, "cannot be read"),
}


@pytest.mark.parametrize("name", CASES)
def test_is_one_line(make_contents: MakeContents, name: str) -> None:
    behaviour, message = CASES[name]
    with (
        server(pack(make_contents(5000)), behaviour) as url,
        pytest.raises(FileAccessError, match=message) as caught,
        IgsReader(url, limits=Limits(timeout=SHORT if "0.5 s" in message else AMPLE)) as reader,
    ):
        reader.read(0)
    assert len(str(caught.value).splitlines()) == 1
    assert code_of(caught.value) == ExitCode.IO


def test_a_slow_server_that_gets_on_is_waited_for(make_contents: MakeContents, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute and a half for every 40 kB, of a limit of two minutes and a second for each 400 B."""
    content, now, came = pack(make_contents(12_000)), [0.0], [0]
    arrival = threading.Condition()
    count = Pace.receive

    def receive(pace: Pace, n_bytes: int) -> None:
        count(pace, n_bytes)
        with arrival:
            came[0] += n_bytes
            arrival.notify()

    def steady(exchange: Exchange) -> None:
        exchange.head()
        before = came[0]
        for at in range(0, len(exchange.asked), 40_000):
            exchange.send(exchange.asked[at : at + 40_000])
            with arrival:
                while came[0] - before < min(at + 40_000, len(exchange.asked)):
                    arrival.wait()
            now[0] += 90.0

    monkeypatch.setattr(Pace, "receive", receive)
    monkeypatch.setattr("gscodec.io.remote.SLOWEST_RATE", 400)
    monkeypatch.setattr("gscodec.io.remote.time", SimpleNamespace(monotonic=lambda: now[0]))
    with server(content, steady) as url, IgsReader(url, limits=Limits(timeout=120.0)) as reader:
        assert len(reader.read(0)) == 12_000
    assert now[0] > 300.0


def test_each_request_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("gscodec.io.remote.time", SimpleNamespace(monotonic=lambda: now[0]))
    pace = Pace(10, "a.igs")
    pace.begin()
    now[0] = 9
    assert pace.left == 1
    pace.receive(1 << 17)
    assert pace.left == 3
    pace.end()
    now[0] = 100
    pace.begin()
    assert pace.left == 3
    pace.restart()
    pace.begin()
    assert pace.left == 10
    assert "10 s" in str(pace.fault())


def test_work_without_a_time_limit_is_left_behind() -> None:
    done = threading.Event()

    def slow() -> bool:
        return done.wait(20)

    pace = Pace(0.1, "a.igs")
    pace.begin()
    with pytest.raises(FileAccessError, match=r"took more than 0.1 s"):
        within(pace, slow)
    done.set()
    pace.restart()
    pace.begin()
    assert within(pace, lambda: 7) == 7

    def fails() -> Any:
        raise KeyError("x")

    with pytest.raises(KeyError):
        within(pace, fails)
