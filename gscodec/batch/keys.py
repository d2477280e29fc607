"""Settings of batch items, and the key that says whether a file still is what it would be encoded to."""

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
"""Names in manifests of settings that Python calls otherwise."""

_NOT_HERE: Final = {"block", "time_budget", *_ALIASES.values()}
"""Settings that no item has: files in blocks are encoded alone, and a time budget gives no file twice."""


def changed(settings: EncodeSettings, values: Mapping[str, Any], where: str) -> EncodeSettings:
    """Settings with those of a manifest, a rule, an item or a command line on top.

    Args:
        where: place that they come from, for messages.

    Raises:
        InvalidArgument: a key that is no setting of an item, a wrong value, or two targets.
    """
    if values.get("importance", "auto") != "auto":
        raise InvalidArgument(
            f"{where}: importance {values['importance']!r}: in a batch only auto, which finds salient areas itself"
        )
    odd = [name for name in values if name in _NOT_HERE]
    if odd:
        raise InvalidArgument(f"{where}: {odd[0]!r} is not a setting of batch items")
    return settings.changed({_ALIASES.get(name, name): value for name, value in values.items()}, where)


def key_of(stack: ImageStack, settings: EncodeSettings) -> str:
    """What a file is known by: decoded samples and what they are, settings, format and encoder; no path, no time.

    The bare name of the source counts where the file records it.
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
