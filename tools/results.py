"""Evaluate everything on the shipped suites; write the results, the record and the model card.

    python -m tools.results

Writes `docs/results.md`, `sample_data/evaluation.json` and the tables of `docs/model-card.md`.
The run itself is kept in the data folder, with a row for each question and method; a run that was
interrupted goes on.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pandas as pd
import torch
import typer
from PIL import Image
from rich.progress import Progress

from r2t2_core.engine import Engine
from r2t2_core.evaluation.costs import measure_costs
from r2t2_core.evaluation.methods import parse_methods
from r2t2_core.evaluation.metrics import BASE, score
from r2t2_core.evaluation.report import report_text
from r2t2_core.evaluation.runner import Run, evaluate
from r2t2_core.evaluation.suites import load_suite, shipped_suites
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.settings import SAMPLE_DATA, Settings
from r2t2_core.types import Sample
from tools import model_card
from tools.reach_inputs import PARAPHRASES, UNKNOWN, UNRELATED, photographs, textures

DOCS = SAMPLE_DATA.parent / "docs"

METHODS = (
    "kernel_regression", "ngd", "mode_finding",
    "kernel_regression:alpha_mode=search",
    "ngd@all_labelled", "kernel_regression@all_labelled",
    "ngd@correct_only:n_neighbours=5", "kernel_regression@correct_only:n_neighbours=5",
    "mode_finding@correct_only:n_neighbours=5",
    "random_neighbours", "random_experts", "uniform", "knn_vote", "entropy",
    "tent", "memo", "router_finetuned", "own_expert", "oracle",
)  # fmt: skip

PICTURES = 200
"""Photographs, and textures, that check the reach."""


def check_reach(engine: Engine) -> dict[str, dict[str, int]]:
    """Count what the gate admits of inputs that did not calibrate it."""
    bounds = engine.defaults.thresholds
    texts = {
        "paraphrases": PARAPHRASES[1::2],
        "unrelated questions": UNRELATED[1::2],
        "questions about unknown things": UNKNOWN[1::2],
    }
    counts = {}
    for name, questions in texts.items():
        nearest = engine.embedder.embed(list(questions)) @ engine.reference.embeddings.T
        admitted = int((nearest.max(1) >= bounds.text_similarity).sum())
        counts[name] = {"cases": len(questions), "admitted": admitted}
    pictures: dict[str, list[Image.Image]] = {
        "parts of photographs": photographs(PICTURES),
        "textures": textures(PICTURES),
    }
    for name, images in pictures.items():
        prepared = engine.model.prepare([Sample(image, "where is the chair?") for image in images])
        far = engine.index.picture_distance(prepared.image_features.numpy())
        counts[name] = {"cases": len(images), "admitted": int((far <= bounds.image_distance).sum())}
    return counts


def router_by_family(results: pd.DataFrame) -> dict[str, list[float]]:
    """Return the router's mean dense weights of each family."""
    base = results[results["method"] == BASE]
    return {
        str(family): pd.DataFrame(group["router_routing"].tolist()).mean().round(4).tolist()
        for family, group in base.groupby("family", sort=False)
    }


def record_of(run: Run, engine: Engine) -> dict[str, Any]:
    """Return what is kept of a run in the repository."""
    results = run.results
    kept = ("key", "model", "model_fingerprint", "reference_set", "reference_hash", "experts",
            "suites", "seed", "code_version", "device", "threads", "thresholds")  # fmt: skip
    return {
        "about": {name: run.about[name] for name in kept},
        "scores": [asdict(entry) for entry in score(results)],
        "router_by_family": router_by_family(results),
        "reach": check_reach(engine),
    }


def main(limit: int | None = None) -> None:
    """Evaluate and write."""
    torch.set_num_threads(2)
    settings = Settings.from_environment()
    engine = Engine.load(settings)
    assert isinstance(engine.model, SceneMoeAdapter)
    suites = [load_suite(path) for path in shipped_suites(SAMPLE_DATA / "suites").values()]
    methods = parse_methods(METHODS, engine.defaults)
    with Progress() as bar:
        task = bar.add_task("evaluating", total=None)
        run = evaluate(
            engine,
            suites,
            methods,
            settings.data_dir / "runs",
            limit=limit,
            resume=True,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    measure_costs(engine, methods, run)
    record = record_of(run, engine)
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (SAMPLE_DATA / "evaluation.json").write_text(text, encoding="utf-8")
    (DOCS / "results.md").write_text(report_text(run), encoding="utf-8")
    model_card.write(record, engine.model)
    print(run.folder)


if __name__ == "__main__":
    typer.run(main)
