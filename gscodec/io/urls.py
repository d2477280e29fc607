"""Byte source of a URL: over HTTP with multi-range requests, else through fsspec."""

from gscodec.io.remote import Fetcher, FsspecFetcher, Pace, RemoteSource
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
