"""The reference-set page: what the solved examples are, as a map."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.frame.language import apply_language
from pages.frame.loading import load_engine
from pages.frame.style import STYLE, show_problem
from pages.reference_view.map import show_map
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

VIEWS: dict[str, tuple[str, Callable[[], None]]] = {"map": (N_("Map"), show_map)}
"""Tab → its title and what shows it; only the open one is computed."""


def page() -> None:
    """Show the page."""
    apply_language()
    st.html(STYLE)
    st.title(_("Reference set"), anchor=False)
    try:
        with st.spinner(_("Loading the model")):
            manifest = load_engine().reference.manifest
        st.caption(
            _(
                "“{name}”: {n} solved examples that re-routing learns from. Version {version}."
            ).format(name=manifest.name, n=f"{manifest.size:,}", version=manifest.content_hash[:12])
        )
        view = next(iter(VIEWS))
        if len(VIEWS) > 1:
            view = st.segmented_control(
                _("View"),
                list(VIEWS),
                format_func=lambda name: _(VIEWS[name][0]),
                default=view,
                required=True,
                key="reference.view",
                label_visibility="collapsed",
            )
        VIEWS[view][1]()
    except WorkbenchError as error:
        show_problem(error)


page()
