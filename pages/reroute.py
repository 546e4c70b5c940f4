"""The re-route page: a picture, a question, one button; the answer before and after, and why."""

from __future__ import annotations

from html import escape

import streamlit as st

from pages.frame.job import Job
from pages.frame.language import apply_language
from pages.frame.loading import gallery, gallery_picture, load_engine
from pages.frame.style import STYLE, heading, show_problem
from pages.reroute_view.causes import analysis_of, show_causes, show_words
from pages.reroute_view.details import show_neighbours, show_numbers
from pages.reroute_view.inputs import Request, read_request
from pages.reroute_view.link import Starts, adopt, follow_link
from pages.reroute_view.story import show_story
from pages.reroute_view.trajectories import show_trajectories
from pages.reroute_view.what_if import show_what_if
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import ImageError, WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

# Seconds that a run waits for an answer before it shows progress.
QUICK = 1.0

UNFORESEEN = N_("Something went wrong that nobody foresaw: {reason}")
REPORT_IT = N_("Try again; if it happens again, report it with this sentence.")


def start(engine: Engine, request: Request) -> None:
    """Begin to answer; an earlier question that still runs is cancelled."""
    if (running := st.session_state.pop("job", None)) is not None:
        running.cancel()
    st.session_state.pop("decision", None)
    st.session_state.pop("problem", None)
    image = request.image
    if image is None:
        missing = ImageError(N_("There is no picture yet."), N_("Choose, upload or compose one."))
        st.session_state["problem"] = (request.key, missing)
        return
    job = st.session_state["job"] = Job.start(
        request.key,
        lambda progress, cancelled: engine.answer(
            image,
            request.question,
            retrieval=request.retrieval,
            parameters=request.parameters,
            strategy=request.strategy,
            label=request.label,
            progress=progress,
            cancelled=cancelled,
        ),
    )
    job.wait(QUICK)
    collect()


def collect() -> bool:
    """Take the result of the running job, if it has ended; return whether none runs now."""
    job: Job | None = st.session_state.get("job")
    if job is None or not job.wait(0):
        return job is None
    st.session_state.pop("job")
    # The error itself is kept, not its text: the language may change before it is shown.
    try:
        st.session_state["decision"] = (job.key, job.result())
    except WorkbenchError as error:
        st.session_state["problem"] = (job.key, error)
    except Exception as error:  # The app stays up, and says what happened.
        unforeseen = WorkbenchError(UNFORESEEN, REPORT_IT, reason=repr(error))
        st.session_state["problem"] = (job.key, unforeseen)
    return True


@st.fragment(run_every=0.3)
def show_progress() -> None:
    """Show how far the work is, with a button that stops it."""
    apply_language()
    if collect():
        st.rerun()
    job: Job = st.session_state["job"]
    st.progress(job.share, text=_(job.stage))
    if st.button(_("Cancel"), key="cancel", icon=":material/stop_circle:"):
        job.cancel()


def show_result(engine: Engine, request: Request) -> Decision | None:
    """Show the right column; return the decision that is shown, if any."""
    if st.session_state.get("job") is not None:
        show_progress()
        return None
    key, problem = st.session_state.get("problem", (None, None))
    if problem is not None and key == request.key:
        show_problem(problem)
        return None
    key, decision = st.session_state.get("decision", (None, None))
    if decision is None:
        show_welcome()
        return None
    if key == request.key:
        show_story(decision, engine.reference.root)
        return decision
    st.warning(
        _(
            "This result belongs to an earlier input: “{question}”. Press the button to "
            "answer the present one."
        ).format(question=decision.input.question),
        icon=":material/history:",
    )
    with st.container(key="stale"):
        show_story(decision, engine.reference.root)
    return None


def show_welcome() -> None:
    """Say in three sentences what this is, and offer cases to begin with."""
    sentences = " ".join(
        (
            _(
                "This model answers questions about pictures by mixing experts; a router "
                "decides whom to ask, and often chooses wrongly."
            ),
            _(
                "Re-routing looks up similar solved examples and moves the routing towards "
                "what works there."
            ),
            _("No weight of the model is changed."),
        )
    )
    title = _("See a model ask the wrong expert, and watch it being put right.")
    st.html(
        "<div class='r2'><div class='r2-card'><b style='font-size:1.2rem'>"
        f"{escape(title)}</b><p>{escape(sentences)}</p></div></div>"
    )
    heading(_("Begin with one of these"))
    cases = gallery()[:8]
    with st.container(key="begin", gap="small"):
        for row in (cases[:4], cases[4:]):
            for column, case in zip(st.columns(4), row, strict=False):
                with column, st.container(gap="xsmall"):
                    st.image(gallery_picture(case.image), width="stretch", alt=case.question)
                    st.button(
                        case.question,
                        key=f"begin.{case.id}",
                        on_click=begin,
                        args=(case.id,),
                        width="stretch",
                    )


def begin(case: str) -> None:
    """Choose a case of the gallery and answer it at once."""
    st.session_state["source"] = "gallery"
    st.session_state["case"] = case
    st.session_state["answer_now"] = True


def page() -> None:
    """Show the page."""
    apply_language()
    st.html(STYLE)
    st.title(_("Re-route a question"), anchor=False)
    try:
        with st.spinner(_("Loading the model")):
            engine = load_engine()
        starts = linked_starts(engine)
        left, right = st.columns([4, 8], gap="medium")
        with left:
            request, pressed = read_request(engine, starts)
    except WorkbenchError as error:
        show_problem(error)
        return
    with right:
        if pressed or st.session_state.pop("answer_now", False):
            start(engine, request)
        else:
            adopt(request.key, request.question)
        decision = show_result(engine, request)
    if decision is not None and request.image is not None:
        explain(engine, decision, request.image, request.case)


def linked_starts(engine: Engine) -> Starts:
    """Return where the settings begin; say what is wrong with a link, and go on without it."""
    try:
        return follow_link(engine)
    except WorkbenchError as error:
        show_problem(error)
        return Starts.of(engine)


def explain(engine: Engine, decision: Decision, image: bytes, case: str | None) -> None:
    """Show everything below the answer: why, how, what if, the numbers."""
    analysis = analysis_of(engine, decision, image)
    if analysis is not None:
        show_words(decision, analysis)
    show_trajectories(engine, decision, analysis, image, case)
    if analysis is not None:
        show_causes(engine, decision, analysis, image)
        show_what_if(engine, decision, analysis, image)
    show_neighbours(decision, engine.reference.root)
    show_numbers(decision, analysis)


page()
