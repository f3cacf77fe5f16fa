"""Run the demo: start the nodes, listen, show, and end everything again."""

import contextlib
import os
import re
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import click
from rich.console import Console
from rich.live import Live

from deepfer_ros.cli.emotion_log import EmotionLog
from deepfer_ros.cli.emotion_view import live_view, plain_line, summary_line
from deepfer_ros.cli.emotion_watcher import EmotionWatcher
from deepfer_ros.cli.node_processes import (
    CAMERA_MODULE,
    EMOTION_MODULE,
    WEB_MODULE,
    LogLine,
    NodeGroup,
    NodeParameters,
    parameter_arguments,
)
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import encode_image
from deepfer_ros.stop_signals import StopSignals
from deepfer_ros.transport import prepare_transport
from deepfer_ros.web.emotion_cameras import EMOTION_CAMERAS

# Loading a Keras model can take this long on a small machine; other failures show at once.
_START_TIMEOUT_S = 30.0
_STEP_S = 0.1
_LINE_PERIOD_S = 1.0
_RIVALS_PERIOD_S = 3.0
_PAGE = re.compile(r"Open (https?://\S+) in a browser\.")


class _Display(Protocol):
    """What shows the progress."""

    def update(self, log: EmotionLog) -> None:
        """Show the present state."""

    def say(self, text: str) -> None:
        """Show one line of text that stays."""


def run_demo(
    *,
    camera_parameters: NodeParameters,
    emotion_parameters: NodeParameters,
    duration_s: float | None,
    snapshot_path: Path | None,
    has_web: bool = False,
) -> None:
    """Run until the time is up or a signal comes.

    Args:
        camera_parameters: Of the camera node; None leaves its default.
        emotion_parameters: Of the emotion node, likewise.
        duration_s: Seconds from the first result to the end; None goes on until a signal.
        snapshot_path: Where to write an annotated picture.
        has_web: Whether to serve the page in the browser, and open it where there is a screen.

    Raises:
        click.ClickException: A node ended, no results came, or the picture could not be written.
    """
    prepare_transport()
    console = Console()
    if has_web:
        emotion_parameters = {**emotion_parameters, **EMOTION_CAMERAS}
    ros_arguments = {
        CAMERA_MODULE: parameter_arguments(camera_parameters),
        EMOTION_MODULE: parameter_arguments(emotion_parameters),
        **({WEB_MODULE: parameter_arguments({})} if has_web else {}),
    }
    with (
        StopSignals() as stop,
        # Before ROS is started here: a process with many threads is hard to fork.
        NodeGroup(ros_arguments, captured=True) as nodes,
        contextlib.closing(EmotionWatcher(wants_images=snapshot_path is not None)) as watcher,
    ):
        with _display(console) as display:
            _watch(watcher, nodes, display, stop, duration_s)
        nodes.end()
        console.print(summary_line(watcher.log), markup=False, highlight=False, soft_wrap=True)
        if snapshot_path is not None:
            text = _save_snapshot(watcher, snapshot_path)
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def _watch(
    watcher: EmotionWatcher,
    nodes: NodeGroup,
    display: _Display,
    stop: StopSignals,
    duration_s: float | None,
) -> None:
    """Show results until the time is up or a signal comes.

    Raises:
        click.ClickException: A node ended, or no results came.
    """
    log = watcher.log
    start_s = time.monotonic()
    first_s: float | None = None
    rivals_due_s = start_s + _RIVALS_PERIOD_S
    while not stop:
        watcher.spin_for(_STEP_S)
        now_s = time.monotonic()
        for line in nodes.drain_lines():
            _show(line, display)
            _open_page(line)
        if log.frames and first_s is None:
            first_s = now_s
        if first_s is not None and duration_s is not None and now_s - first_s >= duration_s:
            return
        _check_nodes(nodes, has_results=first_s is not None, waited_s=now_s - start_s)
        if rivals_due_s <= now_s:
            rivals_due_s = _warn_about_rivals(watcher, display)
        display.update(log)


def _check_nodes(nodes: NodeGroup, *, has_results: bool, waited_s: float) -> None:
    """Make sure that results come, or will come.

    Raises:
        click.ClickException: They will not; the text says why.
    """
    ended = nodes.ended
    if ended is not None:
        words = ended.last_words
        is_named = words.startswith(ended.name)
        raise click.ClickException(words if is_named else f"{ended.name} has ended: {words}")
    if has_results:
        return
    for node in nodes.nodes:
        # A node that cannot be configured lives on and waits for a better parameter.
        if node.first_error:
            raise click.ClickException(f"{node.name} does not work: {node.first_error}")
    if waited_s > _START_TIMEOUT_S:
        words = "; ".join(f"{node.name}: {node.last_words}" for node in nodes.nodes)
        raise click.ClickException(
            f"No result arrived on the topic 'emotions' within {_START_TIMEOUT_S:g} s. The last "
            f"words of the nodes were: {words}. 'deepfer doctor' checks the installation."
        )


def _warn_about_rivals(watcher: EmotionWatcher, display: _Display) -> float:
    """Warn once if others publish the same topics; return when to look again."""
    rivals = watcher.rivals()
    if not rivals:
        return time.monotonic() + _RIVALS_PERIOD_S
    display.say(
        f"Warning: {' and '.join(rivals)}, so results may be mixed up. End the other node, or set "
        "ROS_DOMAIN_ID to another number for this demo."
    )
    return float("inf")


def _show(line: LogLine, display: _Display) -> None:
    # What does not come from ROS's log is chatter of libraries, which is kept for errors only, or
    # an address with a token, which is kept out of the log.
    if line.severity == "INFO" or _page(line) is not None:
        display.say(f"{line.node}: {line.text}")
    elif line.severity not in ("", "DEBUG"):
        display.say(f"{line.node}: {line.severity.capitalize()}: {line.text}")


def _open_page(line: LogLine) -> None:
    """Open the page of the web node in a browser, when it says where and there is a screen."""
    page = _page(line)
    if page is not None and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(page)


def _page(line: LogLine) -> str | None:
    """Return the address of the page, if this is where the web node says it."""
    match = _PAGE.fullmatch(line.text) if line.node == "web_node" else None
    return match[1] if match else None


def _save_snapshot(watcher: EmotionWatcher, path: Path) -> str:
    """Write the picture and return what to say about it.

    Raises:
        click.ClickException: There is none, or it cannot be written.
    """
    snapshot = watcher.snapshot()
    if snapshot is None:
        raise click.ClickException(
            "There is no snapshot: no annotated picture arrived on the topic 'emotions/image'."
        )
    try:
        path.write_bytes(encode_image(snapshot.image_bgr, path.suffix))
    except (OSError, ImageError) as err:
        raise click.ClickException(f"The snapshot {path} could not be written: {err}") from err
    if not snapshot.faces:
        return f"Snapshot without a face (none was found in time): {path}"
    return f"Snapshot with {snapshot.faces} face{'s' * (snapshot.faces > 1)}: {path}"


@contextlib.contextmanager
def _display(console: Console) -> Iterator[_Display]:
    if console.is_terminal:
        with _LiveDisplay(console) as display:
            yield display
    else:
        yield _LineDisplay(console)


class _LiveDisplay:
    """A table that is drawn again in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, redirect_stderr=False)

    def __enter__(self) -> "_LiveDisplay":
        self._live.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._live.stop()

    def update(self, log: EmotionLog) -> None:
        """See `_Display.update`."""
        view = live_view(
            log,
            now_s=time.monotonic(),
            width=self._console.width,
            is_ascii=not self._console.encoding.startswith("utf"),
        )
        self._live.update(view, refresh=True)

    def say(self, text: str) -> None:
        """See `_Display.say`."""
        self._console.print(text, markup=False, highlight=False, style="dim")


class _LineDisplay:
    """About one line a second, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # The first line comes when there is a rate to tell.
        self._due_s: float | None = None

    def update(self, log: EmotionLog) -> None:
        """See `_Display.update`."""
        now_s = time.monotonic()
        if not log.frames:
            return
        if self._due_s is None:
            self._due_s = now_s + _LINE_PERIOD_S
        if now_s >= self._due_s:
            self._due_s += _LINE_PERIOD_S
            self.say(plain_line(log, now_s=now_s))

    def say(self, text: str) -> None:
        """See `_Display.say`."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
