"""Cars as small lofted bodies: shaded panels from any side, with glass, lamps, plates and wheels."""

import numpy as np

from perturb.images import class_names
from training.scenes.canvas import Array, hull, mix
from training.scenes.stage import Stage
from training.scenes.vehicle_parts import ends, flanks, screens
from training.scenes.vehicle_shell import BODIES, PAINTS, Car, Pose, Shell
from training.scenes.view import turned


class _Painter(Pose):
    """Draws the body and the wheels of one car."""

    def body(self) -> None:
        """All panels, far ones first, shaded by sun, sky and a mirrored horizon."""
        grid = self.shell.mesh()
        a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
        quads = np.stack([a, b, c, d], 2).reshape(-1, 4, 3)
        normals = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
        centres = quads.mean(1)
        outward = (normals * (centres - (0, self.shell.belt * 0.7, 0))).sum(1)
        normals *= np.where(outward < 0, -1, 1)[:, None]
        caps = []
        for k, sign in ((0, -1.0), (-1, 1.0)):
            ring = grid[k]
            caps.append((ring, sign))
        shown = ((self.eye - centres) * normals).sum(1) > 0
        quads, normals, centres = quads[shown], normals[shown], centres[shown]
        for ring, sign in caps:
            if self.sees(ring.mean(0), (sign, 0, 0)):
                low = mix(self.paint, (30, 30, 32), 0.25)
                self.face(ring, low, (sign, 0.0, 0.0))
        order = np.argsort(-((centres - self.eye) ** 2).sum(1))
        world = self.world(quads[order])
        if world[..., 2].min() < 0.75:
            world = world[world[..., 2].min(1) > 0.75]
            order = order[: len(world)]
        colours = self._enamel(turned(normals[order], self.angle, 0, 0), centres[order])
        self.stage.canvas.fill_many(self.stage.cam.project(world), colours)

    def _enamel(self, normals: Array, centres: Array) -> Array:
        light = self.stage.light
        gain = light.gains(normals, self.lit)
        base = np.asarray(self.paint) * gain
        low = np.clip((0.5 - centres[:, 1]) / 0.3, 0, 1)[:, None]
        base = base * (1 - 0.45 * low)
        view = self.world(centres) - (self.stage.cam.x, self.stage.cam.eye, 0.0)
        view /= np.linalg.norm(view, axis=1, keepdims=True)
        cosine = (view * normals).sum(1, keepdims=True)
        mirror = view - 2 * cosine * normals
        up = mirror[:, 1:2]
        level = float(light.sky_rgb.mean()) * 1.5
        ground = np.array([70, 68, 68]) * min(1.0, level)
        sky = np.where(up > 0.45, np.asarray(light.sky_top), np.asarray(light.sky_low))
        env = np.where(up > 0.04, sky, ground)
        fresnel = 0.10 + 0.42 * (1 - np.abs(cosine)) ** 3
        shine = np.maximum((mirror * light.sun).sum(1, keepdims=True), 0) ** 24 * self.lit
        colour = base + (env - base) * fresnel + shine * light.sun_rgb * 120
        veil = light.veil(self.car.z)
        return np.asarray(np.clip(colour + (np.asarray(light.haze) - colour) * veil, 0, 255))

    def wheels_under(self) -> None:
        """Dark underside and the tyres' treads, drawn before the body."""
        shell = self.shell
        half = shell.width / 2 * 0.86
        reach = shell.length * 0.44
        floor = np.array([[a * reach, y, b * half] for a in (-1, 1) for b in (-1, 1) for y in (0.17, 0.5)])
        world = self.world(floor)
        if world[:, 2].min() > 0.75:
            self.stage.canvas.fill(hull(self.stage.cam.project(world)), self.stage.light.air((20, 20, 23), self.car.z))
        for axle in self.shell.axles:
            for hand in (-1, 1):
                rims = [self._circle(axle, hand, shell.radius, inset) for inset in (0.02, 0.22)]
                world = self.world(np.concatenate(rims))
                if world[:, 2].min() > 0.75:
                    tyre = self.stage.light.air((24, 24, 27), self.car.z)
                    self.stage.canvas.fill(hull(self.stage.cam.project(world)), tyre)

    def _circle(self, axle: float, hand: int, radius: float, inset: float, count: int = 20) -> Array:
        angle = np.linspace(0, 2 * np.pi, count + 1)[:-1]
        z = np.full(count, hand * (self.shell.width / 2 - inset))
        return np.stack(
            [axle * self.shell.length + radius * np.cos(angle), self.shell.radius + radius * np.sin(angle), z], -1
        )

    def wheels(self) -> None:
        """Arches, tyres and rims on the visible flank."""
        for hand in (-1, 1):
            if not self.sees(np.array([0, 0.3, hand * self.shell.width / 2]), (0, 0, hand)):
                continue
            normal = (0.0, 0.1, float(hand))
            for axle in self.shell.axles:
                arch = self._circle(axle, hand, self.shell.radius * 1.17, 0.0)
                arch = arch[arch[:, 1] > self.shell.sill - 0.02]
                self.face(arch, (16, 16, 18), normal)
                self.face(self._circle(axle, hand, self.shell.radius, 0.0), (36, 36, 40), normal)
                self.face(self._circle(axle, hand, self.shell.radius * 0.70, -0.01), (168, 170, 174), normal)
                self.face(self._circle(axle, hand, self.shell.radius * 0.62, -0.01), (92, 94, 100), normal)
                if self.pixels > 26:
                    start = self.rng.uniform(0, 1)
                    for k in range(5):
                        a = (k + start) * 2 * np.pi / 5
                        self._spoke(axle, hand, a, normal)
                self.face(self._circle(axle, hand, self.shell.radius * 0.17, -0.02), (190, 192, 196), normal)

    def _spoke(self, axle: float, hand: int, angle: float, normal: tuple[float, float, float]) -> None:
        r = self.shell.radius * 0.62
        c, s = np.cos(angle), np.sin(angle)
        corners = [(-0.03, 0.0), (0.03, 0.0), (0.022, 1.0), (-0.022, 1.0)]
        points = [
            [axle * self.shell.length + c * b * r - s * a, self.shell.radius + s * b * r + c * a,
             hand * (self.shell.width / 2 + 0.015)] for a, b in corners
        ]  # fmt: skip
        self.face(np.array(points), (182, 184, 188), normal)


def paint_car(stage: Stage, car: Car, rng: np.random.Generator) -> None:
    """Draw one car with its own instance id."""
    if stage.cam.scale(car.z) < 4:
        return
    stage.canvas.take(class_names.CAR, thing=True)
    painter = _Painter(stage, car, rng)
    painter.wheels_under()
    painter.body()
    screens(painter)
    flanks(painter)
    painter.wheels()
    ends(painter)


def cast_car(stage: Stage, car: Car) -> None:
    """Shadow and contact darkness of a car on the ground."""
    shell = Shell(car.body)
    angle = np.deg2rad(car.heading)
    half, reach = shell.width / 2, shell.length / 2
    lower = np.array([[a * reach, y, b * half] for a in (-0.97, 0.97) for b in (-1, 1) for y in (0.1, shell.belt)])
    cabin = np.array(
        [[t * shell.length, y, b * half * k] for t, y, k in ((shell.w0, shell.belt, 1), (shell.w1, shell.high, 0.8),
         (shell.r1, shell.high, 0.8), (shell.r0, shell.belt, 1)) for b in (-1, 1)]
    )  # fmt: skip
    if stage.lit(car.x, car.z, 0.0):
        for part in (lower, cabin):
            stage.shadows.cast(turned(part, angle, car.x, car.z))
    s, c = abs(np.sin(angle)), abs(np.cos(angle))
    stage.shadows.contact(car.x, car.z, half * c + reach * s + 0.08, half * s + reach * c + 0.08, 0.95)


__all__ = ["BODIES", "PAINTS", "Car", "cast_car", "paint_car"]
