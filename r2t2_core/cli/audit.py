"""`r2t2 audit`: list, show and verify what was recorded; judge, anchor and erase."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from r2t2_core.audit.access import Principal
from r2t2_core.audit.anchors import read_anchor, write_anchor
from r2t2_core.audit.bundle import export as export_bundle
from r2t2_core.audit.entries import DECISION
from r2t2_core.audit.erasure import (
    What,
    erase,
    plan_erasure,
    plan_retention,
    retain,
)
from r2t2_core.audit.evidence import Part
from r2t2_core.audit.keys import load_public
from r2t2_core.audit.recorder import Recorder, open_recorder
from r2t2_core.audit.replay import Replay, parse_range
from r2t2_core.audit.replay import replay as replay_entry
from r2t2_core.audit.search import Filter, search
from r2t2_core.audit.verification import Report
from r2t2_core.audit.verification import verify as verify_log
from r2t2_core.cli.output import complain, complaints, output
from r2t2_core.engine import Engine
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_
from r2t2_core.settings import Settings

EXIT_BAD_LOG = 1

audit_app = typer.Typer(
    help="What was decided: list, prove, replay, judge, export.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
token_app = typer.Typer(help="Who may do what (R2T2_AUTH=tokens).", no_args_is_help=True)
audit_app.add_typer(token_app, name="token")

Entry = Annotated[str, typer.Argument(help="An entry's number, or its identifier's beginning.")]
Reason = Annotated[str, typer.Option(help="Why, in words; it stands in the log.")]


def opened() -> tuple[Recorder, Principal]:
    """Return the recorder of these settings, and who uses the command line."""
    recorder = open_recorder(Settings.from_environment())
    return recorder, recorder.access.caller()


@audit_app.command(name="list")
def list_entries(
    kind: Annotated[str | None, typer.Option(help="decision, evaluation, sign_off, …")] = None,
    actor: Annotated[str | None, typer.Option(help="Who.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Whose answer stood.")] = None,
    gained: Annotated[str | None, typer.Option(help="Expert whose weight grew most.")] = None,
    flipped: Annotated[
        bool | None, typer.Option("--flipped/--unflipped", help="The answer changed, or not.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who signed off or overrode.")] = None,
    since: Annotated[str | None, typer.Option(help="UTC, for example 2026-01-31.")] = None,
    until: Annotated[str | None, typer.Option(help="UTC; itself left out.")] = None,
    words: Annotated[str | None, typer.Option(help="Part of the question.")] = None,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Rows on a page.")] = 50,
    page: Annotated[int, typer.Option(min=1, help="Which page, the newest first.")] = 1,
) -> None:
    """List entries, the newest first."""
    with complaints():
        recorder, who = opened()
        wanted = Filter(
            kind=kind, actor=actor, strategy=strategy, gained=gained, flipped=flipped,
            reviewer=reviewer, since=since, until=until, words=words,
        )  # fmt: skip
        found = search(recorder, wanted, who, size=size, number=page - 1)
    with output():
        table = Table("n", "entry", "time (UTC)", "kind", "by", "question", "before", "after")
        for row in found.rows:
            table.add_row(
                str(row.sequence), row.entry_id[:12], row.started_at[:19], row.kind, row.actor,
                row.question or "", row.answer_before or "", row.answer_after or "",
            )  # fmt: skip
        console = Console(markup=False, highlight=False)
        console.print(table)
        console.print(f"{len(found.rows)} of {found.total}")


@audit_app.command()
def show(entry: Entry) -> None:
    """Print one entry as JSON, as it stands in the chain."""
    with complaints():
        recorder, who = opened()
        stored = recorder.find(entry, who)
    with output():
        # Bytes, so that the hash of what is printed is the payload's hash.
        sys.stdout.buffer.write(stored.payload.encode() + b"\n")


@audit_app.command()
def verify(
    anchor: Annotated[
        list[Path] | None, typer.Option(help="An anchor kept elsewhere; may be repeated.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="The pinned public key (PEM), kept elsewhere.")
    ] = None,
) -> None:
    """Prove the log: chain intact, signature valid, anchored outside. Exit 1 where it is not."""
    with complaints():
        recorder, who = opened()
        recorder.access.require(who, "read")
        report = verify_log(
            recorder.log,
            recorder.pictures,
            public_key=load_public(public_key) if public_key else None,
            anchors=[read_anchor(path) for path in anchor or ()],
        )
    with output():
        for line in report_lines(report):
            Console(markup=False, highlight=False).print(line, soft_wrap=True)
    if not report.ok:
        raise typer.Exit(EXIT_BAD_LOG)


def report_lines(report: Report) -> list[str]:
    """Return what `verify` found, in words."""
    bad = report.first_bad
    lines = [
        f"entries         {report.entries}",
        f"chain intact    {_told(report.chain)}",
        f"signature valid {_told(report.signature)}",
        f"anchored        {_anchored(report)}",
        f"evidence whole  {_told(report.evidence)}",
    ]
    if report.erased:
        lines.append(f"erased          {report.erased} pictures and questions, by entries")
    return lines if bad is None else [*lines, f"first bad entry {bad}"]


def _told(part: Part) -> str:
    if part.ok:
        return "yes"
    first = min(part.problems, key=lambda p: p.sequence or 0)
    more = f" ({len(part.problems) - 1} more)" if len(part.problems) > 1 else ""
    return f"NO: {first.error}{more}"


def _anchored(report: Report) -> str:
    if report.anchor_state == "contradicted":
        return _told(report.anchors)
    after = report.anchored_to + 1
    open_end = (
        ""
        if report.anchored_to >= report.entries
        else f"; from entry {after} on nothing outside proves that the log was not rolled back"
    )
    if report.anchor_state == "unanchored":
        return f"no{open_end}"
    return f"up to entry {report.anchored_to}, {report.anchored_at}{open_end}"


@audit_app.command()
def replay(
    entry: Annotated[list[str] | None, typer.Argument(help="Numbers or identifiers.")] = None,
    range: Annotated[
        str | None, typer.Option("--range", help="Entries by number: 5-20, 5- or -20.")
    ] = None,
) -> None:
    """Compute decisions again and say how near they come. Exit 1 where one diverged."""
    verdicts = set()
    with complaints():
        recorder, who = opened()
        recorder.access.require(who, "replay")
        names = list(entry or ())
        if range is not None:
            names += _decisions_in(recorder, who, parse_range(range, recorder.log.count()))
        if not names:
            raise AuditError(N_("There is nothing to replay."), N_("Name an entry or a range."))
        engine = Engine.load(recorder.settings)
        for name in names:
            found = replay_entry(recorder, engine, name, who)
            verdicts.add(found.verdict)
            with output():
                for line in replay_lines(name, found):
                    Console(markup=False, highlight=False).print(line, soft_wrap=True)
    if verdicts - {"bit_exact", "within_tolerance"}:
        raise typer.Exit(EXIT_BAD_LOG)


def _decisions_in(recorder: Recorder, who: Principal, numbers: Iterable[int]) -> list[str]:
    """Return which of these entries are decisions."""
    return [
        str(number) for number in numbers if recorder.find(str(number), who).entry.kind == DECISION
    ]


def replay_lines(name: str, found: Replay) -> list[str]:
    """Return what a replay found, in words."""
    lines = [f"{name}: {found.verdict.replace('_', ' ')}"]
    lines += [f"  {text}" for text in found.missing]
    if found.problem:
        lines.append(f"  {found.problem}")
    comparison = found.comparison
    if comparison is not None and comparison.largest_at is not None:
        lines.append(f"  largest difference {comparison.largest:.3g} at {comparison.largest_at}")
    if comparison is not None and (first := comparison.first) is not None:
        at = "" if first.step is None else f", {first.strategy}, step {first.step}"
        lines.append(
            f"  first difference: {first.stage}{at}: {first.path} was {first.recorded}, "
            f"is {first.replayed}"
        )
    lines += [f"  {name} was {old}, is {new}" for name, (old, new) in found.differs.items()]
    return lines


@audit_app.command()
def export(
    entry: Annotated[list[str], typer.Argument(help="Numbers or identifiers.")],
    out: Annotated[Path, typer.Option(help="The zip.")] = Path("audit-bundle.zip"),
) -> None:
    """Write entries, their evidence and a program that checks them into one zip."""
    with complaints():
        recorder, who = opened()
        data = export_bundle(recorder, entry, who, recorder.settings.reference_dir)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(data)
        except OSError as error:
            raise AuditError(
                N_("The bundle {path} cannot be written: {reason}."),
                N_("Make room or give permission, and try again."),
                path=str(out),
                reason=error.strerror or str(error),
            ) from error
    with output():
        Console().print(str(out), soft_wrap=True)


@audit_app.command()
def anchor(
    out: Annotated[Path, typer.Option(help="A file that will live elsewhere.")],
) -> None:
    """Write the signed head to a file, to be kept where this machine cannot reach it."""
    with complaints():
        recorder, who = opened()
        recorder.access.require(who, "anchor")
        signed = recorder.log.signed_head()
        if signed is None:
            raise AuditError(N_("Nothing was recorded yet: there is nothing to anchor."))
        write_anchor(out, signed)
    with output():
        Console().print(str(out), soft_wrap=True)


@audit_app.command(name="sign-off")
def sign_off(
    entry: Entry,
    reason: Reason = "",
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead of approve.")] = False,
) -> None:
    """Record that you have looked at an entry."""
    with complaints():
        recorder, who = opened()
        verdict: Literal["approved", "rejected"] = "rejected" if reject else "approved"
        recorded = recorder.sign_off(entry, verdict, reason, principal=who)
    with output():
        Console().print(f"entry {recorded.sequence}: {verdict}")


@audit_app.command()
def override(
    entry: Entry,
    answer: Annotated[str, typer.Option(help="The answer that holds instead.")],
    reason: Reason,
) -> None:
    """Set another answer in place of a decision's; the decision stays as it is."""
    with complaints():
        recorder, who = opened()
        recorded = recorder.override(entry, answer, reason, principal=who)
    with output():
        Console().print(f"entry {recorded.sequence}: overridden")


@audit_app.command()
def correct(
    entry: Entry,
    field: Annotated[str, typer.Option(help="What is wrong, for example input.label.")],
    value: Annotated[str, typer.Option(help="What it should be.")],
    reason: Reason,
) -> None:
    """Record that something in an entry is wrong; the entry stays as it is."""
    with complaints():
        recorder, who = opened()
        recorded = recorder.correct(entry, field, value, reason, principal=who)
    with output():
        Console().print(f"entry {recorded.sequence}: corrected")


@audit_app.command(name="erase")
def erase_entries(
    entry: Annotated[list[str], typer.Argument(help="Entries' numbers or identifiers.")],
    reason: Reason,
    what: Annotated[str, typer.Option(help="picture, question or both.")] = "both",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Erase the pictures and questions of entries; the chain still verifies."""
    kinds: dict[str, What] = {"picture": "picture", "question": "question", "both": "both"}
    if what not in kinds:
        complain(f"--what is picture, question or both, not {what}.", 2)
    with complaints():
        recorder, who = opened()
        plan = plan_erasure(recorder, entry, kinds[what], who)
        if not dry_run:
            erase(recorder, plan, reason, who)
    with output():
        verb = "would erase" if dry_run else "erased"
        Console().print(f"{verb} {len(plan.pictures)} pictures, {len(plan.texts)} questions")


@audit_app.command(name="retain")
def retain_entries(
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep so many days; R2T2_RETENTION_DAYS by default.")
    ] = None,
    carry_out: Annotated[
        bool, typer.Option("--carry-out", help="Erase; without it only say what would go.")
    ] = False,
) -> None:
    """Erase pictures and questions that are older than the retention period. Dry by default."""
    with complaints():
        recorder, who = opened()
        kept = days or recorder.settings.retention_days
        plan, cutoff = plan_retention(recorder, kept, who)
        if carry_out:
            retain(recorder, plan, kept, cutoff, who)
    with output():
        verb = "erased" if carry_out else "would erase"
        console = Console()
        console.print(
            f"{verb} {len(plan.pictures)} pictures, {len(plan.texts)} questions "
            f"from before {cutoff[:10]}"
        )
        if kept < 183:
            console.print("Less than six months: check what the law asks of you.", style="yellow")


@token_app.command(name="add")
def add_token(
    name: Annotated[str, typer.Argument(help="Whose.")],
    role: Annotated[str, typer.Argument(help="viewer, engineer, auditor or admin.")],
) -> None:
    """Make a token; it is printed this once."""
    with complaints():
        settings = Settings.from_environment()
        recorder = open_recorder(settings)
        who = recorder.access.caller() if settings.token or settings.auth == "off" else None
        token = recorder.access.add_token(who, name, role)
    with output():
        print(token)


@token_app.command(name="revoke")
def revoke_token(name: Annotated[str, typer.Argument(help="Whose.")]) -> None:
    """Revoke somebody's token."""
    with complaints():
        recorder, who = opened()
        recorder.access.revoke(who, name)


@token_app.command(name="list")
def list_tokens() -> None:
    """List who has a token."""
    with complaints():
        recorder, who = opened()
        recorder.access.require(who, "manage")
        found = recorder.access.tokens()
    with output():
        table = Table("name", "role", "made", "revoked")
        for record in found:
            table.add_row(record.name, record.role, record.created_at, record.revoked_at or "")
        Console(markup=False).print(table)
