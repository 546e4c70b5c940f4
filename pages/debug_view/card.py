"""One case of the triage list: picture, answers, routing, tags and note."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from pages.compare_view.runs import picture_path
from pages.debug_view.data import View, notes
from pages.frame.case_words import family_title, style_title
from pages.frame.cases import Case, hand_over
from pages.frame.style import CHART, heading, show_problem
from pages.frame.words import YES_NO
from r2t2_core.annotations import LONGEST_NOTE, LONGEST_TAG, MOST_TAGS, Annotation
from r2t2_core.errors import WorkbenchError
from r2t2_core.figures.misrouting import case_routing
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

SUGGESTED = (
    N_("wrong label"),
    N_("ambiguous question"),
    N_("no similar sample"),
    N_("misleading neighbours"),
    N_("no expert knows it"),
    N_("look again"),
)
"""Tags to begin with; a person adds their own."""


def show_card(view: View, row: int, said: dict[str, Annotation]) -> None:
    """Show a case."""
    entry = view.cases.table.iloc[row]
    path = picture_path(str(entry["image"]))
    left, right = st.columns([2, 3], gap="small")
    with left:
        if path.is_file():
            st.image(str(path), width="stretch", alt=str(entry["question"]))
        else:
            st.caption(_("The picture is not here any more."))
    with right:
        st.html(_answers(view, row))
        if path.is_file() and st.button(
            _("Open on the re-route page"), key="d.open", type="primary", width="stretch",
            icon=":material/alt_route:",
        ):  # fmt: skip
            hand_over(Case(path.read_bytes(), str(entry["question"]), str(entry["label"])))
            st.switch_page("pages/reroute.py")
    _routing(view, row)
    with st.expander(_("All methods on this case")):
        st.dataframe(method_table(view, row), hide_index=True, width="stretch")
    _annotate(view, row, said)


def _answers(view: View, row: int) -> str:
    """Return question, label and answers as safe HTML."""
    cases, found = view.cases, view.found
    entry = cases.table.iloc[row]
    place, best = cases.place(view.method), cases.place(found.ceiling)
    lines = []
    for title, number, refused in (
        (_("Router"), 0, False),
        (view.titles.get(view.method, view.method), place,
         view.gated and not cases.admitted[row, place]),
        (view.titles.get(found.ceiling, found.ceiling), best, False),
    ):  # fmt: skip
        right = bool(cases.right[row, number])
        note = f" · {_('refused by the gate')}" if refused else ""
        lines.append(
            f"<div><span class='r2-badge {'good' if right else 'bad'}'>{'✓' if right else '✗'} "
            f"{escape(str(cases.answer[row, number]))}</span> "
            f"<span class='r2-meta'>{escape(title)} · {cases.probability[row, number]:.0%}"
            f"{escape(note)}</span></div>"
        )
    meta = " · ".join(
        (
            str(entry["suite"]),
            family_title(str(entry["family"])),
            style_title(str(entry["style"])),
            str(entry["sample"]),
        )
    )
    regret = found.regret[row]
    shown = "–" if regret != regret else f"{regret:.2f}"
    return (
        f"<div class='r2' style='display:grid;gap:6px'><b>{escape(str(entry['question']))}</b>"
        f"<span>{escape(_('Right answer'))}: <b>{escape(str(entry['label']))}</b></span>"
        f"{''.join(lines)}<span class='r2-meta'>{escape(_('regret'))} {shown} · {escape(meta)}"
        "</span></div>"
    )


def _routing(view: View, row: int) -> None:
    cases, found = view.cases, view.found
    names = ["base", *dict.fromkeys((view.method, found.ceiling))]
    st.plotly_chart(
        case_routing(
            view.experts,
            [
                (view.titles.get(name, name), cases.routing[row, cases.place(name)].tolist())
                for name in names
            ],
            height=280,
        ),
        key="d.case.routing",
        config=CHART,
    )


def method_table(view: View, row: int) -> pd.DataFrame:
    """Return what every method of the run answers to a case."""
    cases = view.cases
    return pd.DataFrame(
        {
            _("method"): [view.titles.get(name, name) for name in cases.methods],
            _("answer"): cases.answer[row].tolist(),
            _("right?"): [_(YES_NO[bool(value)]) for value in cases.right[row]],
            _("probability"): [f"{value:.1%}" for value in cases.probability[row]],
            _("gate lets it stand"): [_(YES_NO[bool(value)]) for value in cases.admitted[row]],
            _("loss (nats)"): cases.loss[row].round(3).tolist(),
            _("heaviest expert"): [view.experts[e] for e in cases.routing[row].argmax(1)],
        }
    )


def _annotate(view: View, row: int, said: dict[str, Annotation]) -> None:
    """Show tags and note of a case, to be changed."""
    name = str(view.cases.table["case"].iloc[row])
    present = said.get(name, Annotation(name))
    known = {tag for entry in said.values() for tag in entry.tags}
    suggested = [_(tag) for tag in SUGGESTED]
    heading(_("Tags and note"))
    with st.form(f"d.note.{name}", border=False):
        tags = st.multiselect(
            _("Tags"),
            list(dict.fromkeys((*suggested, *sorted(known)))),
            list(present.tags),
            accept_new_options=True,
            max_selections=MOST_TAGS,
            key=f"d.tags.{name}",
            placeholder=_("choose or write"),
        )
        note = st.text_area(
            _("Note"), present.note, key=f"d.text.{name}", max_chars=LONGEST_NOTE, height=80
        )
        kept = st.form_submit_button(_("Keep"), icon=":material/save:")
    if kept:
        try:
            notes().save(name, [tag[:LONGEST_TAG] for tag in tags], note)
        except WorkbenchError as error:
            show_problem(error)
            return
        st.toast(_("Kept."))
        st.rerun()
    if present.updated_at:
        st.caption(_("Last kept {time} (UTC), on this machine.").format(time=present.updated_at))
