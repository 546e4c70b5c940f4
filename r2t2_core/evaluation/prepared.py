"""Run strategies over a suite of labelled questions, in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.problem import build_problem
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams, Retrieved
from r2t2_core.registry import get_strategy
from r2t2_core.strategies.base import Params

BATCH = 500


@dataclass(frozen=True)
class PreparedSuite:
    """Labelled questions whose routing-independent part is computed.

    Attributes
    ----------
    name : str
    prepared : Prepared
        N queries.
    embeddings : ndarray (N, d), float32
        Task embeddings, of unit length.
    labels : Tensor (N,), int64
    families : ndarray (N,) of str
    """

    name: str
    prepared: Prepared
    embeddings: np.ndarray
    labels: torch.Tensor
    families: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: slice) -> Prepared:
        """Return some rows of what was prepared."""
        return Prepared(
            self.prepared.expert_outputs[chosen],
            self.prepared.routing[chosen],
            self.prepared.image_features[chosen],
        )


def run_suite(
    model: ModelAdapter,
    index: ReferenceIndex,
    suite: PreparedSuite,
    retrieval: RetrievalParams,
    parameters: Mapping[str, Params],
) -> dict[str, np.ndarray]:
    """Return right/wrong (N,), bool, of every strategy in `parameters`, and of `base`.

    The oracle sees the labels; the others do not.
    """
    right: dict[str, list[np.ndarray]] = {name: [] for name in ("base", *parameters)}
    for start in range(0, len(suite), BATCH):
        chosen = slice(start, min(start + BATCH, len(suite)))
        prepared, labels = suite.rows(chosen), suite.labels[chosen]
        found = find(index, suite, chosen, retrieval)
        problem = build_problem(model, prepared, index, found, retrieval.policy, labels)
        right["base"].append(_is_right(model.answer(prepared), labels))
        for name, values in parameters.items():
            if name == "base":
                continue
            trajectory = get_strategy(name).reroute(problem, values)
            answers = model.answer(prepared, trajectory.routing[-1])
            right[name].append(_is_right(answers, labels))
    return {name: np.concatenate(parts) for name, parts in right.items() if parts}


def find(
    index: ReferenceIndex, suite: PreparedSuite, chosen: slice, retrieval: RetrievalParams
) -> Retrieved:
    """Find the neighbours of some rows of a suite."""
    return index.retrieve(
        suite.embeddings[chosen],
        suite.prepared.image_features[chosen].cpu().numpy(),
        retrieval,
        [f"{suite.name} {row}" for row in range(chosen.start, chosen.stop)],
    )


def _is_right(probabilities: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    right: np.ndarray = (probabilities.argmax(1).cpu() == labels.cpu()).numpy()
    return right
