"""Errors that a person may see: each says what was wrong and what to do about it.

The message and the remedy are message identifiers (English sentences) of the
translation catalogue, with named placeholders that are filled from `params`.
Pages translate them; `str(error)` gives the English text.
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """Base of all errors that are meant to be read by a person.

    Parameters
    ----------
    message : str
        What was wrong, in English, with `{name}` placeholders.
    remedy : str
        What to do about it, in English, with `{name}` placeholders.
    **params
        Values of the placeholders.
    """

    def __init__(self, message: str, remedy: str = "", **params: object) -> None:
        self.message = message
        self.remedy = remedy
        self.params = params
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.message} {self.remedy}".strip()
        return text.format(**self.params) if self.params else text


class ImageError(WorkbenchError):
    """The uploaded file cannot be used as a picture."""


class QuestionError(WorkbenchError):
    """The question cannot be used."""


class RoutingError(WorkbenchError):
    """A routing vector does not lie on its product of simplices, or holds NaN."""


class NeighbourhoodError(WorkbenchError):
    """No usable neighbour was found, or the neighbourhood's numbers are not finite."""


class ParameterError(WorkbenchError):
    """A parameter is unknown or out of its bounds."""


class ReferenceSetError(WorkbenchError):
    """A reference set is missing, damaged, or made with another model or embedder."""


class SuiteError(WorkbenchError):
    """A suite of labelled questions is missing, damaged, or has no usable row."""


class RunError(WorkbenchError):
    """An evaluation run cannot be begun, resumed or read."""


class AnnotationError(WorkbenchError):
    """A tag or a note cannot be kept or read."""


class ModelError(WorkbenchError):
    """The model cannot be loaded, or its weights were changed."""


class ExplanationError(WorkbenchError):
    """A decision cannot be explained here: model, reference set or picture are not its own."""


class Cancelled(WorkbenchError):  # noqa: N818 (it is no error of anybody)
    """The person who asked has cancelled the work."""
