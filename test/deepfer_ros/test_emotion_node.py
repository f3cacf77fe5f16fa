"""The node in this process, with recognizers that need no model; see test_end_to_end.py too."""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_camera import BEST_EFFORT, BLACK, RELIABLE, FakeCamera
from fake_recognition import FACE_XYWH, HAPPY, LABELS, FakeClassifier, FakeDetector, FakeLoader
from numpy.typing import NDArray
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_peer import RosPeer, spinning
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from vision_msgs.msg import Detection2DArray

from deepfer.msg import EmotionArray
from deepfer.srv import ClassifyImage
from deepfer_ros import outputs, recognizers
from deepfer_ros.emotion_node import EmotionNode
from deepfer_ros.messages import to_compressed_image, to_image
from deepfer_ros.recognition import face_ids
from deepfer_ros.recognition.errors import DetectorError, ImageError, ModelError

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
MakeNode = Callable[..., EmotionNode]


def wait_for_frames(peer: RosPeer, node: EmotionNode, count: int) -> None:
    peer.wait_until(lambda: report(node).received >= count, f"{count} frames")


def report(node: EmotionNode) -> Any:  # noqa: ANN401
    return node._cameras[0]._statistics.report()


# --- the stream ---


def test_result_carries_the_images_own_header(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    stamp = Time(sec=123, nanosec=456)
    frame_id = camera.send(stamp=stamp)
    peer.wait_until(lambda: camera.results[-1].header.frame_id == frame_id, "the result")
    result = camera.results[-1]
    assert result.header.stamp == stamp
    assert result.model == "fake48"
    (emotion,) = result.emotions
    assert emotion.emotion == "happy"
    assert emotion.probabilities == pytest.approx(HAPPY)
    assert emotion.detection_confidence == pytest.approx(0.9)
    roi = emotion.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (10, 20, 31, 41)


def test_one_array_for_each_image_with_lasting_ids(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    first_id = camera.send_until_received().emotions[0].face_id
    for _ in range(5):
        frame_id = camera.send()
        peer.wait_until(
            lambda frame_id=frame_id: camera.results[-1].header.frame_id == frame_id, "the result"
        )
    assert {result.emotions[0].face_id for result in camera.results} == {first_id}
    frames = [result.header.frame_id for result in camera.results]
    assert len(frames) == len(set(frames))


def test_no_face_is_an_empty_array(node: EmotionNode, peer: RosPeer, loader: FakeLoader) -> None:
    loader.stream_detector.boxes_xywh = ()
    result = FakeCamera(peer).send_until_received()
    assert list(result.emotions) == []
    assert result.model == "fake48"


@pytest.mark.parametrize("qos", [BEST_EFFORT, RELIABLE], ids=["best_effort", "reliable"])
def test_any_publisher_is_heard(node: EmotionNode, peer: RosPeer, qos: QoSProfile) -> None:
    assert FakeCamera(peer, qos).send_until_received().emotions


def test_detections(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    detections = peer.listen(Detection2DArray, "emotions/detections")
    camera.send_until_received()
    peer.wait_until(
        lambda: camera.send() and peer.spin_for(0.05) is None and detections, "detections"
    )
    message = detections[-1]
    assert message.header.frame_id.startswith("camera")
    (detection,) = message.detections
    assert detection.header == message.header
    assert detection.id == camera.results[-1].emotions[0].face_id
    assert detection.bbox.size_x == pytest.approx(FACE_XYWH[2])
    scores = {result.hypothesis.class_id: result.hypothesis.score for result in detection.results}
    assert list(scores) == list(LABELS)
    assert list(scores.values()) == pytest.approx(HAPPY)


@pytest.mark.parametrize(
    ("message_type", "topic"),
    [(Image, "emotions/image"), (CompressedImage, "emotions/image/compressed")],
)
def test_annotated_images(
    node: EmotionNode, peer: RosPeer, message_type: type, topic: str
) -> None:
    camera = FakeCamera(peer)
    images = peer.listen(message_type, topic)
    peer.wait_until(lambda: camera.send() and peer.spin_for(0.05) is None and images, topic)
    message = images[-1]
    assert message.header.frame_id.startswith("camera")
    if message_type is Image:
        assert (message.encoding, message.width, message.height) == ("bgr8", 64, 72)
        image_bgr = np.frombuffer(message.data, np.uint8).reshape(BLACK.shape)
    else:
        assert message.format == "bgr8; jpeg compressed bgr8"
        image_bgr = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    # The image that came in was black.
    assert image_bgr.max() > 100


def test_annotated_images_are_made_for_subscribers_only(
    node: EmotionNode, peer: RosPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []

    def draw(image_bgr: NDArray[np.uint8], faces: object) -> NDArray[np.uint8]:
        drawn.append(faces)
        return image_bgr

    monkeypatch.setattr(outputs, "draw_emotions", draw)
    camera = FakeCamera(peer)
    camera.send_until_received()
    assert drawn == []
    peer.listen(Image, "emotions/image")
    peer.wait_until(lambda: camera.send() and peer.spin_for(0.05) is None and drawn, "a drawing")


def test_input_image_is_not_changed(node: EmotionNode, peer: RosPeer, loader: FakeLoader) -> None:
    peer.listen(Image, "emotions/image")
    camera = FakeCamera(peer)
    pixels = np.random.default_rng(1).integers(0, 256, BLACK.shape, np.uint8)
    camera.send_until_received(to_image(pixels, Header()))
    assert (loader.stream_detector.images[-1] == pixels).all()


def test_latest_frame_wins(node: EmotionNode, peer: RosPeer, loader: FakeLoader) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    peer.wait_until(lambda: report(node).received == report(node).processed, "a quiet node")
    before = report(node)
    done = len(loader.stream_detector.images)
    loader.stream_detector.gate.clear()
    frame_ids = [camera.send()]
    peer.wait_until(lambda: len(loader.stream_detector.images) > done, "the first frame")
    for count in range(2, 6):
        frame_ids.append(camera.send())
        wait_for_frames(peer, node, before.received + count)
    loader.stream_detector.gate.set()
    peer.wait_until(lambda: camera.results[-1].header.frame_id == frame_ids[-1], "the last frame")
    processed = [result.header.frame_id for result in camera.results]
    assert [frame_id for frame_id in frame_ids if frame_id in processed] == [
        frame_ids[0],
        frame_ids[-1],
    ]
    peer.wait_until(lambda: report(node).processed == before.processed + 2, "the count")
    assert report(node).dropped == before.dropped + 3


def test_max_rate_leaves_frames_out(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(max_rate_hz=0.01)
    node.start()
    with spinning(node):
        camera = FakeCamera(peer, node=node)
        camera.send_until_received()
        received = report(node).received
        for count in range(1, 6):
            camera.send()
            wait_for_frames(peer, node, received + count)
        assert report(node).processed == 1
        node.set_parameters([Parameter("max_rate_hz", value=0.0)])
        camera.send_until_received()


def test_image_without_stamp(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    frame_id = camera.send(stamp=Time())
    peer.wait_until(lambda: camera.results[-1].header.frame_id == frame_id, "the result")
    assert camera.results[-1].header.stamp == Time()


def test_stamp_before_1970(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    frame_id = camera.send(stamp=Time(sec=-5))
    peer.wait_until(lambda: camera.results[-1].header.frame_id == frame_id, "the result")


def test_time_that_goes_back(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    for seconds in (1000, 10, 20):
        frame_id = camera.send(stamp=Time(sec=seconds))
        peer.wait_until(
            lambda frame_id=frame_id: camera.results[-1].header.frame_id == frame_id, "the result"
        )
    assert camera.results[-1].emotions


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param({"encoding": "blue9"}, "encoding 'blue9' is unknown", id="encoding"),
        pytest.param({"step": 10}, "step is 10", id="step"),
        pytest.param({"height": 73}, "data has 13824 bytes", id="data"),
        pytest.param({"width": 0}, "its size is 0x72", id="no_width"),
        pytest.param({"height": 0, "width": 0, "step": 0}, "its size is 0x0", id="no_size"),
        pytest.param({"width": 10000, "height": 10000}, "10000x10000 pixels", id="huge"),
    ],
)
def test_bad_image_is_dropped_counted_and_told(
    node: EmotionNode,
    peer: RosPeer,
    capfd: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    fault: str,
) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    peer.wait_until(lambda: report(node).received == report(node).processed, "a quiet node")
    results = len(camera.results)
    bad = to_image(BLACK, Header())
    for name, value in changes.items():
        setattr(bad, name, value)
    camera.send(bad)
    peer.wait_until(lambda: report(node).bad == 1, "the bad image")
    assert fault in report(node).last_error
    assert len(camera.results) == results
    # The node lives.
    camera.send_until_received()
    log = capfd.readouterr().err
    assert "Image on /image_raw dropped: " in log
    assert fault in log


class PickyClassifier(FakeClassifier):
    """Has no answer for bright faces."""

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if crops.any():
            raise ImageError("The model gives no probabilities for a face in it.")
        return super().classify(crops)


WHITE = np.full_like(BLACK, 255)


def test_a_face_that_the_model_has_no_answer_for_costs_its_image_alone(
    make_node: MakeNode, peer: RosPeer, loader: FakeLoader, capfd: pytest.CaptureFixture[str]
) -> None:
    loader.classifier = PickyClassifier()
    node = make_node(cameras=["front", "rear"])
    node.start()
    front, rear = node._cameras
    with spinning(node):
        cameras = [FakeCamera(peer, prefix=f"{name}/") for name in ("front", "rear")]
        for camera in cameras:
            camera.send_until_received()
        peer.wait_until(
            lambda: all(
                camera._statistics.report().received == camera._statistics.report().processed
                for camera in node._cameras
            ),
            "a quiet node",
        )
        # While the first image is looked at, one of each camera comes in for the next round.
        seen = len(loader.stream_detector.images)
        received = [camera._statistics.report().received for camera in node._cameras]
        loader.stream_detector.gate.clear()
        cameras[0].send(to_image(WHITE, Header()))
        peer.wait_until(lambda: len(loader.stream_detector.images) > seen, "the first image")
        cameras[0].send(to_image(WHITE, Header()))
        good = cameras[1].send()
        peer.wait_until(
            lambda: (
                front._statistics.report().received == received[0] + 2
                and rear._statistics.report().received == received[1] + 1
            ),
            "an image of each camera",
        )
        loader.stream_detector.gate.set()
        peer.wait_until(lambda: front._statistics.report().bad == 2, "both bad images")
        peer.wait_until(
            lambda: cameras[1].results[-1].header.frame_id == good, "the result of the good one"
        )
        assert rear._statistics.report().bad == 0
        assert "no probabilities" in front._statistics.report().last_error
        # The node lives.
        cameras[0].send_until_received()
    log = capfd.readouterr().err
    assert "Image on /front/image_raw dropped: The model gives no probabilities" in log


def test_an_image_too_wide_for_jpeg_loses_its_annotated_jpeg_alone(
    node: EmotionNode, peer: RosPeer, capfd: pytest.CaptureFixture[str]
) -> None:
    camera = FakeCamera(peer)
    pictures = peer.listen(CompressedImage, "emotions/image/compressed")
    peer.wait_until(lambda: camera.send() and peer.spin_for(0.05) is None and pictures, "a JPEG")
    wide = to_image(np.zeros((1, 70_000, 3), np.uint8), Header())
    for _ in range(2):
        assert len(camera.send_until_received(wide).emotions) == 1
    peer.wait_until(lambda: report(node).received == report(node).processed, "a quiet node")
    assert report(node).bad == 0
    assert report(node).last_error == ""
    log = capfd.readouterr().err
    assert log.count("published, its annotated JPEG was not: A picture of 70000x1 pixels") == 1
    assert "dropped" not in log
    # The pictures of later images are there again.
    count = len(pictures)
    peer.wait_until(
        lambda: camera.send() and peer.spin_for(0.05) is None and len(pictures) > count, "a JPEG"
    )


def test_log_of_bad_images_is_throttled(
    node: EmotionNode, peer: RosPeer, capfd: pytest.CaptureFixture[str]
) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    for count in range(1, 6):
        camera.send(Image(encoding="blue9"))
        peer.wait_until(lambda count=count: report(node).bad == count, "the bad image")
    assert capfd.readouterr().err.count("dropped: ") == 1


@pytest.mark.parametrize(
    ("transport", "remappings", "topics"),
    [
        ("raw", (), ["/front/image_raw", "/rear/image_raw"]),
        (
            "raw",
            ("front/image_raw:=rear/image_raw", "rear/image_raw:=front/image_raw"),
            ["/rear/image_raw", "/front/image_raw"],
        ),
        (
            "compressed",
            ("front/image_raw:=/cam", "rear/image_raw/compressed:=/jpeg"),
            ["/cam/compressed", "/jpeg"],
        ),
    ],
)
def test_topics_are_remapped_once(
    make_node: MakeNode, transport: str, remappings: tuple[str, ...], topics: list[str]
) -> None:
    node = make_node(cameras=["front", "rear"], image_transport=transport, remappings=remappings)
    node.start()
    assert [camera.topic for camera in node._cameras] == topics
    assert [camera._subscription.topic_name for camera in node._cameras] == topics


def test_compressed_transport(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(image_transport="compressed")
    node.start()
    with spinning(node):
        results = peer.listen(EmotionArray, "emotions")
        publisher = peer.advertise(CompressedImage, "image_raw/compressed", BEST_EFFORT)
        header = Header(frame_id="jpeg", stamp=Time(sec=7))
        good = to_compressed_image(BLACK, header, quality=90)

        def send_until(condition: Callable[[], object], message: CompressedImage) -> None:
            peer.wait_until(
                lambda: (
                    publisher.publish(message) is None
                    and peer.spin_for(0.05) is None
                    and condition()
                ),
                "the node's reaction",
            )

        send_until(lambda: results, good)
        assert results[-1].header == header
        send_until(lambda: report(node).bad, CompressedImage(format="jpeg", data=good.data[:80]))
        assert "truncated" in report(node).last_error
        seen = len(results)
        send_until(lambda: len(results) > seen, good)


def test_failure_of_the_worker_ends_the_node(
    make_node: MakeNode, peer: RosPeer, loader: FakeLoader
) -> None:
    node = make_node()
    node.start()
    loader.stream_detector.error = ZeroDivisionError("a bug")
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    ended: list[bool] = []
    publisher = peer.node.create_publisher(Image, "image_raw", RELIABLE)
    peer.node.create_timer(0.05, lambda: publisher.publish(to_image(BLACK, Header())))
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(peer.wait_until, lambda: ended, "the end of the node")
        with pytest.raises(ZeroDivisionError, match="a bug"):
            executor.spin()
        ended.append(True)
        sending.result()
    executor.shutdown()


# --- lifecycle ---


def entities(node: EmotionNode) -> tuple[set[str], set[str], set[str], int]:
    return (
        {publisher.topic_name for publisher in node.publishers},
        {subscription.topic_name for subscription in node.subscriptions},
        {service.srv_name.strip("/") for service in node.services},
        len(list(node.timers)),
    )


def test_three_cycles_undo_each_other_exactly(
    make_node: MakeNode, peer: RosPeer, loader: FakeLoader
) -> None:
    node = make_node(autostart=False)
    node.start()
    with spinning(node):
        unconfigured = entities(node)
        inactive = active = None
        for _ in range(3):
            assert node.trigger_configure() == SUCCESS
            assert inactive in (None, entities(node))
            inactive = entities(node)
            assert node.trigger_activate() == SUCCESS
            assert active in (None, entities(node))
            active = entities(node)
            camera = FakeCamera(peer)
            camera.send_until_received()
            assert node.trigger_deactivate() == SUCCESS
            assert entities(node) == inactive
            seen = report(node).received
            camera.send()
            peer.spin_for(0.2)
            assert report(node).received == seen
            assert node.trigger_cleanup() == SUCCESS
            assert entities(node) == unconfigured
        assert inactive[0] - unconfigured[0] == {
            "/emotions",
            "/emotions/detections",
            "/emotions/image",
            "/emotions/image/compressed",
            "/emotions/labels",
        }
        assert active[1] - inactive[1] == {"/image_raw"}
        assert {"classify_image", "enable"} <= unconfigured[2]
        assert node.trigger_shutdown() == SUCCESS


@pytest.mark.parametrize("deterministic", [False, True], ids=["random", "counted"])
def test_no_face_id_is_given_again_after_a_cleanup(
    make_node: MakeNode, peer: RosPeer, monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    monkeypatch.setattr(recognizers, "load_detector", lambda *_, **__: FakeDetector())
    monkeypatch.setattr(recognizers, "load_classifier", lambda *_, **__: FakeClassifier())
    # Random ids that begin at the same place and go the same way.
    monkeypatch.setattr(face_ids.random, "randrange", lambda count: 1)
    node = make_node(load=None, autostart=False, deterministic_ids=deterministic)
    given = []
    with spinning(node):
        for _ in range(3):
            assert node.trigger_configure() == SUCCESS
            assert node.trigger_activate() == SUCCESS
            given.append(FakeCamera(peer).send_until_received().emotions[0].face_id)
            assert node.trigger_deactivate() == SUCCESS
            assert node.trigger_cleanup() == SUCCESS
    assert len(set(given)) == 3
    if deterministic:
        assert given == ["face1", "face2", "face3"]


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active"])
def test_shutdown_from_every_state(make_node: MakeNode, state: str) -> None:
    node = make_node(autostart=False)
    before = entities(node)
    if state != "unconfigured":
        assert node.trigger_configure() == SUCCESS
    if state == "active":
        assert node.trigger_activate() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS
    assert entities(node) == before


def test_output_topics_have_the_promised_quality_of_service(
    node: EmotionNode, peer: RosPeer
) -> None:
    for topic, depth in [
        ("/emotions", 10),
        ("/emotions/detections", 10),
        ("/emotions/image", 1),
        ("/emotions/image/compressed", 1),
    ]:
        (publisher,) = [entry for entry in node.publishers if entry.topic_name == topic]
        assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert publisher.qos_profile.depth == depth
    (subscription,) = [entry for entry in node.subscriptions if entry.topic_name == "/image_raw"]
    assert subscription.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert subscription.qos_profile.depth == 1


def test_quality_of_service_can_be_overridden(make_node: MakeNode) -> None:
    node = make_node(
        **{
            "qos_overrides./image_raw.subscription.reliability": "reliable",
            "qos_overrides./emotions.publisher.depth": 3,
        }
    )
    node.start()
    (subscription,) = [entry for entry in node.subscriptions if entry.topic_name == "/image_raw"]
    assert subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    (publisher,) = [entry for entry in node.publishers if entry.topic_name == "/emotions"]
    assert publisher.qos_profile.depth == 3


@pytest.mark.parametrize(
    "override",
    [
        "qos_overrides./emotions.publisher.reliability",
        "qos_overrides./image_raw.subscription.reliability",
    ],
)
def test_wrong_override_is_a_failure_with_a_reason(
    make_node: MakeNode, override: str, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make_node(**{override: "perfect"})
    before = entities(node)
    node.start()
    assert "perfect" in capfd.readouterr().err
    if "subscription" in override:
        assert node.trigger_cleanup() == SUCCESS
    assert entities(node) == before


@pytest.mark.parametrize(
    "error",
    [
        ModelError("Model file /gone.tflite does not exist."),
        ModelError("The model file is damaged: its SHA-256 is another."),
        DetectorError("Detector 'yunet' is not available."),
    ],
)
def test_failed_configuration_can_be_repeated(
    make_node: MakeNode,
    peer: RosPeer,
    loader: FakeLoader,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    loader.error = error
    node = make_node()
    before = entities(node)
    node.start()
    assert entities(node) == before
    assert str(error) in capfd.readouterr().err
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        peer.wait_until(lambda: diagnostics, "diagnostics")
        status = diagnostics[-1].status[0]
        assert status.level == DiagnosticStatus.ERROR
        assert str(error) in status.message
        # Still unconfigured: only from there can it be configured.
        loader.error = None
        (result,) = node.set_parameters([Parameter("model", value="another")])
        assert result.successful
        assert node.trigger_configure() == SUCCESS
        assert loader.parameters is not None
        assert loader.parameters.model == "another"
        assert node.trigger_activate() == SUCCESS
        assert FakeCamera(peer).send_until_received().emotions


def test_model_with_other_labels_is_refused(
    make_node: MakeNode, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make_node(load=FakeLoader(labels=(*LABELS[:5], "neutral", "surprise")))
    assert node.trigger_configure() == FAILURE
    assert "not the 7 constants of deepfer/msg/Emotion" in capfd.readouterr().err
    node.destroy_node()


def test_bug_in_a_transition_is_printed(
    make_node: MakeNode, loader: FakeLoader, capfd: pytest.CaptureFixture[str]
) -> None:
    loader.error = ZeroDivisionError("a bug")
    node = make_node(autostart=False)
    before = entities(node)
    assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert "ZeroDivisionError: a bug" in capfd.readouterr().err
    assert entities(node) == before
    status = node._diagnose()
    assert status.level == DiagnosticStatus.ERROR
    assert status.message == "on_configure failed: ZeroDivisionError: a bug"
    loader.error = None
    assert node.trigger_configure() == SUCCESS
    assert node._diagnose().level == DiagnosticStatus.OK


# --- enable ---


def test_enable_pauses_and_resumes(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    answer = peer.call(SetBool, "enable", SetBool.Request(data=False))
    assert answer.success
    assert "Paused" in answer.message
    assert "/image_raw" not in entities(node)[1]
    answer = peer.call(SetBool, "enable", SetBool.Request(data=True))
    assert answer.success
    assert "/image_raw" in answer.message
    camera.send_until_received()


def test_enable_twice_is_fine(node: EmotionNode, peer: RosPeer) -> None:
    for enabled in (True, True, False, False, True):
        assert peer.call(SetBool, "enable", SetBool.Request(data=enabled)).success
    FakeCamera(peer).send_until_received()


def test_enable_needs_an_active_node(make_node: MakeNode, peer: RosPeer) -> None:
    with spinning(make_node(autostart=False)) as node:
        assert node.trigger_configure() == SUCCESS
        answer = peer.call(SetBool, "enable", SetBool.Request(data=True))
        assert not answer.success
        assert answer.message == "The node is inactive; activate it first."


# --- parameters ---


def test_parameters_are_refused_with_the_reason(node: EmotionNode, peer: RosPeer) -> None:
    request = SetParameters.Request(
        parameters=[
            Parameter("min_confidence", value=1.5).to_parameter_msg(),
            Parameter("jpeg_quality", value=0).to_parameter_msg(),
            Parameter("model", value="another").to_parameter_msg(),
            Parameter("autostart", value=False).to_parameter_msg(),
            Parameter("smoothing_s", value=1).to_parameter_msg(),
        ]
    )
    answer = peer.call(SetParameters, "emotion_node/set_parameters", request)
    assert [result.successful for result in answer.results] == [False, False, False, False, True]
    assert "min_confidence" in answer.results[0].reason
    assert "jpeg_quality" in answer.results[1].reason
    assert "clean up the node first" in answer.results[2].reason
    assert "read-only" in answer.results[3].reason
    assert node.get_parameter("min_confidence").value == 0.0
    assert node.get_parameter("model").value == "deepfer48"


def test_atomic_change_is_refused_as_a_whole(node: EmotionNode) -> None:
    result = node.set_parameters_atomically(
        [Parameter("smoothing_s", value=2.0), Parameter("min_confidence", value=2.0)]
    )
    assert not result.successful
    assert node.get_parameter("smoothing_s").value == 0.3


def test_parameters_describe_themselves(node: EmotionNode, peer: RosPeer) -> None:
    request = DescribeParameters.Request(names=["min_confidence", "jpeg_quality", "detector"])
    answer = peer.call(DescribeParameters, "emotion_node/describe_parameters", request)
    confidence, quality, detector = answer.descriptors
    assert (confidence.floating_point_range[0].to_value, confidence.read_only) == (1.0, False)
    assert quality.integer_range[0].from_value == 1
    assert "haar" in detector.additional_constraints
    assert all(descriptor.description for descriptor in answer.descriptors)


def test_min_confidence_takes_effect_on_the_next_frame(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    assert camera.send_until_received().emotions[0].emotion == "happy"
    node.set_parameters([Parameter("min_confidence", value=0.8)])
    emotion = camera.send_until_received().emotions[0]
    assert emotion.emotion == emotion.UNKNOWN
    assert emotion.confidence == pytest.approx(0.7)


def test_smoothing_takes_effect_on_the_next_frame(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader
) -> None:
    camera = FakeCamera(peer)
    node.set_parameters([Parameter("smoothing_s", value=60.0)])
    camera.send_until_received()
    loader.classifier.probabilities = (1.0, 0, 0, 0, 0, 0, 0)
    emotion = camera.send_until_received().emotions[0]
    assert (emotion.emotion, emotion.frame_probabilities[0]) == ("happy", 1.0)
    node.set_parameters([Parameter("smoothing_s", value=0.0)])
    emotion = camera.send_until_received().emotions[0]
    assert (emotion.emotion, emotion.probabilities[0]) == ("angry", 1.0)


def test_max_pixels_takes_effect_on_the_next_frame(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    camera.send_until_received()
    node.set_parameters([Parameter("max_pixels", value=BLACK.shape[0] * BLACK.shape[1] - 1)])
    camera.send()
    peer.wait_until(lambda: report(node).bad, "the refusal")
    assert "64x72 pixels" in report(node).last_error
    node.set_parameters([Parameter("max_pixels", value=50_000_000)])
    camera.send_and_receive()


def test_jpeg_quality_takes_effect_on_the_next_frame(node: EmotionNode, peer: RosPeer) -> None:
    camera = FakeCamera(peer)
    images = peer.listen(CompressedImage, "emotions/image/compressed")
    peer.wait_until(lambda: camera.send() and peer.spin_for(0.05) is None and images, "an image")
    sizes = []
    for quality in (100, 1):
        node.set_parameters([Parameter("jpeg_quality", value=quality)])
        frame_id = camera.send()
        peer.wait_until(
            lambda frame_id=frame_id: images[-1].header.frame_id == frame_id, "the next image"
        )
        sizes.append(len(images[-1].data))
    assert sizes[0] > 2 * sizes[1]


def test_image_root_takes_effect_on_the_next_request(
    node: EmotionNode, peer: RosPeer, tmp_path: Path, astronaut_path: Path
) -> None:
    assert classify(peer, path=str(astronaut_path)).success
    node.set_parameters([Parameter("image_root", value=str(tmp_path))])
    assert "outside" in classify(peer, path=str(astronaut_path)).message
    for wrong in (tmp_path / "none", tmp_path / ("x" * 300)):
        (result,) = node.set_parameters([Parameter("image_root", value=str(wrong))])
        assert not result.successful
        assert "must be empty or the absolute path of a folder that exists" in result.reason
    assert node.get_parameter("image_root").value == str(tmp_path)


def test_image_timeout_takes_effect_at_once(node: EmotionNode, peer: RosPeer) -> None:
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    for timeout_s, level in ((0.1, DiagnosticStatus.WARN), (0.0, DiagnosticStatus.OK)):
        node.set_parameters([Parameter("image_timeout_s", value=timeout_s)])
        peer.wait_until(
            lambda level=level: diagnostics and diagnostics[-1].status[1].level == level,
            "the level",
        )


# --- diagnostics and supervision ---


def test_diagnostics_tell_the_state(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(autostart=False)
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")

        def next_statuses() -> list[DiagnosticStatus]:
            seen = len(diagnostics)
            # The one after next was made after this call for sure.
            peer.wait_until(lambda: len(diagnostics) >= seen + 2, "diagnostics")
            assert diagnostics[-1].header.stamp.sec > 0
            return list(diagnostics[-1].status)

        (status,) = next_statuses()
        assert status.name == "/emotion_node: emotion recognition"
        assert (status.level, status.message) == (DiagnosticStatus.OK, "unconfigured")
        node.trigger_configure()
        assert [status.message for status in next_statuses()] == ["inactive", "inactive"]
        node.trigger_activate()
        camera = FakeCamera(peer)
        camera.send_until_received()
        status, camera_status = next_statuses()
        values = {entry.key: entry.value for entry in status.values}
        assert (status.level, status.message) == (DiagnosticStatus.OK, "active")
        assert (values["model"], values["detector"]) == ("fake48", "fake")
        assert values["image topics"] == "/image_raw"
        assert camera_status.name == "/emotion_node: camera"
        values = {entry.key: entry.value for entry in camera_status.values}
        assert (camera_status.level, values["state"]) == (DiagnosticStatus.OK, "active")
        assert values["image topic"] == "/image_raw"
        assert float(values["input rate (Hz)"]) > 0
        assert float(values["latency, max (ms)"]) > 0
        assert values["faces"] == "1"
        bad = to_image(BLACK, Header())
        bad.encoding = "blue9"
        camera.send(bad)
        status, camera_status = next_statuses()
        assert status.level == DiagnosticStatus.OK
        assert camera_status.level == DiagnosticStatus.WARN
        assert "blue9" in camera_status.message
        peer.call(SetBool, "enable", SetBool.Request(data=False))
        assert [status.message for status in next_statuses()] == ["paused", "paused"]


def test_silence_is_explained(
    make_node: MakeNode, peer: RosPeer, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make_node(image_timeout_s=0.1)
    node.start()
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        peer.wait_until(
            lambda: diagnostics and diagnostics[-1].status[1].level == DiagnosticStatus.WARN,
            "a warning",
        )
        assert "Nobody publishes /image_raw." in diagnostics[-1].status[1].message
    assert "No image for 0 s. Nobody publishes" in capfd.readouterr().err.replace(" 1 s", " 0 s")


def test_incompatible_publisher_is_named(
    make_node: MakeNode, peer: RosPeer, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides = {"qos_overrides./image_raw.subscription.reliability": "reliable"}
    node = make_node(image_timeout_s=0.1, **overrides)
    node.start()
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        peer.node.create_publisher(Image, "image_raw", BEST_EFFORT)
        peer.wait_until(
            lambda: diagnostics and "/peer (best_effort" in diagnostics[-1].status[1].message,
            "the name of the publisher",
        )
        assert "is incompatible with this node's" in diagnostics[-1].status[1].message
    assert "quality of service is incompatible" in capfd.readouterr().err


# --- classify_image ---


def classify(peer: RosPeer, **request: Any) -> ClassifyImage.Response:  # noqa: ANN401
    return peer.call(ClassifyImage, "classify_image", ClassifyImage.Request(**request))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("way", ["path", "data"])
def test_classify_image(
    node: EmotionNode, peer: RosPeer, tmp_path: Path, suffix: str, way: str
) -> None:
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), BLACK)
    given = str(path) if way == "path" else path.read_bytes()
    answer = classify(peer, **{way: given})
    assert answer.success
    assert answer.message == "1 face in an image of 64x72 pixels."
    assert answer.result.model == "fake48"
    assert answer.result.header.frame_id == ""
    assert answer.result.header.stamp.sec > 0
    (emotion,) = answer.result.emotions
    assert (emotion.face_id, emotion.emotion) == ("0", "happy")
    assert (emotion.probabilities == emotion.frame_probabilities).all()
    assert len(answer.annotated.data) == 0


def test_classify_image_without_face(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader, astronaut_path: Path
) -> None:
    loader.still_detector.boxes_xywh = ()
    answer = classify(peer, path=str(astronaut_path))
    assert answer.success
    assert answer.message == "No face in an image of 512x512 pixels."
    assert list(answer.result.emotions) == []


def test_classify_image_annotated(node: EmotionNode, peer: RosPeer, astronaut_path: Path) -> None:
    answer = classify(peer, path=str(astronaut_path), annotate=True)
    assert answer.success
    assert answer.annotated.format == "bgr8; jpeg compressed bgr8"
    assert answer.annotated.header == answer.result.header
    image = cv2.imdecode(np.frombuffer(answer.annotated.data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (512, 512, 3)


def test_classify_image_without_an_answer_of_the_model(
    make_node: MakeNode, peer: RosPeer, loader: FakeLoader, astronaut_path: Path
) -> None:
    loader.classifier = PickyClassifier()
    node = make_node()
    node.start()
    with spinning(node):
        answer = classify(peer, path=str(astronaut_path))
        assert not answer.success
        assert answer.message == "The model gives no probabilities for a face in it."


@pytest.mark.parametrize("name", ["on_demand_cameras", "min_confidence"])
def test_a_parameter_cannot_be_deleted(node: EmotionNode, peer: RosPeer, name: str) -> None:
    """`ros2 param delete` sets a parameter to nothing."""
    before = node.get_parameter(name).value
    request = SetParameters.Request(parameters=[Parameter(name).to_parameter_msg()])
    (result,) = peer.call(SetParameters, "emotion_node/set_parameters", request).results  # type: ignore[attr-defined]
    assert not result.successful
    assert node.get_parameter(name).value == before
    assert node.set_parameters([Parameter("min_confidence", value=0.25)])[0].successful


def test_classify_image_too_wide_to_be_annotated(
    node: EmotionNode, peer: RosPeer, tmp_path: Path
) -> None:
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), np.zeros((1, 70_000, 3), np.uint8))
    assert classify(peer, path=str(path)).success
    answer = classify(peer, path=str(path), annotate=True)
    assert answer.success
    assert len(answer.result.emotions) == 1
    assert "There is no annotated image: A picture of 70000x1 pixels" in answer.message
    assert len(answer.annotated.data) == 0


@pytest.fixture
def bad_files(tmp_path: Path, astronaut_path: Path) -> Iterator[Path]:
    """Return a folder with everything that is no image."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.jpg").write_text("This is no image.")
    (tmp_path / "empty.png").touch()
    (tmp_path / "truncated.png").write_bytes(astronaut_path.read_bytes()[:100_000])
    with open(tmp_path / "large.jpg", "wb") as file:
        file.truncate(33 * 2**20)
    cv2.imwrite(str(tmp_path / "many_pixels.png"), np.zeros((300, 400, 3), np.uint8))
    (tmp_path / "link.png").symlink_to(astronaut_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        yield tmp_path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", "does not exist"),
        ("folder", "is a folder"),
        ("fifo", "no regular file"),
        ("socket", "socket"),
        ("/dev/zero", "/dev/zero"),
        ("text.jpg", "not a picture"),
        ("empty.png", "empty"),
        ("truncated.png", "truncated"),
        ("large.jpg", "bytes, at most"),
        ("many_pixels.png", "400x300 pixels, at most"),
        ("link.png", "outside"),
        ("../../../../etc/hostname", "outside"),
    ],
)
def test_classify_image_refuses_files(
    make_node: MakeNode, peer: RosPeer, bad_files: Path, name: str, reason: str
) -> None:
    is_outside = reason == "outside"
    node = make_node(image_root=str(bad_files) if is_outside else "", max_pixels=100_000)
    node.start()
    with spinning(node):
        answer = classify(peer, path=str(bad_files / name))
        assert not answer.success
        assert reason in answer.message
        assert answer.message.endswith(".")
        assert list(answer.result.emotions) == []


@pytest.mark.parametrize(
    ("request_fields", "reason"),
    [
        pytest.param({}, "Give either path or data; the request has neither.", id="neither"),
        pytest.param(
            {"path": "/a.png", "data": b"a"},
            "Give either path or data; the request has both.",
            id="both",
        ),
        pytest.param({"path": "a.png"}, "path must be absolute", id="relative"),
        pytest.param({"data": b"no image"}, "not a picture", id="data"),
    ],
)
def test_classify_image_refuses_requests(
    node: EmotionNode, peer: RosPeer, request_fields: dict[str, Any], reason: str
) -> None:
    answer = classify(peer, **request_fields)
    assert not answer.success
    assert reason in answer.message


def test_classify_image_inside_image_root(
    make_node: MakeNode, peer: RosPeer, astronaut_path: Path
) -> None:
    node = make_node(image_root=str(astronaut_path.parent))
    node.start()
    with spinning(node):
        assert classify(peer, path=str(astronaut_path)).success


def test_classify_image_needs_an_active_node(
    make_node: MakeNode, peer: RosPeer, astronaut_path: Path
) -> None:
    node = make_node(autostart=False)
    with spinning(node):
        for state, what_to_do in (
            ("unconfigured", "configure and activate"),
            ("inactive", "activate"),
        ):
            answer = classify(peer, path=str(astronaut_path))
            assert not answer.success
            assert answer.message == f"The node is {state}; {what_to_do} it first."
            node.trigger_configure()
        node.trigger_activate()
        assert classify(peer, path=str(astronaut_path)).success
        # A pause of the stream is no pause of the service.
        peer.call(SetBool, "enable", SetBool.Request(data=False))
        assert classify(peer, path=str(astronaut_path)).success


def test_stream_and_node_go_on_while_an_image_is_classified(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader, astronaut_path: Path
) -> None:
    camera = FakeCamera(peer)
    assert not classify(peer).success
    loader.still_detector.gate.clear()
    request = ClassifyImage.Request(path=str(astronaut_path))
    pending = peer.start_call(ClassifyImage, "classify_image", request)
    peer.wait_until(lambda: loader.still_detector.images, "the image")
    camera.send_until_received()
    for _ in range(5):
        camera.send_until_received()
    assert peer.call(SetBool, "enable", SetBool.Request(data=True)).success
    assert not pending.done()
    loader.still_detector.gate.set()
    peer.wait_until(pending.done, "the answer")
    assert pending.result().success


def test_too_many_waiting_images_are_refused(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader, astronaut_path: Path
) -> None:
    assert not classify(peer).success
    loader.still_detector.gate.clear()
    request = ClassifyImage.Request(path=str(astronaut_path))
    pending = [peer.start_call(ClassifyImage, "classify_image", request) for _ in range(9)]
    peer.wait_until(lambda: any(call.done() for call in pending), "a refusal")
    (refused,) = [call.result() for call in pending if call.done()]
    assert not refused.success
    assert "try again later" in refused.message
    loader.still_detector.gate.set()
    peer.wait_until(lambda: all(call.done() for call in pending), "the answers")
    assert sum(call.result().success for call in pending) == 8
    assert classify(peer, path=str(astronaut_path)).success


def test_waiting_images_are_refused_when_the_node_is_cleaned_up(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader, astronaut_path: Path
) -> None:
    assert not classify(peer).success
    loader.still_detector.gate.clear()
    request = ClassifyImage.Request(path=str(astronaut_path))
    first = peer.start_call(ClassifyImage, "classify_image", request)
    peer.wait_until(lambda: loader.still_detector.images, "the first image")
    second = peer.start_call(ClassifyImage, "classify_image", request)
    peer.wait_until(lambda: node._stills._pool._work_queue.qsize() == 1, "the second image")
    assert node.trigger_deactivate() == SUCCESS
    assert not second.done()
    with ThreadPoolExecutor() as pool:
        # It waits for the first image.
        cleaning = pool.submit(node.trigger_cleanup)
        peer.wait_until(second.done, "the refusal")
        loader.still_detector.gate.set()
        assert cleaning.result() == SUCCESS
    reason = "The node was cleaned up or shut down before it came to this image."
    assert (second.result().success, second.result().message) == (False, reason)
    peer.wait_until(first.done, "the answer")
    assert first.result().success


def test_waiting_images_are_classified_though_the_node_is_deactivated(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader, astronaut_path: Path
) -> None:
    assert not classify(peer).success
    loader.still_detector.gate.clear()
    request = ClassifyImage.Request(path=str(astronaut_path))
    pending = [peer.start_call(ClassifyImage, "classify_image", request) for _ in range(2)]
    peer.wait_until(lambda: node._stills._pool._work_queue.qsize() == 1, "the second image")
    assert node.trigger_deactivate() == SUCCESS
    loader.still_detector.gate.set()
    peer.wait_until(lambda: all(call.done() for call in pending), "both answers")
    assert all(call.result().success for call in pending)
