"""The shapes of cars: outlines, proportions, paints, and how a car stands in the scene."""

from dataclasses import dataclass

import numpy as np

from training.scenes.canvas import Array, Colour
from training.scenes.stage import Stage
from training.scenes.view import turned

PAINTS: dict[str, Colour] = {
    "black": (26, 27, 31),
    "anthracite": (58, 61, 67),
    "silver": (176, 180, 184),
    "white": (236, 236, 232),
    "cream": (228, 214, 180),
    "red": (176, 40, 36),
    "brick": (150, 66, 48),
    "navy": (34, 48, 88),
    "blue": (62, 108, 164),
    "sky": (132, 172, 196),
    "green": (52, 92, 72),
    "mint": (142, 184, 160),
    "mustard": (212, 164, 56),
    "orange": (214, 110, 48),
}

# Profile of the upper edge, nose to tail: share of the length (0.5 = nose), height in metres.
_TOPS: dict[str, tuple[tuple[float, float], ...]] = {
    "hatchback": ((0.5, 0.56), (0.49, 0.68), (0.45, 0.78), (0.36, 0.87), (0.25, 0.95), (0.17, 1.15), (0.08, 1.37),
                  (0.0, 1.46), (-0.14, 1.49), (-0.28, 1.46), (-0.38, 1.38), (-0.44, 1.16), (-0.475, 0.97), (-0.49, 0.82),
                  (-0.5, 0.58)),
    "saloon": ((0.5, 0.54), (0.49, 0.66), (0.45, 0.75), (0.36, 0.84), (0.24, 0.93), (0.16, 1.14), (0.08, 1.34),
               (0.0, 1.42), (-0.1, 1.44), (-0.2, 1.40), (-0.28, 1.24), (-0.36, 1.02), (-0.45, 0.98), (-0.49, 0.9),
               (-0.5, 0.58)),
    "estate": ((0.5, 0.54), (0.49, 0.66), (0.45, 0.76), (0.36, 0.85), (0.24, 0.94), (0.16, 1.15), (0.08, 1.36),
               (0.0, 1.46), (-0.14, 1.49), (-0.3, 1.48), (-0.42, 1.44), (-0.46, 1.22), (-0.485, 0.98), (-0.495, 0.85),
               (-0.5, 0.58)),
    "suv": ((0.5, 0.66), (0.49, 0.84), (0.45, 0.98), (0.36, 1.06), (0.26, 1.12), (0.19, 1.34), (0.12, 1.56),
            (0.04, 1.68), (-0.1, 1.71), (-0.26, 1.70), (-0.4, 1.64), (-0.45, 1.40), (-0.48, 1.12), (-0.495, 0.95),
            (-0.5, 0.66)),
    "van": ((0.5, 0.62), (0.49, 0.82), (0.46, 1.0), (0.41, 1.12), (0.36, 1.26), (0.30, 1.58), (0.25, 1.86),
            (0.18, 2.02), (0.0, 2.08), (-0.2, 2.1), (-0.4, 2.08), (-0.48, 2.0), (-0.49, 1.5), (-0.495, 1.0),
            (-0.5, 0.6)),
    "bus": ((0.5, 0.7), (0.499, 1.0), (0.498, 1.25), (0.497, 1.5), (0.495, 1.8), (0.492, 2.2), (0.485, 2.7),
            (0.46, 2.98), (0.0, 3.05), (-0.2, 3.05), (-0.46, 2.98), (-0.485, 2.7), (-0.495, 1.8), (-0.498, 1.2),
            (-0.5, 0.7)),
}  # fmt: skip
# length, width, belt line, stations: windscreen foot, windscreen head, rear window head, rear window foot
_FORMS: dict[str, tuple[float, float, float, float, float, float, float]] = {
    "hatchback": (4.0, 1.74, 0.93, 0.245, 0.035, -0.355, -0.468),
    "saloon": (4.6, 1.80, 0.91, 0.235, 0.03, -0.18, -0.352),
    "estate": (4.6, 1.80, 0.92, 0.235, 0.03, -0.40, -0.478),
    "suv": (4.6, 1.90, 1.08, 0.255, 0.07, -0.38, -0.475),
    "van": (5.2, 1.98, 1.15, 0.355, 0.22, -0.475, -0.489),
    "bus": (9.5, 2.45, 1.25, 0.4975, 0.487, -0.486, -0.496),
}
BODIES: tuple[str, ...] = tuple(_FORMS)


@dataclass(frozen=True)
class Car:
    """A car on the road. ``heading`` in degrees: 0 drives away from the viewer, 180 comes, 90 drives to the right."""

    x: float
    z: float
    heading: float = 0.0
    body: str = "hatchback"
    paint: str = "red"
    moving: bool = False

    @property
    def length(self) -> float:
        """Metres from nose to tail."""
        return _FORMS[self.body][0]


class Shell:
    """The body's surface in car coordinates: forward, up, right (metres)."""

    def __init__(self, body: str) -> None:
        self.length, self.width, self.belt, self.w0, self.w1, self.r1, self.r0 = _FORMS[body]
        profile = np.array(_TOPS[body])[::-1]
        self._at, self._top = profile[:, 0], profile[:, 1]
        self.high = float(self._top.max())
        self.sill = 0.24 if body != "bus" else 0.35
        self.radius = {"suv": 0.36, "van": 0.34, "bus": 0.48}.get(body, 0.315)
        self.axles = (0.315, -0.30) if body != "bus" else (0.30, -0.27)
        self.boxy = body in ("van", "bus")

    def top(self, t: Array) -> Array:
        """Height of the upper edge at share ``t`` of the length."""
        return np.asarray(np.interp(t, self._at, self._top))

    def half(self, t: Array, y: Array) -> Array:
        """Half width at share ``t`` and height ``y``."""
        ends = np.clip((np.abs(t) - 0.34) / 0.16, 0, 1)
        plan = self.width / 2 * (1 - (0.05 if self.boxy else 0.17) * ends**2.2)
        low = 1 - 0.07 * np.clip((0.55 - y) / 0.33, 0, 1) ** 1.5
        lean = 0.10 if self.boxy else 0.24
        high = 1 - lean * np.clip((y - self.belt) / max(0.2, self.high - self.belt), 0, 1.2) ** 1.25
        return np.asarray(plan * low * high)

    def side(self, t: Array, y: Array, hand: int, out: float = 0.012) -> Array:
        """Points (N, 3) on the flank; ``hand`` is -1 left, 1 right."""
        return np.stack([t * self.length, y, hand * (self.half(t, y) + out)], -1)

    def upper(self, t: Array, across: Array, drop: float = 0.0) -> Array:
        """Points (N, 3) on the upper surface; ``across`` -1..1."""
        y = self.top(t) + 0.015 - drop
        crown = 0.035 * (1 - across**2)
        return np.stack([t * self.length, y + crown, across * (self.half(t, y) * 0.9)], -1)

    def mesh(self) -> Array:
        """Grid of points (stations, ring, 3)."""
        t = np.unique(np.concatenate([self._at, np.linspace(-0.48, 0.48, 13)]))
        top = self.top(t)
        belt = np.minimum(self.belt, top - 0.10)
        # The underside rises towards both ends, so bumpers curve away from the road.
        lift = 0.13 * np.clip((np.abs(t) - 0.40) / 0.10, 0, 1) ** 2
        rows = [self.sill + lift, 0.45 * self.sill + 0.55 * 0.5 + 0.6 * lift, self.sill * 0.2 + belt * 0.8]
        rows[1] = np.minimum(rows[1], rows[2] - 0.02)
        rows += [belt, belt + 0.03]
        for share in (0.4, 0.75, 0.93):
            rows.append(belt + 0.03 + (top - belt - 0.03) * share)
        y = np.stack(rows, 1)
        flank = self.half(t[:, None], y)
        flank[:, 4] *= 0.985
        length = np.broadcast_to(t[:, None] * self.length, y.shape)
        left = np.stack([length, y, -flank], -1)
        crown = []
        for across in (-0.86, -0.5, 0.0, 0.5, 0.86):
            rise = 0.03 * (1 - across**2)
            crown.append(np.stack([t * self.length, top + rise - 0.012, across * flank[:, -1]], -1))
        right = left[:, ::-1] * (1, 1, -1)
        return np.concatenate([left, np.stack(crown, 1), right], 1)


class Pose:
    """One car as it stands in the scene: its place, its light and which of its sides show."""

    def __init__(self, stage: Stage, car: Car, rng: np.random.Generator) -> None:
        self.stage, self.car, self.rng = stage, car, rng
        self.shell = Shell(car.body)
        self.angle = np.deg2rad(car.heading)
        self.lit = stage.lit(car.x, car.z)
        self.paint = PAINTS[car.paint]
        s, c = np.sin(self.angle), np.cos(self.angle)
        eye = np.array([stage.cam.x - stage.cam.bend * car.z**2 - car.x, stage.cam.eye, -car.z])
        # The viewer in car coordinates decides which faces show.
        self.eye = np.array([eye[0] * s + eye[2] * c, eye[1], eye[0] * c - eye[2] * s])
        self.pixels = stage.cam.scale(car.z)

    def world(self, points: Array) -> Array:
        """Car coordinates to world."""
        return turned(points, self.angle, self.car.x, self.car.z)

    def face(self, points: Array, colour: Colour, normal: tuple[float, float, float] | None = None) -> None:
        """Fill a polygon given in car coordinates; with a ``normal`` it is lit, without it shines by itself."""
        if normal is not None:
            turned_normal = turned(np.asarray(normal, float), self.angle, 0, 0)
            colour = self.stage.light.tone(colour, tuple(turned_normal), self.car.z, self.lit)
        else:
            colour = self.stage.light.air(colour, self.car.z)
        self.stage.face(self.world(points), colour)

    def sees(self, point: Array, normal: tuple[float, float, float]) -> bool:
        """Whether a face at ``point`` is turned to the viewer."""
        return bool(np.dot(self.eye - point, normal) > 0)
