"""Runs perturbations through a segmenter and reads the target's score."""
