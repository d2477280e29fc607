"""Runs a function right after another package is imported, or at once where it has been."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Final

_waiting: Final[dict[str, Callable[[], object]]] = {}
"""Functions by the name of the module that they wait for."""


def after_import(module: str, work: Callable[[], object]) -> None:
    """Call `work` after `module` has been imported, now or later; never import it for that."""
    if module in sys.modules:
        work()
        return
    _waiting[module] = work
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


class _Finder(MetaPathFinder):
    """Finds the modules of `_waiting` as Python does otherwise, and has their loaders call what waits."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        work = _waiting.pop(fullname, None)
        if work is None:
            return None
        spec = find_spec(fullname)  # by the other finders: nothing waits for the name any more
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, work)
        return spec


class _Loader(Loader):
    """Loads a module with its own loader, which the module keeps, and then calls a function."""

    def __init__(self, own: Loader, work: Callable[[], object]) -> None:
        self._own, self._work = own, work

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._own
        self._own.exec_module(module)
        self._work()


_FINDER: Final = _Finder()
