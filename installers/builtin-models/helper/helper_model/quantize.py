"""8-bit weights in blocks, as ``com.microsoft.MatMulNBits`` reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
ZERO_POINT = 128
"""What MatMulNBits takes for 8 bits where no zero points are given."""


@dataclass(frozen=True)
class Quantized:
    """A ``[rows, columns]`` matrix with one scale per row and block of columns."""

    data: NDArray[np.uint8]
    scales: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        rows, blocks, block = self.data.shape
        return rows, blocks * block

    def dequantize(self) -> NDArray[np.float32]:
        """The matrix that the numbers stand for."""
        blocks = (self.data.astype(np.float32) - ZERO_POINT) * self.scales[..., None]
        return blocks.reshape(self.shape)


def quantize(matrix: NDArray[np.float32]) -> Quantized:
    """Round to 8 bits, symmetric around zero."""
    rows, columns = matrix.shape
    if columns % BLOCK:
        raise ValueError(f"{columns} columns are no multiple of {BLOCK}")
    blocks = matrix.reshape(rows, columns // BLOCK, BLOCK).astype(np.float32)
    scales = np.abs(blocks).max(axis=-1) / 127
    scales[scales == 0] = 1
    data = np.clip(np.rint(blocks / scales[..., None]) + ZERO_POINT, 0, 255)
    return Quantized(data.astype(np.uint8), scales.astype(np.float32))
