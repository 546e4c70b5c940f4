"""Measure how often the health check notices a spoilt reference set; print it into the guide.

    python -m tools.measure_checks [--seeds 10] [--limit 600]

The shipped set is spoilt in memory, once for each seed and way; the control is the same set
unspoilt. Writes the table in docs/reference-sets.md between its marks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from r2t2_core.curation.poison import CatchRate, measure_catch_rates
from r2t2_core.engine import Engine
from r2t2_core.evaluation.statistics import wilson_interval
from r2t2_core.settings import Settings

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "reference-sets.md"

BEGIN, END = "<!-- catch rates -->", "<!-- end of catch rates -->"


def table_of(rates: list[CatchRate], name: str, digest: str, limit: int) -> str:
    """Return the catch rates as Markdown."""
    lines = [
        f"Set {name} ({digest[:12]}), {rates[0].trials} seeds each, {limit} samples drawn for the "
        "costly checks. “Noticed” is any verdict but usable; for the sound set it is a false "
        "alarm. Precision and recall are those of the samples that the check names.",
        "",
        "| set | check | noticed (95 % interval) | unusable | figure | precision | recall |",
        "|---|---|---|---|---|---|---|",
    ]
    for rate in rates:
        low, high = wilson_interval(rate.caught, rate.trials)
        named = (rate.precision, rate.recall)
        shares = ["" if value is None else f"{value:.0%}" for value in named]
        lines.append(
            f"| {rate.poison} | {rate.check} | {rate.caught} of {rate.trials} ({low:.0%} to "
            f"{high:.0%}) | {rate.unusable} | {rate.figure:.3f} | {shares[0]} | {shares[1]} |"
        )
    return "\n".join(lines)


def main(
    seeds: Annotated[int, typer.Option(min=1)] = 10,
    limit: Annotated[int, typer.Option(min=50)] = 600,
    out: Annotated[Path, typer.Option(help="The guide to write into.")] = GUIDE,
) -> None:
    """Spoil, check, count, write."""
    torch.set_num_threads(2)
    settings = Settings.from_environment()
    engine = Engine.load(settings)
    reference = engine.reference
    rates = measure_catch_rates(
        engine, reference, range(seeds), limit, lambda name: print(name, flush=True)
    )
    manifest = reference.manifest
    table = table_of(rates, manifest.name, manifest.content_hash, limit)
    text = out.read_text(encoding="utf-8")
    before, _begin, rest = text.partition(BEGIN)
    _old, _end, after = rest.partition(END)
    out.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    typer.run(main)
