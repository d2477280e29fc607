"""What gscodec/native/bindings binds. Arguments are checked by render/cpu.py, not here."""

import numpy as np
import numpy.typing as npt

TILE_SIZE: int

_F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]
_I32 = npt.NDArray[np.int32]
_I64 = npt.NDArray[np.int64]
_Rect = tuple[int, int, int, int]
_Grads = tuple[_F64, _F64, _F64, _F32]

class Scene:
    def __init__(
        self,
        means: _F64,
        inv_scales: _F64,
        rotations: _F64,
        features: _F32,
        background: _F32,
        offsets: _I64,
        indices: _I32,
    ) -> None: ...

def available_isas() -> list[str]: ...
def take_thread_limits() -> list[int]: ...
def bin(  # noqa: A001  # the interface's own word
    means: _F64, inv_scales: _F64, rotations: _F64, rect: _Rect, support_q: float, max_pairs: int, threads: int
) -> tuple[_I64, _I32]: ...
def render(
    scene: Scene,
    shape: tuple[int, int],
    rect: _Rect,
    top_k: int,
    x: float,
    y: float,
    step_x: float,
    step_y: float,
    height: int,
    width: int,
    dtype: str,
    isa: str,
    threads: int,
) -> npt.NDArray[np.generic]: ...
def sample(
    scene: Scene, shape: tuple[int, int], rect: _Rect, top_k: int, points: _F64, isa: str, threads: int
) -> _F32: ...
def backward(
    scene: Scene, shape: tuple[int, int], rect: _Rect, top_k: int, grad_planes: _F32, isa: str, threads: int
) -> _Grads: ...
def removal_costs(
    scene: Scene, shape: tuple[int, int], rect: _Rect, top_k: int, importance: _F32 | None, isa: str, threads: int
) -> _F64: ...
def loss(
    image: _F32, target: _F32, importance: _F32 | None, weights: _F32, isa: str, threads: int
) -> tuple[float, float, _F32]: ...
def error_peaks(
    errors: _F32,
    boxes: _I32,
    factors: _F32,
    allowed: npt.NDArray[np.bool_] | None,
    n_most: int,
    threads: int,
) -> tuple[_I64, _I32]: ...
def keep_apart(
    pixels: _I64, indices: _I32, height: int, width: int, boxes: _I32, factors: _F32, n_most: int
) -> _I64: ...
def structure_at(samples: _F32, pixels: _I64, radius: int, threads: int) -> _F64: ...

class FeatureSystem:
    def __init__(self, n: int, n_channels: int, n_planes: int) -> None: ...
    def add(
        self,
        scene: Scene,
        shape: tuple[int, int],
        rect: _Rect,
        top_k: int,
        target: _F32,
        importance: _F32 | None,
        weight: float,
        mean_weight: float,
        threads: int,
    ) -> None: ...
    def solve(self, features: _F64, n_free: int, damping: float, iterations: int, threads: int) -> _F64: ...
    def round(
        self,
        features: _F64,
        codes: _I32,
        order: _I32,
        transform: _F64,
        steps: _F64,
        offsets: _F64,
        lows: _I32,
        highs: _I32,
        bits: _F32 | None,
        price: float,
        sweeps: int,
    ) -> _I32: ...
    def error(self, features: _F64) -> float: ...

class FitTarget:
    def __init__(self, samples: _F32, importance: _F32 | None) -> None: ...

class StepScratch: ...

def fit_step(
    scene: Scene,
    shape: tuple[int, int],
    rect: _Rect,
    top_k: int,
    target: _F32,
    importance: _F32 | None,
    weights: _F32,
    subset: tuple[int, int, int],
    scratch: StepScratch,
    isa: str,
    threads: int,
) -> tuple[float, float, _Grads]: ...
def fit_rows(
    values: _F32,
    inverse: _F32,
    beside: tuple[_F64, _F64, _F64, _F32] | None,
    background: _F32,
    shape: tuple[int, int],
    top_k: int,
    support_q: float,
    max_pairs: int,
    target: FitTarget,
    weights: _F32,
    subset: tuple[int, int, int],
    scratch: StepScratch,
    isa: str,
    threads: int,
) -> tuple[float, float, _F32]: ...
def farthest_owned(scene: Scene, shape: tuple[int, int], rect: _Rect, top_k: int, threads: int) -> _F32: ...
def adam_step(
    values: _F32,
    mean: _F32,
    square: _F32,
    steps: _F32,
    units: _F32,
    grad: _F32,
    columns: _F32,
    constants: _F64,
    grad_scale: float,
    factor: float,
    threads: int,
) -> None: ...
def add_grain(
    values: npt.NDArray[np.float32],
    settings: tuple[int, int, int, int],
    factors: npt.NDArray[np.float32],
    column: int,
    row: int,
    threads: int,
) -> None: ...
def add_grain_at(
    values: npt.NDArray[np.float32],
    settings: tuple[int, int, int, int],
    factors: npt.NDArray[np.float32],
    columns: npt.NDArray[np.uint32],
    rows: npt.NDArray[np.uint32],
    threads: int,
) -> None: ...

class CodedLattice:
    def __init__(
        self,
        scale_step: int,
        position_offset: int,
        rotation_from: npt.NDArray[np.uint8],
        counts: npt.NDArray[np.uint16],
        table_ends: npt.NDArray[np.int32],
        lows: npt.NDArray[np.int32],
    ) -> None: ...

def decode_pages(
    lattice: CodedLattice,
    data: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
    shapes: npt.NDArray[np.int64],
    threads: int,
) -> tuple[npt.NDArray[np.int32], int]: ...
def place_pages(
    lattice: CodedLattice, rows: npt.NDArray[np.int32], shapes: npt.NDArray[np.int64], threads: int
) -> tuple[_F64, _F64, _F64]: ...
def decode_records(
    rotation_from: npt.NDArray[np.uint8],
    lows: npt.NDArray[np.int32],
    bits: npt.NDArray[np.uint8],
    settings: tuple[int, int, int, int, int],
    data: npt.NDArray[np.uint8],
    sizes: npt.NDArray[np.int64],
    threads: int,
) -> tuple[_F64, _F64, _F64, npt.NDArray[np.int64], int]: ...
def page_order(codes: npt.NDArray[np.uint64], page_size: int) -> npt.NDArray[np.int64]: ...
def crc32c_runs(data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]: ...
def encode_pages(
    lattice: CodedLattice, rows: npt.NDArray[np.int32], shapes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]: ...

class BitEncoder:
    def __init__(self, n_streams: int) -> None: ...
    def rows(self, values: _I64, streams: _I32, is_signed: npt.NDArray[np.uint8]) -> None: ...
    def raw(self, values: _I64, n_bits: _I64) -> None: ...
    def bytes(self) -> bytes: ...

class BitDecoder:
    def __init__(self, data: bytes, n_streams: int) -> None: ...
    def rows(self, n: int, streams: _I32, is_signed: npt.NDArray[np.uint8]) -> _I64: ...
    def raw(self, n_bits: _I64) -> _I64: ...
    @property
    def at_end(self) -> bool: ...

def fit_weights(histogram: npt.NDArray[np.float64], change: float) -> npt.NDArray[np.uint8]: ...
