"""Street furniture: lamp posts, traffic lights, signs, bollards, fences."""

# ruff: noqa: RUF005 - tuples are added to arrays of points here, not joined to them

from dataclasses import dataclass

import numpy as np

from perturb.images import class_names
from training.scenes.canvas import Colour, mix, scaled
from training.scenes.signs import disc, paint_plate, paint_poster, rounded
from training.scenes.stage import Stage

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


def _post(
    stage: Stage, x: float, z: float, low: float, high: float, wide: float, tint: Colour, top: float = 0.8
) -> None:
    """An upright round post in three tones."""
    cam, light = stage.cam, stage.light
    a, b = cam.project(np.array([[x, low, z], [x, high, z]]))
    w = max(0.7, wide * cam.scale(z) / 2)
    lit = stage.lit(x, z, min(high, 2.0))
    side = float(np.sign(light.sun[0]))
    for shift, share, n in (
        (0.0, 1.0, (-side, 0.0, -0.3)),
        (side * 0.25, 0.72, (side * 0.4, 0.1, -0.9)),
        (side * 0.5, 0.28, (side, 0.2, -0.3)),
    ):
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
    canvas.take(class_names.POLE, thing=True)
    tint: Colour = ((84, 92, 94), (58, 66, 62), (134, 138, 140))[lamp.style % 3]
    _post(stage, lamp.x, lamp.z, 0.05, 1.0, 0.24, tint, 0.8)
    _post(stage, lamp.x, lamp.z, 1.0, lamp.height, 0.15, tint, 0.65)
    metre = cam.scale(lamp.z)
    dark = light.tone(tint, (0, -0.2, -1), lamp.z)
    t = np.linspace(0, 1, 7)
    if lamp.style % 3 == 1:  # an old lantern on top
        x, y = lamp.x, lamp.height
        box = np.array(
            [[x - 0.13, y, lamp.z], [x - 0.24, y + 0.5, lamp.z], [x + 0.24, y + 0.5, lamp.z], [x + 0.13, y, lamp.z]]
        )
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
    canvas.take(class_names.POLE, thing=True)
    _post(stage, signal.x, signal.z, 0.05, 3.3, 0.13, (66, 68, 70), 1.0)
    canvas.take(class_names.SIGN, thing=True)
    x, z = signal.x, signal.z
    back = light.tone((30, 32, 34), (0, 0, -1), z, stage.lit(x, z, 2.5))
    stage.face(rounded(x, 2.75, z, 0.25, 0.55, 0.12), scaled(light.tone((60, 62, 64), (0, 0, -1), z), 1.0))
    stage.face(rounded(x, 2.75, z - 0.02, 0.19, 0.49, 0.1), back)
    lamps: tuple[tuple[str, Colour, float], ...] = (
        ("red", (255, 70, 50), 3.05), ("amber", (255, 190, 60), 2.75), ("green", (70, 240, 170), 2.45))  # fmt: skip
    for name, colour, y in lamps:
        on = name == signal.state
        tint = light.air(colour, z * 0.4) if on else light.air(scaled(mix(colour, (40, 40, 40), 0.7), 0.55), z)
        stage.face(disc(x, y, z - 0.03, 0.115), tint)
        if on:
            light.glow(stage.cam.project(np.array([x, y, z])), stage.cam.scale(z) * 0.45, colour, 0.45)


def paint_sign(stage: Stage, sign: Sign) -> None:
    """A post (pole) and one or two plates (sign)."""
    canvas = stage.canvas
    canvas.take(class_names.POLE, thing=True)
    if sign.kind == "poster":
        _post(stage, sign.x, sign.z, 0.05, 0.8, 0.16, (70, 74, 78), 1.0)
        canvas.take(class_names.SIGN, thing=True)
        paint_poster(stage, sign.x, sign.z)
        return
    _post(stage, sign.x, sign.z, 0.05, sign.height + 0.3, 0.075, (150, 152, 154), 1.0)
    canvas.take(class_names.SIGN, thing=True)
    paint_plate(stage, sign.kind, sign.x, sign.height, sign.z)
    if sign.second:
        canvas.take(class_names.SIGN, thing=True)
        paint_plate(stage, sign.second, sign.x, sign.height - 0.72, sign.z)


def paint_bollard(stage: Stage, bollard: Bollard) -> None:
    """A short post with a pale band."""
    stage.canvas.take(class_names.POLE, thing=True)
    _post(stage, bollard.x, bollard.z, 0.03, bollard.height, 0.17, (52, 54, 58), 0.9)
    _post(stage, bollard.x, bollard.z, bollard.height * 0.74, bollard.height * 0.86, 0.172, (226, 222, 210), 1.0)


def paint_fence(stage: Stage, fence: Fence) -> None:
    """A run of fence; stuff, so it has no instance id."""
    stage.canvas.take(class_names.FENCE)
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
