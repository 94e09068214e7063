"""Convolutions of 5 x 5 weights with fewer multiplications (Winograd 1980; Lavin and Gray, CVPR 2016), for processors.

A convolution of 5 x 5 weights makes 4 x 4 neighbouring outputs, a tile, of 8 x 8 inputs. As polynomials are multiplied
by their values at some points, so are these: inputs and weights are taken to 8 x 8 values, multiplied there, one value
at a time, and taken back. That is 64 products of two numbers instead of 400, in 64 products of matrices. The result is
the convolution's; in float32 its rounding error is some three times as large.

Shapes: n pictures, g their height and width (a multiple of 4), v = 8 * 8 values, t = (g / 4)^2 tiles, i and o channels.
"""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

KERNEL = 5  # weights each way
TILE = 4  # outputs each way
VALUES = TILE + KERNEL - 1  # of a tile each way
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # at which the polynomials are evaluated; the last value is at infinity


class WinogradConvolution:
    """Convolutions of stride 1 that keep the size of pictures (n, *, g, g), float32 on the CPU.

        winograd = WinogradConvolution(g)
        outputs = winograd.outputs(winograd.inputs(pictures) @ winograd.weights(convolution.weight), n)

    Between the two, sums over input channels may be taken apart and put together as those of a matrix product.

    Args:
        size: g, the pictures' height and width, a multiple of 4.

    Raises:
        ValueError: `size` is none.
    """

    def __init__(self, size: int) -> None:
        if size % TILE:
            raise ValueError(f"size must be a multiple of {TILE}, not {size}")
        tiles = size // TILE
        leave, weigh, enter = _transforms()
        # Of a line of the picture to each value of each tile, the zeros beyond its ends left out.
        line = np.zeros((VALUES, tiles, size + KERNEL - 1))
        for tile in range(tiles):
            line[:, tile, tile * TILE:tile * TILE + VALUES] = enter
        margin = KERNEL // 2
        line = line[..., margin:margin + size].reshape(VALUES * tiles, size)
        self._enter, self._leave = (torch.tensor(matrix, dtype=torch.float32).contiguous() for matrix in (line, leave))
        self._weigh = torch.tensor(weigh)
        self._tiles_each_way = tiles
        self.tiles = tiles * tiles  # of a picture

    def weights(self, weight: Tensor) -> Tensor:
        """Of a convolution, (o, i, 5, 5): (v, i, o). Worked out in float64, which takes long: once for all."""
        weight = weight.double()
        return torch.einsum("px,qy,oixy->qpio", self._weigh, self._weigh, weight).float().flatten(0, 1).contiguous()

    def inputs(self, pictures: Tensor) -> Tensor:
        """Of pictures (n, i, g, g): (v, n * t, i)."""
        n, channels, size, _ = pictures.shape
        tiles = self._tiles_each_way
        rows = pictures.permute(0, 2, 3, 1).reshape(n * size, size, channels)
        rows = torch.bmm(self._enter.expand(n * size, -1, -1), rows).view(n, size, VALUES, tiles * channels)
        columns = rows.permute(0, 2, 1, 3).flatten(0, 1)  # n*8, g, tiles*i
        both = torch.bmm(self._enter.expand(n * VALUES, -1, -1), columns)
        both = both.view(n, VALUES * VALUES, self.tiles, channels)
        return both.transpose(0, 1).reshape(VALUES * VALUES, n * self.tiles, channels)

    def outputs(self, products: Tensor, n: int) -> Tensor:
        """Of (v, n * t, o): pictures (n, o, g, g), in channels_last."""
        tiles, size = self._tiles_each_way, TILE * self._tiles_each_way
        columns = self._leave @ products.reshape(VALUES, VALUES, -1)  # 8, 4, n*t*o
        both = (self._leave @ columns.view(VALUES, -1)).view(TILE, TILE, n, tiles, tiles, -1)  # column, row of the tile
        pictures = both.permute(2, 3, 1, 4, 0, 5).reshape(n, size, size, -1)
        return pictures.contiguous().permute(0, 3, 1, 2)


def _transforms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices of outputs (4, 8), weights (8, 5) and inputs (8, 8): a line's 4 outputs are
    outputs @ ((weights @ 5 of them) * (inputs @ 8 of them))."""

    def at_points(coefficients: int) -> np.ndarray:
        """From a polynomial's coefficients to its values at the points and at infinity, where the last one is it."""
        return np.vstack([np.vander(POINTS, coefficients, increasing=True), np.eye(coefficients)[-1:]])

    # Multiplying polynomials is (their values' product) back to coefficients; a convolution is its transpose.
    return at_points(TILE).T, at_points(KERNEL), np.linalg.inv(at_points(VALUES)).T
