"""Engine that `auto` chooses for a decode if there is a GPU."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from host_machine import host_machine

from gscodec.batch.back import DecodeState, plan_decode
from gscodec.batch.outcome import Status
from gscodec.batch.run import DecodeTask
from gscodec.batch.work import Options
from gscodec.cli.app import main
from gscodec.container.reader import IgsReader
from gscodec.cuda import device
from gscodec.cuda.device import open_runtime
from gscodec.cuda.runtime import Runtime
from gscodec.decoding import one_off
from gscodec.decoding.image import open_igs
from gscodec.errors import BackendUnavailable, InvalidArgument

RGB = Path(__file__).parents[2] / "spec" / "vectors" / "rgb.igs"


def engine_of(name: str, path: Path = RGB) -> str:
    with open_igs(path, device=name) as image:
        image.render()
        return image._store.backend.name


@pytest.fixture
def opened() -> Iterator[dict[int, Runtime]]:
    """A machine with two GPUs and a process that has opened none."""
    with host_machine(2) as runtimes, pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_off, "_OPENED", one_off.Tally())
        yield runtimes


@pytest.fixture
def n_samples() -> int:
    with open_igs(RGB, device="cpu") as image:
        return int(np.prod(image.shape))


def test_a_small_file_is_decoded_on_the_cpu_and_starts_nothing(
    opened: dict[int, Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "cuda_devices", lambda: pytest.fail("the driver is asked"))
    assert engine_of("auto") == "cpu"
    assert engine_of("auto:1") == "cpu"
    assert not opened


def test_a_file_worth_a_start_goes_to_the_gpu(
    opened: dict[int, Runtime], monkeypatch: pytest.MonkeyPatch, n_samples: int
) -> None:
    monkeypatch.setattr(one_off, "WORTH_A_START", n_samples)
    assert engine_of("auto:1") == "cuda"
    assert list(opened) == [1]
    assert engine_of("auto") == "cuda"
    assert list(opened) == [1, 0]


def test_many_small_files_are_worth_a_start_together(
    opened: dict[int, Runtime], monkeypatch: pytest.MonkeyPatch, n_samples: int
) -> None:
    monkeypatch.setattr(one_off, "WORTH_A_START", 3 * n_samples)
    assert [engine_of("auto") for _ in range(5)] == ["cpu", "cpu", "cuda", "cuda", "cuda"]
    # Of a batch, the size alone decides, whatever a job has opened and decoded before.
    assert engine_of("auto:0") == "cpu"
    assert list(opened) == [0]


@pytest.mark.usefixtures("opened")
def test_an_open_gpu_is_used() -> None:
    open_runtime("cuda:1")
    assert engine_of("auto") == "cpu"  # that is another one
    open_runtime("cuda")
    assert engine_of("auto") == "cuda"


@pytest.mark.parametrize(("name", "index"), [("cuda", 0), ("cuda:1", 1)])
def test_a_gpu_that_was_named_is_always_used(opened: dict[int, Runtime], name: str, index: int) -> None:
    assert engine_of(name) == "cuda"
    assert list(opened) == [index]


def test_the_command_line_alike(opened: dict[int, Runtime], tmp_path: Path) -> None:
    assert main(["decode", str(RGB), str(tmp_path / "a.png")]) == 0
    assert not opened
    assert main(["decode", str(RGB), str(tmp_path / "b.png"), "--device", "cuda"]) == 0
    assert list(opened) == [0]


def test_a_batch_decodes_by_the_size_of_each_file(
    opened: dict[int, Runtime], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, n_samples: int
) -> None:
    source = tmp_path / "igs"
    source.mkdir()
    (source / "rgb.igs").write_bytes(RGB.read_bytes())
    for worth, gpus in ((n_samples + 1, []), (n_samples, [1])):
        target = tmp_path / str(worth)
        item = plan_decode(source, target, DecodeState(target)).items[0]
        monkeypatch.setattr(one_off, "WORTH_A_START", worth)
        outcome = DecodeTask(item, Options(threads=1)).on("auto:1").run(lambda _: None)
        assert outcome.status is Status.DECODED
        assert list(opened) == gpus


@pytest.mark.usefixtures("opened")
def test_a_file_is_closed_where_its_device_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[IgsReader] = []
    close = IgsReader.close

    def note(reader: IgsReader) -> None:
        closed.append(reader)
        close(reader)

    monkeypatch.setattr(IgsReader, "close", note)
    for name, error in (("cuda:7", BackendUnavailable), ("opencl", InvalidArgument)):
        with pytest.raises(error, match=name):
            open_igs(RGB, device=name)
    assert len(closed) == 2
