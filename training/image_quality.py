"""How far a predicted view is from the true one, one value for each image: RMSE, MAE, PSNR and SSIM of its colours,
RMSE of its depth, share of its pixels whose object class is right.

Images are (n, 3, s, s) in [0, 1]; RMSE and MAE are given on 0..255, as in the literature on GQN. What nothing is known
of (masked pixels, depth 0, class 0) does not count; an image of which nothing counts has NaN.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

QUALITIES = ("rmse", "mae", "psnr", "ssim")
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels: Wang et al. 2004
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # of the same paper, for values in [0, 1]
LEAST_SQUARED_ERROR = 1e-10  # PSNR of an image without any error is 100 dB


def image_quality(images: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """For each image (n): rmse and mae (0..255, over pixels and channels), psnr (dB), ssim (-1..1)."""
    error = (images - truth).flatten(1)
    squared = error.square().mean(dim=1)
    return {
        "rmse": 255 * squared.sqrt(),
        "mae": 255 * error.abs().mean(dim=1),
        "psnr": -10 * squared.clamp(min=LEAST_SQUARED_ERROR).log10(),
        "ssim": structural_similarity(images, truth),
    }


def rmse_where(images: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """RMSE (0..255) of each image (n) over its pixels and channels where mask (n, 1, s, s) is true."""
    return 255 * _mean_where((images - truth).square().mean(dim=1, keepdim=True), mask).sqrt()


def depth_rmse(depth: Tensor, truth: Tensor) -> Tensor:
    """RMSE (metres) of each depth image (n, 1, s, s) where the true one is not 0."""
    return _mean_where((depth - truth).square(), truth > 0).sqrt()


def object_accuracy(class_ids: Tensor, truth: Tensor) -> Tensor:
    """Share of each image's pixels (n, s, s) that have the right class, of those whose true class is not 0."""
    return _mean_where((class_ids == truth).float(), truth > 0)


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of each image (n, ...) where mask is true; NaN where it nowhere is."""
    return torch.where(mask, values, torch.zeros_like(values)).flatten(1).sum(dim=1) / mask.flatten(1).sum(dim=1)


def structural_similarity(images: Tensor, truth: Tensor) -> Tensor:
    """SSIM of each image (n), by a Gaussian window wholly inside the image, averaged over places and channels."""
    offsets = torch.arange(SSIM_WINDOW, device=images.device) - SSIM_WINDOW // 2
    profile = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2))
    window = torch.outer(profile, profile)[None, None] / profile.sum().square()

    def local_mean(values: Tensor) -> Tensor:
        return F.conv2d(values.flatten(0, 1)[:, None], window)

    mean_x, mean_y = local_mean(images), local_mean(truth)
    variance_x = local_mean(images.square()) - mean_x.square()
    variance_y = local_mean(truth.square()) - mean_y.square()
    covariance = local_mean(images * truth) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x.square() + mean_y.square() + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance_x + variance_y + SSIM_C2)
    return (luminance * structure).unflatten(0, images.shape[:2]).flatten(1).mean(dim=1)
