"""The triage list: one case after the other, the costliest misrouting first; tags and notes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import streamlit as st

from pages.compare_view.runs import picture_path
from pages.debug_view.card import show_card
from pages.debug_view.data import View, notes
from pages.debug_view.focus import KIND, PLACE, present_focus, widen
from pages.frame.thumbnails import thumbnail
from r2t2_core.annotations import Annotation
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

KINDS = {
    "misrouted": N_("misrouted"),
    "missed": N_("misrouted and not repaired"),
    "broken": N_("made wrong by re-routing"),
    "hopeless": N_("wrong under the best routing too"),
    "all": N_("all cases"),
}

SORTS = {
    "regret": N_("regret: loss under the router, less loss under the right routing"),
    "left": N_("regret that is left after re-routing"),
    "router": N_("loss under the router"),
    "order": N_("order of the run"),
}

PAGE = 20
"""Cases on a page of the list."""


def show_triage(view: View) -> None:
    """Show the list and one case of it."""
    said = notes().all()
    rows = _choose(view, said)
    if not len(rows):
        st.info(_("No case is left. Choose another kind, or show all."), icon=":material/inbox:")
        return
    # A shorter list may have lost the place.
    place = st.session_state[PLACE] = min(st.session_state.get(PLACE, 0), len(rows) - 1)
    left, right = st.columns([5, 6], gap="medium")
    with left:
        _steps(place, len(rows))
        _list(view, rows, place, said)
        _downloads(view, rows, said)
    with right:
        show_card(view, int(rows[place]), said)


def _choose(view: View, said: dict[str, Annotation]) -> np.ndarray:
    """Show what narrows and sorts the list; return its rows in order."""
    focus = present_focus(view.folder)
    if focus is not None:
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.info(
            _("Narrowed to: {name} ({count} cases)").format(
                name=focus.title, count=f"{len(focus.rows):,}"
            ),
            icon=":material/filter_alt:",
        )
        right.button(_("Show all"), key="d.widen", on_click=widen, width="stretch")
    first, second, third = st.columns([3, 4, 3], gap="small")
    kind = first.selectbox(
        _("Cases"), list(KINDS), format_func=lambda name: _(KINDS[name]), key=KIND,
        on_change=_restart,
    )  # fmt: skip
    order = second.selectbox(
        _("Sorted by"), list(SORTS), format_func=lambda name: _(SORTS[name]), key="d.sort",
        on_change=_restart,
    )  # fmt: skip
    known = sorted({tag for entry in said.values() for tag in entry.tags})
    tags = third.multiselect(
        _("Only with one of these tags"), known, key="d.tags.filter", on_change=_restart
    )
    mask = kind_mask(view, kind) & view.chosen
    if focus is not None:
        inside = np.zeros(len(mask), dtype=bool)
        inside[focus.rows] = True
        mask &= inside
    if tags:
        names = view.cases.table["case"]
        mask &= np.array([bool(set(tags) & set(said[n].tags)) if n in said else False
                          for n in names])  # fmt: skip
    return in_order(view, np.flatnonzero(mask), order)


def _restart() -> None:
    st.session_state[PLACE] = 0


def kind_mask(view: View, kind: str) -> np.ndarray:
    """Return the cases (N,), bool, of a kind."""
    masks = {
        "misrouted": view.found.misrouted,
        "missed": view.missed,
        "broken": view.broken,
        "hopeless": view.found.hopeless,
    }
    return masks.get(kind, np.ones(len(view.cases), dtype=bool))


def in_order(view: View, rows: np.ndarray, order: str) -> np.ndarray:
    """Return rows (n,) sorted, the costliest first; cases without a loss come last."""
    if order == "order":
        return rows
    loss = view.cases.loss
    best = loss[:, view.cases.place(view.found.ceiling)]
    own = loss[:, view.cases.place(view.method)]
    if view.gated:
        own = np.where(view.cases.admitted[:, view.cases.place(view.method)], own, loss[:, 0])
    cost = {"regret": view.found.regret, "left": own - best, "router": loss[:, 0]}[order]
    keys = np.where(np.isfinite(cost[rows]), -cost[rows], np.inf)
    ordered: np.ndarray = rows[np.argsort(keys, kind="stable")]
    return ordered


def _step(by: int, count: int) -> None:
    st.session_state[PLACE] = int(np.clip(st.session_state.get(PLACE, 0) + by, 0, count - 1))


def _steps(place: int, count: int) -> None:
    left, middle, right = st.columns([2, 3, 2], vertical_alignment="center")
    left.button(
        _("Previous"), key="d.previous", icon=":material/chevron_left:", width="stretch",
        disabled=place == 0, on_click=_step, args=(-1, count), shortcut="Left",
    )  # fmt: skip
    middle.markdown(
        _("Case **{place}** of {count}").format(place=f"{place + 1:,}", count=f"{count:,}"),
        text_alignment="center",
    )
    right.button(
        _("Next"), key="d.next", icon=":material/chevron_right:", icon_position="right",
        width="stretch", disabled=place == count - 1, on_click=_step, args=(1, count),
        shortcut="Right",
    )  # fmt: skip


def _list(view: View, rows: np.ndarray, place: int, said: dict[str, Annotation]) -> None:
    first = place // PAGE * PAGE
    part = rows[first : first + PAGE]
    # The key holds what is listed: a tick must not outlive its row.
    key = f"d.list.{hash(part.tobytes())}"

    def take() -> None:
        if chosen := st.session_state[key].selection.rows:
            st.session_state[PLACE] = first + chosen[0]

    st.dataframe(
        list_table(view, part, place - first, said),
        hide_index=True,
        width="stretch",
        row_height=52,
        height=520,
        on_select=take,
        selection_mode="single-row",
        key=key,
        column_config={
            "·": st.column_config.TextColumn(width=28),
            _("picture"): st.column_config.ImageColumn(width=64),
            _("regret"): st.column_config.NumberColumn(format="%.2f", width=64),
        },
    )
    st.caption(
        _(
            "Regret in nats: how much likelier the right routing makes the right answer, as a "
            "logarithm. The arrow keys go to the previous and the next case."
        )
    )


def list_table(view: View, rows: np.ndarray, at: int, said: dict[str, Annotation]) -> pd.DataFrame:
    """Return what the list shows of some cases; a mark stands beside the one that is open."""
    table = view.cases.table.iloc[rows]
    own = view.cases.answer[rows, view.cases.place(view.method)]
    admitted = view.cases.admitted[rows, view.cases.place(view.method)]
    router = view.cases.answer[rows, 0]
    after = np.where(admitted, own, router) if view.gated else own
    return pd.DataFrame(
        {
            "·": ["▶" if number == at else "" for number in range(len(rows))],
            _("picture"): [thumbnail(picture_path(path)) for path in table["image"]],
            _("question"): table["question"].tolist(),
            _("label"): table["label"].tolist(),
            _("router's answer"): router.tolist(),
            _("after re-routing"): after.tolist(),
            _("regret"): view.found.regret[rows].astype(float),
            _("tags"): [
                ", ".join(said[name].tags) if name in said else "" for name in table["case"]
            ],
        }
    )


def export_table(view: View, rows: np.ndarray, said: dict[str, Annotation]) -> pd.DataFrame:
    """Return everything about cases, with tags and notes: what CSV and JSON hold."""
    cases, found = view.cases, view.found
    columns = ["case", "suite", "sample", "family", "style", "language", "question", "image",
               "label"]  # fmt: skip
    table = cases.table.iloc[rows][columns].reset_index(drop=True)
    place, best = cases.place(view.method), cases.place(found.ceiling)
    empty = Annotation("")
    about = [said.get(name, empty) for name in table["case"]]
    return table.assign(
        run=cases.run_key,
        router_answer=cases.answer[rows, 0],
        right_routing=found.ceiling,
        right_routing_answer=cases.answer[rows, best],
        method=view.method,
        method_answer=cases.answer[rows, place],
        method_admitted=cases.admitted[rows, place],
        misrouted=found.misrouted[rows],
        repaired=found.misrouted[rows] & view.after[rows],
        broken=view.broken[rows],
        router_expert=[cases.experts[expert] for expert in found.router_expert[rows]],
        right_expert=[cases.experts[expert] for expert in found.right_expert[rows]],
        router_loss=cases.loss[rows, 0],
        right_routing_loss=cases.loss[rows, best],
        regret=found.regret[rows],
        tags=[";".join(entry.tags) for entry in about],
        note=[entry.note for entry in about],
    )


def _downloads(view: View, rows: np.ndarray, said: dict[str, Annotation]) -> None:
    left, right = st.columns(2)

    # Made when asked for: a list of thousands would cost every step a moment.
    def csv() -> str:
        return export_table(view, rows, said).to_csv(index=False)

    def records() -> str:
        table = export_table(view, rows, said)
        return json.dumps(json.loads(table.to_json(orient="records")), indent=1, ensure_ascii=False)

    left.download_button(
        _("This list (CSV)"), csv, "triage.csv", "text/csv", key="d.csv", on_click="ignore",
        icon=":material/table:", width="stretch",
    )  # fmt: skip
    right.download_button(
        _("This list (JSON)"), records, "triage.json", "application/json", key="d.json",
        on_click="ignore", icon=":material/data_object:", width="stretch",
    )  # fmt: skip
