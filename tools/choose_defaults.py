"""Choose strategy, retrieval and thresholds on the validation split.

    python -m tools.choose_defaults

Writes the choice (`sample_data/defaults.json`) and all that was tried
(`sample_data/validation.json`). Rule: the paper's reference policy (`correct_only`) and the
others are all tried; the strategy, policy and k with the highest validation accuracy win, ties go
to the one that breaks fewer answers. The test suites are never read here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from r2t2_core.defaults import Defaults
from r2t2_core.embedding import TaskEmbedder
from r2t2_core.embedding.multilingual import MultilingualEmbedder
from r2t2_core.evaluation.prepared import PreparedSuite, run_suite
from r2t2_core.evaluation.statistics import Outcome, compare
from r2t2_core.gate import GateThresholds
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.store import POLICIES, ReferenceSet
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.settings import Settings
from tools.reach_inputs import PARAPHRASES, UNKNOWN, UNRELATED
from tools.splits import SPLITS
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

PICTURES_WITHIN = 0.995
"""Share of the validation split's pictures that the bound admits."""


def text_bound(index: ReferenceIndex, embedder: TaskEmbedder) -> float:
    """Return the similarity that best parts paraphrases from questions of another world.

    Of the bounds with the highest balanced accuracy, the middle one.
    """
    inside = similarity(index, embedder, PARAPHRASES[::2])
    outside = similarity(index, embedder, (*UNRELATED, *UNKNOWN)[::2])
    candidates = np.arange(0, 1, 0.005)
    balanced = [(inside >= bound).mean() + (outside < bound).mean() for bound in candidates]
    best = candidates[np.isclose(balanced, max(balanced))]
    return round(float(np.median(best)), 3)


def similarity(
    index: ReferenceIndex, embedder: TaskEmbedder, questions: Sequence[str]
) -> np.ndarray:
    """Return the similarity of the nearest reference question to each of some questions."""
    nearest: np.ndarray = (embedder.embed(list(questions)) @ index.reference.embeddings.T).max(1)
    return nearest


def thresholds(
    index: ReferenceIndex, suite: PreparedSuite, embedder: TaskEmbedder
) -> GateThresholds:
    """Choose the bounds of reach, on validation and on questions written by hand."""
    far = index.picture_distance(suite.prepared.image_features.numpy())
    written = len(PARAPHRASES[::2]), len((*UNRELATED, *UNKNOWN)[::2])
    return GateThresholds(
        text_similarity=text_bound(index, embedder),
        image_distance=round(float(np.quantile(far, PICTURES_WITHIN)), 3),
        # Calibrated next, by tools/calibrate_gate.py.
        evidence={},
        harm_bound=1.0,
        confidence=0.0,
        source=(
            f"question: the bound that best parts {written[0]} paraphrases from {written[1]} "
            f"questions of another world; picture: the {PICTURES_WITHIN:.1%} quantile of the "
            f"validation split ({len(suite)} questions)"
        ),
    )


def main(work: Path = Path("build/training")) -> None:
    """Try all candidates on validation and write the winner."""
    settings = Settings()
    model, embedder = (
        SceneMoeAdapter.load(settings.model_dir),
        MultilingualEmbedder(settings.readout_path),
    )
    reference = ReferenceSet.load(settings.reference_dir, model_fingerprint=model.fingerprint())
    index = ReferenceIndex(reference)
    suite = build_suite(SPLITS["validation"], model, embedder, work)
    results: list[tuple[str, RetrievalParams, Outcome]] = []
    for policy in POLICIES:
        for count in NEIGHBOURS:
            retrieval = RetrievalParams.parse({"policy": policy, "n_neighbours": count})
            for label, (strategy, values) in CANDIDATES.items():
                params = parse_params(get_strategy(strategy), values)
                right = run_suite(model, index, suite, retrieval, {strategy: params})
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
    # The control descends as the descent does that it is compared with.
    chosen["random_neighbours"] = dict(chosen["ngd"])
    defaults = Defaults(
        strategy=CANDIDATES[best_label][0],
        retrieval=best_retrieval,
        parameters=chosen,
        thresholds=thresholds(index, suite, embedder),
        chosen_on=(
            f"validation split, {best.cases} questions: highest accuracy of {len(results)} "
            f"candidates ({best.accuracy:.1%}), then fewest broken answers"
        ),
    )
    settings.defaults_path.write_text(
        json.dumps(defaults.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    tried = [
        {
            "candidate": label,
            "policy": retrieval.policy,
            "n_neighbours": retrieval.n_neighbours,
            "accuracy": round(outcome.accuracy, 4),
            "fixed": outcome.fixed,
            "broken": outcome.broken,
        }
        for label, retrieval, outcome in results
    ]
    path = settings.sample_data / "validation.json"
    path.write_text(json.dumps(tried, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
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
