"""Copies of runs, and trainings in processes of their own: to be killed, or several together."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_TRAIN = """
import os, signal, sys
from pathlib import Path
from deepfer_training.config import load_config
from deepfer_training.dataset_cache import load_faces
from deepfer_training.training import train

recipe, data, ferplus, output = map(Path, sys.argv[1:5])
kill_at_step, distribute, teachers = int(sys.argv[5]), sys.argv[6], map(Path, sys.argv[7:])

def watch(done, total):
    if done == kill_at_step:
        os.kill(os.getpid(), signal.SIGKILL)

train(load_config(recipe), load_faces(data, ferplus), output, resume=True, on_step=watch,
      distribute=distribute, teachers=list(teachers))
"""


def start_training(
    recipe: Path,
    files: tuple[Path, Path],
    run: Path,
    *,
    kill_at_step: int = -1,
    distribute: str = "none",
    teachers: Sequence[Path] = (),
    **environment: str,
) -> subprocess.Popen[bytes]:
    """Start or resume a run in a process that kills itself after a step, if one is given."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            _TRAIN,
            *map(str, (recipe, *files, run, kill_at_step, distribute, *teachers)),
        ],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def start_processes(
    recipe: Path, files: tuple[Path, Path], run: Path, *, teachers: Sequence[Path] = ()
) -> list[subprocess.Popen[bytes]]:
    """Start or resume a run in two processes that train together, on JAX."""
    address = f"127.0.0.1:{free_port()}"
    return [
        start_training(
            recipe,
            files,
            run,
            distribute="processes",
            teachers=teachers,
            KERAS_BACKEND="jax",
            KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
            KERAS_DISTRIBUTION_NUM_PROCESSES="2",
            KERAS_DISTRIBUTION_PROCESS_ID=str(number),
        )
        for number in range(2)
    ]


def finish(training: subprocess.Popen[bytes]) -> str:
    """Wait for a training that ends well, and return what it printed."""
    output, errors = training.communicate(timeout=300)
    assert training.returncode == 0, errors.decode()
    return output.decode()


def run_until_killed(
    recipe: Path, files: tuple[Path, Path], run: Path, *, kill_at_step: int
) -> None:
    """Start or resume a run in a process that is killed after a step."""
    killed = start_training(recipe, files, run, kill_at_step=kill_at_step)
    _, errors = killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL, errors.decode()


def copy_run(run: Path, folder: Path, **changes: object) -> Path:
    """Copy a run as if a recipe with these fields changed, the seed for example, had made it."""
    shutil.copytree(run, folder)
    recipe = json.loads((folder / "recipe.json").read_text()) | changes
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
