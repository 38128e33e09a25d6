"""Fills: what stands where pixels are hidden."""
