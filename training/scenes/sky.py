"""Sky with clouds, and the far skyline."""

import cv2
import numpy as np

from perturb.images import class_names
from training.scenes.canvas import Array, Canvas, Colour, mix, noise, scaled
from training.scenes.light import Light
from training.scenes.view import Camera


def paint_sky(canvas: Canvas, cam: Camera, light: Light, rng: np.random.Generator) -> None:
    """Gradient and a flat layer of clouds seen in perspective; fills the whole canvas."""
    height, width = canvas.height // 4 + 1, canvas.width // 4 + 1
    rows = (np.arange(height, dtype=np.float32) * 4)[:, None]
    up = np.clip((cam.horizon - rows) / cam.horizon, 0, 1) * np.ones((1, width), np.float32)
    t = up**0.75
    low, high = np.asarray(light.sky_low, np.float32), np.asarray(light.sky_top, np.float32)
    rgb = low + (high - low) * t[:, :, None]
    # The sky is brighter on the sun's side.
    columns = (np.arange(width, dtype=np.float32) * 4 - cam.centre)[None, :] / canvas.width
    ahead = max(0.0, float(light.sun[2]))
    side = np.exp(-((columns - light.sun[0] * 0.9) ** 2) * 2.5) * (0.35 + 0.65 * ahead)
    rgb += (np.array([255, 246, 226], np.float32) - rgb) * (0.30 * side * (1 - t * 0.5) * (1 - light.wet))[:, :, None]

    tile = noise(rng, 512, 512, 5, octaves=5)
    depth = 1 / (up + 0.10)
    u = (columns * depth * 150 + rng.uniform(100, 400)).astype(np.float32)
    v = (depth * 45 + rng.uniform(0, 60) + 0 * columns).astype(np.float32)
    # Mirrored at its borders the tile has no seams.
    field = np.asarray(cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32) * 2.2
    threshold = 0.55 - light.cloudiness * 1.1
    cover = np.clip((field - threshold) / 0.42, 0, 1)
    cover = cover * cover * (3 - 2 * cover) * np.clip(up * 7, 0, 1)
    shift = 9.0 if light.sun[0] >= 0 else -9.0
    body = cv2.remap(tile, u + np.float32(shift), v - np.float32(6), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    body = np.asarray(body, np.float32) * 2.2
    shadow = np.clip((body - field) * 0.9 + 0.45, 0, 1)
    dark = np.asarray(mix(light.cloud, light.sky_top, 0.42), np.float32)
    cloud = np.asarray(light.cloud, np.float32) + (dark - np.asarray(light.cloud, np.float32)) * shadow[:, :, None]
    rgb += (cloud - rgb) * (0.92 * cover)[:, :, None]
    canvas.rgb[:] = cv2.resize(np.clip(rgb, 0, 255).astype(np.uint8), (canvas.width, canvas.height))
    canvas.owner[:] = canvas.take(class_names.SKY)


def paint_skyline(canvas: Canvas, cam: Camera, light: Light, rng: np.random.Generator, hills: bool) -> None:
    """Two layers of far roofs, towers and tree tops along the horizon, pale with distance."""
    for distance, tall in ((240.0, 26.0), (150.0, 14.0)):
        tint: Colour = (128, 120, 122) if distance > 200 else (122, 108, 102)
        canvas.take(class_names.BUILDING)
        colour = light.air(scaled(tint, float(light.sky_rgb.mean()) + 0.35), distance)
        roof = light.air(scaled(mix(tint, (150, 84, 66), 0.45), float(light.sky_rgb.mean()) + 0.3), distance)
        metre = cam.scale(distance)
        left = -30.0
        while left < canvas.width + 30:
            wide = rng.uniform(7, 17) * metre
            high = rng.uniform(0.35, 1.0) * tall * metre
            if rng.random() < 0.07:
                high *= 1.9
                wide *= 0.5
            base = cam.horizon + 6
            canvas.fill(_box(left, base, wide, high), scaled(colour, rng.uniform(0.94, 1.05)))
            peak = cam.horizon - high
            if rng.random() < 0.6:
                gable = np.array([[left - 1, peak], [left + wide * 0.5, peak - wide * 0.36], [left + wide + 1, peak]])
                canvas.fill(gable, scaled(roof, rng.uniform(0.94, 1.05)))
            left += wide * rng.uniform(0.8, 1.1)
    canvas.take(class_names.TREE)
    green: Colour = (86, 104, 72) if not light.snow else (150, 156, 160)
    green = light.air(scaled(green, float(light.sky_rgb.mean()) + 0.35), 130.0)
    metre = cam.scale(130.0)
    for _ in range(46 if hills else 16):
        centre = rng.uniform(-20, canvas.width + 20)
        size = rng.uniform(2.5, 6.0) * metre
        angle = np.linspace(0, 2 * np.pi, 15)[:-1]
        radius = size * (1 + 0.12 * rng.standard_normal(14))
        blob = np.stack([centre + radius * np.cos(angle), cam.horizon - size * 0.6 + radius * np.sin(angle) * 0.9], -1)
        canvas.fill(blob, scaled(green, rng.uniform(0.88, 1.1)))


def _box(left: float, base: float, wide: float, high: float) -> Array:
    return np.array([[left, base], [left, base - high], [left + wide, base - high], [left + wide, base]])
