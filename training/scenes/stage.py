"""What every painter of objects needs: the canvas, the camera, the light and who stands in whose shade."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.scenes.canvas import Array, Canvas, Colour
from training.scenes.light import Light
from training.scenes.road import Shadows, Street
from training.scenes.view import Camera


@dataclass
class Stage:
    """One scene in the making. ``roofs`` lists (side, near z, far z, height) of what can throw large shadows."""

    canvas: Canvas
    cam: Camera
    light: Light
    street: Street
    shadows: Shadows
    roofs: list[tuple[int, float, float, float]] = field(default_factory=list)

    def lit(self, x: float, z: float, y: float = 0.9) -> float:
        """1 where the sun reaches the point, 0 in the shade of a building."""
        sun = self.light.sun
        side = -1 if sun[0] < 0 else 1
        reach = (self.street.line(side) - x) / sun[0] if abs(sun[0]) > 1e-3 else -1.0
        if reach <= 0:
            return 1.0
        high, at = y + reach * sun[1], z + reach * sun[2]
        return 0.0 if any(s == side and a <= at <= b and h > high for s, a, b, h in self.roofs) else 1.0

    def face(self, points: Array, colour: Colour) -> None:
        """Fill a world polygon (N, 3) in an already lit and hazed colour."""
        polygon = self.cam.polygon(points)
        if len(polygon) >= 3:
            self.canvas.fill(polygon, colour)


@dataclass(frozen=True)
class Plane:
    """A wall's own coordinates: u metres along it, v metres up, out metres in front of it."""

    origin: Array
    along: Array
    normal: Array

    def at(self, u: npt.ArrayLike, v: npt.ArrayLike, out: npt.ArrayLike = 0.0) -> Array:
        """World points (..., 3)."""
        us, vs, outs = np.broadcast_arrays(np.asarray(u, float), np.asarray(v, float), np.asarray(out, float))
        points = self.origin + us[..., None] * self.along + outs[..., None] * self.normal
        points[..., 1] += vs
        return np.asarray(points)

    def rect(self, u0: float, u1: float, v0: float, v1: float, out: float = 0.0) -> Array:
        """Corners (N, 3) of a rectangle; long ones get extra points so that they follow a curved street."""
        steps = max(2, int(abs(u1 - u0) / 2.5) + 2)
        u = np.linspace(u0, u1, steps)
        return np.concatenate([self.at(u, v0, out), self.at(u[::-1], v1, out)])
