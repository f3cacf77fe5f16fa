#!/usr/bin/env python3
"""Compare deepfer with what else reads expressions: the same frames, in turn, in one run.

    make bench-peers                     or, in the environment of scripts/env.sh:
    python scripts/bench_peers.py [--quick] [--json]

The peers are installed into an environment of their own, .venv-peers: the library fer
(https://github.com/JustinShenk/fer), and with its network the pattern of the usual ROS node, a
Haar cascade and Keras. Each program runs in a process of its own. They are measured round after
round, a few frames each, so that whatever disturbs the machine disturbs all of them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from deepfer_ros.bench.frames import FACE_COUNTS, SIZES_WH, make_frames
from deepfer_ros.bench.machine import describe_machine

_ROOT = Path(__file__).resolve().parents[1]
_ENVIRONMENT = _ROOT / ".venv-peers"
# fer itself comes without its dependencies: PyTorch with CUDA, three gigabytes, is one that only
# another detector of it would use. setuptools 81 has no pkg_resources any more, which it imports.
_REQUIREMENTS = (
    "tensorflow==2.21.0",
    "opencv-contrib-python==4.11.0.86",
    "requests>=2",
    "pillow>=10",
    "setuptools<81",
)
_WITHOUT_DEPENDENCIES = ("fer==25.10.3",)
_PEERS = ("fer", "haar+keras.predict", "haar+keras")
_OURS = "deepfer"
_FRAMES_A_ROUND = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """One program on frames of one kind.

    Attributes:
        program: Its name.
        width: Width of the frames in pixels.
        height: Height in pixels.
        faces: How many faces the frames show.
        found: How many it found in the last one.
        median_ms: Median time for a frame, over all rounds.
        p95_ms: 95 % of the frames took no longer.
        times_deepfer: How many times as long as deepfer it took, by the medians.
    """

    program: str
    width: int
    height: int
    faces: int
    found: int
    median_ms: float
    p95_ms: float
    times_deepfer: float


class ProgramProcess:
    """A program in a process of its own.

    Args:
        name: One of the names in bench_peer.py.
        frames_path: The frames, a NumPy file.

    Raises:
        click.ClickException: It does not start.
    """

    def __init__(self, name: str, frames_path: Path) -> None:
        self.name = name
        self.durations_ms: list[float] = []
        self.found = 0
        script = Path(__file__).with_name("bench_peer.py")
        # A file: a pipe that nobody reads would fill up and stop the program.
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [python_of(name), str(script), name, str(frames_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=variables_of(name),
            text=True,
        )
        self._answer(expected="ready")

    def run(self, frame_count: int) -> None:
        """Measure so many frames."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{frame_count}\n")
        self._process.stdin.flush()
        answer = json.loads(self._answer())
        self.durations_ms += answer["durations_ms"]
        self.found = answer["faces"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()

    def _answer(self, expected: str | None = None) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line or (expected is not None and line != expected):
            self._process.communicate()
            self._errors.seek(0)
            errors = self._errors.read().strip().splitlines()
            raise click.ClickException(f"{self.name} failed: {errors[-1] if errors else line}")
        return line


@click.command()
@click.option("--quick", is_flag=True, help="One face in 640x480 only, and fewer rounds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def main(quick: bool, as_json: bool) -> None:
    """Compare deepfer with its peers on this machine."""
    install_peers()
    sizes_wh = SIZES_WH[:1] if quick else SIZES_WH
    face_counts = FACE_COUNTS[:1] if quick else FACE_COUNTS
    rows = [
        row
        for size_wh in sizes_wh
        for faces in face_counts
        for row in compare(size_wh, faces, rounds=6 if quick else 12)
    ]
    if as_json:
        results = {"machine": asdict(describe_machine()), "rows": [asdict(row) for row in rows]}
        print(json.dumps(results))
    else:
        Console().print(table_of(rows))


def install_peers() -> None:
    """Make the peers' environment if it is not complete yet.

    Raises:
        click.ClickException: They cannot be installed.
    """
    done = _ENVIRONMENT / "requirements.txt"
    wanted = "\n".join((*_REQUIREMENTS, *_WITHOUT_DEPENDENCIES))
    if done.is_file() and done.read_text(encoding="utf-8") == wanted:
        return
    click.echo(f"Installing the peers into {_ENVIRONMENT} (TensorFlow among them)", err=True)
    venv.create(_ENVIRONMENT, clear=True, with_pip=True)
    pip_install(*_REQUIREMENTS)
    pip_install("--no-deps", *_WITHOUT_DEPENDENCIES)
    done.write_text(wanted, encoding="utf-8")


def fer_network() -> Path:
    """Return the network of the library fer, a LiteRT file, installed if need be.

    Raises:
        click.ClickException: It cannot be installed.
    """
    install_peers()
    (path,) = _ENVIRONMENT.glob(
        "lib/python*/site-packages/fer/data/emotion_model_quantized.tflite"
    )
    return path


def pip_install(*arguments: str) -> None:
    """Install into the peers' environment.

    Raises:
        click.ClickException: It does not work.
    """
    result = subprocess.run(
        [python_of(_PEERS[0]), "-m", "pip", "install", "--quiet", *arguments],
        env=variables_of(_PEERS[0]),
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise click.ClickException(
            f"The peers cannot be installed: {errors[0] if errors else result.stderr.strip()}"
        )


def compare(size_wh: tuple[int, int], faces: int, *, rounds: int) -> list[Comparison]:
    """Measure all programs in turn on frames of one kind.

    Raises:
        click.ClickException: One of them fails.
    """
    programs: list[ProgramProcess] = []
    with tempfile.TemporaryDirectory() as folder:
        frames_path = Path(folder) / "frames.npy"
        np.save(frames_path, np.stack(make_frames(size_wh, faces).images_bgr))
        try:
            for name in (_OURS, *_PEERS):
                programs.append(ProgramProcess(name, frames_path))
            for _ in range(rounds):
                for program in programs:
                    program.run(_FRAMES_A_ROUND)
        finally:
            for program in programs:
                program.close()
    ours_ms = statistics.median(programs[0].durations_ms)
    return [
        Comparison(
            program.name,
            *size_wh,
            faces,
            program.found,
            median_ms=round(statistics.median(program.durations_ms), 3),
            p95_ms=round(float(np.percentile(program.durations_ms, 95)), 3),
            times_deepfer=round(statistics.median(program.durations_ms) / ours_ms, 2),
        )
        for program in programs
    ]


def table_of(rows: list[Comparison]) -> Table:
    """Return the comparison for people."""
    table = Table(box=None, pad_edge=False)
    for column in ("size", "faces", "program", "found", "median ms", "p95 ms", "times deepfer"):
        is_text = column in ("size", "program")
        table.add_column(column, justify="left" if is_text else "right")
    for row in rows:
        table.add_row(
            f"{row.width}x{row.height}",
            str(row.faces),
            row.program,
            str(row.found),
            f"{row.median_ms:.1f}",
            f"{row.p95_ms:.1f}",
            f"{row.times_deepfer:.1f}",
        )
    return table


def python_of(program: str) -> str:
    """Return the Python that a program runs in."""
    return sys.executable if program == _OURS else str(_ENVIRONMENT / "bin" / "python")


def variables_of(program: str) -> dict[str, Any]:
    """Return the variables for its process; what ROS sets must not reach another Python."""
    if program == _OURS:
        return dict(os.environ)
    left_out = ("LD_LIBRARY_PATH", "PYTHONPATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if name not in left_out}
    return variables | {"TF_CPP_MIN_LOG_LEVEL": "2"}


if __name__ == "__main__":
    main()
