"""Run the application in a thread: sockets, connections and their end."""

import asyncio
import fcntl
import functools
import inspect
import socket
import ssl
import sys
import termios
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
_FAREWELL_S = 1.0
_ABORT_S = 1.0
_BACKLOG = 128
# How often a connection is looked at in the time after which it is closed.
_LOOKS = 4


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

    def refuse_pass_phrase() -> str:
        # Without this OpenSSL asks on the terminal, where often nobody is.
        raise AccessError(
            f"The private key {files.private_key} is encrypted, and nobody is asked for its pass "
            "phrase; give a key without one, as 'openssl pkey -in KEY -out PLAIN_KEY' makes it."
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.certificate, files.private_key, refuse_pass_phrase)
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
        on_failure: Called in the thread when the server has failed, which ends the thread.
            `raise_failure` then raises the same in any other thread.

    Raises:
        AccessError: The certificate cannot be used.
    """

    def __init__(
        self,
        listener: socket.socket,
        create: Callable[[], "ServedApplication"],
        limits: WebLimits,
        certificate: Certificate | None = None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._listener = listener
        self._create = create
        self._limits = limits
        self._connections = _Connections(limits)
        self._certificate = certificate
        self._on_failure = on_failure
        if certificate is not None:
            check_certificate(certificate)
        self._is_ready = threading.Event()
        self._served: ServedApplication | None = None
        self._server: uvicorn.Server | None = None
        self._leave: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="web_server")

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        """Start to serve, and wait until it does.

        Raises:
            TimeoutError: It does not in time.
        """
        self._thread.start()
        if not self._is_ready.wait(_START_S):
            raise TimeoutError(
                f"The web server has not started within {_START_S:g} s; try again when the "
                "machine is less busy."
            )
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what has ended the server's thread, if it has failed."""
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
        # Who still sends or takes something is cut off; what works for them ends by itself.
        self.call(self._connections.abort)
        self._thread.join(_ABORT_S)
        if self._thread.is_alive() and self._server is not None:
            self._server.force_exit = True
        self._thread.join()

    def _begin_end(self) -> None:
        if self._served is not None:
            self._served.close()
        if self._server is not None:
            self._leave = asyncio.ensure_future(self._take_leave(self._server))

    async def _take_leave(self, server: uvicorn.Server) -> None:
        # uvicorn closes WebSockets without a word, so those who are being told why go first.
        if server.server_state.tasks:
            await asyncio.wait(server.server_state.tasks, timeout=_FAREWELL_S)
        server.should_exit = True

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as err:
            self._failure = err
            self._on_failure()
            if self._is_ready.is_set():
                raise
        finally:
            self.loop = None
            self._listener.close()
            self._is_ready.set()

    async def _serve(self) -> None:
        self.loop = loop = asyncio.get_running_loop()
        if self._certificate is not None:
            # uvicorn does not pass on how long the beginning of TLS may take.
            loop.create_server = functools.partial(  # type: ignore[method-assign]
                loop.create_server, ssl_handshake_timeout=self._limits.request_head_s
            )
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
            "http": self._connections.make_protocol,
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
            "timeout_keep_alive": self._limits.request_head_s,
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


class _Connections:
    """Counts the connections of a server and makes what speaks on them.

    Args:
        limits: How many there may be, and how long each may be idle.
    """

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._transports: set[asyncio.Transport] = set()

    def make_protocol(self, **options: Any) -> asyncio.BaseProtocol:  # noqa: ANN401
        """Return what speaks on the next connection; uvicorn chooses the options."""
        return _HttpProtocol(self, self._limits.request_head_s, options)

    def admit(self, transport: asyncio.Transport) -> bool:
        """Count a connection, or close it at once; return whether it may stay."""
        # One that became a WebSocket ends without a word to this class.
        ended = [one for one in self._transports if _has_ended(one)]
        self._transports.difference_update(ended)
        if len(self._transports) >= self._limits.connections:
            transport.abort()
            return False
        self._transports.add(transport)
        return True

    def abort(self) -> None:
        """Cut all connections off."""
        for transport in self._transports:
            transport.abort()


def _has_ended(transport: asyncio.Transport) -> bool:
    """Return whether a connection is closed and has nothing more to send."""
    return transport.is_closing() and not _buffered_bytes(transport)


def _buffered_bytes(transport: asyncio.Transport) -> int:
    """Return how much of what was written to a connection asyncio still has."""
    try:
        return transport.get_write_buffer_size()
    # asyncio's own TLS, once the connection has ended.
    except AttributeError:
        return 0


def _unsent_bytes(transport: asyncio.Transport) -> int:
    """Return how much of what was written to an open connection has not reached the other side."""
    # The system's buffer holds megabytes, and asks for more only when a good part has gone.
    queued = fcntl.ioctl(transport.get_extra_info("socket"), termios.TIOCOUTQ, bytes(4))
    return _buffered_bytes(transport) + int.from_bytes(queued, sys.byteorder)


class _HttpProtocol(H11Protocol):
    """uvicorn's HTTP on one connection, until it becomes a WebSocket or ends."""

    def __init__(self, connections: _Connections, idle_s: float, options: dict[str, Any]) -> None:
        super().__init__(**options)
        self._connections = connections
        self._idle_s = idle_s
        self._unsent = 0
        self._busy_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if not self._connections.admit(transport):
            # uvicorn closes it once more at the end.
            self.transport = transport
            return
        super().connection_made(transport)
        self._busy_s = self.loop.time()
        self._look(transport)

    def on_response_complete(self) -> None:
        self._busy_s = self.loop.time()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        # For uvicorn an answer is complete when it waits to be sent.
        if not _buffered_bytes(self.transport):
            super().timeout_keep_alive_handler()

    def _look(self, transport: asyncio.Transport) -> None:
        """Close the connection if it has been idle for too long, else look again later.

        Idle is who neither waits for an answer nor takes one.
        """
        if _has_ended(transport) or transport.get_protocol() is not self:
            return
        now_s, unsent = self.loop.time(), _unsent_bytes(transport)
        waits = self.cycle is not None and not self.cycle.response_complete
        if unsent != self._unsent or (waits and not unsent):
            self._busy_s = now_s
        self._unsent = unsent
        if now_s - self._busy_s > self._idle_s:
            transport.abort()
        else:
            self.loop.call_later(self._idle_s / _LOOKS, self._look, transport)
