"""Chooses what stands where: the street's plan, its houses and gardens, traffic, people and furniture."""

from dataclasses import dataclass, field

import numpy as np

from training.scenes.canvas import Colour
from training.scenes.furniture import FENCES, Fence
from training.scenes.house import ACCENTS, ROOFS, TRIMS, WALLS, House
from training.scenes.plants import LEAVES, Hedge, Tree
from training.scenes.road import Street
from training.scenes.settings import STREETS, Actor, Settings

FENCE_TINTS: tuple[Colour, ...] = (
    (62, 68, 72), (150, 112, 78), (222, 220, 212), (96, 74, 58), (70, 96, 84), (120, 124, 126), (178, 150, 116),
)  # fmt: skip


@dataclass
class Layout:
    """Everything to draw; ``placed`` pairs each actor with its sorting depth."""

    street: Street
    houses: list[House] = field(default_factory=list)
    placed: list[tuple[float, Actor]] = field(default_factory=list)

    def add(self, actor: Actor, key: float | None = None) -> None:
        """Put an actor in, sorted by its own distance unless ``key`` says otherwise."""
        if key is None:
            key = (actor.z + actor.far) / 2 if isinstance(actor, (Fence, Hedge)) else actor.z
        self.placed.append((key, actor))


def plan(rng: np.random.Generator, asked: Settings) -> tuple[Street, str]:
    """The street's ground plan and kind."""
    kind = asked.street or str(rng.choice(STREETS, p=[0.27, 0.27, 0.18, 0.17, 0.11]))
    half = asked.half if asked.half is not None else float(rng.uniform(3.4, 5.6))
    wide = {"terrace": (1.9, 3.6), "shops": (2.8, 5.2), "city": (3.2, 5.6), "suburb": (2.0, 3.4), "park": (2.4, 4.2)}
    paves = (float(rng.uniform(*wide[kind])), float(rng.uniform(*wide[kind])))
    green = (kind in ("suburb", "park"), kind == "suburb" or (kind == "park" and bool(rng.random() < 0.6)))
    street = Street(half, paves, int(rng.choice([-1, 1], p=[0.6, 0.4])), green=green)
    if rng.random() < 0.5:
        street.green = (street.green[1], street.green[0])
    tones: tuple[Colour, ...] = ((122, 120, 122), (134, 129, 126), (108, 109, 115), (142, 138, 132))
    slabs: tuple[Colour, ...] = ((196, 187, 172), (182, 179, 175), (204, 188, 170), (172, 165, 160))
    street.asphalt, street.slab = tones[int(rng.integers(4))], slabs[int(rng.integers(4))]
    street.lines = str(rng.choice(["dashed", "long", "double", "none"], p=[0.55, 0.2, 0.1, 0.15]))
    street.edge = str(rng.choice(["none", "yellow", "white"], p=[0.45, 0.3, 0.25]))
    street.parking = (bool(rng.random() < 0.62), bool(rng.random() < 0.62))
    roll = rng.random()
    if asked.end is not None:
        street.end = asked.end or None
    elif roll < 0.22:
        street.end = float(rng.uniform(24, 60))
    if street.end is not None:
        street.cross = (street.end - 9.0, street.end - 3.0)
    elif asked.end is None and roll < 0.50:
        near = float(rng.uniform(13, 34))
        street.cross = (near, near + float(rng.uniform(5.5, 8)))
    near = 0.0
    if asked.zebra is not None:
        near = asked.zebra
    elif rng.random() < 0.42:
        near = float(rng.uniform(6, 22))
        if street.cross:
            near = max(4.5, street.cross[0] - 4.6)
    if near:
        street.zebra = (near, near + 3.0)
    return street, kind


def houses(rng: np.random.Generator, layout: Layout, kind: str, season: str, wall: tuple[int, int, int] | None) -> None:
    """Rows of houses, gardens and parks along both sides, and the row which closes the view."""
    street = layout.street
    palette = WALLS[int(rng.integers(len(WALLS)))]
    limit = street.end - 11.0 if street.end is not None else 120.0
    for side in (-1, 1):
        z, high = -6.0, float(rng.uniform(7, 11))
        before: House | None = None
        while z < limit:
            width = float(rng.uniform(5, 9)) if kind != "city" else float(rng.uniform(9, 17))
            width = min(width, max(3.0, limit - z))
            if street.cross and street.end is None and street.cross[0] - 2.6 < z + width and z < street.cross[1] + 2.6:
                if z + 3.5 < street.cross[0] - 2.6:
                    width = street.cross[0] - 2.6 - z
                else:
                    z, before = street.cross[1] + 2.6, None
                    continue
            open_plot = {"terrace": 0.05, "shops": 0.04, "city": 0.05, "suburb": 0.12, "park": 0.05}[kind]
            park = kind == "park" and street.green[(side + 1) // 2]
            if park or rng.random() < open_plot:
                _garden(rng, layout, side, z, z + width, season, wild=True)
                before = None
                z += width
                continue
            if rng.random() < 0.5:
                high = float(rng.uniform(6.5, 12) if kind != "city" else rng.uniform(9, 22))
            if kind == "suburb":
                high = float(rng.uniform(5.4, 7))
            form = {"terrace": "terrace", "shops": "shop", "suburb": "terrace", "park": "terrace"}.get(kind, "block")
            if kind == "shops" and rng.random() < 0.25:
                form = "terrace"
            if kind == "city":
                form = str(rng.choice(["block", "office", "shop"]))
            setback = float(rng.uniform(3.5, 6)) if kind == "suburb" else 0.0
            house = make_house(rng, palette, side, z, width, high, form)
            house.setback = setback
            house.gap = before is None or before.height < high - 0.3 or setback > 0
            house.pitched = kind != "city" and rng.random() < 0.85
            if setback:
                width += float(rng.uniform(1.5, 4))
                _garden(rng, layout, side, z, z + width, season, wild=False)
            layout.houses.append(house)
            before = house
            z += width
    if street.end is not None:
        x = -34.0
        while x < 34:
            width = float(rng.uniform(6, 11)) if wall is None else 68.0
            high = float(rng.uniform(6.5, 11))
            house = make_house(
                rng, palette, 0, x, width, high, str(rng.choice(["terrace", "shop", "terrace", "block"]))
            )
            if wall is not None:
                house.kind, house.wall, house.height, house.pitched = "wall", wall, 3.9, False
                house.trim = (206, 200, 190)
            layout.houses.append(house)
            x += width


def make_house(
    rng: np.random.Generator,
    palette: tuple[Colour, ...],
    side: int,
    start: float,
    width: float,
    height: float,
    kind: str,
) -> House:
    """A house in the street's palette."""
    base = palette[int(rng.integers(len(palette)))]
    shift = rng.uniform(0.92, 1.06)
    wall: Colour = (min(250.0, base[0] * shift), min(250.0, base[1] * shift), min(250.0, base[2] * shift))
    house = House(
        side, start, width, height, kind, wall,
        TRIMS[int(rng.integers(len(TRIMS)))],
        ACCENTS[int(rng.integers(len(ACCENTS)))],
        ROOFS[int(rng.integers(len(ROOFS)))],
    )  # fmt: skip
    house.brick = sum(wall) < 520 and bool(rng.random() < 0.8)
    return house


def _garden(
    rng: np.random.Generator, layout: Layout, side: int, near: float, far: float, season: str, wild: bool
) -> None:
    """Fence or hedge on the building line with trees behind."""
    street = layout.street
    x = street.line(side)
    key = far + 0.3
    near = max(near, 1.0)
    if far < near + 1:
        return
    leaves = LEAVES[season]
    for _ in range(int(rng.integers(2, 4)) if wild else int(rng.integers(0, 2))):
        tree = Tree(
            x + side * float(rng.uniform(2.0, 7.0 if wild else 3.2)), float(rng.uniform(near, far)) + (1.0 if wild else 0.0),
            float(rng.uniform(4.5, 11 if wild else 6)), shape(rng, season), leaves[int(rng.integers(len(leaves)))],
            int(rng.integers(1 << 20)),
        )  # fmt: skip
        layout.add(tree, key - 0.1 - 0.001 * abs(tree.x))
    roll = rng.random()
    if roll < 0.36:
        green = LEAVES["summer" if season != "winter" else "winter"]
        hedge = Hedge(x + side * 0.1, near, far, float(rng.uniform(0.8, 1.6)), green[int(rng.integers(len(green)))],
                      int(rng.integers(1 << 20)))  # fmt: skip
        layout.add(hedge, key - 0.15)
    elif roll < 0.96:
        fence = Fence(x, near, far, str(rng.choice(FENCES[:4], p=[0.32, 0.34, 0.2, 0.14])), float(rng.uniform(0.9, 1.8)),
                      FENCE_TINTS[int(rng.integers(len(FENCE_TINTS)))])  # fmt: skip
        layout.add(fence, key - 0.15)


def shape(rng: np.random.Generator, season: str) -> str:
    """A tree's shape fit for the season."""
    if season == "winter" and rng.random() < 0.75:
        return "bare"
    return str(rng.choice(["round", "oval", "cone", "poplar", "spread"], p=[0.4, 0.25, 0.1, 0.08, 0.17]))
