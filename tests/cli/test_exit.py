import inspect

import pytest

from gscodec import errors
from gscodec.cli import _console
from gscodec.cli.exit import ExitCode, code_of, message_of


def test_the_codes_are_the_documented_ones() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "USAGE": 1,
        "IO": 2,
        "BAD_FILE": 3,
        "RUNTIME": 4,
        "UNSUPPORTED": 5,
        "DIFFERS": 7,
        "TARGET_NOT_MET": 8,
        "PARTIAL": 9,
        "INTERRUPTED": 130,
    }


EXPECTED = {
    errors.GsCodecError: ExitCode.RUNTIME,
    errors.InvalidArgument: ExitCode.USAGE,
    errors.OutputExists: ExitCode.IO,
    errors.FileAccessError: ExitCode.IO,
    errors.BadFile: ExitCode.BAD_FILE,
    errors.Unsupported: ExitCode.UNSUPPORTED,
}


KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.GsCodecError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_the_library_has_its_code(kind: type[errors.GsCodecError]) -> None:
    nearest = next(parent for parent in kind.__mro__ if parent in EXPECTED)
    assert code_of(kind("x")) is EXPECTED[nearest]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MemoryError(), ExitCode.RUNTIME, "out of memory"),
        (FileNotFoundError(2, "No such file", "a.png"), ExitCode.IO, "a.png: No such file"),
        (OSError("plain"), ExitCode.IO, "plain"),
        (ZeroDivisionError("division by zero"), ExitCode.RUNTIME, "ZeroDivisionError: division by zero"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
        (errors.BadMagic("x.igs:\n  no signature"), ExitCode.BAD_FILE, "x.igs: no signature"),
    ],
)
def test_other_errors(error: BaseException, code: ExitCode, text: str) -> None:
    assert code_of(error) is code
    assert text in message_of(error)
    assert "\n" not in message_of(error)


def test_durations() -> None:
    assert [_console.duration(seconds) for seconds in (0.4, 42.3, 185.0)] == ["0 s", "42 s", "3 min 05 s"]
