"""`gscodec config`: shows the user's defaults."""

from typing import Annotated, Any

import typer

from gscodec.cli import _console
from gscodec.cli._config import config_path


def command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print path and defaults as JSON.")] = False,
) -> None:
    """Show the configuration file and the defaults it sets.

    The file is $XDG_CONFIG_HOME/gscodec/config.toml, or ~/.config/gscodec/config.toml; on macOS below
    ~/Library/Application Support, on Windows below %APPDATA%. GSCODEC_CONFIG names another one. It has a table for each
    command, and [all] for every command that has the option; keys are the long names of options: preset = "fast".
    """
    path = config_path()
    parent: Any = context.parent
    defaults = parent.default_map or {}
    if as_json:
        _console.emit_json({"path": str(path), "exists": path.exists(), "defaults": defaults})
        return
    _console.emit(f"{path}" if path.exists() else f"{path} (does not exist)")
    for name, values in defaults.items():
        options = {each.name: max(each.opts, key=len) for each in parent.command.commands[name].params}
        for parameter, value in values.items():
            texts = value if isinstance(value, list) else [str(value).lower() if value in (True, False) else value]
            _console.emit(f"{name} {options[parameter]} {' '.join(texts)}")
