"""Partitions of an image into segments, and masks that hide coalitions of segments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.errors import SettingError
from perturb.core.settings import Setting, Value
from perturb.images.ground_truth import IGNORE
from perturb.images.image import Image
from perturb.perturbations.masks import Masks
from perturb.targets.target import Frozen

Labels = npt.NDArray[np.int32]

MOST = 4096
"""Largest number of segments. Feature ablation needs one forward pass for each."""

SEGMENT_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "segments",
        "choice",
        "slic",
        "The parts that are hidden as a whole: superpixels that follow the image's edges, cells of a grid, or the connected "
        "regions of the clean segmentation or of the ground truth.",
        choices=(
            ("grid", "Grid"),
            ("slic", "SLIC superpixels"),
            ("felzenszwalb", "Felzenszwalb superpixels"),
            ("regions", "Predicted regions"),
            ("truth", "Ground-truth regions"),
        ),
    ),
    Setting(
        "count",
        "int",
        50,
        "Approximate number of segments; the exact number depends on the image. More segments show more detail and need "
        "more forward passes.",
        low=1,
        high=1000,
        step=10,
        only=("segments", ("grid", "slic")),
    ),
    Setting(
        "scale",
        "float",
        500.0,
        "How different two neighbours must be to stay separate. Larger values give fewer and larger segments.",
        low=1,
        high=5000,
        step=10,
        only=("segments", ("felzenszwalb",)),
    ),
    Setting(
        "smallest",
        "int",
        200,
        "Segments with fewer pixels are merged into their neighbours. A tiny segment costs as many forward passes as a "
        "large one.",
        low=1,
        high=10_000,
        step=50,
        unit="pixels",
        only=("segments", ("felzenszwalb", "regions", "truth")),
    ),
)
"""The settings of every method that hides segments, so that a partition is the same for all of them."""


def partition(image: Image, frozen: Frozen, settings: Mapping[str, Value]) -> Labels:
    """Partition an image into segments. The last few partitions are cached.

    Sources: SLIC, Achanta et al. 2012, with scikit-image's compactness of 10; Felzenszwalb & Huttenlocher 2004.

    Args:
        image: the clean image.
        frozen: the target on this image, with the clean segmentation.
        settings: checked settings with those of `SEGMENT_SETTINGS`.

    Returns:
        The segment of each pixel, int32 `(H, W)`, read-only; all values from 0 to M − 1 occur. Regions are 8-connected;
        ground-truth pixels without a class form regions of their own.

    Raises:
        SettingError: there is no segment or there are too many, or ground truth is needed and missing.
    """
    kind = str(settings["segments"])
    source: npt.NDArray[Any] = image.pixels
    key = image.digest
    if kind == "regions":
        source = frozen.labels
    elif kind == "truth":
        if image.truth is None or not np.any(image.truth != IGNORE):
            raise SettingError(
                f"The image '{image.name}' has no ground truth, so it has no ground-truth regions; choose other segments."
            )
        source = image.truth
    if source is not image.pixels:
        key = hashlib.blake2b(np.ascontiguousarray(source).tobytes(), digest_size=16).hexdigest()
    used = {
        setting.name: settings[setting.name] for setting in SEGMENT_SETTINGS if setting.only and kind in setting.only[1]
    }
    labels = _partition(_Order(kind, tuple(used.items()), key, (image.height, image.width), source))
    if labels.max() >= MOST:
        raise SettingError(
            f"The image falls into {labels.max() + 1:,} segments, expected at most {MOST:,}; choose a larger 'smallest', "
            "or other segments."
        )
    return labels


def segment_libraries(settings: Mapping[str, Value]) -> tuple[str, ...]:
    """The distribution that computes the segments under these settings; empty for a grid."""
    return ("scikit-image",) if settings.get("segments", "grid") != "grid" else ()


def several(labels: Labels, owner: str) -> int:
    """Number of segments, for methods that compare coalitions of them.

    Raises:
        SettingError: there is only one.
    """
    segments = int(labels.max()) + 1
    if segments < 2:
        raise SettingError(
            f"{owner} compares coalitions of segments, and the whole image is a single one; expected 2 or more. "
            "Choose other segments, or settings that make them smaller."
        )
    return segments


def few_samples(samples: int, segments: int) -> tuple[str, ...]:
    """A note if there are fewer than ten samples per segment, which gives a noisy map; else empty."""
    if samples >= 10 * segments:
        return ()
    return (
        f"{samples} samples for {segments} segments are {samples / segments:.1f} each, which gives a noisy map; take at "
        f"least 10 each ({10 * segments}), or fewer segments.",
    )


class Coalitions(Masks):
    """Masks that hide whole segments: each shows one coalition of segments and hides all others.

    Args:
        labels: the segment of each pixel, int32 `(H, W)` in 0 … M − 1.
        kept: the segments that each mask shows, bool `(N, M)`.
    """

    def __init__(self, labels: Labels, kept: npt.NDArray[np.bool_]) -> None:
        self.height, self.width = labels.shape
        self.labels, self.kept = labels, kept
        self._hidden = ~kept
        self._flat = labels.ravel().astype(np.intp)

    def __len__(self) -> int:
        return len(self.kept)

    def hidden(self, start: int, stop: int) -> Tensor:
        # torch's index selection along the last axis is four times slower.
        hidden = np.take(self._hidden[start:stop], self._flat, axis=1)
        return torch.from_numpy(hidden).view(stop - start, self.height, self.width)

    def spread(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        # The same mean as in the base class, computed once per segment instead of once per pixel.
        hidden = (~self.kept).astype(np.float64)
        return self.paint(values.T @ hidden / np.maximum(hidden.sum(0), 1))

    def paint(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Map values of segments, float64 `(…, M)`, to their pixels: float32 `(…, H, W)`."""
        return np.asarray(values.astype(np.float32)[..., self.labels])


def all_coalitions(segments: int) -> npt.NDArray[np.bool_]:
    """All coalitions except the empty and the full one, bool `(2^M − 2, M)`."""
    numbers = np.arange(1, 2**segments - 1, dtype=np.int64)
    return np.asarray((numbers[:, None] >> np.arange(segments)) & 1, dtype=np.bool_)


@dataclass(frozen=True)
class _Order:
    """Cache key of a partition. The key identifies the source array, so the array itself is not compared."""

    kind: str
    used: tuple[tuple[str, Value], ...]
    key: str
    shape: tuple[int, int]
    source: npt.NDArray[Any] = field(compare=False, repr=False)


@lru_cache(maxsize=8)
def _partition(order: _Order) -> Labels:
    used, source = dict(order.used), order.source
    if order.kind == "grid":
        return _numbered(_grid(*order.shape, int(used["count"])))
    # Imported only when needed: it takes longer than the whole library.
    from skimage import measure, segmentation

    if order.kind == "slic":
        labels = segmentation.slic(source, n_segments=int(used["count"]), start_label=0, channel_axis=-1)
    elif order.kind == "felzenszwalb":
        labels = segmentation.felzenszwalb(source, scale=float(used["scale"]), min_size=int(used["smallest"]))
    else:
        parts = measure.label(source.astype(np.int32), background=-1, connectivity=2)  # type: ignore[no-untyped-call]
        labels = _join_specks(parts, int(used["smallest"]))
    return _numbered(labels)


def _numbered(labels: npt.NDArray[Any]) -> Labels:
    """The same segments, numbered from 0 without gaps."""
    whole = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    whole.setflags(write=False)  # cached, so all callers share it
    return whole


def _grid(height: int, width: int, count: int) -> npt.NDArray[np.int64]:
    """About `count` nearly square cells, whose sides differ by at most one pixel."""
    rows = min(height, max(1, round((count * height / width) ** 0.5)))
    columns = min(width, max(1, round(count / rows)))
    y, x = np.arange(height) * rows // height, np.arange(width) * columns // width
    return np.asarray(y[:, None] * columns + x)


def _join_specks(parts: npt.NDArray[Any], smallest: int) -> npt.NDArray[Any]:
    """Assign the pixels of segments with fewer than `smallest` pixels to the nearest larger segment."""
    from scipy import ndimage

    sizes = np.bincount(parts.ravel())
    specks = sizes[parts] < smallest
    if specks.all():
        raise SettingError(
            f"No segment was found: the largest region has {sizes.max()} pixels, expected 'smallest' ({smallest}) or more. "
            "Choose a smaller 'smallest' or other segments."
        )
    if not specks.any():
        return parts
    nearest = ndimage.distance_transform_edt(specks, return_distances=False, return_indices=True)
    return np.asarray(parts[tuple(nearest)])
