"""Draw the results of the benchmark as a picture: an SVG file, written without any library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

Results = dict[str, Any]
Points = tuple[tuple[float, float], ...]
# Milliseconds by ((width, height), faces).
Costs = dict[tuple[tuple[int, int], int], float]

CHARTED_SECTIONS = ("recognize", "cameras")

_PANEL_WIDTH, _PANEL_HEIGHT = 300, 220
_LEFT, _TOP, _GAP, _BOTTOM = 50, 56, 62, 46
# Okabe & Ito's palette (2008): distinguishable with every kind of colour blindness.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}"
    ".axis{stroke:#888}.grid{stroke:#ddd}.line{fill:none;stroke-width:2}"
)
_FLOOR_STAGES = ("detect", "crop", "classify")
_GRID_LINES = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel.

    Attributes:
        name: What it is.
        points: x and y of each point, in the units of the axes.
        dashed: Drawn dashed: a floor.
    """

    name: str
    points: Points
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram; both axes begin at 0.

    Attributes:
        title: What the lines show.
        x_name: What the x-axis counts.
        lines: The lines.
    """

    title: str
    x_name: str
    lines: tuple[Line, ...]


def draw_chart(results: Results) -> str:
    """Return an SVG picture of the cost against faces, pixels and cameras.

    Args:
        results: What `run_bench` returns; one of its sections must be among `CHARTED_SECTIONS`.
    """
    panels = _panels(results)
    width = _LEFT + len(panels) * (_PANEL_WIDTH + _GAP)
    height = _TOP + _PANEL_HEIGHT + _BOTTOM + 16 * max(len(panel.lines) for panel in panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(_LEFT, 18, _describe(results)),
    ]
    for index, panel in enumerate(panels):
        parts += _draw_panel(panel, _LEFT + index * (_PANEL_WIDTH + _GAP))
    return "\n".join([*parts, "</svg>", ""])


def _panels(results: Results) -> list[Panel]:
    panels = []
    if "recognize" in results:
        costs_ms = {
            ((row["width"], row["height"]), row["faces"]): row["timing"]["median_ms"]
            for row in results["recognize"]
        }
        floors_ms = _floors_ms(results.get("stages", []))
        panels += [_faces_panel(costs_ms, floors_ms), _pixels_panel(costs_ms, floors_ms)]
    if "cameras" in results:
        panels.append(_cameras_panel(results["cameras"]))
    return panels


def _faces_panel(costs_ms: Costs, floors_ms: Costs) -> Panel:
    sizes = sorted({size for size, _ in costs_ms})
    lines = [Line(f"{size[0]}x{size[1]}", _by_faces(costs_ms, size)) for size in sizes]
    floor = _by_faces(floors_ms, sizes[0])
    if floor:
        lines.append(Line(f"floor of {sizes[0][0]}x{sizes[0][1]}", floor, dashed=True))
    return Panel("recognize(), ms a frame", "faces", tuple(lines))


def _pixels_panel(costs_ms: Costs, floors_ms: Costs) -> Panel:
    counts = sorted({faces for _, faces in costs_ms})
    lines = [
        Line(f"{faces} face{'s' if faces > 1 else ''}", _by_pixels(costs_ms, faces))
        for faces in counts
    ]
    floor = _by_pixels(floors_ms, counts[0])
    if floor:
        lines.append(Line("floor of 1 face", floor, dashed=True))
    return Panel("recognize(), ms a frame", "million pixels", tuple(lines))


def _cameras_panel(runs: list[Results]) -> Panel:
    counts = [run["load"]["cameras"] for run in runs]
    latencies_ms = [run["latency"]["median_ms"] for run in runs]
    cpu_percent = [100 * run["cpu_s_per_s"] for run in runs]
    return Panel(
        "node, 640x480 at 30 Hz a camera",
        "cameras",
        (
            Line("median latency, ms", tuple(zip(counts, latencies_ms, strict=True))),
            Line("processor, % of a core", tuple(zip(counts, cpu_percent, strict=True))),
        ),
    )


def _floors_ms(stages: list[Results]) -> Costs:
    """Return the sum of the floors of the stages of `recognize()`, where all have one."""
    rows: dict[tuple[tuple[int, int], int], list[float | None]] = {}
    for row in stages:
        if row["stage"].startswith(_FLOOR_STAGES):
            key = (row["width"], row["height"]), row["faces"]
            rows.setdefault(key, []).append(row["floor_ms"])
    return {
        key: sum(floor for floor in floors if floor is not None)
        for key, floors in rows.items()
        if None not in floors
    }


def _by_faces(costs_ms: Costs, size: tuple[int, int]) -> Points:
    return tuple(sorted((faces, cost) for (own, faces), cost in costs_ms.items() if own == size))


def _by_pixels(costs_ms: Costs, faces: int) -> Points:
    return tuple(
        sorted(
            (size[0] * size[1] / 1e6, cost)
            for (size, own), cost in costs_ms.items()
            if own == faces
        )
    )


def _draw_panel(panel: Panel, left: float) -> list[str]:
    """Return the parts of one diagram: title, grid, axes, lines and what they are."""
    x_step = _nice_step(max(x for line in panel.lines for x, _ in line.points))
    y_step = _nice_step(max(y for line in panel.lines for _, y in line.points))
    bottom = _TOP + _PANEL_HEIGHT

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + x / (x_step * _GRID_LINES) * _PANEL_WIDTH,
            bottom - y / (y_step * _GRID_LINES) * _PANEL_HEIGHT,
        )

    parts = [_text(left, _TOP - 12, panel.title, 'class="title"')]
    for number in range(_GRID_LINES + 1):
        x, y = place(number * x_step, number * y_step)
        parts += [
            f'<path class="grid" d="M{left} {y:.1f}h{_PANEL_WIDTH}"/>',
            _text(left - 6, y + 4, f"{number * y_step:g}", 'text-anchor="end"'),
            _text(x, bottom + 16, f"{number * x_step:g}", 'text-anchor="middle"'),
        ]
    parts.append(f'<path class="axis" fill="none" d="M{left} {_TOP}V{bottom}h{_PANEL_WIDTH}"/>')
    parts.append(_text(left + _PANEL_WIDTH / 2, bottom + 34, panel.x_name, 'text-anchor="middle"'))
    for number, line in enumerate(panel.lines):
        parts += _draw_line(line, number, [place(x, y) for x, y in line.points], left)
    return parts


def _draw_line(
    line: Line, number: int, places: Sequence[tuple[float, float]], left: float
) -> list[str]:
    colour = "#555" if line.dashed else _COLOURS[number % len(_COLOURS)]
    style = f'class="line" stroke="{colour}"' + (' stroke-dasharray="5 4"' if line.dashed else "")
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    y = _TOP + _PANEL_HEIGHT + _BOTTOM + 16 * number
    return [
        f'<polyline {style} points="{points}"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places),
        f'<path {style} d="M{left} {y - 4}h24"/>',
        _text(left + 30, y, line.name),
    ]


def _nice_step(largest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that a few such steps reach the largest value."""
    wished = max(largest, 1e-6) / _GRID_LINES
    power = 10.0 ** math.floor(math.log10(wished))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wished)


def _describe(results: Results) -> str:
    machine = results["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores; detector {results['detector']}, "
        f"{results['model']}"
    )


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
