"""Choose strategy, retrieval and thresholds on the validation split (`sample_data/defaults.json`).

    python -m tools.choose_defaults

Rule: the paper's reference policy (`correct_only`) and the others are all tried; the
strategy, policy and k with the highest validation accuracy win, ties go to the one that
breaks fewer answers. The test suites are never read here.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from r2t2_core.defaults import Defaults
from r2t2_core.embedding.minilm import MiniLMEmbedder
from r2t2_core.evaluation.statistics import Outcome, compare
from r2t2_core.evaluation.suite import Suite, run_suite
from r2t2_core.gate import GateThresholds
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.reference.index import RetrievalParams, image_distance
from r2t2_core.reference.store import POLICIES, ReferenceSet
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.settings import Settings
from tools.out_of_world import QUESTIONS
from tools.scene_data import SPLITS
from tools.suites import build_suite

CANDIDATES: dict[str, tuple[str, dict[str, float | int | str]]] = {
    "ngd, λ 0.3": ("ngd", {"step_size": 0.3}),
    "ngd, λ 0.5": ("ngd", {"step_size": 0.5}),
    "ngd, λ 1.0": ("ngd", {"step_size": 1.0}),
    "kernel_regression, α 0": ("kernel_regression", {"alpha_mode": "fixed", "alpha": 0.0}),
    "kernel_regression, search": ("kernel_regression", {"alpha_mode": "search"}),
    "mode_finding, α 0.5": ("mode_finding", {"alpha": 0.5}),
    "mode_finding, α 0": ("mode_finding", {"alpha": 0.0}),
}

NEIGHBOURS = (3, 5, 10, 20)


def thresholds(reference: ReferenceSet, suite: Suite, embedder: MiniLMEmbedder) -> GateThresholds:
    """Put the bounds of reach between validation queries and what is not of this world.

    Validation questions share wordings with the reference set; a user's do not. So the nearest
    reference question counts only where it is not nearly the same (similarity 0.95 or less).
    """
    questions = np.unique(reference.embeddings, axis=0).T
    similarity = suite.embeddings @ questions
    other_words = np.where(similarity <= 0.95, similarity, -1).max(1)
    unrelated = (embedder.embed(list(QUESTIONS)) @ questions).max(1)
    far = image_distance(reference, suite.prepared.image_features.numpy())
    between = (np.quantile(other_words, 0.01) + np.quantile(unrelated, 0.95)) / 2
    return GateThresholds(
        text_similarity=round(float(between), 3),
        image_distance=round(float(np.quantile(far, 0.99)) * 1.25, 3),
        source=(
            f"validation split ({len(suite)} questions) and {len(QUESTIONS)} unrelated questions: "
            "text midway between the 1st percentile of the nearest differently worded reference "
            "question and the 95th percentile of the unrelated ones; picture a quarter above the "
            "99th percentile of validation"
        ),
    )


def main(work: Path = Path("build/training")) -> None:
    """Try all candidates on validation and write the winner."""
    settings = Settings()
    model, embedder = SceneMoeAdapter.load(settings.model_dir), MiniLMEmbedder()
    reference = ReferenceSet.load(settings.reference_dir, model_fingerprint=model.fingerprint())
    suite = build_suite(SPLITS["validation"], model, embedder, work)
    results: list[tuple[str, RetrievalParams, Outcome]] = []
    for policy in POLICIES:
        for count in NEIGHBOURS:
            retrieval = RetrievalParams.parse({"policy": policy, "n_neighbours": count})
            for label, (strategy, values) in CANDIDATES.items():
                params = parse_params(get_strategy(strategy), values)
                right = run_suite(model, reference, suite, retrieval, {strategy: params})
                results.append((label, retrieval, compare(right["base"], right[strategy])))
    results.sort(key=lambda entry: (-entry[2].right, entry[2].broken))
    best_label, best_retrieval, best = results[0]
    chosen: dict[str, dict[str, float | int | str | bool | None]] = {}
    for strategy in ("ngd", "kernel_regression", "mode_finding"):
        label = next(
            name for name, retrieval, _ in results
            if CANDIDATES[name][0] == strategy and retrieval == best_retrieval
        )  # fmt: skip
        chosen[strategy] = dict(CANDIDATES[label][1])
    defaults = Defaults(
        strategy=CANDIDATES[best_label][0],
        retrieval=best_retrieval,
        parameters=chosen,
        thresholds=thresholds(reference, suite, embedder),
        chosen_on=(
            f"validation split, {best.cases} questions: highest accuracy of {len(results)} "
            f"candidates ({best.accuracy:.1%}), then fewest broken answers"
        ),
    )
    settings.defaults_path.write_text(
        json.dumps(defaults.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    table = Table("candidate", "policy", "k", "accuracy", "fixed", "broken")
    for label, retrieval, outcome in results[:12]:
        row = (outcome.accuracy, outcome.fixed, outcome.broken)
        table.add_row(
            label,
            retrieval.policy,
            str(retrieval.n_neighbours),
            f"{row[0]:.1%}",
            *map(str, row[1:]),
        )
    Console().print(table)
    print(defaults.model_dump_json(indent=1))


if __name__ == "__main__":
    typer.run(main)
