"""Errors that a user can cause. The message says in one line what was found, what was expected and what to do.

FacesmithError              exit code 1: the input can't be used
├── BadPicture              one image can't be read; callers skip it and continue
│   └── PictureUnavailable  the reason lies outside the file: a missing package, permissions, memory
├── BadData                 a folder, zip or table is not what the command needs
├── Unreachable             an address can't be reached now: a network error, not a damaged photo
├── BadModel                a model file is missing, damaged, not ours or of another version
├── OutputExists            an output exists, and --force was not given
├── RunBusy                 another process is training in this run folder
├── NonFiniteLoss           a loss is no longer finite
├── TrainingStopped         training found a problem and stopped, as --on-trouble requested
├── ProcessLost            another process of a training with torchrun has ended
├── MissingExtra            an optional package is not installed
└── BadOption               exit code 2: the value of an option can't be used
    └── UnknownDirection    a model has no attribute direction of this name
"""

from __future__ import annotations


class FacesmithError(Exception):
    """An error whose message tells the user what to do. Never used for our own bugs."""

    exit_code = 1


class BadPicture(FacesmithError):
    """One image can't be used. The message is a short reason that fits into a table."""


class PictureUnavailable(BadPicture):
    """One image can't be read now, for a reason outside the file. A later try may succeed."""


class BadData(FacesmithError):
    """Photos or faces are not what the command needs."""


class Unreachable(FacesmithError):
    """An address can't be reached now, or not read to its end. A later try may succeed."""


class BadModel(FacesmithError):
    """A model file can't be used."""


class OutputExists(FacesmithError):
    """An output exists already."""


class RunBusy(FacesmithError):
    """Another process is training in this run folder."""


class NonFiniteLoss(FacesmithError):
    """A loss is no longer finite. The weights were not updated with it.

    Attributes:
        cause: which loss, and its value.
    """

    def __init__(self, cause: str, advice: str) -> None:
        super().__init__(f"{cause}; {advice}")
        self.cause = cause


class TrainingStopped(FacesmithError):
    """Training found a problem and stopped, as --on-trouble requested. The run was saved."""


class ProcessLost(FacesmithError):
    """Another process of a training with torchrun has ended, or can't be reached."""


class MissingExtra(FacesmithError):
    """An optional package is not installed."""


class BadOption(FacesmithError):
    """The value of an option can't be used."""

    exit_code = 2


class UnknownDirection(BadOption, KeyError):
    """A model has no attribute direction of this name. Programs may also catch it as a KeyError."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote the message
