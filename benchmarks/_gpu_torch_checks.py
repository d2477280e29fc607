"""torch and the device: memory crosses by DLPack, work runs on torch's streams, gradients hold in double precision."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from _gpu_checks import HEIGHT, WIDTH, relative, scene_of
from _gpu_machine import Machine
from gscodec_bench.synthetic import synthetic_file
from torch.utils.dlpack import from_dlpack

import gscodec
from gscodec.model.rendering import LossWeights
from gscodec.render.autograd import fit_loss, render
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.gpu import CudaRasterizer


def place_of(machine: Machine) -> torch.device:
    """Device of torch's tensors: the GPU; for the host shim the CPU, whose memory the shim uses."""
    if not machine.is_gpu:
        return torch.device("cpu")
    assert torch.cuda.is_available(), "torch has no CUDA here: install a build that has"
    return torch.device(machine.runtime.name)


def arrays_cross(machine: Machine) -> str:
    """An array of either is the other's, in the same memory."""
    runtime, place = machine.runtime, place_of(machine)
    with runtime:
        tensor = torch.arange(1000, dtype=torch.float32, device=place)
        ours = runtime.xp.from_dlpack(tensor)
        tensor.add_(1)
        assert np.array_equal(runtime.download(ours), np.arange(1, 1001)), "torch's change does not show in the array"
        array = runtime.xp.arange(1000, dtype=np.float32)
        theirs = from_dlpack(array)
        assert theirs.device == place, f"the tensor is on {theirs.device}"
        theirs.mul_(2)
        assert np.array_equal(runtime.download(array), 2 * np.arange(1000)), "torch's change does not show in its array"
    with gscodec.open(synthetic_file(40, 56, 30), device=machine.device) as image:
        picture = from_dlpack(image.render_device())
        assert picture.device == place, f"the picture is on {picture.device}"
        assert np.array_equal(picture.cpu().numpy(), image.render()), "torch sees another picture"
        out = torch.zeros_like(picture)
        assert image.render(out=out) is out
        assert torch.equal(out, picture), "a tensor to write to gets another picture"
    return f"both ways, and a picture of {picture.dtype} on {place}"


def streams(machine: Machine) -> str:
    """Image, loss and gradients are the CPU's, on torch's default stream and in the midst of work on another."""
    place, weights = place_of(machine), LossWeights(l1=1.0, ssim=0.1)
    gaussians, grid = scene_of(60, 3)
    values = gaussians.means, gaussians.inv_scales, gaussians.rotations, gaussians.features
    grad = torch.from_numpy(np.random.default_rng(3).standard_normal((HEIGHT, WIDTH, 3)).astype(np.float32))

    def all_of(engine: Any, device: torch.device, stream: Any) -> list[Any]:
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            # What comes after waits for this in the same stream only.
            late = torch.ones(4096 if device.type == "cuda" else 4, device=device).diag()
            for _ in range(20 if stream is not None else 1):
                late = late @ late
            leaves: Any = [torch.tensor(v, dtype=torch.float32, device=device) * late[0, 0] for v in values]
            for leaf in leaves:
                leaf.requires_grad_()
            means, inv_scales, rotations, features = leaves
            image = render(means, inv_scales, rotations, features, grid, engine)
            (image * grad.to(device)).sum().backward()  # type: ignore[no-untyped-call]
            target = torch.zeros(3, HEIGHT, WIDTH, device=device)
            loss, _ = fit_loss(means, inv_scales, rotations, features, grid, target, weights, engine)
            loss.backward()  # type: ignore[no-untyped-call]
            return [part.detach().cpu().numpy() for part in (image, loss, *(leaf.grad for leaf in leaves))]

    expected = all_of(CpuRasterizer(), torch.device("cpu"), None)
    ways = (None, torch.cuda.Stream(place)) if machine.is_gpu else (None,)  # type: ignore[no-untyped-call]
    worst = 0.0
    for stream in ways:
        found = all_of(CudaRasterizer(machine.runtime), place, stream)
        worst = max(worst, *(relative(a, b) for a, b in zip(found, expected, strict=True)))
    assert worst < 1e-3, f"off by {worst:.1e}"
    return f"{len(ways)} streams, within {worst:.1e}"


def gradients(machine: Machine) -> str:
    """The autograd function against finite differences, in double precision."""
    place = place_of(machine)
    n, side = (5, 18) if machine.is_gpu else (2, 6)  # a backward pass for each sample of the picture
    gaussians, grid = scene_of(n, 3)
    small, exact = replace(grid, height=side - 1, width=side, top_k=32), CudaRasterizer(machine.runtime, np.float64)
    rng = np.random.default_rng(4)
    values = rng.uniform(side / 4, 3 * side / 4, (n, 2)), rng.uniform(0.2, 0.4, (n, 2)), rng.uniform(0, 3, n)
    leaves = [torch.tensor(v, dtype=torch.float64, device=place, requires_grad=True) for v in values]
    # Features are float32 in the engine, so that only geometry can be moved by 1e-6.
    features = torch.tensor(gaussians.features, device=place)

    def rendered(means: torch.Tensor, inv_scales: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
        return render(means, inv_scales, rotations, features, small, exact)

    assert torch.autograd.gradcheck(rendered, leaves, rtol=1e-4, atol=1e-6)
    return "geometry"
