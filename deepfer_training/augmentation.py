"""Random changes to face pictures, so that a model also holds on crops of a real detector."""

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_training.config import AugmentationConfig


def augment_picture(
    image: NDArray[np.uint8], config: AugmentationConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a randomly changed copy of a grey picture.

    It is mirrored, rotated, scaled and shifted in one resampling step, changed in contrast and
    brightness, sometimes blurred, sometimes compressed, and sometimes loses a rectangle ("random
    erasing", Zhong et al. 2017, arXiv:1708.04896).

    Args:
        image: uint8 (H, W), grey.
        config: How strong each change may be.
        rng: Source of randomness; equal state gives an equal picture.
    """
    height, width = image.shape
    warped = cv2.warpAffine(
        image,
        _random_affine(height, width, config, rng),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    contrast = 1.0 + rng.uniform(-config.contrast, config.contrast)
    brightness = 255.0 * rng.uniform(-config.brightness, config.brightness)
    mean = float(warped.mean())
    lit = (warped.astype(np.float32) - mean) * contrast + mean + brightness
    changed = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    if rng.random() < config.blur_probability:
        sigma_px = rng.uniform(0.2, max(config.blur_sigma_px, 0.2))
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), sigmaX=sigma_px), np.uint8)
    if rng.random() < config.jpeg_probability:
        changed = _compress(changed, int(rng.integers(config.jpeg_quality_min, 91)))
    if rng.random() < config.erasing_probability:
        _erase_rectangle(changed, config, rng)
    return changed


def _random_affine(
    height: int, width: int, config: AugmentationConfig, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a 2x3 matrix that mirrors, rotates, scales and shifts about the picture's centre."""
    angle_deg = rng.uniform(-config.rotation_deg, config.rotation_deg)
    scale = 1.0 + rng.uniform(-config.scale, config.scale)
    shift = rng.uniform(-config.shift, config.shift, size=2) * (width, height)
    mirrored = config.horizontal_flip and rng.random() < 0.5
    upside_down = config.vertical_flip and rng.random() < 0.5
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle_deg, scale), dtype=np.float64)
    if mirrored:
        mirror = np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        matrix = matrix @ mirror
    if upside_down:
        mirror = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, height - 1.0], [0.0, 0.0, 1.0]])
        matrix = matrix @ mirror
    matrix[:, 2] += shift
    return matrix


def _compress(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


def _erase_rectangle(
    image: NDArray[np.uint8], config: AugmentationConfig, rng: np.random.Generator
) -> None:
    """Overwrite a random rectangle of `image` in place with one random grey value."""
    height, width = image.shape
    area = rng.uniform(config.erasing_area_min, config.erasing_area_max) * height * width
    aspect = np.exp(rng.uniform(np.log(0.5), np.log(2.0)))
    box_height = int(np.clip(round(np.sqrt(area * aspect)), 1, height))
    box_width = int(np.clip(round(np.sqrt(area / aspect)), 1, width))
    top = int(rng.integers(0, height - box_height + 1))
    left = int(rng.integers(0, width - box_width + 1))
    image[top : top + box_height, left : left + box_width] = rng.integers(0, 256)
