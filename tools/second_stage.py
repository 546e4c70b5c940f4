"""The second training stage: the language expert, then the router, over frozen experts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from r2t2_core.models.scene_moe.modeling_scene_moe import SceneMoeForQuestionAnswering
from tools.batches import Batches

Tensor = torch.Tensor

BATCH = 256

LANGUAGE_EPOCHS = 12
ROUTER_EPOCHS = 12

PENALTY = 0.1
"""Weight of the confidence penalty, in units of the answer's loss for a nat of entropy."""


@dataclass(frozen=True)
class EncodedSplit:
    """What stage 2 needs of a split: expert outputs (Q, E, D), question (Q, D), picture (Q, C)."""

    outputs: Tensor
    question: Tensor
    pooled: Tensor


@torch.no_grad()
def encode_split(model: SceneMoeForQuestionAnswering, data: Batches) -> EncodedSplit:
    """Run all experts once over a split."""
    model.eval()
    parts = []
    for index in torch.arange(len(data)).split(256):
        encoded = model.encode_shared(*data.inputs(index))
        pooled = encoded.image[:, : model.config.channels].mean((2, 3))
        parts.append((model.run_experts(encoded), encoded.question, pooled))
    return EncodedSplit(*(torch.cat(column) for column in zip(*parts, strict=True)))


def train_language(
    model: SceneMoeForQuestionAnswering,
    split: EncodedSplit,
    answer: Tensor,
    epochs: int,
    seed: int,
) -> None:
    """Teach the language expert a mix's answers, from the question alone."""
    expert = model.experts["language"]
    optimiser = torch.optim.Adam(expert.parameters(), 2e-3)
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(seed + epoch)
        for index in torch.randperm(len(answer), generator=generator).split(BATCH):
            loss = F.cross_entropy(
                model.head(model.scale(expert.out(split.question[index]))), answer[index]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    print(f"language expert: loss {loss.item():.3f}", flush=True)


def train_router(
    model: SceneMoeForQuestionAnswering,
    split: EncodedSplit,
    answer: Tensor,
    epochs: int,
    seed: int,
    penalty: float = PENALTY,
) -> None:
    """Train the router alone, through its top-k gate.

    The loss is the answer's, less `penalty` times the entropy of the dense routing weights: a
    confidence penalty (Pereyra et al. 2017). Without it the router's softmax saturates.
    """
    optimiser = torch.optim.Adam(model.router.parameters(), 1e-3)
    inputs = torch.cat([split.question, split.pooled], 1)
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(seed + epoch)
        for index in torch.randperm(len(answer), generator=generator).split(BATCH):
            dense = model.router(inputs[index]).softmax(1)
            logits = model.mix(split.outputs[index], model.sparse(dense))
            entropy = -torch.special.xlogy(dense, dense).sum(1).mean()
            loss = F.cross_entropy(logits, answer[index]) - penalty * entropy
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    print(f"router: loss {loss.item():.3f}", flush=True)


@torch.no_grad()
def speak_anew(model: SceneMoeForQuestionAnswering, split: EncodedSplit) -> None:
    """Compute the language expert's outputs of a split again, after it was trained."""
    spoken = model.scale(model.experts["language"].out(split.question))
    split.outputs[:, model.config.experts.index("language")] = spoken


@torch.no_grad()
def right_under_router(
    model: SceneMoeForQuestionAnswering, split: EncodedSplit, answer: Tensor
) -> Tensor:
    """Return which answers (Q,) are right under the router's own routing."""
    dense = model.router(torch.cat([split.question, split.pooled], 1)).softmax(1)
    return model.mix(split.outputs, model.sparse(dense)).argmax(1) == answer
