"""Byte source of a URL: over HTTP with multi-range requests, else through fsspec. Also its bytes as they arrive."""

from collections.abc import Iterator

from gscodec.errors import TruncatedStream
from gscodec.io.remote import PREFETCH_BYTES, Fetcher, FsspecFetcher, Pace, RemoteSource
from gscodec.io.source import ByteSource, MemorySource
from gscodec.model.limits import DEFAULT_LIMITS, Limits


def open_remote(url: str, name: str, limits: Limits = DEFAULT_LIMITS) -> ByteSource:
    """Byte source of a URL.

    Raises:
        FileAccessError: it cannot be opened within the time limit.
        MissingExtra, InvalidArgument: as `open_file_system`.
    """
    fetcher: Fetcher
    if url.partition(":")[0].lower() in {"http", "https"} and "::" not in url:
        from gscodec.io.http import HttpFetcher, WholeFile

        fetcher = HttpFetcher(url, name, Pace(limits.timeout, name))
        try:
            return RemoteSource(fetcher, name)
        except WholeFile as whole:
            source = MemorySource(whole.data)
            source.traffic.add(len(whole.data))
            return source
    return RemoteSource(FsspecFetcher(url, name, Pace(limits.timeout, name)), name)


def stream_remote(url: str, name: str, limits: Limits = DEFAULT_LIMITS) -> Iterator[bytes]:
    """Yields pieces of a file behind a URL as they arrive: over HTTP in one request, else in requests of growing size.

    Raises:
        FileAccessError: it cannot be read within the time limit.
        MissingExtra, InvalidArgument: as `open_file_system`.
    """
    pace = Pace(limits.timeout, name)
    if url.partition(":")[0].lower() in {"http", "https"} and "::" not in url:
        from gscodec.io.http import HttpFetcher

        yield from HttpFetcher(url, name, pace).stream()
        return
    fetcher = FsspecFetcher(url, name, pace)
    with pace.running():
        data, size = fetcher.first(PREFETCH_BYTES)
    at = len(data)
    yield data
    while at < size:
        with pace.running():
            (data,) = fetcher.fetch([(at, min(size - at, max(PREFETCH_BYTES, at // 4)))])
        if not data:
            raise TruncatedStream(f"{name}: became shorter while it was read")
        at += len(data)
        yield data
