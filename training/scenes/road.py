"""The ground: carriageway, markings, crossings, kerbs, pavements and lawns, worked out pixel by pixel.

Every ground pixel knows its place in the world, so lines and slab joints get exact coverage at any distance.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from perturb.images import class_names
from training.scenes.canvas import Array, Canvas, Colour, noise
from training.scenes.light import Light
from training.scenes.view import Camera

TILE = 512  # side of the texture tile in texels
TILE_METRES = 7.0
BAND = 32


@dataclass
class Street:
    """Plan of one scene, in metres; ``drive`` is -1 where traffic keeps left and 1 where it keeps right."""

    half: float  # half the carriageway's width
    paves: tuple[float, float]  # pavement widths, left and right
    drive: int
    cross: tuple[float, float] | None = None  # near and far edge of a side road
    zebra: tuple[float, float] | None = None
    end: float | None = None  # where a wall of houses closes the view (a T-junction in front of it)
    green: tuple[bool, bool] = (False, False)  # lawn rather than paving behind the pavement
    parking: tuple[bool, bool] = (True, True)
    slab: Colour = (176, 170, 160)
    asphalt: Colour = (98, 98, 104)
    lines: str = "dashed"
    edge: str = "none"

    def line(self, side: int) -> float:
        """The x of the building line on ``side`` (-1 left, 1 right)."""
        return side * (self.half + self.paves[(side + 1) // 2])


def _wave(value: Array, period: float) -> Array:
    """Signed distance to the nearest multiple of ``period``."""
    return np.asarray(value - period * np.rint(value / period))


def paint_ground(canvas: Canvas, cam: Camera, street: Street, light: Light, rng: np.random.Generator) -> None:
    """Fill everything below the horizon with the street's surfaces and their classes."""
    x, z, top = cam.ground(canvas.height, canvas.width)
    texture = _texture(rng)
    pens = (canvas.take(class_names.PAVEMENT), canvas.take(class_names.ROAD), canvas.take(class_names.TREE))
    # In bands of rows: the many intermediate fields then stay in the processor's cache.
    for start in range(0, len(z), BAND):
        band = slice(start, start + BAND)
        rgb, owner = _band(x[band], z[band], cam, street, light, texture, pens)
        canvas.rgb[top:][band] = rgb
        canvas.owner[top:][band] = owner


def _band(
    x: Array, z: Array, cam: Camera, street: Street, light: Light, texture: Array, pens: tuple[int, int, int]
) -> tuple[Array, Array]:
    """Colours uint8 and owners int32 of some rows of ground."""
    pixel = z / cam.focal  # metres across one canvas pixel
    pixel_z = z * z / (cam.focal * cam.eye)  # metres along the road in one canvas pixel

    def line(distance: Array, half_width: float, size: Array) -> Array:
        return np.clip((half_width - np.abs(distance)) / size + 0.5, 0, 1)

    ax = np.abs(x)
    left = x < 0
    pave = np.where(left, np.float32(street.paves[0]), np.float32(street.paves[1]))
    crossing: Array = np.zeros(z.shape, bool)
    if street.cross:
        crossing = (z > street.cross[0]) & (z < street.cross[1])
    carriage = (ax < street.half) | crossing
    if street.end is not None:
        carriage &= z < street.end - 3.0
    lawn = (ax > street.half + pave) & np.where(left, street.green[0], street.green[1]) & ~carriage

    grain = _sample(texture, x, z)
    blotch = _sample(texture, x * 0.13 + 1.7, z * 0.13)
    fade = 1 / (1 + pixel_z * 3.0)
    tone = 1 + 0.30 * grain * fade + 0.22 * blotch

    # Wheel tracks are polished lighter, gutters darker: this is what makes a grey plane read as a used road.
    track = np.cos((ax - street.half * 0.5) * (2 * np.pi / 1.55)) * np.exp(-((ax / street.half - 0.5) ** 2) * 6)
    road_value = tone * (1 + 0.05 * track) - 0.10 * line(ax - street.half, 0.35, pixel + 0.3) * ~crossing
    asphalt = np.asarray(street.asphalt, np.float32)
    rgb = road_value[:, :, None] * asphalt

    paint = _markings(x, z, ax, pixel, pixel_z, street, crossing, line)
    paint *= np.clip(0.86 + 0.75 * grain * fade, 0.35, 1)
    white = np.array([232, 230, 222], np.float32)
    rgb += (white - rgb) * paint[:, :, None]
    if street.edge == "yellow":
        band = (line(ax - street.half + 0.28, 0.05, pixel) + line(ax - street.half + 0.48, 0.05, pixel)) * ~crossing
        rgb += (np.array([214, 172, 52], np.float32) - rgb) * (np.clip(band, 0, 1) * 0.85)[:, :, None]

    slab = np.asarray(street.slab, np.float32)
    size = 0.75
    joints = np.maximum(
        line(_wave(ax - street.half, size), 0.012, pixel),
        line(_wave(z + np.floor(ax / size) * 0.37, 0.9), 0.015, pixel_z) * np.clip(1.2 - pixel_z * 1.5, 0, 1),
    )
    cell = np.sin(np.floor((ax - street.half) / size) * 12.9 + np.floor(z / 0.9) * 78.2 + left * 3.1) * 43758.5
    cell = (cell - np.floor(cell) - 0.5) * np.clip(1.3 - pixel_z, 0, 1)
    walk = (1 + 0.16 * grain * fade + 0.14 * blotch + 0.13 * cell) * (1 - 0.30 * joints)
    # The foot of walls and the inside of the kerb gather shade.
    walk *= 1 - 0.18 * np.clip(1 - np.abs(ax - street.half - pave) / 0.5, 0, 1)
    paving = walk[:, :, None] * slab
    kerb = np.sqrt(np.clip(1 - np.abs(ax - street.half - 0.09) / (0.09 + pixel), 0, 1))
    if street.cross:
        if street.end is not None:
            kerb = kerb * (z < street.cross[0])
        for edge, way in ((street.cross[0], -1), (street.cross[1], 1)):
            kerb = np.maximum(kerb, np.sqrt(np.clip(1 - np.abs((z - edge) * way - 0.09) / (0.09 + pixel_z), 0, 1)))
    kerb_stone = slab * 0.55 + np.array([200, 198, 192], np.float32) * 0.45
    notch = line(_wave(z, 1.0), 0.02, pixel_z) * np.clip(1.2 - pixel_z * 2, 0, 1)
    paving += (kerb_stone * (1 + 0.2 * grain * fade - 0.25 * notch)[:, :, None] - paving) * kerb[:, :, None]
    riser = line(ax - street.half + 0.02, 0.05, pixel) * ~crossing
    rgb *= 1 - 0.45 * riser[:, :, None]
    rgb = np.where(carriage[:, :, None], rgb, paving)
    if lawn.any():
        grass = np.array([98, 122, 62] if not light.snow else [200, 206, 212], np.float32)
        blades = 1 + 0.9 * grain * fade + 0.35 * blotch
        rgb = np.where(lawn[:, :, None], blades[:, :, None] * grass, rgb)

    if light.snow:
        cover = np.where(carriage, 0.25 + 0.5 * np.clip(0.5 - track * 0.8 + blotch * 2, 0, 1), 0.86)
        cover = np.clip(cover + 0.3 * grain * fade, 0, 1)
        rgb += (np.array([226, 231, 238], np.float32) - rgb) * cover[:, :, None]
    if light.wet:
        rgb *= 0.72
    gain = light.gains(np.array([0.0, 1.0, 0.0]))
    rgb *= gain.astype(np.float32)
    veil = (1 - np.exp(-z * light.haze_per_metre)).astype(np.float32)
    rgb += (np.asarray(light.haze, np.float32) - rgb) * veil[:, :, None]
    owner = np.full(x.shape, pens[0], np.int32)
    owner[carriage] = pens[1]
    owner[lawn] = pens[2]
    return np.clip(rgb, 0, 255).astype(np.uint8), owner


def paint_marks(canvas: Canvas, cam: Camera, street: Street, rng: np.random.Generator) -> None:
    """Mended patches and manhole covers: the small things which tell asphalt from a grey plane."""
    canvas.take(class_names.ROAD)
    for _ in range(int(rng.integers(2, 6))):
        x, z = rng.uniform(-street.half + 0.6, street.half - 1.4), rng.uniform(4, 26)
        wide, long = rng.uniform(0.5, 1.4), rng.uniform(0.8, 4.5)
        patch = cam.polygon(np.array([[x, 0, z], [x + wide, 0, z], [x + wide, 0, z + long], [x, 0, z + long]]))
        gain = float(rng.choice([0.89, 0.92, 1.06]))
        canvas.shade(patch, (gain, gain, gain), 0.0)
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    for _ in range(int(rng.integers(1, 4))):
        x, z = rng.uniform(-street.half + 0.8, street.half - 0.8), 1 / rng.uniform(1 / 30, 1 / 5)
        for radius, gain in ((0.30, 0.70), (0.26, 1.22), (0.23, 0.90)):
            ring = np.stack([x + radius * np.cos(angle), 0 * angle, z + radius * np.sin(angle)], -1)
            canvas.shade(cam.polygon(ring), (gain, gain, gain), 0.0)


def _markings(
    x: Array, z: Array, ax: Array, pixel: Array, pixel_z: Array, street: Street, crossing: Array, line: Any
) -> Array:
    """Coverage 0..1 of white paint."""
    plain = (~crossing).astype(np.float32)
    if street.end is not None:
        plain = plain * (z < street.end - 12)
    paint: Array = np.zeros_like(x)
    if street.lines in ("dashed", "long"):
        period, share = (6.0, 0.42) if street.lines == "dashed" else (4.5, 0.75)
        dash = np.clip((share * period / 2 - np.abs(_wave(z - 2.0, period))) / pixel_z + 0.5, 0, 1)
        paint = line(x, 0.065, pixel) * dash
    elif street.lines == "double":
        paint = line(x - 0.13, 0.055, pixel) + line(x + 0.13, 0.055, pixel)
    if street.edge == "white":
        paint = paint + line(ax - street.half + 2.15, 0.05, pixel) * (np.abs(_wave(z, 5.2)) < 2.4)
    paint = paint * plain
    stops = []
    if street.cross:
        stops += [(street.cross[0] - 0.6, street.drive)]
    if street.zebra:
        near, far = street.zebra
        inside = np.clip((z - near) / pixel_z + 0.5, 0, 1) * np.clip((far - z) / pixel_z + 0.5, 0, 1)
        stripes = line(_wave(x, 1.1), 0.28, pixel) * (ax < street.half - 0.15)
        paint = paint * (1 - np.clip(inside + (np.abs(z - (near + far) / 2) < (far - near) / 2 + 1.2), 0, 1))
        paint = np.maximum(paint, inside * stripes)
        stops += [(near - 1.1, street.drive)]
    for at, side in stops:
        bar = np.clip((0.16 - np.abs(z - at)) / pixel_z + 0.5, 0, 1) * (x * side > 0.15) * (ax < street.half - 0.3)
        paint = np.maximum(paint, bar)
    return np.clip(paint, 0, 1)


def _texture(rng: np.random.Generator) -> Array:
    """A tile of asphalt grain, float32 (TILE, TILE), mean 0."""
    fine = rng.normal(0, 1, (TILE, TILE)).astype(np.float32)
    coarse = np.asarray(cv2.GaussianBlur(fine, (0, 0), 2.2, borderType=cv2.BORDER_REFLECT), np.float32)
    tile = 0.22 * fine + 1.5 * coarse + 0.4 * noise(rng, TILE, TILE, 6)
    return np.asarray(tile / 2, np.float32)


def _sample(tile: Array, x: Array, z: Array) -> Array:
    texels = np.float32(TILE / TILE_METRES)
    columns = np.mod(x * texels, np.float32(TILE - 1)).astype(np.float32)
    rows = np.mod(z * texels, np.float32(TILE - 1)).astype(np.float32)
    rows = np.ascontiguousarray(np.broadcast_to(rows, columns.shape))
    return np.asarray(cv2.remap(tile, columns, rows, cv2.INTER_LINEAR))


class Shadows:
    """Soft shadows on the ground: collected as polygons first, then multiplied into the painted ground once."""

    def __init__(self, canvas: Canvas, cam: Camera, light: Light, wall: float | None) -> None:
        self.canvas, self.cam, self.light = canvas, cam, light
        self._cast = np.zeros((canvas.height, canvas.width), np.uint8)
        self._climb = np.zeros((canvas.height, canvas.width), np.uint8)
        self.wall = wall
        self._contact = np.zeros((canvas.height // 2, canvas.width // 2), np.uint8)

    def cast(self, points: Array) -> None:
        """Shadow of the convex hull of world points (N, 3), thrown along the sun on to the ground."""
        sun = self.light.sun
        reach = points[:, 1:2] / max(sun[1], 0.12)
        ground = points - reach * sun
        ground[:, 1] = 0
        if self.wall is not None and sun[2] < -0.1:
            self._cast_wall(points)
        clipped = self.cam.polygon(_hull_xz(ground))
        if len(clipped) >= 3:
            cv2.fillPoly(self._cast, [np.rint(np.clip(clipped, -9e3, 9e3) * 16).astype(np.int32)], (255,), 8, 4)

    def _cast_wall(self, points: Array) -> None:
        """The part of the same shadow which climbs the wall at the street's end."""
        sun, end = self.light.sun, float(self.wall or 0.0)
        low = end + points[:, 1] * sun[2] / max(sun[1], 0.12)
        if (points[:, 2] > low).sum() == 0 or points[:, 2].max() > end + 0.05:
            return
        reach = (points[:, 2:] - end) / sun[2]
        pixels = self.cam.project(points - reach * sun)
        outline = np.asarray(cv2.convexHull(pixels.astype(np.float32)))
        cv2.fillPoly(self._climb, [np.rint(np.clip(outline, -9e3, 9e3) * 16).astype(np.int32)], (255,), 8, 4)

    def apply_wall(self, owner: int) -> None:
        """Darken the closing wall, painted by ``owner``; call it when nothing stands before it yet."""
        if not self._climb.any():
            return
        soft = np.asarray(cv2.blur(self._climb, (5, 5)), np.float32) / 255
        soft *= self.canvas.owner == owner
        gain = 1 + soft[:, :, None] * (np.asarray(self.light.shadow_gain, np.float32) - 1)
        self.canvas.rgb[:] = (self.canvas.rgb * gain).astype(np.uint8)

    def contact(self, x: float, z: float, half_x: float, half_z: float, strength: float = 0.8) -> None:
        """Occlusion below something that touches or nearly touches the ground."""
        angle = np.linspace(0, 2 * np.pi, 17)[:-1]
        c, s = np.cos(angle), np.sin(angle)
        ring = np.stack(
            [x + half_x * np.sign(c) * np.abs(c) ** 0.6, 0 * c, z + half_z * np.sign(s) * np.abs(s) ** 0.6], -1
        )
        clipped = self.cam.polygon(ring) / 2
        if len(clipped) >= 3:
            points = np.rint(np.clip(clipped, -9e3, 9e3) * 16).astype(np.int32)
            cv2.fillPoly(self._contact, [points], (round(255 * strength),), 8, 4)

    def apply(self) -> None:
        """Darken the ground; call it before anything that stands on the ground is drawn."""
        top = max(0, int(self.cam.horizon) + 1)
        rows = self.canvas.rgb[top:].astype(np.float32)
        cast = np.asarray(cv2.blur(self._cast[top:], (5, 5)), np.float32)[:, :, None] / 255
        rows *= 1 + cast * (np.asarray(self.light.shadow_gain, np.float32) - 1)
        contact = cv2.blur(cv2.blur(self._contact, (7, 7)), (7, 7))
        contact = cv2.resize(contact, (self.canvas.width, self.canvas.height))
        dark = np.asarray(contact[top:], np.float32)[:, :, None] / 255
        rows *= 1 - 0.72 * dark
        self.canvas.rgb[top:] = rows.astype(np.uint8)


def _hull_xz(points: Array) -> Array:
    flat = points[:, [0, 2]].astype(np.float32)
    order = np.asarray(cv2.convexHull(flat, returnPoints=False))[:, 0]
    return np.asarray(points[order])
