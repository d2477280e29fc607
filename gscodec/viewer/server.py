"""A small HTTP server for the viewer, on this machine alone: the page, and byte ranges of the files that it shows.

Paths of requests never become paths of the file system: a file is known by its number. Requests that name another
host are refused, so that a page elsewhere cannot reach the files by a name that it makes resolve to this machine.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Lock
from typing import Final

from gscodec.errors import FileAccessError, FileMissing, GsCodecError
from gscodec.format.opening import open_source
from gscodec.io.source import ByteSource, is_url, name_of_url
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.viewer.page import LinkedFile, viewer_page

MOST_FILES: Final = 10_000
"""Files of a folder that are listed."""

HOST: Final = "127.0.0.1"

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_BLOCK: Final = 1 << 20


@dataclass
class Served:
    """A file that the server hands out; opened when it is first asked for."""

    name: str
    source: str | Path
    limits: Limits = DEFAULT_LIMITS
    _opened: ByteSource | None = None
    _lock: Lock = field(default_factory=Lock)

    def open(self) -> ByteSource:
        """Byte source of the file, which stays open.

        Raises:
            GsCodecError: as `open_source`.
        """
        with self._lock:
            if self._opened is None:
                self._opened = open_source(self.source, self.name, self.limits)
            return self._opened

    def close(self) -> None:
        """Close the file, if it was opened."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


def files_of(source: str | Path, limits: Limits = DEFAULT_LIMITS) -> list[Served]:
    """Files to show: one file or URL, or the `.igs` files of a folder and of those in it, by name.

    Hidden folders and symbolic links to folders are left out.

    Raises:
        FileMissing: the path is not there, or a folder has no `.igs` file.
    """
    if is_url(source):
        return [Served(name_of_url(str(source)), source, limits)]
    path = Path(source)
    if not path.exists():
        raise FileMissing(f"{path}: does not exist")
    if not path.is_dir():
        return [Served(path.name, path, limits)]
    listed: list[Served] = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder) / name
            if file.suffix.lower() == ".igs" and file.is_file() and len(listed) < MOST_FILES:
                listed.append(Served(file.relative_to(path).as_posix(), file, limits))
    if not listed:
        raise FileMissing(f"{path}: has no .igs files; name a file, or a folder that holds some")
    return listed


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and number of bytes that a Range header asks for; None where it asks for the whole file.

    Raises:
        ValueError: the file has no such bytes.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):  # several ranges, or another unit: a server may send everything
        return None
    first, last = match.groups()
    if not first:
        n_bytes = min(int(last), size)
        begin = size - n_bytes
    else:
        begin = int(first)
        n_bytes = min(int(last) if last else size - 1, size - 1) - begin + 1
    if n_bytes <= 0:
        raise ValueError(f"bytes {header} of {size}")
    return begin, n_bytes


class ViewerServer(ThreadingHTTPServer):
    """The viewer and its files at `url`, until it is closed.

    Args:
        served: files to show, see `files_of`.
        port: of this machine; 0 takes one that is free.
        without_ranges: answer every request for a file with all of it, as simple servers do.

    Raises:
        FileAccessError: the port is taken.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, served: Sequence[Served], port: int = 0, *, without_ranges: bool = False) -> None:
        self.served, self.without_ranges = list(served), without_ranges
        self.log: list[tuple[str, int]] = []
        """Path and bytes of the body of each answer to a request for a file."""
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as fault:
            text = f"port {port} of {HOST} cannot be opened: {fault.strerror or fault}; name another with --port"
            raise FileAccessError(text) from fault

    def server_bind(self) -> None:
        """Bind to the port, without the look-up of the host's name in `HTTPServer`, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    def page(self) -> bytes:
        """The page, with its files as links."""
        linked = [LinkedFile(file.name, f"/files/{i}") for i, file in enumerate(self.served)]
        return viewer_page(linked).encode()

    def server_close(self) -> None:
        """Stop listening, and close the files."""
        super().server_close()
        for file in self.served:
            file.close()


class _Handler(BaseHTTPRequestHandler):
    server: ViewerServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with the page or a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: stderr is for errors of the command."""

    def _answer(self, *, with_body: bool) -> None:
        hosts = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        path = self.path.partition("?")[0]
        if self.headers.get("Host") not in hosts:
            self._send(HTTPStatus.FORBIDDEN, b"another host", "text/plain", with_body)
        elif path == "/":
            self._send(HTTPStatus.OK, self.server.page(), "text/html; charset=utf-8", with_body)
        elif (match := re.fullmatch(r"/files/(\d{1,6})", path)) and int(match[1]) < len(self.server.served):
            self._send_file(self.server.served[int(match[1])], with_body)
        else:
            self._send(HTTPStatus.NOT_FOUND, b"not here", "text/plain", with_body)

    def _send_file(self, file: Served, with_body: bool) -> None:
        try:
            source = file.open()
            wanted = None if self.server.without_ranges else byte_range(self.headers.get("Range"), source.size)
        except GsCodecError as error:
            self._send(HTTPStatus.NOT_FOUND, str(error).encode(), "text/plain; charset=utf-8", with_body)
            return
        except ValueError:
            headers = {"Content-Range": f"bytes */{file.open().size}"}
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", "text/plain", with_body, headers)
            return
        begin, n_bytes = wanted or (0, source.size)
        headers = {"Content-Length": str(n_bytes), "Content-Type": "image/vnd.gscodec.igs", "Cache-Control": "no-cache"}
        if not self.server.without_ranges:
            headers["Accept-Ranges"] = "bytes"
        if wanted:
            headers["Content-Range"] = f"bytes {begin}-{begin + n_bytes - 1}/{source.size}"
        self._head(HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK, headers)
        if not with_body:
            return
        self.server.log.append((self.path, n_bytes))
        try:
            for at in range(begin, begin + n_bytes, _BLOCK):
                self.wfile.write(source.read_at(at, min(_BLOCK, begin + n_bytes - at)))
        except (GsCodecError, OSError):  # the file changed, or the browser has left: the answer ends early
            self.close_connection = True

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str, with_body: bool, headers: dict[str, str] | None = None
    ) -> None:
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(body))} | (headers or {}))
        if with_body:
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
