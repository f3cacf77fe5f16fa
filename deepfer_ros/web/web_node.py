"""The ROS node behind the page in the browser.

It shows whatever emotion nodes publish in its namespace, and does not recognize the stream
itself.
"""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter

from deepfer_ros.emotion_labels import emotion_labels
from deepfer_ros.node_runner import run_node
from deepfer_ros.parameter_table import (
    answer_changes,
    declare_parameters,
    parameter,
    read_parameters,
)
from deepfer_ros.recognition.detection import (
    DETECTOR_NAMES,
    check_detector,
    detector_statuses,
)
from deepfer_ros.recognition.errors import DetectorError, ModelError
from deepfer_ros.recognition.model_bundle import load_bundle
from deepfer_ros.web.access import AccessError, is_loopback, make_token, own_names
from deepfer_ros.web.assembly import LiveServer, WebOptions
from deepfer_ros.web.ros_cameras import RosCameras, RosImageSink
from deepfer_ros.web.server import Certificate, listen

NODE_NAME = "web_node"
TOKEN_VARIABLE = "DEEPFER_WEB_TOKEN"

_DISCOVERY_PERIOD_S = 0.5
_MAX_TOKEN_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class WebParameters:
    """A snapshot of all parameters. Each field is described by its own entry."""

    host: str = parameter(
        "127.0.0.1",
        "Address or name to listen on. Another than this machine's own lets others look: then a "
        "token is needed.",
        read_only=True,
    )
    port: int = parameter(
        8080, "Port to listen on; 0 takes any that is free.", limits=(0, 65535), read_only=True
    )
    token_file: str = parameter(
        "",
        "File that holds the token. Empty: the variable DEEPFER_WEB_TOKEN, else one is made and "
        "printed where one is needed.",
        read_only=True,
    )
    allowed_hosts: tuple[str, ...] = parameter(
        ("",),
        "Further names under which browsers reach this machine, beside its own name, localhost "
        "and addresses.",
        read_only=True,
    )
    certificate: str = parameter(
        "", "PEM file with a certificate, for https. Goes with private_key.", read_only=True
    )
    private_key: str = parameter(
        "", "PEM file with the certificate's private key.", read_only=True
    )
    browser_camera: bool = parameter(
        True, "Let a visitor's browser be the camera 'browser'.", read_only=True
    )
    model: str = parameter(
        "deepfer48", "Model for uploads; see the parameter of emotion_node.", read_only=True
    )
    detector: str = parameter(
        "auto", "Face detector for uploads.", choices=DETECTOR_NAMES, read_only=True
    )
    yunet_file: str = parameter(
        "", "See the parameter of emotion_node; for uploads.", read_only=True
    )


class WebNode(Node):
    """Serves the page and feeds it from topics.

    If the server's thread fails, the same is raised in the executor's: a node that lives on would
    serve nobody.

    Raises:
        AccessError: The server cannot listen, or not safely.
        ModelError: The model for uploads is missing or damaged.
        DetectorError: The detector that was chosen for uploads is not available.
    """

    def __init__(self) -> None:
        # From Kilted on, ROS destroys a node that is half made, too.
        self._server: LiveServer | None = None
        super().__init__(NODE_NAME)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        declare_parameters(self, WebParameters)
        self._options = parameters = read_parameters(self, WebParameters)
        _check_uploads(parameters)
        certificate = _certificate(parameters)
        self._token = _choose_token(parameters)
        self._scheme = "https" if certificate else "http"
        options = WebOptions(
            labels=emotion_labels(),
            model=parameters.model,
            detector=parameters.detector,
            yunet_file=parameters.yunet_file,
            token=self._token,
            host_names=[
                name for name in (*own_names(), parameters.host, *parameters.allowed_hosts) if name
            ],
            certificate=certificate,
        )
        sink = RosImageSink(self) if parameters.browser_camera else None
        # The server's thread uses it to wake the executor.
        self._wake = self.create_guard_condition(self._on_wake)
        listener = listen(parameters.host, parameters.port)
        self._server = server = LiveServer(
            listener, options, self._on_watched, sink, self._wake.trigger
        )
        self._cameras = RosCameras(
            self, tuple(options.labels), server.tell, options.limits.cameras
        )
        self.create_timer(
            _DISCOVERY_PERIOD_S,
            self._cameras.discover,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def start(self) -> None:
        """Start to serve, and say where.

        Raises:
            TimeoutError: The server does not start in time.
        """
        assert self._server is not None
        self._server.start()
        url = f"{self._scheme}://{_shown_host(self._options.host)}:{self._server.port}/"
        if self._token is None:
            self.get_logger().info(f"Open {url} in a browser.")
        else:
            # Not through the log, which goes to files and to a topic.
            print(f"Open {url}?token={self._token} in a browser.", flush=True)

    def destroy_node(self) -> None:
        """End the server, then destroy the node."""
        if self._server is not None:
            self._server.stop()
        super().destroy_node()

    def _on_wake(self) -> None:
        if self._server is not None:
            self._server.raise_failure()

    def _on_watched(self, names: frozenset[str]) -> None:
        self._cameras.watch(names)

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        return answer_changes(self, WebParameters, parameters)


def _check_uploads(parameters: WebParameters) -> None:
    """Check what was chosen for uploads; the process that loads it starts with the first of them.

    Raises:
        ModelError: The model is missing or damaged.
        DetectorError: The detector is not available, or its file is not usable. Where nothing was
            chosen and no detector is available, the page serves without uploads.
    """
    load_bundle(parameters.model)
    yunet_file = Path(parameters.yunet_file) if parameters.yunet_file else None
    statuses = detector_statuses(yunet_file)
    if parameters.detector != "auto" or any(status.available for status in statuses):
        check_detector(parameters.detector, yunet_file=yunet_file)


def _certificate(parameters: WebParameters) -> Certificate | None:
    """Return the files for TLS, if there are any.

    Raises:
        AccessError: There is only one of the two.
    """
    if not (parameters.certificate or parameters.private_key):
        return None
    if not (parameters.certificate and parameters.private_key):
        raise AccessError("certificate and private_key go together; only one of them is given.")
    return Certificate(parameters.certificate, parameters.private_key)


def _choose_token(parameters: WebParameters) -> str | None:
    """Return the token that is given, or a new one where one is needed.

    Raises:
        AccessError: The file cannot be read, or the address is unknown.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if parameters.token_file:
        try:
            with open(parameters.token_file, encoding="utf-8") as file:
                return file.read(_MAX_TOKEN_FILE_BYTES).strip()
        except (OSError, ValueError) as err:
            raise AccessError(
                f"The token file {parameters.token_file} cannot be read: {err}."
            ) from err
    if given is not None:
        return given
    return None if is_loopback(parameters.host) else make_token()


def _shown_host(host: str) -> str:
    """Return what to type into a browser to reach a server that listens on `host`."""
    if host not in ("", "0.0.0.0", "::"):
        return f"[{host}]" if ":" in host else host
    # Connecting a datagram socket sends nothing; it only tells the address of the way out.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return socket.gethostname()
        address: str = probe.getsockname()[0]
        return address


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop.

    Returns:
        The exit status: 0 after an ordinary end, 1 if the node could not start.
    """
    return run_node(
        NODE_NAME,
        WebNode,
        parameters=WebParameters,
        args=args,
        errors=(AccessError, DetectorError, ModelError, TimeoutError),
    )


if __name__ == "__main__":
    sys.exit(main())
