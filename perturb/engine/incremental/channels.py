"""Run the sub-network downstream of a layer with one channel changed, using the linearity of convolutions.

If only channel k changes, the output of a convolution is its clean output plus the convolution of the change with the
weights of channel k alone. So the first full convolution after the layer is run once for all channels. Everything after
it is run for each channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from perturb.core.threads import cores, spread
from perturb.engine.incremental.base import Channel, Op, Step
from perturb.engine.incremental.graph import check_clean, lower_network
from perturb.engine.incremental.known import Unknown
from perturb.engine.incremental.lowering import Network
from perturb.engine.incremental.ops import Conv
from perturb.engine.incremental.reading import LowReader
from perturb.segmenters.base import Segmenter
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.targets.readings import Readings
from perturb.targets.target import Frozen

EACH = 8
"""Channels per core and batch."""

Value = Channel | Tensor | None
"""Perturbed maps: changed in one channel each, changed in all channels `(N, C, h, w)`, or not at all (None)."""


def channels(segmenter: Segmenter, image: Tensor, layer: str, frozen: Frozen, logits: Tensor | None = None) -> Channels:
    """Passes downstream of a layer with one channel changed.

    Args:
        segmenter: the segmenter.
        image: the clean image, `(3, H, W)`.
        layer: name of the layer.
        frozen: the target to read.
        logits: clean logits of the segmenter from a pass in this run, `(K, H, W)`; None to run one.

    Raises:
        Unknown: the network cannot be lowered; the message is the reason.
    """
    network = lower_network(segmenter, *image.shape[1:], keep=layer)
    if not 0 < network.places.get(layer, 0) < len(network.steps):
        raise Unknown(f"the layer '{layer}' is no step of its own")
    assert isinstance(segmenter, TorchSegmenter)
    with torch.inference_mode():
        made = Channels(network, segmenter.normalise(image[None]), network.places[layer], frozen)
        check_clean(network, made.logits, segmenter(image[None]) if logits is None else logits[None])
        return made


class Channels:
    """Passes downstream of a layer.

    Args:
        network: the lowered network.
        given: the clean image, normalised, `(1, 3, H, W)`.
        layer: index of the changed step.
        frozen: the target to read.

    Attributes:
        together: best number of channels per batch.
    """

    def __init__(self, network: Network, given: Tensor, layer: int, frozen: Frozen) -> None:
        self._network, self._layer = network, layer
        self.together = EACH * cores()
        self._clean = network.clean(given.to(network.dtype))
        self._reader = LowReader(frozen, network, self._clean[-1])
        self._base: dict[int, Tensor] = {}

    @property
    def activation(self) -> Tensor:
        """The layer's clean output, `(1, C, h, w)`; read-only."""
        return self._clean[self._layer]

    @property
    def logits(self) -> Tensor:
        """The last step's clean output, `(1, K, h, w)`; read-only."""
        return self._clean[-1]

    def read(self, index: Tensor, share: Tensor, hidden: Tensor) -> Readings:
        """Readings with a share of single channels removed.

        Args:
            index: the channels, int64 `(N,)`.
            share: share of the activation that is removed, in [0, 1]: one number, or one for each cell `(h, w)`.
            hidden: masks for the readings, `(N, H, W)`.
        """
        if self._clean[0].device.type != "cpu" or len(index) < 2:
            return self._read(index, share, hidden)
        if not self._base:
            self._read(index[:1], share, hidden[:1])  # computes the values that all channels share
        parts = torch.arange(len(index)).tensor_split(min(cores(), len(index)))
        return Readings.concatenate(spread(lambda part: self._read(index[part], share, hidden[part]), parts))

    def _read(self, index: Tensor, share: Tensor, hidden: Tensor) -> Readings:
        clean = self._clean[self._layer]
        maps = clean[0, index][:, None] * (1 - share.to(clean.dtype))
        values: dict[int, Value] = {self._layer: Channel(index, maps)}
        for at, step in enumerate(self._network.steps):
            given = [values.get(place) for place in step.inputs]
            if at > self._layer and any(value is not None for value in given):
                values[at] = self._step(at, step, given)
        last = values.get(len(self._network.steps) - 1)
        if last is None:  # the output does not depend on the layer
            last = self._clean[-1].expand(len(index), -1, -1, -1)
        return self._reader.read(self._dense(last, len(self._network.steps) - 1), hidden)

    def _step(self, at: int, step: Step, given: Sequence[Value]) -> Value:
        op = step.op
        assert op is not None
        if not any(isinstance(value, Tensor) for value in given):
            known = [self._clean[p] if v is None else v for p, v in zip(step.inputs, given, strict=True)]
            alone = op.channel(known, step.shape)
            if alone is not None:
                return alone
            if isinstance(op, Conv) and op.groups == 1 and isinstance(given[0], Channel):
                return self._less(at, op, given[0], step.inputs[0])
        return self._whole(op, given, step)

    def _whole(self, op: Op, given: Sequence[Value], step: Step) -> Tensor:
        maps = [
            self._clean[place] if value is None else self._dense(value, place)
            for value, place in zip(given, step.inputs, strict=True)
        ]
        count = max(len(each) for each in maps)
        return op(*(each if len(each) == count else each.expand(count, -1, -1, -1) for each in maps))

    def _dense(self, value: Channel | Tensor, place: int) -> Tensor:
        if isinstance(value, Tensor):
            return value
        result = self._clean[place].repeat(len(value.index), 1, 1, 1)
        result[torch.arange(len(value.index), device=result.device), value.index] = value.maps[:, 0]
        return result.contiguous(memory_format=torch.channels_last)

    def _less(self, at: int, op: Conv, one: Channel, place: int) -> Tensor:
        """The clean output of a convolution plus the contribution of the change of one channel."""
        step = self._network.steps[at]
        outputs, height, width = step.shape
        if at not in self._base:
            base = op.plain(self._clean[place], op.padding)
            self._base[at] = base.permute(0, 2, 3, 1).reshape(1, height * width, outputs).contiguous()
        count = len(one.index)
        change = one.maps - self._clean[place][0, one.index][:, None]
        around = functional.unfold(change, op.weight.shape[2:], op.dilation, op.padding, op.stride)
        weights = op.weight[:, one.index].permute(1, 2, 3, 0).reshape(count, -1, outputs)
        base = self._base[at].expand(count, -1, -1)
        output = torch.baddbmm(base, around.transpose(1, 2), weights)
        return op.finish(output.view(count, height, width, outputs).permute(0, 3, 1, 2))
