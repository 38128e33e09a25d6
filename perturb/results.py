"""What comes out: readings of single perturbations, and the result of a whole explanation."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from perturb.images import digest_of

if TYPE_CHECKING:
    from perturb.curves import Curves
    from perturb.images import Image
    from perturb.methods.base import Fact
    from perturb.segmenters.base import Segmenter
    from perturb.settings import Value
    from perturb.targets import Frozen

__version__ = "0.1.0"
STACK = ("torch", "torchvision", "onnxruntime", "numpy", "opencv-python-headless", "pillow")


@dataclass(frozen=True)
class Execution:
    """How perturbations were passed through the network.

    Attributes:
        passes: "incremental" (only what each perturbation can change), "downstream" (only what follows the changed layer) or
            "whole".
        reason: why nothing shorter was run, as a clause; empty where there is nothing shorter.
        stale: whether what was known of the network did not hold for it any more.
    """

    passes: Literal["incremental", "downstream", "whole"]
    reason: str = ""
    stale: bool = False

    @property
    def sentence(self) -> str:
        """The same for people."""
        what = {
            "incremental": "Incremental passes: only what each perturbation can change was run",
            "downstream": "Only the sub-network downstream of the layer was run",
            "whole": "Whole passes of the network were run",
        }[self.passes]
        return f"{what}{', because ' if self.reason else ''}{self.reason}."

    def as_dict(self) -> dict[str, str]:
        """What `result.json` holds."""
        return {"passes": self.passes, "reason": self.reason}


WHOLE_PASSES = Execution("whole")


@dataclass(frozen=True, eq=False)
class Readings:
    """What N perturbations did, one entry each.

    Attributes:
        score: the target's score S(x'), float64 `(N,)`, in logits, probability or IoU.
        lost: pixels of the region that were the class and are no longer, int64 `(N,)`.
        gained: pixels that were not the class and are now, int64 `(N,)`, anywhere in the picture.
        lost_hidden, gained_hidden: how many of them lie under the occluder itself, int64 `(N,)`.
        iou: of the new mask with the reference mask, float64 `(N,)` in [0, 1].
        hidden: pixels that were hidden, int64 `(N,)`.

    Lost and gained compare with the clean prediction, so that hiding nothing loses and gains nothing, also in a region
    that the segmenter gets wrong.
    """

    score: npt.NDArray[np.float64]
    lost: npt.NDArray[np.int64]
    gained: npt.NDArray[np.int64]
    lost_hidden: npt.NDArray[np.int64]
    gained_hidden: npt.NDArray[np.int64]
    iou: npt.NDArray[np.float64]
    hidden: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, key: slice | npt.NDArray[np.int64]) -> Readings:
        return Readings(**{column: getattr(self, column)[key] for column in COLUMNS})

    @staticmethod
    def concatenate(parts: Sequence[Readings]) -> Readings:
        """Readings of batches, joined in order."""
        return Readings(**{column: np.concatenate([getattr(part, column) for part in parts]) for column in COLUMNS})

    @staticmethod
    def none() -> Readings:
        """No readings, of a method that perturbs nothing."""
        numbers, counts = np.zeros(0, np.float64), np.zeros(0, np.int64)
        return Readings(numbers, counts, counts, counts, counts, numbers, counts)


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Readings))


@dataclass(eq=False)
class Result:
    """An explanation, with all it takes to make it again.

    Attributes:
        image, segmenter: what was explained.
        frozen: the target, fixed on the clean picture.
        method: the method's name.
        settings: all of its settings, the defaults too.
        seed: of everything drawn by chance.
        heatmap: the signed map, float32 `(H, W)`, in units of the target's score: how much the score drops when a pixel
            is hidden. Positive: the class needs it. Negative: it stands in the way. RISE's is a mean score in place of a
            drop, to be read from `neutral`; what a gradient method's map is in, its `facts["unit"]` says.
        maps: all maps of the method by name, float32 `(H, W)` each; `score` is the heat map, `lost` and `gained` are
            in pixels.
        clean: the readings of the clean picture; one entry.
        readings: of every perturbation; none for a method that perturbs nothing.
        forwards: pictures the segmenter was run on, the clean one included; a backward pass counts as one more.
        seconds: wall time of the run.
        notes: what a reader should know, in sentences.
        facts: the method's own numbers about the run, by name, such as how well LIME's linear model fits (`r2`).
        segments: the parts that were hidden as one, int32 `(H, W)` in 0 … M − 1; None for methods without.
        neutral: the value of the heat map that neither helps nor hinders: 0, or for a mean score (RISE) its own mean.
        magnitudes: names of the maps that are sizes without a sign, from 0 up.
        execution: how the perturbations were run.
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
    latest_curves: Curves | None = field(default=None, repr=False)
    """The curves that were computed last, by `perturb.curves`; `save` writes them."""

    @property
    def centred(self) -> npt.NDArray[np.float32]:
        """The heat map about its neutral value, so that its signs are read from 0, float32 `(H, W)`."""
        return self.heatmap - np.float32(self.neutral)

    def signed(self, name: str = "score") -> bool:
        """Whether a map has a sign, and so a colour scale about its neutral value; else it is a size from 0 up."""
        return name not in self.magnitudes

    def save(self, directory: str | Path, *, curves: bool = True) -> Path:
        """Write the heat map, overlay, curves, readings and record into a folder; all of them or nothing.

        Args:
            directory: a new folder, an empty one, or one of an earlier result, which is replaced.
            curves: whether to compute curves with their defaults if none were computed yet; without them a result has no
                `curves.csv`.

        Raises:
            ExportError: the folder holds something else, or cannot be written.
        """
        from perturb.export import save

        return save(self, directory, curves=curves)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the arrays: what `result.json` holds."""
        low, high = float(self.heatmap.min()), float(self.heatmap.max())
        record: dict[str, Any] = {
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
                "digest": self.segmenter.digest,
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
            "versions": versions(),
        }
        if self.latest_curves is not None:
            record["curves"] = self.latest_curves.as_dict()
            record["metrics"] = self.latest_curves.metrics()
            record["forwards"] += self.latest_curves.forwards
            record["seconds"] = round(self.seconds + self.latest_curves.seconds, 3)
        return record


def versions() -> dict[str, str]:
    """Versions of the lab, Python and what the numbers stand on."""
    return {
        "perturbation-lab": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in STACK},
    }
