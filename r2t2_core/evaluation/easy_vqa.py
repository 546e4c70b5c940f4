"""easy-VQA, a suite that nobody here wrote (Zhou 2019, MIT licence; the package `easy-vqa`).

Questions about one coloured shape on a plain ground. Its train split may serve as a reference
pool; its test split is run when it is named. Most shapes are unknown to the shipped model:
answers outside its vocabulary count as wrong.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from r2t2_core.errors import SuiteError
from r2t2_core.evaluation.suites import Suite, SuiteSample, content_hash
from r2t2_core.i18n import N_

NAME = "easy-vqa"

SPELLINGS = {"gray": "grey"}
"""Their spelling → ours."""


def load_easy_vqa(split: str = "test", count: int | None = None, seed: int = 0) -> Suite:
    """Open a split of easy-VQA as a suite.

    Parameters
    ----------
    split : str
        `train` (38,575 questions) or `test` (9,673).
    count : int, optional
        As many questions, drawn by the seed, in the package's order.
    seed : int

    Raises
    ------
    SuiteError
        The package is not installed.
    """
    try:
        package = importlib.import_module("easy_vqa")
    except ImportError as error:
        raise SuiteError(
            N_("The suite easy-vqa needs the package {package}, which is not installed."),
            N_("Install it: pip install {package}"),
            package="easy-vqa==1.0",
        ) from error
    read = package.get_train_questions if split == "train" else package.get_test_questions
    paths = package.get_train_image_paths() if split == "train" else package.get_test_image_paths()
    questions, answers, images = read()
    rows = np.arange(len(questions))
    if count is not None and count < len(rows):
        rows = np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])
    samples = tuple(
        SuiteSample(
            f"{split}-{row:05d}",
            Path(paths[images[row]]),
            questions[row],
            SPELLINGS.get(answers[row], answers[row]),
            family=_family(questions[row], answers[row]),
            style=NAME,
            language="en",
        )
        for row in rows.tolist()
    )
    return Suite(NAME, f"easy-VQA, {split}", samples, (), content_hash(samples))


def _family(question: str, answer: str) -> str:
    """Name what is asked in our families' words: colour, kind, or existence for yes and no."""
    if answer in ("yes", "no"):
        return "existence"
    return "colour" if "color" in question else "kind"
