"""Widgets: settings of a method, a region picker, a linked viewer."""
