"""Tests of the signals that end a program."""

import os
import signal

import pytest

from deepfer_ros.stop_signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_the_handler_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignals() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
    assert signal.getsignal(number) == before


def test_what_asks_for_it_is_interrupted_once() -> None:
    with StopSignals() as stop, stop.interrupting():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert stop
        signal.raise_signal(signal.SIGTERM)


def test_what_comes_later_is_not_interrupted() -> None:
    with StopSignals() as stop:
        with stop.interrupting():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert stop


def test_what_is_ignored_stays_so() -> None:
    """Under nohup, a program outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop, stop.interrupting():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
