"""The named scenes: composed by hand for contrast, the first one is what a visitor sees first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perturb.scenes.compose import Scene, draw
from perturb.scenes.furniture import Bollard, Fence, Lamp, Sign, Signal
from perturb.scenes.people import Rider, Walker
from perturb.scenes.plants import Tree
from perturb.scenes.vehicle_shell import Car


@dataclass(frozen=True)
class Sample:
    """A composed scene: kebab-case ``name``, title, one sentence on what to look for, and how to draw it."""

    name: str
    title: str
    sentence: str
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


_ALL: tuple[Sample, ...] = (
    Sample(
        "dark-car-bright-wall", "Dark car, bright wall",
        "A near-black car in front of a sunlit wall: is a black patch on the wall mistaken for a car?",
        11, _before_wall("black"),
    ),
    Sample(
        "bright-car-bright-wall", "Bright car, bright wall",
        "The same street with a white car: now the car and the wall share a colour and only its outline tells them apart.",
        11, _before_wall("white"),
    ),
    Sample(
        "pedestrian-behind-pole", "Behind a pole",
        "A lamp post hides the middle of a walking person: is what remains still enough to be a pedestrian?",
        21, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "left", "street": "shops", "season": "summer", "end": 0,
             "zebra": 0, "bend": 0.3, "view": 1.3, "half": 3.4,
             "actors": (Lamp(3.72, 6.6, 5.6, -1.2, 0), Walker(3.93, 7.3, 80.0, 1.0, 31), Walker(4.9, 15.0, 180.0, 1.0, 8),
                        Walker(5.4, 15.2, 178.0, 0.97, 9), Car(-2.3, 12.5, 180, "hatchback", "mint"),
                        Car(-2.3, 19.0, 180, "estate", "brick"), Car(1.2, 24.0, 0, "saloon", "white"),
                        Sign(-3.85, 14.0, "speed", 2.4), Rider(-0.9, 15.5, 180.0, 4))},
    ),
    Sample(
        "crowded-crossing", "Crowded crossing",
        "People overlap on a zebra crossing: which of them does the segmenter need in order to see any of them?",
        33, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "right", "street": "city", "season": "summer", "end": 0,
             "zebra": 7.5, "view": -0.6, "furniture": 0.5, "bend": 0,
             "actors": (*(Walker(x, z, h, s, k) for k, (x, z, h, s) in enumerate((
                 (-3.6, 8.6, 90, 1.0), (-2.9, 9.3, 90, 0.97), (-1.9, 8.2, 84, 1.03), (-1.3, 9.9, -90, 0.98),
                 (-0.2, 8.9, -94, 1.0), (0.35, 9.0, -90, 0.66), (1.3, 9.7, 90, 1.02), (2.2, 8.3, -84, 0.96),
                 (3.0, 9.4, -90, 1.0), (4.6, 8.0, -90, 1.0), (-5.0, 10.0, 90, 0.98)), start=40)),
             Signal(-5.2, 7.0, "red"), Signal(5.2, 7.0, "red"), Car(-1.6, 14.5, 180, "hatchback", "mustard"))},
    ),
    Sample(
        "bicyclist-close", "Bicyclist close by",
        "A bicyclist fills the view: is it the rider, the wheels or the road below that carries the label?",
        45, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "left", "street": "terrace", "season": "spring", "end": 0,
             "zebra": 0, "view": 0.4, "bend": -0.4, "traffic": 0.3, "furniture": 0.5,
             "actors": (Rider(0.2, 5.6, 66.0, 7), Tree(-5.2, 16, 6, "round", (222, 170, 180), 2))},
    ),
    Sample(
        "quiet-street", "Quiet street",
        "Autumn trees and one parked car: a calm scene in which a single object can be followed.",
        52, {**_EMPTY, "time": "golden", "weather": "sunny", "sun": "right", "street": "suburb", "season": "autumn", "end": 0,
             "zebra": 0, "bend": 0.5, "view": -0.8,
             "actors": (Car(3.1, 10.5, 180, "estate", "mint"), Tree(-6.0, 11, 7.2, "round", (216, 140, 48), 3),
                        Tree(-6.1, 20, 7.4, "oval", (196, 92, 44), 4), Tree(6.6, 15, 7.6, "round", (222, 166, 62), 6),
                        Tree(6.4, 26, 7.0, "spread", (190, 88, 42), 9))},
    ),
    Sample(
        "signs-and-poles", "Signs and poles",
        "Thin posts and small plates against the sky and houses: how small may an object be before it is lost?",
        61, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "right", "street": "terrace", "season": "summer", "end": 0,
             "zebra": 12, "bend": 0, "view": 0.2, "half": 3.1,
             "actors": (Sign(-3.5, 7.9, "warning", 2.5), Sign(-3.9, 16, "direction", 3.2), Sign(3.5, 7.6, "speed", 2.6, "mandatory"),
                        Signal(3.5, 11.4, "green"), Signal(-3.5, 11.4, "green"), Lamp(3.6, 15.5, 5.6, -1.4, 0),
                        Lamp(-3.6, 20, 5.6, 1.4, 0), Sign(3.6, 20, "stop", 2.4), Sign(-3.6, 26, "ban", 2.5),
                        Sign(3.6, 27, "give-way", 2.5), Bollard(-3.4, 9.3), Bollard(3.4, 9.3), Bollard(-3.4, 10.4), Bollard(3.4, 10.4),
                        Walker(-2.0, 13.4, 90, 1.0, 5), Car(1.3, 22, 0, "hatchback", "red"))},
    ),
    Sample(
        "dusk", "Dusk",
        "Lit windows, street lamps and head lamps: the brightest spots are no longer the sky.",
        70, {"time": "dusk", "weather": "sunny", "sun": "ahead", "street": "shops", "season": "summer", "end": 0, "zebra": 14,
             "crowd": 0.6, "traffic": 0.3, "furniture": 0.7, "bend": 0, "view": -1.5,
             "actors": (Car(1.5, 10.5, 180, "hatchback", "red"), Car(-1.5, 15.0, 0, "saloon", "navy"))},
    ),
    Sample(
        "rain", "Rain",
        "The wet road mirrors cars and houses: does a reflection count as a car?",
        82, {"time": "day", "weather": "rain", "street": "shops", "season": "autumn", "end": 0, "zebra": 9, "crowd": 0.7,
             "traffic": 0.2, "furniture": 0.6, "bend": 0, "view": -1.5,
             "actors": (Car(1.5, 8.5, 180, "hatchback", "red"), Walker(-1.4, 10.2, 90, 1.0, 90), Walker(-3.0, 10.6, 90, 0.97, 91))},
    ),
    Sample(
        "fog", "Fog",
        "Contrast fades with distance: the same object close by and far away in the mist.",
        93, {"time": "day", "weather": "fog", "street": "terrace", "season": "winter", "end": 0, "zebra": 0, "crowd": 0.5,
             "traffic": 0.5, "furniture": 0.9, "bend": 0.2,
             "actors": (Car(1.6, 11, 180, "suv", "silver"), Rider(-2.4, 9, 0, 5))},
    ),
    Sample(
        "lone-pedestrian", "Lone pedestrian",
        "One small person far from everything else: how much of the empty street helps to find a pedestrian?",
        104, {**_EMPTY, "time": "day", "weather": "overcast", "street": "park", "season": "summer", "end": 0, "zebra": 0, "bend": 0,
              "view": 0, "half": 5.0, "actors": (Walker(0.6, 19, 100, 1.0, 15),)},
    ),
    Sample(
        "car-in-shadow", "Car in shadow",
        "One car stands in deep shade and one in the sun: does darkness alone change the answer?",
        115, {**_EMPTY, "time": "day", "weather": "sunny", "sun": "left", "street": "terrace", "season": "summer", "end": 0,
              "zebra": 0, "bend": 0, "view": 0.2,
              "actors": (Car(-2.4, 9.0, 8, "hatchback", "navy"), Car(3.0, 12.5, 180, "hatchback", "sky"), Fence(5.8, 6, 12))},
    ),
)  # fmt: skip

SAMPLES: dict[str, Sample] = {sample.name: sample for sample in _ALL}
