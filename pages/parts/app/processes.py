"""The confined processes in which visitors' files are opened: those of the server, and those of one visit."""

from __future__ import annotations

import streamlit as st
import torch

from perturb.images.confined import Decoders
from perturb.lab.limits import host_limits
from perturb.segmenters.onnx.confined import ConfinedModel


@st.cache_resource(show_spinner=False)
def decoders() -> Decoders:
    """The processes that decode images and masks, shared by all visitors."""
    limits = host_limits()
    return Decoders(limits.decoder, limits.decoders)


def own_model(data: bytes, name: str) -> ConfinedModel:
    """A visitor's network, in a process of its own that ends with the visit at the latest."""
    limits = host_limits()
    model = ConfinedModel(data, name, torch.get_num_threads(), limits.model, most=limits.models)
    keep(model)
    return model


def keep(model: ConfinedModel) -> None:
    """End the network's process when this visit ends. Call it in each run: a visit that lost its connection for a
    moment has ended once already."""
    _models_of_visit().setdefault(id(model), model)


def _close(models: dict[int, ConfinedModel]) -> None:
    for model in models.values():
        model.close()


@st.cache_resource(scope="session", show_spinner=False, on_release=_close)
def _models_of_visit() -> dict[int, ConfinedModel]:
    return {}
