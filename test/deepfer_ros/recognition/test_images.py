import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from exif_samples import DAMAGED_EXIF, ORIENTATIONS
from numpy.typing import NDArray
from PIL import Image
from tiff_samples import FLOAT, RATIONAL, TEXT, WHOLE_NUMBER, one_pixel_tiff

from deepfer_ros.recognition import images
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import (
    check_suffix,
    decode_image,
    encode_image,
    read_image,
)


def ramp() -> NDArray[np.uint8]:
    """A smooth picture, uint8 (40, 60, 3), with a channel each that rises right, down, nowhere."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = np.linspace(0, 200, 60)
    image[..., 1] = np.linspace(0, 200, 40)[:, None]
    image[..., 2] = 90
    return image


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".JPG"])
def test_round_trip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(encode_image(ramp(), suffix, quality=95))
    lossless = suffix in (".png", ".bmp")
    np.testing.assert_allclose(read_image(path), ramp(), atol=0 if lossless else 12)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded(kind: type) -> None:
    np.testing.assert_array_equal(decode_image(kind(encode_image(ramp(), ".png"))), ramp())


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_every_colour_mode_becomes_bgr(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("picture.tiff" if mode == "CMYK" else "picture.png")
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(mode).save(path)
    np.testing.assert_array_equal(read_image(path), np.full((6, 8, 3), 255))


def test_16_bit_pictures_are_scaled(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((4, 5), 32896, np.uint16))
    np.testing.assert_array_equal(read_image(path), np.full((4, 5, 3), 128))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize(
    ("orientation", "quarter_turns", "is_mirrored"), [*ORIENTATIONS, (9, 0, False)]
)
def test_exif_orientation_turns_the_picture_upright(
    tmp_path: Path, suffix: str, orientation: int, quarter_turns: int, is_mirrored: bool
) -> None:
    # Dark but for the upper left quarter.
    upright = np.zeros((64, 48, 3), np.uint8)
    upright[:32, :24] = 255
    stored = np.rot90(upright[:, ::-1] if is_mirrored else upright, quarter_turns)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored.copy()).save(tmp_path / f"turned{suffix}", exif=exif)

    image = read_image(tmp_path / f"turned{suffix}")

    assert image.shape == (64, 48, 3)
    assert np.mean(np.abs(image.astype(int) - upright)) < 5


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize(("exif", "is_turned"), DAMAGED_EXIF)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_spoil_a_picture(
    tmp_path: Path, suffix: str, exif: bytes, is_turned: bool
) -> None:
    Image.fromarray(ramp()).save(tmp_path / f"odd{suffix}", exif=exif)

    assert read_image(tmp_path / f"odd{suffix}").shape == (
        (60, 40, 3) if is_turned else (40, 60, 3)
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_pictures_are_refused(suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode_image(noise, suffix)
    with pytest.raises(ImageError, match=r"damaged or truncated|not a picture"):
        decode_image(data[: int(len(data) * share)])


def test_the_sound_tiff_of_these_tests_is_a_picture() -> None:
    assert decode_image(one_pixel_tiff(WHOLE_NUMBER)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is empty: 0 bytes", id="empty"),
        pytest.param(b"hello", "not a picture of a known format", id="text"),
        pytest.param(bytes(1000), "not a picture of a known format", id="zeros"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG|damaged|known format", id="png head"),
        pytest.param(b"\xff\xd8\xff\xe0" + bytes(50), "damaged|known format", id="jpeg head"),
        pytest.param(b"GIF89a" + bytes(50), "known format", id="gif"),
        pytest.param(one_pixel_tiff(RATIONAL), "damaged or truncated", id="tiff rational"),
        pytest.param(one_pixel_tiff(FLOAT), "damaged or truncated", id="tiff float"),
        pytest.param(one_pixel_tiff(TEXT), "damaged or truncated", id="tiff text"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_image(data)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_pictures_never_raise_anything_else() -> None:
    rng = np.random.default_rng(0)
    encoded = [encode_image(ramp(), suffix) for suffix in (".jpg", ".png", ".webp", ".bmp")]
    for good in (
        np.frombuffer(data, np.uint8) for data in (*encoded, one_pixel_tiff(WHOLE_NUMBER))
    ):
        for _ in range(150):
            data = good.copy()
            data[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
            try:
                image = decode_image(data.tobytes(), max_pixels=1_000_000)
            except ImageError:
                continue
            assert image.dtype == np.uint8
            assert image.shape[2] == 3


def test_limits() -> None:
    data = encode_image(ramp(), ".png")
    with pytest.raises(ImageError, match=rf"has {len(data)} bytes, at most 100 are allowed"):
        decode_image(data, max_bytes=100)
    with pytest.raises(ImageError, match="has 60x40 pixels, at most 2399 pixels"):
        decode_image(data, max_pixels=2399)
    assert decode_image(data, max_pixels=2400).shape == (40, 60, 3)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (60_000, 60_000)).save(path)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(ImageError, match="has too many pixels, at most 50000000 pixels"):
        read_image(path)


def test_the_limit_of_pillow_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own is 179 million pixels; a small one spares the test a picture of that size."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = encode_image(ramp(), ".png")
    assert decode_image(data, max_pixels=2400).shape == (40, 60, 3)
    # Another thread may be about to read a picture that its own limit allows.
    with pytest.raises(ImageError, match="has 60x40 pixels, at most 500 pixels"):
        decode_image(data, max_pixels=500)
    assert Image.MAX_IMAGE_PIXELS == 2400


def test_nothing_else_at_run_time_depends_on_the_limit_of_pillow() -> None:
    runtime = Path(images.__file__).parents[1]
    users = [path for path in runtime.rglob("*.py") if "from PIL" in path.read_text()]
    assert users == [Path(images.__file__)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("gone.png", "does not exist", id="missing"),
        pytest.param("file.png/below.png", "does not exist", id="below a file"),
        pytest.param(".", "is a folder", id="folder"),
        pytest.param("pipe", "is no regular file", id="pipe"),
        pytest.param("loop", "cannot be opened", id="symbolic link to itself"),
        pytest.param("x" * 5000, "cannot be opened|does not exist", id="long name"),
        pytest.param("nul\0", "cannot be opened", id="nul character"),
        pytest.param("text.png", "not a picture", id="text"),
        pytest.param("large.png", "at most 1000 are allowed", id="large"),
    ],
)
def test_paths_that_are_no_pictures_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file.png").write_bytes(encode_image(ramp()))
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "large.png").write_bytes(bytes(1001))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / name, max_bytes=1000)


def test_devices_are_refused() -> None:
    with pytest.raises(ImageError, match="is no regular file"):
        read_image(Path("/dev/zero"))


@pytest.mark.parametrize(
    "inside", ["picture.png", "sub/../picture.png", "link.png"], ids=["plain", "dots", "link"]
)
def test_root_allows_what_is_inside(tmp_path: Path, inside: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "picture.png").write_bytes(encode_image(ramp(), ".png"))
    (tmp_path / "link.png").symlink_to(tmp_path / "picture.png")
    assert read_image(tmp_path / inside, root=tmp_path).shape == (40, 60, 3)


@pytest.mark.parametrize("outside", ["../secret.png", "link.png", "/dev/zero"])
def test_root_refuses_what_is_outside(tmp_path: Path, outside: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(encode_image(ramp(), ".png"))
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ImageError, match="outside the allowed folder"):
        read_image(root / outside, root=root)


@pytest.mark.parametrize("suffix", ["", ".gif", "jpg", ".txt"])
def test_unknown_suffixes_are_refused(suffix: str) -> None:
    with pytest.raises(ImageError, match=f"'{suffix}'; choose .jpg"):
        check_suffix(suffix)
    with pytest.raises(ImageError):
        encode_image(ramp(), suffix)


@pytest.mark.parametrize(
    ("suffix", "largest_px"), [(".jpg", 65_500), (".JPEG", 65_500), (".webp", 16_383)]
)
def test_pictures_too_large_for_a_format_are_refused(
    suffix: str, largest_px: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert encode_image(np.zeros((1, largest_px, 3), np.uint8), suffix)
    for shape in ((1, largest_px + 1, 3), (largest_px + 1, 1, 3)):
        with pytest.raises(
            ImageError, match=f"cannot become {suffix}, at most {largest_px} pixels a side"
        ):
            encode_image(np.zeros(shape, np.uint8), suffix)
    # A stream of such pictures would fill the terminal.
    assert capfd.readouterr().err == ""
