"""The real node in a process of its own, with the model that deepfer comes with."""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_process import NodeProcess, running
from numpy.typing import NDArray
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_peer import REPEAT_S, RosPeer
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from deepfer.msg import EmotionArray
from deepfer.srv import ClassifyImage
from deepfer_ros.messages import to_image
from deepfer_ros.recognition.model_bundle import find_models_folder, load_bundle

PROGRAM = ["-m", "deepfer_ros.emotion_node", "--ros-args"]
MODEL = "deepfer48"
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
# Left, top, right and bottom of the face in scikit-image's photograph of an astronaut, px.
ASTRONAUT_FACE = (175, 65, 270, 180)


@pytest.fixture(scope="module")
def node(ros_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    log_path = tmp_path_factory.mktemp("node") / "log"
    with running([*PROGRAM, "-p", f"model:={MODEL}"], log_path) as process:
        yield process
        print(process.log)


def send_until(
    peer: RosPeer, image_bgr: NDArray[np.uint8], received: list[Any], *, frame_id: str
) -> Header:
    """Publish a picture until something about it arrives; return the header of its message."""
    publisher = peer.advertise(Image, "image_raw", BEST_EFFORT)
    message = to_image(image_bgr, Header(frame_id=frame_id))
    message.header.stamp = peer.node.get_clock().now().to_msg()

    def is_answered() -> bool:
        publisher.publish(message)
        peer.spin_for(0.1)
        return any(entry.header == message.header for entry in received)

    peer.wait_until(is_answered, "a result with the image's own header")
    peer.node.destroy_publisher(publisher)
    return message.header


def overlap(roi: RegionOfInterest, face: tuple[int, int, int, int], scale: float = 1.0) -> float:
    """Return intersection over union of a region and a face."""
    left, top, right, bottom = (scale * value for value in face)
    roi_right, roi_bottom = roi.x_offset + roi.width, roi.y_offset + roi.height
    width = max(0.0, min(right, roi_right) - max(left, roi.x_offset))
    height = max(0.0, min(bottom, roi_bottom) - max(top, roi.y_offset))
    common = width * height
    return common / (roi.width * roi.height + (right - left) * (bottom - top) - common)


def check_astronaut(result: EmotionArray, scale: float = 1.0) -> None:
    assert result.model == "deepfer48"
    emotion = max(result.emotions, key=lambda emotion: overlap(emotion.roi, ASTRONAUT_FACE, scale))
    assert overlap(emotion.roi, ASTRONAUT_FACE, scale) > 0.4
    assert emotion.probabilities.sum() == pytest.approx(1, abs=1e-3)
    assert emotion.frame_probabilities.sum() == pytest.approx(1, abs=1e-3)
    assert emotion.confidence == pytest.approx(max(emotion.probabilities))
    # She smiles.
    assert emotion.emotion == "happy"
    assert emotion.probabilities[emotion.HAPPY] == pytest.approx(emotion.confidence)


def test_photograph_gives_its_emotions(
    node: NodeProcess, peer: RosPeer, astronaut_bgr: NDArray[np.uint8]
) -> None:
    results = peer.listen(EmotionArray, "emotions")
    header = send_until(peer, astronaut_bgr, results, frame_id="photograph")
    result = next(entry for entry in results if entry.header == header)
    check_astronaut(result)
    assert result.emotions[0].face_id


def test_photograph_gives_its_detections(
    node: NodeProcess, peer: RosPeer, astronaut_bgr: NDArray[np.uint8]
) -> None:
    detections = peer.listen(Detection2DArray, "emotions/detections")
    header = send_until(peer, astronaut_bgr, detections, frame_id="photograph")
    message = next(entry for entry in detections if entry.header == header)
    centres = [detection.bbox.center.position for detection in message.detections]
    left, top, right, bottom = ASTRONAUT_FACE
    assert any(left < centre.x < right and top < centre.y < bottom for centre in centres)
    assert all(len(detection.results) == 7 for detection in message.detections)


def test_photograph_without_face_gives_an_empty_array(node: NodeProcess, peer: RosPeer) -> None:
    results = peer.listen(EmotionArray, "emotions")
    noise = np.full((120, 160, 3), 128, np.uint8)
    header = send_until(peer, noise, results, frame_id="nothing")
    result = next(entry for entry in results if entry.header == header)
    assert list(result.emotions) == []


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("way", ["path", "data"])
def test_classify_image(
    node: NodeProcess,
    peer: RosPeer,
    tmp_path: Path,
    astronaut_bgr: NDArray[np.uint8],
    suffix: str,
    way: str,
) -> None:
    path = tmp_path / f"astronaut{suffix}"
    cv2.imwrite(str(path), astronaut_bgr)
    given = str(path) if way == "path" else path.read_bytes()
    request = ClassifyImage.Request(annotate=True, **{way: given})
    answer = peer.call(ClassifyImage, "classify_image", request)
    assert answer.success, answer.message
    check_astronaut(answer.result)
    annotated = cv2.imdecode(np.frombuffer(answer.annotated.data, np.uint8), cv2.IMREAD_COLOR)
    assert annotated.shape == astronaut_bgr.shape


def test_large_pictures_do_not_hold_up_the_stream(
    node: NodeProcess, peer: RosPeer, tmp_path: Path, astronaut_bgr: NDArray[np.uint8]
) -> None:
    path = tmp_path / "large.jpg"
    scale = 8
    cv2.imwrite(str(path), cv2.resize(astronaut_bgr, None, fx=scale, fy=scale))
    results = peer.listen(EmotionArray, "emotions")
    send_until(peer, astronaut_bgr, results, frame_id="camera")
    arrivals_s: list[float] = []
    peer.node.create_subscription(
        EmotionArray, "emotions", lambda _: arrivals_s.append(time.monotonic()), 10
    )
    publisher = peer.advertise(Image, "image_raw", BEST_EFFORT)
    message = to_image(astronaut_bgr, Header(frame_id="camera"))
    peer.node.create_timer(1 / 15, lambda: publisher.publish(message))
    peer.wait_until(lambda: arrivals_s, "the stream")
    assert not peer.call(ClassifyImage, "classify_image", ClassifyImage.Request()).success
    start_s = time.monotonic()
    request = ClassifyImage.Request(path=str(path))
    calls = [peer.start_call(ClassifyImage, "classify_image", request) for _ in range(5)]
    peer.wait_until(lambda: all(call.done() for call in calls), "the answers", timeout_s=100)
    end_s = time.monotonic()
    for call in calls:
        assert call.result().success
        check_astronaut(call.result().result, scale)
    times_s = [start_s, *(value for value in arrivals_s if value > start_s), end_s]
    # If the stream waited for the service, there would be one gap of about the whole time.
    assert max(np.diff(times_s)) < (end_s - start_s) / 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_node_cleanly(
    peer: RosPeer, tmp_path: Path, astronaut_bgr: NDArray[np.uint8], number: signal.Signals
) -> None:
    arguments = ["-r", "__ns:=/other", "-p", f"model:={MODEL}"]
    with running([*PROGRAM, *arguments], tmp_path / "log") as process:
        results = peer.listen(EmotionArray, "/other/emotions")
        publisher = peer.advertise(Image, "/other/image_raw", BEST_EFFORT)
        message = to_image(astronaut_bgr, Header())
        # The stream goes on while the signal comes.
        peer.node.create_timer(1 / 100, lambda: publisher.publish(message))
        peer.wait_until(lambda: len(results) > 2, "the stream")
        assert process.stop(number) == 0
        assert "Traceback" not in process.log
        assert "rror" not in process.log


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["-p", "min_confidence:=3.0"],
            "min_confidence out of range Min: 0.0, Max: 1.0, value: 3.0",
        ),
        (["-p", "jpeg_quality:=high"], "jpeg_quality"),
        (["-p", "detector:=mtcnn"], "detector must be one of auto, yunet"),
        (["--params-file", "/no/such/file.yaml"], "/no/such/file.yaml"),
    ],
)
def test_wrong_start_parameters_end_the_process_with_a_reason(
    ros_environment: None, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    with running([*PROGRAM, *arguments], tmp_path / "log") as process:
        assert process.wait() == 1
        assert "emotion_node cannot start: " in process.log
        assert reason in process.log
        assert "Traceback" not in process.log


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a copy of the model bundle, for the test to damage."""
    models = find_models_folder()
    assert models is not None
    return Path(shutil.copytree(models / MODEL, tmp_path / "bundle"))


def damage_file(bundle: Path) -> None:
    model = load_bundle(bundle).model_path
    model.write_bytes(model.read_bytes()[:-1] + b"!")


def remove_file(bundle: Path) -> None:
    load_bundle(bundle).model_path.unlink()


def remove_label(bundle: Path) -> None:
    change_description(bundle, lambda description: description["labels"].pop())


def swap_labels(bundle: Path) -> None:
    change_description(bundle, lambda description: description["labels"].reverse())


def change_size(bundle: Path) -> None:
    change_description(bundle, lambda description: description["input"].update(size_px=64))


def change_description(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = bundle / "bundle.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (shutil.rmtree, "neither a bundle that comes with deepfer"),
        (remove_file, "Cannot read the model file"),
        (damage_file, "damaged or was replaced"),
        (remove_label, "bundle says"),
        (swap_labels, "not the 7 constants of deepfer/msg/Emotion"),
        (change_size, "bundle says"),
    ],
)
def test_model_that_cannot_be_used_is_refused_and_can_be_replaced(
    peer: RosPeer,
    tmp_path: Path,
    bundle: Path,
    harm: Callable[[Path], object],
    reason: str,
) -> None:
    harm(bundle)
    arguments = ["-r", "__ns:=/third", "-p", f"model:={bundle}"]
    with running([*PROGRAM, *arguments], tmp_path / "log") as process:
        assert get_state(peer) == State.PRIMARY_STATE_UNCONFIGURED
        peer.wait_until(lambda: "Cannot be configured: " in process.log, "the reason")
        assert reason in process.log
        assert not change_state(peer, Transition.TRANSITION_CONFIGURE)
        assert get_state(peer) == State.PRIMARY_STATE_UNCONFIGURED
        request = SetParameters.Request(
            parameters=[Parameter("model", value=MODEL).to_parameter_msg()]
        )
        answer = peer.call(SetParameters, "/third/emotion_node/set_parameters", request)
        assert answer.results[0].successful
        assert change_state(peer, Transition.TRANSITION_CONFIGURE)
        assert change_state(peer, Transition.TRANSITION_ACTIVATE)
        assert get_state(peer) == State.PRIMARY_STATE_ACTIVE
        assert process.stop() == 0


def get_state(peer: RosPeer) -> int:
    answer = peer.call(GetState, "/third/emotion_node/get_state", GetState.Request())
    return int(answer.current_state.id)


def change_state(peer: RosPeer, transition: int) -> bool:
    """Ask for a transition and return whether it took place.

    A second request would do something else than the first, so one whose answer got lost is only
    repeated if the state shows that it had no effect.
    """
    service = "/third/emotion_node/change_state"
    request = ChangeState.Request(transition=Transition(id=transition))
    before = get_state(peer)
    for _ in range(3):
        pending = peer.start_call(ChangeState, service, request)
        try:
            peer.wait_until(pending.done, f"an answer of {service}", REPEAT_S)
        except AssertionError:
            if get_state(peer) != before:
                return True
        else:
            return bool(pending.result().success)
    raise AssertionError(f"three requests to {service} were not answered")
