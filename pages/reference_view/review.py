"""The review list: suspicious labels with their pictures; accept, relabel or drop each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from pages.frame.cases import picture_data
from pages.frame.style import show_problem
from pages.reference_view.checks import last_report
from pages.reference_view.working import library
from r2t2_core.curation.amend import amend
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _

DECISIONS = "review.decisions"

SHOWN = 100
"""Samples in the list; those further down are the least suspicious."""


def show(engine: Engine) -> None:
    """Show the list, one sample of it, and what was decided so far."""
    report = last_report(engine)
    if report is None:
        st.info(_("Check the set first: the check finds labels that look wrong."))
        return
    review = report.finding("labels").numbers.get("review", [])[:SHOWN]
    if not review:
        st.success(_("No label of those that were looked at is suspicious."))
        return
    st.caption(
        _(
            "The model, led by the other samples, is sure of another answer than these labels. "
            "Choose one, look at the picture, and decide. Nothing changes until you store a new "
            "version."
        )
    )
    decisions: dict[str, str] = st.session_state.setdefault(DECISIONS, {})
    event = st.dataframe(
        review_table(engine, review, decisions),
        hide_index=True, width="stretch", row_height=64, height=360, on_select="rerun",
        selection_mode="single-row", key="review.table",
        column_config={_("picture"): st.column_config.ImageColumn(width="small")},
    )  # fmt: skip
    rows = event.selection.rows
    if rows:
        _show_one(engine, review[rows[0]], decisions)
    if decisions:
        _store(engine, decisions)


def review_table(
    engine: Engine, review: list[Mapping[str, Any]], decisions: Mapping[str, str]
) -> pd.DataFrame:
    """Return the list, for people."""
    reference = engine.reference
    return pd.DataFrame(
        [
            {
                _("picture"): picture_data(reference.image_path(entry["row"])),
                _("question"): reference.sample(entry["row"]).question,
                _("label"): reference.sample(entry["row"]).label,
                _("the model's answer"): entry["answer"],
                _("probability"): f"{entry['probability']:.0%}",
                _("the label is within reach of the model"): bool(entry["oracle_agrees"]),
                _("decision"): _in_words(decisions.get(entry["id"])),
            }
            for entry in review
        ]
    )


def _in_words(decision: str | None) -> str:
    if decision is None:
        return ""
    return {"": _("drop"), "=": _("accept")}.get(decision, f"→ {decision}")


def _show_one(engine: Engine, entry: Mapping[str, Any], decisions: dict[str, str]) -> None:
    sample = engine.reference.sample(entry["row"])
    left, right = st.columns([1, 2])
    path = engine.reference.image_path(entry["row"])
    if path.is_file():
        left.image(path.read_bytes())
    right.markdown(f"**{sample.question}**")
    right.caption(f"{sample.id} · {sample.source or sample.family}")
    answers = list(engine.model.answers)
    proposed = answers.index(entry["answer"]) if entry["answer"] in answers else 0
    label = right.selectbox(_("Right answer"), answers, proposed, key=f"review.label.{entry['id']}")
    accept, relabel, drop = right.columns(3)
    chosen: str | None = None
    if accept.button(_("Accept the label"), key="review.accept", width="stretch"):
        chosen = "="
    if relabel.button(_("Relabel"), key="review.relabel", type="primary", width="stretch"):
        chosen = label
    if drop.button(_("Drop"), key="review.drop", width="stretch"):
        chosen = ""
    if chosen is not None:
        decisions[entry["id"]] = chosen
        st.rerun()


def _store(engine: Engine, decisions: dict[str, str]) -> None:
    dropped = [name for name, decision in decisions.items() if decision == ""]
    relabelled = {
        name: decision for name, decision in decisions.items() if decision not in ("", "=")
    }
    st.markdown(
        _("Decided: {accepted} accepted, {relabelled} relabelled, {dropped} dropped.").format(
            accepted=len(decisions) - len(dropped) - len(relabelled),
            relabelled=len(relabelled),
            dropped=len(dropped),
        )
    )
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    name = left.text_input(_("Name of the new version"), "reviewed", key="review.name")
    ready = bool(dropped or relabelled)
    if right.button(
        _("Store"), key="review.store", type="primary", disabled=not ready, width="stretch"
    ):
        try:
            made = amend(
                library(), engine.reference, engine.model, name, drop=dropped,
                relabel=relabelled, note="review",
            )  # fmt: skip
        except WorkbenchError as error:
            show_problem(error)
            return
        decisions.clear()
        st.success(
            _("Stored: {name}, {size} samples. Choose it under “Versions”.").format(
                name=name, size=f"{made.manifest.size:,}"
            )
        )
