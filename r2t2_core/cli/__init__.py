"""The command line `r2t2`: one module for each subject, put together here."""

from __future__ import annotations

import io
import sys

import typer
from transformers.utils import logging as transformers_logging

from r2t2_core.cli.answer import answer
from r2t2_core.cli.evaluate import ablate, evaluate, report
from r2t2_core.cli.info import info, list_strategies
from r2t2_core.cli.serve import serve

app = typer.Typer(
    help="Re-route a frozen mixture of experts at test time, and see why.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """R2-T2 Workbench."""
    # Its bars on the error stream would hide the one sentence that matters.
    transformers_logging.disable_progress_bar()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a sign gets a replacement, not an error.
        sys.stdout.reconfigure(errors="replace")


app.command()(answer)
app.command()(evaluate)
app.command()(ablate)
app.command()(report)
app.command(name="strategies")(list_strategies)
app.command()(info)
app.command()(serve)
