"""The live case of the home page: answered on the spot, once in a session."""

from __future__ import annotations

import streamlit as st

from pages.frame.loading import gallery, gallery_picture
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.gallery import GalleryCase
from r2t2_core.i18n import N_

TRIED = 4
"""Cases that are tried, until one is repaired."""


def live_case(engine: Engine) -> tuple[GalleryCase, bytes, Decision]:
    """Return a case of the gallery, its picture and its decision, computed in this session.

    The first case that re-routing repairs, now and here; where none of the first does, the last
    that was tried is shown as it is.
    """
    known = st.session_state.get("home.case")
    if known is None or known[2].system.model_fingerprint_after != engine.model_fingerprint:
        known = _answer(engine)
        st.session_state["home.case"] = known
    found: tuple[GalleryCase, bytes, Decision] = known
    return found


def _answer(engine: Engine) -> tuple[GalleryCase, bytes, Decision]:
    found = None
    for case in sorted(gallery(), key=lambda case: case.outcome != "repaired")[:TRIED]:
        picture = gallery_picture(case.image)
        decision = engine.answer(picture, case.question, label=case.label)
        found = (case, picture, decision)
        if decision.base.answer != case.label == decision.final.answer:
            break
    if found is None:
        raise WorkbenchError(
            N_("The gallery holds no case."), N_("Restore the folder from the repository.")
        )
    return found
