"""How much boxes overlap, to compare what detectors find."""

import numpy as np
from numpy.typing import NDArray


def intersection_over_union(
    boxes_a_xywh: NDArray[np.float32], boxes_b_xywh: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the overlap of every box of one set with every box of the other.

    Args:
        boxes_a_xywh: (N, 4), left, top, width, height.
        boxes_b_xywh: (M, 4), likewise.

    Returns:
        float32 (N, M), area of the intersection over area of the union, 0 to 1.
    """
    a_min, a_size = boxes_a_xywh[:, None, :2], boxes_a_xywh[:, None, 2:]
    b_min, b_size = boxes_b_xywh[None, :, :2], boxes_b_xywh[None, :, 2:]
    overlap_size = np.minimum(a_min + a_size, b_min + b_size) - np.maximum(a_min, b_min)
    overlap = np.clip(overlap_size, 0, None).prod(axis=2)
    union = a_size.prod(axis=2) + b_size.prod(axis=2) - overlap
    return np.divide(overlap, union, out=np.zeros_like(union), where=union > 0)
