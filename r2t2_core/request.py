"""What one person asks, before and after it was checked at the door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from r2t2_core.intake.image import IntakeImage
from r2t2_core.intake.question import IntakeQuestion
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.strategies.base import Params


@dataclass(frozen=True)
class AnswerRequest:
    """A question about a picture, as it came.

    Attributes
    ----------
    image : bytes
        A picture file as it was received.
    question : str
    retrieval : RetrievalParams or None
        How neighbours are found; what validation chose by default.
    parameters : mapping
        Strategy → parameters, where they differ from what validation chose.
    strategies : tuple of str or None
        Which strategies to run; by default all that the question allows (the oracle needs a
        label).
    strategy : str or None
        Whose answer stands as the answer after; what validation chose by default.
    label : str or None
        The right answer, where it is known.
    """

    image: bytes
    question: str
    retrieval: RetrievalParams | None = None
    parameters: Mapping[str, Params] = field(default_factory=dict)
    strategies: tuple[str, ...] | None = None
    strategy: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class ReadRequest:
    """A request whose picture was decoded and whose parameters are known to be usable.

    Attributes
    ----------
    picture : IntakeImage
    asked : IntakeQuestion
    retrieval : RetrievalParams
    parameters : mapping
        Every strategy that is to run → its parameters.
    strategy : str
        Whose answer stands as the answer after.
    label : int or None
        Place of the right answer in the model's vocabulary.
    started : datetime
        UTC.
    milliseconds : float
        What reading it took.
    cancelled : callable
        Returns True when nobody waits for the answer any more.
    """

    picture: IntakeImage
    asked: IntakeQuestion
    retrieval: RetrievalParams
    parameters: Mapping[str, Params]
    strategy: str
    label: int | None
    started: datetime
    milliseconds: float
    cancelled: Callable[[], bool] = field(default=lambda: False, compare=False)

    @property
    def draw_key(self) -> str:
        """What tells this query from others, for the random draw of the control."""
        return f"{self.picture.pixels_sha256} {self.asked.text}"

    @property
    def group(self) -> str:
        """What requests must have in common to be answered as one batch."""
        values = {name: params.model_dump_json() for name, params in self.parameters.items()}
        return f"{self.retrieval.model_dump_json()} {values} {self.label is None}"
