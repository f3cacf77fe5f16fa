"""Show the results of the benchmark as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

Results = dict[str, Any]

# A publisher that sends less than this share of what it was asked for is worth a line.
_FULL_SHARE = 0.95


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
        _print_node("node over topics", results["node"]["runs"], console)
        console.print(
            "Start of the process to the first emotion: "
            f"{results['node']['start_median_s']:.2f} s (median)"
        )
    if "cameras" in results:
        _print_node("node with several cameras", results["cameras"], console)
    if "flood" in results:
        _print_node("node, flooded", results["flood"], console)
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


def _print_node(title: str, rows: list[Results], console: Console) -> None:
    """Print a table of the node's runs, and below it what its numbers could hide."""
    console.print(_node_table(title, rows))
    notes = [note for row in rows for note in (_note_silent(row), _note_slow(row)) if note]
    # The windows of a soak may all have the same.
    for note in dict.fromkeys(notes):
        console.print(note)


def _note_silent(row: Results) -> str:
    """Say which cameras have no result; nothing if all have."""
    silent = [count["camera"] for count in row["by_camera"] if not count["received"]]
    if not silent:
        return ""
    cameras = row["load"]["cameras"]
    return f"No result of {len(silent)} of {cameras} cameras: {', '.join(silent)}."


def _note_slow(row: Results) -> str:
    """Say that the publisher sent less than it was asked for; nothing if it did not."""
    load = row["load"]
    asked_per_s = load["rate_hz"] * load["cameras"]
    if row["sent_per_s"] >= _FULL_SHARE * asked_per_s:
        return ""
    return (
        f"{_size(load)}: asked for {asked_per_s:.0f} images a second, the publisher could send "
        f"{row['sent_per_s']:.0f}."
    )


def _node_table(title: str, rows: list[Results]) -> Table:
    # As narrow as a terminal. The annotated image has a latency where somebody subscribes to it.
    # In and out are of all cameras together, as they really were.
    columns = ("size", "cams", "in Hz", "out Hz", "ms", "p95 ms", "image ms", "dropped")
    table = _table(title, *columns, "CPU s/s", "MiB")
    for row in rows:
        load, image = row["load"], row["image_latency"]
        table.add_row(
            _size(load),
            str(load["cameras"]),
            f"{row['sent_per_s']:.1f}",
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
    _print_node("soak, one row a window", soak["windows"], console)
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
