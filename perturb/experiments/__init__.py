"""Experiments of many runs: occlusion studies, comparisons, evaluations of a data set."""
