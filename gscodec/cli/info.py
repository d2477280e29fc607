"""`gscodec info`: what an `.igs` file holds."""

from typing import Annotated

import typer

from gscodec.cli import _console
from gscodec.cli._paths import display_name, igs_source


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file; - reads stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything in the file, as JSON.")] = False,
) -> None:
    """Show what an .igs file holds.

    Picture, channels, levels of detail with their bytes and rates, metadata.
    """
    from gscodec.format import IgsReader, describe

    facts = describe(IgsReader(igs_source(source), name=display_name(source)))
    if as_json:
        _console.emit_json(facts)
