"""What a reviewer does with a decision: replay it, sign it off, override it, take it along."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.audit_view.words import SIGN_OFFS, VERDICTS
from pages.frame.loading import load_engine
from pages.frame.style import show_problem
from r2t2_core.audit.access import Principal
from r2t2_core.audit.bundle import export
from r2t2_core.audit.log import Stored
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.replay import Replay, replay
from r2t2_core.decision import Decision
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _


def show_replay(recorder: Recorder, stored: Stored, who: Principal) -> None:
    """Offer to compute the decision again, and show how near it came."""
    key = f"replay.{stored.entry.entry_id}"
    if not recorder.access.may(who, "replay"):
        return
    if st.button(_("Replay"), key="audit.replay", icon=":material/replay:", width="stretch"):
        try:
            with st.spinner(_("Computing it again")):
                found = replay(recorder, load_engine(), stored.entry.entry_id, who)
        except WorkbenchError as error:
            show_problem(error)
            return
        st.session_state["audit.replayed"] = (key, found)
        st.rerun()
    shown, found = st.session_state.get("audit.replayed", (None, None))
    if shown == key and found is not None:
        _verdict(found)


def _verdict(found: Replay) -> None:
    words = _(VERDICTS[found.verdict])
    comparison = found.comparison
    if comparison is not None and comparison.largest_at is not None:
        words += " " + _("Largest difference: {value} at {place}.").format(
            value=f"{comparison.largest:.3g}", place=f"`{comparison.largest_at}`"
        )
    show = {"bit_exact": st.success, "within_tolerance": st.success, "diverged": st.error}
    show.get(found.verdict, st.warning)(words)
    for text in found.missing:
        st.warning(_(text))
    if found.problem:
        st.warning(found.problem)
    if comparison is not None and (first := comparison.first) is not None:
        st.markdown(
            _("It parts at **{stage}**: `{path}` was `{old}`, is `{new}`.").format(
                stage=_(first.stage), path=first.path, old=first.recorded, new=first.replayed
            )
        )
    if found.differs:
        st.caption(_("What it hangs on, and is not as it was:"))
        st.dataframe(
            {
                _("what"): list(found.differs),
                _("then"): [old for old, _new in found.differs.values()],
                _("now"): [new for _old, new in found.differs.values()],
            },
            hide_index=True,
            width="stretch",
        )


def show_review(recorder: Recorder, stored: Stored, decision: Decision, who: Principal) -> None:
    """Offer to sign off and to override; both are entries, and change nothing."""
    name = stored.entry.entry_id
    if recorder.access.may(who, "sign_off"):
        with (
            st.expander(_("Sign off"), icon=":material/approval:"),
            st.form(f"sign.{name}", border=False),
        ):
            verdict = st.segmented_control(
                _("Your judgement"), list(SIGN_OFFS), default="approved", required=True,
                format_func=lambda value: _(SIGN_OFFS[value]), key=f"sign.verdict.{name}",
            )  # fmt: skip
            reason = st.text_area(_("Reason"), max_chars=4000, key=f"sign.reason.{name}")
            if st.form_submit_button(_("Sign off"), type="primary"):
                _do(lambda: recorder.sign_off(name, verdict, reason, principal=who))
    if recorder.access.may(who, "override"):
        with (
            st.expander(_("Override the answer"), icon=":material/edit_note:"),
            st.form(f"override.{name}", border=False),
        ):
            answer = st.selectbox(
                _("The answer that holds instead"), sorted(decision.system.answers), index=None,
                accept_new_options=True, key=f"override.answer.{name}",
            )  # fmt: skip
            reason = st.text_area(_("Reason"), max_chars=4000, key=f"override.reason.{name}")
            if st.form_submit_button(_("Override"), type="primary"):
                _do(lambda: recorder.override(name, answer or "", reason, principal=who))


def show_export(recorder: Recorder, stored: Stored, who: Principal) -> None:
    """Offer the bundle."""
    if not recorder.access.may(who, "export"):
        return
    st.download_button(
        _("Bundle that proves itself (zip)"),
        lambda: export(recorder, [stored.entry.entry_id], who, recorder.settings.reference_dir),
        f"audit-{stored.entry.sequence:06d}.zip",
        "application/zip",
        key="audit.bundle",
        on_click="ignore",
        icon=":material/folder_zip:",
        width="stretch",
    )


def _do(work: Callable[[], object]) -> None:
    try:
        work()
    except WorkbenchError as error:
        show_problem(error)
    else:
        st.rerun()
