"""Which runs there are, and what is computed from them once."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from r2t2_core.evaluation.costs import Cost
from r2t2_core.evaluation.metrics import Score, score
from r2t2_core.evaluation.report import costs_of
from r2t2_core.evaluation.runner import Run, finished_runs
from r2t2_core.i18n import gettext as _
from r2t2_core.settings import Settings


def known_runs() -> dict[str, Run]:
    """Return the shipped run and all finished ones of this machine, by folder."""
    settings = Settings.from_environment()
    shipped = settings.sample_data / "evaluation"
    found = [Run.open(shipped)] if (shipped / "results.parquet").is_file() else []
    found += finished_runs(settings.data_dir / "runs")
    return {str(run.folder): run for run in found}


def is_shipped(run: Run) -> bool:
    """Tell the run that came with the product."""
    return run.folder == Settings.from_environment().sample_data / "evaluation"


def run_title(run: Run) -> str:
    """Return a run's name for people."""
    if is_shipped(run):
        return _("Shipped: all suites")
    names = ", ".join(suite["name"] for suite in run.about["suites"])
    count = sum(suite["samples"] for suite in run.about["suites"])
    return f"{names} ({count})"


def picture_path(stored: str) -> Path:
    """Return where a case's picture is; the shipped run's are named from the shipped data on."""
    path = Path(stored)
    return path if path.is_absolute() else Settings.from_environment().sample_data / path


@st.cache_data(show_spinner=False, max_entries=4)
def results_of(folder: str, written: float) -> pd.DataFrame:
    """Return a run's rows; `written` is when they were, so that a new run is read anew."""
    return Run.open(Path(folder)).results


@st.cache_data(show_spinner=False, max_entries=16)
def scores_of(folder: str, written: float, suites: tuple[str, ...]) -> list[Score]:
    """Return the scores of some suites of a run."""
    results = results_of(folder, written)
    return score(results[results["suite"].isin(suites)])


def costs(run: Run) -> list[Cost]:
    """Return a run's measured costs."""
    return costs_of(run)


def bad_rows(run: Run) -> pd.DataFrame:
    """Return the rows of a run's suites that could not be used, and why."""
    path = run.folder / "bad_rows.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return pd.DataFrame(rows, columns=["suite", "row", "reason"])


def written(run: Run) -> float:
    """Return when a run's results were written."""
    return (run.folder / "results.parquet").stat().st_mtime
