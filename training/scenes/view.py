"""The camera: world metres to canvas pixels.

World axes: x to the right of the road's centre line, y up from the road, z forward from the camera.
"""

from dataclasses import dataclass

import numpy as np

from training.scenes.canvas import Array

NEAR = 0.7  # metres; nothing closer than this is projected


@dataclass(frozen=True)
class Camera:
    """A pinhole with a horizontal axis; ``bend`` curves the street by shifting x with the square of z."""

    focal: float  # canvas pixels
    centre: float  # canvas column of the vanishing point at bend 0
    horizon: float  # canvas row
    eye: float = 1.4  # metres above the road
    x: float = 0.0  # metres right of the centre line
    bend: float = 0.0  # 1 / metres

    def project(self, points: Array) -> Array:
        """World points (..., 3) to canvas pixels (..., 2)."""
        z = np.maximum(points[..., 2], NEAR)
        x = self.centre + self.focal * (points[..., 0] - self.x + self.bend * z * z) / z
        y = self.horizon + self.focal * (self.eye - points[..., 1]) / z
        pixels = np.empty((*np.shape(z), 2))
        pixels[..., 0], pixels[..., 1] = x, y
        return pixels

    def polygon(self, points: Array) -> Array:
        """A world polygon (N, 3), clipped at the near plane, as canvas pixels (M, 2); M may be 0."""
        z = points[:, 2]
        if z.min() >= NEAR:
            return self.project(points)
        kept = []
        for here, there in zip(points, np.roll(points, -1, 0), strict=True):
            if here[2] >= NEAR:
                kept.append(here)
            if (here[2] >= NEAR) != (there[2] >= NEAR):
                t = (NEAR - here[2]) / (there[2] - here[2])
                kept.append(here + t * (there - here))
        return self.project(np.array(kept)) if kept else np.zeros((0, 2))

    def corner(self, x: float, y: float, z: float) -> tuple[float, float]:
        """`project` for one point in front of the near plane."""
        k = self.focal / z
        return self.centre + k * (x - self.x + self.bend * z * z), self.horizon + k * (self.eye - y)

    def scale(self, z: float) -> float:
        """Canvas pixels of one metre at distance ``z``."""
        return self.focal / max(z, NEAR)

    def ground(self, height: int, width: int) -> tuple[Array, Array, int]:
        """World x (R, W) and z (R, 1), float32, of the canvas rows below the horizon, and the first such row."""
        top = max(0, int(np.ceil(self.horizon)) + 1)
        rows = np.arange(top, height, dtype=np.float32)
        z = (self.focal * self.eye / (rows - self.horizon)).astype(np.float32)[:, None]
        columns = np.arange(width, dtype=np.float32)[None, :]
        x = (columns - self.centre) * z / self.focal + self.x - self.bend * z * z
        return x.astype(np.float32), z, top


def turned(points: Array, heading: float, x: float, z: float, y: float = 0.0) -> Array:
    """Local points (..., 3) as forward, up, right to world; heading 0 looks away from the camera, +90 degrees right."""
    s, c = np.sin(heading), np.cos(heading)
    forward, up, right = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([x + forward * s + right * c, y + up, z + forward * c - right * s], -1)
