"""Channel ablation and ROAD's imputation, against pytorch-grad-cam."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

import perturb
from benchmarks import contest
from benchmarks.contest import Answer, PeerMissingError, Side, Work, best_batch
from benchmarks.limits import ablation_limit
from benchmarks.subjects import Subject, street
from perturb.core.settings import check_settings
from perturb.images.image import to_tensor
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import Ranked, order_by
from perturb.segmenters.layers import layer_access

PEER = "pytorch-grad-cam"
BATCHES = (1, 2, 4, 8, 16)


def _package() -> Any:
    try:
        import pytorch_grad_cam
        import pytorch_grad_cam.metrics.road
    except ImportError as error:
        raise PeerMissingError(
            "pytorch-grad-cam is not installed; run `python -m pip install --no-deps --requirement "
            "requirements-benchmarks.txt` (without --no-deps it would replace opencv-python-headless)."
        ) from error
    return pytorch_grad_cam


def ablation_cam(subject: Subject, layer: str, part: int, floor: float | None) -> Work:
    """Every channel of a layer; the peer's first `part` channels are timed and scaled up."""
    package = _package()
    channels = _channels(subject, layer)

    @functools.cache
    def batch() -> int:
        return best_batch(lambda size: _time_peer(package, subject, layer, size, 2 * size)[1], BATCHES)

    def peer() -> Answer:
        fixed, each, drops = _time_peer(package, subject, layer, batch(), part)
        whole = np.full(channels, np.nan)
        whole[:part] = drops
        note = f"Its best batch: {batch()}; {part} of {channels} channels were timed and scaled up, compared are these."
        return Answer(whole[:part], channels, fixed + each * channels / batch(), note)

    def ours() -> Answer:
        result = perturb.explain(
            subject.image, subject.segmenter, subject.target, method="ablation-cam", layer=layer, ablation="full"
        )
        drops = (result.clean.score[0] - result.readings.score)[:part]
        return Answer(drops, channels)

    return Work(
        f"Seg-Ablation-CAM, {subject.title}, {layer}, {channels} channels",
        Side(PEER, peer, batch),
        (Side("exact", ours, floor=floor),),
        limit=lambda: ablation_limit(subject, layer),
    )


def imputation(height: int, width: int, floor: float | None) -> Work:
    """The nine pictures of a ROAD curve, without the noise: 10 … 90 % hidden, most relevant first, of a smooth map."""
    road = _package().metrics.road
    image = street(height, width)
    picture = to_tensor(image, torch.device("cpu"))
    map_ = gaussian_filter(np.random.default_rng(0).standard_normal((height, width)), 24)
    counts = np.arange(1, 10) * map_.size // 10
    hidden = Ranked(order_by(map_, 0), counts).hidden(0, 9)
    fill = make_fill(image, check_settings(FILL_SETTINGS, {"fill": "linear", "noise": 0.0}, "fill"), 0)

    def peer() -> Answer:
        imputer = road.NoisyLinearImputer(noise=0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it hands tensors to numpy in a way that will go
            return Answer(np.stack([imputer(picture, (~mask).float()).numpy() for mask in hidden]), 0)

    def ours() -> Answer:
        return Answer(fill.paint(picture, hidden, 0).numpy(), 0)

    return Work(
        f"linear imputation, {width}×{height}, nine ROAD levels",
        Side(f"{PEER} (scipy)", peer),
        (Side("exact", ours, lambda: fill.paint(picture, hidden[:1], 0), floor=floor),),
        note="No model in it.",
    )


def _channels(subject: Subject, layer: str) -> int:
    return next(
        found.shape[0] for found in layer_access(subject.segmenter).layers(subject.image) if found.name == layer
    )


def _time_peer(
    package: Any, subject: Subject, layer: str, batch: int, part: int
) -> tuple[float, float, np.ndarray[Any, Any]]:
    """Run the package on the first channels: seconds before the first batch, seconds a batch, and S − S_k, `(part,)`."""
    began: list[float] = []

    class FirstChannels(package.AblationLayer):  # type: ignore[misc, name-defined]
        """The package's layer, told to ablate the first channels only, that notes when each batch begins."""

        def activations_to_be_ablated(self, activations: Any, ratio_channels_to_ablate: float = 1.0) -> Any:  # noqa: ARG002
            self.indices = np.arange(part, dtype=np.int32)
            return self.indices

        def set_next_batch(self, *args: Any, **kwargs: Any) -> None:
            began.append(contest.clock())
            super().set_next_batch(*args, **kwargs)

    module = subject.segmenter.module
    given = subject.segmenter.prepare(subject.picture)
    start = contest.clock()
    with (
        contextlib.redirect_stderr(io.StringIO()),  # its progress bar
        torch.inference_mode(),
        package.AblationCAM(
            module, [module.get_submodule(layer)], ablation_layer=FirstChannels(), batch_size=batch
        ) as cam,
    ):
        activation = cam.activations_and_grads(given) is not None and cam.activations_and_grads.activations[0]
        weights = cam.get_cam_weights(
            given, module.get_submodule(layer), [lambda output: subject.score(output[None])[0]], activation, None
        )
        end = contest.clock()
        clean = float(subject.score(module(given))[0])
    return began[0] - start, (end - began[0]) / len(began), weights[0, :part].astype(np.float64) * clean
