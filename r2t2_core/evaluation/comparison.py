"""Two runs (or two methods of one run) side by side: which cases were fixed, which were broken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from r2t2_core.errors import RunError
from r2t2_core.evaluation.misrouting import Cases
from r2t2_core.evaluation.statistics import Outcome, compare
from r2t2_core.i18n import N_


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes
    ----------
    cases : Cases
    method : str
    gated : bool
        The router's answer stands where the gate refuses.
    """

    cases: Cases
    method: str
    gated: bool

    def answers(self) -> np.ndarray:
        """Return the answers that stand (N,)."""
        place = self.cases.place(self.method)
        own = self.cases.answer[:, place]
        if not self.gated:
            return own
        stand: np.ndarray = np.where(self.cases.admitted[:, place], own, self.cases.answer[:, 0])
        return stand


@dataclass(frozen=True)
class Comparison:
    """What changed from one side to the other, over the cases that both have.

    Attributes
    ----------
    table : DataFrame
        One row for each common case: case, suite, family, style, question, image, label,
        `before`, `after` (answers), `change` (`fixed`, `broken`, `other` for another wrong answer,
        or an empty word), `first`, `second` (rows in the two sides).
    outcome : Outcome
        Of the second side, against the first.
    only_first, only_second : int
        Cases that one side alone has.
    """

    table: pd.DataFrame
    outcome: Outcome
    only_first: int
    only_second: int


def compare_sides(first: Side, second: Side) -> Comparison:
    """Compare two sides case by case.

    Raises
    ------
    RunError
        They have no case in common.
    """
    left = pd.Index(first.cases.table["case"])
    places = pd.Index(second.cases.table["case"]).get_indexer(left)
    rows = np.flatnonzero(places >= 0)
    if not len(rows):
        raise RunError(
            N_("The two runs have no case in common."),
            N_("Choose two runs of the same suites."),
        )
    others = places[rows]
    was = first.cases.right_after(first.method, first.gated)[rows]
    now = second.cases.right_after(second.method, second.gated)[others]
    before, after = first.answers()[rows], second.answers()[others]
    change = np.select(
        [~was & now, was & ~now, before != after], ["fixed", "broken", "other"], default=""
    )
    columns = ["case", "suite", "family", "style", "question", "image", "label"]
    table = first.cases.table.iloc[rows][columns].reset_index(drop=True)
    table = table.assign(before=before, after=after, change=change, first=rows, second=others)
    return Comparison(
        table,
        compare(was, now),
        len(left) - len(rows),
        len(second.cases) - len(rows),
    )


def changes_by_family(comparison: Comparison) -> pd.DataFrame:
    """Return fixed and broken cases for each family, the most changed first."""
    table = comparison.table
    counted = (
        table.assign(fixed=table["change"] == "fixed", broken=table["change"] == "broken", cases=1)
        .groupby("family", as_index=False)[["cases", "fixed", "broken"]]
        .sum()
    )
    order = (counted["fixed"] + counted["broken"]).sort_values(ascending=False, kind="stable")
    return counted.loc[order.index].reset_index(drop=True)
