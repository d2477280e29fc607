"""Quality and rate of a decoded picture, in numpy alone."""

from gscodec.metrics.psnr import mse, psnr
from gscodec.metrics.rate import bpp, bppc
from gscodec.metrics.ssim import ms_ssim, ssim

__all__ = ["bpp", "bppc", "ms_ssim", "mse", "psnr", "ssim"]
