"""Two small kernels for a large one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_training.factorization import factorize_kernel


def draw_kernel() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype(np.float32)


def join(columns: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the square kernel that two kernels in a row are."""
    return np.einsum("hir,wro->hwio", columns[:, 0].astype(float), rows[0].astype(float))


@pytest.mark.parametrize("rank", [12, 50])
def test_a_full_rank_loses_nothing(rank: int) -> None:
    columns, rows = factorize_kernel(draw_kernel(), rank, np.linspace(0.1, 5, 6, dtype=np.float32))

    assert columns.dtype == rows.dtype == np.float32
    assert columns.shape == (3, 1, 4, 12)
    assert rows.shape == (1, 3, 12, 6)
    np.testing.assert_allclose(join(columns, rows), draw_kernel(), atol=1e-5)


def test_a_low_rank_loses_the_weakest_directions_alone() -> None:
    kernel = draw_kernel()
    columns, rows = factorize_kernel(kernel, 5, np.ones(6, np.float32))

    matrix = kernel.transpose(0, 2, 1, 3).reshape(12, 18).astype(float)
    weakest = np.linalg.svd(matrix, compute_uv=False)[5:]
    lost = np.linalg.norm(join(columns, rows) - kernel)
    assert lost == pytest.approx(np.linalg.norm(weakest), rel=1e-4)
    # Both halves have the same share of what is left.
    assert np.linalg.norm(columns) == pytest.approx(np.linalg.norm(rows), rel=1e-4)


def test_channels_that_count_more_lose_less() -> None:
    kernel = draw_kernel()
    scale = np.array([1, 1, 1, 1, 0, -100], np.float32)

    errors = join(*factorize_kernel(kernel, 5, scale)) - kernel

    lost = np.linalg.norm(errors.reshape(-1, 6), axis=0)
    assert lost[5] < 0.01 < 1 < lost[:4].min()
    assert np.isfinite(lost[4])
