"""`gscodec validate`: lists every fault of an `.igs` file, numbered."""

from typing import Annotated

import typer

from gscodec.cli import _console
from gscodec.cli._limits import Timeout, limits_of
from gscodec.cli._paths import igs_source
from gscodec.cli.exit import ExitCode
from gscodec.material.outputs import display_name


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file, a path or URL; - reads stdin.")],
    timeout: Timeout = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List all faults of an .igs file.

    Checks the file against the whole specification. Exit code 3 if there is an error; warnings do not count.
    """
    from gscodec.container.validate import validate

    issues = validate(igs_source(source), display_name(source), limits_of(timeout=timeout))
    valid = all(issue.severity != "error" for issue in issues)
    if as_json:
        rows = [
            {"number": issue.number, "severity": issue.severity, "message": issue.message, "where": issue.where}
            for issue in issues
        ]
        _console.emit_json({"file": display_name(source), "valid": valid, "issues": rows})
    else:
        for issue in issues:
            _console.emit(f"{issue.number:3d}. {issue.severity} in {issue.where}: {issue.message}")
        if valid:
            _console.emit(f"{display_name(source)}: valid")
    if not valid:
        raise typer.Exit(ExitCode.BAD_FILE)
