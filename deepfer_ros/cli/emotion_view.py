"""Show an `EmotionLog` in a terminal: as a live table, or as plain lines."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deepfer_ros.cli.emotion_log import EmotionLog, FaceReading

_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
_ASCII_FULL = "#"
# Of a face's column, at least: "surprise 100 %" and some space.
_MIN_FACE_WIDTH = 18
_PERCENT_WIDTH = len("100 %")
# Borders and padding of the panel.
_FRAME_WIDTH = 6
# Longer bars are no easier to read.
_MAX_WIDTH = 100


def bar(share: float, width: int, *, is_ascii: bool = False) -> str:
    """Return a horizontal bar, padded to its full width.

    Args:
        share: How much of it is filled, 0 to 1.
        width: Characters.
        is_ascii: Whether to do without block characters, which come in eighths.
    """
    share = min(max(share, 0.0), 1.0)
    if is_ascii:
        return (_ASCII_FULL * round(share * width)).ljust(width)
    full, eighths = divmod(round(share * width * 8), 8)
    return (_FULL * full + (_EIGHTHS[eighths] if eighths else "")).ljust(width)


def live_view(
    log: EmotionLog, *, now_s: float, width: int, is_ascii: bool = False
) -> RenderableType:
    """Return the table that is drawn again and again while results come in.

    Args:
        log: What has arrived.
        now_s: The present on the clock of the log.
        width: Columns of the terminal.
        is_ascii: Whether the terminal knows ASCII only.
    """
    width = min(width, _MAX_WIDTH)
    label_width = max((len(label) for label in log.labels), default=0)
    room = max(width - _FRAME_WIDTH - label_width, _MIN_FACE_WIDTH)
    faces = () if log.is_stale(now_s) else log.faces
    shown = faces[: max(room // (_MIN_FACE_WIDTH + 1), 1)]
    hidden = len(faces) - len(shown)
    face_width = room // max(len(shown), 1) - 2
    bar_width = max(face_width - _PERCENT_WIDTH - 1, 1)

    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False, expand=True)
    table.add_column(width=label_width, no_wrap=True)
    for _ in shown:
        table.add_column(no_wrap=True, ratio=1)
    if shown:
        table.add_row("", *(Text(f"face {face.face_id}", style="dim") for face in shown))
        table.add_row("", *(_headline(face) for face in shown))
        for index, label in enumerate(log.labels):
            table.add_row(
                label, *(_row(face, index, label, bar_width, is_ascii) for face in shown)
            )
    else:
        # As high as with faces, so that nothing jumps.
        table.add_column(no_wrap=True, ratio=1)
        table.add_row("", Text(_explain_no_face(log, now_s), style="yellow"))
        table.add_row("", "")
        for label in log.labels:
            table.add_row(Text(label, style="dim"), "")
    more = f"and {hidden} more face{'s' * (hidden > 1)}" if hidden else ""
    status = _status(log, now_s, width - _FRAME_WIDTH)
    return Panel(
        Group(table, Text(more, style="yellow"), status),
        title="deepfer demo",
        box=box.ROUNDED,
        padding=(0, 1),
        width=width,
    )


def plain_line(log: EmotionLog, *, now_s: float) -> str:
    """Return the present state as one line of text."""
    faces = "; ".join(
        f"face {face.face_id} {face.emotion} {_percent(face.confidence)}" for face in log.faces
    )
    if log.is_stale(now_s) or not faces:
        faces = _explain_no_face(log, now_s)
    return f"{_rate(log.rate_hz(now_s))}  {_latency(log, now_s)}  {faces}"


def summary_line(log: EmotionLog) -> str:
    """Return what came of it all, as one line of text."""
    seen = ", ".join(f"{emotion} {count}" for emotion, count in log.seen.most_common())
    latency_s = log.median_latency_s
    return (
        f"{log.frames} frames in {log.duration_s:.1f} s, {_rate(log.mean_rate_hz)}, "
        f"median latency {_milliseconds(latency_s)}, emotions seen: {seen or 'none'}"
    )


def _explain_no_face(log: EmotionLog, now_s: float) -> str:
    if not log.frames:
        return "waiting for the first result"
    return "no results at present" if log.is_stale(now_s) else "no face in the picture"


def _headline(face: FaceReading) -> Text:
    text = Text(face.emotion, style="bold green")
    return text.append(f" {_percent(face.confidence)}", style="not bold")


def _row(face: FaceReading, index: int, label: str, width: int, is_ascii: bool) -> Text:
    share = face.probabilities[index]
    style = "green" if label == face.emotion else "cyan"
    text = Text(bar(share, width, is_ascii=is_ascii), style=style)
    return text.append(f" {_percent(share):>{_PERCENT_WIDTH}}", style="default")


def _status(log: EmotionLog, now_s: float, width: int) -> Text:
    """Return the line of figures, without the less important ones where it is narrow."""
    parts: Sequence[str] = (
        _rate(log.rate_hz(now_s)),
        f"latency {_latency(log, now_s)}",
        f"{log.frames} frames",
        "Ctrl-C ends",
        f"model {log.model}" if log.model else "",
    )
    line = ""
    for part in filter(None, parts):
        longer = f"{line}   {part}" if line else part
        if line and len(longer) > width:
            break
        line = longer
    return Text(line, style="dim", no_wrap=True)


def _rate(rate_hz: float) -> str:
    return f"{rate_hz:.1f} Hz"


def _latency(log: EmotionLog, now_s: float) -> str:
    return _milliseconds(log.recent_latency_s(now_s))


def _milliseconds(latency_s: float | None) -> str:
    return "unknown" if latency_s is None else f"{latency_s * 1000:.0f} ms"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
