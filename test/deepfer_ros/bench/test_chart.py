"""Tests of the chart."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from deepfer_ros.bench.chart import draw_chart

SVG = "{http://www.w3.org/2000/svg}"


def make_results(**sections: object) -> dict[str, Any]:
    machine = {"processor": "A <fast> & new one", "cores": 2}
    return {"machine": machine, "detector": "yunet", "model": "model.tflite", **sections}


def speed(width: int, height: int, faces: int, median_ms: float) -> dict[str, Any]:
    timing = {"median_ms": median_ms}
    return {"width": width, "height": height, "faces": faces, "timing": timing}


RECOGNIZE = [
    speed(width, height, faces, width / 100 + faces)
    for width, height in ((640, 480), (1280, 720))
    for faces in (1, 4, 16)
]
CAMERAS = [
    {"load": {"cameras": count}, "latency": {"median_ms": 5.0 * count}, "cpu_s_per_s": 0.3 * count}
    for count in (1, 2, 3)
]


def stages(floor_ms: float | None) -> list[dict[str, Any]]:
    return [
        {**speed(640, 480, faces, 1.0), "stage": stage, "floor_ms": floor_ms}
        for faces in (1, 4)
        for stage in ("detect (yunet)", "crop", "classify", "draw")
    ]


def lines_of(svg: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(f"{SVG}polyline"))


def texts_of(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_faces_and_pixels() -> None:
    svg = draw_chart(make_results(recognize=RECOGNIZE))
    assert len(lines_of(svg)) == 2 + 3
    assert {"640x480", "1280x720", "1 face", "16 faces", "faces"} <= set(texts_of(svg))
    assert "A <fast> & new one, 2 cores; detector yunet, model.tflite" in texts_of(svg)


def test_cameras() -> None:
    svg = draw_chart(make_results(cameras=CAMERAS))
    assert len(lines_of(svg)) == 2
    assert "processor, % of a core" in texts_of(svg)


@pytest.mark.parametrize(("floor_ms", "floors"), [(0.5, 2), (None, 0)], ids=["all", "not all"])
def test_the_floor_is_drawn_where_all_stages_have_one(floor_ms: float, floors: int) -> None:
    svg = draw_chart(make_results(recognize=RECOGNIZE, stages=stages(floor_ms)))
    assert sum("stroke-dasharray" in line.attrib for line in lines_of(svg)) == floors


def test_more_is_higher_and_further_right() -> None:
    svg = draw_chart(make_results(cameras=CAMERAS))
    latency = lines_of(svg)[0].attrib["points"].split()
    places = [tuple(map(float, place.split(","))) for place in latency]
    assert places == sorted(places, key=lambda place: (place[0], -place[1]))
    assert places[0][1] > places[-1][1]
    assert places[0][0] < places[-1][0]


def test_a_single_point() -> None:
    svg = draw_chart(make_results(recognize=RECOGNIZE[:1]))
    assert len(lines_of(svg)) == 2
