"""Seeded street scenes with exact ground truth, drawn with numpy and OpenCV alone."""

from training.scenes.compose import Scene, draw

__all__ = ["Scene", "draw"]
