"""Settings of batch items, and the content key that tells whether an existing file is up to date."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import InvalidArgument
from gscodec.image.stack import ImageStack

KEY_DIGITS: Final = 32
"""Hexadecimal digits of a key: 128 bits of SHA-256."""

_ALIASES: Final = {"stack": "as_stack"}
"""Manifest names of settings whose Python name differs."""

_NOT_HERE: Final = {"block", "time_budget", *_ALIASES.values()}
"""Settings not allowed for items: files in blocks are encoded alone, and a time budget's results are not repeatable."""


def changed(settings: EncodeSettings, values: Mapping[str, Any], where: str) -> EncodeSettings:
    """Settings overridden by those of a manifest, a rule, an item or a command line.

    Args:
        where: origin of the values, for messages.

    Raises:
        InvalidArgument: an unknown key, an invalid value, or two targets.
    """
    if values.get("importance", "auto") != "auto":
        raise InvalidArgument(
            f"{where}: importance {values['importance']!r}: a batch accepts only auto, which detects salient areas"
        )
    odd = [name for name in values if name in _NOT_HERE]
    if odd:
        raise InvalidArgument(f"{where}: {odd[0]!r} is not a setting of batch items")
    return settings.changed({_ALIASES.get(name, name): value for name, value in values.items()}, where)


def key_of(stack: ImageStack, settings: EncodeSettings) -> str:
    """Content key of a file: hash of samples, channel groups, settings, format and encoder; no path, no time.

    The bare file name of the source is included if the file records it.
    """
    from gscodec.encoding.provenance import recorded_name

    digest = hashlib.sha256()
    head = {
        "settings": settings.fingerprint(),
        "shape": list(stack.samples.shape),
        "groups": [asdict(group) for group in stack.groups],
        "source": recorded_name(stack, None),
        "files": [asdict(entry) for entry in stack.files],
        "metadata": hashlib.sha256(repr(stack.metadata).encode()).hexdigest(),
        "icc": hashlib.sha256(stack.icc or b"").hexdigest(),
    }
    head["weights"] = list(stack.weights)
    if stack.visible is not None:
        head["visible"] = hashlib.sha256(np.packbits(stack.visible).tobytes()).hexdigest()
    digest.update(json.dumps(head, sort_keys=True, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))
    digest.update(np.ascontiguousarray(stack.samples).tobytes())
    return digest.hexdigest()[:KEY_DIGITS]
