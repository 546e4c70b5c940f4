"""What it costs, in the same terms for three ways to mend a misrouting model."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from pages.frame.language import apply_language
from pages.frame.style import heading
from r2t2_core.evaluation.headline import Headline
from r2t2_core.evaluation.upkeep import Upkeep
from r2t2_core.i18n import gettext as _

HOUR = 3600


@dataclass(frozen=True)
class Way:
    """One way to mend the model.

    Attributes
    ----------
    name : str
        Translated.
    once : float or None
        Seconds before it helps; None where nobody measured them.
    each : float or None
        Seconds that it adds to one question.
    changes : str
        Which weights it changes, translated.
    outcome : Headline or None
        What it repaired and broke; None where nobody measured it.
    """

    name: str
    once: float | None
    each: float | None
    changes: str
    outcome: Headline | None

    def seconds(self, questions: int) -> float | None:
        """Return all seconds for so many questions."""
        if self.once is None or self.each is None:
            return None
        return self.once + questions * self.each


def ways(upkeep: Upkeep, rerouted: Headline, finetuned: Headline | None) -> list[Way]:
    """Return the three ways, as they were measured."""
    return [
        Way(
            _("Re-routing"),
            upkeep.reference_seconds,
            upkeep.rerouting_seconds,
            _("none"),
            rerouted,
        ),
        Way(
            _("Fine-tuning the router"),
            upkeep.finetuning_seconds,
            0.0,
            _("the router's"),
            finetuned,
        ),
        Way(
            _("Training again"),
            upkeep.training_seconds,
            0.0 if upkeep.training_seconds is not None else None,
            _("all"),
            None,
        ),
    ]


def cost_table(entries: list[Way], questions: int, rate: float) -> pd.DataFrame:
    """Return one row for each way: seconds, money at the reader's rate, what it mends."""
    unknown = _("not measured")
    rows = []
    for way in entries:
        total = way.seconds(questions)
        rows.append(
            {
                _("way"): way.name,
                _("weights changed"): way.changes,
                _("once (s)"): unknown if way.once is None else f"{way.once:,.1f}",
                _("every 1,000 questions (s)"): unknown
                if way.each is None
                else f"{1000 * way.each:,.1f}",
                _("together, {count} questions (s)").format(count=f"{questions:,}"): unknown
                if total is None
                else f"{total:,.1f}",
                _("in money"): unknown if total is None else f"{total / HOUR * rate:,.4f}",
                _("repairs / breaks"): unknown
                if way.outcome is None
                else f"{way.outcome.fixed:,} / {way.outcome.broken:,}",
            }
        )
    return pd.DataFrame(rows)


@st.fragment
def show_costs(upkeep: Upkeep | None, rerouted: Headline, finetuned: Headline | None) -> None:
    """Show the comparison; without a measurement, say how to make one."""
    apply_language()
    heading(_("What it costs, against changing the model"))
    if upkeep is None:
        st.caption(
            _(
                "Times of this model were not measured yet: `python -m tools.measure_upkeep` does, "
                "in a few minutes. Nothing is estimated here."
            )
        )
        return
    left, right, _rest = st.columns([2, 2, 4])
    questions = left.number_input(
        _("Questions"), 1, 100_000_000, 1000, step=1000, key="cost.questions"
    )
    rate = right.number_input(
        _("Price of an hour of this machine"), 0.0, 100_000.0, 1.0, step=0.5, key="cost.rate",
        help=_("In your own currency; the price is yours, the seconds are measured."),
    )  # fmt: skip
    table = cost_table(ways(upkeep, rerouted, finetuned), int(questions), float(rate))
    st.dataframe(table, hide_index=True, width="stretch")
    st.caption(
        _(
            "Measured on {device}, {cores} cores, {threads} threads: the median of {count} "
            "questions, one at a time; “once” is building {samples} solved examples, fine-tuning "
            "on the same ones, or the training time that the model's own training wrote down "
            "({source}). Fine-tuning and training must be done again when the world changes, and "
            "so must building examples."
        ).format(
            device=upkeep.device,
            cores=upkeep.cores,
            threads=upkeep.threads,
            count=upkeep.questions,
            samples=f"{upkeep.reference_samples:,}",
            source=upkeep.training_source or _("not measured"),
        )
    )
