"""Show the results of the benchmark as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

Results = dict[str, Any]


def print_report(results: Results, console: Console) -> None:
    """Print the results of `run_bench` for people."""
    machine = results["machine"]
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']}; Python "
        f"{machine['python']}, OpenCV {machine['opencv']} with {machine['opencv_threads']} "
        f"threads; detector {results['detector']}, model file {results['model']}."
    )
    for section, reason in results["left_out"].items():
        console.print(f"Left out: {section}, because {reason}.")
    if "import" in results:
        console.print(f"import deepfer_ros: {results['import']['median_ms']:.1f} ms (median)")
    for section in ("stages", "messages"):
        if section in results:
            console.print(_stage_table(section, results[section]))
    if "recognize" in results:
        console.print(_recognition_table(results["recognize"]))
    if "reach" in results:
        console.print(_reach_table(results["reach"]))
    if "node" in results:
        console.print(_node_table("node over topics", results["node"]["runs"]))
        console.print(
            "Start of the process to the first emotion: "
            f"{results['node']['start_median_s']:.2f} s (median)"
        )
    if "cameras" in results:
        console.print(_node_table("node with several cameras", results["cameras"]))
    if "flood" in results:
        console.print(_node_table("node, flooded", results["flood"]))
    if "soak" in results:
        _print_soak(results["soak"], console)


def _stage_table(title: str, rows: list[Results]) -> Table:
    table = _table(title, "stage", "size", "faces", "median ms", "p95 ms", "floor ms", "floor is")
    for row in rows:
        floor_ms = row["floor_ms"]
        table.add_row(
            row["stage"],
            _size(row),
            str(row["faces"]),
            f"{row['timing']['median_ms']:.3f}",
            f"{row['timing']['p95_ms']:.3f}",
            "" if floor_ms is None else f"{floor_ms:.3f}",
            row["floor"],
        )
    return table


def _recognition_table(rows: list[Results]) -> Table:
    table = _table("recognize()", "size", "faces", "found", "median ms", "p95 ms", "frames/s")
    for row in rows:
        table.add_row(
            _size(row),
            str(row["faces"]),
            _range(row["found"]),
            f"{row['timing']['median_ms']:.2f}",
            f"{row['timing']['p95_ms']:.2f}",
            f"{row['frames_per_s']:.0f}",
        )
    return table


def _reach_table(rows: list[Results]) -> Table:
    table = _table(
        "detection, 640x480", "detection_max_side_px", "median ms", "smallest face found, px"
    )
    for row in rows:
        table.add_row(
            str(row["max_side_px"]),
            f"{row['timing']['median_ms']:.2f}",
            str(row["smallest_face_px"] or "none"),
        )
    return table


def _node_table(title: str, rows: list[Results]) -> Table:
    # As narrow as a terminal. The annotated image has a latency where somebody subscribes to it.
    columns = ("size", "cams", "in Hz", "out Hz", "ms", "p95 ms", "image ms", "dropped")
    table = _table(title, *columns, "CPU s/s", "MiB")
    for row in rows:
        load, image = row["load"], row["image_latency"]
        table.add_row(
            _size(load),
            str(load["cameras"]),
            f"{load['rate_hz']:.0f}",
            f"{row['results_per_s']:.1f}",
            f"{row['latency']['median_ms']:.1f}",
            f"{row['latency']['p95_ms']:.1f}",
            f"{image['median_ms']:.1f}" if image else "",
            f"{row['dropped']}/{row['sent']}",
            f"{row['cpu_s_per_s']:.2f}",
            f"{row['rss_mib']:.0f}",
        )
    return table


def _print_soak(soak: Results, console: Console) -> None:
    console.print(_node_table("soak, one row a window", soak["windows"]))
    console.print(
        f"{soak['frames_processed']} frames; from the first window to the last, the median "
        f"latency grew by {soak['latency_growth_ms']:.1f} ms and the memory by "
        f"{soak['rss_growth_mib']:.1f} MiB."
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        is_text = column in ("stage", "size", "floor is")
        table.add_column(column, justify="left" if is_text else "right")
    return table


def _size(row: Results) -> str:
    return f"{row['width']}x{row['height']}"


def _range(found: list[int]) -> str:
    fewest, most = found
    return str(fewest) if fewest == most else f"{fewest} to {most}"
