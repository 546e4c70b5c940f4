"""Configuration of SceneMoE, the shipped multimodal mixture of experts."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

from r2t2_core.types import GateSpec, RoutingSpec

EXPERTS = ("colour", "kind", "position", "count", "text", "chart", "language")

OWNERS = {
    "colour": "colour",
    "kind": "kind",
    "existence": "kind",
    "where": "position",
    "relation": "position",
    "count": "count",
    "comparison": "count",
    "text": "text",
    "gauge": "chart",
    "chart": "chart",
}
"""Question family → the expert that the first training stage taught it to."""


DECIDING = (
    "channels", "token_size", "hidden_size", "experts", "num_experts_per_question", "answers",
    "vocab_size",
)  # fmt: skip
"""The settings on which an answer depends."""


class SceneMoeConfig(PretrainedConfig):
    """Sizes and names of a SceneMoE.

    Parameters
    ----------
    channels : int
        Channels of the stem and of the visual experts.
    token_size : int
        Size of the frozen word-piece embeddings.
    hidden_size : int
        Size of the question's encoding and of every expert's output.
    experts : sequence of str
        Names of the experts; `position`, `count` and `language` have a build of their own.
    num_experts_per_question : int
        How many experts the gate uses (its top-k).
    answers : sequence of str
        The answer vocabulary.
    vocab_size : int
        Number of word pieces.
    """

    model_type = "scene_moe"

    def __init__(
        self,
        channels: int = 56,
        token_size: int = 64,
        hidden_size: int = 128,
        experts: tuple[str, ...] | list[str] = EXPERTS,
        num_experts_per_question: int = 2,
        answers: tuple[str, ...] | list[str] = (),
        vocab_size: int = 34670,
        **kwargs: Any,
    ) -> None:
        self.channels = channels
        self.token_size = token_size
        self.hidden_size = hidden_size
        self.experts = list(experts)
        self.num_experts_per_question = num_experts_per_question
        self.answers = list(answers)
        self.vocab_size = vocab_size
        super().__init__(**kwargs)

    @property
    def routing_spec(self) -> RoutingSpec:
        """One sparse gate over all experts."""
        gate = GateSpec("experts", tuple(self.experts), self.num_experts_per_question)
        return RoutingSpec((gate,))
