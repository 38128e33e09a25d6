"""The class names of a street scene and their indices: those of the scenes' ground truth and of `streets-unet`'s logits."""

from typing import Final

CLASSES: Final[tuple[str, ...]] = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(CLASSES))
