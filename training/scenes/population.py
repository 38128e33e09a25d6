"""Fills a street with what moves and with what is bolted down: traffic, people, furniture."""

import numpy as np

from training.scenes.furniture import Bollard, Fence, Lamp, Sign, Signal
from training.scenes.layout import FENCE_TINTS, Layout, shape
from training.scenes.people import Rider, Walker
from training.scenes.plants import LEAVES, Tree
from training.scenes.signs import SIGNS
from training.scenes.vehicles import BODIES, PAINTS, Car


def traffic(rng: np.random.Generator, layout: Layout, amount: float) -> None:
    """Parked cars on both kerbs, oncoming and leading cars, crossing cars at junctions, bicyclists."""
    street = layout.street
    limit = street.cross[0] - 1.5 if street.cross else 70.0
    paints = list(PAINTS)
    bodies = list(BODIES)
    spread = [0.32, 0.25, 0.14, 0.17, 0.10, 0.02]

    def car(x: float, z: float, heading: float, moving: bool = False) -> Car:
        return Car(
            x,
            z,
            heading + float(rng.normal(0, 1.5)),
            str(rng.choice(bodies, p=spread)),
            str(rng.choice(paints)),
            moving,
        )

    for side in (-1, 1):
        if not street.parking[(side + 1) // 2]:
            continue
        z = float(rng.uniform(4.5, 12))
        while z < 70:
            clear = not street.zebra or not street.zebra[0] - 5 < z < street.zebra[1] + 5
            clear = clear and (not street.cross or not street.cross[0] - 4 < z < street.cross[1] + 4)
            if clear and rng.random() < 0.25 + 0.6 * amount and z < (street.end or 200.0) - 14:
                heading = 0.0 if side == street.drive or rng.random() < 0.3 else 180.0
                layout.add(car(side * (street.half - 1.02), z, heading))
            z += float(rng.uniform(5.0, 7.0))
    own, other = street.drive * street.half * 0.32, -street.drive * street.half * 0.32
    if rng.random() < 0.25 + 0.65 * amount:
        layout.add(car(own, float(rng.uniform(8, 34)), 0.0, True))
    z = float(rng.uniform(9, 40))
    while z < min(90.0, limit) and rng.random() < 0.25 + 0.6 * amount:
        layout.add(car(other, z, 180.0, True))
        z += float(rng.uniform(8, 30))
    if street.cross and rng.random() < 0.3 + 0.6 * amount:
        middle = sum(street.cross) / 2
        for _ in range(int(rng.integers(1, 3))):
            way = float(rng.choice([-1, 1]))
            layout.add(car(float(rng.uniform(-12, 12)), middle + way * 1.4, 90.0 * way, True))


def shape_z(rng: np.random.Generator, near: float, far: float) -> float:
    """A distance which gives every apparent size a fair share."""
    return float(1 / rng.uniform(1 / far, 1 / near))


def people(rng: np.random.Generator, layout: Layout, amount: float) -> None:
    """Pedestrians on the pavements and crossings, alone and in groups, and bicyclists."""
    street = layout.street
    far = (street.end or 62.0) - 4

    def walker(x: float, z: float, heading: float, size: float | None = None) -> Walker:
        tall = float(rng.normal(0.98, 0.05)) if size is None else size
        return Walker(x, z, heading, tall, int(rng.integers(1 << 20)), bool(rng.random() < 0.2))

    for _ in range(int(rng.poisson(1.5 + 7 * amount))):
        side = int(rng.choice([-1, 1]))
        pave = street.paves[(side + 1) // 2]
        x = side * (street.half + float(rng.uniform(0.5, max(0.7, pave - 0.4))))
        z = shape_z(rng, 7.0, far)
        heading = float(rng.choice([0, 180, 90, -90], p=[0.38, 0.38, 0.12, 0.12])) + float(rng.normal(0, 14))
        layout.add(walker(x, z, heading))
        roll = rng.random()
        if roll < 0.3:
            layout.add(walker(x + float(rng.choice([-0.55, 0.55])), z + float(rng.uniform(-0.2, 0.3)), heading))
        elif roll < 0.42:
            layout.add(walker(x + 0.45, z - 0.1, heading, float(rng.uniform(0.55, 0.75))))
    if street.zebra:
        for _ in range(int(rng.poisson(0.4 + 3.2 * amount))):
            way = float(rng.choice([-90, 90])) + float(rng.normal(0, 10))
            layout.add(walker(float(rng.uniform(-street.half, street.half)), float(rng.uniform(*street.zebra)), way))
    if rng.random() < 0.10 + 0.22 * amount:
        layout.add(walker(float(rng.uniform(-2, 2)), shape_z(rng, 9, far), float(rng.choice([-90, 90]))))
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.12, 0.45, 0.28, 0.15]))):
        way = int(rng.choice([-1, 1], p=[0.4, 0.6]))
        x = street.drive * way * (street.half - float(rng.uniform(0.6, 2.4)))
        layout.add(
            Rider(
                x,
                shape_z(rng, 7.0, far),
                (0.0 if way > 0 else 180.0) + float(rng.normal(0, 8)),
                int(rng.integers(1 << 20)),
            )
        )
    if (street.cross and rng.random() < 0.35) or rng.random() < 0.12:
        z = sum(street.cross) / 2 if street.cross else float(rng.uniform(7, 16))
        layout.add(Rider(float(rng.uniform(-4, 4)), z, float(rng.choice([-90, 90])), int(rng.integers(1 << 20))))


def furniture(rng: np.random.Generator, layout: Layout, amount: float, season: str) -> None:
    """Lamps, signals, signs, bollards, kerb railings and street trees."""
    street = layout.street
    far = (street.end or 84.0) - 5
    style = int(rng.integers(3))
    leaves = LEAVES[season]
    alley = rng.random() < 0.4
    form = shape(rng, season)

    def busy(z: float) -> bool:
        return street.cross is not None and street.cross[0] - 0.6 < z < street.cross[1] + 0.6

    for side in (-1, 1):
        kerb = side * (street.half + 0.42)
        wide = street.paves[(side + 1) // 2]
        z = float(rng.uniform(5, 16))
        while z < far:
            if not busy(z) and rng.random() < 0.35 + 0.6 * amount:
                layout.add(Lamp(kerb, z, float(rng.uniform(4.2, 5) if style == 1 else rng.uniform(6, 8)),
                                -side * float(rng.uniform(0.9, 1.8)), style))  # fmt: skip
            z += float(rng.uniform(13, 22))
        z = float(rng.uniform(5, 14))
        while z < far and rng.random() < 0.3 + 0.7 * amount:
            kind = str(rng.choice(SIGNS, p=[0.12, 0.18, 0.15, 0.09, 0.06, 0.12, 0.12, 0.08, 0.08]))
            second = str(rng.choice(SIGNS[:7])) if rng.random() < 0.2 and kind not in ("poster", "direction") else ""
            if not busy(z):
                layout.add(
                    Sign(kerb + side * float(rng.uniform(0, 0.3)), z, kind, float(rng.uniform(2.1, 2.8)), second)
                )
            z += float(rng.uniform(5, 16))
        if alley and wide > 2.0:
            z = float(rng.uniform(4, 12))
            tint = leaves[int(rng.integers(len(leaves)))]
            while z < far:
                if not busy(z) and rng.random() < 0.75:
                    layout.add(
                        Tree(
                            kerb + side * 0.25, z, float(rng.uniform(4.5, 7.5)), form, tint, int(rng.integers(1 << 20))
                        )
                    )
                z += float(rng.uniform(7, 11))
        if rng.random() < 0.30 + 0.30 * amount:
            near = float(rng.uniform(2.5, 18))
            stop = min(near + float(rng.uniform(5, 14)), street.cross[0] - 1 if street.cross else 99.0)
            if stop > near + 2:
                kind = str(rng.choice(["railing", "barrier", "mesh"], p=[0.6, 0.25, 0.15]))
                tint = FENCE_TINTS[int(rng.integers(len(FENCE_TINTS)))]
                for part in np.arange(near, stop - 1.0, 2.5):
                    layout.add(
                        Fence(side * (street.half + 0.25), float(part), float(min(part + 2.5, stop)), kind, 1.05, tint)
                    )
        elif rng.random() < 0.3:
            for z in np.arange(rng.uniform(4, 8), rng.uniform(14, 24), 1.9):
                if not busy(float(z)):
                    layout.add(Bollard(side * (street.half + 0.3), float(z)))
    spot = street.zebra[0] - 0.4 if street.zebra else street.cross[0] - 1.2 if street.cross else None
    if spot is not None and spot > 3 and rng.random() < 0.3 + 0.5 * amount:
        state = str(rng.choice(["red", "amber", "green"], p=[0.4, 0.15, 0.45]))
        for side in (-1, 1):
            layout.add(Signal(side * (street.half + 0.45), spot, state))
