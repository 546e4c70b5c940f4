"""`r2t2 answer`: one question, before and after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from r2t2_core.backend import Backend
from r2t2_core.cli.output import complaints, output
from r2t2_core.decision import Decision, TrajectoryRecord
from r2t2_core.intake.image import read_image_file
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.server.client import open_backend
from r2t2_core.settings import Settings
from r2t2_core.strategies.base import Params

ALL = "all"


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
    with complaints():
        data = read_image_file(image)
        backend = open_backend(Settings.from_environment())
        decision = backend.answer(
            data,
            question,
            retrieval=_retrieval(backend, retrieve or []),
            parameters=_parameters(backend, param or []),
            strategies=None if strategy == ALL else [strategy or backend.default_strategy],
            strategy=None if strategy == ALL else strategy,
            label=label,
        )
    with output():
        if json:
            sys.stdout.buffer.write(decision.canonical_json() + b"\n")
        else:
            _show(decision, Console())


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE")
    return name.strip(), value.strip()


def _parameters(backend: Backend, given: list[str]) -> dict[str, Params]:
    """Read `STRATEGY.NAME=VALUE` options on top of the defaults."""
    merged: dict[str, dict[str, object]] = {}
    for text in given:
        name, value = _split(text)
        strategy, dot, field = name.partition(".")
        if not dot:
            raise typer.BadParameter(f"{text!r} is not of the form STRATEGY.NAME=VALUE")
        start = backend.default_parameters(strategy).model_dump()
        merged.setdefault(strategy, start)[field] = value
    return {name: parse_params(get_strategy(name), values) for name, values in merged.items()}


def _retrieval(backend: Backend, given: list[str]) -> RetrievalParams:
    values = backend.default_retrieval.model_dump()
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
