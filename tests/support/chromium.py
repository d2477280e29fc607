"""Chromium without a window, driven through the DevTools protocol over a WebSocket, without further packages."""

import base64
import contextlib
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Final, Self

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE: Final = 120.0
"""Seconds after which a browser that does not answer is a fault."""

_TAIL_BYTES: Final = 2000
"""Length of what the message of a fault quotes from the browser's stderr."""


def chromium_path() -> str:
    """Path of the browser: that of the environment variable CHROMIUM, or the first of the usual names.

    Raises:
        RuntimeError: there is none.
    """
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else NAMES:
        path = shutil.which(name)
        if path:
            return path
    raise RuntimeError(
        "the tests of the viewer need Chromium: apt-get install chromium, or set CHROMIUM to the path of a browser"
    )


class Chromium:
    """A running browser with one page.

    Args:
        profile: an empty folder for what the browser keeps.
        size: of the page, px.
    """

    def __init__(self, profile: Path, size: tuple[int, int] = (640, 480)) -> None:
        self.errors: list[str] = []
        """What the page reported: exceptions, console errors, failed loads."""
        self.lost = False
        """Whether the browser has ended, or has not answered in time: `restart` gives another one."""
        self._folder, self._size, self._starts = profile, size, 0
        self._start()

    def _start(self) -> None:
        profile, size = self._folder / str(self._starts), self._size
        self._starts += 1
        profile.mkdir()
        options = [
            "--headless=new", "--no-sandbox", "--disable-gpu-sandbox", "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run",
            "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--mute-audio", "--disable-dev-shm-usage", "--force-device-scale-factor=1", "--force-color-profile=srgb",
            "--hide-scrollbars", "--disable-features=Translate,OptimizationHints,MediaRouter",
            f"--window-size={size[0]},{size[1]}",
        ]  # fmt: skip
        self._stderr_file = profile / "stderr.txt"
        with self._stderr_file.open("wb") as stderr:  # a file: a pipe that is not read fills up
            self._process = subprocess.Popen(
                [chromium_path(), *options, "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        self._number, self._events = 0, []  # type: int, list[dict[str, Any]]
        try:
            self._socket = _WebSocket(self._page_address(profile))
        except BaseException:
            self._end()
            raise
        self.lost = False
        try:
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
            self.resize(size)
        except BaseException:
            self.close()
            raise

    def restart(self) -> None:
        """Another browser in place of one that is lost."""
        self.close()
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser."""
        self.lost = True
        self._socket.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)

    def _fault(self, text: str) -> RuntimeError:
        """An error with what the browser wrote last."""
        code = self._process.poll()
        ended = "" if code is None else f", which ended with code {code}"
        written = self._stderr_file.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        return RuntimeError(f"{text}: {self._process.args!r}{ended}; it wrote: {written or 'nothing'}")

    def _page_address(self, profile: Path) -> str:
        port_file, end = profile / "DevToolsActivePort", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise self._fault("the browser did not start")
            try:
                port = int(port_file.read_text().split()[0])
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                    pages = [one for one in json.load(answer) if one["type"] == "page"]
                if pages:
                    return str(pages[0]["webSocketDebuggerUrl"])
            except (OSError, IndexError, ValueError):
                pass
            time.sleep(0.05)
        raise self._fault(f"the browser did not start within {PATIENCE:.0f} s")

    def resize(self, size: tuple[int, int], scale: float = 1) -> None:
        """Set the size of the page, in CSS px, and the pixels of the screen for each."""
        facts = {"width": size[0], "height": size[1], "deviceScaleFactor": scale, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **facts)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Result of a method of the protocol."""
        if self.lost:
            raise self._fault(f"{method}: the browser is lost")
        self._number += 1
        number, end = self._number, time.monotonic() + PATIENCE
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = self._receive(end, method)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _receive(self, end: float, what: str) -> dict[str, Any]:
        """The next message, until a time of the monotonic clock; a browser that sends none is lost."""
        try:
            message: dict[str, Any] = json.loads(self._socket.receive(end))
        except OSError as fault:
            self.lost = True
            raise self._fault(f"{what}: {fault or 'no answer'} (limit {PATIENCE:.0f} s)") from fault
        except BaseException:  # half a message may be read, as after an interrupt
            self.lost = True
            raise
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method, facts = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = facts["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and facts["type"] in {"error", "warning", "assert"}:
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in facts["args"]))
        elif method == "Log.entryAdded" and facts["entry"]["level"] in {"error", "warning"}:
            if (
                "GPU stall due to ReadPixels" not in facts["entry"]["text"]
            ):  # a note on speed, of tests that read pixels
                self.errors.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}".strip())
        elif method in {"Page.loadEventFired"}:
            self._events.append(message)

    def open(self, url: str) -> None:
        """Load a page, and wait until it is loaded."""
        self._events.clear()
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise RuntimeError(f"{url}: {answer['errorText']}")
        end = time.monotonic() + PATIENCE
        while not self._events:
            self._note(self._receive(end, url))

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression, awaited where it is a promise.

        Raises:
            RuntimeError: it threw.
        """
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """PNG of the page."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def press(self, key: str) -> None:
        """Press and release a key that types one character, or one with a name."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event at a point of the page, CSS px: mousePressed, mouseMoved, mouseReleased, mouseWheel."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


class _WebSocket:
    """Client of RFC 6455, for text."""

    def __init__(self, url: str) -> None:
        host, _, path = url.removeprefix("ws://").partition("/")
        name, _, port = host.partition(":")
        self._socket = socket.create_connection((name, int(port)), PATIENCE)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        request = (
            f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self._socket.sendall(request.encode())
        self._file = self._socket.makefile("rb")
        while self._file.readline().strip():
            pass

    def send(self, text: str) -> None:
        data, mask = text.encode(), secrets.token_bytes(4)
        n = len(data)
        if n < 126:
            head = bytes([0x81, 0x80 | n])
        else:
            head = struct.pack(">BBH", 0x81, 0xFE, n) if n < 1 << 16 else struct.pack(">BBQ", 0x81, 0xFF, n)
        key = int.from_bytes((mask * (n // 4 + 1))[:n], "big")
        self._socket.sendall(head + mask + (int.from_bytes(data, "big") ^ key).to_bytes(n, "big"))

    def receive(self, end: float) -> str:
        """The next text.

        Raises:
            OSError: none until a time of the monotonic clock, or the connection has ended.
        """
        parts = []
        while True:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            first, second = self._read(2)
            n = second & 0x7F
            if n == 126:
                (n,) = struct.unpack(">H", self._read(2))
            elif n == 127:
                (n,) = struct.unpack(">Q", self._read(8))
            data = self._read(n)
            if first & 0x0F == 8:
                raise ConnectionError("the browser has ended the connection")
            if first & 0x0F in {0, 1}:
                parts.append(data)
                if first & 0x80:
                    return b"".join(parts).decode()

    def _read(self, n: int) -> bytes:
        data = self._file.read(n)
        if len(data) < n:
            raise ConnectionError("the browser has ended")
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._socket.close()
