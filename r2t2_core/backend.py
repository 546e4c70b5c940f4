"""Who answers: the engine in this process, or one behind HTTP; who asks sees no difference.

`Engine` is the implementation in this process; `r2t2_core.server.client.RemoteBackend` the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from r2t2_core.decision import Decision
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.stages import Progress
from r2t2_core.strategies.base import Params


class Backend(Protocol):
    """Answers questions before and after re-routing."""

    @property
    def address(self) -> str | None:
        """Where it is; None in this process."""

    @property
    def device(self) -> str:
        """Device in words of torch."""

    @property
    def answers(self) -> tuple[str, ...]:
        """The model's answer vocabulary."""

    @property
    def pictures(self) -> Path:
        """Folder below which the pictures of a decision's neighbours lie."""

    @property
    def default_strategy(self) -> str:
        """The strategy that validation chose."""

    @property
    def default_retrieval(self) -> RetrievalParams:
        """The retrieval that validation chose."""

    def default_parameters(self, strategy: str) -> Params:
        """Return a strategy's parameters as validation chose them."""

    def answer(
        self,
        image_bytes: bytes,
        question: str,
        *,
        retrieval: RetrievalParams | None = None,
        parameters: Mapping[str, Params] | None = None,
        strategies: Sequence[str] | None = None,
        strategy: str | None = None,
        label: str | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Decision:
        """Answer a question before and after re-routing, as `Engine.answer` does."""
