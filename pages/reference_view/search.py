"""Search in the reference set by words, by picture, by id; what is found is chosen on the map."""

from __future__ import annotations

import streamlit as st

from pages.frame.style import show_problem
from pages.reference_view.chosen import Chosen, choose
from pages.reference_view.samples import Samples
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.reference_search import Hits, by_id, by_picture, by_words

WAYS = {"words": N_("By words"), "picture": N_("By picture"), "id": N_("By id")}

FOUND = 40
"""Samples that a search finds."""


def show_search(engine: Engine, samples: Samples) -> None:
    """Show the search."""
    with st.expander(_("Search"), icon=":material/search:"):
        way = st.segmented_control(
            _("Search"),
            list(WAYS),
            format_func=lambda name: _(WAYS[name]),
            default="words",
            required=True,
            key="map.search.way",
            label_visibility="collapsed",
        )
        try:
            hits = _ask(engine, samples, way)
        except WorkbenchError as error:
            show_problem(error)
            return
        if hits is None:
            return
        if not len(hits.rows):
            st.caption(_("Nothing was found."))
            return
        version = engine.reference.manifest.content_hash
        choose(Chosen(version, hits.rows, hits.similarity))


def _ask(engine: Engine, samples: Samples, way: str) -> Hits | None:
    """Show the field of one way to search; return what a new search found."""
    if way == "picture":
        st.caption(_("The samples with the most similar pictures, as the model sees them."))
        file = st.file_uploader(_("Picture"), type=None, key="map.search.picture")
        if st.button(_("Search"), key="map.search.go", disabled=file is None) and file is not None:
            return by_picture(engine, file.getvalue(), FOUND)
        return None
    with st.form("map.search.form", border=False):
        if way == "words":
            text = st.text_input(
                _("A question, or words of one"), key="map.search.words", max_chars=300
            )
        else:
            text = st.text_input(_("Id of a sample, or a part of it"), key="map.search.id")
        pressed = st.form_submit_button(_("Search"))
    if not pressed:
        return None
    if way == "words":
        return by_words(engine, text, FOUND)
    return by_id(samples.table["id"].to_numpy(), text, FOUND)
