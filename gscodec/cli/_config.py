"""The user's configuration file: defaults of options, by command.

    [all]               # of every command that has the option
    threads = 4

    [encode]
    preset = "fast"
    quality = 75

Keys are the long names of options without dashes. An option on the command line replaces its default, and any target
replaces a default target. `--no-config` leaves the file out.
"""

import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from gscodec.errors import InvalidArgument

ENVIRONMENT: Final = "GSCODEC_CONFIG"
"""Variable with the path of another file."""

EVERYWHERE: Final = "all"
"""Table for all commands."""

_NO_DEFAULT: Final = frozenset({"--output", "--help"})
"""Options that name what a single call is about."""

Defaults = dict[str, dict[str, Any]]
"""Values by command and parameter, as click's default_map."""


def config_path() -> Path:
    """The path of the configuration file, whether it exists or not."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or _home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = _home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or _home() / ".config")
    return folder / "gscodec" / "config.toml"


def _home() -> Path:
    """The user's folder; where the system has none, a path that does not exist."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("~")


def read_defaults(path: Path, commands: Mapping[str, Any]) -> Defaults:
    """Defaults from a configuration file; none if it does not exist.

    Args:
        commands: the program's commands by name.

    Raises:
        InvalidArgument: no TOML, an unknown command or option, or a value that the option does not take.
        FileAccessError: it cannot be read.
    """
    if not path.exists():
        return {}
    from gscodec.io.toml_file import read_toml

    tables = read_toml(path)
    defaults: Defaults = {name: {} for name in commands}
    for table in sorted(tables, key=lambda name: name != EVERYWHERE):  # so that a command's own table comes later
        values, where = tables[table], f"{path}: [{table}]"
        if not isinstance(values, dict):
            raise InvalidArgument(f"{path}: {table} stands outside a table; write [encode] or [all] above it")
        if table != EVERYWHERE and table not in commands:
            raise InvalidArgument(f"{where} is not a command; there are {', '.join([EVERYWHERE, *commands])}")
        chosen = list(commands) if table == EVERYWHERE else [table]
        for key, value in values.items():
            takers = {name: _option(commands[name], key) for name in chosen}
            if not any(takers.values()):
                raise InvalidArgument(
                    f"{where}: {key} is not an option of {'any command' if len(chosen) > 1 else table}"
                )
            for name, option in takers.items():
                if option is not None:
                    defaults[name][option.name] = _checked(commands[name], option, value, f"{where}: {key}")
    return {name: values for name, values in defaults.items() if values}


def from_config(context: typer.Context, name: str) -> bool:
    """Whether the value of a parameter is a default of the configuration file."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT_MAP"


def drop_replaced_targets(context: typer.Context, targets: Collection[str]) -> None:
    """Set default targets of the configuration file to None where the command line has another target."""
    stated = [name for name in targets if context.params[name] is not None]
    if any(not from_config(context, name) for name in stated):
        context.params.update({name: None for name in stated if from_config(context, name)})


def _option(command: Any, key: str) -> Any:
    """The option with this long name, or None."""
    name = f"--{key.replace('_', '-')}"
    options = (each for each in command.params if each.param_type_name == "option" and name not in _NO_DEFAULT)
    return next((each for each in options if name in each.opts), None)


def _checked(command: Any, option: Any, value: Any, where: str) -> Any:
    """The value in the form in which the command line would have it.

    Raises:
        InvalidArgument: the option does not take it.
    """
    if option.is_flag != isinstance(value, bool):
        raise InvalidArgument(f"{where} {'is true or false' if option.is_flag else 'is not true or false'}")
    if option.is_flag:
        return value
    if isinstance(value, list) != bool(option.multiple):
        raise InvalidArgument(f"{where} {'is a list' if option.multiple else 'is a single value'}")
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) for part in parts):
        raise InvalidArgument(f"{where}: {value!r} is neither a text nor a number")
    texts = [str(part) for part in parts]
    try:
        context = typer.Context(command, resilient_parsing=True)
        option.type_cast_value(context, texts if option.multiple else texts[0])
    except typer.BadParameter as fault:
        raise InvalidArgument(f"{where}: {fault.message}") from fault
    return texts if option.multiple else texts[0]
