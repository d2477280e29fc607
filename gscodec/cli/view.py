"""`gscodec view`: shows files in the browser."""

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
            import webbrowser

            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            _console.say("stopped")
