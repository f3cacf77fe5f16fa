"""Note the signals that end a program, so that it can end in its own time."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class StopSignals:
    """Notes SIGINT, SIGTERM and SIGHUP instead of ending the program, inside a `with` block.

    True once one of them has come. One that is ignored, as SIGHUP is under `nohup`, stays so.
    """

    _NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._received = False
        self._interrupts = False
        self._previous: dict[signal.Signals, object] = {}

    def __bool__(self) -> bool:
        return self._received

    def __enter__(self) -> "StopSignals":
        for number in self._NUMBERS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise KeyboardInterrupt inside the block, too, when one of them comes."""
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False

    def _on_signal(self, number: int, frame: object) -> None:
        self._received = True
        if self._interrupts:
            # Once: what cleans up after it shall not be interrupted in turn.
            self._interrupts = False
            raise KeyboardInterrupt
