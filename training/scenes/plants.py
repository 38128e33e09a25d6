"""Trees and hedges painted in leaf dabs, dark to light."""

# ruff: noqa: RUF005 - tuples are added to arrays of points here, not joined to them

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from perturb.images import class_names
from training.scenes.canvas import Array, Colour, mix, scaled
from training.scenes.stage import Stage
from training.scenes.view import turned

SEASONS: tuple[str, ...] = ("spring", "summer", "autumn", "winter")
LEAVES: dict[str, tuple[Colour, ...]] = {
    "spring": ((124, 158, 66), (150, 176, 84), (104, 144, 74), (222, 170, 180)),
    "summer": ((78, 118, 56), (92, 128, 60), (66, 104, 62), (108, 132, 66)),
    "autumn": ((208, 128, 44), (190, 88, 42), (222, 166, 62), (156, 116, 54), (170, 66, 44)),
    "winter": ((94, 100, 70), (82, 92, 72)),
}
BARK: Colour = (104, 82, 66)
SHAPES: tuple[str, ...] = ("round", "oval", "cone", "poplar", "spread", "bare")


@dataclass(frozen=True)
class Tree:
    """A tree of ``height`` metres; ``look`` seeds its crown."""

    x: float
    z: float
    height: float = 7.0
    shape: str = "round"
    leaf: Colour = (78, 118, 56)
    look: int = 0
    guard: bool = False


@dataclass(frozen=True)
class Hedge:
    """A clipped hedge along the street from ``z`` to ``far``."""

    x: float
    z: float
    far: float
    height: float = 1.3
    leaf: Colour = (70, 104, 58)
    look: int = 0


_FORMS = {  # crown centre (share of the height), half width, half height
    "round": (0.66, 0.34, 0.34),
    "oval": (0.62, 0.26, 0.38),
    "cone": (0.54, 0.24, 0.46),
    "poplar": (0.55, 0.13, 0.45),
    "spread": (0.74, 0.46, 0.25),
    "bare": (0.66, 0.34, 0.32),
}
_LEAF = np.array([[1.0, 0], [0.45, 0.62], [-0.45, 0.55], [-1, 0], [-0.4, -0.6], [0.5, -0.55]])


def _dabs(rng: np.random.Generator, centres: Array, size: float) -> Array:
    """Leaf-shaped polygons (N, 6, 2) of about ``size`` pixels, turned at random."""
    count = len(centres)
    angle = rng.uniform(0, np.pi, count)
    radius = size * rng.uniform(0.6, 1.35, count)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2) * radius[:, None, None]
    return np.asarray(_LEAF @ np.swapaxes(turn, 1, 2) + centres[:, None])


def _foliage(
    stage: Stage, rng: np.random.Generator, unit: Array, centres: Array, size: float, leaf: Colour, z: float, lit: float
) -> None:
    """Dabs at ``centres``; ``unit`` (N, 3) are outward directions which decide how much sun each one gets."""
    light = stage.light
    gain = light.gains(unit, lit)
    depth = 0.62 + 0.38 * np.clip(unit[:, 1:2] * 0.6 + 0.5 + rng.normal(0, 0.16, (len(unit), 1)), 0, 1)
    hue = np.asarray(leaf) * (1 + rng.normal(0, 0.06, (len(unit), 3)))
    colour = hue * gain * depth * 1.12
    if light.snow:
        cover = (unit[:, 1:2] > rng.uniform(0.0, 0.7, (len(unit), 1))).astype(float)
        colour += (np.array([232, 236, 242]) * gain - colour) * cover * 0.85
    colour += (np.asarray(light.haze) - colour) * light.veil(z)
    order = np.argsort(colour.sum(1) + rng.normal(0, 14, len(unit)))
    stage.canvas.fill_many(_dabs(rng, centres[order], size), np.clip(colour[order], 0, 255))


def paint_tree(stage: Stage, tree: Tree) -> None:
    """Draw one tree with an own instance id."""
    rng = np.random.default_rng([tree.look, 73])
    canvas, cam, light = stage.canvas, stage.cam, stage.light
    canvas.take(class_names.TREE, thing=True)
    metre = cam.scale(tree.z)
    base = cam.project(np.array([tree.x, 0.05, tree.z]))
    middle, wide, high = _FORMS[tree.shape]
    lit = max(stage.lit(tree.x, tree.z, tree.height * 0.6), 0.0)
    _trunk(stage, tree, rng, base, metre)
    if tree.shape == "bare":
        return
    count = int(np.clip((wide * tree.height * metre) ** 2 * 0.06, 90, 900))
    # Leaf masses: a few clumps on the crown's surface, each filled with dabs.
    clumps = 16 if tree.shape != "poplar" else 12
    lobes = rng.normal(0, 1, (clumps, 3))
    lobes /= np.linalg.norm(lobes, axis=1, keepdims=True)
    lobes *= rng.uniform(0.35, 0.78, (clumps, 1))
    pick = rng.integers(clumps, size=count)
    local = rng.normal(0, 1, (count, 3))
    local /= np.linalg.norm(local, axis=1, keepdims=True)
    spread = rng.uniform(0.20, 0.42, clumps)[pick][:, None]
    ball = lobes[pick] + local * spread * rng.uniform(0.3, 1, (count, 1)) ** 0.4
    ball = np.concatenate([rng.normal(0, 0.33, (count // 4, 3)), ball])
    local = np.concatenate([ball[: count // 4], local])
    ball *= np.minimum(1, 1.02 / (np.linalg.norm(ball, axis=1, keepdims=True) + 1e-6))
    if tree.shape == "cone":
        ball[:, [0, 2]] *= (0.55 - 0.62 * ball[:, 1:2]).clip(0.05, 1.2)
    size = max(2.0, 0.085 * metre * (tree.height / 7) ** 0.5, wide * tree.height * metre * 0.042)
    # Under the leaves: the dark inside of every clump, so that only the rim lets the sky through.
    inside = light.tone(scaled(tree.leaf, 0.78), (0.0, 0.0, -1.0), tree.z, 0.4 * lit)
    ring = np.linspace(0, 2 * np.pi, 12)[:-1]
    for lobe in lobes:
        shrink = float((0.55 - 0.62 * lobe[1]).clip(0.05, 1.2)) if tree.shape == "cone" else 1.0
        bumps = 0.25 * (1 + 0.16 * rng.standard_normal(11))
        spot = np.stack(
            [lobe[0] * shrink + bumps * np.cos(ring) * max(shrink, 0.3), lobe[1] * 0.9 + bumps * np.sin(ring)], -1
        )
        canvas.fill(base + (spot * (wide, -high) - (0, middle)) * tree.height * metre, inside)
    x = base[0] + ball[:, 0] * wide * tree.height * metre
    y = base[1] - (middle + ball[:, 1] * high) * tree.height * metre
    normal = 0.6 * local + 0.7 * ball
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
    normal[:, 2] = -np.abs(normal[:, 2])
    _foliage(stage, rng, normal, np.stack([x, y], -1), size, tree.leaf, tree.z, lit)


def _trunk(stage: Stage, tree: Tree, rng: np.random.Generator, base: Array, metre: float) -> None:
    canvas, light = stage.canvas, stage.light
    lit = stage.lit(tree.x, tree.z, 1.5)
    side = float(np.sign(light.sun[0]))
    bark = mix(BARK, (150, 146, 140), float(rng.uniform(0, 0.5)))
    mid = light.tone(bark, (side * 0.6, 0.2, -0.7), tree.z, lit)
    dark = scaled(light.tone(bark, (-side * 0.8, 0.0, -0.5), tree.z, lit), 0.8)
    wide = max(1.2, 0.028 * tree.height * metre)
    tall = tree.height * metre * (0.62 if tree.shape != "cone" else 0.3)
    lean = rng.normal(0, 0.02) * tall

    def taper(shift: float, share: float, colour: Colour) -> None:
        x, y = base
        points = np.array([[x - wide * 1.5 * share + shift * 1.5, y], [x - wide * share + shift, y - tall * 0.12], [x + lean - wide * 0.45 * share + shift, y - tall],
                           [x + lean + wide * 0.45 * share + shift, y - tall], [x + wide * share + shift, y - tall * 0.12], [x + wide * 1.5 * share + shift * 1.5, y]])  # fmt: skip
        canvas.fill(points, colour)

    taper(0, 1, dark)
    if wide > 2:
        taper(side * wide * 0.3, 0.62, mid)
    start = base + (lean * 0.7, -tall * 0.7)
    twigs = tree.shape == "bare"
    _branch(stage, rng, start, -np.pi / 2, tall * (0.32 if twigs else 0.25), wide * 0.8, 5 if twigs else 2, dark, mid)
    if not twigs:
        return
    _branch(stage, rng, base + (lean * 0.5, -tall * 0.5), -np.pi / 2 - 0.6, tall * 0.28, wide * 0.6, 4, dark, mid)
    _branch(stage, rng, base + (lean * 0.6, -tall * 0.6), -np.pi / 2 + 0.6, tall * 0.28, wide * 0.6, 4, dark, mid)


def _branch(stage: Stage, rng: np.random.Generator, start: Array, angle: float, length: float, width: float, depth: int,
            dark: Colour, mid: Colour) -> None:  # fmt: skip
    tip = start + length * np.array([np.cos(angle), np.sin(angle)])
    stage.canvas.stroke(np.array([start, tip]), dark if depth % 2 else mix(dark, mid, 0.6), max(1.0, width))
    if depth <= 1 or length < 2.5:
        return
    for turn in (-0.5, 0.42):
        _branch(
            stage,
            rng,
            tip,
            angle + turn + rng.normal(0, 0.18),
            length * rng.uniform(0.66, 0.84),
            width * 0.64,
            depth - 1,
            dark,
            mid,
        )


def paint_hedge(stage: Stage, hedge: Hedge) -> None:
    """Draw one clipped hedge; stuff, so it has no instance id."""
    rng = np.random.default_rng([hedge.look, 74])
    cam = stage.cam
    stage.canvas.take(class_names.TREE)
    side = 1.0 if hedge.x > 0 else -1.0
    edges = np.geomspace(max(hedge.z, 1.2), hedge.far, 5)
    for near, far in list(pairwise(edges))[::-1]:
        z = float(near + far) / 2
        lit = stage.lit(hedge.x, z, 0.5)
        back = stage.light.tone(scaled(hedge.leaf, 0.6), (-side, 0, 0), z, lit)
        h, x, depth = hedge.height, hedge.x, 0.9 * side
        stage.face(np.array([[x, 0, near], [x, h, near], [x, h, far], [x, 0, far]]), back)
        top = stage.light.tone(hedge.leaf, (0, 1, 0), z, lit)
        stage.face(np.array([[x, h, near], [x + depth, h, near], [x + depth, h, far], [x, h, far]]), top)
        if near == edges[0]:
            stage.face(
                np.array([[x, 0, near], [x, h, near], [x + depth, h, near], [x + depth, 0, near]]), scaled(back, 1.1)
            )
        count = int(np.clip(cam.scale(z) * 3.0, 40, 180))
        y = rng.uniform(0.05, 1.04, count) * h
        at = rng.uniform(near, far, count)
        spots = cam.project(np.stack([np.full(count, x), y, at], -1))
        unit = np.stack([np.full(count, -side * 0.8), y / h - 0.45, np.full(count, -0.3)], -1) + rng.normal(
            0, 0.25, (count, 3)
        )
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        _foliage(stage, rng, unit, spots, max(1.8, 0.09 * cam.scale(z)), hedge.leaf, z, lit)


def cast_tree(stage: Stage, tree: Tree) -> None:
    """Broken shade of a crown, and the trunk's shadow."""
    rng = np.random.default_rng([tree.look, 75])
    stage.shadows.contact(tree.x, tree.z, 0.35, 0.3, 0.7)
    if stage.light.shadow < 0.08 or not stage.lit(tree.x, tree.z, tree.height * 0.6):
        return
    middle, wide, high = _FORMS[tree.shape]
    trunk = np.array([[a, y, 0.0] for a in (-0.1, 0.1) for y in (0.0, middle * tree.height)])
    stage.shadows.cast(turned(trunk[:, [2, 1, 0]], 0.0, tree.x, tree.z))
    blobs = 44 if tree.shape != "bare" else 6
    angle = np.linspace(0, 2 * np.pi, 8)[:-1]
    for _ in range(blobs):
        spot = rng.normal(0, 0.42, 3) * (wide, high, wide) * tree.height
        radius = tree.height * wide * rng.uniform(0.10, 0.30) * (0.25 if tree.shape == "bare" else 1)
        ring = np.stack([radius * np.cos(angle), 0 * angle, radius * np.sin(angle)], -1)
        stage.shadows.cast(ring + spot + (tree.x, middle * tree.height, tree.z))
