"""Convolutions with fewer multiplications (Winograd 1980; Lavin and Gray, CVPR 2016), for processors.

A convolution of k x k weights makes 4 x 4 neighbouring outputs of (k + 3)^2 inputs. As polynomials are multiplied by
their values at some points, so are these: inputs and weights are taken to (k + 3)^2 values, multiplied there, one value
at a time, and taken back. For k = 5 that is 64 products of two numbers instead of 400, in 64 products of matrices.
The result is the convolution's; in float32 its rounding error is some three times as large.

Shapes: n pictures, g their height and width (a multiple of 4), v = (k + 3)^2 values, t = (g / 4)^2 tiles, i and o
channels.
"""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TILE = 4  # outputs each way
POINTS = {3: (0.0, 1.0, -1.0, 2.0, -0.5), 5: (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)}  # and infinity, for k x k weights


class WinogradConvolution:
    """Convolutions of stride 1 that keep the size of pictures (n, *, g, g), float32 on the CPU.

        outputs = way.outputs(way.inputs(pictures) @ way.weights(convolution.weight), n)

    Between the two, sums over input channels may be taken apart and put together as those of a matrix product.
    """

    def __init__(self, kernel: int, size: int) -> None:
        if size % TILE:
            raise ValueError(f"size must be a multiple of {TILE}, not {size}")
        values, tiles = kernel + TILE - 1, size // TILE
        leave, weigh, enter = _transforms(POINTS[kernel])
        # Of a line of the picture to each value of each tile, the zeros beyond its ends left out.
        line = np.zeros((values, tiles, size + kernel - 1))
        for tile in range(tiles):
            line[:, tile, tile * TILE:tile * TILE + values] = enter
        margin = kernel // 2
        line = line[..., margin:margin + size].reshape(values * tiles, size)
        self._enter, self._leave = (torch.tensor(matrix, dtype=torch.float32).contiguous() for matrix in (line, leave))
        self._weigh = torch.tensor(weigh)
        self._values, self._tiles = values, tiles
        self.tiles = tiles * tiles  # of a picture

    def weights(self, weight: Tensor) -> Tensor:
        """Of a convolution, (o, i, k, k): (v, i, o). Worked out in float64, which takes long: once for all."""
        weight = weight.double()
        return torch.einsum("px,qy,oixy->qpio", self._weigh, self._weigh, weight).float().flatten(0, 1).contiguous()

    def inputs(self, pictures: Tensor) -> Tensor:
        """Of pictures (n, i, g, g): (v, n * t, i)."""
        n, channels, size, _ = pictures.shape
        v, tiles = self._values, self._tiles
        rows = pictures.permute(0, 2, 3, 1).reshape(n * size, size, channels)
        rows = torch.bmm(self._enter.expand(n * size, -1, -1), rows).view(n, size, v, tiles * channels)
        columns = rows.permute(0, 2, 1, 3).flatten(0, 1)  # n*v, g, tiles*i
        both = torch.bmm(self._enter.expand(n * v, -1, -1), columns).view(n, v * v, tiles * tiles, channels)
        return both.transpose(0, 1).reshape(v * v, n * tiles * tiles, channels)

    def outputs(self, products: Tensor, n: int) -> Tensor:
        """Of (v, n * t, o): pictures (n, o, g, g), in channels_last."""
        v, tiles, size = self._values, self._tiles, TILE * self._tiles
        columns = self._leave @ products.reshape(v, v, -1)  # v, 4, n*t*o
        both = (self._leave @ columns.view(v, -1)).view(TILE, TILE, n, tiles, tiles, -1)  # column, row of the tile
        pictures = both.permute(2, 3, 1, 4, 0, 5).reshape(n, size, size, -1)
        return pictures.contiguous().permute(0, 3, 1, 2)


def _transforms(points: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices of outputs (4, v), weights (v, k) and inputs (v, v): a line's 4 outputs are
    outputs @ ((weights @ k of them) * (inputs @ v of them))."""
    count = len(points) + 1

    def at_points(coefficients: int) -> np.ndarray:
        """From a polynomial's coefficients to its values at the points and at infinity, where the last one is it."""
        return np.vstack([np.vander(points, coefficients, increasing=True), np.eye(coefficients)[-1:]])

    # Multiplying polynomials is (their values' product) back to coefficients; a convolution is its transpose.
    return at_points(TILE).T, at_points(count - TILE + 1), np.linalg.inv(at_points(count)).T
