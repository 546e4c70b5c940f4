"""The map of a reference set: who is near whom, coloured; a lasso chooses, a query is drawn in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from pages.frame.case_words import family_title, style_title
from pages.frame.language import apply_language
from pages.frame.loading import load_engine
from pages.frame.words import EXPERTS
from pages.reference_view.chosen import Chosen, choose, chosen_rows, drawn_rows, rows_of_event
from pages.reference_view.fitting import fitted
from pages.reference_view.samples import Samples, samples_of, vectors_of
from pages.reference_view.search import show_search
from pages.reference_view.selection import show_selection
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.figures.reference_map import (
    Group,
    Marked,
    groups_of,
    groups_of_experts,
    reference_map,
)
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.projection import N_NEIGHBOURS, Projection, place_points, routing_vectors

SPACES = {"questions": N_("Questions"), "routing": N_("Routing")}

COLOURS = {
    "family": N_("family of the question"),
    "expert": N_("expert that the router asks most"),
    "refined": N_("expert that would be right (refined routing)"),
    "correct": N_("whether the router is right"),
    "style": N_("source (style of the picture)"),
    "density": N_("how dense the set is here"),
}

TALKATIVE = 10_000
"""Up to so many samples a point shows its question; beyond that, its id."""

CONFIG = {
    "scrollZoom": True,
    "displaylogo": False,
    "displayModeBar": True,
    "modeBarButtons": [["lasso2d", "select2d", "pan2d"],
                       ["zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
}  # fmt: skip


def show_map() -> None:
    """Show the map with everything that belongs to it."""
    engine = load_engine()
    version = engine.reference.manifest.content_hash
    samples = samples_of(version)
    left, right = st.columns([2, 3], gap="medium")
    space = left.segmented_control(
        _("Near on the map are samples with similar"),
        list(SPACES),
        format_func=lambda name: _(SPACES[name]),
        default="questions",
        required=True,
        key="map.space",
    )
    colour = right.selectbox(
        _("Colour"), list(COLOURS), format_func=lambda name: _(COLOURS[name]), key="map.colour"
    )
    show_search(engine, samples)
    projection = fitted(version, space)
    if projection is None:
        return
    _explore(engine, samples, projection, colour)


@st.fragment
def _explore(engine: Engine, samples: Samples, projection: Projection, colour: str) -> None:
    """Show the map and what is chosen on it; a lasso runs this part alone."""
    apply_language()
    version, space = projection.content_hash, projection.space
    chosen = chosen_rows(version)
    key = f"map.chart.{space}"

    def take() -> None:
        rows = rows_of_event(st.session_state[key].selection)
        choose(Chosen(version, rows), on_map=True)

    groups, shade = coloured(samples, projection, colour)
    decision = current_decision(version)
    selected, revision = drawn_rows((version, space, colour), chosen)
    figure = reference_map(
        projection.coordinates,
        groups,
        hover_texts(samples.table),
        selected=selected,
        shade=shade,
        shade_title=_("share of samples in sparser places"),
        marked=None if decision is None else mark(engine, samples, projection, decision),
        revision=revision,
    )
    st.plotly_chart(
        figure,
        key=key,
        config=CONFIG,
        on_select=take,
        selection_mode=("lasso", "box", "points"),
        alt=_("Map of the reference set"),
    )
    st.caption(about(projection, decision is not None))
    show_selection(samples, chosen)


def coloured(
    samples: Samples, projection: Projection, colour: str
) -> tuple[list[Group], np.ndarray | None]:
    """Return the groups of samples that share a colour, or a shade (N,) for all of them."""
    table = samples.table
    everything = np.arange(len(table))
    if colour == "density":
        # By rank: similarities crowd together near one.
        order = pd.Series(projection.nearness).rank(pct=True).to_numpy()
        return [Group(_("sample"), everything, "")], order
    if colour == "correct":
        right, refined = table["is_correct"].to_numpy(), table["refined_correct"].to_numpy()
        parts = (
            (_("the router is right"), right, "#3f8fd2", "circle"),
            (_("right with refined routing alone"), ~right & refined, "#e69f00", "diamond"),
            (_("wrong with both"), ~right & ~refined, "#d83c28", "square"),
        )
        return [
            Group(name, np.flatnonzero(mask), tone, symbol)
            for name, mask, tone, symbol in parts
            if mask.any()
        ], None
    if colour in ("expert", "refined"):
        names = [_(EXPERTS.get(name, name)) for name in samples.experts]
        weights = samples.routing if colour == "expert" else samples.refined
        return groups_of_experts(weights.argmax(1), names), None
    title = family_title if colour == "family" else style_title
    values = table[colour].tolist()
    return groups_of(values, {value: title(value) for value in set(values)}), None


def hover_texts(table: pd.DataFrame) -> Sequence[str]:
    """Return what points say when they are pointed at."""
    if len(table) > TALKATIVE:
        return table["id"].tolist()
    return [
        f"{question} → {label}"
        for question, label in zip(table["question"], table["label"], strict=True)
    ]


def current_decision(version: str) -> Decision | None:
    """Return the re-route page's present decision, where it used this version."""
    _key, decision = st.session_state.get("decision", (None, None))
    if decision is None or decision.reference.content_hash != version:
        return None
    return decision


def mark(
    engine: Engine, samples: Samples, projection: Projection, decision: Decision
) -> Marked | None:
    """Return a decision's query, its neighbours and its way on the map."""
    vectors = vectors_of(projection.content_hash, projection.space)
    if projection.space == "questions":
        points = engine.embedder.embed([decision.input.question])
    else:
        steps = decision.trajectory(decision.strategy).steps
        points = routing_vectors(np.array([step.routing for step in steps], dtype=np.float32))
    rows = [samples.rows[entry.id] for entry in decision.neighbours if entry.id in samples.rows]
    return Marked(
        decision.input.question,
        place_points(points, vectors, projection.coordinates),
        projection.coordinates[rows],
        [samples.table["question"].iloc[row] for row in rows],
    )


def about(projection: Projection, with_query: bool) -> str:
    """Say how far the map is to be trusted, and how to use it."""
    count = len(projection.coordinates)
    sentences = [
        _("Draw around samples to choose them; the wheel zooms; a double click chooses none."),
        _(
            "A map of {n} samples in two dimensions (UMAP) has to tear neighbours apart: of a "
            "sample's {k} nearest {kept} are among its {k} nearest here; by chance it would be "
            "{chance}. Directions and distances of far groups mean nothing."
        ).format(
            n=f"{count:,}",
            k=N_NEIGHBOURS,
            kept=f"{projection.preserved:.0%}",
            chance=f"{min(1.0, N_NEIGHBOURS / max(count - 1, 1)):.1%}",
        ),
        _("Samples with the same words share a place and are spread around it."),
    ]
    if with_query:
        sentences.append(
            _(
                "The star is the question of the re-route page: a new point is placed at the "
                "average of its 5 nearest samples' places, weighted by nearness, and the map does "
                "not move."
            )
        )
    else:
        sentences.append(_("Answer a question on the re-route page to see it here."))
    return " ".join(sentences)
