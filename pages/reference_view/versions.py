"""All versions of this machine: which is in use, what changed between two, what is staged."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.frame.loading import load_engine
from pages.frame.style import heading, show_problem
from pages.frame.words import EXPERTS, choice
from pages.reference_view.working import library
from r2t2_core.curation.refresh import promote
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _
from r2t2_core.reference.diff import Difference, compare_versions
from r2t2_core.reference.library import STAGING, Library, Version
from r2t2_core.reference.store import ReferenceSet

EVENTS = 50
"""Latest entries of what was done that are shown."""


def show(engine: Engine) -> None:
    """Show the versions, and what can be done with them."""
    shelf = library()
    versions = shelf.versions()
    st.caption(
        _(
            "A version never changes. A name points to one version at a time; what it pointed to "
            "before is kept, so that one step leads back."
        )
    )
    st.dataframe(
        version_table(versions, engine), hide_index=True, width="stretch", key="versions.table"
    )
    _show_use(shelf, versions, engine)
    _show_staging(shelf, versions)
    _show_difference(versions)
    with st.expander(_("What was done, by whom, and on which evidence")):
        events = shelf.events()[::-1][:EVENTS]
        if events:
            st.dataframe(pd.DataFrame(events), hide_index=True, width="stretch")
        else:
            st.caption(_("Nothing yet."))


def version_table(versions: list[Version], engine: Engine) -> pd.DataFrame:
    """Return one row for each version, for people."""
    used = {layer.root for layer in engine.reference.layers}
    return pd.DataFrame(
        [
            {
                _("name"): ", ".join(version.names) or version.manifest.name,
                _("in use"): version.root in used,
                _("samples"): version.manifest.size,
                _("policy"): choice(version.manifest.policy) if version.manifest.policy else "",
                _("made"): version.manifest.created_at,
                _("by"): version.manifest.author,
                _("what it is"): _kind(version),
                _("note"): version.manifest.note,
                _("version"): version.manifest.content_hash[:12],
                _("belongs to this model"): _belongs(version, engine),
            }
            for version in versions
        ]
    )


def _kind(version: Version) -> str:
    manifest = version.manifest
    if manifest.routing_only:
        return _("routings alone")
    return _("stays on this machine") if manifest.local else _("samples with pictures")


def _belongs(version: Version, engine: Engine) -> bool:
    manifest = version.manifest
    return (
        manifest.model_fingerprint == engine.model_fingerprint
        and manifest.embedder_hash == engine.embedder.fingerprint()
    )


def _names(versions: list[Version]) -> dict[str, str]:
    """Return what can be chosen: name or short hash → what people read."""
    found = {}
    for version in versions:
        digest = version.manifest.content_hash[:12]
        for name in version.names or (digest,):
            title = name if name != digest else version.manifest.name
            found[name] = f"{title} · {version.manifest.size:,} · {digest}"
    return found


def _show_use(shelf: Library, versions: list[Version], engine: Engine) -> None:
    heading(_("Which set is used"))
    names = _names(versions)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    chosen = left.selectbox(
        _("Reference set"), list(names), format_func=names.__getitem__, key="versions.use"
    )
    root = shelf.find(chosen)
    version = next(entry for entry in versions if entry.root == root)
    fits = _belongs(version, engine)
    if right.button(_("Use it"), key="versions.go", disabled=not fits, width="stretch"):
        shelf.use(chosen)
        load_engine.clear()
        st.rerun()
    if not fits and not version.manifest.routing_only:
        st.warning(
            _(
                "This version was made with another model or embedding. Build it again from the "
                "tab “Import”: its pictures, questions and answers are kept."
            ),
            icon=":material/build:",
        )
    if len(shelf.history(chosen)) > 1 and st.button(
        _("Roll back {name} by one version").format(name=chosen), key="versions.back"
    ):
        shelf.roll_back(chosen)
        load_engine.clear()
        st.rerun()


def _show_staging(shelf: Library, versions: list[Version]) -> None:
    staged = [name for version in versions for name in version.names if name.endswith(STAGING)]
    for full in staged:
        name = full.removesuffix(STAGING)
        heading(_("Waits to be promoted: {name}").format(name=name))
        digest = shelf.history(full)[-1]
        evidence = next(
            (
                entry["evidence"]
                for entry in reversed(shelf.events())
                if entry["version"] == digest and entry["evidence"]
            ),
            None,
        )
        if evidence and "comparisons" in evidence:
            st.dataframe(
                comparison_table(evidence["comparisons"]), hide_index=True, width="stretch"
            )
            if evidence["harms"]:
                st.warning(_("A suite is worse with it."), icon=":material/warning:")
        left, right, _rest = st.columns([1, 1, 2])
        if left.button(_("Promote"), key=f"promote.{name}", type="primary", width="stretch"):
            promote(shelf, name, evidence)
            load_engine.clear()
            st.rerun()
        if right.button(_("Refuse"), key=f"refuse.{name}", width="stretch"):
            shelf.forget(full, "refuse", evidence)
            st.rerun()


def comparison_table(comparisons: list[dict[str, object]]) -> pd.DataFrame:
    """Return how a staging version did against the one in force, for people."""
    return pd.DataFrame(
        [
            {
                _("suite"): entry["suite"],
                _("questions"): entry["cases"],
                _("accuracy now"): f"{entry['before']:.1%}",
                _("accuracy with it"): f"{entry['after']:.1%}",
                _("better"): entry["better"],
                _("worse"): entry["worse"],
                _("p (McNemar)"): f"{entry['p_value']:.2g}",
            }
            for entry in comparisons
        ]
    )


def _show_difference(versions: list[Version]) -> None:
    if len(versions) < 2:
        return
    with st.expander(_("What changed between two versions")):
        names = _names(versions)
        left, right = st.columns(2)
        before = left.selectbox(
            _("Before"), list(names), 0, format_func=names.__getitem__, key="diff.before"
        )
        after = right.selectbox(
            _("After"), list(names), len(names) - 1, format_func=names.__getitem__, key="diff.after"
        )
        if st.button(_("Compare"), key="diff.go"):
            shelf = library()
            try:
                found = compare_versions(
                    ReferenceSet.load(shelf.find(before)), ReferenceSet.load(shelf.find(after))
                )
            except WorkbenchError as error:
                show_problem(error)
                return
            _show_found(found)


def _show_found(found: Difference) -> None:
    st.markdown(
        _("{added} added, {removed} removed, {relabelled} relabelled.").format(
            added=len(found.added), removed=len(found.removed), relabelled=len(found.relabelled)
        )
    )
    if not (found.same_model and found.same_embedder):
        st.warning(_("They were made with different models or embedders."))
    rows = [
        {_("what"): _("share of {family}").format(family=family or "–"),
         _("before"): f"{old:.1%}", _("after"): f"{new:.1%}"}
        for family, (old, new) in found.families.items()
    ]  # fmt: skip
    rows += [
        {_("what"): _("mean weight of {expert}").format(expert=_(EXPERTS.get(expert, expert))),
         _("before"): f"{old:.3f}", _("after"): f"{new:.3f}"}
        for expert, (old, new) in found.routing.items()
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
