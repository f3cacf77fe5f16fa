import os

import pytest

from deepfer_ros import still_images


@pytest.mark.parametrize(("before", "after"), [(0, 10), (10, 10), (15, 15), (19, 19)])
def test_the_thread_becomes_nicer_but_never_less_nice(
    monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    """Only who has the right to may become less nice."""
    chosen: list[int] = []
    monkeypatch.setattr(still_images.sys, "platform", "linux")
    monkeypatch.setattr(os, "getpriority", lambda which, who: before)
    monkeypatch.setattr(os, "setpriority", lambda which, who, priority: chosen.append(priority))

    still_images._give_way_to_stream()

    assert chosen == [after]


def test_a_system_without_priorities_is_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)

    still_images._give_way_to_stream()
