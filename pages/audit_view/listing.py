"""Filter, search, and one page of entries at a time."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pandas as pd
import streamlit as st

from pages.audit_view.words import kind_name, moment
from pages.frame.words import EXPERTS, strategy_titles
from r2t2_core.audit.access import Principal
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.search import Filter, Row, choices, search
from r2t2_core.i18n import gettext as _

SIZE = 50

MOST_CSV = 100_000

PORTION = 1000


def read_filter(recorder: Recorder, who: Principal) -> Filter:
    """Show the filters in the sidebar and return what they say."""
    there = choices(recorder, who)
    titles = strategy_titles()
    with st.sidebar:
        words = st.text_input(_("Search in questions"), key="audit.words")
        kind = _choose(
            _("Kind of entry"),
            there["kind"],
            "audit.kind",
            {k: kind_name(k) for k in there["kind"]},
        )
        days = st.date_input(_("Days (UTC)"), value=(), key="audit.days")
        flipped = _yes_no(_("Answer changed"), "audit.flipped")
        rerouted = _yes_no(_("The gate let it pass"), "audit.gate")
        strategy = _choose(_("Strategy"), there["strategy"], "audit.strategy", titles)
        experts = {name: _(EXPERTS.get(name, name)) for name in there["gained"]}
        gained = _choose(_("Expert that gained"), there["gained"], "audit.gained", experts)
        actor = _choose(_("Asked by"), there["actor"], "audit.actor", {})
        reviewer = _choose(_("Reviewed by"), there["reviewer"], "audit.reviewer", {})
        reviewed = _yes_no(_("Reviewed"), "audit.reviewed")
    since, until = _days(days)
    return Filter(
        kind=kind, actor=actor, strategy=strategy, gained=gained, flipped=flipped,
        rerouted=rerouted, reviewer=reviewer, reviewed=reviewed, since=since, until=until,
        words=words.strip() or None,
    )  # fmt: skip


def _choose(label: str, options: list[str], key: str, names: dict[str, str]) -> str | None:
    return st.selectbox(
        label, options, index=None, placeholder=_("any"), key=key,
        format_func=lambda name: names.get(name, name),
    )  # fmt: skip


def _yes_no(label: str, key: str) -> bool | None:
    return st.selectbox(
        label, [True, False], index=None, placeholder=_("any"), key=key,
        format_func=lambda value: _("yes") if value else _("no"),
    )  # fmt: skip


def _days(chosen: object) -> tuple[str | None, str | None]:
    """Return the first moment of the first day, and of the day after the last."""
    days = [day for day in chosen if isinstance(day, date)] if isinstance(chosen, tuple) else []
    if not days:
        return None, None
    return days[0].isoformat(), (days[-1] + timedelta(days=1)).isoformat()


def show_list(recorder: Recorder, wanted: Filter, who: Principal) -> list[Row]:
    """Show one page of what was found; return the rows that are ticked."""
    found = search(recorder, wanted, who, size=SIZE, number=_page_number(wanted))
    pages = max(1, math.ceil(found.total / SIZE))
    if not found.rows and found.total:
        # The filter was narrowed while a later page was shown.
        st.session_state["audit.page"] = pages
        st.rerun()
    if not found.total:
        st.info(_("Nothing was found. What is asked on the re-route page is recorded here."))
        return []
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    left.caption(
        _("{n} entries. Tick one to open it, two decisions to compare them.").format(
            n=f"{found.total:,}"
        )
    )
    middle.number_input(_("Page, of {n}").format(n=pages), 1, pages, key="audit.page")
    if recorder.access.may(who, "export"):
        right.download_button(
            _("List (CSV)"),
            lambda: csv(recorder, wanted, who),
            "audit-log.csv",
            "text/csv",
            key="audit.csv",
            on_click="ignore",
            icon=":material/table:",
            width="stretch",
        )
    event = st.dataframe(
        table(found.rows),
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(found.rows), 388),
        on_select="rerun",
        selection_mode="multi-row",
        key=f"audit.rows.{st.session_state.get('audit.page', 1)}.{hash(wanted)}",
    )
    return [found.rows[number] for number in event.selection.rows if number < len(found.rows)]


def _page_number(wanted: Filter) -> int:
    # Another filter begins at its first page.
    if st.session_state.get("audit.filter") != wanted:
        st.session_state["audit.filter"] = wanted
        st.session_state["audit.page"] = 1
    return int(st.session_state.get("audit.page", 1)) - 1


def table(rows: tuple[Row, ...]) -> pd.DataFrame:
    """Return rows as people read them."""
    titles = strategy_titles()
    return pd.DataFrame(
        [
            {
                _("n"): row.sequence,
                _("time (UTC)"): moment(row.started_at),
                _("kind"): kind_name(row.kind),
                _("question"): row.question or "",
                _("before"): row.answer_before or "",
                _("after"): row.answer_after or "",
                _("changed"): "" if row.flipped is None else _("yes") if row.flipped else _("no"),
                _("reviewed by"): ", ".join(row.reviewers),
                _("by"): row.actor,
                _("strategy"): titles.get(row.strategy or "", row.strategy or ""),
                _("expert that gained"): _(EXPERTS.get(row.gained, row.gained))
                if row.gained
                else "",
            }
            for row in rows
        ]
    )


def csv(recorder: Recorder, wanted: Filter, who: Principal) -> str:
    """Return all that was found as CSV, under the log's own names."""
    recorder.access.require(who, "export")
    rows: list[Row] = []
    # In portions, since a database takes only so many values in one question.
    while len(rows) < MOST_CSV:
        found = search(recorder, wanted, who, size=PORTION, number=len(rows) // PORTION)
        rows += found.rows
        if len(found.rows) < PORTION:
            break
    frame = pd.DataFrame([{**vars(row), "reviewers": " ".join(row.reviewers)} for row in rows])
    # A question that begins like a formula must stay text in a spreadsheet.
    for column in ("question", "actor", "purpose", "reviewers"):
        frame[column] = [
            f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
            for value in frame[column]
        ]
    return frame.to_csv(index=False)
