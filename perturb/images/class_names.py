"""The classes of a street scene: names, and the indices in ground truth and in the logits of the embedded
segmenters."""

from typing import Final

STREET_CLASSES: Final[tuple[str, ...]] = (
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
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(STREET_CLASSES))
