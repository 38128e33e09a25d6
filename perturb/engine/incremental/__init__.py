"""Incremental passes: compute only the values that a perturbation can change."""
