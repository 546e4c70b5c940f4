"""SceneMoE under the contract that re-routing asks of a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from r2t2_core.errors import ModelError
from r2t2_core.i18n import N_
from r2t2_core.models.base import ModelAdaptation, Prepared
from r2t2_core.models.fingerprint import fingerprint
from r2t2_core.models.scene_moe.configuration_scene_moe import DECIDING, OWNERS
from r2t2_core.models.scene_moe.modeling_scene_moe import SceneMoeForQuestionAnswering
from r2t2_core.models.scene_moe.processing_scene_moe import (
    PREPROCESSING_VERSION,
    SceneMoeProcessor,
)
from r2t2_core.routing import project_top_k
from r2t2_core.types import RoutingSpec, Sample, Tensor


class SceneMoeAdapter:
    """A frozen SceneMoE.

    Parameters
    ----------
    model : SceneMoeForQuestionAnswering
        Put into evaluation mode, its gradients are switched off.
    processor : SceneMoeProcessor
    name : str
        Shown to people.
    """

    preprocessing_version = PREPROCESSING_VERSION

    def __init__(
        self,
        model: SceneMoeForQuestionAnswering,
        processor: SceneMoeProcessor,
        name: str = "SceneMoE v2",
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self._name = name
        tokenizer = processor.tokenizer.backend_tokenizer.to_str()
        self._tokenizer_hash = hashlib.sha256(tokenizer.encode()).digest()
        self._spec = model.config.routing_spec

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> SceneMoeAdapter:
        """Load weights (safetensors) and processor from a folder.

        Raises
        ------
        ModelError
            The folder is missing, or its files cannot be read.
        """
        if not (folder / "config.json").is_file():
            raise ModelError(
                N_("There is no model in {folder}."),
                N_("Restore the folder from the repository, or train the model again."),
                folder=str(folder),
            )
        try:
            model = SceneMoeForQuestionAnswering.from_pretrained(str(folder)).to(device)
            processor = SceneMoeProcessor.from_pretrained(folder)
        except Exception as error:
            raise ModelError(
                N_("The model in {folder} cannot be read: {reason}."),
                N_("Restore the folder from the repository, or train the model again."),
                folder=str(folder),
                reason=str(error),
            ) from error
        return cls(model, processor)

    @property
    def name(self) -> str:
        """Name and version, as shown to people."""
        return self._name

    @property
    def routing_spec(self) -> RoutingSpec:
        """One sparse gate over all experts."""
        return self._spec

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer vocabulary."""
        return tuple(self.model.config.answers)

    @property
    def specialists(self) -> Mapping[str, str]:
        """Question family → the expert that the first training stage taught it to."""
        return OWNERS

    @property
    def device(self) -> str:
        """Device in words of torch."""
        return str(next(self.model.parameters()).device)

    @property
    def dtype(self) -> str:
        """Number format of the weights."""
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")

    def prepare(self, samples: Sequence[Sample]) -> Prepared:
        """Compute expert outputs, the router's own routing and image features of B samples."""
        batch = self.processor(
            [sample.image for sample in samples], [sample.question for sample in samples]
        )
        return self.prepare_tensors(
            batch["pixel_values"], batch["input_ids"], batch["attention_mask"]
        )

    @torch.no_grad()
    def prepare_tensors(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> Prepared:
        """Do the same for what the processor gives: (B, 3, S, S), (B, L), (B, L)."""
        parameter = next(self.model.parameters())
        encoded = self.model.encode(
            pixel_values.to(parameter),
            input_ids.to(parameter.device),
            attention_mask.to(parameter.device),
        )
        features = encoded.image[:, : self.model.config.channels].flatten(2)
        return Prepared(
            self.model.run_experts(encoded),
            self.model.route(encoded),
            torch.cat([features.mean(2), features.std(2)], 1),
        )

    def answer(self, prepared: Prepared, routing: Tensor | None = None) -> Tensor:
        """Return answer probabilities (B, A) under the top-k projection of a routing (B, E)."""
        dense = prepared.routing if routing is None else routing
        with torch.no_grad():
            logits = self.model.mix(prepared.expert_outputs, project_top_k(dense, self._spec))
            return logits.softmax(-1)

    def loss(self, expert_outputs: Tensor, labels: Tensor, routing: Tensor) -> Tensor:
        """Cross-entropy under the dense mix, differentiable in the routing.

        Shapes: expert_outputs (..., E, D), labels (...), routing (..., E) → (...).
        """
        logits = self.model.mix(expert_outputs, routing)
        flat = F.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), reduction="none"
        )
        return flat.reshape(labels.shape)

    def entropy(self, expert_outputs: Tensor, routing: Tensor) -> Tensor:
        """Entropy of the answer in nats under the dense mix, differentiable in the routing.

        Shapes: expert_outputs (..., E, D), routing (..., E) → (...).
        """
        logs = self.model.mix(expert_outputs, routing).log_softmax(-1)
        return -(logs.exp() * logs).sum(-1)

    def adaptation(self) -> ModelAdaptation:
        """Return the baselines that change weights, on disposable copies."""
        # The copies are adapters themselves.
        from r2t2_core.models.scene_moe.adaptation import SceneMoeAdaptation

        return SceneMoeAdaptation(self)

    def fingerprint(self) -> str:
        """SHA-256 over every parameter and buffer, the configuration and the tokenizer."""
        config = self.model.config
        decides = {name: getattr(config, name) for name in DECIDING}
        settings = json.dumps(decides, sort_keys=True, ensure_ascii=False).encode()
        return fingerprint(self.model, settings + self._tokenizer_hash)
