"""All measurements in one run: `make bench`.

    python -m benchmarks [--out build/benchmark.json] [--page docs/performance.md] [--small]

Writes what was measured as JSON, and the page's table from it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from transformers.utils import logging as transformers_logging

from benchmarks.clients import many_clients
from benchmarks.curves import growth
from benchmarks.measuring import machine, measure
from benchmarks.page import performance_page
from benchmarks.rerouting import Bench, build
from benchmarks.retrieval import large_retrieval
from benchmarks.startup import start_up
from r2t2_core.engine import Engine
from r2t2_core.settings import Settings

PARTS = ("rerouting", "curves", "startup", "clients", "retrieval")


def main(
    out: Annotated[Path, typer.Option(help="Where the numbers go.")] = Path("build/benchmark.json"),
    page: Annotated[Path | None, typer.Option(help="The page that is written from them.")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 30,
    references: Annotated[int, typer.Option(min=1000, help="Of the retrieval.")] = 1_000_000,
    only: Annotated[list[str] | None, typer.Option(help="A part; may be repeated.")] = None,
    small: Annotated[
        bool, typer.Option("--small", help="Tiny sizes: whether it runs, not how fast.")
    ] = False,
) -> None:
    """Measure, write the numbers and the page."""
    transformers_logging.disable_progress_bar()
    console = Console(stderr=True)
    if small:
        repeats, references = 1, min(references, 20_000)
    record: dict[str, Any] = {"made_at": datetime.now(UTC).isoformat(timespec="seconds")}
    chosen = only or list(PARTS)
    engine = Engine.load(Settings.from_environment())
    record |= {
        "machine": machine(),
        "device": engine.device,
        "model": engine.model.name,
        "reference_size": len(engine.reference),
        "repeats": repeats,
        "small": small,
    }
    for part in PARTS:
        if part not in chosen:
            continue
        console.print(f"measuring: {part}")
        record[part] = _measure(part, engine, repeats, references, small)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = performance_page(record)
    if page is not None:
        page.write_text(text, encoding="utf-8")
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def _measure(part: str, engine: Engine, repeats: int, references: int, small: bool) -> Any:
    if part == "rerouting":
        return measure(build(engine), repeats)
    if part == "curves":
        curves, unit = growth(Bench(engine), repeats, 3_000 if small else 100_000)
        return {"unit": unit, "curves": [asdict(curve) for curve in curves]}
    if part == "startup":
        return asdict(start_up())
    if part == "clients":
        return asdict(many_clients(4, 12, 3) if small else many_clients())
    return asdict(large_retrieval(engine.reference.embeddings, references))


if __name__ == "__main__":
    typer.run(main)
