"""How much of a device's speed training uses: what it can do, measured, and the work of a sample, counted.

The share of the peak is samples a second times the operations of a sample, by the operations a second of a large
matrix product in the same precision: the most that a network made of matrix products could reach.
"""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from placenet_ros.model import Observations, PlaceNetConfig
from placenet_ros.model.viewpoints import VIEWPOINT_SIZE
from training.data.sampling import SamplingConfig
from training.nested import tensors_of
from training.networks import Arithmetic, build_network

GPU_MATRIX, CPU_MATRIX = 8192, 1024  # rows and columns: large enough to keep the device busy
PRODUCTS_AT_ONCE = 10  # between two looks at the clock


def measured_peak(device: torch.device, precision: torch.dtype, seconds: float = 1.0) -> float:
    """TFLOP/s of a matrix product on a device in torch.bfloat16 or torch.float32, over about so many seconds."""
    size = GPU_MATRIX if device.type == "cuda" else CPU_MATRIX
    one, other = (torch.randn(size, size, device=device).to(precision) for _ in range(2))
    result = torch.empty_like(one)

    def some_products() -> float:
        start = time.perf_counter()
        for _ in range(PRODUCTS_AT_ONCE):
            torch.matmul(one, other, out=result)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    spent, fastest = some_products(), float("inf")  # the first ones wake the device up
    while spent < seconds or fastest == float("inf"):
        took = some_products()
        spent, fastest = spent + took, min(fastest, took)
    return PRODUCTS_AT_ONCE * 2 * size**3 / fastest / 1e12


def operations_of_a_sample(arithmetic: Arithmetic, config: PlaceNetConfig, sampling: SamplingConfig) -> float:
    """Floating-point operations of training on one query view, forward and backward: products of matrices and
    convolutions, an addition and a multiplication each one operation.

    Of a scene with as many observations as the sampling draws on average; nothing is computed for it, nor held.
    """
    observations = round((sampling.fewest_observations + sampling.most_observations) / 2)
    size, q = config.image_size, sampling.queries
    with torch.device("meta"):
        network = build_network(arithmetic, config).train()
        pictures = torch.empty(1, observations, 3, size, size)
        depth = torch.empty(1, observations, 1, size, size)
        seen = Observations(pictures, torch.empty(1, observations, VIEWPOINT_SIZE), depth, pictures)
        asked = torch.empty(1, q, VIEWPOINT_SIZE), torch.empty(1, q, 3, size, size)
        with FlopCounterMode(display=False) as counter:
            sum(tensor.sum() for tensor in tensors_of(network(seen, *asked)) if tensor.requires_grad).backward()
    return counter.get_total_flops() / q


def share_of_peak(samples_a_second: float, operations: float, peak: float, devices: int = 1) -> float:
    """What training uses of `devices` of such a peak (TFLOP/s), 0 to 1."""
    return samples_a_second * operations / (devices * peak * 1e12)
