"""Every way into the device once, against the oracle, the CPU engine or itself; gpu_smoke.py runs them.

A check takes the machine, returns what is worth a line, and raises AssertionError, or whatever comes, where it fails.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from _gpu_cases import Sizes, picture, trainee_of
from _gpu_machine import Machine

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.cuda.device import open_runtime
from gscodec.cuda.runtime import Recorded
from gscodec.cuda.scenes import Renderer, upload_gaussians
from gscodec.cuda.unpacking import unpack_pages
from gscodec.errors import BackendUnavailable
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import LossWeights
from gscodec.render.gpu import CudaRasterizer
from gscodec.render.reference import ReferenceRasterizer

Check = Callable[[Machine], str]

HEIGHT: Final = 61
WIDTH: Final = 83
"""Size of pictures that the oracle renders: not a multiple of a tile, and small, because the oracle is slow."""

PROFILES: Final = ("f16", "packed", "coded")


@dataclass(frozen=True)
class Amount:
    """How much a check does that has no oracle: the host shim takes a thousand times as long as a GPU."""

    side: int
    gaussians: int
    steps: int

    @staticmethod
    def on(machine: Machine) -> "Amount":
        """What takes a second or two there."""
        return Amount(256, 400, 60) if machine.is_gpu else Amount(32, 20, 4)


def scene_of(n: int, channels: int, **grid: Any) -> tuple[GaussianSet, Grid]:
    """Gaussians in and around a picture, of widths from one pixel to seven."""
    rng = np.random.default_rng(0)
    gaussians = GaussianSet(
        rng.uniform(-3, [WIDTH + 3, HEIGHT + 3], (n, 2)),
        1 / np.exp(rng.uniform(0, 2, (n, 2))),
        rng.uniform(0, np.pi, n),
        rng.random((n, channels), dtype=np.float32),
    )
    return gaussians, Grid(HEIGHT, WIDTH, rng.random(channels, dtype=np.float32), support_q=9.0, **grid)


def relative(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Length of the difference over that of what is expected."""
    expected = np.asarray(expected, np.float64)
    return float(np.linalg.norm(found - expected)) / max(float(np.linalg.norm(expected)), 1e-300)


def opens(machine: Machine) -> str:
    """A name, and bytes there and back."""
    values = np.random.default_rng(1).integers(0, 256, 1 << 16, np.uint8)
    assert np.array_equal(machine.runtime.download(machine.runtime.upload(values)), values), "bytes change on the way"
    return f"{machine.name}, {machine.runtime.name}, driver for CUDA {machine.driver}"


def refuses_others(_: Machine) -> str:
    """A device that is not there is refused in one line."""
    for use in (open_runtime, lambda name: gscodec.encode(np.zeros((8, 8, 3), np.uint8), gaussians=4, device=name)):
        message = ""
        try:
            use("cuda:63")
        except BackendUnavailable as error:
            message = str(error)
        assert message, "cuda:63 was opened"
        assert "\n" not in message, f"more than a line: {message}"
    return message


def parity(channels: int, real: type[np.floating[Any]] = np.float32) -> Check:
    """The check that lists, picture, samples and gradients are the oracle's."""

    def check(machine: Machine) -> str:
        gaussians, grid = scene_of(150, channels)
        engine, oracle = CudaRasterizer(machine.runtime, real), ReferenceRasterizer()
        expected_lists, lists = oracle.bin(gaussians, grid), engine.bin(gaussians, grid)
        assert np.array_equal(lists.offsets, expected_lists.offsets), "tile lists have other lengths"
        assert np.array_equal(lists.indices, expected_lists.indices), "tile lists hold others"
        whole = Window.whole(grid)
        image, expected = engine.forward(gaussians, grid, lists, whole), oracle.forward(gaussians, grid, lists, whole)
        off = np.abs(image - expected).max(axis=2)
        # Where the K-th and the next Gaussian are equally far, rounding decides.
        assert np.median(off) < 1e-6, f"the picture is off by {np.median(off):.1e}"
        assert np.mean(off > 1e-5) < 0.005, f"{np.mean(off > 1e-5):.1%} of the pixels are off, by {off.max():.1e}"
        if real is np.float32:
            y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
            points = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1)
            samples = engine.sample(gaussians, grid, lists, points).reshape(image.shape)
            assert np.array_equal(samples, image), "a point is not its pixel"
        grad = np.random.default_rng(1).standard_normal(image.shape).astype(np.float32)
        found, wanted = (by.backward(gaussians, grid, lists, grad) for by in (engine, oracle))
        names = ("means", "inv_scales", "rotations", "features")
        errors = {name: relative(getattr(found, name), getattr(wanted, name)) for name in names}
        limit = 2e-3 if real is np.float32 else 1e-5
        assert max(errors.values()) < limit, f"gradients are off: {errors}"
        return f"picture within {off.max():.1e}, gradients within {max(errors.values()):.1e}"

    return check


def losses(machine: Machine) -> str:
    """Loss and its gradient are the oracle's, and weights of one change no bit."""
    rng = np.random.default_rng(2)
    target = rng.random((HEIGHT, WIDTH, 3), dtype=np.float32)
    image = np.asarray(target + 0.05 * rng.standard_normal(target.shape), np.float32)
    worst = 0.0
    for weights in (LossWeights(l1=1.0), LossWeights(l2=1.0), LossWeights(l1=1.0, ssim=0.1)):
        grads = []
        for each in (None, np.ones((HEIGHT, WIDTH), np.float32)):
            value, grad = CudaRasterizer(machine.runtime).loss(image, target, weights, each)
            wanted, wanted_grad = ReferenceRasterizer().loss(image, target, weights, each)
            worst = max(worst, relative(grad, wanted_grad))
            assert abs(value - wanted) < 1e-5, f"{weights}: {value}, not {wanted}"
            assert worst < 1e-4, f"{weights}: its gradient is off by {worst:.1e}"
            grads.append(grad)
        assert np.array_equal(grads[0], grads[1]), f"{weights}: weights of one change the gradient"
    return f"gradients within {worst:.1e}"


def repeats(machine: Machine) -> str:
    """A recorded render is a graph, and gives the same bytes each time."""
    runtime, (gaussians, grid) = machine.runtime, scene_of(150, 3)
    with recorded(machine) as made, runtime:
        out = runtime.xp.zeros((HEIGHT, WIDTH, 3), np.float32)
        again = Renderer(runtime, upload_gaussians(runtime, gaussians), grid, Window.whole(grid), out)
        pictures = []
        for _ in range(4):
            out.fill(7)
            again.render()
            pictures.append(runtime.download(out).tobytes())
    assert len(set(pictures)) == 1, "renders of one scene differ"
    return graphs_of(made)


def training(preset: str) -> Check:
    """The check that a step is one graph and lowers the error."""

    def check(machine: Machine) -> str:
        side, count, steps = (512, 2000, 120) if machine.is_gpu else (40, 20, 6)
        sizes = Sizes.of_steps(side, count, warm_up=steps // 2, steps=steps // 2)
        target = np.asarray(picture(side) / np.float32(255), np.float32)
        trainee, decided, _ = trainee_of(machine.runtime, target, preset, count, sizes)
        list(trainee.run(decided[: sizes.warm_up]))
        first, began = trainee.mse, time.perf_counter()
        list(trainee.run(decided[sizes.warm_up :]))
        step_ms = 1000 * (time.perf_counter() - began) / sizes.steps
        graph = trainee._steps.graph
        assert graph is not None, "the step was not recorded"
        assert graph.is_graph, "no graph was made of the step: its kernels are launched one by one"
        assert trainee.mse < first, f"the error rises from {first:.3e} to {trainee.mse:.3e}"
        return f"a graph, {step_ms:.3f} ms a step, mse {first:.2e} -> {trainee.mse:.2e}"

    return check


def whole_encode(machine: Machine) -> str:
    """A default encode: all that it records are graphs, fine-tuning included, and the file is as good as the CPU's."""
    amount = Amount.on(machine)
    source = picture(amount.side)
    settings: dict[str, Any] = {"gaussians": amount.gaussians, "steps": 5 * amount.steps}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.igs"
        with recorded(machine) as made, transfers(machine) as moved:
            result = gscodec.encode(source, path, device=machine.device, **settings)
        assert path.read_bytes() == result.data, "the file is not what was returned"
    assert result.device != "cpu", "the CPU made it"
    expected = gscodec.encode(source, device="cpu", **settings)
    with gscodec.open(result.data, device="cpu") as image:
        decoded = psnr_of(image.render(), source)
    assert abs(decoded - result.psnr) < 0.05, f"{result.psnr:.2f} dB are claimed, the file has {decoded:.2f}"
    limit = 0.3 if machine.is_gpu else 2.0  # after a handful of steps the two are still apart
    assert result.psnr > expected.psnr - limit, f"{result.psnr:.2f} dB, the CPU has {expected.psnr:.2f}"
    text = f"{result.profile}, {result.psnr:.2f} dB beside {expected.psnr:.2f}, {result.seconds:.2f} s; {moved.text()}"
    return f"{text}; {graphs_of(made)}"


def files(machine: Machine) -> str:
    """What either makes, the other shows with at most a code value of difference."""
    amount, results = Amount.on(machine), []
    source = picture(amount.side)
    for profile in PROFILES:
        for made_on, shown_on in (("cpu", machine.device), (machine.device, "cpu")):
            result = gscodec.encode(
                source, gaussians=amount.gaussians, preset="fast", steps=amount.steps, profile=profile, device=made_on
            )
            with gscodec.open(result.data, device=shown_on) as a, gscodec.open(result.data, device=made_on) as b:
                off = np.abs(a.render().astype(int) - b.render()).max()
            assert off <= 1, f"{profile} by {made_on} on {shown_on} is off by {off} code values"
        results.append(f"{profile} {result.psnr:.2f} dB")
    return ", ".join(results)


def unpacks(machine: Machine) -> str:
    """Pages become on the device the Gaussians that the host unpacks."""
    amount, results = Amount.on(machine), []
    for profile in PROFILES:
        data = gscodec.encode(
            picture(amount.side), gaussians=amount.gaussians, preset="fast", steps=1, profile=profile, device="cpu"
        ).data
        with IgsReader(data) as reader:
            pages = reader.stored_pages()
            found, expected = unpack_pages(machine.runtime, pages), pages.unpack()
        assert found is not None, f"{profile} is left to the host"
        for name in ("means", "inv_scales", "rotations"):
            ours, theirs = machine.runtime.download(getattr(found, name)), getattr(expected, name)
            assert np.array_equal(ours, theirs), f"{profile}: {name} differ"
        off = np.abs(machine.runtime.download(found.features) - expected.features).max()
        assert off < 1e-6, f"{profile}: features are off by {off:.1e}"
        results.append(f"{profile} {len(expected)}")
    return ", ".join(results) + " Gaussians"


def parts(machine: Machine) -> str:
    """Regions, other sizes, levels and points are those of the CPU, and stay on the device if asked."""
    amount, runtime = Amount.on(machine), machine.runtime
    side = amount.side
    data = gscodec.encode(
        picture(side), gaussians=amount.gaussians, preset="fast", steps=amount.steps, lods=2, device="cpu"
    ).data
    requests: tuple[dict[str, Any], ...] = (
        {"region": (side // 5, side // 3, side // 2, side // 4)},
        {"size": (2 * side - 1, 2 * side + 3)},
        {"size": (side // 2, side // 3)},
        {"region": (3, 2, side // 2, side // 2), "size": (side, side // 4)},
        {"lod": 1},
    )
    with gscodec.open(data, device=machine.device) as ours, gscodec.open(data, device="cpu") as theirs:
        for request in requests:
            found = ours.render(**request)
            off = np.abs(found.astype(int) - theirs.render(**request)).max()
            assert off <= 1, f"{request} is off by {off} code values"
            with runtime:
                there = runtime.xp.empty(found.shape, found.dtype)
            assert ours.render(**request, out=there) is there
            for kept in (there, ours.render_device(**request)):
                assert np.array_equal(runtime.download(kept), found), f"{request} is another on the device"
        points = np.random.default_rng(3).uniform(0, side, (1000, 2))
        values = ours.sample(points)
        with runtime:
            there = runtime.xp.empty(values.shape, np.float32)
        ours.sample(points, out=there)
        assert np.array_equal(runtime.download(there), values), "points are others on the device"
        off = np.abs(values - theirs.sample(points)).max(axis=1)
    assert np.median(off) < 1e-5, f"points are off by {np.median(off):.1e}"
    assert np.mean(off > 1e-3) < 0.01, f"{np.mean(off > 1e-3):.1%} of the points are off"
    return f"{len(requests)} requests, {len(points)} points within {off.max():.1e}"


def psnr_of(found: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of codes of 8 bits."""
    mse = float(np.square(found.astype(np.float64) - expected).mean())
    return float(10 * np.log10(255**2 / max(mse, 1e-9)))


class Counted:
    """A recorded step that counts its repeats."""

    def __init__(self, step: Recorded) -> None:
        self._step = step
        self.calls = 0

    @property
    def is_graph(self) -> bool:
        """See `Recorded.is_graph`."""
        return self._step.is_graph

    def __call__(self) -> None:
        """See `Recorded`."""
        self.calls += 1
        self._step()


@contextmanager
def recorded(machine: Machine) -> Iterator[list[Counted]]:
    """All steps that are recorded meanwhile."""
    made: list[Counted] = []
    record = machine.runtime.record

    def counted(step: Callable[[], None]) -> Counted:
        made.append(Counted(record(step)))
        return made[-1]

    with patch.object(machine.runtime, "record", counted):
        yield made


def graphs_of(made: list[Counted]) -> str:
    """How many graphs, and repeats of them; a step that is repeated and is none is a fault."""
    again = [step for step in made if step.calls > 1]
    assert again, "nothing was recorded and repeated"
    assert all(step.is_graph for step in again), "no graph was made of a step: its kernels are launched one by one"
    return f"{len(again)} graphs, {sum(step.calls for step in again)} repeats"


@dataclass
class Transfers:
    """Bytes that cross the bus through the runtime."""

    up: int = 0
    down: int = 0
    largest_down: int = 0

    def text(self) -> str:
        """In thousands of bytes."""
        return (
            f"{self.up / 1e3:.0f} kB up, {self.down / 1e3:.0f} kB down, at most {self.largest_down / 1e3:.0f} at once"
        )


@contextmanager
def transfers(machine: Machine) -> Iterator[Transfers]:
    """What crosses meanwhile."""
    moved = Transfers()
    upload, download = machine.runtime.upload, machine.runtime.download

    def up(array: npt.NDArray[Any]) -> Any:
        moved.up += array.nbytes
        return upload(array)

    def down(array: Any) -> npt.NDArray[Any]:
        found = download(array)
        moved.down += found.nbytes
        moved.largest_down = max(moved.largest_down, found.nbytes)
        return found

    with patch.object(machine.runtime, "upload", up), patch.object(machine.runtime, "download", down):
        yield moved
