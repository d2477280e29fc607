"""A pytest plugin: the engine in the build folder $ENGINE takes the place of the installed one, for `make asan`."""

import importlib.util
import os
import sys
from pathlib import Path

(_path,) = Path(os.environ["ENGINE"]).glob("_engine*.so")
_spec = importlib.util.spec_from_file_location("gscodec._engine", _path)
assert _spec is not None
assert _spec.loader is not None
_engine = importlib.util.module_from_spec(_spec)
sys.modules["gscodec._engine"] = _engine
_spec.loader.exec_module(_engine)
