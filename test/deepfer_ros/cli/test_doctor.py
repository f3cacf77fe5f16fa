"""Tests of `deepfer doctor`, on this installation and on broken ones."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deepfer_ros.cli import deepfer, doctor_probes, doctor_run
from deepfer_ros.cli.doctor_finding import MISSING, OK, OPTIONAL, PROBLEM, Finding
from deepfer_ros.cli.doctor_probes import PROBES
from deepfer_ros.cli.doctor_run import run_probe

GOOD = Finding(OK, "1.2.3")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(deepfer, ["doctor", *arguments])


def report_with(monkeypatch: pytest.MonkeyPatch, **findings: Finding) -> Result:
    monkeypatch.setattr(doctor_run, "run_probe", lambda name: findings.get(name, GOOD))
    return invoke("--json")


def parse(result: Result) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(result.stdout)
    return report


class TestReport:
    def test_everything_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = report_with(monkeypatch)
        assert result.exit_code == 0
        assert parse(result)["ok"] is True
        assert [check["name"] for check in parse(result)["checks"]] == list(PROBES)

    def test_something_optional_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = report_with(monkeypatch, webcam=Finding(OPTIONAL, "none", "Plug one in."))
        assert result.exit_code == 0
        assert parse(result)["ok"] is True

    def test_something_needed_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = report_with(monkeypatch, ros=Finding(MISSING, "No module", "Source it."))
        assert result.exit_code == 1
        assert parse(result)["ok"] is False
        assert {
            "name": "ros",
            "status": "missing",
            "detail": "No module",
            "advice": "Source it.",
        } in parse(result)["checks"]

    def test_something_that_does_not_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = report_with(monkeypatch, topics=Finding(PROBLEM, "Nobody publishes.", "Do."))
        assert result.exit_code == 1
        assert parse(result)["ok"] is False

    def test_table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            doctor_run, "run_probe", lambda name: Finding(MISSING, "[red]gone[/red]", "Do this.")
        )
        result = invoke()
        assert result.exit_code == 1
        assert "[red]gone[/red]" in result.output
        assert "Do this." in result.output
        assert "is missing" in result.output


class TestBrokenInstallation:
    """Probes in their own process survive whatever a package does when it is imported."""

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("raise ImportError('numpy ABI mismatch')", "ImportError: numpy ABI mismatch"),
            ("raise AttributeError('_ARRAY_API not found')", "_ARRAY_API not found"),
            ("import os; os.abort()", "crashed with SIGABRT"),
            ("import os; os.kill(os.getpid(), 11)", "crashed with SIGSEGV"),
            ("raise SystemExit(5)", "failed without a word"),
        ],
    )
    @pytest.mark.parametrize("package", ["numpy", "cv2", "PIL", "rclpy"])
    def test_is_reported(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        package: str,
        code: str,
        expected: str,
    ) -> None:
        (tmp_path / f"{package}.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        name = {"cv2": "opencv", "PIL": "pillow", "rclpy": "ros"}.get(package, package)
        finding = run_probe(name)
        assert finding.status == MISSING
        assert expected in finding.detail
        assert finding.advice

    def test_a_check_that_hangs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "numpy.py").write_text("import time; time.sleep(60)")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(doctor_run, "_TIMEOUT_S", 1.0)
        assert "more than 1 s" in run_probe("numpy").detail

    def test_a_library_that_writes_to_standard_output(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "numpy.py").write_text(
            "import atexit; __version__ = '9'; print('hello'); atexit.register(print, 'bye')"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert run_probe("numpy") == Finding(OK, "9")

    def test_no_python(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        assert "cannot be started" in run_probe("numpy").detail


class TestProbes:
    def test_python(self) -> None:
        assert doctor_probes.probe_python().status == OK

    @pytest.mark.parametrize(
        "name", ["numpy", "opencv", "pillow", "litert", "ros", "messages", "transport", "sample"]
    )
    def test_this_installation(self, name: str) -> None:
        finding = run_probe(name)
        assert finding.status == OK, finding
        assert finding.detail

    def test_model(self) -> None:
        finding = run_probe("model")
        assert finding.status == OK, finding
        assert "deepfer48" in finding.detail

    def test_recognition(self) -> None:
        finding = run_probe("recognition")
        assert finding.status in (OK, OPTIONAL), finding  # optional where it is slow
        assert "sample photograph: happy " in finding.detail

    def test_ros_names_the_domain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROS_DOMAIN_ID", "7")
        monkeypatch.setenv("ROS_LOCALHOST_ONLY", "1")
        assert "ROS_DOMAIN_ID=7, " in doctor_probes.probe_ros().detail
        assert "ROS_LOCALHOST_ONLY=1" in doctor_probes.probe_ros().detail

    def test_two_wheels_of_opencv(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import importlib.metadata

        wheels = {"cv2": ["opencv-python", "opencv-python-headless"]}
        monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: wheels)
        finding = doctor_probes.probe_opencv()
        assert finding.status == OPTIONAL
        assert "opencv-python, opencv-python-headless" in finding.detail
        assert finding.advice.startswith("pip uninstall opencv-python opencv-python-headless;")

    def test_messages_that_break_with_this_numpy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            "import rclpy.serialization as s, os\ns.serialize_message = lambda m: os.abort()"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        finding = run_probe("messages")
        assert (finding.status, finding.detail) == (MISSING, "crashed with SIGABRT")
        assert "numpy<2" in finding.advice

    def test_a_wrong_yunet_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DEEPFER_YUNET_FILE", "/nowhere/yunet.onnx")
        finding = doctor_probes.probe_detectors()
        assert finding.status == MISSING
        assert "/nowhere/yunet.onnx" in finding.detail
        assert "DEEPFER_YUNET_FILE" in finding.advice

    def test_a_small_shared_memory_segment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        profile = tmp_path / "small.xml"
        profile.write_text("<profiles/>")
        for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
            monkeypatch.setenv(name, str(profile))
        finding = doctor_probes.probe_transport()
        assert finding.status == MISSING
        assert str(profile) in finding.detail

    def test_no_webcam(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("deepfer_ros.camera_sources.list_webcams", lambda: ())
        finding = doctor_probes.probe_webcam()
        assert (finding.status, finding.detail) == (OPTIONAL, "none")

    def test_training_packages_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import importlib.metadata

        def fail(name: str) -> str:
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, "version", fail)
        finding = doctor_probes.probe_training()
        assert finding.status == OPTIONAL
        assert "deepfer[training]" in finding.advice
