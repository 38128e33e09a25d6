"""Segmenters from ONNX files."""
