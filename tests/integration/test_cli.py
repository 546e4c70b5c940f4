"""The command line, as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from r2t2_core.cli import app
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine

runner = CliRunner()


@pytest.fixture(autouse=True)
def _one_engine(engine, monkeypatch):
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, settings: engine))


@pytest.fixture
def chair(cases, gallery_dir):
    case = next(c for c in cases if "chair" in c.question.lower() and c.family == "where")
    return case, str(gallery_dir / case.image)


def test_json_is_the_decision_alone(chair):
    case, path = chair
    result = runner.invoke(app, ["answer", path, case.question, "--json"])
    assert result.exit_code == 0
    decision = Decision.from_json(result.stdout)
    assert decision.final.answer == case.label
    assert [record.strategy for record in decision.trajectories] == [decision.strategy]


@pytest.mark.parametrize(("label", "has_oracle"), [(True, True), (False, False)])
def test_all_runs_the_oracle_only_with_a_label(chair, label, has_oracle):
    case, path = chair
    given = ["--label", case.label] if label else []
    result = runner.invoke(
        app, ["answer", path, case.question, "--strategy", "all", "--json", *given]
    )
    names = [record["strategy"] for record in json.loads(result.stdout)["trajectories"]]
    assert ("oracle" in names) == has_oracle
    assert {"base", "ngd", "kernel_regression", "mode_finding", "uniform"} <= set(names)


def test_the_tables_show_before_and_after(chair):
    case, path = chair
    result = runner.invoke(app, ["answer", path, case.question])
    assert result.exit_code == 0
    assert "before" in result.stdout
    assert f"after   {case.label}" in result.stdout
    assert "Neighbours" in result.stdout


def test_parameters_reach_the_strategy(chair):
    case, path = chair
    options = [
        "--param",
        "ngd.steps=3",
        "--strategy",
        "ngd",
        "--retrieve",
        "n_neighbours=7",
        "--json",
    ]
    result = runner.invoke(app, ["answer", path, case.question, *options])
    decision = Decision.from_json(result.stdout)
    assert len(decision.trajectory("ngd").steps) == 4
    assert len(decision.neighbours) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["answer", "missing.png", "Where is the chair?"], "cannot be read"),
        (["answer", "PICTURE", ""], "empty"),
        (["answer", "PICTURE", "椅子はどこ？"], "English"),
        (["answer", "PICTURE", "Where is it?", "--strategy", "magic"], "no strategy called magic"),
        (
            ["answer", "PICTURE", "Where is it?", "--param", "ngd.steps=900"],
            "ngd: steps must be 50 or less",
        ),
        (["answer", "PICTURE", "Where is it?", "--param", "nonsense"], "NAME=VALUE"),
        (["answer", "PICTURE", "Where is it?", "--retrieve", "radius=7"], "radius"),
        (["answer", "PICTURE", "Where is it?", "--label", "moon"], "not an answer"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr(chair, arguments, words):
    arguments = [chair[1] if argument == "PICTURE" else argument for argument in arguments]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_strategies_lists_parameters():
    result = runner.invoke(app, ["strategies"])
    assert result.exit_code == 0
    assert "mode_finding" in result.stdout
    assert "step_size" in result.stdout
    assert "duplicate_threshold" in result.stdout
    assert "correct_only" in result.stdout
    assert "(0, 5]" in result.stdout


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("R2T2_THREADS", "abc", "THREADS"),
        ("R2T2_DEVICE", "cuda", "this machine does not have"),
        ("R2T2_DEVICE", "toaster", "one of"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        Engine, "load", classmethod(lambda cls, settings: settings.resolve_device())
    )
    result = runner.invoke(app, ["info"])
    assert result.exit_code == 2
    assert words.lower() in result.stderr.lower()
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("redirect", "code"), [(">&-", 3), ("> /dev/full", 3), ("| head -c 5", 0)])
def test_an_output_that_nobody_takes_is_no_traceback(redirect, code):
    command = f"{sys.executable} -m r2t2_core.cli strategies {redirect}"
    result = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == code
    assert "Traceback" not in result.stderr


def test_a_terminal_that_cannot_show_a_sign_gets_another(chair):
    case, path = chair
    result = subprocess.run(
        [sys.executable, "-m", "r2t2_core.cli", "answer", path, case.question],
        capture_output=True,
        timeout=180,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert case.label.encode() in result.stdout


def test_the_program_runs_as_a_process_and_writes_nothing_elsewhere(chair, tmp_path):
    """The one test that loads everything from scratch, as a stranger's first call does."""
    case, path = chair
    home = tmp_path / "home"
    home.mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "r2t2_core.cli", "answer", path, case.question, "--json"],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
        cwd=home,
        env={**os.environ, "HOME": str(home), "HF_HUB_OFFLINE": "1"},
    )
    assert json.loads(result.stdout)["final"]["answer"] == case.label
    assert result.stderr == ""
    assert list(home.rglob("*")) == []
