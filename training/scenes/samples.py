"""How the bundled scenes were drawn: composed by hand for contrast."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.scenes.compose import Scene, draw
from training.scenes.furniture import Bollard, Fence, Lamp, Sign, Signal
from training.scenes.people import Rider, Walker
from training.scenes.plants import Tree
from training.scenes.vehicles import Car


@dataclass(frozen=True)
class Composition:
    """How to draw one scene: its seed, and what is not left to chance."""

    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def draw(self) -> Scene:
        """Draw it afresh at 360 x 480."""
        return draw(self.seed, **self.settings)


_EMPTY: dict[str, Any] = {"crowd": 0, "traffic": 0, "furniture": 0}
_BRIGHT_WALL: dict[str, Any] = {
    **_EMPTY, "time": "day", "weather": "sunny", "sun": "behind", "season": "summer", "street": "park", "end": 15.5,
    "wall": (246, 240, 226), "zebra": 0, "view": -0.4, "half": 4.2,
}  # fmt: skip


def _before_wall(paint: str) -> dict[str, Any]:
    return {
        **_BRIGHT_WALL,
        "actors": (
            Car(0.1, 7.4, 90.0, "saloon", paint),
            Tree(-5.9, 13.2, 5.6, "round", (96, 134, 62), 5),
            Tree(-9.5, 19.0, 8.5, "oval", (84, 120, 62), 14),
            Tree(-1.6, 21.0, 9.0, "spread", (108, 138, 66), 15),
            Tree(6.0, 19.0, 7.8, "round", (78, 118, 66), 17),
            Lamp(6.4, 13.4, 6.0, -1.2, 1),
            Walker(4.6, 13.3, -80.0, 1.0, 12),
            Sign(-4.9, 12.9, "parking", 2.4),
        ),
    }


COMPOSITIONS: dict[str, Composition] = {
    "dark-car-bright-wall": Composition(
        11, _before_wall("black"),
    ),
    "bright-car-bright-wall": Composition(
        11, _before_wall("white"),
    ),
    "pedestrian-behind-pole": Composition(
        21, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "left", "street": "shops", "season": "summer", "end": 0,
             "zebra": 0, "bend": 0.3, "view": 1.3, "half": 3.4,
             "actors": (Lamp(3.72, 6.6, 5.6, -1.2, 0), Walker(3.93, 7.3, 80.0, 1.0, 31), Walker(4.9, 15.0, 180.0, 1.0, 8),
                        Walker(5.4, 15.2, 178.0, 0.97, 9), Car(-2.3, 12.5, 180, "hatchback", "mint"),
                        Car(-2.3, 19.0, 180, "estate", "brick"), Car(1.2, 24.0, 0, "saloon", "white"),
                        Sign(-3.85, 14.0, "speed", 2.4), Rider(-0.9, 15.5, 180.0, 4))},
    ),
    "crowded-crossing": Composition(
        33, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "right", "street": "city", "season": "summer", "end": 0,
             "zebra": 7.5, "view": -0.6, "furniture": 0.5, "bend": 0,
             "actors": (*(Walker(x, z, h, s, k) for k, (x, z, h, s) in enumerate((
                 (-3.6, 8.6, 90, 1.0), (-2.9, 9.3, 90, 0.97), (-1.9, 8.2, 84, 1.03), (-1.3, 9.9, -90, 0.98),
                 (-0.2, 8.9, -94, 1.0), (0.35, 9.0, -90, 0.66), (1.3, 9.7, 90, 1.02), (2.2, 8.3, -84, 0.96),
                 (3.0, 9.4, -90, 1.0), (4.6, 8.0, -90, 1.0), (-5.0, 10.0, 90, 0.98)), start=40)),
             Signal(-5.2, 7.0, "red"), Signal(5.2, 7.0, "red"), Car(-1.6, 14.5, 180, "hatchback", "mustard"))},
    ),
    "bicyclist-close": Composition(
        45, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "left", "street": "terrace", "season": "spring", "end": 0,
             "zebra": 0, "view": 0.4, "bend": -0.4, "traffic": 0.3, "furniture": 0.5,
             "actors": (Rider(0.2, 5.6, 66.0, 7), Tree(-5.2, 16, 6, "round", (222, 170, 180), 2))},
    ),
    "quiet-street": Composition(
        52, {**_EMPTY, "time": "golden", "weather": "sunny", "sun": "right", "street": "suburb", "season": "autumn", "end": 0,
             "zebra": 0, "bend": 0.5, "view": -0.8,
             "actors": (Car(3.1, 10.5, 180, "estate", "mint"), Tree(-6.0, 11, 7.2, "round", (216, 140, 48), 3),
                        Tree(-6.1, 20, 7.4, "oval", (196, 92, 44), 4), Tree(6.6, 15, 7.6, "round", (222, 166, 62), 6),
                        Tree(6.4, 26, 7.0, "spread", (190, 88, 42), 9))},
    ),
    "signs-and-poles": Composition(
        61, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "right", "street": "terrace", "season": "summer", "end": 0,
             "zebra": 12, "bend": 0, "view": 0.2, "half": 3.1,
             "actors": (Sign(-3.5, 7.9, "warning", 2.5), Sign(-3.9, 16, "direction", 3.2), Sign(3.5, 7.6, "speed", 2.6, "mandatory"),
                        Signal(3.5, 11.4, "green"), Signal(-3.5, 11.4, "green"), Lamp(3.6, 15.5, 5.6, -1.4, 0),
                        Lamp(-3.6, 20, 5.6, 1.4, 0), Sign(3.6, 20, "stop", 2.4), Sign(-3.6, 26, "ban", 2.5),
                        Sign(3.6, 27, "give-way", 2.5), Bollard(-3.4, 9.3), Bollard(3.4, 9.3), Bollard(-3.4, 10.4), Bollard(3.4, 10.4),
                        Walker(-2.0, 13.4, 90, 1.0, 5), Car(1.3, 22, 0, "hatchback", "red"))},
    ),
    "dusk": Composition(
        70, {"time": "dusk", "weather": "sunny", "sun": "ahead", "street": "shops", "season": "summer", "end": 0, "zebra": 14,
             "crowd": 0.6, "traffic": 0.3, "furniture": 0.7, "bend": 0, "view": -1.5,
             "actors": (Car(1.5, 10.5, 180, "hatchback", "red"), Car(-1.5, 15.0, 0, "saloon", "navy"))},
    ),
    "rain": Composition(
        82, {"time": "day", "weather": "rain", "street": "shops", "season": "autumn", "end": 0, "zebra": 9, "crowd": 0.7,
             "traffic": 0.2, "furniture": 0.6, "bend": 0, "view": -1.5,
             "actors": (Car(1.5, 8.5, 180, "hatchback", "red"), Walker(-1.4, 10.2, 90, 1.0, 90), Walker(-3.0, 10.6, 90, 0.97, 91))},
    ),
    "fog": Composition(
        93, {"time": "day", "weather": "fog", "street": "terrace", "season": "winter", "end": 0, "zebra": 0, "crowd": 0.5,
             "traffic": 0.5, "furniture": 0.9, "bend": 0.2,
             "actors": (Car(1.6, 11, 180, "suv", "silver"), Rider(-2.4, 9, 0, 5))},
    ),
    "lone-pedestrian": Composition(
        104, {**_EMPTY, "time": "day", "weather": "overcast", "street": "park", "season": "summer", "end": 0, "zebra": 0, "bend": 0,
              "view": 0, "half": 5.0, "actors": (Walker(0.6, 19, 100, 1.0, 15),)},
    ),
    "car-in-shadow": Composition(
        115, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "left", "street": "terrace", "season": "summer", "end": 0,
              "zebra": 0, "bend": 0, "view": 0.2,
              "actors": (Car(-2.4, 9.0, 8, "hatchback", "navy"), Car(3.0, 12.5, 180, "hatchback", "sky"), Fence(5.8, 6, 12))},
    ),
}  # fmt: skip
"""By the names in `perturb.images.samples`."""
