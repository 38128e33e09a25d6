"""Shorter ways to the same readings."""
