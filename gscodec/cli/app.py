"""The `gscodec` program: its commands, and the conversion of errors to exit codes.

Start-up time is part of the interface (`gscodec --help` takes a fifth of a second), so this module and the commands'
modules import nothing large: NumPy, Pillow, rich and the engine are imported by the command that needs them.
"""

import platform
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gscodec.cli import (
    _console,
    batch,
    compare,
    config,
    decode,
    encode,
    export,
    gltf,
    import_,
    info,
    sample,
    transcode,
    validate,
    view,
)
from gscodec.cli._config import config_path, read_defaults
from gscodec.cli.exit import ExitCode, code_of, message_of
from gscodec.errors import (
    DeviceFallback,
    DeviceWarning,
    FileAccessError,
    GsCodecError,
    SourceWarning,
    TargetWarning,
    file_access_error,
)

_OUR_WARNINGS = (DeviceFallback, DeviceWarning, SourceWarning, TargetWarning)


def new_program(name: str, **options: Any) -> typer.Typer:
    """A program for `run_program`, without commands.

    Args:
        options: further arguments of `typer.Typer`.
    """
    return typer.Typer(
        name=name,
        rich_markup_mode=None,  # plain help: importing rich alone takes half of the start-up time
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


app = new_program(
    "gscodec",
    help="Image and texture codec on 2D Gaussians.",
    epilog="Exit codes: 0 ok, 1 usage, 2 I/O, 3 bad file, 4 runtime, 5 unsupported, 7 differs, 8 target not met, "
    "9 some batch items failed, 130 interrupted.",
)

for module in (encode, decode, export, import_, gltf, batch, info, validate, transcode, sample, compare, view, config):
    app.command(name=module.__name__.rpartition(".")[2].rstrip("_"))(module.command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from gscodec import __version__, _engine
        from gscodec.format.layout import VERSION

        major, minor = VERSION
        _console.emit(
            f"gscodec {__version__} (format {major}.{minor}, CPU engine {_engine.available_isas()[-1]}, "
            f"Python {platform.python_version()})"
        )
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    no_config: Annotated[
        bool, typer.Option("--no-config", help="Leave out the defaults of the configuration file.")
    ] = False,
) -> None:
    if not no_config:
        context.default_map = read_defaults(config_path(), context.command.commands)  # type: ignore[attr-defined]
    if context.invoked_subcommand is None:
        _console.say_lines(context.get_help().splitlines())
        raise typer.Exit(ExitCode.USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code. Errors are printed without traceback unless GSCODEC_DEBUG=1.

    Args:
        argv: arguments without the program's name; None means those of the process.
    """
    return run_program(app, "gscodec", argv)


def run_program(program: typer.Typer, name: str, argv: Sequence[str] | None) -> int:
    """Run a program created by `new_program`, as `main` does.

    Args:
        name: name of the program in messages.
        argv: arguments without the program's name; None means those of the process.
    """
    with _console.standard_streams():
        try:
            code = _run(program, name, argv)
            _console.flush_stdout()
            return code
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            return _report(error)


def _run(program: typer.Typer, name: str, argv: Sequence[str] | None) -> int:
    if not _console.debugging():
        import logging

        logging.lastResort = logging.NullHandler()  # libraries' log messages about damaged files
    with warnings.catch_warnings():
        if not sys.warnoptions and not _console.debugging():
            warnings.simplefilter("ignore")  # library warnings address programmers, not users
        for ours in _OUR_WARNINGS:
            warnings.simplefilter("always", ours)
        warnings.showwarning = _show_warning
        result = typer.main.get_command(program).main(
            args=None if argv is None else list(argv), prog_name=name, standalone_mode=False
        )
    return result if isinstance(result, int) else ExitCode.OK


def _show_warning(message: Warning | str, category: type[Warning], *_where: object, **_also: object) -> None:
    """Print a warning in one line on stderr, without the source line."""
    kind = "" if category in _OUR_WARNINGS else f"{category.__name__}: "
    _console.say(f"gscodec: warning: {kind}{message}")


def _report(error: BaseException) -> int:
    if isinstance(error, SystemExit):  # raised by typer after a broken pipe or shell completion
        if not isinstance(error.__context__, OSError):
            return error.code if isinstance(error.code, int) else ExitCode.OK
        error = error.__context__
        if not isinstance(error, GsCodecError):
            error = file_access_error(f"stdout: cannot be written: {error.strerror}")
    if isinstance(error, OSError) and error.filename is None and not isinstance(error, GsCodecError):
        try:
            _console.flush_stdout()
        except FileAccessError as fault:  # typer could not write
            error = fault
    if isinstance(error, typer.Abort):
        error = KeyboardInterrupt()
    describe = getattr(error, "format_message", None)  # typer's usage errors, from any version of click
    if describe is not None:
        context = getattr(error, "ctx", None)
        path = "gscodec" if context is None else context.command_path
        text = " ".join(str(describe()).split()).rstrip(".")
        _console.say_error(f"{text} (see {path} --help)")
        return ExitCode.USAGE
    if _console.debugging():
        import traceback

        _console.say_lines("".join(traceback.format_exception(error)).splitlines())
    _console.say_error(message_of(error))
    return code_of(error)
