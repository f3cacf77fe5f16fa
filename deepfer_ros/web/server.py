"""Run the application in a thread: sockets, connections and their end."""

import asyncio
import inspect
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from deepfer_ros.web.access import AccessError
from deepfer_ros.web.guard import Application
from deepfer_ros.web.limits import WebLimits

_START_S = 10.0
_END_S = 3.0
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files with which the server speaks TLS.

    Attributes:
        certificate: PEM, with the chain.
        private_key: PEM.
    """

    certificate: str
    private_key: str


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Name or address.
        port: 0 for any that is free.

    Raises:
        AccessError: The port is in use, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    # UnicodeError: a name that no host can have. OverflowError: a port above 65535.
    except (OSError, UnicodeError, OverflowError) as err:
        raise AccessError(
            f"The server cannot listen on {host}, port {port}: {err}. Choose another port, or end "
            "the program that uses this one."
        ) from err
    listener.setblocking(False)
    return listener


def check_certificate(files: Certificate) -> None:
    """Make sure that the server can speak TLS with these files.

    Raises:
        AccessError: It cannot.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.certificate, files.private_key)
    except (OSError, ssl.SSLError) as err:
        raise AccessError(
            f"The certificate {files.certificate} with the private key {files.private_key} cannot "
            f"be used: {err}."
        ) from err


class WebServer:
    """Serves an application in a thread of its own.

    Args:
        listener: Where it listens; closed at the end.
        create: Makes the application, in the thread of the server's event loop.
        limits: How many connections, and how large messages.
        certificate: For TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        create: Callable[[], "ServedApplication"],
        limits: WebLimits,
        certificate: Certificate | None = None,
    ) -> None:
        self._listener = listener
        self._create = create
        self._limits = limits
        self._certificate = certificate
        self._is_ready = threading.Event()
        self._served: ServedApplication | None = None
        self._server: uvicorn.Server | None = None
        self._failure: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="web_server")

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        """Start to serve, and wait until it does."""
        self._thread.start()
        self._is_ready.wait(_START_S)
        if self._failure is not None:
            raise self._failure

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Have the event loop's thread call something; nothing happens after the end."""
        loop = self.loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop has ended between the two lines above.
            return

    def stop(self) -> None:
        """Take leave of all visitors and end the thread."""
        if not self._thread.is_alive():
            self._listener.close()
            return
        self.call(self._begin_end)
        self._thread.join(_END_S)
        if self._thread.is_alive() and self._server is not None:
            self._server.force_exit = True
        self._thread.join()

    def _begin_end(self) -> None:
        if self._served is not None:
            self._served.close()
        if self._server is not None:
            self._server.should_exit = True

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as err:
            self._failure = err
            if self._is_ready.is_set():
                raise
        finally:
            self.loop = None
            self._listener.close()
            self._is_ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._served = served = self._create()
        self._server = server = uvicorn.Server(self._config(served.application))
        background = [asyncio.ensure_future(work) for work in served.background()]
        self._is_ready.set()
        try:
            await server.serve(sockets=[self._listener])
        finally:
            served.close()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await served.clean_up()

    def _config(self, application: Application) -> uvicorn.Config:
        certificate = self._certificate
        options: dict[str, Any] = {
            "http": _guarded_protocol(self._limits),
            "ws": "auto",
            # Compression would cost more than it saves: JPEG pictures do not shrink.
            "ws_per_message_deflate": False,
            # A little above what is allowed, so that the answer can say what the limit is.
            "ws_max_size": 2 * self._limits.camera_bytes,
            "lifespan": "off",
            "interface": "asgi3",
            "log_config": None,
            "log_level": "error",
            "access_log": False,
            "server_header": False,
            "date_header": False,
            # Nobody stands before this server whose word about visitors would count.
            "proxy_headers": False,
            "ssl_certfile": certificate.certificate if certificate else None,
            "ssl_keyfile": certificate.private_key if certificate else None,
        }
        # Old versions do not know all of them.
        known = inspect.signature(uvicorn.Config).parameters
        return uvicorn.Config(
            application,  # type: ignore[arg-type]
            **{name: value for name, value in options.items() if name in known},
        )


@dataclass(frozen=True, slots=True, eq=False)
class ServedApplication:
    """An application and what runs beside it.

    Attributes:
        application: Answers requests.
        background: Returns works that go on until the end.
        close: Ends the conversations with all visitors; may be called twice.
        clean_up: Frees everything after the last request.
    """

    application: Application
    background: Callable[[], list[Coroutine[Any, Any, None]]]
    close: Callable[[], None]
    clean_up: Callable[[], Coroutine[Any, Any, None]]


def _guarded_protocol(limits: WebLimits) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol, with an end to idle and to too many connections."""
    transports: set[asyncio.Transport] = set()

    class GuardedProtocol(H11Protocol):
        """One connection, until it becomes a WebSocket or ends."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Take a connection, or close it at once."""
            # A connection that became a WebSocket ends without a word to this class.
            transports.difference_update([one for one in transports if one.is_closing()])
            if len(transports) >= limits.connections:
                transport.abort()
                return
            transports.add(transport)
            super().connection_made(transport)
            self._own_transport = transport
            self._watch(is_idle=False)

        def _watch(self, *, is_idle: bool) -> None:
            """Close the connection if it had no request the last time and has none now."""
            if self._own_transport.is_closing() or self._became_websocket():
                return
            cycle = self.cycle
            was_idle, is_idle = is_idle, cycle is None or cycle.response_complete
            if was_idle and is_idle:
                self._own_transport.abort()
                return
            asyncio.get_running_loop().call_later(
                limits.request_head_s / 2, lambda: self._watch(is_idle=is_idle)
            )

        def _became_websocket(self) -> bool:
            return self._own_transport.get_protocol() is not self

    return GuardedProtocol
