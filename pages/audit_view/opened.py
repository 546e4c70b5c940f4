"""One entry, opened: read-only, as it was shown; its history; replay, review, export."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from pages.audit_view.review import show_export, show_replay, show_review
from pages.audit_view.words import SIGN_OFFS, VERDICTS, kind_name, moment
from pages.frame.style import heading, show_problem
from pages.reroute_view.details import show_neighbours, show_numbers, show_trajectories
from pages.reroute_view.story import show_story
from r2t2_core.audit.access import Principal
from r2t2_core.audit.entries import DECISION
from r2t2_core.audit.log import Stored
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.restoring import decision_of
from r2t2_core.decision import Decision
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _
from r2t2_core.intake.image import read_image
from r2t2_core.reference.store import Manifest
from r2t2_core.registry import strategies

NOWHERE = Path("/nonexistent")
"""Where no picture of a neighbour is: another version's would be another picture."""


def show_entry(recorder: Recorder, name: str, who: Principal) -> None:
    """Show an entry."""
    try:
        stored = recorder.find(name, who)
    except WorkbenchError as error:
        show_problem(error)
        return
    entry = stored.entry
    st.subheader(
        _("Entry {n}: {kind}").format(n=entry.sequence, kind=kind_name(entry.kind)), anchor=False
    )
    if entry.kind != DECISION:
        _envelope(stored)
        st.dataframe(body_table(entry.body), hide_index=True, width="stretch")
        show_export(recorder, stored, who)
        return
    try:
        decision = decision_of(stored)
    except WorkbenchError as error:
        show_problem(error)
        _envelope(stored)
        return
    root = neighbours_root(recorder, decision)
    is_known = {record.strategy for record in decision.trajectories} <= set(strategies())
    left, right = st.columns([4, 8], gap="medium")
    with left:
        _asked(recorder, stored, decision)
        _envelope(stored)
        _history(recorder, stored)
        show_replay(recorder, stored, who)
        show_review(recorder, stored, decision, who)
        show_export(recorder, stored, who)
    with right:
        if root == NOWHERE:
            st.caption(
                _(
                    "The neighbours come from another version of the reference set than the one "
                    "here; their pictures are not shown."
                )
            )
        if not is_known:
            st.info(_("A strategy of this decision is not installed here; its numbers are kept."))
            return
        show_story(decision, root)
    show_trajectories(decision)
    show_neighbours(decision, root)
    show_numbers(decision)


def neighbours_root(recorder: Recorder, decision: Decision) -> Path:
    """Return the reference set's folder, where it is the version that served."""
    root = recorder.settings.reference_dir
    try:
        manifest = Manifest.model_validate_json((root / "manifest.json").read_bytes())
    except (OSError, ValidationError):
        return NOWHERE
    return root if manifest.content_hash == decision.reference.content_hash else NOWHERE


def _asked(recorder: Recorder, stored: Stored, decision: Decision) -> None:
    show_picture(recorder, decision)
    if stored.text is None:
        st.info(_("The question was erased; its salted hash is kept."))
    else:
        st.html(f'<div class="r2"><h4>{escape(stored.text)}</h4></div>')


def show_picture(recorder: Recorder, decision: Decision, side: int = 320) -> None:
    """Show the picture that was asked about, or say why not."""
    picture = recorder.pictures.get(decision.input.image_sha256)
    if picture is None:
        st.info(_("The picture was erased, or is lost; its hash is kept."))
        return
    try:
        shown = read_image(picture).image
    except WorkbenchError as error:
        show_problem(error)
        return
    shown.thumbnail((side * 2, side * 2))
    st.image(shown, width=side, alt=_("The picture that the question is about"))


def _envelope(stored: Stored) -> None:
    entry = stored.entry
    words = _("{time} UTC, by {actor} ({role}), for: {purpose}").format(
        time=moment(entry.started_at),
        actor=entry.actor,
        role=entry.role,
        purpose=entry.purpose or "–",
    )
    st.html(
        f'<div class="r2 r2-meta">{escape(words)}<br><code>{escape(entry.entry_id)}</code></div>'
    )


def _history(recorder: Recorder, stored: Stored) -> None:
    """Show what was recorded about the entry later."""
    later = recorder.log.about(stored.entry.entry_id)
    if not later:
        return
    heading(_("What happened to it later"))
    items = []
    for found in later:
        entry = found.entry
        head = f"{entry.sequence} · {kind_name(entry.kind)} · {told(entry.body)}"
        tail = f"{moment(entry.started_at)}, {entry.actor}"
        reason = str(entry.body.get("reason") or "")
        items.append(
            f"<li><b>{escape(head)}</b><br><q>{escape(reason)}</q> "
            f'<span class="r2-meta">{escape(tail)}</span></li>'
        )
    st.html(f'<div class="r2"><ul class="r2-history">{"".join(items)}</ul></div>')


def told(body: Mapping[str, Any]) -> str:
    """Return what a later entry says, in a few words."""
    if "verdict" in body:
        return _(VERDICTS.get(str(body["verdict"]), str(body["verdict"])))
    if "decision" in body and isinstance(body["decision"], str):
        return _(SIGN_OFFS.get(body["decision"], body["decision"]))
    if "answer" in body:
        return str(body["answer"])
    if "field" in body:
        return f"{body['field']} = {body.get('value', '')}"
    return ""


def body_table(body: Mapping[str, Any]) -> pd.DataFrame:
    """Return a body's fields, one a row."""
    return pd.DataFrame({_("what"): list(body), _("value"): [str(v) for v in body.values()]})
