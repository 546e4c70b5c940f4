"""`r2t2 reference`, as a person types it, on the shipped model with the gallery as own data."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import r2t2_core.cli.reference
import r2t2_core.cli.reference_life
from r2t2_core.cli import app
from r2t2_core.curation.routing_json import MOAI
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.settings import Settings

runner = CliRunner()


@pytest.fixture
def own(tmp_path, cases, gallery_dir) -> Path:
    """The gallery as a person's own folder, with one bad row."""
    folder = tmp_path / "own"
    folder.mkdir()
    with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "question", "answer", "family"])
        for case in cases:
            shutil.copyfile(gallery_dir / case.image, folder / case.image)
            writer.writerow([case.image, case.question, case.label, case.family])
        writer.writerow(["nowhere.png", "What is it?", "cup", ""])
    return folder


@pytest.fixture(autouse=True)
def _loaded_once(engine, monkeypatch):
    """Load model and embedder once; sets are opened anew."""

    def frozen(settings: Settings):
        return engine.model, engine.embedder

    for module in (r2t2_core.cli.reference, r2t2_core.cli.reference_life):
        monkeypatch.setattr(module, "load_frozen", frozen)
    monkeypatch.setattr("r2t2_core.engine.load_frozen", frozen)


def call(*arguments: str, code: int = 0):
    result = runner.invoke(app, ["reference", *arguments])
    assert result.exit_code == code, result.output
    return result


def build(own: Path, name: str = "mine", *more: str) -> dict[str, object]:
    result = call(
        "build", "--data", str(own), "--name", name, "--column", "image=picture", "--json", *more
    )
    return json.loads(result.stdout)


def test_a_set_of_ones_own_from_build_to_answer(own, cases, gallery_dir):
    made = build(own)
    assert made["rows"] == len(cases) + 1
    assert made["samples"] == len(cases)
    assert "no picture nowhere.png" in made["bad_rows"][0]["reason"]
    listed = json.loads(call("list", "--json").stdout)
    assert [entry["names"] for entry in listed] == [["shipped"], ["mine"]]
    shown = json.loads(call("show", "mine", "--json").stdout)
    assert (shown["content_hash"], shown["bad_rows"]) == (made["hash"], 1)
    case = cases[0]
    given = ["answer", str(gallery_dir / case.image), case.question, "--json",
             "--retrieve", "policy=all_labelled"]  # fmt: skip
    result = runner.invoke(app, [*given, "--reference", "shipped+mine:3"])
    assert result.exit_code == 0, result.output
    decision = Decision.from_json(result.stdout)
    assert decision.reference.name == "shipped + mine"
    assert {neighbour.layer for neighbour in decision.neighbours} <= {"shipped", "mine"}
    result = runner.invoke(app, [*given, "--reference", "mine"])
    assert Decision.from_json(result.stdout).reference.content_hash == made["hash"]
    call("use", "mine")
    result = runner.invoke(app, given)
    assert Decision.from_json(result.stdout).reference.content_hash == made["hash"]
    result = runner.invoke(app, [*given, "--reference", "nobody"])
    assert result.exit_code == 2
    assert "no reference set called nobody" in " ".join(result.stderr.split())


def test_a_check_says_a_verdict(own, tmp_path):
    build(own)
    page = tmp_path / "report.html"
    arguments = ["check", "mine", "--suite", str(own / "samples.csv"), "--limit", "30", "--html",
                 str(page), "--json"]  # fmt: skip
    # The gallery is no suite: its column has another name.
    assert "no column image" in call(*arguments, code=2).stderr
    table = own / "samples.csv"
    table.write_text(table.read_text().replace("picture,", "image,", 1))
    result = runner.invoke(app, ["reference", *arguments])
    report = json.loads(result.stdout)
    assert report["verdict"] in ("usable", "weak", "unusable")
    assert result.exit_code == (1 if report["verdict"] == "unusable" else 0)
    by_name = {entry["check"]: entry for entry in report["checks"]}
    # Every question of this suite is in the set.
    assert by_name["leakage"]["verdict"] == "weak"
    assert by_name["leakage"]["figure"] == pytest.approx(1)
    assert page.read_text().startswith("<!doctype html>")
    assert "limit" in call("check", "mine", "--limit", "1", code=2).stderr


def test_versions_differ_and_go_back(own, cases):
    build(own)
    first = ReferenceSet.load(
        Settings.from_environment().library_dir / "versions" / _digest("mine")
    )
    identifier = first.sample(0).id
    call("edit", "mine", "--as", "mine", "--drop", identifier, "--note", "one less")
    versions = json.loads(call("list", "--json").stdout)
    before, after = versions[1]["hash"], versions[2]["hash"]
    found = json.loads(call("diff", before[:12], after[:12], "--json").stdout)
    assert found["removed"] == [identifier]
    assert found["added"] == []
    assert "1 removed" in call("diff", before[:12], "mine").stdout
    call("rollback", "mine")
    assert json.loads(call("show", "mine", "--json").stdout)["content_hash"] == before
    call("tag", after[:12], "other")
    assert json.loads(call("show", "other", "--json").stdout)["content_hash"] == after
    events = [entry["event"] for entry in json.loads(call("events", "--json").stdout)]
    assert events == ["build", "edit", "roll back", "tag"]


def _digest(name: str) -> str:
    return json.loads(call("show", name, "--json").stdout)["content_hash"][:16]


def test_published_routings_come_and_go(tmp_path, cases, gallery_dir):
    weights = dict(zip(MOAI.experts, (0.5, 0.25, 0.25, 0.125, 0.125, 0.75), strict=True))
    objects = [
        {"id": number, "question": f"How many cubes are there {number}?", "image_path": "x.png",
         "model_answer": "2", "ground_truth": "2", "is_correct": True, "weights": weights}
        for number in range(12)
    ]  # fmt: skip
    file, again = tmp_path / "reference.json", tmp_path / "again.json"
    file.write_text(json.dumps(objects))
    call("import", str(file), "--name", "moai")
    call("export", "moai", "--out", str(again))
    assert json.loads(again.read_text()) == objects
    call("export", "moai", "--out", str(tmp_path / "all.parquet"))
    assert (tmp_path / "all.parquet").is_file()
    case = cases[0]
    result = runner.invoke(
        app, ["answer", str(gallery_dir / case.image), case.question, "--reference", "moai"]
    )
    assert result.exit_code == 2
    assert "means nothing to the other" in " ".join(result.stderr.split())
    # Routings that are all the same carry no signal.
    report = json.loads(call("check", "moai", "--json", code=1).stdout)
    assert report["verdict"] == "unusable"
    assert "means nothing" in " ".join(call("use", "moai", code=2).stderr.split())


def test_a_local_set_stays(own, tmp_path, cases, gallery_dir, monkeypatch):
    build(own, "site", "--local")
    out = str(tmp_path / "out.parquet")
    assert "never leaves this machine" in " ".join(
        call("export", "site", "--out", out, code=2).stderr.split()
    )
    case = cases[0]
    result = runner.invoke(
        app, ["answer", str(gallery_dir / case.image), case.question, "--json", "--reference",
              "site", "--retrieve", "policy=all_labelled"]
    )  # fmt: skip
    decision = Decision.from_json(result.stdout)
    questions = {entry.question for entry in cases}
    assert decision.neighbours
    for neighbour in decision.neighbours:
        assert neighbour.question.startswith("sha256:")
        assert not any(question in neighbour.model_dump_json() for question in questions)
    monkeypatch.setenv("R2T2_DISCLOSE_LOCAL", "true")
    call("export", "site", "--out", out)


def test_the_shipped_engine_is_left_alone(engine):
    assert isinstance(engine, Engine)
    assert json.loads(call("list", "--json").stdout)[0]["in_use"] is True
