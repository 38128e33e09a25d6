"""Everything that can go wrong because of what a user gave, as sentences.

    PerturbError
    ├── ImageError        the picture cannot be read or used
    │   └── LabelError    its ground truth holds values that are no class
    ├── TargetError       the class or the region does not fit this picture
    ├── SettingError      a method, fill or setting that does not exist, or is out of bounds
    ├── SegmenterError    the segmenter cannot be loaded, or broke its contract
    └── ExportError       the results cannot be written

Each message says what is wrong, what was given, what was expected and what to do, in one sentence or two.
The command line prints it and exits with 2; a page shows it and keeps everything else.
"""


class PerturbError(Exception):
    """Base of every error a user can mend. Anything else that is raised is a defect of the lab."""


class ImageError(PerturbError):
    """The picture cannot be read or used."""


class LabelError(ImageError):
    """Ground truth holds values that are no class.

    Attributes:
        values: all of them, ascending.
        share: of the pixels, in [0, 1].
    """

    def __init__(self, message: str, values: tuple[int, ...], share: float) -> None:
        super().__init__(message)
        self.values = values
        self.share = share


class TargetError(PerturbError):
    """The class or the region does not fit this picture."""


class SettingError(PerturbError):
    """A method, fill or setting that does not exist, or a value out of its bounds."""


class SegmenterError(PerturbError):
    """The segmenter cannot be loaded, or what it returned breaks the contract of `Segmenter`."""


class ExportError(PerturbError):
    """The results cannot be written where they were asked for."""
