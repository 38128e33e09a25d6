"""Street furniture: lamp posts, traffic lights, signs, bollards, fences."""

from dataclasses import dataclass

import numpy as np

from perturb.scenes import labels
from perturb.scenes.canvas import Array, Colour, mix, scaled
from perturb.scenes.stage import Stage

SIGNS: tuple[str, ...] = ("ban", "speed", "warning", "give-way", "stop", "mandatory", "parking", "direction", "poster")
FENCES: tuple[str, ...] = ("railing", "boards", "picket", "mesh", "barrier")


@dataclass(frozen=True)
class Lamp:
    """A lamp post; ``reach`` metres of arm, negative to the left."""

    x: float
    z: float
    height: float = 6.5
    reach: float = 1.2
    style: int = 0


@dataclass(frozen=True)
class Signal:
    """A traffic light; ``state`` is red, amber or green."""

    x: float
    z: float
    state: str = "green"


@dataclass(frozen=True)
class Sign:
    """A traffic sign (or poster) on its own post."""

    x: float
    z: float
    kind: str = "speed"
    height: float = 2.5
    second: str = ""


@dataclass(frozen=True)
class Bollard:
    """A knee-high post."""

    x: float
    z: float
    height: float = 0.95


@dataclass(frozen=True)
class Fence:
    """A fence along the street from ``z`` to ``far``, or across it at ``z`` when ``across`` gives its other x."""

    x: float
    z: float
    far: float
    kind: str = "railing"
    height: float = 1.15
    tint: Colour = (70, 76, 80)
    across: float | None = None


def _post(stage: Stage, x: float, z: float, low: float, high: float, wide: float, tint: Colour, top: float = 0.8) -> None:
    """An upright round post in three tones."""
    cam, light = stage.cam, stage.light
    a, b = cam.project(np.array([[x, low, z], [x, high, z]]))
    w = max(0.7, wide * cam.scale(z) / 2)
    lit = stage.lit(x, z, min(high, 2.0))
    side = float(np.sign(light.sun[0]))
    for shift, share, n in ((0.0, 1.0, (-side, 0.0, -0.3)), (side * 0.25, 0.72, (side * 0.4, 0.1, -0.9)), (side * 0.5, 0.28, (side, 0.2, -0.3))):
        if share < 1 and w < 1.4:
            continue
        length = float(np.linalg.norm(n))
        colour = light.tone(tint, (n[0] / length, n[1] / length, n[2] / length), z, lit)
        h = w * share
        points = np.array([[a[0] - h, a[1]], [b[0] - h * top, b[1]], [b[0] + h * top, b[1]], [a[0] + h, a[1]]])
        stage.canvas.fill(points + (shift * w, 0), colour)


def paint_lamp(stage: Stage, lamp: Lamp) -> None:
    """Post, arm and lantern, all one pole."""
    canvas, cam, light = stage.canvas, stage.cam, stage.light
    canvas.take(labels.POLE, thing=True)
    tint: Colour = ((84, 92, 94), (58, 66, 62), (134, 138, 140))[lamp.style % 3]
    _post(stage, lamp.x, lamp.z, 0.05, 1.0, 0.24, tint, 0.8)
    _post(stage, lamp.x, lamp.z, 1.0, lamp.height, 0.15, tint, 0.65)
    metre = cam.scale(lamp.z)
    dark = light.tone(tint, (0, -0.2, -1), lamp.z)
    t = np.linspace(0, 1, 7)
    if lamp.style % 3 == 1:  # an old lantern on top
        x, y = lamp.x, lamp.height
        box = np.array([[x - 0.13, y, lamp.z], [x - 0.24, y + 0.5, lamp.z], [x + 0.24, y + 0.5, lamp.z], [x + 0.13, y, lamp.z]])
        glass: Colour = (255, 226, 160) if light.lamps else light.tone((206, 208, 196), (0, 0, -1), lamp.z)
        stage.face(box, dark)
        inner = box * (1, 1, 1)
        centre = inner.mean(0)
        stage.face(centre + (inner - centre) * (0.74, 0.8, 1), glass)
        cap = np.array([[x - 0.3, y + 0.5, lamp.z], [x, y + 0.82, lamp.z], [x + 0.3, y + 0.5, lamp.z]])
        stage.face(cap, dark)
        head = cam.project(np.array([x, y + 0.25, lamp.z]))
    else:
        arc = np.stack([lamp.x + lamp.reach * t, lamp.height - 0.1 + 0.55 * np.sin(t * np.pi / 2), 0 * t + lamp.z], -1)
        canvas.stroke(cam.project(arc), dark, max(1.0, 0.09 * metre))
        tip = arc[-1]
        sign = np.sign(lamp.reach)
        shell = np.array([[-0.1, 0.06], [0.0, 0.14], [0.45, 0.1], [0.62, 0.0], [0.5, -0.06], [0.0, -0.05]]) * (sign, 1)
        outline = np.concatenate([shell, np.zeros((6, 1))], 1) + tip
        stage.face(outline, light.tone(tint, (0, 0.6, -0.8), lamp.z))
        under = np.array([[0.05, -0.03], [0.5, -0.02], [0.45, -0.1], [0.1, -0.1]]) * (sign, 1)
        glass = (255, 236, 186) if light.lamps else light.tone((226, 226, 214), (0, -0.4, -0.9), lamp.z)
        stage.face(np.concatenate([under, np.zeros((4, 1))], 1) + tip, glass)
        head = cam.project(tip + (0.3 * sign, 0, 0))
    if light.lamps:
        light.glow(head, metre * 1.6, (255, 214, 140), 0.75)


def paint_signal(stage: Stage, signal: Signal) -> None:
    """Traffic light: the post is a pole, the head counts as sign."""
    canvas, light = stage.canvas, stage.light
    canvas.take(labels.POLE, thing=True)
    _post(stage, signal.x, signal.z, 0.05, 3.3, 0.13, (66, 68, 70), 1.0)
    canvas.take(labels.SIGN, thing=True)
    x, z = signal.x, signal.z
    back = light.tone((30, 32, 34), (0, 0, -1), z, stage.lit(x, z, 2.5))
    stage.face(_rounded(x, 2.75, z, 0.25, 0.55, 0.12), scaled(light.tone((60, 62, 64), (0, 0, -1), z), 1.0))
    stage.face(_rounded(x, 2.75, z - 0.02, 0.19, 0.49, 0.1), back)
    lamps: tuple[tuple[str, Colour, float], ...] = (
        ("red", (255, 70, 50), 3.05), ("amber", (255, 190, 60), 2.75), ("green", (70, 240, 170), 2.45))  # fmt: skip
    for name, colour, y in lamps:
        on = name == signal.state
        tint = light.air(colour, z * 0.4) if on else light.air(scaled(mix(colour, (40, 40, 40), 0.7), 0.55), z)
        stage.face(_disc(x, y, z - 0.03, 0.115), tint)
        if on:
            light.glow(stage.cam.project(np.array([x, y, z])), stage.cam.scale(z) * 0.45, colour, 0.45)


def _disc(x: float, y: float, z: float, radius: float, count: int = 24, turn: float = 0.0) -> Array:
    angle = np.linspace(0, 2 * np.pi, count + 1)[:-1] + turn
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle), np.full(count, z)], -1)


def _rounded(x: float, y: float, z: float, wide: float, high: float, corner: float) -> Array:
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    c, s = np.cos(angle), np.sin(angle)
    return np.stack(
        [x + np.sign(c) * (wide - corner) + corner * c, y + np.sign(s) * (high - corner) + corner * s, np.full(24, z)], -1
    )


def paint_sign(stage: Stage, sign: Sign) -> None:
    """A post (pole) and one or two plates (sign)."""
    canvas = stage.canvas
    canvas.take(labels.POLE, thing=True)
    if sign.kind == "poster":
        _post(stage, sign.x, sign.z, 0.05, 0.8, 0.16, (70, 74, 78), 1.0)
        canvas.take(labels.SIGN, thing=True)
        _poster(stage, sign)
        return
    _post(stage, sign.x, sign.z, 0.05, sign.height + 0.3, 0.075, (150, 152, 154), 1.0)
    canvas.take(labels.SIGN, thing=True)
    _plate(stage, sign.kind, sign.x, sign.height, sign.z)
    if sign.second:
        canvas.take(labels.SIGN, thing=True)
        _plate(stage, sign.second, sign.x, sign.height - 0.72, sign.z)


def _plate(stage: Stage, kind: str, x: float, y: float, z: float) -> None:
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
        face(_disc(x, y, z, 0.34), red)
        face(_disc(x, y, z, 0.26), white)
        if kind == "ban":
            bar = np.array([[-0.2, 0.15], [-0.15, 0.2], [0.2, -0.15], [0.15, -0.2]])
            face(np.concatenate([bar + (x, y), np.full((4, 1), z)], 1), red)
        else:
            for a in (-0.11, 0.03):
                face(_rounded(x + a + 0.04, y, z, 0.05, 0.12, 0.04), black)
                face(_rounded(x + a + 0.04, y, z, 0.018, 0.08, 0.015), white)
    elif kind == "mandatory":
        face(_disc(x, y, z, 0.34), white)
        face(_disc(x, y, z, 0.315), blue)
        arrow = np.array([[-0.05, -0.2], [-0.05, 0.03], [-0.14, 0.03], [0, 0.22], [0.14, 0.03], [0.05, 0.03], [0.05, -0.2]])
        face(np.concatenate([arrow + (x, y), np.full((7, 1), z)], 1), white)
    elif kind == "warning":
        face(_disc(x, y, z, 0.44, 3, -down), red)
        face(_disc(x, y, z, 0.29, 3, -down), white)
        face(_rounded(x, y + 0.03, z, 0.035, 0.11, 0.03), black)
        face(_disc(x, y - 0.12, z, 0.033, 10), black)
    elif kind == "give-way":
        face(_disc(x, y, z, 0.44, 3, down), red)
        face(_disc(x, y, z, 0.28, 3, down), white)
    elif kind == "stop":
        face(_disc(x, y, z, 0.38, 8, np.pi / 8), white)
        face(_disc(x, y, z, 0.35, 8, np.pi / 8), red)
        for k in range(4):
            face(_rounded(x - 0.19 + k * 0.127, y, z, 0.04, 0.085, 0.02), white)
    elif kind == "parking":
        face(_rounded(x, y, z, 0.31, 0.31, 0.05), white)
        face(_rounded(x, y, z, 0.285, 0.285, 0.04), blue)
        face(_rounded(x - 0.06, y, z, 0.04, 0.18, 0.01), white)
        face(_rounded(x + 0.02, y + 0.08, z, 0.12, 0.1, 0.09), white)
        face(_rounded(x + 0.02, y + 0.08, z, 0.06, 0.045, 0.04), blue)
    else:
        tint: Colour = (30, 100, 74) if int(abs(x * 10)) % 2 else blue
        face(_rounded(x, y, z, 0.75, 0.36, 0.05), white)
        face(_rounded(x, y, z, 0.715, 0.325, 0.04), tint)
        for k, wide in enumerate((0.45, 0.32)):
            face(_rounded(x - 0.15, y + 0.13 - 0.24 * k, z, wide, 0.055, 0.02), white)
        head = np.array([[0.42, -0.15], [0.62, 0.0], [0.42, 0.15]])
        face(np.concatenate([head + (x, y), np.full((3, 1), z)], 1), white)


def _poster(stage: Stage, sign: Sign) -> None:
    light, x, z = stage.light, sign.x, sign.z
    rng = np.random.default_rng([int(abs(x) * 100), int(z * 10)])
    lit = stage.lit(x, z, 1.5)
    tints: tuple[Colour, ...] = ((206, 92, 66), (60, 116, 128), (226, 180, 80), (96, 80, 130), (70, 120, 84))
    ground = tints[int(rng.integers(5))]

    def face(points: Array, colour: Colour) -> None:
        stage.face(points, light.air((255, 246, 224), z) if light.lamps and colour == ground else light.tone(colour, (0, 0, -1), z, lit))

    face(_rounded(x, 1.75, z, 0.66, 0.98, 0.06), (52, 56, 60))
    face(_rounded(x, 1.78, z - 0.02, 0.58, 0.88, 0.03), ground)
    face(_disc(x + 0.1, 1.95, z - 0.03, 0.32), mix(ground, (255, 244, 214), 0.75))
    face(_rounded(x - 0.05, 1.2, z - 0.03, 0.42, 0.07, 0.02), (244, 238, 226))
    face(_rounded(x - 0.15, 1.02, z - 0.03, 0.3, 0.04, 0.02), (244, 238, 226))


def paint_bollard(stage: Stage, bollard: Bollard) -> None:
    """A short post with a pale band."""
    stage.canvas.take(labels.POLE, thing=True)
    _post(stage, bollard.x, bollard.z, 0.03, bollard.height, 0.17, (52, 54, 58), 0.9)
    _post(stage, bollard.x, bollard.z, bollard.height * 0.74, bollard.height * 0.86, 0.172, (226, 222, 210), 1.0)


def paint_fence(stage: Stage, fence: Fence) -> None:
    """A run of fence; stuff, so it has no instance id."""
    stage.canvas.take(labels.FENCE)
    light = stage.light
    side = -1.0 if fence.x > 0 else 1.0
    along = fence.across is None
    normal = (side, 0.0, 0.0) if along else (0.0, 0.0, -1.0)
    start, end = (max(fence.z, 1.0), fence.far) if along else (fence.x, float(fence.across or 0.0))

    def quad(a: float, b: float, low: float, high: float, tint: Colour, gain: float = 1.0) -> None:
        z = max(1.0, (a + b) / 2) if along else fence.z
        corners = [(a, low), (a, high), (b, high), (b, low)]
        points = np.array([[fence.x, v, u] if along else [u, v, fence.z] for u, v in corners])
        colour = light.tone(scaled(tint, gain), normal, z, stage.lit(fence.x + side * 0.05, z, 0.6))
        stage.face(points, colour)

    step = {"railing": 0.14, "boards": 0.16, "picket": 0.16, "mesh": 2.4, "barrier": 2.0}[fence.kind]
    count = int(min(220, abs(end - start) / step))
    if count < 1:
        return
    h, low = fence.height, 0.06
    posts = np.linspace(start, end, count + 1)[::-1] if along else np.linspace(start, end, count + 1)
    rng = np.random.default_rng(int(abs(fence.x) * 100))
    if fence.kind == "mesh":
        segments = np.linspace(start, end, max(3, count))[::-1]
        for a, b in zip(segments[1:], segments[:-1], strict=True):
            quad(float(a), float(b), low, h, fence.tint, rng.uniform(0.92, 1.05))
            quad(float(a), float(b), h * 0.8, h * 0.84, fence.tint, 0.8)
    for u in posts:
        u = float(u)
        if fence.kind == "railing":
            quad(u, u + 0.06, low, h, fence.tint)
        elif fence.kind == "boards":
            quad(u, u + 0.158, low, h + rng.uniform(-0.02, 0.02), fence.tint, rng.uniform(0.84, 1.1))
        elif fence.kind == "picket":
            quad(u, u + 0.11, low + 0.06, h, fence.tint, rng.uniform(0.94, 1.04))
        else:
            quad(u, u + 0.09, low, h + 0.05, mix(fence.tint, (40, 40, 44), 0.4))
    rails = {"railing": (0.16, 0.98), "picket": (0.3, 0.75), "barrier": (0.45, 0.7, 0.95)}.get(fence.kind, (0.97,))
    pieces = np.linspace(start, end, 7)[::-1]
    for share in rails:
        for a, b in zip(pieces[1:], pieces[:-1], strict=True):
            quad(float(min(a, b)), float(max(a, b)), h * share - 0.05, h * share + 0.04, fence.tint, 1.12)


def cast_post(stage: Stage, x: float, z: float, height: float, wide: float = 0.07) -> None:
    """Shadow of something thin and upright."""
    stage.shadows.contact(x, z, 0.16, 0.12, 0.6)
    if stage.light.shadow > 0.08 and stage.lit(x, z, 0.0):
        stage.shadows.cast(np.array([[x - wide, 0, z], [x + wide, 0, z], [x - wide, height, z], [x + wide, height, z]]))
