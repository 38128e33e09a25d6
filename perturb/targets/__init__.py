"""Targets of explanations, their scores, and the readings of each forward pass."""
