"""`Attribution`: the result of an explanation, with everything needed to reproduce it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SegmenterError
from perturb.core.notebook import KINDS, DrawnCurves, MapView, axes_for, plot_curve, plot_map, result_html
from perturb.core.settings import Value
from perturb.core.versions import versions
from perturb.images.image import Image, digest_of
from perturb.segmenters.base import Segmenter
from perturb.targets.readings import WHOLE_PASSES, Execution, Fact, Readings
from perturb.targets.target import Frozen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {"logit": "drop in logit", "probability": "drop in probability", "iou": "drop in IoU"}
"""The unit of a map of drops, by the target's score."""


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """An attribution map of one class of one image, with everything needed to reproduce it.

    Immutable. Curves and metrics are separate objects. `perturb.save` writes it to a folder.

    Attributes:
        image, segmenter: what was explained.
        frozen: the target, fixed on the clean image.
        method: the name of the method.
        settings: all settings of the method, defaults included.
        seed: of all random draws.
        heatmap: the signed attribution map, float32 `(H, W)`, in units of the target's score: how much the score drops
            when a pixel is hidden. Positive pixels support the class, negative ones count against it. The map of RISE is
            a mean score rather than a drop, read relative to `neutral`. `facts["unit"]` is the unit for gradient methods.
        maps: all maps of the method by name, float32 `(H, W)` each. `score` is `heatmap`; `lost` and `gained` are in
            pixels.
        clean: the readings of the clean image; one entry.
        readings: of every perturbation; empty for a method that perturbs nothing.
        forwards: number of images that the segmenter was run on, the clean one included; a backward pass counts as one.
        seconds: wall time of the run.
        notes: remarks for the reader, in full sentences.
        facts: the method's own numbers about the run, by name, such as the `r2` of LIME's linear model.
        segments: the segment of each pixel, int32 `(H, W)` in 0 … M − 1; None for methods without segments.
        neutral: the value of the map that means no effect: 0, or for a mean score (RISE) the mean over all masks.
        magnitudes: names of the maps that are magnitudes: 0 or more, without a sign.
        execution: how the perturbations were run.
        segmenter_digest: digest of the segmenter at the time of the run; its module may change afterwards.
        libraries: names of the distributions that computed part of the map, besides those of every run.
    """

    image: Image
    segmenter: Segmenter
    frozen: Frozen
    method: str
    settings: dict[str, Value]
    seed: int
    heatmap: npt.NDArray[np.float32]
    maps: dict[str, npt.NDArray[np.float32]]
    clean: Readings
    readings: Readings
    forwards: int
    seconds: float
    notes: tuple[str, ...] = ()
    facts: dict[str, Fact] = field(default_factory=dict)
    segments: npt.NDArray[np.int32] | None = None
    neutral: float = 0.0
    magnitudes: frozenset[str] = frozenset()
    execution: Execution = WHOLE_PASSES
    segmenter_digest: str = ""
    libraries: tuple[str, ...] = ()

    def __repr__(self) -> str:
        low, high = float(self.heatmap.min()), float(self.heatmap.max())
        return (
            f"<Attribution: {self.method} for {self.frozen.name!r} on {self.image.name!r} by {self.segmenter.name!r}, map from "
            f"{low:+.4g} to {high:+.4g} {self.unit()}, {self.forwards} passes, {self.execution.passes}>"
        )

    def _repr_html_(self, curves: DrawnCurves | None = None) -> str:
        """For notebooks: the image, the map with its colour bar and raw range, and the curves if given."""
        return result_html(self._view(), curves)

    @overload
    def plot(self, ax: Axes | None = None, curves: None = None) -> Axes: ...

    @overload
    def plot(self, ax: Sequence[Axes] | None = None, *, curves: DrawnCurves) -> list[Axes]: ...

    def plot(self, ax: Any = None, curves: DrawnCurves | None = None) -> Axes | list[Axes]:
        """Draw the map over its image with matplotlib, and the curves beside it if given.

            result.plot()
            result.plot(curves=perturb.curves(result))

        Args:
            ax: the axes to draw on; with curves three of them (map, deletion, insertion). New ones by default.
            curves: from `perturb.curves` of this result.

        Returns:
            The axes; with curves a list of three.

        Raises:
            SettingError: the number of axes is wrong.
        """
        if curves is None:
            return plot_map(self._view(), axes_for(1, ax)[0])
        first, *others = axes_for(1 + len(KINDS), ax)
        return [
            plot_map(self._view(), first),
            *(plot_curve(curves, kind, axes) for kind, axes in zip(KINDS, others, strict=True)),
        ]

    def _view(self) -> MapView:
        return MapView(
            pixels=self.image.pixels,
            region=self.frozen.region,
            values=self.centred,
            unit=self.unit(),
            raw=(float(self.heatmap.min()), float(self.heatmap.max())),
            raw_unit=self.raw_unit(),
            signed=self.signed(),
            title=f"{self.frozen.name} on {self.image.name} by {self.segmenter.name}: {self.method}",
            notes=self.notes,
        )

    def unchanged(self) -> Segmenter:
        """The segmenter, if it is still the network that this map explains.

        Raises:
            SegmenterError: the network changed since, so its present output does not belong to this map.
        """
        self.segmenter.refresh()
        if self.segmenter.digest != self.segmenter_digest:
            raise SegmenterError(
                f"The network of segmenter '{self.segmenter.name}' has changed since this map was computed: got the digest "
                f"{self.segmenter.digest}, expected {self.segmenter_digest}. Explain the image again."
            )
        return self.segmenter

    @property
    def centred(self) -> npt.NDArray[np.float32]:
        """The map less its neutral value, so that 0 means no effect, float32 `(H, W)`."""
        return self.heatmap - np.float32(self.neutral)

    def signed(self, name: str = "score") -> bool:
        """Whether a map has a sign, and so a diverging colour scale; otherwise it is a magnitude, 0 or more."""
        return name not in self.magnitudes

    def unit(self, name: str = "score") -> str:
        """The unit of a map, for its colour bar.

        Args:
            name: of the map in `maps`.
        """
        score = self.frozen.target.score
        if name in ("lost", "gained"):
            return f"pixels {name}"
        if name == "input":
            return score  # gradient × input
        if self.neutral:
            return f"{score} above {self.neutral:.3g}"
        return str(self.facts.get("unit", UNITS[score]))

    def raw_unit(self, name: str = "score") -> str:
        """The unit of the raw values in `maps`; unlike `unit`, not relative to the neutral value.

        Args:
            name: of the map in `maps`.
        """
        return self.frozen.target.score if self.neutral and name == "score" else self.unit(name)

    def as_dict(self) -> dict[str, Any]:
        """Everything except the arrays, as plain data for JSON."""
        low, high = float(self.heatmap.min()), float(self.heatmap.max())
        return {
            "image": {
                "name": self.image.name,
                "digest": self.image.digest,
                "truth": None if self.image.truth is None else digest_of(self.image.truth),
                **({"ignore_index": list(self.image.truth_ignored)} if self.image.truth_ignored else {}),
                "width": self.image.width,
                "height": self.image.height,
                "notes": list(self.image.notes),
            },
            "segmenter": {
                "name": self.segmenter.name,
                "digest": self.segmenter_digest,
                "classes": list(self.segmenter.classes),
                "device": str(self.segmenter.device),
            },
            "target": self.frozen.as_dict(),
            "method": self.method,
            "settings": dict(self.settings),
            "seed": self.seed,
            "clean": {"score": float(self.clean.score[0]), "iou": float(self.clean.iou[0])},
            "heatmap": {
                "unit": str(self.facts.get("unit", self.frozen.target.score)),
                "min": low,
                "max": high,
                "neutral": self.neutral,
                "signed": self.signed(),
            },
            "forwards": self.forwards,
            "seconds": round(self.seconds, 3),
            "execution": self.execution.as_dict(),
            "facts": dict(self.facts),
            "notes": list(self.notes),
            "versions": versions(self.libraries),
        }
