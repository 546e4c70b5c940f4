"""Measure all strategies on the test suites; write `sample_data/evaluation.json` and the tables of
the model card.

    python -m tools.evaluate
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import typer

from r2t2_core.defaults import Defaults
from r2t2_core.embedding.minilm import MiniLMEmbedder
from r2t2_core.evaluation.statistics import Outcome, compare
from r2t2_core.evaluation.suite import Suite, neighbour_vote_right, own_expert_right, run_suite
from r2t2_core.models.scene_moe import OWNERS, SceneMoeAdapter
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.reference.store import POLICIES, ReferenceSet
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.scenes.questions import FAMILIES
from r2t2_core.settings import SAMPLE_DATA, Settings
from tools.scene_data import SPLITS
from tools.suites import build_suite

SUITES = ("in-domain", "test", "held-out-phrasings")
CARD = SAMPLE_DATA.parent / "docs" / "model-card.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

MOVING = ("kernel_regression", "ngd", "mode_finding")


def measure(
    model: SceneMoeAdapter, reference: ReferenceSet, suite: Suite, defaults: Defaults
) -> dict[str, np.ndarray]:
    """Return right/wrong (N,) of every row of the table."""

    def run(retrieval: RetrievalParams, *names: str) -> dict[str, np.ndarray]:
        parameters = {
            name: parse_params(get_strategy(name), defaults.parameters.get(name, {}))
            for name in names
        }
        return run_suite(model, reference, suite, retrieval, parameters)

    rows: dict[str, np.ndarray] = {}
    chosen = defaults.retrieval
    default = run(chosen, *MOVING, "random_neighbours", "oracle")
    rows["router (base)"] = default["base"]
    for name in MOVING:
        rows[f"{name}, {chosen.policy}, k = {chosen.n_neighbours}"] = default[name]
    for policy in POLICIES:
        if policy == chosen.policy:
            continue
        other = run(RetrievalParams.parse({"policy": policy, "n_neighbours": 5}), *MOVING)
        for name in MOVING:
            rows[f"{name}, {policy}, k = 5"] = other[name]
    rows["control: ngd over random neighbours"] = default["random_neighbours"]
    generator = torch.Generator().manual_seed(0)
    random_routing = torch.rand(suite.prepared.routing.shape, generator=generator)
    answers = model.answer(suite.prepared, random_routing).argmax(1)
    rows["control: a random pair of experts"] = (answers == suite.labels).numpy()
    even = torch.full_like(suite.prepared.routing, 1 / model.routing_spec.size)
    dense = model.model.mix(suite.prepared.expert_outputs, even).argmax(1)
    rows["control: all experts equally (dense, not sparse)"] = (dense == suite.labels).numpy()
    rows["control: copy the neighbours' answer"] = neighbour_vote_right(reference, suite, chosen)
    rows["ceiling: own expert (competence)"] = own_expert_right(model, suite, OWNERS)
    rows["ceiling: oracle (sees the label)"] = default["oracle"]
    return rows


def table(suite: Suite, rows: dict[str, np.ndarray]) -> list[str]:
    """Return a Markdown table of one suite."""
    base = rows["router (base)"]
    families = [family for family in FAMILIES if (suite.families == family).any()]
    lines = [
        f"### {suite.name}: {len(suite):,} questions",
        "",
        "| routing | accuracy (95 % interval) | fixed / broken | " + " | ".join(families) + " |",
        "|---|---|---|" + "---|" * len(families),
    ]
    for name, right in rows.items():
        outcome = compare(base, right)
        change = "" if name.startswith("router") else f"{outcome.fixed} / {outcome.broken}"
        shares = [f"{right[suite.families == family].mean():.0%}" for family in families]
        interval = f"{outcome.accuracy:.1%} ({outcome.low:.1%} to {outcome.high:.1%})"
        lines.append(f"| {name} | {interval} | {change} | " + " | ".join(shares) + " |")
    return [*lines, ""]


def routing_table(model: SceneMoeAdapter, suite: Suite) -> list[str]:
    """Return a Markdown table of the router's mean dense weights by family."""
    lines = [
        f"### The router's mean weights by family ({suite.name})",
        "",
        "| family | " + " | ".join(model.routing_spec.experts) + " |",
        "|---|" + "---|" * model.routing_spec.size,
    ]
    for family in FAMILIES:
        mean = suite.prepared.routing[torch.from_numpy(suite.families == family)].mean(0)
        lines.append(f"| {family} | " + " | ".join(f"{value:.2f}" for value in mean) + " |")
    return [*lines, ""]


def main(work: Path = Path("build/training")) -> None:
    """Measure, write the JSON and the tables."""
    torch.set_num_threads(2)
    settings = Settings()
    model, embedder = SceneMoeAdapter.load(settings.model_dir), MiniLMEmbedder()
    reference = ReferenceSet.load(settings.reference_dir, model_fingerprint=model.fingerprint())
    defaults = Defaults.load(settings.defaults_path)
    lines: list[str] = []
    results: dict[str, dict[str, object]] = {}
    for name in SUITES:
        suite = build_suite(SPLITS[name], model, embedder, work)
        rows = measure(model, reference, suite, defaults)
        lines += table(suite, rows)
        outcomes: dict[str, Outcome] = {
            row: compare(rows["router (base)"], right) for row, right in rows.items()
        }
        results[name] = {row: asdict(outcome) for row, outcome in outcomes.items()}
        if name == "test":
            lines += routing_table(model, suite)
    record = {
        "model_fingerprint": model.fingerprint(),
        "reference_set": reference.manifest.content_hash,
        "defaults": defaults.model_dump(mode="json"),
        "suites": results,
    }
    path = SAMPLE_DATA / "evaluation.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    card = CARD.read_text(encoding="utf-8")
    head, rest = card.split(BEGIN)
    tail = rest.split(END)[1]
    CARD.write_text(f"{head}{BEGIN}\n\n" + "\n".join(lines) + f"\n{END}{tail}", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    typer.run(main)
