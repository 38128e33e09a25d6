"""Fills: the values that replace hidden pixels."""
