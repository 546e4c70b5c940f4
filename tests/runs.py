"""Small evaluation runs with known answers, as the runner would have written them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from r2t2_core.evaluation.runner import Run

EXPERTS = ("colour", "position", "language")

ONE_HOT = {0: [0.8, 0.1, 0.1], 1: [0.1, 0.8, 0.1], 2: [0.1, 0.1, 0.8]}
"""Heaviest expert → routing."""


def write_run(
    folder: Path,
    answers: Mapping[str, Sequence[str]],
    labels: Sequence[str],
    experts: Mapping[str, Sequence[int]],
    *,
    families: Sequence[str] | None = None,
    questions: Sequence[str] | None = None,
    admitted: Mapping[str, Sequence[bool]] | None = None,
    similarity: Sequence[float] | None = None,
    images: Sequence[str] | None = None,
    suite: str = "small",
    content_hash: str = "c" * 64,
    key: str = "k" * 64,
) -> Run:
    """Write a run.

    Parameters
    ----------
    folder : Path
    answers : mapping
        Method → answer to each case; the first method is the router.
    labels : sequence of str
    experts : mapping
        Method → heaviest expert for each case.
    families, questions, admitted, similarity, images : sequences, optional
    suite, content_hash, key : str
    """
    rows = []
    for place, label in enumerate(labels):
        for method, given in answers.items():
            right = given[place] == label
            rows.append(
                {
                    "suite": suite,
                    "sample": f"{place:04d}",
                    "method": method,
                    "family": families[place] if families else "where",
                    "style": "plain" if place % 2 else "varied",
                    "language": "en",
                    "question": questions[place] if questions else f"where is thing {place}?",
                    "image": images[place] if images else f"/nowhere/{place}.jpg",
                    "label": label,
                    "in_vocabulary": True,
                    "answer": given[place],
                    "probability": 0.9,
                    "label_probability": 0.9 if right else 0.01 * (place % 9 + 1),
                    "right": right,
                    "admitted": admitted[method][place] if admitted else True,
                    "routing": ONE_HOT[experts[method][place]],
                    "text_similarity": similarity[place] if similarity else 0.9,
                }
            )
    folder.mkdir(parents=True)
    # As written by batches: one method's rows together, cases in between.
    frame = pd.DataFrame(rows).sort_values("method", kind="stable")
    frame.to_parquet(folder / "results.parquet", index=False)
    about = {
        "key": key,
        "experts": list(EXPERTS),
        "methods": [{"spec": method} for method in answers],
        "suites": [{"name": suite, "content_hash": content_hash, "samples": len(labels)}],
        "reference_set": "a reference set",
        "limit": None,
    }
    (folder / "run.json").write_text(json.dumps(about), encoding="utf-8")
    (folder / "bad_rows.json").write_text("[]", encoding="utf-8")
    return Run.open(folder)
