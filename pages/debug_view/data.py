"""What the page computes from a run, once: cases, features, slices; and where notes are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from r2t2_core.annotations import AnnotationStore
from r2t2_core.evaluation.misrouting import Cases, Misrouting, find_misrouted, load_cases
from r2t2_core.evaluation.runner import Run
from r2t2_core.evaluation.slices import SliceReport, describe, find_slices
from r2t2_core.settings import Settings


@dataclass(frozen=True)
class View:
    """What the person looks at.

    Attributes
    ----------
    folder : str
        Of the run.
    when : float
        When its results were written, so that a new run is read anew.
    cases : Cases
    found : Misrouting
    method : str
        The strategy or baseline whose repairs and harm are shown.
    gated : bool
        Its answers stand only where the gate admits them.
    chosen : ndarray (N,), bool
        Cases of the chosen families and styles.
    titles : dict
        Method → short title.
    experts : list of str
        Names in the active language.
    """

    folder: str
    when: float
    cases: Cases
    found: Misrouting
    method: str
    gated: bool
    chosen: np.ndarray
    titles: dict[str, str]
    experts: list[str]

    @property
    def after(self) -> np.ndarray:
        """Right/wrong (N,), bool, under the method that is shown."""
        return self.cases.right_after(self.method, self.gated)

    @property
    def missed(self) -> np.ndarray:
        """Misrouted cases (N,), bool, that the method does not repair."""
        missed: np.ndarray = self.found.misrouted & ~self.after
        return missed

    @property
    def broken(self) -> np.ndarray:
        """Right answers (N,), bool, that the method makes wrong."""
        broken: np.ndarray = self.cases.right[:, 0] & ~self.after
        return broken


# Shared by all sessions and never changed: a copy for each run of the script would take longer than
# all that is computed from it.
@st.cache_resource(show_spinner=False, max_entries=4)
def cases_of(folder: str, when: float) -> Cases:
    """Return a run's cases."""
    return load_cases(Run.open(Path(folder)))


@st.cache_resource(show_spinner=False, max_entries=8)
def misrouting_of(folder: str, when: float, ceiling: str) -> Misrouting:
    """Return what was misrouted in a run, under a ceiling."""
    return find_misrouted(cases_of(folder, when), ceiling)


@st.cache_resource(show_spinner=False, max_entries=4)
def features_of(folder: str, when: float) -> pd.DataFrame:
    """Return what slices of a run are made of."""
    return describe(cases_of(folder, when).table)


@st.cache_resource(show_spinner=False, max_entries=32)
def slices_of(folder: str, when: float, ceiling: str, method: str, gated: bool,
              kind: str) -> SliceReport:  # fmt: skip
    """Return the slices with the most harm (`broken`) or the most missed repairs (`missed`)."""
    cases, found = cases_of(folder, when), misrouting_of(folder, when, ceiling)
    after = cases.right_after(method, gated)
    at_risk = cases.right[:, 0] if kind == "broken" else found.misrouted
    return find_slices(features_of(folder, when), at_risk, at_risk & ~after)


def notes() -> AnnotationStore:
    """Return where tags and notes are kept."""
    return AnnotationStore(Settings.from_environment().data_dir / "annotations.sqlite")
