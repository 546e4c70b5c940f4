"""The home page: one screen for somebody with a minute; every number is read or computed."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.frame.language import apply_language
from pages.frame.loading import load_engine
from pages.frame.style import STYLE, show_problem
from pages.frame.words import EXPERTS, strategy_titles
from pages.home_view.case import live_case
from pages.home_view.costs import show_costs
from pages.home_view.player import player_data, show_player
from pages.home_view.tiles import show_tiles
from pages.reroute_view.link import WRITTEN
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import RunError, WorkbenchError
from r2t2_core.evaluation.headline import Headline, headline_of
from r2t2_core.evaluation.runner import Run
from r2t2_core.evaluation.upkeep import Upkeep, load_upkeep
from r2t2_core.figures.one_page import one_page
from r2t2_core.gallery import GalleryCase
from r2t2_core.i18n import gettext as _
from r2t2_core.settings import Settings

PAGES = Path(__file__).parent

FINETUNED = "router_finetuned"


@st.cache_data(show_spinner=False, max_entries=8)
def read_headline(folder: str, written: float, method: str) -> Headline | None:
    """Return a method's headline; None where the run does not hold it."""
    try:
        return headline_of(Run.open(Path(folder)), method)
    except RunError:
        return None


def evidence(engine: Engine) -> tuple[Headline, Headline | None, Upkeep | None]:
    """Return what the shipped run says of the default strategy and of fine-tuning, and times.

    Raises
    ------
    RunError
        The shipped run is missing, or does not hold the default strategy.
    """
    settings = Settings.from_environment()
    folder = settings.sample_data / "evaluation"
    path = Run.open(folder).folder / "results.parquet"
    written = path.stat().st_mtime
    own = read_headline(str(folder), written, engine.default_strategy)
    if own is None:
        own = headline_of(Run.open(folder), engine.default_strategy)
    upkeep = load_upkeep((settings.data_dir, folder), engine.model_fingerprint)
    return own, read_headline(str(folder), written, FINETUNED), upkeep


def show_buttons(case: GalleryCase, report: str, decision: Decision) -> None:
    """Show where to go from here."""
    first, second = st.columns(2, gap="small")
    if first.button(
        _("Try your own picture"), key="home.own", type="primary", width="stretch",
        icon=":material/add_photo_alternate:",
    ):  # fmt: skip
        st.session_state["source"] = "upload"
        st.switch_page("pages/reroute.py")
    if second.button(
        _("See why it happened"), key="home.why", width="stretch", icon=":material/alt_route:"
    ):
        # The link is followed even where it is the one that was followed last.
        st.session_state.pop(WRITTEN, None)
        st.switch_page("pages/reroute.py", query_params={"case": case.id})
    third, fourth = st.columns(2, gap="small")
    if third.button(
        _("The evidence"), key="home.evidence", width="stretch", icon=":material/bar_chart:"
    ):
        st.switch_page("pages/compare.py")
    # Until the app has an audit page, the whole record of the decision is the trail.
    audit = PAGES / "audit.py"
    if audit.is_file():
        if fourth.button(
            _("The audit trail"), key="home.audit", width="stretch", icon=":material/fact_check:"
        ):
            st.switch_page("pages/audit.py")
    else:
        fourth.download_button(
            _("The whole record"), decision.canonical_json(), f"decision-{decision.id[:8]}.json",
            "application/json", key="home.record", on_click="ignore", width="stretch",
            icon=":material/fact_check:",
        )  # fmt: skip
    st.download_button(
        _("One page to take along"), report, "r2t2.html", "text/html", key="home.report",
        on_click="ignore", width="stretch", icon=":material/print:",
        help=_("A page for the meeting; the browser prints it or saves it as PDF."),
    )  # fmt: skip


def page() -> None:
    """Show the page."""
    apply_language()
    st.html(STYLE)
    st.title(_("A model can ask the wrong expert. This is how it is put right."), anchor=False)
    try:
        with st.spinner(_("Loading the model")):
            engine = load_engine()
        with st.spinner(_("Answering a question, now and here")):
            case, picture, decision = live_case(engine)
        own, finetuned, upkeep = evidence(engine)
    except WorkbenchError as error:
        show_problem(error)
        return
    left, right = st.columns([7, 5], gap="medium")
    data = player_data(decision, picture, engine.reference.root)
    with left:
        show_player(data)
    words = {name: _(word) for name, word in EXPERTS.items()} | strategy_titles()
    report = one_page(decision, picture, own, finetuned, upkeep, words)
    with right:
        show_tiles(own, upkeep, decision)
        show_buttons(case, report, decision)
    show_costs(upkeep, own, finetuned)


page()
