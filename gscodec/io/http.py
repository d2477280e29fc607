"""Byte ranges over HTTP, several per request if the server supports it (RFC 9110, 14: multipart/byteranges).

Connections, proxies and credentials are handled by fsspec. Its own calls request one range at a time and do not return
the file's size, so that sampling one point of a large file would need a dozen requests instead of three.
"""

import asyncio
import os
import re
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gscodec.errors import FileAccessError
from gscodec.io.remote import Pace, Ranges, access_errors, open_file_system

_MAX_RANGES: Final = 64
"""Maximum ranges per request: a header of 1.5 kB. Servers refuse headers of 4 to 8 kB."""

_MAX_CONNECTIONS: Final = 8

_STALL_S: Final = 30
"""Seconds without data after which a connection is closed."""

_MAX_WHOLE_BYTES: Final = 256 << 20
"""Largest file, in bytes, that is downloaded whole from a server without range support."""

_PART_BYTES: Final = 1024
"""Upper bound in bytes of a part's header in a multipart response."""

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")

_T = TypeVar("_T")


class WholeFile(Exception):
    """Raised with the whole file when a server ignores the range request."""

    def __init__(self, data: bytes) -> None:
        super().__init__("a whole file")
        self.data = data


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    content_type: str
    content_range: str
    etag: str
    body: bytes


class HttpFetcher:
    """`Fetcher` over HTTP."""

    gap_bytes = 256  # approximate overhead of another part

    def __init__(self, url: str, name: str, pace: Pace) -> None:
        self._url, self._name = url, name
        self.pace = pace
        self._pid = -1
        self._joins = True  # cleared when the server turns out to answer single ranges only
        self._etag = ""
        self._size = 0
        self.n_requests = 0

    @property
    def few_requests(self) -> bool:
        """See `Fetcher.few_requests`."""
        return not self._joins

    def first(self, n_bytes: int) -> tuple[bytes, int]:
        """See `Fetcher.first`.

        Raises:
            WholeFile: the server ignored the range and sent the whole file.
            FileAccessError: it sent an error, or more than _MAX_WHOLE_BYTES.
        """
        (answer,) = self._ask([[(0, n_bytes)]])
        if answer.status == 416:  # an empty file has no first byte
            return b"", 0
        if answer.status == 200:
            raise WholeFile(answer.body)
        begin, data, size = _single(answer)
        if begin != 0 or size is None or len(data) != min(n_bytes, size):
            raise FileAccessError(f"{self._name}: the server does not report the size of the file; download it first")
        self._size, self._etag = size, answer.etag
        return data, size

    def fetch(self, ranges: Ranges) -> list[bytes]:
        """See `Fetcher.fetch`."""
        wanted = [span for span in ranges if span[1] > 0]
        received: dict[int, bytes] = {}
        if self._joins and len(wanted) > 1:
            groups = [wanted[at : at + _MAX_RANGES] for at in range(0, len(wanted), _MAX_RANGES)]
            for answer in self._ask(groups):
                if answer.status == 206:
                    received.update(_parts(answer))
            self._joins = all(len(received.get(offset, b"")) >= n_bytes for offset, n_bytes in wanted)
        missing = [span for span in wanted if len(received.get(span[0], b"")) < span[1]]
        for span, answer in zip(missing, self._ask([[span] for span in missing]), strict=True):
            begin, data, size = _single(answer) if answer.status == 206 else (-1, b"", None)
            if size is not None and size != self._size:
                raise FileAccessError(_changed(self._name))
            if answer.status != 416 and (begin != span[0] or len(data) > span[1]):
                raise FileAccessError(f"{self._name}: the server sent other ranges than requested; download it first")
            received[span[0]] = data
        return [received.get(offset, b"")[:n_bytes] for offset, n_bytes in ranges]

    def stream(self) -> Iterator[bytes]:
        """Yields pieces of the whole file as they arrive, in one request that ends when the iterator is closed.

        Raises:
            FileAccessError: the server sent an error, or is slower than the pace allows.
        """
        with access_errors(self._name):
            system = self._open()
            self.n_requests += 1
            response = self._timed(system, self._begin(system))
            try:
                if response.status != 200:
                    raise FileAccessError(f"{self._name}: the server answered with status {response.status}")
                while piece := self._timed(system, response.content.readany()):
                    self.pace.receive(len(piece))
                    yield piece
            finally:
                system.loop.call_soon_threadsafe(response.close)

    async def _begin(self, system: Any) -> Any:
        """The response to a request for the whole file; its body is still to be read."""
        session = await system.set_session()
        options, headers = self._options(system)
        return await session.get(system.encode_url(self._url), headers=headers, **options)

    def _timed(self, system: Any, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine, within the time that the pace leaves."""

        async def within() -> _T:
            async with asyncio.timeout(max(self.pace.left, 0.0)):
                return await work

        with self.pace.running():
            try:
                return _run(system, within())
            except TimeoutError as fault:
                if self.pace.left <= 0:
                    raise self.pace.fault() from fault
                raise FileAccessError(f"{self._name}: the server sent nothing for {_STALL_S} s; try again") from fault

    def _options(self, system: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """Options of a request, and its headers without a range."""
        import aiohttp

        options = dict(system.kwargs)
        headers = dict(options.pop("headers", {}))
        headers["Accept-Encoding"] = "identity"
        options.setdefault("timeout", aiohttp.ClientTimeout(total=None, sock_connect=_STALL_S, sock_read=_STALL_S))
        return options, headers

    def _ask(self, groups: list[list[tuple[int, int]]]) -> list[Response]:
        """Responses to concurrent requests, one per group of ranges."""
        if not groups:
            return []
        with access_errors(self._name):
            system = self._open()

            async def all_of_them() -> list[Response]:
                session = await system.set_session()
                turn = asyncio.Semaphore(_MAX_CONNECTIONS)
                return await asyncio.gather(*(self._get(system, session, group, turn) for group in groups))

            self.n_requests += len(groups)
            try:
                answers = _run(system, all_of_them())
            except TimeoutError as fault:
                if self.pace.left <= 0:
                    raise self.pace.fault() from fault
                raise FileAccessError(f"{self._name}: the server sent nothing for {_STALL_S} s; try again") from fault
        for answer in answers:
            if answer.status not in {200, 206, 416}:
                raise FileAccessError(f"{self._name}: the server answered with status {answer.status}")
            if self._etag and answer.etag != self._etag:
                raise FileAccessError(_changed(self._name))
        return answers

    async def _get(self, system: Any, session: Any, group: Ranges, turn: asyncio.Semaphore) -> Response:
        options, headers = self._options(system)
        headers["Range"] = "bytes=" + ",".join(f"{offset}-{offset + n_bytes - 1}" for offset, n_bytes in group)
        url = system.encode_url(self._url)
        async with (
            turn,
            asyncio.timeout(max(self.pace.left, 0.0)) as scope,
            session.get(url, headers=headers, **options) as response,
        ):
            limit = sum(n_bytes for _, n_bytes in group) + len(group) * _PART_BYTES
            if response.status == 200:
                # If a multi-range request is answered with the whole file, stop reading it: single ranges are known to
                # work.
                limit = _MAX_WHOLE_BYTES if not self._size else 0
            body = await self._read(response, limit if response.status in {200, 206} else 0, scope)
            if body is None and response.status == 206:
                raise FileAccessError(f"{self._name}: the server sent more bytes than requested; download it first")
            if body is None and response.status == 200 and not self._size:
                raise FileAccessError(f"{self._name}: the server does not support range requests; download it first")
            get = response.headers.get
            kind, span = get("Content-Type", ""), get("Content-Range", "")
            etag = get("ETag", "") or get("Last-Modified", "")
            return Response(response.status, kind, span, etag, body or b"")

    async def _read(self, response: Any, limit: int, scope: asyncio.Timeout) -> bytes | None:
        """The body, or None and a closed connection if it is longer than the limit."""
        parts, n_bytes = [], 0
        async for part in response.content.iter_chunked(1 << 16):
            n_bytes += len(part)
            if n_bytes > limit:
                response.close()
                return None
            self.pace.receive(len(part))
            scope.reschedule(asyncio.get_running_loop().time() + max(self.pace.left, 0.0))
            parts.append(part)
        return b"".join(parts)

    def _open(self) -> Any:
        """The fsspec file system; recreated in a forked process, where the parent's event loop does not run."""
        if self._pid != os.getpid():
            self._kept = getattr(self, "_system", None)  # its clean-up would wait for that loop
            self._system = open_file_system(self._url, self._name, fresh=self._pid != -1)[0]
            self._pid = os.getpid()
        return self._system


def _run(system: Any, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine, run in fsspec's event loop thread."""
    from fsspec.asyn import sync

    async def waited() -> _T:
        return await work

    result: _T = sync(system.loop, waited)
    return result


def _changed(name: str) -> str:
    return f"{name}: changed on the server while it was read; open it again"


def _single(answer: Response) -> tuple[int, bytes, int | None]:
    """(offset, bytes, file size) of a single-range response; the size is None if it is not reported."""
    match = _CONTENT_RANGE.fullmatch(answer.content_range.strip())
    if match is None or int(match[2]) - int(match[1]) + 1 != len(answer.body):
        return -1, b"", None
    return int(match[1]), answer.body, None if match[3] == "*" else int(match[3])


def _parts(answer: Response) -> dict[int, bytes]:
    """Bytes of the parts of a multipart response by offset; malformed parts are ignored."""
    boundary = re.search(r'boundary="?([^";]+)"?', answer.content_type)
    if not answer.content_type.lower().startswith("multipart/byteranges") or boundary is None:
        begin, data, _ = _single(answer)
        return {begin: data}
    delimiter = b"--" + boundary[1].strip().encode("latin-1")
    parts, at, body = {}, 0, answer.body
    while (at := body.find(delimiter, at)) >= 0:
        head_end = body.find(b"\r\n\r\n", at)
        if head_end < 0:
            break
        head = body[at:head_end].decode("latin-1")
        match = re.search(r"^content-range:\s*" + _CONTENT_RANGE.pattern, head, re.IGNORECASE | re.MULTILINE)
        at = head_end + 4
        if match is not None:
            begin, n_bytes = int(match[1]), int(match[2]) - int(match[1]) + 1
            parts[begin] = body[at : at + n_bytes]
            at += n_bytes  # skip the body, which may contain the delimiter
    return parts
