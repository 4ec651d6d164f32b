"""Every mistake that a user can make, as one line that says what was found, what was expected and what to do.

FacesmithError            exit code 1: something is wrong with what the user gave us
├── BadPicture            one picture can't be read; callers set it aside and go on
│   └── PictureUnavailable    another try may succeed: an extra installed, other rights, more memory
├── BadData               a folder, zip or table isn't what the verb needs
├── BadModel              a model file is damaged, foreign or of another make
├── OutputExists          an output is in the way and --force was not given
├── RunBusy               another process trains in this run folder
├── Diverged              training reached a number that is not finite
├── InTrouble             training was to stop where the doctor finds something wrong, and did
├── MissingExtra          an optional package is not installed
└── BadOption             exit code 2: an option's value can't be used
"""

from __future__ import annotations


class FacesmithError(Exception):
    """A mistake that its message explains; never our own bug."""

    exit_code = 1


class BadPicture(FacesmithError):
    """One picture can't be used. Its message is a short reason, fit for a table."""


class PictureUnavailable(BadPicture):
    """One picture can't be used, for a reason that lies outside it and may pass."""


class BadData(FacesmithError):
    """Photos or faces are not what the verb needs."""


class BadModel(FacesmithError):
    """A model file can't be opened."""


class OutputExists(FacesmithError):
    """An output is in the way."""


class RunBusy(FacesmithError):
    """Another process holds this run."""


class Diverged(FacesmithError):
    """A loss is not finite any more; the weights were not touched by it.

    Attributes:
        cause: whose loss, and what it is.
    """

    def __init__(self, cause: str, advice: str) -> None:
        super().__init__(f"{cause}; {advice}")
        self.cause = cause


class TrainingStopped(FacesmithError):
    """The doctor found something wrong, and training was asked to stop then; it is saved."""


class MissingExtra(FacesmithError):
    """An optional package is needed."""


class BadOption(FacesmithError):
    """An option's value can't be used."""

    exit_code = 2
