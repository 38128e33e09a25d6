"""Pedestrians and bicyclists."""

# ruff: noqa: RUF005 - tuples are added to arrays of points here, not joined to them

from dataclasses import dataclass

import numpy as np

from perturb.images import class_names
from training.scenes.canvas import Colour, mix
from training.scenes.figure import Figure, darker
from training.scenes.stage import Stage

SKINS: tuple[Colour, ...] = ((232, 190, 160), (216, 166, 132), (190, 136, 102), (146, 98, 72), (104, 70, 52))
HAIRS: tuple[Colour, ...] = ((38, 30, 28), (74, 50, 36), (122, 84, 50), (196, 158, 98), (150, 70, 40), (176, 172, 170))
CLOTHES: tuple[Colour, ...] = (
    (42, 58, 92), (164, 50, 48), (208, 158, 60), (70, 96, 82), (228, 222, 210), (58, 58, 64), (116, 84, 66),
    (92, 128, 160), (142, 72, 96), (200, 120, 86), (34, 36, 42), (150, 156, 162), (236, 196, 178), (64, 128, 124),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = ((44, 52, 74), (54, 54, 60), (92, 82, 70), (70, 88, 116), (36, 36, 40), (128, 116, 98))


@dataclass(frozen=True)
class Walker:
    """A pedestrian; ``heading`` as for cars. ``size`` 1 is an adult of 1.75 m. ``look`` seeds clothes and pose."""

    x: float
    z: float
    heading: float = 90.0
    size: float = 1.0
    look: int = 0
    standing: bool = False


@dataclass(frozen=True)
class Rider:
    """A bicyclist with the bicycle; ``heading`` as for cars."""

    x: float
    z: float
    heading: float = 0.0
    look: int = 0


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _head(figure: Figure, rng: np.random.Generator, skin: Colour, forward: float, base: float, detail: bool) -> None:
    """Neck, face, hair and sometimes a hat above the shoulders at height ``base``."""
    hair = _pick(rng, HAIRS)
    style = int(rng.integers(5))
    figure.limb([[forward, base, 0], [forward, base + 0.10, 0]], 0.05, darker(skin, 0.86))
    y = base + 0.175
    figure.limb([[forward + 0.01, y + 0.03, 0], [forward + 0.025, y - 0.035, 0]], [0.092, 0.074], skin, 0.02)
    figure.limb([[forward - 0.025, y + 0.055, 0], [forward + 0.0, y + 0.075, 0]], 0.100, hair)
    figure.limb([[forward + 0.055, y + 0.105, -0.04], [forward + 0.055, y + 0.105, 0.04]], [0.042, 0.042], hair, 0.06)
    if style == 1:
        figure.limb([[forward - 0.05, y + 0.04, 0], [forward - 0.075, y - 0.16, 0]], [0.09, 0.085], hair)
    elif style == 2:
        figure.limb([[forward - 0.08, y + 0.15, 0]], 0.055, hair)
    elif style == 3:
        hat = _pick(rng, CLOTHES)
        figure.limb([[forward, y + 0.09, 0], [forward - 0.02, y + 0.125, 0]], [0.102, 0.085], hat, 0.07)
        figure.limb([[forward + 0.05, y + 0.075, -0.05], [forward + 0.05, y + 0.075, 0.05]], 0.042, darker(hat), 0.08)
    if detail:
        for hand in (-1, 1):
            figure.limb([[forward + 0.098, y + 0.015, hand * 0.035]], 0.012, (40, 32, 30), 0.08)
            figure.limb(
                [[forward - 0.005, y, hand * 0.088], [forward - 0.01, y + 0.03, hand * 0.09]],
                0.018,
                darker(skin, 0.9),
                0.06,
            )
        figure.limb([[forward + 0.108, y - 0.012, 0]], 0.017, mix(skin, (220, 120, 100), 0.2), 0.03)


def _walker(stage: Stage, walker: Walker) -> Figure:
    rng = np.random.default_rng([walker.look, 71])
    figure = Figure(stage, walker.x, walker.z, walker.heading, walker.size)
    detail = stage.cam.scale(walker.z) > 90
    skin, top, legs = _pick(rng, SKINS), _pick(rng, CLOTHES), _pick(rng, TROUSERS)
    shoes = _pick(rng, ((36, 32, 32), (88, 60, 44), (226, 222, 214), (60, 60, 70)))
    dress = rng.random()
    phase = 0.05 if walker.standing else rng.uniform(0.16, 0.40) * rng.choice([-1, 1])
    long_coat = dress < 0.3
    skirt = 0.3 <= dress < 0.48
    bare = skirt and rng.random() < 0.6
    for hand in (-1, 1):
        swing = phase * hand
        bend = 0.55 if swing < -0.1 else 0.05
        hip = np.array([0, 0.90, 0.085 * hand])
        knee = hip + 0.42 * np.array([np.sin(swing), -np.cos(swing), 0.05 * hand])
        ankle = knee + 0.41 * np.array([np.sin(swing - bend), -np.cos(swing - bend), 0])
        ankle[1] = max(ankle[1], 0.075)
        cloth = skin if bare else legs
        tint = cloth if hand * walker.heading % 2 else darker(cloth, 0.9)
        figure.limb([hip, knee], [0.092, 0.066], tint)
        figure.limb([knee, ankle], [0.066, 0.046], tint)
        figure.limb([ankle - (0.02, 0.02, 0), ankle + (0.13, -0.045, 0)], [0.048, 0.034], shoes)
    hem = 0.48 if long_coat else 0.55 if skirt else 0.86
    lower = top if long_coat else _pick(rng, CLOTHES) if skirt else top
    if long_coat or skirt:
        spread = 0.13 if long_coat else 0.15
        figure.limb(
            [[0, 0.98, -0.09], [0, 0.98, 0.09], [0.04 * phase, hem, -spread], [0.08, hem, spread], [-0.08, hem, 0]],
            [0.085, 0.085, 0.05, 0.05, 0.05], lower, 0.01,
        )  # fmt: skip
    figure.limb(
        [[0, 1.38, -0.135], [0, 1.38, 0.135], [0, 0.98, -0.085], [0, 0.98, 0.085], [0.03, 1.22, 0]],
        [0.075, 0.075, 0.085, 0.085, 0.125], top, 0.02,
    )  # fmt: skip
    if not long_coat and rng.random() < 0.5:
        shirt = _pick(rng, CLOTHES)
        figure.limb([[0.085, 1.40, 0], [0.10, 1.02, 0]], [0.05, 0.045], shirt, 0.0)
    for hand in (-1, 1):
        swing = -phase * hand * 0.9
        shoulder = np.array([0, 1.385, 0.19 * hand])
        elbow = shoulder + 0.27 * np.array([np.sin(swing), -np.cos(swing), 0.12 * hand])
        reach = swing + (0.35 if not walker.standing else 0.1)
        wrist = elbow + 0.25 * np.array([np.sin(reach), -np.cos(reach), 0])
        figure.limb([shoulder, elbow], [0.064, 0.05], darker(top, 0.92))
        figure.limb([elbow, wrist], [0.05, 0.038], darker(top, 0.92))
        figure.limb([wrist, wrist + (0.01, -0.05, 0)], 0.038, skin)
        if hand == 1 and rng.random() < 0.3:
            bag = _pick(rng, CLOTHES)
            figure.limb([wrist + (0, -0.1, 0), wrist + (0.0, -0.34, 0), wrist + (0.12, -0.32, 0), wrist + (-0.12, -0.32, 0)],
                        [0.02, 0.05, 0.05, 0.05], bag)  # fmt: skip
    extra = rng.random()
    if extra < 0.25:
        figure.limb(
            [[-0.15, 1.36, -0.08], [-0.15, 1.36, 0.08], [-0.17, 1.02, -0.09], [-0.17, 1.02, 0.09]],
            0.075,
            _pick(rng, CLOTHES),
        )
    elif extra < 0.45:
        figure.limb([[0.02, 1.45, -0.06], [0.03, 1.44, 0.06]], 0.055, _pick(rng, CLOTHES), 0.05)
    _head(figure, rng, skin, 0.02, 1.43, detail)
    if stage.light.wet and rng.random() < 0.55:
        cover = _pick(rng, CLOTHES)
        figure.limb([[0.25, 1.45, 0.14], [0.12, 2.0, 0.08]], 0.012, (50, 50, 54))
        angle = np.linspace(0, 2 * np.pi, 9)[:-1]
        rim = np.stack([0.1 + 0.5 * np.cos(angle), np.full(8, 1.86), 0.06 + 0.5 * np.sin(angle)], -1)
        figure.limb(np.concatenate([rim, [[0.1, 2.1, 0.06]]]), 0.02, cover, 0.2)
    return figure


def _wheel(forward: float, radius: float = 0.335) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    return np.stack([forward + radius * np.cos(angle), radius + radius * np.sin(angle), 0 * angle], -1)


def _rider(stage: Stage, rider: Rider) -> Figure:
    rng = np.random.default_rng([rider.look, 72])
    figure = Figure(stage, rider.x, rider.z, rider.heading)
    detail = stage.cam.scale(rider.z) > 90
    frame = _pick(rng, ((168, 44, 40), (44, 84, 120), (58, 60, 64), (212, 160, 60), (70, 130, 110), (220, 218, 210)))
    skin, top, legs = _pick(rng, SKINS), _pick(rng, CLOTHES), _pick(rng, TROUSERS)
    for forward in (-0.52, 0.52):
        figure.ring(_wheel(forward), 0.045, (30, 30, 33))
        figure.ring(_wheel(forward, 0.30), 0.016, (150, 150, 152))
        hub = np.array([forward, 0.335, 0])
        if stage.cam.scale(rider.z) > 40:
            for a in np.linspace(0, np.pi, 6)[:-1]:
                tip = 0.3 * np.array([np.cos(a), np.sin(a), 0])
                figure.ring([hub - tip, hub + tip], 0.005, (150, 150, 152))
        figure.limb([hub], 0.03, (90, 90, 94))
    tubes = (
        ((-0.52, 0.335), (-0.10, 0.29)), ((-0.52, 0.335), (-0.22, 0.80)), ((-0.10, 0.29), (-0.24, 0.92)),
        ((-0.10, 0.29), (0.38, 0.72)), ((-0.21, 0.80), (0.36, 0.84)), ((0.35, 0.95), (0.52, 0.335)),
    )  # fmt: skip
    for (a, b), (c, d) in tubes:
        figure.limb([[a, b, 0], [c, d, 0]], 0.02, frame)
    figure.limb([[-0.34, 0.95, 0], [-0.14, 0.96, 0]], [0.06, 0.03], (40, 34, 32))
    figure.limb([[0.35, 1.03, -0.24], [0.35, 1.03, 0.24]], 0.018, (60, 60, 64))
    figure.limb([[0.35, 0.9, 0], [0.35, 1.03, 0]], 0.018, frame)
    figure.limb([[-0.56, 0.62, 0], [-0.6, 0.62, 0]], 0.03, (214, 44, 36))
    phase = rng.uniform(0, 2 * np.pi)
    lean = rng.uniform(0.15, 0.36)
    chest = np.array([-0.22 + lean, 1.46, 0])
    for hand in (-1, 1):
        angle = phase + (np.pi if hand > 0 else 0)
        pedal = np.array([-0.10 + 0.17 * np.cos(angle), 0.29 + 0.17 * np.sin(angle), 0.11 * hand])
        hip = np.array([-0.22, 0.99, 0.09 * hand])
        foot = pedal + (0.0, 0.08, 0)
        middle, span = (hip + foot) / 2, float(np.linalg.norm(hip - foot))
        bulge = max(0.0, 0.44**2 - (span / 2) ** 2) ** 0.5
        across = np.array([foot[1] - hip[1], hip[0] - foot[0], 0])
        knee = middle - across / (np.linalg.norm(across) + 1e-6) * bulge
        if knee[0] < middle[0]:
            knee = middle + across / (np.linalg.norm(across) + 1e-6) * bulge
        knee[2] = 0.12 * hand
        figure.limb([hip, knee], [0.095, 0.068], legs if hand > 0 else darker(legs, 0.88))
        figure.limb([knee, foot], [0.066, 0.045], legs if hand > 0 else darker(legs, 0.88))
        figure.limb([foot + (-0.04, -0.04, 0), foot + (0.14, -0.05, 0)], [0.046, 0.036], (52, 48, 48))
        shoulder = chest + (-0.02, -0.03, 0.18 * hand)
        grip = np.array([0.36, 1.05, 0.22 * hand])
        elbow = (shoulder + grip) / 2 + (-0.03, -0.09, 0.06 * hand)
        figure.limb([shoulder, elbow], [0.062, 0.05], darker(top, 0.92))
        figure.limb([elbow, grip], [0.05, 0.036], darker(top, 0.92))
        figure.limb([grip], 0.042, skin)
    figure.limb(
        [chest + (0, -0.06, -0.13), chest + (0, -0.06, 0.13), (-0.22, 1.03, -0.09), (-0.22, 1.03, 0.09)],
        [0.08, 0.08, 0.10, 0.10], top, 0.02,
    )  # fmt: skip
    if rng.random() < 0.35:
        figure.limb([chest + (-0.15, 0.0, -0.07), chest + (-0.15, 0, 0.07), (-0.34, 1.14, -0.08), (-0.34, 1.14, 0.08)], 0.08,
                    _pick(rng, CLOTHES))  # fmt: skip
    _head(figure, rng, skin, float(chest[0]) + 0.04, 1.46, detail)
    if rng.random() < 0.5:
        helmet = _pick(rng, ((232, 232, 228), (196, 50, 44), (40, 44, 52), (60, 120, 170)))
        forward = float(chest[0]) + 0.02
        figure.limb([[forward - 0.06, 1.715, 0], [forward + 0.06, 1.725, 0]], [0.11, 0.095], helmet, 0.12)
    return figure


def paint_walker(stage: Stage, walker: Walker) -> None:
    """Draw one pedestrian with an own instance id."""
    stage.canvas.take(class_names.PEDESTRIAN, thing=True)
    _walker(stage, walker).paint(_kerb(stage, walker.x))


def paint_rider(stage: Stage, rider: Rider) -> None:
    """Draw one bicyclist, bicycle included, with an own instance id."""
    stage.canvas.take(class_names.BICYCLIST, thing=True)
    _rider(stage, rider).paint()


def cast_person(stage: Stage, person: Walker | Rider) -> None:
    """Shadow of a pedestrian or bicyclist."""
    (_walker(stage, person) if isinstance(person, Walker) else _rider(stage, person)).cast()
    if isinstance(person, Rider):
        along = abs(np.cos(np.deg2rad(person.heading)))
        stage.shadows.contact(person.x, person.z, 0.15 + 0.6 * (1 - along), 0.1 + 0.6 * along, 0.45)


def _kerb(stage: Stage, x: float) -> float:
    return 0.06 if abs(x) > stage.street.half else 0.0
