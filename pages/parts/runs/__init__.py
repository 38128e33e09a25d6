"""Running what a page asks for."""
