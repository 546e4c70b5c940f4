"""What is chosen on the map: a table with pictures, and its routing against the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.frame.case_words import family_title
from pages.frame.cases import Case, hand_over
from pages.frame.loading import load_engine
from pages.frame.style import CHART, heading
from pages.frame.thumbnails import thumbnail
from pages.frame.words import EXPERTS, YES_NO
from pages.reference_view.chosen import Chosen, choose
from pages.reference_view.samples import Samples
from r2t2_core.figures.reference_map import composition, routing_profile
from r2t2_core.i18n import gettext as _

PAGE = 48
"""Samples on a page of the table."""


def show_selection(samples: Samples, chosen: Chosen | None) -> None:
    """Show the chosen samples; without a choice, the set as a whole."""
    if chosen is None:
        heading(_("The whole reference set"))
        _profile(samples, np.arange(len(samples.table)))
        return
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    with left:
        heading(_("{count} samples are chosen").format(count=f"{len(chosen.rows):,}"))
    right.button(
        _("Choose none"),
        key="map.none",
        icon=":material/deselect:",
        width="stretch",
        on_click=choose,
        args=(None,),
    )
    _profile(samples, chosen.rows)
    _table(samples, chosen)


def _profile(samples: Samples, rows: np.ndarray) -> None:
    inside = np.zeros(len(samples.table), dtype=bool)
    inside[rows] = True
    st.markdown(sentence(samples.table, inside))
    names = [_(EXPERTS.get(name, name)) for name in samples.experts]
    left, right = st.columns(2, gap="medium")
    with left, st.container(gap="xsmall"):
        st.caption(_("Routing weights that the router chose, on average"))
        figure = routing_profile(names, samples.routing[inside], samples.routing[~inside])
        st.plotly_chart(figure, key="map.profile", config=CHART)
    with right, st.container(gap="xsmall"):
        st.caption(_("Families of questions"))
        table = shares(samples.table["family"], inside)
        figure = composition(
            [family_title(name) for name in table.index],
            table["selection"].tolist(),
            table["rest"].tolist() if not inside.all() else [0.0] * len(table),
        )
        st.plotly_chart(figure, key="map.families", config=CHART)
    with st.expander(_("The numbers")):
        st.dataframe(profile_table(samples, inside), hide_index=True, width="stretch")


def sentence(table: pd.DataFrame, inside: np.ndarray) -> str:
    """Say how often the router is right on the chosen samples, and on the rest."""
    right, refined = table["is_correct"].to_numpy(), table["refined_correct"].to_numpy()
    text = _(
        "The router answers **{right}** of these {n} samples correctly, the refined routing "
        "**{refined}**."
    ).format(
        right=f"{right[inside].mean():.1%}",
        refined=f"{refined[inside].mean():.1%}",
        n=f"{int(inside.sum()):,}",
    )
    if inside.all():
        return text
    rest = _("Of the rest it is {right} and {refined}.").format(
        right=f"{right[~inside].mean():.1%}", refined=f"{refined[~inside].mean():.1%}"
    )
    return f"{text} {rest}"


def shares(values: pd.Series, inside: np.ndarray) -> pd.DataFrame:
    """Return the share of each value in the selection and in the rest, the largest first."""
    table = pd.DataFrame(
        {
            "selection": values[inside].value_counts(normalize=True),
            "rest": values[~inside].value_counts(normalize=True),
        }
    ).fillna(0.0)
    return table.sort_values("selection", ascending=False, kind="stable")


def profile_table(samples: Samples, inside: np.ndarray) -> pd.DataFrame:
    """Return the mean weight of each expert in the selection and in the rest."""
    chosen, rest = samples.routing[inside], samples.routing[~inside]
    table = pd.DataFrame(
        {
            _("expert"): [_(EXPERTS.get(name, name)) for name in samples.experts],
            _("selection"): chosen.mean(0).round(4),
        }
    )
    if len(rest):
        table[_("the rest")] = rest.mean(0).round(4)
        table[_("difference")] = (chosen.mean(0) - rest.mean(0)).round(4)
    return table


def _table(samples: Samples, chosen: Chosen) -> None:
    pages = -(-len(chosen.rows) // PAGE)
    page = 1
    if pages > 1:
        page = st.number_input(
            _("Page (of {pages})").format(pages=pages), 1, pages, 1, key="map.page", width=160
        )
    rows = chosen.rows[(page - 1) * PAGE : page * PAGE]
    table = sample_table(samples, chosen, rows)
    # A stacked set keeps the pictures of each layer in that layer's own folder.
    picture_of = load_engine().reference.image_path
    table.insert(0, _("picture"), [thumbnail(picture_of(int(row))) for row in rows])
    event = st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        row_height=64,
        height=min(420, 40 + 64 * len(table)),
        on_select="rerun",
        selection_mode="single-row",
        key=f"map.table.{page}.{hash(chosen.rows.tobytes())}",
        column_config={
            _("picture"): st.column_config.ImageColumn(width="small"),
            _("routing"): st.column_config.BarChartColumn(
                help=_("Routing weights, in the order of the experts"), y_min=0, y_max=1
            ),
            _("similarity"): st.column_config.NumberColumn(format="%.3f", width="small"),
        },
    )
    left, right, _rest = st.columns([1, 1, 2])
    left.download_button(
        _("Chosen samples (CSV)"),
        samples.table.iloc[chosen.rows].to_csv(index=False),
        "samples.csv",
        "text/csv",
        key="map.csv",
        on_click="ignore",
        icon=":material/table:",
        width="stretch",
    )
    if not event.selection.rows:
        right.caption(_("Choose a row to open it."))
        return
    place = int(rows[event.selection.rows[0]])
    row = samples.table.iloc[place]
    if right.button(
        _("Open on the re-route page"), key="map.open", type="primary", width="stretch"
    ):
        picture = picture_of(place).read_bytes()
        hand_over(Case(picture, str(row["question"]), str(row["label"])))
        st.switch_page("pages/reroute.py")


def sample_table(samples: Samples, chosen: Chosen, rows: np.ndarray) -> pd.DataFrame:
    """Return what the list shows of some chosen rows."""
    part = samples.table.iloc[rows]
    table = pd.DataFrame(
        {
            _("question"): part["question"].tolist(),
            _("label"): part["label"].tolist(),
            _("router's answer"): part["model_answer"].tolist(),
            _("right?"): [_(YES_NO[bool(value)]) for value in part["is_correct"]],
            _("family"): [family_title(name) for name in part["family"]],
            _("routing"): [weights.tolist() for weights in samples.routing[rows]],
            _("sample"): part["id"].tolist(),
        }
    )
    if chosen.similarity is not None:
        place = {row: number for number, row in enumerate(chosen.rows.tolist())}
        found = [float(chosen.similarity[place[row]]) for row in rows.tolist()]
        table.insert(2, _("similarity"), found)
    return table
