import http.client
from pathlib import Path

import pytest
from viewer_page import running

from gscodec.errors import FileAccessError, FileMissing
from gscodec.viewer.server import ViewerServer, byte_range, files_of


def answer(server: ViewerServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    got = connection.getresponse()
    body = got.read()
    connection.close()
    return got.status, dict(got.headers), body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.igs", "sub/c.IGS", ".hidden/d.igs", "secret.txt"):
        (tmp_path / name).write_bytes(bytes(range(200)))
    return tmp_path


def test_ranges() -> None:
    assert byte_range("bytes=0-9", 100) == (0, 10)
    assert byte_range("bytes=90-", 100) == (90, 10)
    assert byte_range("bytes=95-1000", 100) == (95, 5)
    assert byte_range("bytes=-7", 100) == (93, 7)
    assert byte_range("bytes=-700", 100) == (0, 100)
    for whole in (None, "bytes=-", "bytes=0-1,4-5", "lines=1-2", "nonsense"):
        assert byte_range(whole, 100) is None
    for outside in ("bytes=100-", "bytes=5-4", "bytes=-0"):
        with pytest.raises(ValueError, match="of 100"):
            byte_range(outside, 100)


def test_a_folder_lists_its_files_by_name(folder: Path) -> None:
    assert [file.name for file in files_of(folder)] == ["b.igs", "sub/c.IGS"]
    assert [file.name for file in files_of(folder / "b.igs")] == ["b.igs"]
    assert [file.name for file in files_of("https://example.org/x/rock.igs?key=1")] == ["rock.igs"]


def test_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"has no \.igs files"):
        files_of(tmp_path)
    with pytest.raises(FileMissing, match="does not exist"):
        files_of(tmp_path / "not here.igs")


def test_files_come_in_ranges_and_whole(folder: Path) -> None:
    data = bytes(range(200))
    with running(folder) as server:
        status, headers, body = answer(server, "/files/0", Range="bytes=10-19")
        assert (status, body, headers["Content-Range"]) == (206, data[10:20], "bytes 10-19/200")
        status, headers, body = answer(server, "/files/1")
        assert (status, body, headers["Accept-Ranges"]) == (200, data, "bytes")
        status, headers, body = answer(server, "/files/1", "HEAD")
        assert (status, body, headers["Content-Length"]) == (200, b"", "200")
        status, headers, _ = answer(server, "/files/0", Range="bytes=200-")
        assert (status, headers["Content-Range"]) == (416, "bytes */200")
        assert server.log == [("/files/0", 10), ("/files/1", 200)]


def test_a_server_without_ranges_sends_everything(folder: Path) -> None:
    with running(folder, without_ranges=True) as server:
        status, headers, body = answer(server, "/files/0", Range="bytes=10-19")
        assert (status, len(body), "Accept-Ranges" in headers) == (200, 200, False)


@pytest.mark.parametrize(
    "path",
    ["/files/2", "/files/-1", "/files/0/", "/files/../secret.txt", "/secret.txt", "/files/%2e%2e/secret.txt",
     "//etc/passwd", "/files/00000000000000000000000000", "/../../etc/passwd", "/b.igs"],
)  # fmt: skip
def test_nothing_else_is_handed_out(folder: Path, path: str) -> None:
    with running(folder) as server:
        assert answer(server, path)[0] == 404


def test_requests_by_another_name_are_refused(folder: Path) -> None:
    with running(folder) as server:
        assert answer(server, "/files/0", Host="evil.example:80")[0] == 403
        assert answer(server, "/files/0", Host=f"localhost:{server.server_port}")[0] == 200


def test_a_file_that_is_gone_is_a_line_of_text(folder: Path) -> None:
    with running(folder) as server:
        (folder / "b.igs").unlink()
        status, _, body = answer(server, "/files/0")
    assert status == 404
    assert b"b.igs: cannot be opened" in body


def test_a_port_that_is_taken_is_an_error(folder: Path) -> None:
    with running(folder) as server, pytest.raises(FileAccessError, match="name another with --port"):
        ViewerServer(files_of(folder), server.server_port)
