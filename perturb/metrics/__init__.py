"""Metrics of attribution maps, and the controls that stand beside them."""
