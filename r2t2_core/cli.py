"""The command line: `r2t2 answer`, `r2t2 strategies`, `r2t2 info`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from transformers.utils import logging as transformers_logging

from r2t2_core.decision import Decision, TrajectoryRecord
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.intake.image import read_image_file
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, parse_params, strategies
from r2t2_core.settings import Settings
from r2t2_core.strategies.base import Params

app = typer.Typer(
    help="Re-route a frozen mixture of experts at test time, and see why.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

ALL = "all"

EXIT_BAD_INPUT = 2


@app.callback()
def main() -> None:
    """R2-T2 Workbench."""
    # Its bars on the error stream would hide the one sentence that matters.
    transformers_logging.disable_progress_bar()


@app.command()
def answer(
    image: Annotated[Path, typer.Argument(help="A picture file.")],
    question: Annotated[str, typer.Argument(help="A question about it, in English.")],
    strategy: Annotated[
        str | None,
        typer.Option(help="A registered strategy or `all`; by default what validation chose."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="The right answer, where it is known.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="Parameter of a strategy: STRATEGY.NAME=VALUE; may be repeated."),
    ] = None,
    retrieve: Annotated[
        list[str] | None,
        typer.Option(help="Parameter of the retrieval: NAME=VALUE; may be repeated."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the decision as JSON alone.")] = False,
) -> None:
    """Answer a question about a picture, before and after re-routing."""
    errors = Console(stderr=True)
    try:
        data = read_image_file(image)
        engine = Engine.load(Settings.from_environment())
        decision = engine.answer(
            data,
            question,
            retrieval=_retrieval(engine, retrieve or []),
            parameters=_parameters(engine, param or []),
            strategies=None if strategy == ALL else [strategy or engine.default_strategy],
            strategy=None if strategy == ALL else strategy,
            label=label,
        )
    except WorkbenchError as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(EXIT_BAD_INPUT) from error
    if json:
        sys.stdout.write(decision.canonical_json().decode() + "\n")
    else:
        _show(decision, Console())


@app.command(name="strategies")
def list_strategies() -> None:
    """List the registered strategies and their parameters."""
    table = Table("strategy", "parameter", "default", "description")
    for name, entry in strategies().items():
        table.add_row(name, "", "", entry.summary)
        for field, info in entry.params.model_fields.items():
            table.add_row("", field, str(info.default), info.description or "")
    Console().print(table)


@app.command()
def info() -> None:
    """Say which model, reference set and defaults are in use, and where data are written."""
    settings = Settings.from_environment()
    try:
        engine = Engine.load(settings)
    except WorkbenchError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(EXIT_BAD_INPUT) from error
    manifest = engine.reference.manifest
    table = Table(show_header=False)
    table.add_row("model", engine.model.name)
    table.add_row("fingerprint", engine.model_fingerprint)
    table.add_row("device", engine.device)
    table.add_row("reference set", f"{manifest.name}: {manifest.size} samples")
    table.add_row("content hash", manifest.content_hash)
    table.add_row("default strategy", engine.default_strategy)
    table.add_row("chosen on", engine.defaults.chosen_on)
    table.add_row("data folder", str(settings.data_dir))
    Console().print(table)


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE")
    return name.strip(), value.strip()


def _parameters(engine: Engine, given: list[str]) -> dict[str, Params]:
    """Read `STRATEGY.NAME=VALUE` options on top of the defaults."""
    merged: dict[str, dict[str, object]] = {}
    for text in given:
        name, value = _split(text)
        strategy, dot, field = name.partition(".")
        if not dot:
            raise typer.BadParameter(f"{text!r} is not of the form STRATEGY.NAME=VALUE")
        start = engine.default_parameters(strategy).model_dump()
        merged.setdefault(strategy, start)[field] = value
    return {name: parse_params(get_strategy(name), values) for name, values in merged.items()}


def _retrieval(engine: Engine, given: list[str]) -> RetrievalParams:
    values = engine.default_retrieval.model_dump()
    values.update(_split(text) for text in given)
    return RetrievalParams.parse(values)


def _show(decision: Decision, console: Console) -> None:
    base, final = decision.base, decision.final
    console.print(f"before  {base.answer}  ({base.probability:.1%})", highlight=False)
    verdict = "flipped" if decision.flipped else "unchanged"
    console.print(
        f"after   {final.answer}  ({final.probability:.1%})  {verdict}, by {decision.strategy}",
        highlight=False,
    )
    for reason in decision.gate.reasons:
        console.print(f"The router's answer was kept: {reason}", style="yellow")
    if decision.input.label:
        console.print(f"label   {decision.input.label}", highlight=False)
    console.print(_routing_table(decision))
    console.print(_strategy_table(decision.trajectories))
    console.print(_neighbour_table(decision))
    total = sum(timing.milliseconds for timing in decision.timings)
    system = decision.system
    console.print(f"{system.model} on {system.device}, {total:.0f} ms", highlight=False)


def _routing_table(decision: Decision) -> Table:
    table = Table("expert", "router", "in use", "after", "in use", title="Routing weights")
    experts = [name for gate in decision.system.gates for name in gate.experts]
    rows = zip(
        experts,
        decision.base.routing,
        decision.base.routing_top_k,
        decision.final.routing,
        decision.final.routing_top_k,
        strict=True,
    )
    for name, *values in rows:
        table.add_row(name, *(f"{value:.3f}" if value else "·" for value in values))
    return table


def _strategy_table(trajectories: tuple[TrajectoryRecord, ...]) -> Table:
    table = Table(
        "strategy", "answer", "probability", "flips at step", "loss from", "loss to", "stopped",
        title="Strategies",
    )  # fmt: skip
    for record in trajectories:
        first, last = record.steps[0], record.last
        table.add_row(
            record.strategy,
            last.answer,
            f"{last.probability:.1%}",
            "" if record.flip_step is None else str(record.flip_step),
            f"{first.surrogate_loss:.3f}",
            f"{last.surrogate_loss:.3f}",
            record.stop_reason,
        )
    return table


def _neighbour_table(decision: Decision) -> Table:
    table = Table(
        "id", "question", "label", "model said", "similarity", "weight", title="Neighbours"
    )
    for neighbour in decision.neighbours:
        table.add_row(
            neighbour.id,
            neighbour.question,
            neighbour.label,
            neighbour.model_answer,
            f"{neighbour.similarity:.3f}",
            f"{neighbour.kernel_weight:.3f}",
        )
    return table


if __name__ == "__main__":
    app()
