"""`r2t2 audit`, as a person types it, over decisions that the shipped engine made."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r2t2_core.audit.recorder import open_recorder
from r2t2_core.cli import app
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.settings import Settings

runner = CliRunner()


def run(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stdout


@pytest.fixture(autouse=True)
def _one_engine(engine, monkeypatch):
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, settings: engine))


@pytest.fixture
def asked(cases, gallery_dir) -> Decision:
    """The first case of the gallery, answered on the command line."""
    case = cases[0]
    told = run(
        "answer", str(gallery_dir / case.image), case.question, "--label", case.label, "--json"
    )
    return Decision.from_json(told)


def database() -> Path:
    return Settings.from_environment().data_dir / "audit.db"


def test_an_answer_is_in_the_log_and_the_log_verifies(asked):
    with sqlite3.connect(database()) as raw:
        ((payload,),) = raw.execute("SELECT payload FROM decisions").fetchall()
    entry = json.loads(payload)
    assert entry["entry_id"] == asked.id
    assert entry["body"]["decision"]["final"]["answer"] == asked.final.answer
    assert entry["body"]["host"]["fingerprint_at_load"] == asked.system.model_fingerprint_after
    assert len(entry["body"]["host"]["router_fingerprint"]) == 64
    assert all(entry["body"]["neighbour_pictures"].values())
    assert run("audit", "show", "1").strip() == payload
    told = run("audit", "verify")
    assert "chain intact    yes" in told
    assert "anchored        no; from entry 1 on" in told
    assert asked.input.question[:5] in run("audit", "list")


def test_a_changed_byte_makes_verify_fail_and_names_the_entry(asked):
    open_recorder(Settings.from_environment()).log.database.close()
    with sqlite3.connect(database()) as raw:
        raw.execute("UPDATE decisions SET payload = replace(payload, 'knn', 'knm')")
    assert "first bad entry 1" in run("audit", "verify", code=1)


def test_a_replay_is_bit_exact(asked):
    assert "1: bit exact" in run("audit", "replay", "1")
    assert "1: bit exact" in run("audit", "replay", "--range", "1-")
    assert "replay" in run("audit", "list", "--kind", "replay")


def test_a_bundle_holds_the_neighbours_and_an_anchor_holds_the_head(asked, tmp_path):
    run("audit", "sign-off", "1", "--reason", "seen")
    bundle = tmp_path / "b.zip"
    run("audit", "export", asked.id, "--out", str(bundle))
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
    # Two questions of the reference set may be about the same picture.
    pictures = {neighbour.image for neighbour in asked.neighbours}
    assert sum(name.startswith("neighbours/") for name in names) == len(pictures)
    anchor = tmp_path / "anchor.json"
    run("audit", "anchor", "--out", str(anchor))
    assert "up to entry 2" in run("audit", "verify", "--anchor", str(anchor))


def test_erasing_and_retention_look_first(asked):
    assert "would erase 1 pictures, 1 questions" in run(
        "audit", "erase", "1", "--reason", "asked", "--dry-run"
    )
    assert "would erase 0 pictures" in run("audit", "retain")
    assert "erased 1 pictures, 1 questions" in run("audit", "erase", "1", "--reason", "asked")
    assert "chain intact    yes" in run("audit", "verify")
    assert "not replayable" in run("audit", "replay", "1", code=1)


def test_with_roles_the_command_line_asks_for_a_token(asked, monkeypatch, cases, gallery_dir):
    monkeypatch.setenv("R2T2_AUTH", "tokens")
    result = runner.invoke(app, ["audit", "list"])
    assert result.exit_code == 2
    assert "asks who you are" in result.stderr
    admin = run("audit", "token", "add", "root", "admin").strip()
    monkeypatch.setenv("R2T2_TOKEN", admin)
    viewer = run("audit", "token", "add", "vic", "viewer").strip()
    assert viewer not in run("audit", "token", "list")
    monkeypatch.setenv("R2T2_TOKEN", viewer)
    run("answer", str(gallery_dir / cases[0].image), cases[0].question)
    result = runner.invoke(app, ["audit", "sign-off", "1"])
    assert result.exit_code == 2
    assert "viewer may not" in result.stderr


def test_where_nothing_can_be_recorded_nothing_is_shown(cases, gallery_dir, tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("R2T2_DATA_DIR", str(blocked))
    arguments = ["answer", str(gallery_dir / cases[0].image), cases[0].question]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert "so it is not shown" in result.stderr
    assert result.stdout == ""
    monkeypatch.setenv("R2T2_AUDIT_POLICY", "tell")
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0
    assert "cannot be" in result.stderr
    assert "after" in result.stdout


def test_an_evaluation_is_one_entry(asked):
    run("evaluate", "--limit", "16", "--strategies", "base,uniform")
    stored = open_recorder(Settings.from_environment()).log.find("2")
    assert stored.entry.kind == "evaluation"
    assert stored.entry.body["scores"]
    assert len(stored.entry.body["results_sha256"]) == 64
