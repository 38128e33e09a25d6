"""Puts one scene together, back to front."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.images import class_names
from training.scenes import furniture, layout, light, people, plants, population, road, sky, vehicles
from training.scenes.buildings import paint_house
from training.scenes.canvas import SUPERSAMPLE, Canvas
from training.scenes.finish import finish
from training.scenes.furniture import Bollard, Fence, Lamp, Sign, Signal
from training.scenes.house import House
from training.scenes.people import Rider, Walker
from training.scenes.plants import SEASONS, Hedge, Tree
from training.scenes.settings import Actor, Settings, parse
from training.scenes.stage import Stage
from training.scenes.vehicles import Car
from training.scenes.view import Camera

SMALLEST = 64  # pixels; below this nothing can be recognised


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn street with its exact truth.

    ``pixels`` uint8 (H, W, 3) RGB; ``classes`` uint8 (H, W), indices into STREET_CLASSES; ``instances`` int32 (H, W), 0 for
    stuff (sky, road, ...), 1.. one id for each car, pedestrian, bicyclist, pole, sign and tree.
    """

    pixels: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.int32]
    seed: int


def draw(seed: int, *, height: int = 360, width: int = 480, **settings: Any) -> Scene:
    """Draw the scene of ``seed``; ``settings`` are the fields of `Settings` (time, weather, crowd, actors, ...).

    The same seed and settings give the same bytes. Raises ValueError for settings or sizes which make no sense.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, not {seed!r}.")
    for name, size in (("height", height), ("width", width)):
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not SMALLEST <= size <= 4096:
            raise ValueError(f"{name} must be a whole number from {SMALLEST} to 4096, not {size!r}.")
    asked = parse(settings)
    # Separate streams: asking for rain must not move the houses.
    shape, view, mood, things, looks, grain = (np.random.default_rng([int(seed), k]) for k in range(6))
    street, kind = layout.plan(shape, asked)
    scene_light, season = _mood(mood, asked)
    plan = layout.Layout(street)
    layout.houses(things, plan, kind, season, asked.wall)
    amount = [float(v) for v in mood.uniform(0.15, 1.0, 3)]
    crowd = asked.crowd if asked.crowd is not None else amount[0]
    cars = asked.traffic if asked.traffic is not None else amount[1]
    poles = asked.furniture if asked.furniture is not None else amount[2]
    if cars:
        population.traffic(things, plan, cars)
    if crowd:
        population.people(things, plan, crowd)
    if poles:
        population.furniture(things, plan, poles, season)
    canvas = Canvas(height, width)
    cam = _camera(view, canvas, street, asked)
    _clear_view(plan, cam)
    for actor in asked.actors:
        plan.add(actor)

    stage = Stage(canvas, cam, scene_light, street, road.Shadows(canvas, cam, scene_light, street.end))
    stage.roofs = [(h.side, h.start, h.far, h.height) for h in plan.houses if h.side and h.setback == 0]
    sky.paint_sky(canvas, cam, scene_light, looks)
    sky.paint_skyline(canvas, cam, scene_light, looks, kind in ("suburb", "park"))
    road.paint_ground(canvas, cam, street, scene_light, looks)
    road.paint_marks(canvas, cam, street, looks)
    _shadows(stage, plan)
    _objects(stage, plan, looks)
    classes, instances = canvas.labels()
    pixels = finish(canvas.reduced(), classes, scene_light, cam.horizon / SUPERSAMPLE, grain)
    return Scene(pixels, classes, instances, int(seed))


def _mood(rng: np.random.Generator, asked: Settings) -> tuple[light.Light, str]:
    weather = str(rng.choice(light.WEATHERS, p=[0.48, 0.26, 0.12, 0.08, 0.06]))
    time = str(rng.choice(light.TIMES, p=[0.72, 0.14, 0.14]))
    sun = str(rng.choice(light.SUNS, p=[0.32, 0.32, 0.14, 0.22]))
    season = str(rng.choice(SEASONS, p=[0.25, 0.35, 0.25, 0.15]))
    weather, time, sun = asked.weather or weather, asked.time or time, asked.sun or sun
    if weather == "snow":
        season = "winter"
    return light.make(rng, time, weather, sun), asked.season or season


def _camera(rng: np.random.Generator, canvas: Canvas, street: road.Street, asked: Settings) -> Camera:
    focal = canvas.width * float(rng.uniform(0.80, 1.08))
    centre = canvas.width * float(np.clip(rng.normal(0.5, 0.09), 0.3, 0.7))
    horizon = canvas.height * float(rng.uniform(0.42, 0.54))
    own = street.drive * street.half * float(rng.uniform(0.15, 0.55))
    bend = float(rng.choice([0.0, 1.0], p=[0.6, 0.4])) * float(rng.uniform(-1, 1))
    if asked.actors:
        focal, centre, horizon = canvas.width * 0.92, canvas.width * 0.5, canvas.height * 0.47
    if street.end is not None or street.cross:
        bend = 0.0
    bend = asked.bend if asked.bend is not None else bend
    x = asked.view if asked.view is not None else own
    return Camera(focal, centre, horizon, float(rng.uniform(1.3, 1.6)), x, bend * 0.0022)


def _clear_view(plan: layout.Layout, cam: Camera) -> None:
    """Take away what would stand in or right before the camera."""
    kept = []
    for key, actor in plan.placed:
        if isinstance(actor, (Car, Walker, Rider)):
            reach = 3.6 if isinstance(actor, Car) else 2.2
            if actor.z < reach + 1.2 or (abs(actor.x - cam.x) < 1.3 and actor.z < reach + 3):
                continue
        kept.append((key, actor))
    plan.placed = _apart(kept)


def _apart(placed: list[tuple[float, Actor]]) -> list[tuple[float, Actor]]:
    """Drop cars and riders that would run into one placed before them."""
    kept: list[tuple[float, Actor]] = []
    boxes: list[tuple[float, float, float, float]] = []
    for key, actor in placed:
        if isinstance(actor, (Car, Walker, Rider)):
            long = actor.length / 2 if isinstance(actor, Car) else 0.9 if isinstance(actor, Rider) else 0.3
            wide = 0.95 if isinstance(actor, Car) else 0.4 if isinstance(actor, Rider) else 0.25
            s, c = abs(np.sin(np.deg2rad(actor.heading))), abs(np.cos(np.deg2rad(actor.heading)))
            rx, rz = wide * c + long * s, wide * s + long * c
            if any(abs(actor.x - x) < rx + ox and abs(actor.z - z) < rz + oz for x, z, ox, oz in boxes):
                continue
            boxes.append((actor.x, actor.z, rx, rz))
        kept.append((key, actor))
    return kept


def _shadows(stage: Stage, plan: layout.Layout) -> None:
    sun, street = stage.light.sun, stage.street
    side = -1 if sun[0] < 0 else 1
    for house in plan.houses:
        # Only the sunward row throws its shade into the street; the closing row does when the sun is behind it.
        if house.side == side:
            x = street.line(side) + side * house.setback
            corners = [
                (x + o * side, v, z)
                for o in (0, house.depth)
                for v in (0, house.height)
                for z in (house.start, house.far)
            ]
            stage.shadows.cast(np.array(corners))
        elif house.side == 0 and sun[2] > 0 and street.end is not None:
            corners = [(x, v, street.end) for x in (house.start, house.far) for v in (0.0, house.height)]
            stage.shadows.cast(np.array(corners))
    for _, actor in plan.placed:
        if isinstance(actor, Car):
            vehicles.cast_car(stage, actor)
        elif isinstance(actor, (Walker, Rider)):
            people.cast_person(stage, actor)
        elif isinstance(actor, Tree):
            plants.cast_tree(stage, actor)
        elif isinstance(actor, (Lamp, Bollard)):
            furniture.cast_post(stage, actor.x, actor.z, actor.height)
        elif isinstance(actor, Sign):
            furniture.cast_post(stage, actor.x, actor.z, actor.height, 0.04)
        elif isinstance(actor, Signal):
            furniture.cast_post(stage, actor.x, actor.z, 3.2)
        elif actor.far > actor.z + 0.5:
            low = 0.5 if isinstance(actor, Fence) and actor.kind == "railing" else 0.0
            points = [(actor.x, v, z) for v in (low * actor.height, actor.height) for z in (actor.z, actor.far)]
            stage.shadows.cast(np.array(points))
    stage.shadows.apply()


def _objects(stage: Stage, plan: layout.Layout, rng: np.random.Generator) -> None:
    canvas, end = stage.canvas, stage.street.end or 0.0
    # A lamp glows only if something of the object it belongs to is still seen there in the end.
    lights: list[tuple[light.Glow, int]] = []
    pens: list[tuple[int, int]] = []
    todo: list[tuple[float, House | Actor]] = [(h.far + 0.3 if h.side else end + 1.0, h) for h in plan.houses]
    todo += plan.placed
    # Each object has its own stream, so one more pedestrian does not change the cars' wheels.
    seeds = rng.integers(1 << 30, size=len(todo))
    order = sorted(range(len(todo)), key=lambda k: -todo[k][0])
    fronts = end > 0
    for k in order:
        if fronts and todo[k][0] < end:
            stage.shadows.apply_wall(stage.canvas.take(class_names.BUILDING))
            fronts = False
        thing = todo[k][1]
        own = np.random.default_rng(int(seeds[k]))
        first, lamps = canvas.owners, len(stage.light.glows)
        if isinstance(thing, House):
            paint_house(stage, thing, own)
        elif isinstance(thing, Car):
            vehicles.paint_car(stage, thing, own)
        elif isinstance(thing, Walker):
            people.paint_walker(stage, thing)
        elif isinstance(thing, Rider):
            people.paint_rider(stage, thing)
        elif isinstance(thing, Tree):
            plants.paint_tree(stage, thing)
        elif isinstance(thing, Hedge):
            plants.paint_hedge(stage, thing)
        elif isinstance(thing, Lamp):
            furniture.paint_lamp(stage, thing)
        elif isinstance(thing, Signal):
            furniture.paint_signal(stage, thing)
        elif isinstance(thing, Sign):
            furniture.paint_sign(stage, thing)
        elif isinstance(thing, Bollard):
            furniture.paint_bollard(stage, thing)
        else:
            furniture.paint_fence(stage, thing)
        lights += [(glow, first) for glow in stage.light.glows[lamps:]]
        pens += [(canvas.owners, canvas.pen)] * (len(stage.light.glows) - lamps)
    stage.light.glows = [
        glow for (glow, first), (last, pen) in zip(lights, pens, strict=True) if canvas.shows(glow[0], first, last, pen)
    ]
