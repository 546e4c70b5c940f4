"""`r2t2 evaluate`, `r2t2 ablate`, `r2t2 report`: methods over suites, and what came of it."""

from __future__ import annotations

import json as json_format
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.status import Status
from rich.table import Table

from r2t2_core.audit.log import now
from r2t2_core.audit.recorder import open_recorder
from r2t2_core.cli.output import complaints, output
from r2t2_core.engine import Engine
from r2t2_core.errors import SuiteError
from r2t2_core.evaluation import easy_vqa
from r2t2_core.evaluation.ablations import Ablation, Point, ablation_text, about_ablations
from r2t2_core.evaluation.ablations import ablate as run_ablations
from r2t2_core.evaluation.costs import measure_costs
from r2t2_core.evaluation.methods import parse_methods
from r2t2_core.evaluation.metrics import Score, score
from r2t2_core.evaluation.report import report_text, together
from r2t2_core.evaluation.runner import Run, finished_runs
from r2t2_core.evaluation.runner import evaluate as run_evaluation
from r2t2_core.evaluation.suites import Suite, default_suites, load_suite, shipped_suites
from r2t2_core.figures.results_page import results_page
from r2t2_core.i18n import N_
from r2t2_core.registry import get_strategy
from r2t2_core.settings import Settings

ABOUT = (
    "One thing at a time is changed; all else stays at what validation chose. Nothing here chose a "
    "parameter: these are the test suites. Written by `r2t2 ablate`."
)

DEFAULT_METHODS = "base,random_neighbours,knn_vote,ngd,kernel_regression,mode_finding,oracle"


def evaluate(
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help="A shipped suite's name, easy-vqa, or a folder, table or zip of your own; may be "
            "repeated. By default the eight that stand in the report."
        ),
    ] = None,
    strategies: Annotated[
        str,
        typer.Option(
            help="Comma-separated: NAME[@POLICY][:PARAMETER=VALUE], strategies and the baselines "
            "knn_vote, router_finetuned, tent, memo."
        ),
    ] = DEFAULT_METHODS,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Samples in all, shared evenly over the suites.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of what a limit draws, and of the control.")
    ] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Write one object for each suite and strategy here.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the finished batches of an interrupted run.")
    ] = False,
) -> None:
    """Run strategies and baselines over suites; print accuracy, what was fixed and what broke."""
    with complaints():
        settings = Settings.from_environment()
        recorder = open_recorder(settings)
        caller = recorder.access.caller()
        recorder.access.require(caller, "evaluate")
        suites = open_suites(settings, suite or [])
        engine = Engine.load(settings)
        methods = parse_methods(strategies.split(","), engine.defaults, seed)
        began = now()
        stop = Event()
        with _stopped_by_interrupt(stop), _bar() as bar:
            task = bar.add_task("evaluating", total=None)
            run = run_evaluation(
                engine,
                suites,
                methods,
                settings.data_dir / "runs",
                limit=limit,
                seed=seed,
                resume=resume,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                cancelled=stop.is_set,
            )
        measure_costs(engine, methods, run)
        scores = score(run.results)
        recorder.record_evaluation(
            run.about,
            run.folder / "results.parquet",
            [_plain(entry) for entry in scores],
            principal=caller,
            purpose="r2t2 evaluate",
            started_at=began,
        )
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        rows = [_plain(entry) for entry in scores]
        json.write_text(json_format.dumps(rows, indent=1) + "\n", encoding="utf-8")
    with output():
        console = Console()
        console.print(_table(scores))
        bad = json_format.loads((run.folder / "bad_rows.json").read_text(encoding="utf-8"))
        if bad:
            console.print(f"{len(bad)} rows could not be used; the first: {bad[0]['reason']}")
        console.print(f"run: {run.folder}", soft_wrap=True)


def report(
    run: Annotated[
        Path | None, typer.Option(help="A run's folder; by default the newest finished one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the Markdown goes; HTML beside it.")] = Path(
        "results.md"
    ),
) -> None:
    """Write what a run found: tables and figures, every number from its Parquet file."""
    with complaints():
        folder = Settings.from_environment().data_dir / "runs"
        opened = Run.open(run) if run else next(finished_runs(folder), None)
        if opened is None:
            opened = Run.open(folder)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(report_text(opened), encoding="utf-8")
        page = out.with_suffix(".html")
        page.write_text(results_page(opened), encoding="utf-8")
    with output():
        for path in (out, page):
            Console().print(str(path), soft_wrap=True)


def ablate(
    strategy: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    suite: Annotated[list[str] | None, typer.Option(help="As of `evaluate`.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Samples in all.")] = None,
    out: Annotated[Path, typer.Option(help="Where the Markdown goes.")] = Path("ablations.md"),
    json: Annotated[Path | None, typer.Option(help="Write all points here, as data.")] = None,
) -> None:
    """Change one thing at a time: parameters, reference size, label noise, mismatch."""
    with complaints():
        settings = Settings.from_environment()
        suites = open_suites(settings, suite or [])
        engine = Engine.load(settings)
        texts, measured = ["# Ablations", "", ABOUT, ""], list[Point]()
        with Console(stderr=True).status("ablating") as status:
            for name in strategy or ("ngd", "kernel_regression"):
                get_strategy(name)
                points = run_ablations(
                    engine,
                    suites,
                    name,
                    settings.data_dir / "ablations",
                    limit=limit,
                    progress=partial(_tell, status, name),
                )
                texts.append(ablation_text(name, points))
                measured += points
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("\n".join(texts), encoding="utf-8")
        if json is not None:
            Ablation(about_ablations(engine, measured), tuple(measured)).write(json)
    with output():
        Console().print(str(out), soft_wrap=True)


def _tell(status: Status, strategy: str, what: str) -> None:
    status.update(f"{strategy}: {what}")


def open_suites(settings: Settings, named: Sequence[str]) -> list[Suite]:
    """Open suites by name or path; the default ones where none is named."""
    folder = settings.sample_data / "suites"
    shipped, opened = shipped_suites(folder), []
    for name in named or default_suites(folder):
        if name == easy_vqa.NAME:
            opened.append(easy_vqa.load_easy_vqa())
            continue
        path = shipped.get(name, Path(name))
        opened.append(load_suite(path, settings.data_dir / "unpacked" / path.stem))
    names = [suite.name for suite in opened]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise SuiteError(
            N_("Two suites are called {name}."), N_("Rename one of them."), name=sorted(repeated)[0]
        )
    return opened


@contextmanager
def _stopped_by_interrupt(stop: Event) -> Iterator[None]:
    """Let Ctrl-C end the run after the present batch, which is kept."""
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _plain(entry: Score) -> dict[str, object]:
    values = asdict(entry)
    values["strategy"] = values.pop("method")
    values["interval"] = [values.pop("low"), values.pop("high")]
    return values


def _table(scores: Sequence[Score]) -> Table:
    """Return the scores over all suites together; `--json` and `r2t2 report` have them all."""
    overall = together(scores)
    table = Table(title=f"{overall[0].suite}: {overall[0].n:,} questions")
    table.add_column("strategy")
    for heading in ("accuracy", "95 % interval", "fixed", "broken", "p", "gap"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in overall:
        table.add_row(
            entry.method,
            f"{entry.accuracy:.1%}",
            f"{entry.low:.1%}–{entry.high:.1%}",
            str(entry.fixed),
            str(entry.broken),
            f"{entry.p_value:.2g}",
            "" if entry.gap_closed is None else f"{entry.gap_closed:.0%}",
        )
    return table
