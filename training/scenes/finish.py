"""The last pass at the final size: lamp bloom, wet mirror, paper and film, tone."""

import cv2
import numpy as np
import numpy.typing as npt

from perturb.images import class_names
from training.scenes.canvas import SUPERSAMPLE, Array, noise
from training.scenes.light import Light

Floats = npt.NDArray[np.float32]


def finish(
    rgb: Floats, classes: npt.NDArray[np.uint8], light: Light, horizon: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Grade a float32 (H, W, 3) picture, 0..255, into the final uint8 one; ``horizon`` is a final row."""
    height, width = classes.shape
    if light.wet:
        rgb = _mirror(rgb, classes, horizon, rng)
    rgb = _bloom(rgb, light)
    if light.wet or light.snow:
        rgb = _falling(rgb, light, rng)
    paper = noise(rng, height, width, width / 2.5, octaves=2)[:, :, None]
    wash = noise(rng, height, width, 4, octaves=3)[:, :, None]
    rgb = rgb * (1 + 0.026 * paper + 0.03 * wash)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    corner = (rows**2 + columns**2)[:, :, None]
    rgb = rgb * (1 - rng.uniform(0.03, 0.09) * corner)
    rgb = rgb + rng.normal(0, rng.uniform(0.8, 2.4), (height, width, 1)).astype(np.float32)
    soft = rng.uniform(0.0, 0.55)
    if soft > 0.25:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (3, 3), soft), np.float32)
    # A gentle shoulder keeps sunlit walls from burning out.
    x = np.clip(rgb / 255 * rng.uniform(1.0, 1.12), 0, 1.35)
    toned = np.where(x < 0.7, x, 0.7 + 0.3 * np.tanh((x - 0.7) / 0.3))
    warm = np.array([1 + rng.uniform(-0.015, 0.025), 1.0, 1 - rng.uniform(-0.02, 0.03)], np.float32)
    return np.asarray(np.clip(toned * warm * 255, 0, 255), np.uint8)


def _bloom(rgb: Floats, light: Light) -> Floats:
    if not light.glows:
        return rgb
    height, width = rgb.shape[:2]
    added = np.zeros((height // 2, width // 2, 3), np.float32)
    for point, radius, colour, gain in light.glows:
        x, y = point / SUPERSAMPLE / 2
        r = min(max(1.5, radius / SUPERSAMPLE / 2), width / 4)
        x0, x1 = int(max(0, x - 3 * r)), int(min(width // 2, x + 3 * r + 1))
        y0, y1 = int(max(0, y - 3 * r)), int(min(height // 2, y + 3 * r + 1))
        if x1 <= x0 or y1 <= y0:
            continue
        dx = (np.arange(x0, x1, dtype=np.float32) - x)[None, :] / r
        dy = (np.arange(y0, y1, dtype=np.float32) - y)[:, None] / r
        d = dx * dx + dy * dy
        fall = 0.75 * np.exp(-d * 2.2) + 0.25 * np.exp(-d * 0.55)
        added[y0:y1, x0:x1] += (gain * fall)[:, :, None] * np.asarray(colour, np.float32)
    full = np.asarray(cv2.resize(added, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(255 - (255 - np.clip(rgb, 0, 255)) * np.exp(-full / 255), np.float32)


def _mirror(rgb: Floats, classes: npt.NDArray[np.uint8], horizon: float, rng: np.random.Generator) -> Floats:
    """Wet ground shows the street upside down, smeared along the line of sight."""
    height, width = classes.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    ripple = noise(rng, height, width, 30, octaves=2)
    depth = np.clip(rows - horizon, 0, None)
    source = np.clip(horizon - depth * 0.92 + ripple * (1 + depth * 0.04), 0, height - 1).astype(np.float32)
    columns = np.arange(width, dtype=np.float32)[None, :] + ripple * 1.6
    flipped = np.asarray(
        cv2.remap(rgb, columns.astype(np.float32), source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
    )
    flipped = np.asarray(cv2.blur(flipped, (3, 15)), np.float32)
    puddle = np.clip(noise(rng, height, width, 5, octaves=3) * 2.6 + 0.5, 0, 1)
    grazing = np.exp(-depth / (0.30 * height))
    ground: Array = np.isin(classes, (class_names.ROAD, class_names.PAVEMENT)).astype(np.float32)
    ground *= np.where(classes == class_names.ROAD, 1.0, 0.6)
    share = ground * (0.20 + 0.45 * puddle) * (0.45 + 0.55 * grazing)
    return np.asarray(rgb + (flipped - rgb) * share[:, :, None], np.float32)


def _falling(rgb: Floats, light: Light, rng: np.random.Generator) -> Floats:
    """Streaks of rain or flakes of snow."""
    height, width = rgb.shape[:2]
    layer = np.zeros((height, width), np.uint8)
    count = int(height * width / (900 if light.snow else 620))
    for x, y, size in zip(
        rng.uniform(0, width, count), rng.uniform(0, height, count), rng.uniform(0.3, 1, count), strict=True
    ):
        start = (int(x * 16), int(y * 16))
        if light.snow:
            cv2.circle(layer, start, int(16 * (0.4 + size)), (int(255 * size),), -1, cv2.LINE_AA, 4)
        else:
            end = (int((x + 1.5 * size) * 16), int((y + 12 * size) * 16))
            cv2.line(layer, start, end, (int(110 * size),), 1, cv2.LINE_AA, 4)
    share = layer.astype(np.float32)[:, :, None] / 255 * (0.75 if light.snow else 0.45)
    return np.asarray(rgb + (np.float32(238) - rgb) * share, np.float32)
