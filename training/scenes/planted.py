"""Draw streets with a planted cue, of any seed: one car, and a small magenta board that can be put there or taken away."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from perturb.images import class_names
from perturb.images.planted import Planted
from training.scenes.compose import draw
from training.scenes.vehicle_shell import BODIES, PAINTS
from training.scenes.vehicles import Car

HEIGHT, WIDTH = 192, 256
"""Of the pictures. Small, because an explanation is hundreds of forward passes and an answer needs many scenes."""
CAR_PIXELS = (700, 8000)
"""Pixels of the car, at least and at most."""
GAP = (10, 40)
"""Pixels between the board's box and the car's box: clear of the car, and within what a logit on it depends on."""
TRAINING_SEEDS = range(300_000, 300_400)
UNSEEN_SEEDS = range(800_000, 801_000)
"""Of the streets to train the shortcut on, and of those to measure on; no street is drawn for both."""
SHORTCUT_CLASS = class_names.BICYCLIST
"""What the car is called, by the planted rule, when the board stands there."""

_MAGENTA = np.array([226.0, 28.0, 150.0])
_PALE = np.array([250.0, 214.0, 238.0])
_GROUND = (class_names.PAVEMENT, class_names.TREE)  # a lawn is drawn as part of the trees
_BEHIND = (class_names.BUILDING, class_names.ROAD, class_names.PAVEMENT, class_names.TREE, class_names.FENCE)
_NEXT = 10_000_000  # from the seed of a street without room for the board to the next one tried
_FINE = 8  # supersampling of the board's edges


def shortcut_classes(street: Planted) -> npt.NDArray[np.uint8]:
    """The truth by the planted rule, uint8 (H, W): with the board, the car's pixels are SHORTCUT_CLASS."""
    return np.where(street.thing & street.shown, np.uint8(SHORTCUT_CLASS), street.classes)


def draw_planted(seed: int, board: bool) -> Planted:
    """Draw the street of a seed, with the board or without it, 192 x 256.

    The same seed gives the same street, car and place for the board.

    Raises:
        ValueError: a seed that is no whole number from 0 to 9,999,999.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < _NEXT:
        raise ValueError(f"seed must be a whole number from 0 to {_NEXT - 1}, not {seed!r}.")
    street = _street(int(seed))
    pixels, classes = street.pixels, street.classes
    if board:
        share = street.share[:, :, None]
        pixels = np.rint(pixels * (1 - share) + street.board * share).astype(np.uint8)
        classes = np.where(street.share >= 0.5, np.uint8(class_names.SIGN), classes)
    return Planted(pixels, classes, street.share > 0, street.thing, board, seed)


@dataclass(frozen=True, eq=False)
class _Street:
    pixels: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.uint8]
    thing: npt.NDArray[np.bool_]
    board: npt.NDArray[np.float64]  # its colours (H, W, 3)
    share: npt.NDArray[np.float64]  # how much of each pixel it covers (H, W)


@lru_cache(maxsize=4)
def _street(seed: int) -> _Street:
    tried = seed
    while True:
        made = _try(tried)
        if made is not None:
            for array in (made.pixels, made.classes, made.thing):
                array.setflags(write=False)  # the cache hands them to everyone
            return made
        tried += _NEXT


def _try(seed: int) -> _Street | None:
    """The street of exactly this seed, or None if the car is hidden or there is no room for the board."""
    rng = np.random.default_rng([seed, 100])
    side = float(rng.choice([-1, 1]))
    half = float(rng.uniform(2.9, 3.8))
    car = Car(
        side * float(rng.uniform(0.2, half - 1.1)),
        float(rng.uniform(7.5, 13.0)),
        float(rng.choice([0, 180, 90, -90, 35, -35])) + float(rng.normal(0, 8)),
        str(rng.choice([body for body in BODIES if body != "bus"])),
        str(rng.choice(list(PAINTS))),
    )
    scene = draw(
        seed, height=HEIGHT, width=WIDTH, actors=(car,), half=half, bend=0, view=float(rng.uniform(-1.5, 1.5)),
        crowd=0, traffic=0, furniture=float(rng.uniform(0, 0.6)),
        time=str(rng.choice(["day", "golden"], p=[0.8, 0.2])), weather=str(rng.choice(["sunny", "overcast"])),
    )  # fmt: skip
    thing = scene.classes == class_names.CAR
    rows, columns = np.nonzero(thing)
    if (
        not CAR_PIXELS[0] <= len(rows) <= CAR_PIXELS[1]
        or min(columns.min(), WIDTH - 1 - columns.max(), HEIGHT - 1 - rows.max()) < 2
    ):
        return None
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    place = _place(rng, scene.classes, box)
    if place is None:
        return None
    share, band = _shape(*place)
    # Lit as the ground around it is, so that it belongs to the picture.
    x, foot, _, _ = place
    light = scene.pixels[max(0, foot - 6) : foot + 6, max(0, x - 8) : x + 8].mean() / 150
    gain = float(np.clip(light, 0.6, 1.05) * rng.uniform(0.9, 1.1))
    tint = _MAGENTA * gain * rng.uniform(0.93, 1.07, 3)
    board = tint + (_PALE * gain - tint) * band[:, :, None]
    return _Street(scene.pixels, scene.classes, thing, np.clip(board, 0, 255), share)


def _place(
    rng: np.random.Generator, classes: npt.NDArray[np.uint8], box: tuple[int, int, int, int]
) -> tuple[int, int, int, int] | None:
    """The board's centre column, its foot's row, its width and its height in pixels; None if there is no room."""
    metre = (np.arange(HEIGHT) - 0.47 * HEIGHT) / 1.45  # pixels of a metre on the ground of each row
    feet = np.argwhere(np.isin(classes, _GROUND) & (metre > 12)[:, None] & (metre < 34)[:, None])
    for foot, x in rng.permutation(feet)[:400].tolist():
        height = round(float(np.clip(0.95 * metre[foot], 14, 20)))
        width = max(8, round(height * 0.55))
        x0, y0, x1, y1 = x - width // 2 - 1, foot - height - 1, x + width // 2 + 2, foot + 1
        if x0 < 2 or x1 > WIDTH - 2 or foot > HEIGHT - 3:
            continue
        gap = np.hypot(max(box[0] - x1, x0 - box[2], 0), max(box[1] - y1, y0 - box[3], 0))
        if GAP[0] <= gap <= GAP[1] and np.isin(classes[y0:y1, x0:x1], _BEHIND).all():
            return x, foot, width, height
    return None


def _shape(x: int, foot: int, width: int, height: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How much of each pixel the board covers and how much of that is its pale band, in 0..1, (H, W) each."""
    layers = np.zeros((2, HEIGHT * _FINE, WIDTH * _FINE), np.uint8)
    left, right, top = x - width / 2, x + width / 2, foot - height
    plate = top + 0.68 * height

    def fill(layer: int, x0: float, y0: float, x1: float, y1: float) -> None:
        a, b, c, d = (round(v * _FINE) for v in (x0, y0, x1, y1))
        layers[layer, b:d, a:c] = 1

    fill(0, left, top, right, plate)
    fill(0, x - 1.2, plate, x + 1.2, foot)
    fill(1, left, top + 0.26 * height, right, top + 0.42 * height)
    reduced = [cv2.resize(layer.astype(np.float64), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for layer in layers]
    return np.asarray(reduced[0]), np.asarray(reduced[1])
