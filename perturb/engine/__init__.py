"""The engine: runs perturbed images through a segmenter and reads the target's score."""
