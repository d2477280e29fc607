"""torch tensors in a runtime's memory: rendered and differentiated without copies, with the CPU engine's results."""

import numpy as np
import pytest
import torch
from host_runtime import HostRuntime

from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import Grid
from gscodec.model.rendering import LossWeights, Subset
from gscodec.render import autograd
from gscodec.render.autograd import bridge_to, fit_loss, render
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.device_bridge import DeviceBridge
from gscodec.render.gpu import CudaRasterizer
from gscodec.render.reference import ReferenceRasterizer

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
GRID = Grid(33, 41, np.array([0.2, 0.4, 0.6], np.float32), top_k=6, support_q=9.0)


def scene(n: int = 50, dtype: torch.dtype = torch.float32) -> Tensors:
    rng = np.random.default_rng(5)
    values = (
        rng.uniform(0, [GRID.width, GRID.height], (n, 2)),
        rng.uniform(0.15, 0.5, (n, 2)),
        rng.uniform(0, np.pi, n),
        rng.random((n, 3)),
    )
    means, inv_scales, rotations, features = (torch.tensor(v, dtype=dtype, requires_grad=True) for v in values)
    return means, inv_scales, rotations, features


@pytest.fixture
def bridge(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> DeviceBridge:
    """The host shim's memory is the host's: CPU tensors stand in for those of a GPU."""
    made = DeviceBridge(runtime)
    monkeypatch.setattr(autograd, "bridge_to", lambda *_: made)
    return made


@pytest.mark.usefixtures("bridge")
def test_render_and_its_gradients_are_the_cpu_engine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.from_numpy(np.random.default_rng(1).standard_normal((33, 41, 3), dtype=np.float32))
    ours = scene()
    image = render(*ours, GRID, CpuRasterizer())
    (image * weights).sum().backward()  # type: ignore[no-untyped-call]
    monkeypatch.undo()
    theirs = scene()
    expected = render(*theirs, GRID, CpuRasterizer())
    (expected * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-5)
    for tensor, other in zip(ours, theirs, strict=True):
        assert tensor.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(tensor.grad, other.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("bridge")
@pytest.mark.parametrize("weights", [LossWeights(l2=1.0), LossWeights(l1=1.0, ssim=0.1)])
def test_fit_loss_is_the_cpu_engine_s(weights: LossWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    target = torch.from_numpy(np.random.default_rng(2).random((3, 33, 41), dtype=np.float32))
    ours, theirs = scene(), scene()
    loss, mse = fit_loss(*ours, GRID, target, weights, CpuRasterizer())
    (3.0 * loss).backward()  # type: ignore[no-untyped-call]
    monkeypatch.undo()
    expected, expected_mse = fit_loss(*theirs, GRID, target, weights, CpuRasterizer())
    (3.0 * expected).backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert float(mse) == pytest.approx(float(expected_mse), rel=1e-5)
    for tensor, other in zip(ours, theirs, strict=True):
        assert tensor.grad is not None
        assert other.grad is not None
        scale = float(other.grad.abs().max())
        torch.testing.assert_close(tensor.grad, other.grad, rtol=1e-3, atol=1e-4 * scale)


def test_gradcheck_in_double(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autograd, "bridge_to", lambda *_: DeviceBridge(runtime, np.float64))
    grid = Grid(17, 18, np.zeros(3, np.float32), top_k=32)
    rng = np.random.default_rng(3)
    values = rng.uniform(4, 13, (5, 2)), rng.uniform(0.2, 0.4, (5, 2)), rng.uniform(0, 3, 5)
    leaves = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    # Features are float32 in the engine, so that only geometry can be moved by 1e-6.
    features = torch.from_numpy(rng.random((5, 3), dtype=np.float32))
    assert torch.autograd.gradcheck(
        lambda means, inv_scales, rotations: render(means, inv_scales, rotations, features, grid, CpuRasterizer()),
        leaves,
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.usefixtures("bridge")
def test_a_scene_without_gaussians_is_background() -> None:
    tensors = scene(0)
    image = render(*tensors, GRID, CpuRasterizer())
    assert torch.equal(image, torch.from_numpy(GRID.background).expand(33, 41, 3))
    image.sum().backward()  # type: ignore[no-untyped-call]
    assert tensors[0].grad is not None
    assert tensors[0].grad.shape == (0, 2)


def test_tensors_go_to_the_engine_of_their_device(runtime: HostRuntime) -> None:
    gpu = torch.device("cuda", 1)
    for engine, name in (
        (CpuRasterizer(), "cpu"),
        (ReferenceRasterizer(), "reference"),
        (CudaRasterizer(runtime), "host"),
    ):
        with pytest.raises(InvalidArgument, match=rf"cuda:1 and the engine is {name}: use get_backend\('cuda:1'\)"):
            bridge_to(engine, gpu)


def test_the_loss_on_the_host_takes_any_engine(runtime: HostRuntime) -> None:
    planes = torch.zeros(3, 33, 41)
    for weights in (LossWeights(l2=1.0), LossWeights(l1=1.0, ssim=0.1)):
        expected, expected_mse = fit_loss(*scene(), GRID, planes, weights, CpuRasterizer())
        for engine in (ReferenceRasterizer(), CudaRasterizer(runtime)):
            tensors = scene()
            loss, mse = fit_loss(*tensors, GRID, planes, weights, engine)
            loss.backward()  # type: ignore[no-untyped-call]
            assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
            assert mse.item() == pytest.approx(expected_mse.item(), rel=1e-4)
            assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in tensors)
    with pytest.raises(InvalidArgument, match="does not support subsets"):
        fit_loss(*scene(), GRID, planes, LossWeights(l2=1.0), ReferenceRasterizer(), Subset(2))


@pytest.mark.usefixtures("bridge")
def test_a_target_of_another_shape_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="target_planes"):
        fit_loss(*scene(), GRID, torch.zeros(3, 33, 40), LossWeights(l2=1.0), CpuRasterizer())
