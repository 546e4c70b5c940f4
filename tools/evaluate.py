"""Measure all strategies on the test suites, write `sample_data/evaluation.json`, and print it into
the model card.

    python -m tools.evaluate
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import typer
from PIL import Image

from r2t2_core.defaults import Defaults
from r2t2_core.embedding.minilm import MiniLMEmbedder
from r2t2_core.engine import Engine
from r2t2_core.evaluation.prepared import (
    PreparedSuite,
    find,
    neighbour_vote_right,
    own_expert_right,
    run_suite,
)
from r2t2_core.evaluation.statistics import compare
from r2t2_core.models.scene_moe import OWNERS, SceneMoeAdapter
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.store import POLICIES
from r2t2_core.registry import get_strategy, parse_params, strategies
from r2t2_core.scenes.questions import FAMILIES
from r2t2_core.settings import Settings
from r2t2_core.types import Sample
from tools import model_card
from tools.reach_inputs import PARAPHRASES, UNKNOWN, UNRELATED, photographs, textures
from tools.scene_data import SPLITS
from tools.suites import build_suite

SUITES = ("in-domain", "test", "held-out-phrasings")

PAPER = RetrievalParams(policy="correct_only", n_neighbours=5)
"""The paper's reference policy and k."""

PICTURES = 200
"""Photographs, and textures, that check the reach."""

Rows = dict[str, np.ndarray]


def moving() -> list[str]:
    """Return the names of the strategies that are no controls."""
    return [name for name, entry in strategies().items() if not entry.is_control]


def measure(
    model: SceneMoeAdapter, index: ReferenceIndex, suite: PreparedSuite, defaults: Defaults
) -> Rows:
    """Return right/wrong (N,) of every row of the table."""

    def run(retrieval: RetrievalParams, names: Sequence[str]) -> Rows:
        parameters = {
            name: parse_params(get_strategy(name), defaults.parameters.get(name, {}))
            for name in names
        }
        return run_suite(model, index, suite, retrieval, parameters)

    chosen = defaults.retrieval
    own = run(chosen, [*moving(), "random_neighbours", "oracle"])
    within = reached(index, suite, defaults)
    rows = {"router (base)": own["base"]}
    behind = np.where(within, own[defaults.strategy], own["base"])
    rows[f"default: {defaults.strategy}, behind the gate"] = behind
    for policy in POLICIES:
        retrieval = chosen.model_copy(update={"policy": policy})
        result = own if policy == chosen.policy else run(retrieval, moving())
        for name in moving():
            rows[f"{name}, {policy}, k = {chosen.n_neighbours}"] = result[name]
    paper = run(PAPER, moving())
    for name in moving():
        rows[f"paper's setting: {name}, {PAPER.policy}, k = {PAPER.n_neighbours}"] = paper[name]
    rows["control: ngd over random neighbours"] = own["random_neighbours"]
    generator = torch.Generator().manual_seed(0)
    random_routing = torch.rand(suite.prepared.routing.shape, generator=generator)
    even = torch.full_like(suite.prepared.routing, 1 / model.routing_spec.size)
    for title, routing in (
        ("control: a random pair of experts", random_routing),
        ("control: all experts equally (dense, not sparse)", even),
    ):
        rows[title] = (model.answer(suite.prepared, routing).argmax(1) == suite.labels).numpy()
    rows["control: copy the neighbours' answer"] = neighbour_vote_right(index, suite, chosen)
    rows["ceiling: own expert (competence)"] = own_expert_right(model, suite, OWNERS)
    rows["ceiling: oracle (sees the label)"] = own["oracle"]
    return rows


def reached(index: ReferenceIndex, suite: PreparedSuite, defaults: Defaults) -> np.ndarray:
    """Return which questions (N,), bool, the gate admits."""
    found = find(index, suite, slice(0, len(suite)), defaults.retrieval)
    far = index.picture_distance(suite.prepared.image_features.numpy())
    bounds = defaults.thresholds
    admitted: np.ndarray = (found.similarity_best >= bounds.text_similarity) & (
        far <= bounds.image_distance
    )
    return admitted


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


def summarise(suite: PreparedSuite, rows: Rows, admitted: np.ndarray) -> dict[str, object]:
    """Return what the record keeps of a suite."""
    base = rows["router (base)"]
    present = [family for family in FAMILIES if (suite.families == family).any()]
    routing = suite.prepared.routing.numpy()

    def by_family(values: np.ndarray) -> dict[str, object]:
        return {name: values[suite.families == name].mean(0).round(4).tolist() for name in present}

    return {
        "cases": len(suite),
        "rows": {
            name: {**asdict(compare(base, right)), "families": by_family(right)}
            for name, right in rows.items()
        },
        "refused_by_the_gate": {"all": round(float((~admitted).mean()), 4), **by_family(~admitted)},
        "router_by_family": by_family(routing),
    }


def main(work: Path = Path("build/training")) -> None:
    """Measure, write the JSON and the model card's tables."""
    torch.set_num_threads(2)
    settings = Settings()
    engine = Engine.load(settings)
    model, defaults = engine.model, engine.defaults
    assert isinstance(model, SceneMoeAdapter)
    embedder = MiniLMEmbedder()
    suites = {}
    for name in SUITES:
        suite = build_suite(SPLITS[name], model, embedder, work)
        rows = measure(model, engine.index, suite, defaults)
        suites[name] = summarise(suite, rows, reached(engine.index, suite, defaults))
        print(name, {row: round(float(right.mean()), 4) for row, right in rows.items()}, flush=True)
    record = {
        "model_fingerprint": engine.model_fingerprint,
        "reference_set": engine.reference.manifest.content_hash,
        "defaults": defaults.model_dump(mode="json"),
        "suites": suites,
        "reach": check_reach(engine),
    }
    path = settings.sample_data / "evaluation.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    model_card.write(record, model)


if __name__ == "__main__":
    typer.run(main)
