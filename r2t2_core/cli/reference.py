"""`r2t2 reference …`: build, import, export, list, show, diff, tag, use."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from r2t2_core.cli.evaluate import progress_bar, stopped_by_interrupt
from r2t2_core.cli.output import complaints, output
from r2t2_core.curation.build import Built, Wanted
from r2t2_core.curation.build import build as run_build
from r2t2_core.curation.routing_json import (
    export_routings,
    import_routings,
    require_shareable,
)
from r2t2_core.curation.sources import open_source
from r2t2_core.engine import load_frozen
from r2t2_core.reference.diff import compare_versions
from r2t2_core.reference.library import Library, read_manifest
from r2t2_core.reference.search import read_reports
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.settings import Settings

app = typer.Typer(help="Build, judge, keep and change reference sets.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON alone.")]
SHOWN = 5
"""Bad rows that are printed; all of them lie beside the version."""


def library_of(settings: Settings) -> Library:
    """Return this machine's library."""
    return Library(settings.library_dir, settings.reference_dir)


@app.command()
def build(
    data: Annotated[
        str,
        typer.Option(
            help="A folder, zip or table of labelled questions; a `datasets` folder; a run's "
            "folder; or the name of a reference set, to build it again."
        ),
    ],
    name: Annotated[str, typer.Option(help="The name that will point to the version.")],
    policy: Annotated[
        str, typer.Option(help="correct_only (paper), all_labelled or refined.")
    ] = "refined",
    column: Annotated[
        list[str] | None,
        typer.Option(help="OURS=THEIRS: what the table calls a column; may be repeated."),
    ] = None,
    split: Annotated[str, typer.Option(help="Keep the rows of this split alone.")] = "",
    licence: Annotated[str, typer.Option(help="Of samples that name none of their own.")] = "",
    note: Annotated[str, typer.Option(help="What this version is, in words.")] = "",
    local: Annotated[
        bool, typer.Option("--local", help="It never leaves this machine: exports hold hashes.")
    ] = False,
    json: Json = False,
) -> None:
    """Build a version; the same call goes on where a killed or cancelled one stopped."""
    with complaints():
        settings = Settings.from_environment()
        library = library_of(settings)
        source = open_source(
            data, library, settings.data_dir / "unpacked", _columns(column or []), split,
            settings.sample_data,
        )  # fmt: skip
        model, embedder = load_frozen(settings)
        stop = Event()
        with stopped_by_interrupt(stop), progress_bar() as bar:
            task = bar.add_task("building", total=None)
            made = run_build(
                model,
                embedder,
                source,
                library,
                Wanted(name, policy, licence, note, local),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                cancelled=stop.is_set,
            )
    _say_built(made, json)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="The authors' JSON of routings (MoAI).")],
    name: Annotated[str, typer.Option(help="The name that will point to the version.")],
    licence: Annotated[str, typer.Option(help="Of the file.")] = "",
    json: Json = False,
) -> None:
    """Take over published routings: a set for Mode Finding and Kernel Regression (α = 0) alone."""
    with complaints():
        settings = Settings.from_environment()
        _model, embedder = load_frozen(settings)
        made = import_routings(file, library_of(settings), name, embedder, licence=licence)
    _say_built(made, json)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="Name, hash or folder of a version.")],
    out: Annotated[Path, typer.Option(help="A file: .parquet (all columns) or .json (routings).")],
) -> None:
    """Write a version to a file."""
    with complaints():
        settings = Settings.from_environment()
        reference = ReferenceSet.load(library_of(settings).find(name))
        require_shareable(reference, settings.disclose_local)
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".json":
            text = export_routings(reference, settings.disclose_local)
            out.write_text(text, encoding="utf-8")
        elif out.suffix == ".parquet":
            pq.write_table(reference.table, out, compression="zstd")
        else:
            raise typer.BadParameter("the file's name must end in .parquet or .json")
    with output():
        Console().print(str(out), soft_wrap=True)


@app.command(name="list")
def list_(json: Json = False) -> None:
    """List all versions of this machine."""
    with complaints():
        library = library_of(Settings.from_environment())
        versions, in_use = library.versions(), library.in_use
    rows = [
        {
            "names": list(version.names),
            "hash": version.manifest.content_hash,
            "samples": version.manifest.size,
            "policy": version.manifest.policy,
            "made": version.manifest.created_at,
            "author": version.manifest.author,
            "note": version.manifest.note,
            "routing_only": version.manifest.routing_only,
            "local": version.manifest.local,
            "in_use": in_use in version.names,
        }
        for version in versions
    ]
    if json:
        print_json(rows)
        return
    table = Table()
    for heading in ("name", "hash", "samples", "policy", "made", "by", "note"):
        table.add_column(heading)
    for row, version in zip(rows, versions, strict=True):
        mark = " (in use)" if row["in_use"] else ""
        table.add_row(
            ", ".join(version.names) + mark, version.manifest.content_hash[:12],
            f"{version.manifest.size:,}", version.manifest.policy, version.manifest.created_at,
            version.manifest.author, version.manifest.note,
        )  # fmt: skip
    with output():
        Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name, hash or folder of a version.")],
    json: Json = False,
) -> None:
    """Show what a version is, where it comes from, and how it is searched."""
    with complaints():
        library = library_of(Settings.from_environment())
        root = library.find(name)
        manifest = read_manifest(root)
        history = library.history(name)
    bad = _bad_rows(root)
    fields = manifest.model_dump(
        mode="json", exclude={"image_mean", "image_scale", "file_hashes", "answers"}
    )
    fields |= {
        "folder": str(root),
        "bad_rows": len(bad),
        "history": list(history),
        "search": {policy: asdict(report) for policy, report in read_reports(root).items()},
    }
    if json:
        print_json(fields)
        return
    table = Table(show_header=False)
    for key, value in fields.items():
        if value not in ("", [], {}):
            table.add_row(key, value if isinstance(value, str) else json_format.dumps(value))
    with output():
        Console().print(table)
        _print_bad(bad)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A version.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    json: Json = False,
) -> None:
    """Say what changed between two versions: samples, labels, families, routings."""
    with complaints():
        library = library_of(Settings.from_environment())
        found = compare_versions(
            ReferenceSet.load(library.find(before)), ReferenceSet.load(library.find(after))
        )
    if json:
        print_json(asdict(found))
        return
    table = Table(title=f"{before} → {after}")
    for heading in ("", before, after):
        table.add_column(heading)
    for family, (old, new) in found.families.items():
        table.add_row(f"family {family or '–'}", f"{old:.1%}", f"{new:.1%}")
    for expert, (old, new) in found.routing.items():
        table.add_row(f"mean weight of {expert}", f"{old:.3f}", f"{new:.3f}")
    with output():
        console = Console()
        console.print(
            f"{len(found.added)} added, {len(found.removed)} removed, "
            f"{len(found.relabelled)} relabelled; families moved by {found.family_shift:.1%}"
        )
        if not (found.same_model and found.same_embedder):
            console.print("They were made with different models or embedders.", style="yellow")
        console.print(table)


@app.command()
def tag(
    version: Annotated[str, typer.Argument(help="Name, hash or folder of a version.")],
    name: Annotated[str, typer.Argument(help="The name that will point to it.")],
) -> None:
    """Let a name point to a version."""
    with complaints():
        library = library_of(Settings.from_environment())
        library.point(name, read_manifest(library.find(version)).content_hash, "tag")


@app.command()
def use(
    name: Annotated[str, typer.Argument(help="A set that the app and all commands will use.")],
) -> None:
    """Make a set the one in use; refused where it does not belong to this model."""
    with complaints():
        settings = Settings.from_environment()
        library = library_of(settings)
        model, embedder = load_frozen(settings)
        ReferenceSet.load(
            library.find(name),
            model_fingerprint=model.fingerprint(),
            embedder_hash=embedder.fingerprint(),
            routing_spec=model.routing_spec,
        )
        library.use(name)


def print_json(value: Any) -> None:
    """Print JSON alone."""
    with output():
        text = json_format.dumps(value, indent=1, ensure_ascii=False)
        sys.stdout.buffer.write(text.encode() + b"\n")


def _columns(given: Sequence[str]) -> dict[str, str]:
    columns = {}
    for text in given:
        ours, equals, theirs = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r} is not of the form OURS=THEIRS")
        columns[ours.strip()] = theirs.strip()
    return columns


def _say_built(made: Built, json: bool) -> None:
    manifest = made.version.manifest
    if json:
        print_json(
            {
                "name": manifest.name,
                "hash": manifest.content_hash,
                "folder": str(made.version.root),
                "rows": made.rows,
                "samples": made.kept,
                "bad_rows": list(made.bad_rows),
            }
        )
        return
    with output():
        console = Console()
        console.print(
            f"{manifest.name}: {made.kept:,} samples of {made.rows:,} rows, "
            f"version {manifest.content_hash[:12]}"
        )
        _print_bad(made.bad_rows)


def _print_bad(bad: Sequence[Mapping[str, str]]) -> None:
    if not bad:
        return
    console = Console()
    console.print(f"{len(bad)} rows could not be used:", style="yellow")
    for entry in bad[:SHOWN]:
        console.print(f"  {entry['row']}: {entry['reason']}", soft_wrap=True)


def _bad_rows(root: Path) -> list[dict[str, str]]:
    path = root / "bad_rows.json"
    found: list[dict[str, str]] = json_format.loads(path.read_text()) if path.is_file() else []
    return found
