"""The states of the emotion node, again and again: what is left behind, and what is said."""

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_camera import FakeCamera
from fake_recognition import FakeLoader
from flood import flooded
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import LoggingSeverity, set_logger_level
from ros_peer import RosPeer, spinning
from std_srvs.srv import SetBool

from deepfer.srv import ClassifyImage
from deepfer_ros.emotion_node import NODE_NAME, EmotionNode
from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.recognition.errors import ModelError
from deepfer_ros.recognizers import Recognizers

MakeNode = Callable[..., EmotionNode]
SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
CYCLES = 100
WARM_UP_CYCLES = 50
MEMORY_BYTES = 2**14


@dataclass(frozen=True, slots=True)
class Holdings:
    """What this process holds of the things that can leak."""

    threads: int
    files: int
    objects: int
    memory_bytes: int


def count_holdings() -> Holdings:
    gc.collect()
    # What other tests and these cycles have freed, but the allocator keeps, is held by nobody.
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Holdings(
        threads=len(os.listdir("/proc/self/task")),
        files=len(os.listdir("/proc/self/fd")),
        objects=len(gc.get_objects()),
        memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
    )


@pytest.fixture
def silent_log() -> Iterator[None]:
    """Keep the log quiet: ROS remembers its last thousand messages for late subscribers."""
    set_logger_level(NODE_NAME, LoggingSeverity.FATAL)
    yield
    set_logger_level(NODE_NAME, LoggingSeverity.UNSET)


def run_cycle(node: EmotionNode) -> None:
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS


def run_cycle_with_pauses(node: EmotionNode) -> None:
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    for enabled in (False, True):
        assert node._on_enable(SetBool.Request(data=enabled), SetBool.Response()).success
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS


def fail_cycle(node: EmotionNode) -> None:
    node._load.error = ModelError("The model is gone.")
    assert node.trigger_configure() == FAILURE
    node._load.error = ZeroDivisionError("a bug")
    assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    node._load.error = None
    run_cycle(node)


@pytest.mark.parametrize("cycle", [run_cycle, run_cycle_with_pauses, fail_cycle])
def test_a_hundred_cycles_leave_nothing_behind(
    make_node: MakeNode, cycle: Callable[[EmotionNode], None], silent_log: None
) -> None:
    node = make_node(cameras=["front", "rear"], autostart=False)
    for _ in range(WARM_UP_CYCLES):
        cycle(node)
    before = count_holdings()
    for _ in range(CYCLES):
        cycle(node)
    after = count_holdings()
    assert (after.threads, after.files) == (before.threads, before.files)
    assert after.objects - before.objects < CYCLES
    # The allocator settles slowly; a publisher or a model that stays would take far more.
    assert after.memory_bytes - before.memory_bytes < CYCLES * MEMORY_BYTES


def test_cycles_while_images_come(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(cameras=["front", "rear"], autostart=False)
    with ExitStack() as stack:
        stack.enter_context(spinning(node))
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        stack.enter_context(flooded("front/image_raw"))
        for _ in range(20):
            assert node.trigger_deactivate() == SUCCESS
            assert node.trigger_cleanup() == SUCCESS
            assert node.trigger_configure() == SUCCESS
            assert node.trigger_activate() == SUCCESS
        FakeCamera(peer, prefix="rear/").send_until_received()


def test_an_inactive_node_neither_subscribes_nor_recognizes(
    make_node: MakeNode, peer: RosPeer, loader: FakeLoader
) -> None:
    node = make_node()
    node.start()
    with spinning(node):
        camera = FakeCamera(peer)
        camera.send_until_received()
        assert node.trigger_deactivate() == SUCCESS
        assert not [entry for entry in node.subscriptions if "image" in entry.topic_name]
        peer.wait_until(lambda: not peer.node.count_subscribers("image_raw"), "the unsubscribing")
        done, results = len(loader.stream_detector.images), len(camera.results)
        for _ in range(10):
            camera.send()
            peer.spin_for(0.02)
        assert len(loader.stream_detector.images) == done
        assert node.trigger_activate() == SUCCESS
        camera.send_until_received()
        assert len(camera.results) > results


@pytest.mark.parametrize("cameras", [[""], ["front", "rear"]], ids=["one", "two"])
def test_failed_activation_can_be_repeated(
    make_node: MakeNode, capfd: pytest.CaptureFixture[str], cameras: list[str]
) -> None:
    topic = f"/{cameras[-1]}/image_raw".replace("//", "/")
    override = {f"qos_overrides.{topic}.subscription.reliability": "perfect"}
    node = make_node(cameras=cameras, autostart=False, **override)
    assert node.trigger_configure() == SUCCESS
    before = count_holdings()
    for _ in range(2):
        assert node.trigger_activate() == FAILURE
        assert "Cannot be activated: " in capfd.readouterr().err
        assert not [entry for entry in node.subscriptions if "image" in entry.topic_name]
        after = count_holdings()
        assert (after.threads, after.files) == (before.threads, before.files)
    assert node.trigger_cleanup() == SUCCESS


# --- what the node says about its state ---


def ask(peer: RosPeer) -> tuple[str, str]:
    """Return what classify_image and enable say."""
    request = ClassifyImage.Request(path="/picture.png")
    still = peer.call(ClassifyImage, "classify_image", request)
    enable = peer.call(SetBool, "enable", SetBool.Request(data=True))
    assert not still.success
    assert not enable.success
    return still.message, enable.message


def test_services_say_what_to_do_in_each_state(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(autostart=False)
    with spinning(node):
        unconfigured = "The node is unconfigured; configure and activate it first."
        assert ask(peer) == (unconfigured, unconfigured)
        assert node.trigger_configure() == SUCCESS
        inactive = "The node is inactive; activate it first."
        assert ask(peer) == (inactive, inactive)
        assert node.trigger_shutdown() == SUCCESS
        finalized = "The node was shut down for good; start it again."
        assert ask(peer) == (finalized, finalized)


def test_log_says_what_comes_next(make_node: MakeNode, capfd: pytest.CaptureFixture[str]) -> None:
    node = make_node(autostart=False, namespace="robot")
    node.start()
    log = capfd.readouterr().err
    assert "Unconfigured, because autostart is false; waiting for" in log
    assert "ros2 lifecycle set /robot/emotion_node configure" in log
    for transition, words in [
        (node.trigger_configure, "Configured; waiting to be activated."),
        (node.trigger_activate, "Waiting for images on /robot/image_raw."),
        (node.trigger_deactivate, "Deactivated: no image is received until it is activated."),
        (node.trigger_cleanup, "Cleaned up: the model is freed until the node is configured."),
        (node.trigger_shutdown, "Shut down for good."),
    ]:
        assert transition() == SUCCESS
        assert words in capfd.readouterr().err


def test_nothing_is_loaded_before_the_node_is_configured(make_node: MakeNode) -> None:
    loaded: list[EmotionParameters] = []

    def load(parameters: EmotionParameters) -> Recognizers:
        loaded.append(parameters)
        return FakeLoader()(parameters)

    node = make_node(load=load, autostart=False)
    node.start()
    assert loaded == []
    assert node.trigger_configure() == SUCCESS
    assert len(loaded) == 1
