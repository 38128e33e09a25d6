"""One house front: wall, windows, doors, shop, awning."""

from itertools import pairwise

import numpy as np

from training.scenes.canvas import Array, Colour, mix, scaled
from training.scenes.house import ACCENTS, House
from training.scenes.stage import Plane, Stage
from training.scenes.view import NEAR


class Facade:
    """Paints one front wall; coordinates u, v are metres on the wall."""

    def __init__(self, stage: Stage, house: House, rng: np.random.Generator) -> None:
        self.stage, self.house, self.rng = stage, house, rng
        if house.side:
            x = stage.street.line(house.side) + house.side * house.setback
            self.plane = Plane(np.array([x, 0.08, house.start]), np.array([0.0, 0, 1]), np.array([-house.side, 0.0, 0]))
        else:
            end = stage.street.end or 40.0
            self.plane = Plane(np.array([house.start, 0.08, end]), np.array([1.0, 0, 0]), np.array([0, 0.0, -1]))
        n = self.plane.normal
        self.normal = (float(n[0]), float(n[1]), float(n[2]))
        o, a = self.plane.origin, self.plane.along
        self._origin = (float(o[0]), float(o[1]), float(o[2]))
        self._along = (float(a[0]), float(a[1]), float(a[2]))
        gain = stage.light.gains(n)
        self.gain = (float(gain[0]), float(gain[1]), float(gain[2]))

    def z(self, u: float) -> float:
        """Distance of the wall at u."""
        return max(0.8, self._origin[2] + u * self._along[2])

    def detail(self, u: float) -> float:
        """Canvas pixels of a metre at u, the measure of how much is worth drawing."""
        return self.stage.cam.scale(self.z(u))

    def tone(self, colour: Colour, u: float, gain: float = 1.0) -> Colour:
        """``colour`` lit as this wall is."""
        g = self.gain
        lit = (colour[0] * g[0] * gain, colour[1] * g[1] * gain, colour[2] * g[2] * gain)
        return self.stage.light.air(lit, self.z(u))

    def rect(
        self, u0: float, u1: float, v0: float, v1: float, colour: Colour, out: float = 0.0, gain: float = 1.0
    ) -> None:
        """A flat rectangle on (or ``out`` metres before) the wall."""
        self.bare(u0, u1, v0, v1, self.tone(colour, (u0 + u1) / 2, gain), out)

    def bare(self, u0: float, u1: float, v0: float, v1: float, tone: Colour, out: float = 0.0) -> None:
        """A rectangle in a colour which is already lit and hazed."""
        o, a, n, cam = self._origin, self._along, self.normal, self.stage.cam
        x0, z0 = o[0] + u0 * a[0] + out * n[0], o[2] + u0 * a[2] + out * n[2]
        x1, z1 = o[0] + u1 * a[0] + out * n[0], o[2] + u1 * a[2] + out * n[2]
        if (u1 - u0 > 4 and cam.bend) or min(z0, z1) < NEAR:
            self.stage.face(self.plane.rect(u0, u1, v0, v1, out), tone)
            return
        y0, y1 = o[1] + v0, o[1] + v1
        corners = [cam.corner(x0, y0, z0), cam.corner(x0, y1, z0), cam.corner(x1, y1, z1), cam.corner(x1, y0, z1)]
        self.stage.canvas.fill_corners(corners, tone)

    def strips(self, v0: float, v1: float, colour: Colour, gain: float = 1.0) -> None:
        """The whole width in pieces, so that haze and curve follow the distance."""
        edges = np.linspace(0, self.house.width, max(2, int(self.house.width / 4) + 1))
        for u0, u1 in pairwise(edges):
            self.rect(float(u0), float(u1), v0, v1, colour, gain=gain)

    def _screen(self, u0: float, u1: float, v0: float, v1: float, out: float = 0.0) -> Array:
        return self.stage.cam.polygon(self.plane.rect(u0, u1, v0, v1, out))

    def shade(self, u0: float, u1: float, v0: float, v1: float, gain: float, soft: float = 0.0) -> None:
        """Darken a part of the wall."""
        polygon = self._screen(u0, u1, v0, v1)
        if len(polygon) >= 3:
            self.stage.canvas.shade(polygon, (gain, gain, min(1.0, gain + 0.04)), soft)

    def paint(self) -> None:
        """The whole front."""
        h, rng = self.house, self.rng
        self.strips(0, h.height, h.wall)
        self._weather()
        base = 0.0
        storey = 3.0
        if h.kind == "shop":
            base = 3.6
            self._shop()
        elif h.kind == "wall":
            self._plain()
            return
        elif h.kind == "terrace":
            base = 2.9
            self._ground_floor()
        elif h.kind in ("block", "office"):
            base = 3.6
            self._lobby()
        rows = max(1, int((h.height - base) / storey))
        storey = (h.height - base) / rows
        per = {"office": 1.9, "block": 2.5}.get(h.kind, 2.3)
        count = max(1, round(h.width / per))
        wide = {"office": 1.45, "block": 1.25}.get(h.kind, 1.0)
        balcony = h.kind == "block" and rng.random() < 0.5
        arched = h.kind in ("shop", "terrace") and rng.random() < 0.25
        for row in range(rows):
            v = base + row * storey + 0.75
            tall = min(1.65, storey - 1.15) * (1 - 0.06 * row)
            for column in range(count - 1, -1, -1):
                u = (column + 0.5) * h.width / count
                self._window(u - wide / 2, u + wide / 2, v, v + tall, arched)
                if balcony and column % 2 == row % 2:
                    self._balcony(u - wide * 0.8, u + wide * 0.8, v - 0.35)
            if h.kind != "office" and row and rng.random() < 0.6:
                self.rect(0, h.width, v - 0.62, v - 0.5, h.trim, gain=0.92)
        self.rect(0, h.width, h.height - 0.30, h.height, mix(h.wall, h.trim, 0.7), out=0.12, gain=1.05)
        self.shade(0, h.width, h.height - 0.65, h.height - 0.30, 0.72)

    def _weather(self) -> None:
        """Bricks, stains and the shade which gathers at the foot of a wall."""
        h, rng = self.house, self.rng
        if self.detail(h.width / 2) < 10:
            return
        if h.brick:
            for _ in range(int(min(110, h.width * h.height * 1.6))):
                u, v = rng.uniform(0, h.width - 0.4), rng.uniform(0, h.height - 0.2)
                if self.detail(u) > 14:
                    self.rect(u, u + 0.42, v, v + 0.14, h.wall, gain=rng.choice([0.84, 0.9, 1.1, 1.16]))
        for _ in range(5):
            u, v, w = rng.uniform(0, h.width), rng.uniform(0.5, h.height), rng.uniform(0.5, 2.0)
            self.shade(max(0, u - w), min(h.width, u + w), max(0, v - w * 1.2), min(h.height, v + w),
                       rng.choice([0.93, 0.95, 1.05]), self.detail(u) * 0.3)  # fmt: skip
        self.shade(0, h.width, 0, 0.5, 0.74, self.detail(h.width / 3) * 0.12)
        self.shade(0, h.width, 0, 2.2, 0.92, self.detail(h.width / 3) * 0.4)

    def _window(self, u0: float, u1: float, v0: float, v1: float, arched: bool = False) -> None:
        h, rng, light = self.house, self.rng, self.stage.light
        glow = light.lamps and rng.random() < 0.55
        day: Colour = mix((52, 62, 74), light.sky_top, 0.16 + 0.10 * rng.random())
        px = self.detail((u0 + u1) / 2) * (u1 - u0)
        if px < 1.5:
            return
        if glow:
            warm: Colour = ((255, 206, 122), (255, 222, 160), (250, 184, 104))[int(rng.integers(3))]
            pane = light.air(warm, self.z(u0) * 0.5)
        else:
            pane = self.tone(day, u0, 0.9 / max(0.4, float(np.mean(self.gain))) ** 0.5)
        if px > 6:
            self.rect(u0 - 0.13, u1 + 0.13, v0 - 0.1, v1 + 0.16, h.trim, gain=1.02)
            if arched:
                angle = np.linspace(0, np.pi, 9)
                middle, radius = (u0 + u1) / 2, (u1 - u0) / 2 + 0.12
                cap = self.plane.at(middle + radius * np.cos(angle), v1 + 0.15 + 0.45 * radius * np.sin(angle))
                self.stage.face(cap, self.tone(h.trim, u0))
        self.bare(u0, u1, v0, v1, pane)
        if px < 9:
            return
        low, high = v0 + (v1 - v0) * 0.12, v1
        if not glow:
            # The lower sash mirrors the pale sky, the upper one the dark reveal.
            sheen = mix(pane, light.sky_low, 0.30)
            slant = rng.uniform(0.3, 0.7)
            k = u0 + (u1 - u0) * slant
            self.stage.face(self.plane.at([u0, k, u0 + (k - u0) * 0.4, u0], [v0, v0, high, high]), sheen)
            if rng.random() < 0.45:
                drape = self.tone((226, 216, 200), u0, 0.78)
                w = (u1 - u0) * 0.2
                self.stage.face(self.plane.at([u0, u0 + w, u0 + w * 0.6, u0], [low, low, v1, v1]), drape)
                self.stage.face(self.plane.at([u1, u1 - w, u1 - w * 0.6, u1], [low, low, v1, v1]), drape)
        else:
            self.rect(u0, u0 + (u1 - u0) * 0.2, v0, v1, (214, 130, 70), gain=1.3)
            lamp = self.stage.cam.project(self.plane.at((u0 + u1) / 2, (v0 + v1) / 2))
            light.glow(lamp, px * 0.8, (255, 190, 110), 0.10)
        self.rect(u0, u1, v1 - 0.17, v1, (40, 42, 50), gain=0.9)
        if px > 14:
            frame = mix(h.trim, (255, 255, 255), 0.3)
            middle = (u0 + u1) / 2
            self.rect(middle - 0.03, middle + 0.03, v0, v1, frame, gain=0.95)
            self.rect(u0, u1, (v0 + v1) / 2 - 0.03, (v0 + v1) / 2 + 0.03, frame, gain=0.95)
        self.rect(u0 - 0.2, u1 + 0.2, v0 - 0.2, v0 - 0.06, h.trim, out=0.1, gain=1.12)
        self.rect(u0 - 0.16, u1 + 0.16, v0 - 0.34, v0 - 0.2, h.wall, gain=0.74)

    def _balcony(self, u0: float, u1: float, v: float) -> None:
        self.rect(u0, u1, v - 0.15, v + 0.02, self.house.trim, out=0.7, gain=0.8)
        self.rect(u0, u1, v + 0.02, v + 0.85, mix(self.house.accent, self.house.wall, 0.5), out=0.7, gain=0.9)
        self.shade(u0, u1, v - 0.9, v - 0.15, 0.8)

    def _door(self, u0: float, u1: float, v1: float) -> None:
        h = self.house
        self.rect(u0 - 0.16, u1 + 0.16, 0, v1 + 0.55, h.trim)
        self.rect(u0, u1, v1 + 0.06, v1 + 0.42, (70, 80, 92))
        self.rect(u0, u1, 0.12, v1, h.accent)
        if self.detail(u0) > 24:
            w = (u1 - u0) / 2
            for a in (u0 + 0.1, u0 + w + 0.05):
                for b0, b1 in ((0.3, 0.95), (1.1, v1 - 0.15)):
                    self.rect(a, a + w - 0.15, b0, b1, h.accent, gain=0.76)
            self.rect(u1 - 0.16, u1 - 0.08, 1.0, 1.1, (230, 196, 110), gain=1.2)
        self.rect(u0, u1, v1 - 0.15, v1, h.accent, gain=0.6)
        self.rect(u0 - 0.25, u1 + 0.25, 0, 0.13, (198, 192, 182), out=0.3)

    def _ground_floor(self) -> None:
        h, rng = self.house, self.rng
        self.strips(0, 0.5, h.wall, 0.78)
        door = rng.uniform(0.5, 0.9) if rng.random() < 0.5 else h.width - rng.uniform(1.6, 1.9)
        spots = np.arange(1.3, h.width - 0.8, 2.3)
        for u in spots[::-1]:
            if u + 0.7 < door - 0.1 or u - 0.7 > door + 1.1:
                self._window(float(u) - 0.6, float(u) + 0.6, 0.95, 2.45)
        self._door(door, door + 0.95, 2.1)

    def _lobby(self) -> None:
        h = self.house
        self.strips(0, 3.3, mix(h.wall, (70, 66, 66), 0.35))
        for u in np.arange(0.4, h.width - 1.8, 2.3)[::-1]:
            self._window(float(u), float(u) + 1.8, 0.5, 2.9)
        self.rect(0, h.width, 3.25, 3.5, h.trim, out=0.06)

    def _plain(self) -> None:
        h = self.house
        self.rect(0, h.width, 0, 0.55, mix(h.wall, (120, 116, 112), 0.5), gain=0.9)
        self.rect(0, h.width, h.height - 0.28, h.height, h.trim, out=0.15, gain=1.05)
        self.shade(0, h.width, h.height - 0.7, h.height - 0.28, 0.74, self.detail(1) * 0.1)

    def _shop(self) -> None:
        h, rng, light = self.house, self.rng, self.stage.light
        self.rect(0.15, h.width - 0.15, 0, 3.4, h.accent, gain=0.95)
        panes = max(2, round(h.width / 2.0))
        door = int(rng.integers(panes))
        for k in range(panes - 1, -1, -1):
            u0 = 0.3 + k * (h.width - 0.6) / panes
            u1 = u0 + (h.width - 0.6) / panes - 0.18
            low = 0.12 if k == door else 0.65
            if light.lamps:
                self.stage.face(self.plane.rect(u0, u1, low, 2.7), light.air((255, 214, 140), self.z(u0) * 0.5))
                light.glow(self.stage.cam.project(self.plane.at((u0 + u1) / 2, 1.6)), self.detail(u0) * 1.6,
                           (255, 190, 110), 0.16)  # fmt: skip
            else:
                self.rect(u0, u1, low, 2.7, mix((58, 62, 68), light.sky_low, 0.12))
            if self.detail(u0) > 16:
                for _ in range(4):
                    a = rng.uniform(u0 + 0.1, max(u0 + 0.11, u1 - 0.5))
                    item = ACCENTS[int(rng.integers(len(ACCENTS)))]
                    self.rect(a, min(u1, a + rng.uniform(0.2, 0.45)), low, low + rng.uniform(0.3, 1.1), item, gain=0.7)
                sheen = self._screen(u0, u0 + (u1 - u0) * 0.35, low, 2.7)
                if len(sheen) >= 3:
                    self.stage.canvas.glaze(sheen, light.sky_low, 0.20)
            if k == door:
                self.rect(u0, u0 + 0.09, low, 2.7, h.accent, gain=0.8)
                self.rect(u1 - 0.3, u1 - 0.22, 1.0, 1.3, (220, 210, 190))
        self.rect(0, h.width, 2.75, 3.45, h.accent, out=0.12, gain=1.08)
        self.rect(0, h.width, 3.45, 3.58, h.trim, out=0.2)
        # Lettering: a row of little blocks reads as a name without being one.
        u = h.width * rng.uniform(0.15, 0.3)
        letter = mix(h.trim, (250, 240, 210), 0.5)
        while u < h.width * 0.8 and self.detail(u) > 9:
            w = rng.uniform(0.13, 0.26)
            self.rect(u, u + w, 2.93, 3.27 - 0.08 * rng.integers(2), letter, out=0.13)
            u += w + (0.09 if rng.random() < 0.85 else 0.35)
        if rng.random() < 0.55:
            self._awning(0.2, h.width - 0.2)

    def _awning(self, u0: float, u1: float) -> None:
        h, rng = self.house, self.rng
        self.shade(u0, u1, 1.3, 2.75, 0.62)
        stripes = max(3, round((u1 - u0) / 0.5))
        other: Colour = (240, 234, 220) if rng.random() < 0.7 else h.accent
        edges = np.linspace(u0, u1, stripes + 1)
        up = np.asarray([self.normal[0] * 0.5, 0.86, self.normal[2] * 0.5])
        gain = self.stage.light.gains(up)
        for k in range(stripes - 1, -1, -1):
            a, b = float(edges[k]), float(edges[k + 1])
            colour = h.accent if k % 2 else other
            lit = self.stage.light.air(tuple(np.asarray(colour) * gain), self.z(a))
            self.stage.face(self.plane.at([a, b, b, a], [2.8, 2.8, 2.25, 2.25], [0.1, 0.1, 1.15, 1.15]), lit)
            self.stage.face(self.plane.at([a, b, b, a], [2.25, 2.25, 2.03, 2.03], 1.15), scaled(lit, 0.82))
