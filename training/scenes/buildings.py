"""Houses in a row: roofs, chimneys, end walls and the shadows they throw on each other."""

from itertools import pairwise

import numpy as np

from perturb.images import class_names
from training.scenes.canvas import mix, scaled
from training.scenes.facade import Facade
from training.scenes.house import House
from training.scenes.stage import Stage


def paint_house(stage: Stage, house: House, rng: np.random.Generator) -> None:
    """Roof, visible end wall, front and the shadow which falls on it from across the street."""
    canvas, light = stage.canvas, stage.light
    canvas.take(class_names.BUILDING)
    front = Facade(stage, house, rng)
    plane, h = front.plane, house
    ridge, back = h.height + (h.depth * 0.36 if h.pitched else 0.0), h.depth
    sideways = -plane.normal
    if h.side and h.gap:
        gain = 0.96
        corners = [
            plane.at(0, v, -o) for o, v in ((0, 0), (0, h.height), (back / 2, ridge), (back, h.height), (back, 0))
        ]
        wall = light.tone(
            scaled(h.wall, gain), (0, 0, -1), front.z(0), stage.lit(float(corners[0][0]), h.start - 0.1, 3)
        )
        stage.face(np.array(corners), wall)
        for v in np.arange(1.2, h.height - 1.2, 3.0):
            for o in (2.2, 5.2):
                pane = light.air(scaled((66, 76, 90), 0.9), front.z(0))
                stage.face(np.array([plane.at(0, a, -b) for a, b in ((v, o), (v + 1.4, o), (v + 1.4, o + 1), (v, o + 1))]),
                           pane)  # fmt: skip
    if h.pitched:
        slope = np.array([-sideways[0] * 0.6, 0.8, -sideways[2] * 0.6])
        gain3 = light.gains(slope)
        tiles = mix(h.roof, (232, 236, 242), 0.85 * light.snow)
        edges = np.linspace(0, h.width, max(2, int(h.width / 4) + 1))
        for u0, u1 in pairwise(edges):
            lit = light.air(tuple(np.asarray(tiles) * gain3), front.z(float(u0)))
            quad = plane.at([u0, u1, u1, u0], [h.height, h.height, ridge, ridge], [0.25, 0.25, -back / 2, -back / 2])
            stage.face(quad, lit)
            for t in (0.25, 0.5, 0.75):
                v, o = h.height + (ridge - h.height) * t, 0.25 - (back / 2 + 0.25) * t
                stage.face(
                    plane.at([u0, u1, u1, u0], [v, v, v + 0.12, v + 0.12], [o, o, o - 0.14, o - 0.14]),
                    scaled(lit, 0.88),
                )
        for u in ([h.width * 0.1] if h.kind != "block" else []) + ([h.width * 0.85] if rng.random() < 0.4 else []):
            _chimney(stage, front, u, ridge)
    front.paint()
    _shadow_across(stage, front)


def _chimney(stage: Stage, front: Facade, u: float, ridge: float) -> None:
    plane, h = front.plane, front.house
    brick = mix(h.wall, (150, 84, 66), 0.6)
    out = -h.depth / 2 + 0.4
    quad = plane.at([u, u + 1.0, u + 1.0, u], [ridge - 1, ridge - 1, ridge + 1.1, ridge + 1.1], out)
    stage.face(quad, front.tone(brick, u))
    if h.side:
        near = np.array(
            [
                plane.at(u, v, o)
                for v, o in ((ridge - 1, out), (ridge + 1.1, out), (ridge + 1.1, out - 0.7), (ridge - 1, out - 0.7))
            ]
        )
        stage.face(near, stage.light.tone(brick, (0, 0, -1), front.z(u)))
    for k in (0.2, 0.6):
        pot = plane.at(
            [u + k, u + k + 0.22, u + k + 0.22, u + k], [ridge + 1.1, ridge + 1.1, ridge + 1.5, ridge + 1.5], out
        )
        stage.face(pot, front.tone((184, 104, 74), u))


def _shadow_across(stage: Stage, front: Facade) -> None:
    """Shadow of the roofs on the other side of the street."""
    sun, h = stage.light.sun, front.house
    if not h.side or sun[0] * h.side > -0.05:
        return
    reach = (stage.street.line(-h.side) - stage.street.line(h.side)) / sun[0]
    for side, near, far, high in stage.roofs:
        if side != -h.side:
            continue
        top = high - reach * sun[1]
        u0, u1 = near - reach * sun[2] - h.start, far - reach * sun[2] - h.start
        u0, u1 = max(u0, 0.0), min(u1, h.width)
        if top > 0.3 and u1 > u0:
            polygon = stage.cam.polygon(front.plane.rect(u0, u1, 0, min(top, h.height)))
            if len(polygon) >= 3:
                stage.canvas.shade(polygon, stage.light.shadow_gain, 1.5)
