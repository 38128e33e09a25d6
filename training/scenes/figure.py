"""Bodies made of rounded limbs: the hull of two or more balls, painted in three tones like gouache."""

import numpy as np

from training.scenes.canvas import Array, Colour, hull, mix, scaled
from training.scenes.stage import Stage
from training.scenes.view import turned

_RING = np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 17)[:-1])], -1)

Limb = tuple[Array, Array, Colour]  # centres (N, 3) as forward, up, right; radii (N,); colour


class Figure:
    """Collects limbs in local coordinates, then paints them far to near."""

    def __init__(self, stage: Stage, x: float, z: float, heading: float, size: float = 1.0) -> None:
        self.stage, self.x, self.z, self.size = stage, x, z, size
        self.angle = np.deg2rad(heading)
        self.limbs: list[tuple[Array, Array, Colour, float]] = []
        self.rings: list[tuple[Array, float, Colour]] = []

    def limb(self, points: object, radii: object, colour: Colour, bias: float = 0.0) -> None:
        """Add the hull of balls at ``points`` (N, 3); ``bias`` metres bring it forward in the painting order."""
        centres = np.asarray(points, float) * self.size
        sizes = np.broadcast_to(np.asarray(radii, float), (len(centres),)) * self.size
        self.limbs.append((centres, sizes, colour, bias))

    def ring(self, points: object, width: float, colour: Colour) -> None:
        """Add a closed line, such as a tyre, painted before all limbs."""
        self.rings.append((np.asarray(points, float) * self.size, width * self.size, colour))

    def paint(self, ground: float = 0.0) -> None:
        """Draw everything with the canvas's current pen."""
        stage, cam, light = self.stage, self.stage.cam, self.stage.light
        metre = cam.scale(self.z)
        lit = stage.lit(self.x, self.z, ground + 0.9)
        across = float(light.sun[0])
        front = light.gains(np.array([np.sign(across) * 0.6, 0.3, -0.75]), lit) * 0.78
        shade = light.gains(np.array([-np.sign(across) * 0.7, 0.1, -0.7]), lit) * 0.68
        high = light.gains(np.array([np.sign(across) * 0.6, 0.75, -0.25]), lit) * 0.86
        lean = np.array([np.sign(across) * 0.8, -0.6])
        for points, width, colour in self.rings:
            path = cam.project(turned(points, self.angle, self.x, self.z, ground))
            tone = light.air(tuple(np.asarray(colour) * front), self.z)
            stage.canvas.stroke(path, tone, width * metre, closed=True)
        depth = [
            float(turned(points, self.angle, self.x, self.z)[:, 2].mean()) - bias for points, _, _, bias in self.limbs
        ]
        for k in np.argsort(depth)[::-1]:
            points, radii, colour, _ = self.limbs[k]
            world = turned(points, self.angle, self.x, self.z, ground)
            if world[:, 2].min() < 0.8:
                continue
            centres = cam.project(world)
            sizes = np.maximum(radii * metre, 0.55)
            dark, mid, pale = (
                light.air(tuple(np.minimum(255, np.asarray(colour) * g)), self.z) for g in (shade, front, high)
            )
            smallest = float(sizes.max())
            stage.canvas.fill(_outline(centres, sizes), dark if smallest > 2.2 else mid)
            if smallest > 2.2:
                stage.canvas.fill(_outline(centres + lean * sizes[:, None] * 0.20, sizes * 0.80), mid)
            if smallest > 5:
                stage.canvas.fill(_outline(centres + lean * sizes[:, None] * 0.48, sizes * 0.42), mix(mid, pale, 0.55))

    def cast(self) -> None:
        """Shadow on the ground."""
        stage = self.stage
        stage.shadows.contact(self.x, self.z, 0.24 * self.size, 0.17 * self.size, 0.75)
        if stage.light.shadow < 0.08 or not stage.lit(self.x, self.z, 0.0):
            return
        for points, radii, _, _ in self.limbs:
            world = turned(points, self.angle, self.x, self.z)
            wide = radii[:, None] * np.array([1.0, 0.0, 0.0])
            deep = radii[:, None] * np.array([0.0, 0.7, 0.7])
            stage.shadows.cast(np.concatenate([world - wide, world + wide, world + deep]))


def _outline(centres: Array, radii: Array) -> Array:
    points = centres[:, None] + radii[:, None, None] * _RING
    return hull(points.reshape(-1, 2))


def darker(colour: Colour, gain: float = 0.75) -> Colour:
    """The same cloth in its folds."""
    return scaled(colour, gain)
