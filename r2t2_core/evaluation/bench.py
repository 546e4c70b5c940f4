"""Answer batches of labelled questions by every method: one row for each question and method."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from r2t2_core.engine import Engine
from r2t2_core.errors import ImageError, NeighbourhoodError, QuestionError
from r2t2_core.evaluation.baselines import BASELINES, Answer, Batch
from r2t2_core.evaluation.methods import Method
from r2t2_core.evaluation.suites import SuiteSample
from r2t2_core.gate import Change, Nearness, agreement, judge
from r2t2_core.intake.image import read_image
from r2t2_core.intake.question import read_question
from r2t2_core.models.base import Prepared
from r2t2_core.problem import answers_along, build_problem
from r2t2_core.reference.index import Retrieved
from r2t2_core.registry import get_strategy
from r2t2_core.types import Sample, Tensor

Rows = list[dict[str, Any]]

COLUMNS = (
    "suite", "sample", "method", "family", "style", "language", "question", "image",
    "label", "in_vocabulary", "answer", "probability", "label_probability", "right",
    "answers_by_step", "routing", "router_routing", "surrogate_loss_first",
    "surrogate_loss_last", "agreement", "router_answer", "router_probability", "evidence",
    "admitted", "text_similarity", "image_distance", "milliseconds",
)  # fmt: skip
"""Columns of the results: one row for each sample and method."""


@dataclass(frozen=True)
class _Asked:
    """The usable samples of a batch, and what all methods need of them."""

    read: Sequence[SuiteSample]
    samples: Sequence[Sample]
    keys: Sequence[str]
    prepared: Prepared
    embeddings: np.ndarray
    features: np.ndarray

    def one_by_one(self) -> Iterator[_Asked]:
        """Yield the samples as batches of one."""
        for place in range(len(self.read)):
            rows = slice(place, place + 1)
            prepared = Prepared(
                self.prepared.expert_outputs[rows],
                self.prepared.routing[rows],
                self.prepared.image_features[rows],
            )
            yield _Asked(
                self.read[rows],
                self.samples[rows],
                self.keys[rows],
                prepared,
                self.embeddings[rows],
                self.features[rows],
            )


class Bench:
    """Answers batches by every method."""

    def __init__(self, engine: Engine, methods: Sequence[Method]) -> None:
        self._engine = engine
        self._methods = methods
        self._baselines: dict[str, Answer] = {
            method.name: BASELINES[method.name](engine.model, engine.index)
            for method in methods
            if method.is_baseline
        }
        self._places = {answer: n for n, answer in enumerate(engine.model.answers)}

    def run(self, suite: str, batch: Sequence[SuiteSample]) -> tuple[Rows, list[dict[str, str]]]:
        """Return one row for each usable sample and method, and the samples that were refused."""
        read, samples, refused = [], [], []
        for entry in batch:
            try:
                picture = read_image(entry.image.read_bytes()).image
                samples.append(Sample(picture, read_question(entry.question).text))
                read.append(entry)
            except (ImageError, QuestionError, OSError) as error:
                refused.append({"suite": suite, "row": entry.id, "reason": str(error)})
        if not read:
            return [], refused
        engine = self._engine
        prepared = engine.model.prepare(samples)
        asked = _Asked(
            read,
            samples,
            [f"{suite} {entry.id}" for entry in read],
            prepared,
            engine.embedder.embed([sample.question for sample in samples]),
            prepared.image_features.cpu().numpy(),
        )
        common = self._common(suite, read, samples, prepared)
        found: dict[str, Retrieved] = {}
        rows: Rows = []
        for method in self._methods:
            began = time.perf_counter()
            own = self._method_rows(method, asked, found)
            spent = (time.perf_counter() - began) * 1000 / len(read)
            for row, shared in zip(own, common, strict=True):
                row |= shared
                near, probabilities = row.pop("near"), row.pop("probabilities")
                row |= self._verdict(method, row, near)
                label = self._places.get(row["label"])
                row["label_probability"] = 0.0 if label is None else float(probabilities[label])
                row["right"] = row["answer"] == row["label"]
                row["milliseconds"] = spent
                rows.append(row)
        return rows, refused

    def _method_rows(self, method: Method, asked: _Asked, found: dict[str, Retrieved]) -> Rows:
        """Answer by one method; a question without a neighbour stays with the router."""
        key = method.retrieval.model_dump_json()
        try:
            if key not in found:
                found[key] = self._engine.index.retrieve(
                    asked.embeddings, asked.features, method.retrieval, asked.keys
                )
        except NeighbourhoodError:
            if len(asked.read) > 1:
                alone = [self._method_rows(method, one, {}) for one in asked.one_by_one()]
                return [row for rows in alone for row in rows]
            probabilities = self._engine.model.answer(asked.prepared)[0].cpu()
            answer = [self._answer(probabilities)]
            kept = self._row(method, probabilities, answer, asked.prepared.routing[0], None)
            return [kept | {"near": None}]
        retrieved = found[key]
        if method.is_baseline:
            families = [entry.family for entry in asked.read]
            batch = Batch(asked.samples, families, asked.keys, asked.prepared, retrieved)
            rows = self._baseline_rows(method, batch)
        else:
            rows = self._strategy_rows(method, asked.prepared, retrieved, asked.read)
        near = self._near(retrieved, asked.features)
        return [row | {"near": at} for row, at in zip(rows, near, strict=True)]

    def _common(
        self,
        suite: str,
        read: Sequence[SuiteSample],
        samples: Sequence[Sample],
        prepared: Prepared,
    ) -> Rows:
        """Return what all methods' rows share."""
        router = self._engine.model.answer(prepared).cpu()
        lower = {answer.lower(): answer for answer in self._engine.model.answers}
        return [
            {
                "suite": suite,
                "sample": entry.id,
                "family": entry.family,
                "style": entry.style,
                "language": entry.language,
                "question": sample.question,
                "image": str(entry.image),
                "label": lower.get(entry.answer.lower(), entry.answer),
                "in_vocabulary": entry.answer.lower() in lower,
                "router_routing": prepared.routing[place].tolist(),
                "router_answer": self._answer(router[place]),
                "router_probability": float(router[place].max()),
            }
            for place, (entry, sample) in enumerate(zip(read, samples, strict=True))
        ]

    def _near(self, found: Retrieved, features: np.ndarray) -> list[Nearness]:
        """Return how near every sample is to the reference set."""
        distance = self._engine.index.picture_distance(features)
        return [
            Nearness(float(similarity), float(far))
            for similarity, far in zip(found.similarity_best, distance, strict=True)
        ]

    def _verdict(
        self, method: Method, row: Mapping[str, Any], near: Nearness | None
    ) -> dict[str, Any]:
        """Return what the gate says of a row; a baseline has no evidence to be judged by."""
        if near is None:
            nothing = float("nan")
            return {"admitted": False, "text_similarity": nothing, "image_distance": nothing,
                    "evidence": nothing}  # fmt: skip
        moved = not method.is_baseline
        change = Change(
            row["answer"] != row["router_answer"] and moved,
            row["router_probability"],
            row["probability"],
            row["surrogate_loss_first"] if moved else 0.0,
            row["surrogate_loss_last"] if moved else 0.0,
            row["agreement"] if moved else 0.0,
            near.text_similarity,
        )
        verdict = judge(near, change, method.name, self._engine.defaults.thresholds)
        return {
            "admitted": verdict.reroute,
            "text_similarity": near.text_similarity,
            "image_distance": near.image_distance,
            "evidence": float("nan") if verdict.evidence is None else verdict.evidence,
        }

    def _baseline_rows(self, method: Method, batch: Batch) -> Rows:
        probabilities = self._baselines[method.name](batch).detach().cpu()
        return [
            self._row(method, row, [self._answer(row)], batch.prepared.routing[place], None)
            for place, row in enumerate(probabilities)
        ]

    def _strategy_rows(
        self,
        method: Method,
        prepared: Prepared,
        found: Retrieved,
        read: Sequence[SuiteSample],
    ) -> Rows:
        engine = self._engine
        lower = {answer.lower(): n for answer, n in self._places.items()}
        labels = torch.tensor([lower.get(entry.answer.lower(), 0) for entry in read])
        policy = method.retrieval.policy
        problem = build_problem(engine.model, prepared, engine.index, found, policy, labels)
        assert method.params is not None
        trajectory = get_strategy(method.name).reroute(problem, method.params)
        along = answers_along(engine.model, prepared, trajectory.routing).cpu()
        steps = [[self._answer(point) for point in along[:, place]] for place in range(len(read))]
        losses = trajectory.surrogate_loss[[0, -1]].T.tolist()
        agreed = agreement(trajectory.routing[-1], problem.neighbours, problem.spec).tolist()
        return [
            self._row(method, along[-1, place], steps[place], trajectory.routing[-1, place],
                      losses[place]) | {"agreement": agreed[place]}
            for place in range(len(read))
        ]  # fmt: skip

    def _row(
        self,
        method: Method,
        probabilities: Tensor,
        steps: list[str],
        routing: Tensor,
        losses: list[float] | None,
    ) -> dict[str, Any]:
        first, last = losses or (float("nan"), float("nan"))
        return {
            "method": method.spec,
            "answer": steps[-1],
            "probability": float(probabilities.max()),
            "probabilities": probabilities,
            "answers_by_step": steps,
            "routing": routing.tolist(),
            "surrogate_loss_first": first,
            "surrogate_loss_last": last,
            "agreement": float("nan"),
        }

    def _answer(self, probabilities: Tensor) -> str:
        return self._engine.model.answers[int(probabilities.argmax())]
