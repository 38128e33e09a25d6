"""Runs of methods and other long computations."""
