"""Run methods over suites: batched, resumable, cancellable; one row for each sample and method.

A run lives in a folder of its own, named by everything that decides its results:

    run.json       what is run, on what, with which versions
    parts/         one Parquet file for each finished batch; a kill loses the running batch alone
    results.parquet   all parts together, written at the end
    bad_rows.json  rows of a person's suite that could not be used, and why
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rfc8785
import torch

from r2t2_core import __version__
from r2t2_core.engine import Engine
from r2t2_core.errors import Cancelled, ImageError, QuestionError, RunError
from r2t2_core.evaluation.baselines import BASELINES, Answer, Batch
from r2t2_core.evaluation.methods import Method
from r2t2_core.evaluation.suites import Suite, SuiteSample
from r2t2_core.gate import Change, Nearness, judge
from r2t2_core.i18n import N_
from r2t2_core.intake.image import read_image
from r2t2_core.intake.question import read_question
from r2t2_core.models.base import Prepared
from r2t2_core.problem import answers_along, build_problem
from r2t2_core.recording import LIBRARIES, library_versions
from r2t2_core.reference.index import Retrieved
from r2t2_core.registry import get_strategy
from r2t2_core.types import Sample, Tensor

BATCH = 64
"""Samples in a batch. Fixed, since sums of floats depend on it."""

Progress = Callable[[int, int], None]

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """A finished or unfinished run.

    Attributes
    ----------
    folder : Path
    about : mapping
        What `run.json` holds.
    """

    folder: Path
    about: Mapping[str, Any]

    @property
    def results(self) -> pd.DataFrame:
        """One row for each sample and method."""
        return pd.read_parquet(self.folder / "results.parquet")

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open a finished run.

        Raises
        ------
        RunError
            There is none, or it was not finished.
        """
        if not (folder / "results.parquet").is_file():
            raise RunError(
                N_("There is no finished run in {folder}."),
                N_("Run `r2t2 evaluate` first; --resume finishes one that was interrupted."),
                folder=str(folder),
            )
        return cls(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))


def choose_samples(suite: Suite, count: int | None, seed: int) -> tuple[SuiteSample, ...]:
    """Return all samples, or `count` of them drawn by the seed, in the suite's order."""
    if count is None or count >= len(suite):
        return suite.samples
    drawn = np.random.default_rng([seed, len(suite)]).permutation(len(suite))[:count]
    return tuple(suite.samples[row] for row in sorted(drawn.tolist()))


def share_limit(limit: int | None, suites: int) -> list[int | None]:
    """Part a limit evenly over suites; the first ones take what remains."""
    if limit is None:
        return [None] * suites
    return [limit // suites + (number < limit % suites) for number in range(suites)]


def evaluate(
    engine: Engine,
    suites: Sequence[Suite],
    methods: Sequence[Method],
    folder: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Run:
    """Run methods over suites.

    Parameters
    ----------
    engine : Engine
    suites : sequence of Suite
    methods : sequence of Method
        The first is the router (`base`).
    folder : Path
        Runs are kept below it.
    limit : int, optional
        Samples in all, shared evenly over the suites.
    seed : int
        Of the samples that a limit draws, and of the random-neighbours control.
    resume : bool
        Keep the finished batches of an interrupted run; otherwise begin anew.
    progress : callable
        Called with samples done and samples in all.
    cancelled : callable
        Asked between batches.

    Raises
    ------
    Cancelled
        `cancelled()` said so; finished batches stay for `resume`.
    """
    shares = share_limit(limit, len(suites))
    chosen = [
        choose_samples(suite, share, seed) for suite, share in zip(suites, shares, strict=True)
    ]
    about = _describe(engine, suites, chosen, methods, limit, seed)
    run = Run(folder / str(about["key"])[:12], about)
    parts = run.folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    if not resume:
        for path in (*parts.iterdir(), run.folder / "results.parquet"):
            path.unlink(missing_ok=True)
    _write_text(run.folder / "run.json", json.dumps(about, indent=1, ensure_ascii=False))
    bench = _Bench(engine, methods)
    total, done = sum(map(len, chosen)), 0
    progress(done, total)
    bad: list[dict[str, str]] = []
    for suite, samples in zip(suites, chosen, strict=True):
        bad += [{"suite": suite.name, "row": str(row.line), "reason": str(row.error)}
                for row in suite.bad_rows]  # fmt: skip
        for number, start in enumerate(range(0, len(samples), BATCH)):
            part = parts / f"{suite.name}-{number:05d}.parquet"
            batch = samples[start : start + BATCH]
            if not part.is_file():
                if cancelled():
                    raise Cancelled(N_("Cancelled."), N_("Finished batches are kept: resume."))
                rows, refused = bench.run(suite.name, batch)
                _write_frame(part, pd.DataFrame(rows, columns=COLUMNS), refused)
            done += len(batch)
            progress(done, total)
    bad += [refused for path in sorted(parts.glob("*.json"))
            for refused in json.loads(path.read_text(encoding="utf-8"))]  # fmt: skip
    _write_text(run.folder / "bad_rows.json", json.dumps(bad, indent=1, ensure_ascii=False))
    frames = [pd.read_parquet(path) for path in sorted(parts.glob("*.parquet"))]
    _write_frame(run.folder / "results.parquet", pd.concat(frames, ignore_index=True))
    return run


COLUMNS = (
    "suite", "sample", "method", "family", "style", "language", "question", "image",
    "label", "in_vocabulary", "answer", "probability", "label_probability", "right",
    "answers_by_step", "routing", "router_routing", "surrogate_loss_first",
    "surrogate_loss_last", "router_answer", "router_probability", "evidence", "admitted",
    "text_similarity", "image_distance", "milliseconds",
)  # fmt: skip
"""Columns of the results: one row for each sample and method."""


class _Bench:
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
        embeddings = engine.embedder.embed([sample.question for sample in samples])
        features = prepared.image_features.cpu().numpy()
        keys = [f"{suite} {entry.id}" for entry in read]
        found: dict[str, Retrieved] = {}
        common = self._common(suite, read, samples, prepared)
        rows: Rows = []
        for method in self._methods:
            key = method.retrieval.model_dump_json()
            if key not in found:
                found[key] = engine.index.retrieve(embeddings, features, method.retrieval, keys)
            retrieved = found[key]
            began = time.perf_counter()
            if method.is_baseline:
                own = self._baseline_rows(
                    method,
                    Batch(samples, [e.family for e in read], keys, prepared, retrieved),
                )
            else:
                own = self._strategy_rows(method, prepared, retrieved, read)
            spent = (time.perf_counter() - began) * 1000 / len(read)
            near = self._near(retrieved, features)
            for place, row in enumerate(own):
                row |= common[place]
                row |= self._verdict(method, row, near[place])
                label = self._places.get(row["label"])
                probabilities = row.pop("probabilities")
                row["label_probability"] = 0.0 if label is None else float(probabilities[label])
                row["right"] = row["answer"] == row["label"]
                row["milliseconds"] = spent
                rows.append(row)
        return rows, refused

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

    def _verdict(self, method: Method, row: Mapping[str, Any], near: Nearness) -> dict[str, Any]:
        """Return what the gate says of a row; a baseline has no evidence to be judged by."""
        change = Change(
            row["answer"] != row["router_answer"] and not method.is_baseline,
            row["router_probability"],
            row["probability"],
            row["surrogate_loss_last"],
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
        return [
            self._row(method, along[-1, place], steps[place], trajectory.routing[-1, place],
                      losses[place])
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
        }

    def _answer(self, probabilities: Tensor) -> str:
        return self._engine.model.answers[int(probabilities.argmax())]


def _describe(
    engine: Engine,
    suites: Sequence[Suite],
    chosen: Sequence[Sequence[SuiteSample]],
    methods: Sequence[Method],
    limit: int | None,
    seed: int,
) -> dict[str, Any]:
    """Return everything that decides the results, and its hash as `key`."""
    manifest = engine.reference.manifest
    decides = {
        "schema_version": "1",
        "suites": [
            {"name": suite.name, "content_hash": suite.content_hash, "samples": len(samples)}
            for suite, samples in zip(suites, chosen, strict=True)
        ],
        "methods": [method.describe() for method in methods],
        "thresholds": engine.defaults.thresholds.model_dump(mode="json"),
        "limit": limit,
        "seed": seed,
        "batch": BATCH,
        "model": engine.model.name,
        "model_fingerprint": engine.model_fingerprint,
        "experts": list(engine.model.routing_spec.experts),
        "reference_set": manifest.name,
        "reference_hash": manifest.content_hash,
        "embedder_hash": engine.embedder.fingerprint(),
        "code_version": __version__,
        "libraries": library_versions(LIBRARIES),
        "device": engine.device,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }
    return {"key": hashlib.sha256(rfc8785.dumps(decides)).hexdigest(), **decides}


def _write_text(path: Path, text: str) -> None:
    """Write whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _write_frame(
    path: Path, frame: pd.DataFrame, refused: Sequence[Mapping[str, str]] | None = None
) -> None:
    """Write whole or not at all; what was refused first, so that a part never lacks it."""
    if refused:
        _write_text(path.with_suffix(".json"), json.dumps(list(refused), ensure_ascii=False))
    temporary = path.with_suffix(".tmp")
    frame.to_parquet(temporary, index=False)
    os.replace(temporary, path)


def finished_runs(folder: Path) -> Iterator[Run]:
    """Yield the finished runs below a folder, newest first."""
    found = sorted(folder.glob("*/results.parquet"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in found:
        yield Run.open(path.parent)
