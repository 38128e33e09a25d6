"""Errors that a user can correct.

    PerturbError
    ├── ImageError        the image cannot be read or used
    │   └── LabelError    its ground truth holds values that are not classes
    ├── TargetError       the class or the region does not fit this image
    ├── SettingError      a method, fill or setting that does not exist, or a value out of bounds
    ├── SegmenterError    the segmenter cannot be loaded, or violated its contract
    ├── ExportError       the results cannot be written
    └── LimitError        the work is more than this server allows

Each message says in one or two sentences what is wrong, what was given, what was expected and how to correct it.
The command line prints the message and exits with 2. A page shows it and keeps everything else.
"""


class PerturbError(Exception):
    """Base class of all errors that a user can correct. Any other exception is a bug."""


class ImageError(PerturbError):
    """The image cannot be read or used."""


class LabelError(ImageError):
    """Ground truth holds values that are not classes.

    Attributes:
        values: these values, ascending.
        share: share of the pixels that hold one of them, in [0, 1].
    """

    def __init__(self, message: str, values: tuple[int, ...], share: float) -> None:
        super().__init__(message)
        self.values = values
        self.share = share


class TargetError(PerturbError):
    """The class or the region does not fit this image."""


class SettingError(PerturbError):
    """A method, fill or setting that does not exist, or a value out of its bounds."""


class SegmenterError(PerturbError):
    """The segmenter cannot be loaded, or its output violates the contract of `Segmenter`."""


class ExportError(PerturbError):
    """The results cannot be written to the given place."""


class LimitError(PerturbError):
    """The work is more than this server allows a visitor."""
