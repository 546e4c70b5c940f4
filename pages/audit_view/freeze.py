"""Freeze proof: the model's fingerprint when it was loaded, now, and at every decision."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.audit_view.words import moment
from pages.frame.loading import load_engine
from pages.frame.style import show_problem
from r2t2_core.audit.access import Principal
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.search import fingerprints
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _


def show_freeze(recorder: Recorder, who: Principal) -> None:
    """Show that no weight of the model was changed."""
    with st.expander(_("Was the model changed?"), icon=":material/ac_unit:"):
        st.caption(
            _(
                "A fingerprint is a hash over every weight of the model. It is taken when the "
                "model is loaded, after every answer, and now."
            )
        )
        found = fingerprints(recorder, who)
        st.dataframe(
            pd.DataFrame(
                {
                    _("fingerprint at the decisions"): [row.fingerprint for row in found],
                    _("decisions"): [row.decisions for row in found],
                    _("first (UTC)"): [moment(row.first_at) for row in found],
                    _("last (UTC)"): [moment(row.last_at) for row in found],
                }
            ),
            hide_index=True,
            width="stretch",
        )
        if not st.button(_("Compare with the model now"), key="audit.freeze"):
            return
        try:
            with st.spinner(_("Hashing the model")):
                engine = load_engine()
                now = engine.model.fingerprint()
        except WorkbenchError as error:
            show_problem(error)
            return
        rows = {_("when it was loaded"): engine.model_fingerprint, _("now"): now}
        st.dataframe(
            {_("when"): list(rows), _("fingerprint"): list(rows.values())},
            hide_index=True,
            width="stretch",
        )
        others = sum(row.decisions for row in found if row.fingerprint != now)
        if now != engine.model_fingerprint:
            st.error(_("The model was changed since it was loaded."))
        elif others:
            st.warning(
                _(
                    "Unchanged since it was loaded; {n} decisions were made by another model."
                ).format(n=f"{others:,}")
            )
        else:
            st.success(_("The same model at loading, now, and at every decision."))
