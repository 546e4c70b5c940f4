"""Runs: the same as the engine, the same bits, resumable, and reported."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from r2t2_core.cli import app
from r2t2_core.engine import Engine
from r2t2_core.errors import Cancelled, ParameterError, RunError
from r2t2_core.evaluation import ablations
from r2t2_core.evaluation.bench import COLUMNS
from r2t2_core.evaluation.methods import parse_method, parse_methods
from r2t2_core.evaluation.metrics import score
from r2t2_core.evaluation.report import report_text
from r2t2_core.evaluation.runner import Run, evaluate, share_limit
from r2t2_core.evaluation.suites import load_suite, shipped_suites
from r2t2_core.figures.results_page import results_page
from r2t2_core.models.base import Prepared
from r2t2_core.refine import refine
from r2t2_core.settings import SAMPLE_DATA
from r2t2_core.types import Sample


@pytest.fixture(scope="module")
def suites():
    shipped = shipped_suites(SAMPLE_DATA / "suites")
    return [load_suite(shipped[name]) for name in ("position", "general")]


@pytest.fixture(scope="module")
def methods(engine):
    return parse_methods(["ngd", "kernel_regression", "knn_vote", "oracle"], engine.defaults)


@pytest.fixture(scope="module")
def run(engine, suites, methods, tmp_path_factory) -> Run:
    return evaluate(engine, suites, methods, tmp_path_factory.mktemp("runs"), limit=150)


def test_every_sample_has_a_row_for_every_method(run, methods):
    results = run.results
    assert list(results.columns) == list(COLUMNS)
    assert len(results) == 150 * len(methods)
    assert not results.duplicated(["suite", "sample", "method"]).any()
    assert results.groupby("suite")["sample"].nunique().to_dict() == {"position": 75, "general": 75}


def test_a_run_answers_as_the_engine_does(run, engine):
    results = run.results
    for (suite, sample), group in list(results.groupby(["suite", "sample"]))[::19]:
        rows = group.set_index("method")
        first = rows.iloc[0]
        with open(first["image"], "rb") as file:
            decision = engine.answer(file.read(), first["question"], label=first["label"])
        for name in ("base", "ngd", "kernel_regression", "oracle"):
            last = decision.trajectory(name).last
            assert last.answer == rows.loc[name, "answer"], (suite, sample, name)
            assert np.allclose(last.routing, rows.loc[name, "routing"], atol=1e-4)
        assert decision.gate.reroute == rows.loc["kernel_regression", "admitted"]


def test_the_same_run_gives_the_same_bits(run, engine, suites, methods, tmp_path):
    again = evaluate(engine, suites, methods, tmp_path, limit=150)
    assert again.about == run.about
    first, second = (frame.drop(columns="milliseconds") for frame in (run.results, again.results))
    for column in ("routing", "router_routing", "answers_by_step"):
        assert all(map(np.array_equal, first[column], second[column])), column
    rest = [name for name in first.columns if not isinstance(first[name].iloc[0], np.ndarray)]
    pd.testing.assert_frame_equal(first[rest], second[rest], check_exact=True)


def test_an_interrupted_run_goes_on_without_a_lost_or_doubled_sample(
    run, engine, suites, methods, tmp_path
):
    asked = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        evaluate(engine, suites, methods, tmp_path, limit=150, cancelled=cancelled)
    folder = next(tmp_path.iterdir())
    with pytest.raises(RunError, match="no finished run"):
        Run.open(folder)
    parts = {path.name: path.stat().st_mtime_ns for path in (folder / "parts").glob("*.parquet")}
    assert len(parts) == 2
    # What a kill in the middle of a write leaves behind.
    (folder / "parts" / "general-00000.tmp").write_bytes(b"half")
    resumed = evaluate(engine, suites, methods, tmp_path, limit=150, resume=True)
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / "parts").glob("*.parquet")}
    assert parts.items() <= kept.items()
    key = ["suite", "sample", "method", "answer"]
    pd.testing.assert_frame_equal(resumed.results[key], run.results[key])
    assert score(resumed.results)[0].accuracy == score(run.results)[0].accuracy


def test_a_question_without_a_neighbour_stays_with_the_router(engine, suites, tmp_path):
    spec = "ngd:mode=ball:radius=0.98"
    methods = parse_methods([spec, "ngd"], engine.defaults)
    results = evaluate(engine, suites[1:], methods, tmp_path, limit=70).results
    rows = results[results["method"] == spec]
    alone = rows["text_similarity"].isna()
    assert alone.any()
    assert not alone.all()
    assert (rows[alone]["answer"] == rows[alone]["router_answer"]).all()
    assert not rows[alone]["admitted"].any()
    assert len(rows) == 70


def test_a_variant_of_a_reference_set_is_one_of_its_own(engine):
    reference = engine.reference
    rows = np.array([5, 7, 2999])
    small = reference.variant(rows, about="three samples")
    assert len(small) == 3
    assert small.sample(1).id == reference.sample(7).id
    assert small.manifest.content_hash != reference.manifest.content_hash
    stored = reference.outputs_of(torch.from_numpy(rows))
    assert torch.equal(small.outputs_of(torch.arange(3)), stored)
    smaller = small.variant(np.array([2]), np.array([0]), about="one")
    assert torch.equal(smaller.outputs_of(torch.tensor([0])), stored[2:])
    assert smaller.labels.tolist() == [0]


def test_refining_again_gives_the_stored_routing(engine):
    reference = engine.reference
    rows = torch.arange(0, 3000, 40)
    routing = torch.tensor(reference.router_routing[rows])
    prepared = Prepared(reference.outputs_of(rows), routing, torch.zeros(len(rows), 0))
    refined = refine(engine.model, prepared, torch.from_numpy(reference.labels[rows]))
    stored = torch.tensor(reference.routing_for("refined")[rows])
    assert torch.allclose(refined, stored, atol=1e-3)


def test_ablations_change_one_thing_at_a_time(engine, suites, tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "SETTINGS", {"n_neighbours": ("1", "20"), "alpha": ("0", "1")})
    monkeypatch.setattr(ablations, "SIZES", (50, 3000))
    monkeypatch.setattr(ablations, "NOISE", (0.4,))
    points = ablations.ablate(engine, suites[:1], "kernel_regression", tmp_path, limit=60)
    assert [(point.axis, point.value) for point in points] == [
        ("n_neighbours", "1"), ("n_neighbours", "20"), ("alpha", "0"), ("alpha", "1"),
        ("reference size", "50"), ("reference size", "3000"), ("label noise", "40%"),
        ("mismatch", "colour, kind, existence"),
    ]  # fmt: skip
    found = {(point.axis, point.value): point.score for point in points}
    # α = 1 keeps the router's own routing.
    assert found["alpha", "1"].fixed == found["alpha", "1"].broken == 0
    assert found["alpha", "0"].accuracy == found["n_neighbours", "20"].accuracy
    assert found["reference size", "3000"].accuracy == found["alpha", "0"].accuracy
    assert found["reference size", "50"].accuracy < found["reference size", "3000"].accuracy
    assert found["label noise", "40%"].accuracy < found["alpha", "0"].accuracy
    assert "| label noise | 40% |" in ablations.ablation_text("kernel_regression", points, 60)


def test_another_seed_is_another_run(run, engine, suites, methods, tmp_path):
    other = evaluate(engine, suites, methods, tmp_path, limit=150, seed=1)
    assert other.about["key"] != run.about["key"]
    assert set(other.results["sample"]) != set(run.results["sample"])


def test_a_limit_is_shared_evenly():
    assert share_limit(300, 8) == [38, 38, 38, 38, 37, 37, 37, 37]
    assert share_limit(None, 2) == [None, None]


def test_answers_outside_the_vocabulary_and_bad_pictures_are_told(engine, methods, tmp_path):
    Image.new("RGB", (64, 64), "white").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "samples.csv").write_text(
        "image,question,answer\na.png,Where is the chair?,on the moon\n"
        "a.png,Where is the chair?,TOP\nb.png,Where is the chair?,top\n"
    )
    run = evaluate(engine, [load_suite(tmp_path)], methods, tmp_path / "runs")
    base = run.results[run.results["method"] == "base"]
    assert base["in_vocabulary"].tolist() == [False, True]
    assert base["label"].tolist() == ["on the moon", "top"]
    assert not base["right"].iloc[0]
    bad = json.loads((run.folder / "bad_rows.json").read_text(encoding="utf-8"))
    assert [row["reason"].split(".")[0] for row in bad] == [
        "The file is not a picture that can be read"
    ]
    assert "outside the model's vocabulary, which count as wrong: 1." in report_text(run)


@pytest.mark.parametrize("name", ["router_finetuned", "tent", "memo"])
def test_baselines_that_change_weights_leave_the_model_alone(engine, suites, tmp_path, name):
    before = engine.model.fingerprint()
    run = evaluate(engine, suites[:1], parse_methods([name], engine.defaults), tmp_path, limit=40)
    assert engine.model.fingerprint() == before == engine.model_fingerprint
    results = run.results
    assert results[results["method"] == name]["probability"].between(0, 1).all()
    changed = results.pivot(index="sample", columns="method", values="probability")
    assert not np.allclose(changed[name], changed["base"])


def test_the_ceiling_sends_each_question_to_its_own_expert(engine, suites, tmp_path):
    names = ["own_expert", "random_experts"]
    run = evaluate(engine, suites[:1], parse_methods(names, engine.defaults), tmp_path, limit=60)
    right = run.results.groupby("method")["right"].mean()
    assert right["own_expert"] > 0.9
    assert right["random_experts"] < 0.6
    by_hand = torch.zeros(1, engine.model.routing_spec.size)
    row = run.results[run.results["method"] == "own_expert"].iloc[0]
    owner = engine.model.specialists[row["family"]]
    by_hand[0, engine.model.routing_spec.experts.index(owner)] = 1
    with Image.open(row["image"]) as image:
        prepared = engine.model.prepare([Sample(image.convert("RGB"), row["question"])])
    best = int(engine.model.answer(prepared, by_hand).argmax())
    assert engine.model.answers[best] == row["answer"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("magic", "no strategy or baseline called magic"),
        ("ngd@everything", "policy must be one of"),
        ("ngd:steps=900", "steps must be 50 or less"),
        ("ngd:steps", "PARAMETER=VALUE"),
        ("knn_vote:steps=2", "no parameter called steps"),
    ],
)
def test_a_method_that_cannot_be_read_is_one_sentence(engine, spec, words):
    with pytest.raises(ParameterError, match=words):
        parse_method(spec, engine.defaults)


def test_a_method_holds_what_was_written(engine):
    method = parse_method("ngd@correct_only:n_neighbours=5:steps=3", engine.defaults)
    assert (method.retrieval.policy, method.retrieval.n_neighbours) == ("correct_only", 5)
    assert method.params is not None
    assert method.params.model_dump()["steps"] == 3


def test_the_report_says_what_the_rows_say(run):
    text = report_text(run)
    overall = {entry.method: entry for entry in score(run.results) if entry.suite == "all suites"}
    assert f"{overall['kernel_regression'].accuracy:.1%}" in text
    assert "`knn_vote` does better than `ngd` on" in text
    page = results_page(run)
    assert page.count('class="plotly-graph-div"') == 4
    assert "<script src" not in page.replace("\n", " ")


def test_evaluate_and_report_from_the_command_line(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("R2T2_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, settings: engine))
    runner, out = CliRunner(), tmp_path / "scores.json"
    options = ["--suite", "position", "--strategies", "base,ngd", "--limit", "40"]
    result = runner.invoke(app, ["evaluate", *options, "--json", str(out)])
    assert result.exit_code == 0, result.stderr
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert [(row["suite"], row["strategy"], row["n"]) for row in rows] == [
        ("position", "base", 40),
        ("position", "ngd", 40),
    ]
    assert {"accuracy", "interval", "fixed", "broken"} <= set(rows[0])
    written = runner.invoke(app, ["report", "--out", str(tmp_path / "results.md")])
    assert written.exit_code == 0
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "## Cost of one question" in text
    assert (tmp_path / "results.html").is_file()
    missing = runner.invoke(app, ["evaluate", "--suite", "nowhere"])
    assert missing.exit_code == 2
    assert "no table of samples" in missing.stderr
