"""Incremental passes: only what a perturbation can change is run."""
