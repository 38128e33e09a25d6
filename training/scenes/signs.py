"""The faces of traffic signs and posters."""

# ruff: noqa: RUF005 - tuples are added to arrays of points here, not joined to them

from typing import Final

import numpy as np

from training.scenes.canvas import Array, Colour, mix, scaled
from training.scenes.stage import Stage

SIGNS: Final[tuple[str, ...]] = (
    "ban", "speed", "warning", "give-way", "stop", "mandatory", "parking", "direction", "poster",
)  # fmt: skip


def disc(x: float, y: float, z: float, radius: float, count: int = 24, turn: float = 0.0) -> Array:
    angle = np.linspace(0, 2 * np.pi, count + 1)[:-1] + turn
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle), np.full(count, z)], -1)


def rounded(x: float, y: float, z: float, wide: float, high: float, corner: float) -> Array:
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    c, s = np.cos(angle), np.sin(angle)
    return np.stack(
        [x + np.sign(c) * (wide - corner) + corner * c, y + np.sign(s) * (high - corner) + corner * s, np.full(24, z)],
        -1,
    )


def paint_plate(stage: Stage, kind: str, x: float, y: float, z: float) -> None:
    light = stage.light
    lit = stage.lit(x, z, y)

    def face(points: Array, colour: Colour) -> None:
        stage.face(points, light.tone(scaled(colour, 1.06), (0, 0.1, -0.99), z, max(lit, 0.15)))

    red: Colour = (190, 38, 40)
    white: Colour = (240, 238, 232)
    black: Colour = (34, 34, 38)
    blue: Colour = (36, 86, 160)
    z -= 0.03
    down = -np.pi / 2
    if kind in ("ban", "speed"):
        face(disc(x, y, z, 0.34), red)
        face(disc(x, y, z, 0.26), white)
        if kind == "ban":
            bar = np.array([[-0.2, 0.15], [-0.15, 0.2], [0.2, -0.15], [0.15, -0.2]])
            face(np.concatenate([bar + (x, y), np.full((4, 1), z)], 1), red)
        else:
            for a in (-0.11, 0.03):
                face(rounded(x + a + 0.04, y, z, 0.05, 0.12, 0.04), black)
                face(rounded(x + a + 0.04, y, z, 0.018, 0.08, 0.015), white)
    elif kind == "mandatory":
        face(disc(x, y, z, 0.34), white)
        face(disc(x, y, z, 0.315), blue)
        arrow = np.array(
            [[-0.05, -0.2], [-0.05, 0.03], [-0.14, 0.03], [0, 0.22], [0.14, 0.03], [0.05, 0.03], [0.05, -0.2]]
        )
        face(np.concatenate([arrow + (x, y), np.full((7, 1), z)], 1), white)
    elif kind == "warning":
        face(disc(x, y, z, 0.44, 3, -down), red)
        face(disc(x, y, z, 0.29, 3, -down), white)
        face(rounded(x, y + 0.03, z, 0.035, 0.11, 0.03), black)
        face(disc(x, y - 0.12, z, 0.033, 10), black)
    elif kind == "give-way":
        face(disc(x, y, z, 0.44, 3, down), red)
        face(disc(x, y, z, 0.28, 3, down), white)
    elif kind == "stop":
        face(disc(x, y, z, 0.38, 8, np.pi / 8), white)
        face(disc(x, y, z, 0.35, 8, np.pi / 8), red)
        for k in range(4):
            face(rounded(x - 0.19 + k * 0.127, y, z, 0.04, 0.085, 0.02), white)
    elif kind == "parking":
        face(rounded(x, y, z, 0.31, 0.31, 0.05), white)
        face(rounded(x, y, z, 0.285, 0.285, 0.04), blue)
        face(rounded(x - 0.06, y, z, 0.04, 0.18, 0.01), white)
        face(rounded(x + 0.02, y + 0.08, z, 0.12, 0.1, 0.09), white)
        face(rounded(x + 0.02, y + 0.08, z, 0.06, 0.045, 0.04), blue)
    else:
        tint: Colour = (30, 100, 74) if int(abs(x * 10)) % 2 else blue
        face(rounded(x, y, z, 0.75, 0.36, 0.05), white)
        face(rounded(x, y, z, 0.715, 0.325, 0.04), tint)
        for k, wide in enumerate((0.45, 0.32)):
            face(rounded(x - 0.15, y + 0.13 - 0.24 * k, z, wide, 0.055, 0.02), white)
        head = np.array([[0.42, -0.15], [0.62, 0.0], [0.42, 0.15]])
        face(np.concatenate([head + (x, y), np.full((3, 1), z)], 1), white)


def paint_poster(stage: Stage, x: float, z: float) -> None:
    """A poster in its frame."""
    light = stage.light
    rng = np.random.default_rng([int(abs(x) * 100), int(z * 10)])
    lit = stage.lit(x, z, 1.5)
    tints: tuple[Colour, ...] = ((206, 92, 66), (60, 116, 128), (226, 180, 80), (96, 80, 130), (70, 120, 84))
    ground = tints[int(rng.integers(5))]

    def face(points: Array, colour: Colour) -> None:
        stage.face(
            points,
            light.air((255, 246, 224), z)
            if light.lamps and colour == ground
            else light.tone(colour, (0, 0, -1), z, lit),
        )

    face(rounded(x, 1.75, z, 0.66, 0.98, 0.06), (52, 56, 60))
    face(rounded(x, 1.78, z - 0.02, 0.58, 0.88, 0.03), ground)
    face(disc(x + 0.1, 1.95, z - 0.03, 0.32), mix(ground, (255, 244, 214), 0.75))
    face(rounded(x - 0.05, 1.2, z - 0.03, 0.42, 0.07, 0.02), (244, 238, 226))
    face(rounded(x - 0.15, 1.02, z - 0.03, 0.3, 0.04, 0.02), (244, 238, 226))
