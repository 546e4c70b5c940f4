"""The few numbers that an executive asks for: how often it helps, how often it harms."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from r2t2_core.errors import RunError
from r2t2_core.evaluation.metrics import BASE
from r2t2_core.evaluation.runner import Run
from r2t2_core.evaluation.statistics import mcnemar_exact, wilson_interval
from r2t2_core.i18n import N_

COLUMNS = ["suite", "sample", "method", "right", "admitted"]


@dataclass(frozen=True)
class Headline:
    """What a method did behind the gate, over all questions of a run.

    Attributes
    ----------
    method : str
    suites, questions : int
    right_before, right_after : int
        Right answers of the router, and of the method where the gate lets it stand.
    fixed, broken : int
        Wrong made right; right made wrong.
    help_low, help_high : float
        95 % interval of the share of wrong answers that were made right.
    harm_low, harm_high : float
        95 % interval of the share of right answers that were made wrong.
    p_value : float
        Exact McNemar test of fixed against broken.
    """

    method: str
    suites: int
    questions: int
    right_before: int
    right_after: int
    fixed: int
    broken: int
    help_low: float
    help_high: float
    harm_low: float
    harm_high: float
    p_value: float

    @property
    def wrong_before(self) -> int:
        """Wrong answers of the router."""
        return self.questions - self.right_before

    @property
    def help_share(self) -> float:
        """Share of wrong answers that were made right; 0 where none was wrong."""
        return self.fixed / self.wrong_before if self.wrong_before else 0.0

    @property
    def harm_share(self) -> float:
        """Share of right answers that were made wrong; 0 where none was right."""
        return self.broken / self.right_before if self.right_before else 0.0


def headline_of(run: Run, method: str) -> Headline:
    """Return the headline of a finished run; reads no more of it than is needed.

    Raises
    ------
    RunError
        The run does not hold the method, or cannot be read.
    """
    try:
        rows = pd.read_parquet(
            run.folder / "results.parquet",
            columns=COLUMNS,
            filters=[("method", "in", [BASE, method])],
        )
    except (OSError, ValueError, KeyError) as error:
        raise RunError(
            N_("The results in {folder} cannot be read: {reason}."),
            N_("Restore the folder from the repository, or run the evaluation again."),
            folder=str(run.folder),
            reason=str(error),
        ) from error
    return headline(rows, method)


def headline(rows: pd.DataFrame, method: str) -> Headline:
    """Return the headline of rows that hold the router and one method.

    Raises
    ------
    RunError
        The rows do not hold the method.
    """
    keys = ["suite", "sample"]
    before = rows[rows["method"] == BASE].set_index(keys)["right"].astype(bool).sort_index()
    own = rows[rows["method"] == method].set_index(keys).sort_index()
    if own.empty or len(before) != len(own):
        raise RunError(
            N_("The run holds no results of {method}."),
            N_("Run the evaluation again with this method."),
            method=method,
        )
    admitted, right = own["admitted"].astype(bool), own["right"].astype(bool)
    after = right.where(admitted, before.reindex(own.index))
    fixed, broken = int((~before & after).sum()), int((before & ~after).sum())
    right_before = int(before.sum())
    wrong_before = len(before) - right_before
    nothing = (0.0, 1.0)
    helped = wilson_interval(fixed, wrong_before) if wrong_before else nothing
    harmed = wilson_interval(broken, right_before) if right_before else nothing
    return Headline(
        method=method,
        suites=int(own.index.get_level_values("suite").nunique()),
        questions=len(own),
        right_before=right_before,
        right_after=int(after.sum()),
        fixed=fixed,
        broken=broken,
        help_low=helped[0],
        help_high=helped[1],
        harm_low=harmed[0],
        harm_high=harmed[1],
        p_value=mcnemar_exact(fixed, broken),
    )
