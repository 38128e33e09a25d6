"""Methods by name. Built-in ones enter as anyone's would."""

from __future__ import annotations

from perturb.methods.base import Maps, Method
from perturb.methods.occlusion import Occlusion

METHODS: dict[str, Method] = {method.name: method for method in (Occlusion(),)}

__all__ = ["METHODS", "Maps", "Method"]
