"""`gscodec view`: shows files in the browser."""

import os
import sys
import threading
from typing import Annotated

import typer

from gscodec.cli import _console
from gscodec.cli._limits import Timeout, limits_of


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="An .igs file, a URL, or a folder of .igs files.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port of this machine; 0 takes one that is free.")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    timeout: Timeout = None,
) -> None:
    """Show files in the browser.

    Prints the address of the page, which only this machine can open, and serves it until Ctrl-C. The page reads the
    parts of a file that it shows. Keys: ? lists them.
    """
    from gscodec.viewer.server import ViewerServer, files_of

    with ViewerServer(files_of(source, limits_of(timeout=timeout)), port) as server:
        if len(server.served) == 1:
            server.served[0].open()  # a missing file is an error here, not in the page
        _console.emit(server.url)
        _console.flush_stdout()
        if browser:
            _show(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            _console.say("stopped")


def _show(url: str) -> None:
    """Open a page in the browser, beside the server: some browsers return when they are closed.

    Without a screen Python would take a browser of the terminal, which shows no pictures and keeps the terminal.
    """
    import webbrowser

    has_screen = sys.platform in {"win32", "darwin"} or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if has_screen:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    else:
        _console.say("no screen to open a browser on: open the address in one that reaches this machine")
