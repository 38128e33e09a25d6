"""Seg-Ablation-CAM: ablate the channels of a layer one by one, and add them up weighted by the drop of the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.errors import SettingError
from perturb.core.settings import Setting
from perturb.engine.incremental.channels import Channels, channels
from perturb.engine.incremental.known import ASKED, Stale, Unknown
from perturb.engine.runner import sweep
from perturb.images.image import Image
from perturb.methods.attribution import Attribution
from perturb.methods.base import Maps, Method, Outcome, Request
from perturb.segmenters.base import Segmenter
from perturb.segmenters.layers import Downstream, inside, layer_access, stretch
from perturb.targets.readings import COLUMNS, Execution, Fact, Readings

NEAR_ZERO = 0.01
"""A clean score smaller than this part of the largest change is too small to divide by."""

FEWEST = 64
"""Channels that the layer chosen by default has at least: fewer of them are little more than mixed logits."""

LAYER = Setting(
    "layer",
    "layer",
    "",
    "Name of the layer, such as decoder3 or context of streets-unet. Empty takes the last one before the logits "
    f"that has at least {FEWEST} channels.",
)
"""Which layer's channels are added up; for all methods that add up channels."""


class AblationCam(Method):
    """w_k = (S − S_k) / |S| with S_k the score when channel k is ablated; the map is Σ w_k A_k, stretched to the image.

    `score` is that sum with its sign, `positive` is ReLU(Σ w_k A_k), stretched afterwards. Both are in units of
    the layer's activation A, weighted by the part of the score that each channel is worth: how they compare with each
    other within one map says something, how large they are does not.

    One reading for each channel stands in the result's readings, in the channels' order: `score` is S_k, `lost`, `gained`
    and `iou` say what happened to the prediction; `weights` makes the w_k of them. On a head that is linear in A,
    S − S_k = h_k · (mean of A_k over R): the head's weights come back.

    A trained layer often has channels that are zero all over; they cannot change anything, and are read without a run.
    """

    name: ClassVar[str] = "ablation-cam"
    title: ClassVar[str] = "Seg-Ablation-CAM"
    summary: ClassVar[str] = (
        "Each channel of a layer is silenced in turn; the map adds up the channels by how much the score drops without them."
    )
    citation: ClassVar[str] = (
        "Gipiškis et al. 2023 (Seg-Ablation-CAM); for classifiers Desai & Ramaswamy 2020 (Ablation-CAM)"
    )
    needs: ClassVar[tuple[str, ...]] = ("layers",)
    settings: ClassVar[tuple[Setting, ...]] = (
        LAYER,
        Setting(
            "ablation",
            "choice",
            "full",
            "What happens to a channel: all of it is set to zero, it is weakened, or only its cells inside or outside the "
            "region are set to zero.",
            choices=(
                ("full", "Full"),
                ("strength", "Weakened"),
                ("foreground", "Inside the region"),
                ("background", "Outside the region"),
            ),
        ),
        Setting(
            "strength",
            "float",
            0.5,
            "How much a channel is weakened: 0 leaves it as it is, 1 sets it to zero.",
            low=0,
            high=1,
            step=0.05,
            only=("ablation", ("strength",)),
        ),
    )
    captions: ClassVar[Mapping[str, str]] = {
        "score": "The channels added up by what the score loses without each: colour marks where these channels are "
        "active, which is not always what the class needs. Red speaks for it, blue stands in its way.",
        "positive": "Only what speaks for the class: the same sum where it is above zero.",
    }

    def forwards(self, request: Request) -> int:
        """The layer's channels: each takes at most one pass of the sub-network downstream of the layer."""
        segmenter, image = request.segmenter, request.image
        channels_of = {layer.name: layer.shape[0] for layer in layer_access(segmenter).layers(image)}
        # A layer that is not listed is refused, in words, as soon as it is run.
        return channels_of.get(layer_of(request), 0)

    def run(self, request: Request) -> tuple[Readings, Outcome]:
        clean, name = request.clean, layer_of(request)
        tail, execution = _downstream(request, name)
        share, note = _ablated(request, name, tail.activation)
        live = ((tail.activation * share)[0] != 0).flatten(1).any(1).nonzero().flatten()
        readings = _ablate(request, tail, share, live)
        worth, plain = weights(clean, readings)
        maps = _maps(request, tail.activation[0], worth)
        notes = [note, "" if isinstance(tail, Channels) else tail.note]
        if plain:
            notes.append(
                f"The clean score ({clean.score[0]:.3g}) is near zero, so the channels are weighted by how much it drops, "
                "not by what part of it."
            )
        facts: dict[str, Fact] = {
            "layer": name,
            "channels": len(readings),
            "silent_channels": len(readings) - len(live),
            "unit": "activation × drop of the score" if plain else "activation × relative drop of the score",
        }
        return readings, Outcome(maps, facts, tuple(note for note in notes if note), execution=execution)


def _downstream(request: Request, name: str) -> tuple[Channels | Downstream, Execution]:
    """The sub-network downstream of a layer, run incrementally where that gives the network's own numbers."""
    segmenter, image = request.segmenter, request.image
    try:
        if request.mode == "whole":
            raise Unknown(ASKED)
        return channels(segmenter, request.input[0], name, request.frozen, request.logits), Execution("incremental")
    except Unknown as reason:
        tail = layer_access(segmenter).downstream(image, name)
        passes: Literal["downstream", "whole"] = "whole" if tail.note else "downstream"
        return tail, Execution(passes, str(reason), isinstance(reason, Stale))


def layer_of(request: Request) -> str:
    """Name of the layer that a request's settings ask for; errors as `choose`."""
    return choose(request.segmenter, request.image, str(request.settings["layer"]))


def choose(segmenter: Segmenter, image: Image, name: str = "") -> str:
    """Name of a layer: the one given, or the last before the logits with at least `FEWEST` channels.

    A layer with as many channels as there are classes is taken for logits. In a network whose layers are all narrow the
    widest of them is taken, the last of several.

    Raises:
        SettingError: no such layer, or none to choose from.
        SegmenterError: the segmenter is no torch network.
    """
    if name:
        layer_access(segmenter).check_layer(image, name)
        return name
    found = [layer for layer in layer_access(segmenter).layers(image) if layer.shape[0] != len(segmenter.classes)]
    if not found:
        raise SettingError(
            f"The segmenter '{segmenter.name}' has no layer of maps before its logits, so there is no channel to look at. "
            "Choose another segmenter, or a method that hides pixels."
        )
    return max(found, key=lambda layer: (min(layer.shape[0], FEWEST), layer.depth)).name


def weights(clean: Readings, readings: Readings) -> tuple[npt.NDArray[np.float64], bool]:
    """The weight of each channel, from the readings with it ablated.

    Args:
        clean: of the clean image; one entry.
        readings: of each channel.

    Returns:
        w_k = (S − S_k) / |S|, float64 `(C,)`; and whether S was too near zero to divide by, which leaves S − S_k.
    """
    drop = clean.score[0] - readings.score
    size = abs(float(clean.score[0]))
    plain = size <= NEAR_ZERO * float(np.abs(drop).max(initial=0.0))
    return (drop if plain else drop / size), plain


def activation(result: Attribution, channel: int) -> npt.NDArray[np.float32]:
    """The activation of one channel of a result's layer on the clean image, float32 `(h, w)`. One forward pass.

    Args:
        result: of `ablation-cam`.
        channel: 0 to `len(result.readings) − 1`.

    Raises:
        IndexError: no such channel.
    """
    if not 0 <= channel < len(result.readings):
        raise IndexError(f"There is no channel {channel}; expected 0 to {len(result.readings) - 1}.")
    name = choose(result.segmenter, result.image, str(result.settings["layer"]))
    chosen: npt.NDArray[np.float32] = layer_access(result.unchanged()).activations(result.image, name)[channel]
    return chosen


def _ablated(request: Request, name: str, values: Tensor) -> tuple[Tensor, str]:
    """Which share of an activation is ablated, in [0, 1], for each cell or for all of them; and a note."""
    settings, region = request.settings, request.frozen.region
    ablation = str(settings["ablation"])
    if ablation in ("full", "strength"):
        return torch.tensor(1.0 if ablation == "full" else float(settings["strength"]), device=values.device), ""
    height, width = values.shape[2:]
    cells = inside(request.segmenter, region, height, width)
    note = ""
    if ablation == "background":
        cells = ~cells
        if not cells.any():
            raise SettingError(
                f"The region covers all {height} × {width} cells of layer '{name}', so there is no background to ablate. "
                "Choose another ablation, or a smaller region."
            )
    elif cells.sum() * region.size > 2 * region.sum() * cells.size:
        note = (
            f"The region is smaller than the cells of layer '{name}' ({height} × {width} of them): what was ablated "
            "inside it covers more than it. A layer nearer the image has smaller cells."
        )
    return torch.from_numpy(cells.astype(np.float32)).to(values.device), note


def _ablate(request: Request, tail: Channels | Downstream, share: Tensor, live: Tensor) -> Readings:
    """Readings of every channel; channels that are not live change nothing and are read as the clean image."""
    height, width = request.frozen.region.shape
    reader, batch, progress = request.frozen.reader(live.device), request.batch, request.progress

    def read(start: int, stop: int) -> Readings:
        index = live[start:stop]
        hidden = torch.zeros((stop - start, height, width), dtype=torch.bool, device=live.device)
        if isinstance(tail, Channels):
            return tail.read(index, share, hidden)
        changed = tail.activation.repeat(stop - start, 1, 1, 1)
        changed[torch.arange(stop - start, device=live.device), index] *= 1 - share
        return reader.read(tail(changed.contiguous(memory_format=torch.channels_last)), hidden)

    columns = {name: np.repeat(getattr(request.clean, name)[:1], tail.activation.shape[1]) for name in COLUMNS}
    if len(live):
        if batch is None and isinstance(tail, Channels):
            batch = tail.together
        run = sweep(len(live), read, request.segmenter, request.frozen, batch=batch, progress=progress)
        for name in COLUMNS:
            columns[name][live.cpu().numpy()] = getattr(run, name)
    elif progress is not None:
        progress(1.0)
    return Readings(**columns)


def _maps(request: Request, values: Tensor, worth: npt.NDArray[np.float64]) -> Maps:
    total = torch.einsum("k,kyx->yx", torch.from_numpy(worth), values.cpu().double())
    maps = {"score": total, "positive": total.relu()}
    return {
        name: stretch(request.segmenter, cells, request.image.height, request.image.width).numpy().astype(np.float32)
        for name, cells in maps.items()
    }
