"""An HTTP server on this machine that sends ranges of files and keeps a log: for tests, and to count requests."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Habit = Literal["joins", "single", "whole of several", "none", "nameless"]
"""What a server does with ranges: answers several in one multipart, only the first of several, sends the whole file
when asked for several, never heard of them, or keeps the file's length to itself."""


@dataclass
class RangeServer:
    """Files by path, and what was asked of them."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    habit: Habit = "joins"
    requests: list[str] = field(default_factory=list)  # method and Range header
    n_bytes: int = 0  # of all bodies

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def add(self, path: str, data: bytes) -> str:
        """Serve some bytes; returns their URL."""
        self.files[path] = data
        return self.url(path)


def _answer(data: bytes, asked: str, habit: Habit) -> tuple[int, dict[str, str], bytes]:
    spans = [(int(a), min(int(b) + 1, len(data))) for a, b in re.findall(r"(\d+)-(\d+)", asked)]
    if not spans or habit == "none" or (len(spans) > 1 and habit == "whole of several"):
        return 200, {}, data
    if any(first >= last for first, last in spans):
        return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
    size = "*" if habit == "nameless" else str(len(data))
    if len(spans) == 1 or habit != "joins":
        first, last = spans[0]
        return 206, {"Content-Range": f"bytes {first}-{last - 1}/{size}"}, data[first:last]
    parts = b"".join(
        f"\r\n--CUT\r\nContent-Range: bytes {first}-{last - 1}/{size}\r\n\r\n".encode() + data[first:last]
        for first, last in spans
    )
    return 206, {"Content-Type": "multipart/byteranges; boundary=CUT"}, parts + b"\r\n--CUT--\r\n"


@contextmanager
def serve() -> Iterator[RangeServer]:
    """A server that runs while the context does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.requests.append(f"GET {asked}".strip())
            data = state.files.get(self.path.lstrip("/").partition("?")[0])
            status, headers, body = (404, {}, b"") if data is None else _answer(data, asked, state.habit)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if data is not None:
                self.send_header("ETag", f'"{hash(data)}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            state.n_bytes += len(body)
            try:
                self.wfile.write(body)
            except ConnectionError:  # the client has seen enough
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = RangeServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
