import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from deepfer_ros.web.sockets import first_to_end


class LeftError(Exception):
    """The other side has left."""


async def _fail() -> None:
    raise LeftError


async def _fail_when_cancelled() -> None:
    try:
        await asyncio.sleep(60)
    finally:
        raise LeftError


async def _last() -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("other", [_fail, _fail_when_cancelled, _last])
def test_what_the_first_raises_is_raised_and_nothing_else_is_printed(
    other: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    reported: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: reported.append(context)
        )
        with pytest.raises(LeftError):
            await first_to_end(_fail(), other())
        gc.collect()

    asyncio.run(run())

    assert reported == []
