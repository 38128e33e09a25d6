"""Perturbations: masks of the pixels to hide, and fills that replace them."""
