"""`r2t2 reference …`: check, edit, condense, refresh, promote, rollback, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from r2t2_core.cli.evaluate import open_suites, progress_bar
from r2t2_core.cli.output import complaints, output
from r2t2_core.cli.reference import Json, app, library_of, print_json
from r2t2_core.curation.amend import amend, keep_rows
from r2t2_core.curation.checks.duplicates import duplicates_of_earlier
from r2t2_core.curation.checks.finding import Thresholds
from r2t2_core.curation.checks.neighbourhood import Bench, prepare_suite
from r2t2_core.curation.checks.report import LIMIT, CheckReport, check_reference
from r2t2_core.curation.condense import SIZES, Condensed
from r2t2_core.curation.condense import condense as run_condense
from r2t2_core.curation.refresh import Refreshed, promote
from r2t2_core.curation.refresh import refresh as run_refresh
from r2t2_core.defaults import Defaults
from r2t2_core.embedding import TaskEmbedder
from r2t2_core.engine import Engine, load_frozen
from r2t2_core.evaluation.prepared import PreparedSuite
from r2t2_core.figures.reference_checks import checks_page
from r2t2_core.models.base import ModelAdapter
from r2t2_core.reference.index import ReferenceIndex
from r2t2_core.reference.manifest import Manifest
from r2t2_core.reference.store import ReferenceSet, check_origin, check_topology
from r2t2_core.settings import Settings

Suites = Annotated[
    list[str] | None,
    typer.Option(help="A shipped suite's name, or a folder, table or zip; may be repeated."),
]
Name = Annotated[str, typer.Argument(help="Name, hash or folder of a version.")]

__all__ = ["app"]

EXIT_UNUSABLE = 1


def open_to_work(settings: Settings, name: str) -> tuple[Engine, ReferenceSet]:
    """Open a set, with an engine on it; one with expert outputs must belong to the model."""
    root = library_of(settings).find(name)
    model, embedder = load_frozen(settings)
    reference = ReferenceSet.load(root)
    if not reference.manifest.routing_only:
        check_belongs(reference.manifest, model, embedder)
    defaults = Defaults.load(settings.defaults_path)
    return Engine(model, embedder, reference, defaults, model.preprocessing_version), reference


def check_belongs(manifest: Manifest, model: ModelAdapter, embedder: TaskEmbedder) -> None:
    """Refuse a set that was made with another model or embedder."""
    check_topology(manifest, model.routing_spec)
    check_origin(manifest, model.fingerprint(), embedder.fingerprint())


@app.command()
def check(
    name: Name,
    suite: Suites = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of a threshold; may be repeated.")
    ] = None,
    policy: Annotated[str | None, typer.Option(help="Reference policy to check under.")] = None,
    limit: Annotated[
        int, typer.Option(min=10, help="Samples, and questions, that costly checks draw at most.")
    ] = LIMIT,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    html: Annotated[Path | None, typer.Option(help="Write the figures here as a page.")] = None,
    json: Json = False,
) -> None:
    """Judge a set: usable, weak or unusable, and why; the exit status is 1 where it is unusable."""
    with complaints():
        settings = Settings.from_environment()
        bounds = Thresholds.parse(dict(_split(text) for text in threshold or []))
        engine, reference = open_to_work(settings, name)
        suites = open_suites(settings, suite) if suite else []
        with progress_bar() as bar:
            task = bar.add_task("checking", total=100)
            report = check_reference(
                engine, reference, suites, bounds, policy=policy, seed=seed, limit=limit,
                progress=lambda stage, share: bar.update(
                    task, completed=round(100 * share), description=stage or "checking"
                ),
            )  # fmt: skip
        if html is not None:
            html.parent.mkdir(parents=True, exist_ok=True)
            html.write_text(checks_page(report), encoding="utf-8")
    if json:
        print_json(report.plain())
    else:
        with output():
            Console().print(_check_table(report))
    if report.verdict == "unusable":
        raise typer.Exit(EXIT_UNUSABLE)


@app.command()
def edit(
    name: Name,
    as_: Annotated[str, typer.Option("--as", help="The name that will point to the new version.")],
    drop: Annotated[
        list[str] | None, typer.Option(help="Identifier of a sample; may be repeated.")
    ] = None,
    relabel: Annotated[list[str] | None, typer.Option(help="ID=ANSWER; may be repeated.")] = None,
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Keep the first of near-duplicates.")
    ] = False,
    note: Annotated[str, typer.Option(help="What was done, in words.")] = "",
) -> None:
    """Drop and relabel samples: a new version; the old one stays."""
    with complaints():
        settings = Settings.from_environment()
        engine, reference = open_to_work(settings, name)
        dropped = list(drop or [])
        if drop_duplicates:
            bench = Bench(engine, reference, ReferenceIndex(reference), engine.default_retrieval)
            rows = duplicates_of_earlier(bench, Thresholds().duplicate_similarity)
            identifiers = reference.column("id")
            dropped += [str(identifiers[row]) for row in rows.tolist()]
        made = amend(
            library_of(settings),
            reference,
            engine.model,
            as_,
            drop=dropped,
            relabel=dict(_split(text) for text in relabel or []),
            note=note,
        )
    with output():
        manifest = made.manifest
        print(f"{as_}: {manifest.size:,} samples, version {manifest.content_hash[:12]}")


@app.command()
def condense(
    name: Name,
    suite: Suites = None,
    sizes: Annotated[str, typer.Option(help="Comma-separated sizes that are measured.")] = ",".join(
        map(str, SIZES)
    ),
    keep: Annotated[int | None, typer.Option(min=1, help="Store this many of the samples.")] = None,
    share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Store the smallest size that keeps this share of gain."),
    ] = None,
    as_: Annotated[str, typer.Option("--as", help="Name of the small set.")] = "",
    limit: Annotated[int, typer.Option(min=10, help="Questions in all.")] = LIMIT,
    json: Json = False,
) -> None:
    """Find a small set that keeps most of the gain: size against accuracy."""
    with complaints():
        settings = Settings.from_environment()
        engine, reference = open_to_work(settings, name)
        prepared = _prepared(engine, settings, suite, limit)
        retrieval = engine.default_retrieval
        bench = Bench(engine, reference, ReferenceIndex(reference), retrieval)
        chosen = [int(size) for size in sizes.split(",") if size.strip().isdigit()]
        with progress_bar() as bar:
            task = bar.add_task("condensing", total=None)
            found = run_condense(
                bench,
                prepared,
                [*chosen, *([keep] if keep else [])],
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        size = keep or (found.smallest(share) if share is not None else None)
        if size and as_:
            rows = np.sort(found.order[:size])
            evidence = {"points": [asdict(point) for point in found.points]}
            keep_rows(
                library_of(settings), reference, rows, as_, f"condensed to {size} of "
                f"{len(reference)}", "condense", evidence,
            )  # fmt: skip
    if json:
        print_json(
            {
                "router_accuracy": found.router_accuracy,
                "whole_accuracy": found.whole_accuracy,
                "points": [asdict(point) for point in found.points],
            }
        )
        return
    with output():
        Console().print(_condense_table(found))


@app.command()
def refresh(
    name: Annotated[str, typer.Argument(help="The set that is refreshed, by its name.")],
    candidates: Annotated[
        str | None, typer.Option(help="A set that was built from the new samples.")
    ] = None,
    holdout: Annotated[
        list[str] | None,
        typer.Option(help="Suites on which versions are compared; may be repeated."),
    ] = None,
    retire: Annotated[
        list[str] | None,
        typer.Option(help="Suites on which harmful samples are found and retired."),
    ] = None,
    policy: Annotated[str, typer.Option(help="never, ask or if_better.")] = "ask",
    limit: Annotated[int, typer.Option(min=10, help="Questions of the hold-out.")] = LIMIT,
    json: Json = False,
) -> None:
    """Stage a version with new samples and without harmful ones; compare; promote or not."""
    with complaints():
        settings = Settings.from_environment()
        library = library_of(settings)
        engine, _reference = open_to_work(settings, name)
        shared = set(holdout or []) & set(retire or [])
        if shared:
            raise typer.BadParameter(f"{sorted(shared)[0]} cannot be both hold-out and judge")
        outcome = run_refresh(
            engine,
            library,
            name,
            _candidates(engine, settings, candidates) if candidates else None,
            _prepared(engine, settings, holdout, limit),
            policy=policy,
            retire_on=_prepared(engine, settings, retire, limit) if retire else (),
        )
    if json:
        print_json({"promoted": outcome.promoted, **outcome.evidence()})
        return
    with output():
        _say_refreshed(outcome, name)


@app.command(name="promote")
def promote_(name: Annotated[str, typer.Argument(help="A set with a staging version.")]) -> None:
    """Promote the staging version of a set."""
    with complaints():
        promote(library_of(Settings.from_environment()), name, {"by": "person"})


@app.command()
def rollback(name: Annotated[str, typer.Argument(help="A set.")]) -> None:
    """Let a name point to where it pointed before."""
    with complaints():
        digest = library_of(Settings.from_environment()).roll_back(name)
    with output():
        print(f"{name} points to {digest[:12]} again")


@app.command()
def events(json: Json = False) -> None:
    """Show what was done with reference sets, by whom, when, on which evidence."""
    with complaints():
        found = library_of(Settings.from_environment()).events()
    if json:
        print_json(list(found))
        return
    table = Table()
    for heading in ("at", "by", "what", "name", "version"):
        table.add_column(heading)
    for entry in found:
        table.add_row(
            entry["at"], entry["by"], entry["event"], entry["name"], entry["version"][:12]
        )
    with output():
        Console().print(table)


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE")
    return name.strip(), value.strip()


def _candidates(engine: Engine, settings: Settings, name: str) -> ReferenceSet:
    """Open a set of candidates; it must belong to the model."""
    reference = ReferenceSet.load(library_of(settings).find(name))
    check_belongs(reference.manifest, engine.model, engine.embedder)
    return reference


def _prepared(
    engine: Engine, settings: Settings, names: Sequence[str] | None, limit: int
) -> list[PreparedSuite]:
    suites = open_suites(settings, names or [])
    each = -(-limit // len(suites))
    return [prepare_suite(engine, suite, each, 0) for suite in suites]


def _check_table(report: CheckReport) -> Table:
    table = Table(title=f"{report.name} ({report.policy}): {report.verdict}")
    for heading in ("check", "verdict", "figure", "weak", "unusable"):
        table.add_column(heading, no_wrap=True)
    table.add_column("in words, and what to do")
    for finding in report.findings:
        table.add_row(
            finding.check,
            finding.verdict,
            *("" if value is None else f"{value:.3f}"
              for value in (finding.figure, finding.weak, finding.unusable)),
            f"{finding.words} {finding.advice}".strip(),
        )  # fmt: skip
    return table


def _condense_table(found: Condensed) -> Table:
    table = Table(title=f"router {found.router_accuracy:.1%}, whole set {found.whole_accuracy:.1%}")
    for heading in ("samples", "accuracy", "95 % interval", "drawn at random"):
        table.add_column(heading, justify="right")
    for point in found.points:
        table.add_row(
            f"{point.size:,}", f"{point.accuracy:.1%}", f"{point.low:.1%}–{point.high:.1%}",
            f"{point.random_accuracy:.1%}",
        )  # fmt: skip
    return table


def _say_refreshed(outcome: Refreshed, name: str) -> None:
    seen = outcome.screening
    print(
        f"{seen.kept} of {seen.candidates} candidates may enter ({len(seen.duplicates)} known "
        f"already, {len(seen.suspicious)} with suspicious labels, {len(seen.leaking)} asked by the "
        f"hold-out); {len(outcome.retired)} samples are retired"
    )
    table = Table()
    for heading in ("suite", "questions", "in force", "staging", "better", "worse", "p"):
        table.add_column(heading, justify="right")
    for entry in outcome.comparisons:
        table.add_row(
            entry.suite, str(entry.cases), f"{entry.before:.1%}", f"{entry.after:.1%}",
            str(entry.better), str(entry.worse), f"{entry.p_value:.2g}",
        )  # fmt: skip
    Console().print(table)
    digest = outcome.staging.manifest.content_hash[:12]
    if outcome.promoted:
        print(f"promoted: {name} points to {digest}")
    else:
        print(f"staged as {digest}; `r2t2 reference promote {name}` puts it in force")
