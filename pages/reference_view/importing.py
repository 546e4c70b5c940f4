"""The import wizard: a file, what is in it, how its columns are called, and the build."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.frame.job import Progress
from pages.frame.style import heading, show_problem
from pages.frame.words import choice
from pages.reference_view.working import library, running, start
from r2t2_core.curation.build import Built, Wanted, build
from r2t2_core.curation.routing_json import import_routings
from r2t2_core.curation.sources import Source, open_source
from r2t2_core.engine import Engine
from r2t2_core.errors import SuiteError, WorkbenchError
from r2t2_core.evaluation.suites import REQUIRED
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.reference.manifest import POLICIES
from r2t2_core.settings import Settings

VIEW = "importing"

BUILDING = N_("Building")

PREVIEW = 8
"""Rows that are shown before the build."""

FILE, REBUILD, FOLDER = "file", "rebuild", "folder"


def show(engine: Engine) -> None:
    """Show the wizard, or the progress of what is being built."""
    if running(VIEW):
        return
    _show_last()
    kinds = {
        FILE: _("A file from this computer"),
        FOLDER: _("A folder on the server"),
        REBUILD: _("A reference set, built again"),
    }
    kind = st.segmented_control(
        _("Where the samples come from"), list(kinds), format_func=kinds.__getitem__,
        default=FILE, required=True, key="importing.kind",
    )  # fmt: skip
    text = {FILE: _from_file, FOLDER: _from_folder, REBUILD: _from_set}[kind]()
    if not text:
        return
    if text.endswith(".json"):
        _import_routings(engine, Path(text))
        return
    columns = _columns()
    try:
        source = _opened(text, columns)
    except SuiteError as error:
        show_problem(error)
        st.caption(_("If the columns have other names, name them above."))
        return
    except WorkbenchError as error:
        show_problem(error)
        return
    _preview(source)
    _build(engine, source)


def _from_file() -> str:
    file = st.file_uploader(
        _("A zip with pictures and a table (CSV, JSONL or Parquet), or a JSON of routings"),
        type=["zip", "json"],
        key="importing.upload",
    )
    if file is None:
        return ""
    data = file.getvalue()
    digest = hashlib.sha256(data).hexdigest()[:16]
    folder = Settings.from_environment().data_dir / "uploads" / digest
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"data{Path(file.name).suffix.lower()}"
    path.write_bytes(data)
    return str(path)


def _from_folder() -> str:
    return st.text_input(
        _("Path of a folder, table, `datasets` folder or evaluation run"), key="importing.path"
    ).strip()


def _from_set() -> str:
    names = [name for version in library().versions() for name in version.names]
    return st.selectbox(_("Reference set"), names, key="importing.set") or ""


def _columns() -> dict[str, str]:
    with st.expander(_("The table's columns have other names")):
        given = {
            name: st.text_input(
                _("Column for “{name}”").format(name=name), key=f"importing.column.{name}"
            ).strip()
            for name in (*REQUIRED, "id", "family", "source", "licence", "split")
        }
    return {name: own for name, own in given.items() if own}


def _opened(text: str, columns: dict[str, str]) -> Source:
    settings = Settings.from_environment()
    return open_source(
        text, library(), settings.data_dir / "unpacked", columns, "", settings.sample_data
    )


def _preview(source: Source) -> None:
    suite = source.suite
    heading(_("What is in it"))
    st.caption(
        _("{good} rows can be read, {bad} cannot.").format(
            good=f"{len(suite):,}", bad=f"{len(suite.bad_rows):,}"
        )
    )
    st.dataframe(
        pd.DataFrame(
            [
                {
                    _("question"): sample.question,
                    _("label"): sample.answer,
                    _("family"): sample.family,
                    _("picture file"): sample.image.name,
                }
                for sample in suite.samples[:PREVIEW]
            ]
        ),
        hide_index=True,
        width="stretch",
    )
    if suite.bad_rows:
        st.dataframe(
            pd.DataFrame(
                [{_("row"): row.line, _("reason"): str(row.error)} for row in suite.bad_rows]
            ),
            hide_index=True,
            width="stretch",
        )


def _build(engine: Engine, source: Source) -> None:
    heading(_("How it is built"))
    left, right = st.columns(2)
    name = left.text_input(_("Name"), "mine", key="importing.name")
    policy = right.selectbox(
        _("Reference policy"), POLICIES, POLICIES.index("refined"), format_func=choice,
        key="importing.policy",
    )  # fmt: skip
    licence = left.text_input(_("Licence of the samples"), key="importing.licence")
    note = right.text_input(_("What this version is, in words"), key="importing.note")
    local = st.checkbox(
        _("It never leaves this machine: records and exports hold hashes alone"),
        key="importing.local",
    )
    if st.button(_("Build"), key="importing.go", type="primary"):
        wanted = Wanted(name.strip(), policy, licence, note, local)

        def work(progress: Progress, cancelled: Callable[[], bool]) -> Built:
            return build(
                engine.model, engine.embedder, source, library(), wanted,
                progress=lambda done, total: progress(BUILDING, done / max(total, 1)),
                cancelled=cancelled,
            )  # fmt: skip

        start(VIEW, source.suite.content_hash, work)


def _import_routings(engine: Engine, path: Path) -> None:
    st.caption(
        _(
            "A list of routings without pictures serves Mode Finding, and Kernel Regression with α "
            "= 0, of a model with the same experts; this model's are others."
        )
    )
    name = st.text_input(_("Name"), "routings", key="importing.routings")
    if st.button(_("Import"), key="importing.take", type="primary"):

        def work(progress: Progress, cancelled: Callable[[], bool]) -> Built:
            return import_routings(path, library(), name.strip(), engine.embedder)

        start(VIEW, str(path), work)


def _show_last() -> None:
    made: Built | None = st.session_state.get(f"{VIEW}.result")
    if made is None:
        return
    manifest = made.version.manifest
    st.success(
        _("{name}: {kept} samples of {rows} rows. Choose it under “Versions”.").format(
            name=manifest.name, kept=f"{made.kept:,}", rows=f"{made.rows:,}"
        )
    )
    if made.bad_rows:
        with st.expander(_("{count} rows could not be used").format(count=len(made.bad_rows))):
            st.dataframe(
                pd.DataFrame(made.bad_rows).rename(
                    columns={"row": _("row"), "reason": _("reason")}
                ),
                hide_index=True,
                width="stretch",
            )
