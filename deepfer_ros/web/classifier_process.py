"""Start, use and end the process that classifies uploads."""

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.problems import ProblemError

_MODULE = "deepfer_ros.web.classify_worker"
_MAX_ANSWER_LINE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """What a visitor has sent.

    Attributes:
        kind: `image` or `video`.
        name: What results and errors call it.
        data: The file.
        annotate: Whether an annotated picture is wanted.
    """

    kind: str
    name: str
    data: bytes
    annotate: bool


@dataclass(frozen=True, slots=True)
class Classified:
    """What became of an upload.

    Attributes:
        result: As JSON holds it.
        jpeg: The annotated picture; empty if none was wanted.
    """

    result: dict[str, Any]
    jpeg: bytes


class ClassifierProcess:
    """Classifies uploads one after another in a process that is started for the first of them.

    Args:
        model: Name or path of a model.
        detector: Name of a face detector.
        yunet_file: See the parameter of the emotion node.
        limits: How many uploads may be here at once, and how long each may take.
    """

    def __init__(self, model: str, detector: str, yunet_file: str, limits: WebLimits) -> None:
        self.model = model
        self.detector: str | None = None
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._uploads = 0
        self._is_closed = False
        given = json.dumps(dataclasses.asdict(limits))
        self._command = [
            sys.executable,
            *("-m", _MODULE, "--model", model, "--detector", detector, "--limits", given),
            *(["--yunet-file", yunet_file] if yunet_file else []),
        ]

    @property
    def state(self) -> str:
        """`idle` before the first upload, then `busy` or `ready`."""
        if self._turn.locked():
            return "busy"
        return "ready" if self._process is not None else "idle"

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Have a place for an upload, from before it is received until it is answered.

        Raises:
            ProblemError: All are taken.
        """
        self._check_open()
        if self._uploads >= self._limits.uploads:
            raise ProblemError(
                503,
                f"{self._uploads} uploads are being worked on already; try again later.",
                retry_after_s=1,
            )
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    async def classify(self, upload: Upload) -> Classified:
        """Classify an upload.

        Raises:
            ProblemError: It cannot be used, takes too long, or the server ends.
        """
        timeout_s = self._limits.video_s if upload.kind == "video" else self._limits.image_s
        async with self._turn:
            # The server may have ended while others were worked on.
            self._check_open()
            finished = False
            try:
                head, jpeg = await asyncio.wait_for(self._ask(upload), timeout_s)
                finished = True
            except asyncio.TimeoutError as err:
                raise ProblemError(
                    504,
                    f"{upload.name} could not be classified within {timeout_s:g} s; send less.",
                ) from err
            except (OSError, EOFError, ValueError) as err:
                self._check_open()
                raise ProblemError(
                    422, f"{upload.name} could not be read: the decoder broke."
                ) from err
            finally:
                # Also if the visitor has left: the answer must not be taken for the next one's.
                if not finished:
                    await self._end()
        if "status" in head:
            raise ProblemError(head["status"], head["detail"])
        self.detector = head["detector"]
        return Classified(head["result"], jpeg)

    async def close(self) -> None:
        """End the process, whatever it does."""
        self._is_closed = True
        await self._end()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ProblemError(503, "The server ends.")

    async def _ask(self, upload: Upload) -> tuple[dict[str, Any], bytes]:
        """Return the line and the bytes that the process answers."""
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        head = {
            "kind": upload.kind,
            "name": upload.name,
            "annotate": upload.annotate,
            "bytes": len(upload.data),
        }
        process.stdin.write(json.dumps(head).encode() + b"\n")
        process.stdin.write(upload.data)
        await process.stdin.drain()
        answer = json.loads(await process.stdout.readuntil(b"\n"))
        return answer, await process.stdout.readexactly(answer["bytes"])

    async def _running(self) -> asyncio.subprocess.Process:
        """Return the process, started if need be.

        Raises:
            ProblemError: It cannot start, or the server ends.
        """
        if self._process is None or self._process.returncode is not None:
            try:
                self._process = process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    # No module of the same name in the current folder shall be taken instead.
                    env=os.environ | {"PYTHONSAFEPATH": "1"},
                    limit=_MAX_ANSWER_LINE,
                )
            except OSError as err:
                raise ProblemError(
                    503, f"What classifies uploads cannot start: {err.strerror}."
                ) from err
            # `close` did not see a process that was about to start.
            self._check_open()
            assert process.stdout is not None
            # A line says that it is up; only an end after that is the upload's fault.
            if not await process.stdout.readline():
                self._check_open()
                raise ProblemError(
                    503, "What classifies uploads cannot start; the server's log says more."
                )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
