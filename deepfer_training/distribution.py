"""Train on several devices and on several machines, with Keras' own data parallelism on JAX.

Every device holds the whole network and works on its share of each batch; the gradients are summed
before each step. So the batch size of the recipe is that of all devices together, and what comes
out does not depend on their number, apart from rounding.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.errors import RunError

MODES = ("none", "devices", "processes")
"""One device; all devices that this process sees; all devices of all processes that were started
together, on one machine or on several."""


_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Share:
    """What this process works on.

    Attributes:
        process: Number of this process, from 0.
        process_count: Processes in all.
        device_count: Devices of all processes.
    """

    process: int = 0
    process_count: int = 1
    device_count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.process == 0

    def wait_for_others(self, what: str) -> None:
        """Wait until every process is here."""
        if self.process_count > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices(what)

    def let_first(self, act: Callable[[], object]) -> None:
        """Have the first process do something, while the others wait for it.

        Raises:
            RunError: It failed there; the first process itself raises what `act` has raised.
        """
        failure: Exception | None = None
        if self.is_first:
            try:
                act()
            except Exception as err:
                failure = err
        if self.process_count > 1:
            from jax.experimental import multihost_utils

            failed = multihost_utils.broadcast_one_to_all(np.int32(failure is not None))
            if int(failed) and failure is None:
                raise RunError("The first process of this training has failed, and says why.")
        if failure is not None:
            raise failure

    def rows(self, rows: NDArray[_Value]) -> NDArray[_Value]:
        """Return this process's part of the rows of one batch, or of values for each of them."""
        size = len(rows) // self.process_count
        return rows[self.process * size : (self.process + 1) * size]


def join_processes(mode: str) -> None:
    """Let the processes of a training find each other, before Keras calculates anything.

    For `processes`, they do so as Keras and JAX define it: by the variables
    `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `KERAS_DISTRIBUTION_NUM_PROCESSES` and
    `KERAS_DISTRIBUTION_PROCESS_ID`, or by themselves under Slurm, Open MPI, or on Cloud TPUs.

    Args:
        mode: One of `MODES`.

    Raises:
        RunError: Keras does not run on JAX, or the processes do not find each other.
    """
    if mode == "none":
        return
    if keras.backend.backend() != "jax":
        raise RunError(
            f"Keras runs on {keras.backend.backend()}, but training on several devices needs "
            "JAX: install jax and set KERAS_BACKEND=jax."
        )
    if mode == "processes":
        _join()


@contextmanager
def distributed(mode: str, batch_size: int) -> Iterator[Share]:
    """Spread the networks that are built and trained inside over devices.

    Args:
        mode: One of `MODES`; `join_processes` has been called with it.
        batch_size: Pictures a step on all devices together.

    Raises:
        RunError: The batch cannot be divided among the devices.
    """
    if mode == "none":
        yield Share()
        return
    import jax

    devices = keras.distribution.list_devices()
    if batch_size % len(devices):
        raise RunError(
            f"optimization.batch_size is {batch_size}, which {len(devices)} devices cannot share "
            f"evenly; take a multiple of {len(devices)}."
        )
    # The batches below are this process's share already.
    layout = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    with layout.scope():
        yield Share(jax.process_index(), jax.process_count(), len(devices))


def _join() -> None:
    try:
        keras.distribution.initialize()
    except (RuntimeError, ValueError) as err:
        raise RunError(
            f"The processes of this training did not find each other: {err}. Set "
            "KERAS_DISTRIBUTION_JOB_ADDRESSES, KERAS_DISTRIBUTION_NUM_PROCESSES and "
            "KERAS_DISTRIBUTION_PROCESS_ID for each, or start them with srun or mpirun."
        ) from err
