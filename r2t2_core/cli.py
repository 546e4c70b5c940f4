"""The command line: `r2t2 answer`, `r2t2 strategies`, `r2t2 info`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from transformers.utils import logging as transformers_logging

from r2t2_core.decision import Decision, TrajectoryRecord
from r2t2_core.defaults import Defaults
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.intake.image import read_image_file
from r2t2_core.parameters import bounds, choices
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
EXIT_NO_OUTPUT = 3


@app.callback()
def main() -> None:
    """R2-T2 Workbench."""
    # Its bars on the error stream would hide the one sentence that matters.
    transformers_logging.disable_progress_bar()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a sign gets a replacement, not an error.
        sys.stdout.reconfigure(errors="replace")


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
    with _complaints():
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
    with _output():
        if json:
            sys.stdout.buffer.write(decision.canonical_json() + b"\n")
        else:
            _show(decision, Console())


@app.command(name="strategies")
def list_strategies() -> None:
    """List the strategies and the retrieval: parameters, bounds, and what validation chose."""
    with _complaints():
        defaults = Defaults.load(Settings.from_environment().defaults_path)
        tables = [
            _parameter_table(
                f"{name}: {entry.summary}", parse_params(entry, defaults.parameters.get(name, {}))
            )
            for name, entry in strategies().items()
        ]
        tables.append(_parameter_table("retrieval: How neighbours are found.", defaults.retrieval))
    with _output():
        Console().print(*tables)


def _parameter_table(title: str, chosen: BaseModel) -> Table:
    table = Table(title=title, title_justify="left", expand=True)
    for heading in ("parameter", "default"):
        table.add_column(heading, no_wrap=True)
    table.add_column("allowed")
    table.add_column("description", ratio=1)
    for field, about in type(chosen).model_fields.items():
        options = choices(about)
        allowed = " | ".join(options) if options else str(bounds(about))
        table.add_row(field, str(getattr(chosen, field)), allowed, about.description or "")
    return table


@app.command()
def info() -> None:
    """Say which model, reference set and defaults are in use, and where data are written."""
    with _complaints():
        settings = Settings.from_environment()
        engine = Engine.load(settings)
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
    with _output():
        Console().print(table)


@contextmanager
def _complaints() -> Iterator[None]:
    """Turn what went wrong into one sentence on the error stream."""
    try:
        yield
    except WorkbenchError as error:
        _complain(str(error), EXIT_BAD_INPUT)


@contextmanager
def _output() -> Iterator[None]:
    """Print, and say so where nobody takes what is printed."""
    if sys.stdout is None:
        _complain("The result cannot be written: the output is closed.", EXIT_NO_OUTPUT)
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # Python would try once more, and complain itself, when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _complain(f"The result cannot be written: {error.strerror}.", EXIT_NO_OUTPUT)


def _complain(sentence: str, code: int) -> NoReturn:
    # One line, however narrow the terminal: programs read it too.
    Console(stderr=True).print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


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
