"""Muon: momentum whose steps change all directions of a kernel alike.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/.
"""

from typing import Any

import keras
from keras import ops

_KERNEL_AXES = 4
_ITERATIONS = 5
# Of the quintic polynomial by which Jordan et al. bring singular values near 1 in few iterations.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(keras.optimizers.SGD):
    """Nesterov momentum, made orthogonal for the kernels of convolutions.

    `keras.optimizers.Muon` leaves kernels of four axes to AdamW. This one takes them as matrices
    (H x W x I, O), and leaves all other variables to stochastic gradient descent.

    Args:
        learning_rate: Learning rate, or a schedule.
        kernel_rate: Learning rate of kernels, as a share of `learning_rate`.
        options: Passed on to `keras.optimizers.SGD`.
    """

    def __init__(self, learning_rate: Any, *, kernel_rate: float, **options: Any) -> None:  # noqa: ANN401 - what Keras takes
        super().__init__(learning_rate, **options)
        self.kernel_rate = kernel_rate

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:  # noqa: ANN401 - Keras variables and tensors
        """Change one variable by its gradient."""
        if len(variable.shape) != _KERNEL_AXES:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self.momentums[self._get_variable_index(variable)]
        self.assign(momentum, ops.add(ops.multiply(momentum, self.momentum), gradient))
        step = ops.add(ops.multiply(momentum, self.momentum), gradient)
        matrix = ops.reshape(step, (-1, variable.shape[-1]))
        change = ops.reshape(orthogonalize(matrix), variable.shape)
        self.assign_sub(variable, ops.multiply(change, learning_rate * self.kernel_rate))

    def get_config(self) -> dict[str, Any]:
        """Return what makes an optimizer like this one."""
        return super().get_config() | {"kernel_rate": self.kernel_rate}


def orthogonalize(matrix: Any) -> Any:  # noqa: ANN401 - tensors of any backend
    """Return a matrix with the same singular vectors, and singular values of about 1 (0.7 to 1.2).

    If the matrix has more columns than rows, values are such that columns keep a length near 1.

    Args:
        matrix: float (R, C).
    """
    rows, columns = matrix.shape
    x = ops.transpose(matrix) if rows > columns else matrix
    x = x / (ops.norm(x) + 1e-7)
    # Every iteration multiplies x by a polynomial of x x^T. Their product is collected apart from
    # x, so that all matrices in the loop are as small as the shorter side.
    gram = ops.matmul(x, ops.transpose(x))
    identity = ops.eye(gram.shape[0], dtype=gram.dtype)
    product = identity
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        polynomial = a * identity + b * gram + c * ops.matmul(gram, gram)
        product = ops.matmul(polynomial, product)
        gram = ops.matmul(ops.matmul(polynomial, gram), polynomial)
    x = ops.matmul(product, x)
    return ops.transpose(x) if rows > columns else x * (columns / rows) ** 0.5
