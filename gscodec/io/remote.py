"""Remote files, read through fsspec in few requests, with a cache of recent reads.

The first request reads 16 KiB, which in a typical file covers everything before the Gaussians.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any, Final, Protocol, TypeVar

from gscodec.errors import FileAccessError, GsCodecError, InvalidArgument, MissingExtra, TruncatedStream
from gscodec.extras import install_command
from gscodec.io.source import Traffic

SLOWEST_RATE: Final = 1 << 16
"""Minimum transfer rate in bytes per second: each received byte extends a request's time limit by its inverse."""

PREFETCH_BYTES: Final = 16384
CACHE_BYTES: Final = 8 << 20

_T = TypeVar("_T")

Ranges = Sequence[tuple[int, int]]
"""Pairs of offset and length."""


class Pace:
    """Time limit for the reads of one request: a fixed number of seconds, extended for each byte received.

    Without it, a server that sends a byte now and then would block a reader for hours.
    """

    def __init__(self, seconds: float, name: str) -> None:
        self._seconds, self._name = seconds, name
        self._spent = self._began = 0.0
        self._received = 0

    def restart(self) -> None:
        """Start the time of a new request."""
        self._spent, self._received = 0.0, 0

    def begin(self) -> None:
        """Start the time of a read."""
        self._began = time.monotonic()

    def end(self) -> None:
        """Stop the time of a read."""
        self._spent += time.monotonic() - self._began

    @contextmanager
    def running(self) -> Iterator[None]:
        """Context of a read, whose time counts."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def receive(self, n_bytes: int) -> None:
        """Count received bytes."""
        self._received += n_bytes

    @property
    def left(self) -> float:
        """Seconds left for the current read; negative if its time is exceeded."""
        allowed = self._seconds + self._received / SLOWEST_RATE
        return allowed - self._spent - (time.monotonic() - self._began)

    def fault(self) -> FileAccessError:
        """The error for a read that exceeded its time."""
        return FileAccessError(
            f"{self._name}: the server took more than {self._seconds:g} s for {self._received} bytes; raise --timeout "
            "(Limits.timeout), or download the file first"
        )


class Fetcher(Protocol):
    """Reads byte ranges of one remote file, within the time that `pace` allows."""

    pace: Pace

    n_requests: int  # so far
    gap_bytes: int  # gap between two ranges that is cheaper to read than to skip

    @property
    def few_requests(self) -> bool:
        """Whether each range needs its own request, so that reading larger gaps pays off."""
        ...

    def first(self, n_bytes: int) -> tuple[bytes, int]:
        """(bytes, file size): the first n_bytes, or all of a shorter file."""
        ...

    def fetch(self, ranges: Ranges) -> list[bytes]:
        """The bytes of each range; fewer if the file became shorter."""
        ...


class RemoteSource:
    """`ByteSource` over a `Fetcher`."""

    is_remote = True

    def __init__(self, fetcher: Fetcher, name: str) -> None:
        self._fetcher, self._name = fetcher, name
        self._lock = Lock()
        self._held: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._held_bytes = 0
        with fetcher.pace.running():
            self._head, self.size = fetcher.first(PREFETCH_BYTES)
        self.traffic = Traffic(len(self._head), fetcher.n_requests)

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """See `ByteSource.read_at`.

        Raises:
            FileAccessError: the server or the network failed.
            TruncatedStream: the file became shorter since it was opened.
        """
        return self.read_many([(offset, n_bytes)])[0]

    def read_many(self, ranges: Ranges) -> list[bytes]:
        """See `ByteSource.read_many`; errors as `read_at`."""
        received: dict[tuple[int, int], bytes] = {}
        missing = []
        for span in dict.fromkeys(ranges):
            known = self._known(span)
            if known is None:
                missing.append(span)
            else:
                received[span] = known
        if missing:
            fetched = self._fetch(sorted(missing))
            received.update(fetched)
            self._keep(fetched)
        return [received[span] for span in ranges]

    def restart_clock(self) -> None:
        """Start a new request, which has its own time limit."""
        self._fetcher.pace.restart()

    def close(self) -> None:
        """Release the cache. Connections belong to fsspec, which shares them among files."""
        with self._lock:
            self._held.clear()
            self._held_bytes = 0

    def _known(self, span: tuple[int, int]) -> bytes | None:
        offset, n_bytes = span
        if offset + n_bytes <= len(self._head):
            return self._head[offset : offset + n_bytes]
        with self._lock:
            if span in self._held:
                self._held.move_to_end(span)
            return self._held.get(span)

    def _keep(self, fetched: dict[tuple[int, int], bytes]) -> None:
        with self._lock:
            for span, data in fetched.items():
                if span not in self._held and len(data) <= CACHE_BYTES // 4:
                    self._held[span] = data
                    self._held_bytes += len(data)
            while self._held_bytes > CACHE_BYTES:
                self._held_bytes -= len(self._held.popitem(last=False)[1])

    def _fetch(self, spans: Ranges) -> dict[tuple[int, int], bytes]:
        joined = coalesce(spans, self._fetcher.gap_bytes, close_gaps=self._fetcher.few_requests)
        before = self._fetcher.n_requests
        with self._fetcher.pace.running():
            parts = self._fetcher.fetch(joined)
        self.traffic.add(sum(len(part) for part in parts), self._fetcher.n_requests - before)
        received, at = {}, 0
        for offset, n_bytes in spans:
            while offset + n_bytes > sum(joined[at]):
                at += 1
            begin = offset - joined[at][0]
            part = parts[at][begin : begin + n_bytes]
            if len(part) != n_bytes:
                raise TruncatedStream(f"{self._name}: became shorter while it was read")
            received[offset, n_bytes] = part
        return received


def coalesce(ranges: Ranges, gap_bytes: int, *, close_gaps: bool) -> list[tuple[int, int]]:
    """Ranges in ascending order, with neighbours merged.

    Args:
        ranges: ascending by offset.
        gap_bytes: gaps up to this size are always merged.
        close_gaps: merge larger gaps too, smallest first, while the surplus bytes stay below the requested bytes.
    """
    merged: list[tuple[int, int]] = []
    for offset, n_bytes in ranges:
        if merged and offset <= sum(merged[-1]) + gap_bytes:
            first = merged[-1][0]
            merged[-1] = first, max(sum(merged[-1]), offset + n_bytes) - first
        else:
            merged.append((offset, n_bytes))
    if not close_gaps or len(merged) < 2:
        return merged
    spare = sum(n_bytes for _, n_bytes in ranges)
    gaps = sorted((merged[i + 1][0] - sum(merged[i]), i) for i in range(len(merged) - 1))
    closed = set()
    for gap, place in gaps:
        spare -= gap
        if spare < 0:
            break
        closed.add(place)
    result = [merged[0]]
    for place, (offset, n_bytes) in enumerate(merged[1:]):
        if place in closed:
            result[-1] = result[-1][0], offset + n_bytes - result[-1][0]
        else:
            result.append((offset, n_bytes))
    return result


class FsspecFetcher:
    """`Fetcher` over any fsspec file system: one request per range, concurrent if the file system supports it."""

    gap_bytes = 4096
    few_requests = True

    def __init__(self, url: str, name: str, pace: Pace) -> None:
        self._url, self._name = url, name
        self._pid = -1
        self.n_requests = 0
        self.pace = pace

    def _open(self) -> tuple[Any, str]:
        """File system and path; recreated in a forked process, where the parent's event loop does not run."""
        if self._pid != os.getpid():
            self._kept = getattr(self, "_opened", None)  # its clean-up would wait for that loop
            self._opened = open_file_system(self._url, self._name, fresh=self._pid != -1)
            self._pid = os.getpid()
        return self._opened

    def first(self, n_bytes: int) -> tuple[bytes, int]:
        """See `Fetcher.first`."""
        system, path = self._open()
        with access_errors(self._name):
            size = int(within(self.pace, lambda: system.size(path)) or 0)
            self.n_requests += 1
        return (self.fetch([(0, min(n_bytes, size))])[0] if size else b""), size

    def fetch(self, ranges: Ranges) -> list[bytes]:
        """See `Fetcher.fetch`."""
        system, path = self._open()
        with access_errors(self._name):
            begins = [offset for offset, _ in ranges]
            ends = [offset + n_bytes for offset, n_bytes in ranges]
            self.n_requests += len(ranges)
            answers = within(self.pace, lambda: system.cat_ranges([path] * len(ranges), begins, ends, on_error="raise"))
            parts = [bytes(part) for part in answers]
        self.pace.receive(sum(len(part) for part in parts))
        return parts


def within(pace: Pace, work: Callable[[], _T]) -> _T:
    """The result of `work` under a time limit; it runs in its own thread, which is abandoned if it is too slow.

    Raises:
        FileAccessError: it takes longer than `pace` allows.
    """
    outcome: list[_T] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as fault:  # raised again in the waiting thread
            faults.append(fault)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(pace.left, 0.0))
    if thread.is_alive():
        raise pace.fault()
    if faults:
        raise faults[0]
    return outcome[0]


class access_errors:  # noqa: N801 - a context manager, used like a function
    """Context that converts exceptions of file systems to FileAccessError."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        # Each library behind fsspec has errors of its own, with no base in common but Exception.
        if isinstance(fault, Exception) and not isinstance(fault, GsCodecError):
            text = "does not exist" if isinstance(fault, FileNotFoundError) else f"cannot be read: {_text(fault)}"
            raise FileAccessError(f"{self._name}: {text}") from fault


def _text(fault: Exception) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__


def open_file_system(url: str, name: str, *, fresh: bool = False) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        MissingExtra: fsspec, or the library for this kind of URL, is not installed.
        InvalidArgument: no such kind of URL.
    """
    try:
        import fsspec
    except ImportError as fault:
        raise MissingExtra(f"{name}: reading URLs needs fsspec: {install_command('remote')}") from fault
    scheme = url.partition(":")[0].lower()
    try:
        system, path = fsspec.url_to_fs(url, **({"skip_instance_cache": True} if fresh else {}))
    except ImportError as fault:
        if scheme in {"http", "https"}:
            raise MissingExtra(f"{name}: reading URLs needs aiohttp: {install_command('remote')}") from fault
        raise MissingExtra(f"{name}: {_text(fault)}") from fault
    except ValueError as fault:
        raise InvalidArgument(f"{name}: {scheme}:// is not a kind of URL that fsspec knows") from fault
    return system, path
