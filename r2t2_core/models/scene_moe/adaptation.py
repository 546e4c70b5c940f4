"""Baselines that change SceneMoE's weights: on a disposable copy, which is thrown away.

The frozen model itself is never touched; its fingerprint says so.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from r2t2_core.models.scene_moe.adapter import SceneMoeAdapter
from r2t2_core.models.scene_moe.modeling_scene_moe import SceneMoeForQuestionAnswering
from r2t2_core.types import Sample, Tensor

BATCH = 256


@dataclass(frozen=True)
class AdaptationSettings:
    """Step sizes and lengths; the defaults were the best on validation
    (`tools/choose_baselines.py`)."""

    router_epochs: int = 150
    router_step: float = 1e-3
    tent_steps: int = 1
    tent_step: float = 3e-4
    memo_step: float = 3e-4


VIEWS = 8
"""Augmented views of a picture, for MEMO."""

NORMS = (nn.BatchNorm2d, nn.LayerNorm)


class SceneMoeAdaptation:
    """Copies of a SceneMoE whose weights may change.

    Parameters
    ----------
    adapter : SceneMoeAdapter
    settings : AdaptationSettings
    """

    def __init__(
        self, adapter: SceneMoeAdapter, settings: AdaptationSettings | None = None
    ) -> None:
        self._adapter = adapter
        self._settings = settings or AdaptationSettings()

    def finetune_router(self, samples: Sequence[Sample], labels: Tensor) -> SceneMoeAdapter:
        """Train a copy's router on labelled samples, through its top-k gate.

        Raises nothing of its own; everything but the router is as it was.
        """
        model = copy.deepcopy(self._adapter.model)
        inputs, outputs = _router_inputs(self._adapter, samples)
        labels = labels.to(outputs.device)
        model.router.requires_grad_(True)
        optimiser = torch.optim.Adam(model.router.parameters(), self._settings.router_step)
        for epoch in range(self._settings.router_epochs):
            generator = torch.Generator().manual_seed(epoch)
            for rows in torch.randperm(len(labels), generator=generator).split(BATCH):
                routing = model.sparse(model.router(inputs[rows]).softmax(1))
                loss = F.cross_entropy(model.mix(outputs[rows], routing), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return SceneMoeAdapter(model, self._adapter.processor, f"{self._adapter.name}, tuned")

    def tent(self, samples: Sequence[Sample]) -> Tensor:
        """Lower the batch's entropy by the normalisations' parameters; reset for the next batch.

        Batch statistics take the place of the stored ones, as in Tent (Wang et al. 2021).
        """
        with self._disposable() as (model, optimiser):
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.train()
            for _ in range(self._settings.tent_steps):
                probabilities = _answer(model, self._adapter, samples)
                _descend(optimiser, _entropy(probabilities).mean(), self._settings.tent_step)
            with torch.no_grad():
                return _answer(model, self._adapter, samples)

    def memo(self, samples: Sequence[Sample]) -> Tensor:
        """Lower the entropy of the mean answer over views of one picture; reset for the next.

        Views differ in light, blur and a pixel or two of shift, none of which changes an answer
        (MEMO, Zhang et al. 2022).
        """
        rows = []
        for number, sample in enumerate(samples):
            with self._disposable() as (model, optimiser):
                batch = self._adapter.processor([sample.image] * VIEWS, [sample.question] * VIEWS)
                generator = torch.Generator().manual_seed(number)
                batch["pixel_values"] = _views(batch["pixel_values"], generator)
                mean = _forward(model, batch).mean(0, keepdim=True)
                _descend(optimiser, _entropy(mean).mean(), self._settings.memo_step)
                with torch.no_grad():
                    rows.append(_answer(model, self._adapter, [sample]))
        return torch.cat(rows)

    @contextmanager
    def _disposable(
        self,
    ) -> Iterator[tuple[SceneMoeForQuestionAnswering, list[nn.Parameter]]]:
        """Give a copy and those of its parameters that belong to normalisations."""
        model = copy.deepcopy(self._adapter.model)
        free = [
            parameter
            for module in model.modules()
            if isinstance(module, NORMS)
            for parameter in module.parameters(recurse=False)
        ]
        for parameter in free:
            parameter.requires_grad_(True)
        yield model, free


def _descend(parameters: list[nn.Parameter], loss: Tensor, step: float) -> None:
    """Take one signed step, as Adam's first step is, down a loss."""
    for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.data -= step * slope.sign()


def _entropy(probabilities: Tensor) -> Tensor:
    return -torch.special.xlogy(probabilities, probabilities).sum(-1)


def _answer(
    model: SceneMoeForQuestionAnswering, adapter: SceneMoeAdapter, samples: Sequence[Sample]
) -> Tensor:
    batch = adapter.processor(
        [sample.image for sample in samples], [sample.question for sample in samples]
    )
    return _forward(model, batch)


def _forward(model: SceneMoeForQuestionAnswering, batch: dict[str, Tensor]) -> Tensor:
    """Return answer probabilities (B, A) under the router's own routing."""
    device = next(model.parameters()).device
    output = model(**{name: tensor.to(device) for name, tensor in batch.items()})
    probabilities: Tensor = output.logits.softmax(-1)
    return probabilities


def _views(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Vary light, blur and place of B equal pictures (B, 3, S, S); the first stays as it is."""
    views = [pixels[0]]
    for picture in pixels[1:]:
        light = 1 + 0.2 * (2 * torch.rand(1, generator=generator) - 1)
        shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
        moved = torch.roll(((picture + 1) * light - 1).clamp(-1, 1), shift, (1, 2))
        if torch.rand(1, generator=generator) < 0.5:
            moved = F.avg_pool2d(F.pad(moved[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
        views.append(moved)
    return torch.stack(views)


@torch.no_grad()
def _router_inputs(adapter: SceneMoeAdapter, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Return what the router sees (N, D + C) and all experts' outputs (N, E, D)."""
    model, inputs, outputs = adapter.model, [], []
    for start in range(0, len(samples), BATCH):
        chosen = samples[start : start + BATCH]
        batch = adapter.processor([s.image for s in chosen], [s.question for s in chosen])
        encoded = model.encode(**{name: t.to(model.device) for name, t in batch.items()})
        inputs.append(model.router_input(encoded))
        outputs.append(model.run_experts(encoded))
    return torch.cat(inputs), torch.cat(outputs)
