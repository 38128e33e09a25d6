"""Sun, sky and air: the one place which knows the weather and the hour."""

import math
from dataclasses import dataclass, field

import numpy as np

from training.scenes.canvas import Array, Colour, mix

TIMES = ("day", "golden", "dusk")
WEATHERS = ("sunny", "overcast", "rain", "fog", "snow")
SUNS = ("left", "right", "ahead", "behind")


Glow = tuple[Array, float, Colour, float]  # canvas point, radius in canvas pixels, colour, gain


@dataclass
class Light:
    """Colours are RGB 0..255; ``sun`` points from the ground to the sun; strengths are gains, 1 = full."""

    sun: Array
    sun_rgb: Array  # gain of a surface facing the sun
    sky_rgb: Array  # gain of a surface in the open shade
    sky_top: Colour
    sky_low: Colour
    cloud: Colour
    cloudiness: float
    haze: Colour
    haze_per_metre: float
    shadow: float  # darkness of cast shadows, 0..1
    wet: float = 0.0
    snow: float = 0.0
    lamps: bool = False
    glows: list[Glow] = field(default_factory=list)

    @property
    def shadow_gain(self) -> Colour:
        """What a cast shadow multiplies a sunlit colour by: darker, and bluer because the sky still lights it."""
        s = self.shadow
        return (1 - s, 1 - 0.93 * s, 1 - 0.80 * s)

    def gains(self, normals: Array, lit: Array | float = 1.0) -> Array:
        """Per-channel gain (..., 3) of surfaces with these unit normals (..., 3); ``lit`` 0 = in a cast shadow."""
        facing = np.maximum(normals @ self.sun, 0) * lit
        opening = 0.80 + 0.20 * normals[..., 1]
        return np.asarray(facing[..., None] * self.sun_rgb + opening[..., None] * self.sky_rgb)

    def tone(self, colour: Colour, normal: tuple[float, float, float], z: float, lit: float = 1.0) -> Colour:
        """A surface colour as it reaches the eye from ``z`` metres away."""
        gain = self.gains(np.asarray(normal, float), lit)
        return self.air((colour[0] * gain[0], colour[1] * gain[1], colour[2] * gain[2]), z)

    def veil(self, z: float) -> float:
        """Share of haze in what is seen at ``z`` metres, 0..1."""
        return 1 - math.exp(-max(z, 0.0) * self.haze_per_metre)

    def air(self, colour: Colour, z: float) -> Colour:
        """Atmospheric perspective for an already lit colour."""
        r, g, b = mix(colour, self.haze, self.veil(z))
        return (min(255.0, r), min(255.0, g), min(255.0, b))

    def glow(self, point: Array, radius: float, colour: Colour, gain: float) -> None:
        """Remember a light source; the finish adds its bloom."""
        self.glows.append((point, radius, colour, gain))


def make(rng: np.random.Generator, time: str, weather: str, sun: str) -> Light:
    """The light of one scene."""
    side = {"left": -1.0, "right": 1.0, "ahead": rng.choice([-0.35, 0.35]), "behind": rng.choice([-0.4, 0.4])}[sun]
    along = {"left": rng.uniform(-0.5, 0.35), "right": rng.uniform(-0.5, 0.35), "ahead": 1.0, "behind": -1.0}[sun]
    height = {"day": rng.uniform(0.75, 1.5), "golden": rng.uniform(0.42, 0.62), "dusk": 0.25}[time]
    direction = np.array([side, height, along])
    direction /= np.linalg.norm(direction)
    warm = {"day": (1.0, 0.95, 0.84), "golden": (1.08, 0.84, 0.56), "dusk": (0.30, 0.18, 0.16)}[time]
    cool = {"day": (0.50, 0.54, 0.63), "golden": (0.56, 0.52, 0.58), "dusk": (0.36, 0.36, 0.52)}[time]
    tops: dict[str, list[Colour]] = {
        "day": [(78, 140, 205), (96, 160, 214), (62, 120, 190), (120, 172, 210)],
        "golden": [(120, 150, 190), (140, 140, 180)],
        "dusk": [(44, 56, 104), (58, 56, 98), (36, 62, 108)],
    }
    lows: dict[str, list[Colour]] = {
        "day": [(214, 230, 238), (232, 236, 232), (205, 226, 240)],
        "golden": [(252, 214, 160), (255, 200, 150)],
        "dusk": [(236, 150, 116), (214, 140, 140), (240, 176, 120)],
    }
    light = Light(
        sun=direction,
        sun_rgb=np.array(warm) * rng.uniform(0.86, 1.0),
        sky_rgb=np.array(cool) * rng.uniform(0.98, 1.12),
        sky_top=tops[time][int(rng.integers(len(tops[time])))],
        sky_low=lows[time][int(rng.integers(len(lows[time])))],
        cloud={"day": (255, 253, 246), "golden": (255, 226, 190), "dusk": (160, 108, 128)}[time],
        cloudiness=float(rng.uniform(0.15, 0.6)),
        haze=(0.0, 0.0, 0.0),
        haze_per_metre=float(rng.uniform(0.0025, 0.006)),
        shadow={"day": 0.52, "golden": 0.50, "dusk": 0.12}[time],
        lamps=time == "dusk",
    )
    if weather != "sunny":
        grey = {"overcast": 0.75, "rain": 0.85, "fog": 0.95, "snow": 0.85}[weather]
        level = {"day": 1.0, "golden": 0.92, "dusk": 0.42}[time]
        base: Colour = {"overcast": (196, 203, 210), "rain": (168, 178, 188), "fog": (208, 211, 212)}.get(
            weather, (214, 220, 228)
        )
        flat: Colour = (base[0] * level, base[1] * level, base[2] * level)
        light.sky_top = mix(light.sky_top, mix((0, 0, 0), flat, 0.86), grey)
        light.sky_low = mix(light.sky_low, flat, grey)
        light.cloud = mix(light.cloud, mix(flat, (255, 255, 255), 0.35), 0.7 if time != "dusk" else 0.2)
        light.cloudiness = float(rng.uniform(0.6, 0.9))
        light.sun_rgb = light.sun_rgb * {"overcast": 0.30, "rain": 0.18, "fog": 0.16, "snow": 0.30}[weather]
        light.sky_rgb = (
            mix_gain(light.sky_rgb, 0.5) * {"overcast": 1.28, "rain": 1.16, "fog": 1.35, "snow": 1.35}[weather]
        )
        light.shadow *= {"overcast": 0.28, "rain": 0.18, "fog": 0.12, "snow": 0.3}[weather]
        light.wet = 1.0 if weather == "rain" else 0.0
        light.snow = 1.0 if weather == "snow" else 0.0
        light.haze_per_metre = {"overcast": 0.005, "rain": 0.011, "fog": 0.034, "snow": 0.012}[weather]
    light.haze = mix(light.sky_low, light.sky_top, 0.12)
    return light


def mix_gain(gain: Array, t: float) -> Array:
    """Take the tint out of a gain by the share ``t``."""
    return np.asarray(gain + (gain.mean() - gain) * t)
