"""Encodes a picture block by block, in memory that does not grow with its size."""

from dataclasses import replace

from gscodec.encoding.block_encode import BlockProgress, BlockTask, encode_blocks
from gscodec.encoding.error_weights import error_weights
from gscodec.encoding.job import Job
from gscodec.encoding.opacity import AimedRegions
from gscodec.encoding.packing import Encoded, finished
from gscodec.encoding.profiles.registry import encoder_for
from gscodec.encoding.progress import Progress
from gscodec.errors import InvalidArgument
from gscodec.image.regions import Regions, StackRegions
from gscodec.image.stack import ImageStack


def encode_in_blocks(
    job: Job, n_gaussians: int, budget: int | None, *, recounts: bool = True, slope: float | None = None
) -> Encoded:
    """File of a picture in regions with n_gaussians Gaussians, or as many as a budget or a slope decides.

    Args:
        budget: maximum bytes of the file; None means no limit.
        slope: squared error per byte at which each block ends; n_gaussians is then an estimate.
        recounts: whether the measured sizes of finished blocks decide how many Gaussians fit into the budget; otherwise
            n_gaussians are fitted, and the steps of their features are chosen to meet it.

    Raises:
        InvalidArgument: the profile cannot encode in blocks.
    """
    assert job.regions is not None
    encoder = encoder_for(job, budget)
    if encoder.profile.layout.is_one_piece:
        raise InvalidArgument(f"profile {job.profile} cannot encode in blocks, and this picture is too large for one")
    source: Regions = AimedRegions(job.regions, is_filled=isinstance(job.stack, ImageStack))
    if job.scales is not None and isinstance(job.stack, ImageStack):
        source = StackRegions(replace(job.stack, samples=job.target))

    def report(state: BlockProgress) -> None:
        if job.progress is not None:
            likely = encoder.likely_size(state.likely_gaussians) if budget is None else budget
            job.progress(
                Progress(
                    step=state.step,
                    total_steps=state.total_steps,
                    n_gaussians=state.n_gaussians,
                    psnr=state.psnr,
                    bpp=8 * likely * state.n_gaussians / state.likely_gaussians / job.n_pixels,
                    phase="fit" if state.block else "fit samples",
                    fraction=state.step / state.total_steps,
                    block=max(state.block, 1),
                    n_blocks=state.n_blocks,
                )
            )

    result = encode_blocks(
        BlockTask(
            source=source,
            weights_of=lambda samples: error_weights(
                samples if job.scales is None else samples / job.scales, job.stack.groups, job.settings.chosen_tune
            ),
            limits_elongation=job.settings.chosen_tune == "visual",
            grid=job.grid,
            preset=job.preset,
            rasterizer=job.rasterizer,
            lods=job.lods,
            seed=job.settings.seed,
            steps=job.settings.steps,
            qat_steps=encoder.qat_steps,
            page_size=encoder.page_size,
            count=n_gaussians,
            budget=encoder.block_budget,
            recounts=recounts,
            side=job.settings.block,
            size_of=encoder.size_of_blocks,
            overhead=encoder.overhead,
            slope=slope,
            gaussian_bits=encoder.gaussian_bits,
            checkpoint=job.checkpoint,
            deadline=job.deadline,
            on_step=report,
        )
    )
    grid = result.grid
    if job.scales is not None:
        grid = replace(grid, background=grid.background / job.scales)
    contents = encoder.of_blocks(result.gaussians, result.lods, result.lattice)
    return finished(encoder, replace(contents, grid=grid), result.steps)
