"""Quality and rate of a decoded picture, in NumPy; FLIP and LPIPS use their authors' packages."""

from gscodec.metrics.flip import flip, flip_map
from gscodec.metrics.hdr import hdr_flip, log_psnr
from gscodec.metrics.measure import METRICS, Metric, light_of, psnr_by_group
from gscodec.metrics.normals import normal_error_deg
from gscodec.metrics.perceptual import lpips
from gscodec.metrics.psnr import mse, psnr
from gscodec.metrics.rate import bpp, bppc
from gscodec.metrics.ssim import ms_ssim, ssim
from gscodec.metrics.ssimulacra2 import ssimulacra2

__all__ = [
    "METRICS",
    "Metric",
    "bpp",
    "bppc",
    "flip",
    "flip_map",
    "hdr_flip",
    "light_of",
    "log_psnr",
    "lpips",
    "ms_ssim",
    "mse",
    "normal_error_deg",
    "psnr",
    "psnr_by_group",
    "ssim",
    "ssimulacra2",
]
