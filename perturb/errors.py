"""Everything that can go wrong because of what a user gave, as sentences.

    PerturbError
    ├── ImageError        the picture cannot be read or used
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


class TargetError(PerturbError):
    """The class or the region does not fit this picture."""


class SettingError(PerturbError):
    """A method, fill or setting that does not exist, or a value out of its bounds."""


class SegmenterError(PerturbError):
    """The segmenter cannot be loaded, or what it returned breaks the contract of `Segmenter`."""


class ExportError(PerturbError):
    """The results cannot be written where they were asked for."""
