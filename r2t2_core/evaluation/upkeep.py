"""What keeping a model right costs, in the same terms for re-routing, fine-tuning and training.

Everything is measured on one machine (`tools/measure_upkeep.py`) and stored with the model's
fingerprint; nothing is estimated. Training again is not run: its time is what the training of the
shipped model wrote down.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r2t2_core.engine import Engine
from r2t2_core.evaluation.baselines import BASELINES
from r2t2_core.i18n import N_
from r2t2_core.problem import answers_along, build_problem
from r2t2_core.refine import refine
from r2t2_core.registry import get_strategy
from r2t2_core.types import Sample

FILE = "upkeep.json"

BATCH = 128

Progress = Callable[[str], None]


class Upkeep(BaseModel):
    """Measured seconds.

    Attributes
    ----------
    model_fingerprint, reference_hash, strategy : str
        What was measured.
    device : str
    cores, threads : int
    questions : int
        How many questions the times of one question are the median of.
    answer_seconds : float
        One answer of the frozen model, alone.
    rerouting_seconds : float
        What re-routing adds to one answer: embedding, retrieval, strategy, answer.
    reference_samples : int
    reference_seconds : float
        Once: embedding, expert outputs and refined routing of the whole reference set.
    finetuning_seconds : float
        Once: fine-tuning the router on the same samples.
    training_seconds : float or None
        Once: training the whole model, as its training wrote it down.
    training_source : str
        Where that stands, in words; empty without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model_fingerprint: str
    reference_hash: str
    strategy: str
    device: str
    cores: int
    threads: int
    questions: int = Field(ge=1)
    answer_seconds: float = Field(gt=0)
    rerouting_seconds: float = Field(gt=0)
    reference_samples: int
    reference_seconds: float = Field(gt=0)
    finetuning_seconds: float = Field(gt=0)
    training_seconds: float | None = Field(default=None, gt=0)
    training_source: str = ""


def load_upkeep(folders: Sequence[Path], model_fingerprint: str) -> Upkeep | None:
    """Return the first measurement of this model; None where there is none.

    One of another model is passed over: its times are not this model's.
    """
    for folder in folders:
        try:
            found = Upkeep.model_validate_json((folder / FILE).read_bytes())
        except (OSError, ValidationError):
            continue
        if found.model_fingerprint == model_fingerprint:
            return found
    return None


def training_time(path: Path) -> tuple[float | None, str]:
    """Return the seconds that the model's training wrote down, and where.

    `training.json` holds the minutes since the beginning of the first stage; a second stage that
    wrote none is not counted, so that the time is never too long.
    """
    try:
        stages = json.loads(path.read_text(encoding="utf-8"))
        minutes = max(float(epoch["minutes"]) for epoch in stages["stage1"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""
    return 60 * minutes, path.name


def measure_upkeep(
    engine: Engine, samples: Sequence[Sample], training: Path, progress: Progress
) -> Upkeep:
    """Measure everything but the training.

    Parameters
    ----------
    engine : Engine
    samples : sequence of Sample
        Questions, answered one at a time.
    training : Path
        The model's `training.json`.
    progress : callable
        Called with a word for each piece of work.
    """
    strategy = engine.default_strategy
    progress(N_("one question at a time"))
    answer, rerouting = _one_at_a_time(engine, samples)
    progress(N_("building the reference set"))
    began = time.perf_counter()
    _build_reference(engine)
    reference = time.perf_counter() - began
    progress(N_("fine-tuning the router"))
    began = time.perf_counter()
    BASELINES["router_finetuned"](engine.model, engine.index)
    finetuning = time.perf_counter() - began
    training_seconds, source = training_time(training)
    return Upkeep(
        model_fingerprint=engine.model_fingerprint,
        reference_hash=engine.reference.manifest.content_hash,
        strategy=strategy,
        device=engine.device,
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        questions=len(samples),
        answer_seconds=statistics.median(answer),
        rerouting_seconds=statistics.median(rerouting),
        reference_samples=len(engine.reference),
        reference_seconds=reference,
        finetuning_seconds=finetuning,
        training_seconds=training_seconds,
        training_source=source,
    )


def _one_at_a_time(engine: Engine, samples: Sequence[Sample]) -> tuple[list[float], list[float]]:
    """Return the seconds of each answer, and those that re-routing adds to each."""
    retrieval, strategy = engine.default_retrieval, engine.default_strategy
    params = engine.default_parameters(strategy)
    answers, added = [], []
    for number, sample in enumerate(samples):
        began = time.perf_counter()
        prepared = engine.model.prepare([sample])
        engine.model.answer(prepared)
        between = time.perf_counter()
        embedding = engine.embedder.embed([sample.question])
        features = prepared.image_features.cpu().numpy()
        found = engine.index.retrieve(embedding, features, retrieval, [str(number)])
        problem = build_problem(engine.model, prepared, engine.index, found, retrieval.policy)
        moved = get_strategy(strategy).reroute(problem, params)
        answers_along(engine.model, prepared, moved.routing[-1:])
        ended = time.perf_counter()
        answers.append(between - began)
        added.append(ended - between)
    return answers, added


def _build_reference(engine: Engine) -> None:
    """Do once more what a reference set is made of."""
    reference = engine.reference
    labels = torch.from_numpy(reference.labels)
    for start in range(0, len(reference), BATCH):
        rows = range(start, min(start + BATCH, len(reference)))
        samples = []
        for row in rows:
            with Image.open(reference.image_path(row)) as image:
                samples.append(Sample(image.convert("RGB"), reference.sample(row).question))
        engine.embedder.embed([sample.question for sample in samples])
        prepared = engine.model.prepare(samples)
        refine(engine.model, prepared, labels[rows.start : rows.stop].to(prepared.routing.device))
