"""Below the fold: neighbours in full, the numbers, what computed them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from pages.frame.cases import picture_data
from pages.frame.words import (
    YES_NO,
    choice,
    strategy_titles,
)
from r2t2_core.analysis import Analysis
from r2t2_core.decision import Decision
from r2t2_core.i18n import gettext as _


def show_neighbours(decision: Decision, root: Path) -> None:
    """Show the neighbours in full."""
    st.subheader(_("Neighbours in full"), anchor=False)
    reference = decision.reference
    st.caption(
        _(
            "{k} of {n} admitted samples of “{name}” (policy {policy}); {left} "
            "near-duplicates were left out. Kernel {kernel}, bandwidth {width}."
        ).format(
            k=len(decision.neighbours),
            n=reference.eligible,
            name=reference.name,
            policy=choice(reference.policy),
            left=reference.near_duplicates_left_out,
            kernel=choice(reference.kernel),
            width=f"{reference.bandwidth:.4f}",
        )
    )
    table = neighbour_table(decision)
    table.insert(
        0, _("picture"), [picture_data(root / entry.image) for entry in decision.neighbours]
    )
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        row_height=76,
        column_config={
            _("picture"): st.column_config.ImageColumn(width="small"),
            _("routing"): st.column_config.BarChartColumn(
                help=_("Routing weights, in the order of the experts"), y_min=0, y_max=1
            ),
            _("kernel weight"): st.column_config.ProgressColumn(
                min_value=0, max_value=1, format="%.2f", width="small"
            ),
            _("question"): st.column_config.TextColumn(width="medium"),
            **{
                name: st.column_config.NumberColumn(format="%.3f", width="small")
                for name in (_("similarity"), _("picture similarity"))
            },
            **{
                name: st.column_config.TextColumn(width="small")
                for name in (_("label"), _("router's answer"), _("right?"), _("sample"))
            },
        },
    )


def neighbour_table(decision: Decision) -> pd.DataFrame:
    """Return one row for each neighbour."""
    return pd.DataFrame(
        [
            {
                _("question"): entry.question,
                _("label"): entry.label,
                _("router's answer"): entry.model_answer,
                _("right?"): _(YES_NO[entry.is_correct]),
                _("similarity"): entry.similarity,
                _("picture similarity"): entry.image_similarity,
                _("kernel weight"): entry.kernel_weight,
                _("routing"): list(entry.routing),
                _("sample"): entry.id,
            }
            for entry in decision.neighbours
        ]
    )


def step_table(decision: Decision) -> pd.DataFrame:
    """Return one row for each step of each strategy: the numbers behind every chart."""
    experts = [name for gate in decision.system.gates for name in gate.experts]
    rows = []
    for record in decision.trajectories:
        for point in record.steps:
            row = {
                "strategy": record.strategy,
                "step": point.step,
                "answer": point.answer,
                "probability": point.probability,
                "surrogate_loss": point.surrogate_loss,
                "step_size": point.step_size,
                "gradient_norm": point.gradient_norm,
                "entropy_bits": point.entropy,
                "distance": point.distance,
            }
            row.update(
                {f"routing.{name}": w for name, w in zip(experts, point.routing, strict=True)}
            )
            rows.append(row)
    return pd.DataFrame(rows)


def show_numbers(decision: Decision, analysis: Analysis | None) -> None:
    """Show the numbers as a table, CSV and JSON, and what computed them."""
    st.subheader(_("The numbers"), anchor=False)
    table = step_table(decision)
    name = f"decision-{decision.id[:8]}"
    first, second, third, _rest = st.columns([1, 1, 1, 1])
    first.download_button(
        _("Steps (CSV)"),
        table.to_csv(index=False),
        f"{name}.csv",
        "text/csv",
        key="csv",
        on_click="ignore",
        width="stretch",
        icon=":material/table:",
    )
    second.download_button(
        _("Whole record (JSON)"),
        decision.canonical_json(),
        f"{name}.json",
        "application/json",
        key="json",
        on_click="ignore",
        width="stretch",
        icon=":material/data_object:",
    )
    if analysis is not None:
        third.download_button(
            _("Causes (JSON)"),
            analysis.canonical_json(),
            f"{name}-causes.json",
            "application/json",
            key="causes.json",
            on_click="ignore",
            width="stretch",
            icon=":material/data_object:",
        )
    with st.expander(_("Table of all steps")):
        st.dataframe(table, hide_index=True, width="stretch")
    with st.expander(_("What computed this")):
        same = decision.system.model_fingerprint_before == decision.system.model_fingerprint_after
        st.markdown(
            _("The model's fingerprint is the same before and after: no weight was changed.")
            if same
            else _("The model's fingerprint is not the same before and after.")
        )
        st.dataframe(origin_table(decision), hide_index=True, width="stretch")
        st.markdown(_("**The gate**, which decides whether another answer may stand:"))
        st.dataframe(gate_table(decision), hide_index=True, width="stretch")
        titles = strategy_titles()
        st.dataframe(
            pd.DataFrame(
                {
                    _("stage"): [_(timing.stage) for timing in decision.timings],
                    _("strategy"): [titles.get(t.strategy or "", "") for t in decision.timings],
                    _("milliseconds"): [round(t.milliseconds, 1) for t in decision.timings],
                }
            ),
            hide_index=True,
        )


def gate_table(decision: Decision) -> pd.DataFrame:
    """Return what the gate looked at: one row for each measure, with its bound."""
    gate = decision.gate
    rows = [
        (_("similarity of the nearest question"), gate.text_similarity, "≥", gate.text_threshold),
        (_("distance of the picture"), gate.image_distance, "≤", gate.image_threshold),
        (_("evidence for another answer (log-odds)"), gate.evidence, "≥", gate.evidence_threshold),
    ]
    return pd.DataFrame(
        {
            _("measure"): [name for name, *_rest in rows],
            _("value"): ["–" if value is None else f"{value:.3f}" for _n, value, *_r in rows],
            _("bound"): [
                "–" if bound is None else f"{sign} {bound:.3f}" for _n, _v, sign, bound in rows
            ],
        }
    )


def origin_table(decision: Decision) -> pd.DataFrame:
    """Return what the decision rests on: one row for each hash, version and setting."""
    system, reference, given = decision.system, decision.reference, decision.input
    rows = {
        _("decision"): decision.id,
        _("time (UTC)"): decision.started_at,
        _("model"): system.model,
        _("fingerprint of the model"): system.model_fingerprint_after,
        _("reference set"): f"{reference.name} {reference.content_hash}",
        _("embedder"): f"{reference.embedder} {reference.embedder_hash}",
        _("picture as received (SHA-256)"): given.image_sha256,
        _("picture as decoded (SHA-256)"): given.pixels_sha256,
        _("question (SHA-256)"): given.question_sha256,
        _("device"): f"{system.device}, {system.dtype}",
        _("threads"): str(system.threads),
        _("seed"): str(system.seed),
        _("versions"): ", ".join(
            f"{name} {version}"
            for name, version in {"r2t2": system.code_version, **system.library_versions}.items()
        ),
    }
    return pd.DataFrame({_("what"): list(rows), _("value"): list(rows.values())})
