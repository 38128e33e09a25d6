"""What can be asked of a scene, and how the rest is chosen by the seed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from training.scenes.furniture import Bollard, Fence, Lamp, Sign, Signal
from training.scenes.light import SUNS, TIMES, WEATHERS
from training.scenes.people import Rider, Walker
from training.scenes.plants import SEASONS, Hedge, Tree
from training.scenes.vehicles import BODIES, PAINTS, Car

Actor = Car | Walker | Rider | Lamp | Signal | Sign | Bollard | Fence | Tree | Hedge
NEAREST_END = 14.0  # metres: the side road in front of the closing row needs its room
STREETS: tuple[str, ...] = ("terrace", "shops", "city", "suburb", "park")


@dataclass(frozen=True)
class Settings:
    """Overrides of one drawing; ``None`` leaves the choice to the seed.

    ``time`` day, golden, dusk; ``weather`` sunny, overcast, rain, fog, snow; ``sun`` left, right, ahead, behind;
    ``season`` spring, summer, autumn, winter; ``street`` terrace, shops, city, suburb, park;
    ``crowd`` and ``traffic`` 0 (nobody) to 1 (full); ``furniture`` 0 to 1, how many poles, signs and fences;
    ``end`` metres (14 or more) to a row of houses which closes the view, 0 for an open street; ``wall`` turns that row into one
    plain wall of this RGB colour; ``zebra`` metres to a crossing, 0 for none; ``bend`` curves the street, -1..1;
    ``view`` metres the camera stands right of the centre line; ``half`` metres from there to a kerb;
    ``actors`` objects placed by hand.
    """

    time: str | None = None
    weather: str | None = None
    sun: str | None = None
    season: str | None = None
    street: str | None = None
    crowd: float | None = None
    traffic: float | None = None
    furniture: float | None = None
    end: float | None = None
    wall: tuple[int, int, int] | None = None
    zebra: float | None = None
    bend: float | None = None
    view: float | None = None
    half: float | None = None
    actors: tuple[Actor, ...] = ()


_CHOICES: dict[str, tuple[str, ...]] = {
    "time": TIMES,
    "weather": WEATHERS,
    "sun": SUNS,
    "season": SEASONS,
    "street": STREETS,
}
_RANGES: dict[str, tuple[float, float]] = {
    "crowd": (0, 1),
    "traffic": (0, 1),
    "furniture": (0, 1),
    "end": (0, 120),
    "zebra": (0, 120),
    "bend": (-1, 1),
    "view": (-8, 8),
    "half": (2.5, 8),
}


def parse(given: Mapping[str, Any]) -> Settings:
    """Check keyword settings; raises ValueError with a sentence which names the fault."""
    known = [field.name for field in fields(Settings)]
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"Unknown scene setting {name!r}; known are {', '.join(known)}.")
        if value is None:
            continue
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(_CHOICES[name])}, not {value!r}.")
        if name in _RANGES:
            low, high = _RANGES[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
    if given.get("end") and given["end"] < NEAREST_END:
        raise ValueError(f"end must be 0 for an open street or at least {NEAREST_END:g} metres, not {given['end']!r}.")
    wall = given.get("wall")
    if wall is not None and (not isinstance(wall, tuple) or len(wall) != 3 or not all(0 <= c <= 255 for c in wall)):
        raise ValueError(f"wall must be three numbers from 0 to 255, not {wall!r}.")
    if wall is not None and not given.get("end"):
        raise ValueError("wall needs end, the metres to where it stands.")
    actors = given.get("actors", ())
    if not isinstance(actors, (tuple, list)):
        raise ValueError(f"actors must be a tuple of scene objects, not {actors!r}.")
    actors = tuple(actors)
    for actor in actors:
        if not isinstance(actor, Actor):
            raise ValueError(f"actors must be scene objects such as Car or Walker, not {actor!r}.")
        if isinstance(actor, Car) and (actor.body not in BODIES or actor.paint not in PAINTS):
            raise ValueError(f"A car has no body {actor.body!r} in {actor.paint!r}.")
    return Settings(**{**given, "actors": actors})
