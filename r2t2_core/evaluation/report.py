"""A run in words and tables (Markdown). Every number is computed from the run's rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from r2t2_core.evaluation.costs import MODEL, Cost
from r2t2_core.evaluation.metrics import (
    ALL,
    BASE,
    ORACLE,
    Score,
    accuracy_by_step,
    by_family,
    flows,
    score,
    transitions,
)
from r2t2_core.evaluation.runner import Run
from r2t2_core.registry import strategies

DESCENT = "ngd"

RIVALS = ("knn_vote", "router_finetuned")
"""Baselines that a reader must hear of first where they do better than re-routing."""


def together(scores: Sequence[Score]) -> list[Score]:
    """Return the scores over all suites together (of the one suite, where there is only one)."""
    suites = dict.fromkeys(entry.suite for entry in scores)
    last = ALL if ALL in suites else next(iter(suites))
    return [entry for entry in scores if entry.suite == last]


def costs_of(run: Run) -> list[Cost]:
    """Return a run's measured costs; empty where they were not measured."""
    path = run.folder / "costs.json"
    if not path.is_file():
        return []
    return [Cost(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def report_text(run: Run) -> str:
    """Return the report."""
    results, scores = run.results, score(run.results)
    lines = [
        "# Results",
        "",
        *_opening(scores),
        *_about(run, results),
        *_overall(scores),
        *_by_suite(scores),
        *_by_family(results),
        *_steps(results, scores),
        *_cost(run, scores),
        *_flows(run, results, scores),
    ]
    return "\n".join(lines).rstrip() + "\n"


def best_of(scores: Sequence[Score]) -> Score:
    """Return the best strategy that is neither control nor oracle."""
    known = strategies()
    usable = [
        entry for entry in together(scores)
        if (name := _name(entry.method)) in known and not known[name].is_control
    ]  # fmt: skip
    return max(usable or together(scores), key=lambda entry: entry.accuracy)


def _name(method: str) -> str:
    return method.partition(":")[0].partition("@")[0]


def _opening(scores: Sequence[Score]) -> list[str]:
    """Say what a sceptic must know first: where something simpler does better."""
    overall = {entry.method: entry for entry in together(scores)}
    best, base = best_of(scores), overall[BASE]
    sentences = []
    descent = overall.get(DESCENT)
    for rival in RIVALS:
        if descent is None or rival not in overall:
            continue
        better = [
            entry.suite for entry in scores
            if entry.method == rival and entry.suite != ALL
            and entry.accuracy > _find(scores, entry.suite, DESCENT).accuracy
        ]  # fmt: skip
        if better:
            sentences.append(f"**`{rival}` does better than `{DESCENT}` on {', '.join(better)}.**")
        else:
            sentences.append(f"`{rival}` does better than `{DESCENT}` on no suite.")
    gap = ""
    if best.gap_closed is not None:
        gap = (
            f" It closes {best.gap_closed:.0%} of the gap from router to oracle "
            f"({best.gap_low:.0%} to {best.gap_high:.0%})."
        )
    sentences.append(
        f"The best strategy, `{best.method}`, answers {_share(best)} of {best.n:,} questions, the "
        f"router {_share(base)}: {best.fixed} wrong answers made right, {best.broken} right ones "
        f"made wrong (McNemar p {_p(best.p_value)}).{gap} Behind the gate it answers "
        f"{best.gated_accuracy:.1%}, {best.gated_fixed} fixed and {best.gated_broken} broken."
    )
    return [" ".join(sentences), ""]


def _find(scores: Sequence[Score], suite: str, method: str) -> Score:
    return next(entry for entry in scores if entry.suite == suite and entry.method == method)


def _share(entry: Score) -> str:
    return f"{entry.accuracy:.1%} ({entry.low:.1%} to {entry.high:.1%})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _about(run: Run, results: pd.DataFrame) -> list[str]:
    about = run.about
    outside = results[~results["in_vocabulary"]].drop_duplicates(["suite", "sample"])
    lines = [
        f"Model {about['model']} (`{about['model_fingerprint'][:12]}`), reference set "
        f"{about['reference_set']} (`{about['reference_hash'][:12]}`), {about['device']}, "
        f"{about['threads']} threads, seed {about['seed']}, run `{about['key'][:12]}`. "
        "Intervals are Wilson's, 95 %; the share of the gap has a bootstrap interval; p is "
        "McNemar's, exact, against the router.",
        "",
    ]
    if len(outside):
        lines += [
            f"Answers outside the model's vocabulary, which count as wrong: {len(outside)}.",
            "",
        ]
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _overall(scores: Sequence[Score]) -> list[str]:
    rows = [
        [
            f"`{entry.method}`",
            _share(entry),
            "" if entry.method == BASE else f"{entry.fixed} / {entry.broken}",
            "" if entry.method == BASE else _p(entry.p_value),
            _gap(entry),
            f"{entry.gated_accuracy:.1%}",
            f"{entry.calibration_error:.3f}",
        ]
        for entry in together(scores)
    ]
    head = ["method", "accuracy", "fixed / broken", "p", "gap closed", "behind the gate", "ECE"]
    return [f"## All suites together: {together(scores)[0].n:,} questions", "", *_table(head, rows)]


def _gap(entry: Score) -> str:
    if entry.gap_closed is None or entry.method in (BASE, ORACLE):
        return ""
    return f"{entry.gap_closed:.0%} ({entry.gap_low:.0%} to {entry.gap_high:.0%})"


def _by_suite(scores: Sequence[Score]) -> list[str]:
    suites = [name for name in dict.fromkeys(entry.suite for entry in scores) if name != ALL]
    methods = dict.fromkeys(entry.method for entry in scores)
    accuracy = [
        [f"`{method}`", *(f"{_find(scores, suite, method).accuracy:.1%}" for suite in suites)]
        for method in methods
    ]
    harm = []
    for method in methods:
        found = [_find(scores, suite, method) for suite in suites]
        if method != BASE:
            harm.append([f"`{method}`", *(f"{entry.fixed} / {entry.broken}" for entry in found)])
    counts = ", ".join(f"{suite} {_find(scores, suite, BASE).n:,}" for suite in suites)
    return [
        "## Accuracy by suite",
        "",
        f"Questions: {counts}.",
        "",
        *_table(["method", *suites], accuracy),
        "## Fixed / broken by suite",
        "",
        *_table(["method", *suites], harm),
    ]


def _by_family(results: pd.DataFrame) -> list[str]:
    table = by_family(results)
    if table.empty or list(table.columns) == [""]:
        return []
    counts = results[results["method"] == BASE]["family"].value_counts()
    head = ["method", *(f"{name} ({counts[name]})" for name in table.columns)]
    rows = [[f"`{method}`", *(f"{value:.0%}" for value in row)] for method, row in
            zip(table.index, table.to_numpy(), strict=True)]  # fmt: skip
    return ["## Accuracy by family", "", *_table(head, rows)]


def _steps(results: pd.DataFrame, scores: Sequence[Score]) -> list[str]:
    table = accuracy_by_step(results)
    moving = [name for name in table.columns if table[name].notna().sum() > 2]
    if not moving:
        return []
    steps = list(range(0, len(table), 2))
    rows = []
    for name in moving:
        line = table[name].ffill()
        repaired, harmed = transitions(results, name)
        rows.append(
            [
                f"`{name}`",
                *(f"{line[step]:.1%}" for step in steps),
                f"{repaired:.1%}",
                f"{harmed:.1%}",
            ]
        )
    head = ["method", *(f"step {step}" for step in steps), "wrong → right", "right → wrong"]
    return ["## Accuracy by step", "", *_table(head, rows)]


def _cost(run: Run, scores: Sequence[Score]) -> list[str]:
    costs = costs_of(run)
    if not costs:
        return []
    unit = next(cost for cost in costs if cost.method == MODEL)
    rows = [
        [
            f"`{cost.method}`" if cost.method != MODEL else cost.method,
            f"{cost.milliseconds / unit.milliseconds:.2f}",
            f"{cost.flops / max(unit.flops, 1):.2f}",
        ]
        for cost in costs
    ]
    return [
        "## Cost of one question",
        "",
        "Over and above the frozen model's own work, as multiples of it, measured in one run.",
        "",
        *_table(["work", "time ×", "FLOPs ×"], rows),
    ]


def _flows(run: Run, results: pd.DataFrame, scores: Sequence[Score]) -> list[str]:
    best, experts = best_of(scores), run.about["experts"]
    counts = flows(results, best.method, experts)
    rows = [[name, *(str(value) for value in counts.loc[name])] for name in experts]
    return [
        f"## Which expert gains and loses under `{best.method}`",
        "",
        "Heaviest expert before (rows) and after re-routing (columns).",
        "",
        *_table(["", *experts], rows),
    ]
