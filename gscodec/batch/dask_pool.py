"""Runs batch tasks on a Dask cluster: one future per item, retried if its worker is lost."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from gscodec.batch.pool import Event, LostWorkerError, Task
from gscodec.errors import BackendUnavailable, MissingExtra
from gscodec.extras import install_command

RETRIES: Final = 2
CONNECT_SECONDS: Final = 20


def run_tasks_on_dask(tasks: Sequence[Task], scheduler: str, use_gpus: bool) -> Iterator[Event]:
    """Run all tasks on the workers of a scheduler; workers must see the same files under the same paths.

    Args:
        scheduler: its address, such as `tcp://host:8786`, or the path of a scheduler file.
        use_gpus: request one unit of the Dask resource `GPU` per item.

    Raises:
        MissingExtra: distributed is not installed. BackendUnavailable: no scheduler answers.
    """
    try:
        import distributed as engine
    except ModuleNotFoundError as error:
        raise MissingExtra(f"a cluster needs distributed: {install_command('cluster')}") from error
    distributed: Any = engine
    where = {"scheduler_file": scheduler} if scheduler.endswith(".json") else {"address": scheduler}
    try:
        client = distributed.Client(**where, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as fault:
        raise BackendUnavailable(f"{scheduler}: no Dask scheduler answers at this address") from fault
    resources = {"GPU": 1} if use_gpus else None
    futures: dict[Any, int] = {}

    def submit(number: int, attempt: str) -> Any:
        key = f"gscodec-{number}-{tasks[number].name}{attempt}"
        future = client.submit(_run, tasks[number], key=key, retries=RETRIES, pure=False, resources=resources)
        futures[future] = number
        return future

    try:
        for number in range(len(tasks)):
            submit(number, "")
            yield "begin", number, None
        suspects = []
        for future in distributed.as_completed(list(futures)):
            number = futures.pop(future)
            if future.status == "finished":
                yield "done", number, future.result()
            else:
                suspects.append(number)
            future.release()
        # Dask fails every task queued on a dead worker. Retried one at a time, only the task that kills it fails again.
        for number in sorted(suspects):
            future = submit(number, "-alone")
            distributed.wait([future])
            del futures[future]
            if future.status == "finished":
                yield "done", number, future.result()
            else:
                text = " ".join(str(future.exception()).split())[:200]
                yield "lost", number, LostWorkerError(f"{tasks[number].name}: its worker was lost: {text}")
            future.release()
    finally:
        for future in list(futures):
            future.cancel()
        client.close()


def _run(task: Task) -> Any:
    ignore_report: Callable[[Any], None] = lambda _: None  # noqa: E731 - a Dask worker has no way to report progress
    return task.run(ignore_report)
