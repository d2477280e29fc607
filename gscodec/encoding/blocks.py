"""A picture encoded block by block, in memory that does not grow with it."""

import time
from dataclasses import replace

from gscodec.container.writer import pack
from gscodec.encoding.block_encode import BlockProgress, BlockTask, encode_blocks
from gscodec.encoding.coded_file import CODED_PAGE_SIZE, CodedFile
from gscodec.encoding.job import Job, Progress
from gscodec.encoding.opacity import AimedRegions, fit_weights
from gscodec.encoding.packed_file import PackedFile
from gscodec.encoding.packing import Encoded, finished
from gscodec.image.regions import Regions, StackRegions
from gscodec.image.stack import ImageStack


def encode_in_blocks(job: Job, n_gaussians: int, budget: int | None, *, recounts: bool = True) -> Encoded:
    """The file of so many Gaussians, or of as many as a budget in bytes holds, of a job that has regions.

    Args:
        recounts: whether blocks decide by the bytes of those before how many Gaussians the budget holds; else there
            are n_gaussians, and their features are as fine as it allows.
    """
    assert job.regions is not None
    is_coded = job.profile == "coded"
    coded = CodedFile(job, budget)
    source: Regions = AimedRegions(job.regions, is_filled=isinstance(job.stack, ImageStack))
    if job.scales is not None and isinstance(job.stack, ImageStack):
        source = StackRegions(replace(job.stack, samples=job.target))

    def report(state: BlockProgress) -> None:
        if job.progress is not None:
            elapsed = time.perf_counter() - job.started
            likely = job.likely_size(state.likely_gaussians) if budget is None else budget
            job.progress(
                Progress(
                    step=state.step,
                    total_steps=state.total_steps,
                    n_gaussians=state.n_gaussians,
                    psnr=state.psnr,
                    bpp=8 * likely * state.n_gaussians / state.likely_gaussians / job.n_pixels,
                    seconds=elapsed,
                    seconds_left=elapsed * (state.total_steps - state.step) / state.step,
                    block=state.block,
                    n_blocks=state.n_blocks,
                )
            )

    made = encode_blocks(
        BlockTask(
            source=source,
            weights_of=lambda samples: fit_weights(
                samples if job.scales is None else samples / job.scales, job.stack.groups
            ),
            grid=job.grid,
            preset=job.preset,
            rasterizer=job.rasterizer,
            lods=job.lods,
            seed=job.settings.seed,
            steps=job.settings.steps,
            settle_steps=job.settle_steps,
            page_size=CODED_PAGE_SIZE,
            count=n_gaussians,
            budget=coded.budget if is_coded else None,
            recounts=recounts,
            side=job.settings.block,
            size_of=lambda shown, lods, lattice: len(pack(coded.contents(shown, lods, lattice))),
            overhead=coded.overhead,
            checkpoint=job.checkpoint,
            deadline=job.deadline,
            on_step=report,
        )
    )
    grid = made.grid
    if job.scales is not None:
        grid = replace(grid, background=grid.background / job.scales)
    if is_coded:
        contents = replace(coded.contents(made.gaussians, made.lods, made.lattice), meta=None)
    elif job.profile == "packed":
        contents = PackedFile(job).rounded(made.gaussians, made.lods)
    else:
        contents = job.contents(made.gaussians, made.lods)
    return finished(job, replace(contents, grid=grid), budget, made.steps)
