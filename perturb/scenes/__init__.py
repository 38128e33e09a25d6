"""Seeded street scenes with exact ground truth, drawn with numpy and OpenCV alone."""

from perturb.scenes.compose import Scene, draw
from perturb.scenes.labels import CLASSES

__all__ = ["CLASSES", "Scene", "draw"]
