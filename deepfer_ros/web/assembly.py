"""Put the parts of the web server together."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepfer_ros.web.access import Access
from deepfer_ros.web.application import WebServices, create_application
from deepfer_ros.web.browser_camera import BrowserCamera, ImageSink
from deepfer_ros.web.classifier_process import ClassifierProcess
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.live import LiveHub
from deepfer_ros.web.server import Certificate, ServedApplication, WebServer


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How the server is set up.

    Attributes:
        labels: The model's labels in their order.
        model: Classifies uploads; see `load_bundle`.
        detector: See `load_detector`.
        yunet_file: See the parameter of the emotion node.
        token: What visitors must show; None lets everybody in.
        host_names: Further names of this machine.
        limits: What a visitor may take.
        certificate: For TLS.
    """

    labels: Sequence[str]
    model: str = "deepfer48"
    detector: str = "auto"
    yunet_file: str = ""
    token: str | None = None
    host_names: Sequence[str] = ()
    limits: WebLimits = field(default_factory=WebLimits)
    certificate: Certificate | None = None


class LiveServer:
    """The server with its hub: what feeds it calls `tell`.

    Args:
        listener: Where it listens.
        options: How it is set up.
        on_watched: Told, in the thread of the event loop, whose pictures are wanted.
        sink: Takes the pictures of a browser's camera; None switches that off.
        on_failure: See `WebServer`.

    Raises:
        AccessError: The token is not good.
    """

    def __init__(
        self,
        listener: socket.socket,
        options: WebOptions,
        on_watched: Callable[[frozenset[str]], None],
        sink: ImageSink | None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._sink = sink
        port = listener.getsockname()[1]
        self._access = Access(token=options.token, host_names=options.host_names, port=port)
        self._hub = LiveHub(options.limits, on_watched)
        self._server = WebServer(
            listener, self._create, options.limits, options.certificate, on_failure
        )
        self.port: int = port

    def start(self) -> None:
        """Start to serve; see `WebServer.start`."""
        self._server.start()

    def raise_failure(self) -> None:
        """Raise what has ended the server, if it has failed."""
        self._server.raise_failure()

    def stop(self) -> None:
        """End."""
        self._server.stop()

    def tell(self, act: Callable[[LiveHub], None]) -> None:
        """Have something done with the hub, soon and in its own thread. For all threads."""
        self._server.call(act, self._hub)

    def _create(self) -> ServedApplication:
        options, hub = self._options, self._hub
        classifier = ClassifierProcess(
            options.model, options.detector, options.yunet_file, options.limits
        )
        camera = None if self._sink is None else BrowserCamera(self._sink, options.limits)
        services = WebServices(
            hub=hub,
            classifier=classifier,
            browser_camera=camera,
            access=self._access,
            limits=options.limits,
            labels=options.labels,
            secure=options.certificate is not None,
        )

        def close() -> None:
            hub.close()
            if camera is not None:
                camera.close()

        async def end_classifying() -> None:
            """Answer the visitors whose uploads are under way, so that they can leave."""
            await ended.wait()
            await classifier.close()

        ended = asyncio.Event()

        def background() -> list[Coroutine[Any, Any, None]]:
            return [hub.report(), end_classifying()]

        def close_all() -> None:
            close()
            ended.set()

        return ServedApplication(
            create_application(services), background, close_all, classifier.close
        )
