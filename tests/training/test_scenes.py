"""The drawn streets: repeatable, exactly labelled, and equal to their bundled copies."""

from functools import cache
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import training.scenes
from perturb.images.class_names import STREET_CLASSES
from perturb.images.image import digest_of
from perturb.images.samples import BUNDLED, SAMPLES, sample
from training.scenes import Scene, draw
from training.scenes.samples import COMPOSITIONS
from training.scenes.vehicles import Car

SEEDS = range(12)


@cache
def small(seed: int) -> Scene:
    """A scene at half size: the same code in a quarter of the time."""
    return draw(seed, height=180, width=240)


def test_public_names() -> None:
    found = {
        name for name, value in vars(training.scenes).items() if not (name[0] == "_" or isinstance(value, ModuleType))
    }
    assert found == set(training.scenes.__all__) == {"Scene", "draw"}
    assert len(STREET_CLASSES) == 11


def test_types_and_shapes() -> None:
    scene = draw(5)
    assert (scene.pixels.shape, scene.pixels.dtype) == ((360, 480, 3), np.uint8)
    assert (scene.classes.shape, scene.classes.dtype) == ((360, 480), np.uint8)
    assert (scene.instances.shape, scene.instances.dtype) == ((360, 480), np.int32)
    assert scene.seed == 5


def test_same_seed_same_bytes() -> None:
    again = draw(3, height=180, width=240)
    assert_array_equal(again.pixels, small(3).pixels)
    assert_array_equal(again.classes, small(3).classes)
    assert_array_equal(again.instances, small(3).instances)


def test_seeds_differ() -> None:
    assert len({small(seed).pixels.tobytes() for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_only_known_classes(seed: int) -> None:
    assert small(seed).classes.max() < len(STREET_CLASSES)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_instance_has_one_class(seed: int) -> None:
    scene = small(seed)
    things = scene.instances > 0
    pairs = np.unique(np.stack([scene.instances[things], scene.classes[things]]), axis=1)
    assert pairs.shape[1] == len(np.unique(scene.instances[things]))
    assert not np.isin(
        pairs[1], [STREET_CLASSES.index(name) for name in ("sky", "building", "road", "pavement", "fence")]
    ).any()


def test_every_class_appears() -> None:
    seen = set().union(*(np.unique(small(seed).classes).tolist() for seed in SEEDS))
    assert seen == set(range(len(STREET_CLASSES)))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (121, 333), (200, 160)])
def test_other_sizes(height: int, width: int) -> None:
    scene = draw(1, height=height, width=width)
    assert scene.pixels.shape == (height, width, 3)
    assert scene.classes.shape == scene.instances.shape == (height, width)


@pytest.mark.parametrize(
    "settings", [{"time": "dusk"}, {"weather": "rain"}, {"weather": "snow"}, {"street": "park", "season": "autumn"}]
)
def test_settings_change_the_picture(settings: dict[str, Any]) -> None:
    assert (draw(8, height=120, width=160, **settings).pixels != draw(8, height=120, width=160).pixels).any()


def test_an_actor_is_drawn_where_it_was_put() -> None:
    settings: dict[str, Any] = {
        "crowd": 0,
        "traffic": 0,
        "furniture": 0,
        "street": "terrace",
        "end": 0,
        "zebra": 0,
        "bend": 0,
        "view": 0,
    }
    empty = draw(4, **settings)
    assert not (empty.classes == STREET_CLASSES.index("car")).any()
    car = draw(4, actors=(Car(0.0, 9.0, 90.0, "saloon", "red"),), **settings).classes == STREET_CLASSES.index("car")
    rows, columns = np.nonzero(car)
    assert car.sum() > 3000
    assert 200 < columns.mean() < 280
    assert rows.min() > 100


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"time": "noonish"}, "time"),
        ({"weather": "hail"}, "weather"),
        ({"crowd": 2}, "crowd"),
        ({"crowd": "many"}, "crowd"),
        ({"height": 10}, "height"),
        ({"width": 2.5}, "width"),
        ({"planets": 3}, "planets"),
        ({"end": 5.0}, "end"),
        ({"wall": (255, 255, 255)}, "end"),
        ({"end": 20.0, "wall": (1, 2)}, "wall"),
        ({"actors": ("car",)}, "actors"),
        ({"actors": 7}, "actors"),
        ({"actors": (Car(0, 9, 0, "tractor"),)}, "tractor"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        draw(1, **settings)


@pytest.mark.parametrize("seed", [-1, 1.5, "one", True])
def test_bad_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed"):
        draw(seed)


def test_every_sample_has_its_composition() -> None:
    assert list(COMPOSITIONS) == list(SAMPLES)


@pytest.mark.parametrize("name", ["quiet-street", "dusk"])
def test_a_sample_drawn_again_has_the_digest_of_its_files(name: str) -> None:
    scene, bundled = COMPOSITIONS[name].draw(), sample(name)
    assert bundled.truth is not None
    assert digest_of(scene.pixels.astype(np.float32) / np.float32(255)) == bundled.digest
    assert digest_of(scene.classes) == digest_of(bundled.truth)


@pytest.mark.parametrize("name", list(COMPOSITIONS))
def test_bundled_files_equal_a_fresh_drawing(name: str) -> None:
    scene = COMPOSITIONS[name].draw()
    pixels = cv2.imread(str(BUNDLED / f"{name}.png"), cv2.IMREAD_COLOR)
    classes = cv2.imread(str(BUNDLED / f"{name}.classes.png"), cv2.IMREAD_UNCHANGED)
    instances = cv2.imread(str(BUNDLED / f"{name}.instances.png"), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert classes is not None
    assert instances is not None
    assert_array_equal(classes, scene.classes)
    assert_array_equal(instances, scene.instances)
    apart = np.abs(pixels[:, :, ::-1].astype(int) - scene.pixels).max(-1)
    assert (apart <= 2).mean() >= 0.999
    assert (BUNDLED / f"{name}.png").stat().st_size < 400_000
