import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.errors import BadImage, InvalidArgument, SourceWarning

HEIGHT, WIDTH = 32, 48


class Model(torch.nn.Module):
    """Parameters as those of the authors' implementation, by name and shape."""

    def __init__(self, xy: Any, scale: Any, rot: Any, feat: Any) -> None:
        super().__init__()
        self.xy, self.scale, self.rot, self.feat = (
            torch.nn.Parameter(torch.tensor(np.ascontiguousarray(each), dtype=torch.float32))
            for each in (xy, scale, rot, feat)
        )
        self.vis_feat = torch.nn.Parameter(torch.rand_like(self.feat), requires_grad=False)


def saved(state: Any, **others: Any) -> bytes:
    file = io.BytesIO()
    torch.save({"step": 1, "psnr": 30.0, "bytes": 16.0, "state_dict": state, **others}, file)
    return file.getvalue()


def model_of(path: Path) -> Model:
    """The model that renders what a file holds."""
    with IgsReader(path) as reader:
        gaussians = reader.read(0)
    xy = (gaussians.means - 0.5) / [WIDTH, HEIGHT]
    return Model(xy, -gaussians.inv_scales, -gaussians.rotations[:, None], gaussians.features)


def test_a_checkpoint_becomes_the_same_picture(igs: Path) -> None:
    model = model_of(igs)
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # its state has tensors as well
    data = saved(model.state_dict(), optim_state_dict=optimizer.state_dict())
    with pytest.raises(InvalidArgument, match="--size"):
        gscodec.import_gaussians(data)
    made = gscodec.import_gaussians(data, size=(HEIGHT, WIDTH))
    with gscodec.open(made.data) as image, gscodec.open(igs) as original:
        first, second = image.render().astype(int), original.render()
    assert np.abs(first - second).max() <= 1


def rendered(model: Model) -> np.ndarray:
    """The picture of a model by the rules of the authors' kernels, in float64, without tiles."""
    xy, scale, rot, feat = (each.detach().numpy().astype(np.float64) for each in list(model.parameters())[:4])
    cosine, sine = np.cos(rot[:, 0]), np.sin(rot[:, 0])
    turned = np.stack([np.stack([cosine, sine], 1), np.stack([-sine, cosine], 1)], 1)
    conics = np.einsum("nij,nj,nkj->nik", turned, scale**2, turned)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    delta = np.stack([x, y], 2)[:, :, None] - xy * [WIDTH, HEIGHT]
    weights = np.exp(-0.5 * np.einsum("hwni,nij,hwnj->hwn", delta, conics, delta))
    nearest = np.argsort(-weights, axis=2)[:, :, :10]
    chosen = np.take_along_axis(weights, nearest, 2)
    return np.asarray(np.einsum("hwk,hwkc->hwc", chosen / (chosen.sum(2, keepdims=True) + 1e-4), feat[nearest]))


def test_conventions_are_those_of_its_kernels() -> None:
    rng = np.random.default_rng(8)
    model = Model(
        rng.uniform(0.02, 0.95, (60, 2)),
        rng.uniform(0.1, 0.4, (60, 2)),
        rng.uniform(-9, 9, (60, 1)),
        rng.random((60, 3)),
    )
    made = gscodec.import_gaussians(saved(model.state_dict()), size=(HEIGHT, WIDTH))
    with gscodec.open(made.data) as image:
        error = image.render(dtype=np.float32) - rendered(model)
    assert np.sqrt((error**2).mean()) < 2e-3


def test_gaussians_without_a_width_are_left_out(igs: Path) -> None:
    state = model_of(igs).state_dict()
    state["scale"][3, 0] = 0
    with pytest.warns(SourceWarning, match="1 of 200 Gaussians have no finite width"):
        made = gscodec.import_gaussians(saved(state), size=(HEIGHT, WIDTH))
    assert made.n_gaussians == 199


def test_views_are_read_as_what_they_show(igs: Path) -> None:
    state = dict(model_of(igs).state_dict())
    plain = gscodec.import_gaussians(saved(state), size=(HEIGHT, WIDTH)).data
    state["feat"] = torch.cat([torch.zeros(1, 3), state["feat"]])[1:].T.contiguous().T
    state["xy"] = state["xy"].double()
    assert gscodec.import_gaussians(saved(state), size=(HEIGHT, WIDTH)).data == plain


class Hostile:
    """Runs a command where a pickle is trusted."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def repacked(data: bytes, change: Any) -> bytes:
    """A checkpoint with `change(name, bytes)` in place of each member."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return result.getvalue()


def test_the_pickles_of_other_protocols_are_read(igs: Path) -> None:
    state = model_of(igs).state_dict()
    file = io.BytesIO()
    torch.save({"state_dict": state}, file, pickle_protocol=4)
    assert gscodec.import_gaussians(file.getvalue(), size=(HEIGHT, WIDTH)).n_gaussians == 200


def test_hostile_checkpoints_are_refused_in_one_line(igs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = model_of(igs).state_dict()
    good = saved(state)
    pickled = zipfile.ZipFile(io.BytesIO(good)).read("archive/data.pkl")

    def with_pickle(other: bytes) -> bytes:
        return repacked(good, lambda name, data: other if name.endswith("data.pkl") else data)

    wide = dict(state)
    wide["feat"] = torch.zeros(1, 1).expand(200, 65)
    far = dict(state)
    far["feat"] = torch.zeros(1, 3).expand(1 << 40, 3)
    bad = {
        "print": saved(state, extra=Hostile()),
        "names": with_pickle(pickled.replace(b"torch._utils\n_rebuild_tensor_v2", b"torch._utils\n_rebuild_tensor_v3")),
        "no pickle": with_pickle(b"\x80\x02}q\x00."),
        "memo": with_pickle(b"\x80\x02}r\xff\xff\xff\x7f."),
        "cut pickle": with_pickle(pickled[:-30]),
        "type": with_pickle(pickled.replace(b"ctorch\nFloatStorage\n", b"X\x01\x00\x00\x00x\x85", 1)),
        "copies": with_pickle(b"\x80\x02ccollections\nOrderedDict\n((K\x01K\x02tltR."),
        "axes": with_pickle(pickled.replace(b"K\xc8K\x02\x86", b"(K\x01K\x01K\x01K\x01K\x01t", 1)),
        "long pickle": with_pickle(bytes(2 << 20)),
        "noise": with_pickle(bytes(range(256))),
        "build": with_pickle(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x05\x00\x00\x00shapeK\x01sb."),
        "bytes that are made, not read": with_pickle(b"\x80\x05\x96" + struct.pack("<Q", 1 << 33) + b"."),
        "a set": with_pickle(b"\x80\x04\x8f."),
        "a tuple of 2^200 as a key": with_pickle(b"\x80\x02)" + b"2\x86" * 200 + b"q\0}h\0K\1s."),
        "and as one of several": with_pickle(b"\x80\x02)" + b"2\x86" * 200 + b"q\0}(h\0K\1u."),
        "short values": repacked(good, lambda name, data: data[:-4] if "/data/" in name else data),
        "no values": repacked(good, lambda name, data: b"" if "/data/" in name else data),
        "missing": saved({key: value for key, value in state.items() if key != "rot"}),
        "integers": saved({**state, "feat": torch.zeros(200, 3, dtype=torch.int64)}),
        "other count": saved({**state, "rot": torch.zeros(3, 1)}),
        "flat": saved({**state, "xy": torch.zeros(200)}),
        "wide": saved(wide),
        "far": saved(far),
        "nan": saved({**state, "xy": torch.full((200, 2), torch.nan)}),
        "cut": good[: len(good) // 2],
        "list": saved([1, 2]),
        "tensor": pickle.dumps({"state_dict": {}}),
    }
    for case, data in bad.items():
        with pytest.raises((BadImage, gscodec.errors.LimitExceeded)) as caught:
            gscodec.import_gaussians(data, size=(HEIGHT, WIDTH))
        text = str(caught.value)
        assert text.startswith("(bytes): "), case
        assert "\n" not in text, case
        assert len(text) < 250, case
    assert "executed" not in capsys.readouterr().out
    gscodec.import_gaussians(good, size=(HEIGHT, WIDTH))  # nothing that came before has left a trace
