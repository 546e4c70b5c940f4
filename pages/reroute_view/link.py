"""The permanent link of a decision: read from the address, and written into it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import streamlit as st

from pages.frame.cases import Case, hand_over
from pages.frame.loading import gallery
from r2t2_core.analysis import Analysis
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import ParameterError
from r2t2_core.explain.evidence import parameters_of, retrieval_of
from r2t2_core.explain.link import Link, changed, read_link
from r2t2_core.explain.store import ExplanationStore
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, strategies
from r2t2_core.settings import Settings
from r2t2_core.strategies.base import Params

STARTS = "link.starts"
WRITTEN = "link.written"
ADOPTED = "link.decision"
"""Session keys: settings that the link brought, the address as this page wrote it, the kept
decision that the link named."""


@dataclass(frozen=True)
class Starts:
    """Where the settings begin: what validation chose, or what a link says."""

    strategy: str
    retrieval: RetrievalParams
    parameters: dict[str, Params]

    @classmethod
    def of(cls, engine: Engine) -> Starts:
        """Return what validation chose."""
        parameters = {name: engine.default_parameters(name) for name in strategies()}
        return cls(engine.default_strategy, engine.default_retrieval, parameters)


def store() -> ExplanationStore:
    """Return where explained decisions are kept."""
    return ExplanationStore(Settings.from_environment().data_dir / "explanations")


def follow_link(engine: Engine) -> Starts:
    """Apply the address, where it is one that this page did not write; return the settings' start.

    Raises
    ------
    WorkbenchError
        The link is damaged, or what it names is not here.
    """
    query = st.query_params.to_dict()
    if query and query != st.session_state.get(WRITTEN):
        # Once, whatever comes of it: an error must not come back at every click.
        st.session_state[WRITTEN] = query
        link = read_link(query)
        if link is not None:
            _apply(engine, link)
    starts: Starts | None = st.session_state.get(STARTS)
    return starts or Starts.of(engine)


def _apply(engine: Engine, link: Link) -> None:
    usual = Starts.of(engine)
    if link.decision is not None:
        decision, picture = store().decision(link.decision)
        starts = Starts(
            decision.strategy,
            retrieval_of(decision),
            {
                name: parameters_of(decision, name)
                if name in {record.strategy for record in decision.trajectories}
                else params
                for name, params in usual.parameters.items()
            },
        )
        hand_over(Case(picture, decision.input.question, decision.input.label))
        # The record itself is shown, and nothing is computed again.
        st.session_state.pop("answer_now", None)
        st.session_state[ADOPTED] = decision
        st.session_state[f"kept.{decision.id}"] = True
    else:
        if link.case not in {case.id for case in gallery()}:
            raise ParameterError(
                N_("The link names a case that the gallery does not have: {case}."),
                N_("Check the link, or choose a case of the gallery."),
                case=str(link.case)[:60],
            )
        strategy = link.strategy or usual.strategy
        if get_strategy(strategy).is_control:
            raise ParameterError(
                N_("{strategy} is a control, whose answer cannot count."),
                N_("Check the link, or choose a case of the gallery."),
                strategy=strategy,
            )
        starts = Starts(
            strategy,
            link.retrieval_from(usual.retrieval),
            {name: link.parameters_from(name, params) for name, params in usual.parameters.items()},
        )
        st.session_state["source"] = "gallery"
        st.session_state["case"] = link.case
        st.session_state["answer_now"] = True
    for name in [str(name) for name in st.session_state]:
        if name == "strategy" or name.startswith(("retrieval.", "params.")):
            del st.session_state[name]
    st.session_state[STARTS] = starts
    st.session_state["link.shown"] = link.shown
    st.session_state["link.step"] = link.step


def adopt(key: str, question: str) -> None:
    """Show the kept decision that a link named as the answer to what the page asks (`key`)."""
    decision: Decision | None = st.session_state.pop(ADOPTED, None)
    if decision is not None and decision.input.question == question:
        st.session_state["decision"] = (key, decision)
        st.session_state.pop("problem", None)


def link_of(
    engine: Engine, decision: Decision, case: str | None, shown: str | None, step: int | None
) -> Link | None:
    """Return the link of a decision; None for one that is neither of the gallery nor kept."""
    if case is None and not st.session_state.get(f"kept.{decision.id}"):
        return None
    if case is None:
        return Link(decision=decision.id, shown=shown, step=step)
    parameters = {}
    for record in decision.trajectories:
        name = record.strategy
        if differing := changed(parameters_of(decision, name), engine.default_parameters(name)):
            parameters[name] = differing
    return Link(
        case=case,
        strategy=None if decision.strategy == engine.default_strategy else decision.strategy,
        retrieval=changed(retrieval_of(decision), engine.default_retrieval),
        parameters=parameters,
        shown=shown,
        step=step,
    )


def write_address(link: Link | None) -> None:
    """Put a link into the browser's address; none clears it."""
    query = link.query() if link else {}
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)
    st.session_state[WRITTEN] = query


def show_link(
    engine: Engine, decision: Decision, analysis: Analysis | None, image: bytes, case: str | None
) -> None:
    """Show the link, or the button that keeps a decision so that it has one."""
    link = link_of(engine, decision, case, *_position(decision))
    if link is None:
        st.caption(
            _(
                "A link to this decision needs its picture. Keeping it stores picture, record and "
                "causes on this machine."
            )
        )
        if st.button(_("Keep this decision"), key="keep", icon=":material/bookmark_add:"):
            kept = store()
            kept.keep(decision, image)
            if analysis is not None:
                kept.keep_analysis(analysis)
            st.session_state[f"kept.{decision.id}"] = True
            st.rerun()
        return
    base = (st.context.url or "").partition("?")[0]
    st.caption(_("A permanent link: it opens this decision with its parameters, at this step."))
    st.code(f"{base}?{urlencode(link.query())}", language=None, wrap_lines=True)


def _position(decision: Decision) -> tuple[str | None, int | None]:
    """Return the strategy and the step that are shown; None where they are the usual ones."""
    shown = st.session_state.get(f"shown.{decision.id}", decision.strategy)
    last = decision.trajectory(shown).last.step
    step = st.session_state.get(f"step.{decision.id}.{shown}", last)
    return (None if shown == decision.strategy else shown, None if step == last else step)


def update_address(engine: Engine, decision: Decision, case: str | None) -> None:
    """Write the link of what is shown into the address."""
    write_address(link_of(engine, decision, case, *_position(decision)))
