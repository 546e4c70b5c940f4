"""What happens when one thing is changed: the shipped ablations, as curves."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd
import streamlit as st

from pages.frame.style import CHART, heading, show_problem
from pages.frame.words import method_titles
from r2t2_core.errors import WorkbenchError
from r2t2_core.evaluation.ablations import Ablation
from r2t2_core.figures.ablations import ablation_curve
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.settings import Settings

AXES = {
    "policy": N_("reference policy"),
    "n_neighbours": N_("number of neighbours k"),
    "radius": N_("least similarity of a ball's neighbours"),
    "kernel": N_("kernel"),
    "bandwidth_rule": N_("rule of the kernel's bandwidth"),
    "image_share": N_("share of the picture in the similarity"),
    "steps": N_("number of steps"),
    "step_size": N_("first step size λ"),
    "final_step_size": N_("last step size; as the first, the schedule is constant"),
    "optimiser": N_("optimiser"),
    "alpha": N_("share of the way that is not gone, α"),
    "alpha_mode": N_("how α is found"),
    "reference size": N_("samples in the reference set"),
    "label noise": N_("share of the references with a wrong label"),
    "mismatch": N_("references of other families or another trade alone"),
}
"""Axis → what it is called."""


def show_ablations() -> None:
    """Show one axis of the shipped ablations, and its numbers."""
    path = Settings.from_environment().sample_data / "evaluation" / "ablations.json"
    if not path.is_file():
        return
    heading(_("When one thing is changed"))
    try:
        ablation = Ablation.read(path)
    except WorkbenchError as error:
        show_problem(error)
        return
    axes = list(dict.fromkeys(point.axis for point in ablation.points))
    axis = st.selectbox(
        _("What is changed"),
        axes,
        format_func=lambda name: _(AXES.get(name, name)),
        key="ablation.axis",
    )
    titles = method_titles(dict.fromkeys(point.strategy for point in ablation.points))
    figure = ablation_curve(ablation.points, axis, titles, _(AXES.get(axis, axis)))
    st.plotly_chart(figure, key="c.ablation", config=CHART)
    st.caption(
        _(
            "All else is as validation chose it; {count} questions of the test suites, which chose "
            "nothing."
        ).format(count=f"{ablation.about['questions']:,}")
    )
    rows = [
        {"strategy": point.strategy, "axis": point.axis, "value": point.value} | asdict(point.score)
        for point in ablation.points
    ]
    st.download_button(
        _("Ablations (CSV)"), pd.DataFrame(rows).to_csv(index=False), "ablations.csv", "text/csv",
        key="ablations.csv", on_click="ignore", icon=":material/table:",
    )  # fmt: skip
