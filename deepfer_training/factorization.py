"""Two small kernels for a large one: columns first, then rows.

After Jaderberg et al. 2014, "Speeding up convolutional neural networks with low rank expansions",
arXiv:1405.3866 (scheme 2), by a singular value decomposition as in Tai et al. 2015,
arXiv:1511.06067. Here it minimises the error after the batch normalisation that follows.
"""

import numpy as np
from numpy.typing import NDArray


def factorize_kernel(
    kernel: NDArray[np.float32], rank: int, scale: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernels for columns and for rows that together come closest to a square one.

    Args:
        kernel: float32 (K, K, I, O).
        rank: R, channels between the two. More than the kernel has (K times the smaller of I and
            O at most) make no difference.
        scale: float32 (O,), what each channel is multiplied by later: errors count by it.

    Returns:
        float32 (K, 1, I, R) and (1, K, R, O).
    """
    height, width, channels_in, channels_out = kernel.shape
    # A channel that counts for nothing is still divided by its scale below.
    weights = np.maximum(np.abs(scale), 1e-3 * np.abs(scale).max())
    matrix = (kernel * weights).transpose(0, 2, 1, 3).reshape(height * channels_in, -1)
    left, values, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    # The same share of the strength for both, so that both learn at the same pace.
    strengths = np.sqrt(values[:rank])
    columns = (left[:, :rank] * strengths).reshape(height, 1, channels_in, -1)
    rows = (strengths[:, np.newaxis] * right[:rank]).reshape(-1, width, channels_out) / weights
    return columns.astype(np.float32), rows.transpose(1, 0, 2)[np.newaxis].astype(np.float32)
