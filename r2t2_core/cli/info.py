"""`r2t2 strategies` and `r2t2 info`: what there is, and what is in use."""

from __future__ import annotations

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from r2t2_core.cli.output import complaints, output
from r2t2_core.defaults import Defaults
from r2t2_core.engine import Engine
from r2t2_core.parameters import bounds, choices
from r2t2_core.registry import parse_params, strategies
from r2t2_core.settings import Settings


def list_strategies() -> None:
    """List the strategies and the retrieval: parameters, bounds, and what validation chose."""
    with complaints():
        defaults = Defaults.load(Settings.from_environment().defaults_path)
        tables = [
            _parameter_table(
                f"{name}: {entry.summary}", parse_params(entry, defaults.parameters.get(name, {}))
            )
            for name, entry in strategies().items()
        ]
        tables.append(_parameter_table("retrieval: How neighbours are found.", defaults.retrieval))
    with output():
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


def info() -> None:
    """Say which model, reference set and defaults are in use, and where data are written."""
    with complaints():
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
    with output():
        Console().print(table)
