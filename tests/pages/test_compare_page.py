"""The compare page on the shipped run."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.compare_view.cases import case_table, select
from pages.frame.words import method_titles
from r2t2_core.evaluation.ablations import Ablation
from r2t2_core.evaluation.methods import parse_methods
from r2t2_core.evaluation.metrics import ALL, score
from r2t2_core.evaluation.runner import Run, evaluate
from r2t2_core.evaluation.suites import load_suite, shipped_suites
from r2t2_core.figures.ablations import ablation_curve
from r2t2_core.settings import SAMPLE_DATA

PAGE = Path(__file__).resolve().parents[2] / "pages" / "compare.py"


@pytest.fixture
def app(shipped_engine) -> AppTest:
    return AppTest.from_file(str(PAGE), default_timeout=90)


@pytest.fixture(scope="module")
def shipped() -> Run:
    return Run.open(SAMPLE_DATA / "evaluation")


def text_of(app: AppTest) -> str:
    html = " ".join(element.proto.body for element in app.get("html"))
    return re.sub(r"<style>.*?</style>", " ", html, flags=re.S) + " ".join(
        element.value for element in (*app.title, *app.markdown, *app.caption, *app.subheader)
    )


def test_the_page_says_what_the_run_says(app, shipped):
    app.run()
    assert not app.exception
    scores = {entry.method: entry for entry in score(shipped.results) if entry.suite == ALL}
    best = scores["kernel_regression"]
    text = text_of(app)
    assert f"{best.accuracy:.1%}" in text
    assert f"it fixed {best.gated_fixed:,} and broke {best.gated_broken:,}" in text
    assert len(app.get("plotly_chart")) == 6


def test_fewer_suites_are_another_result(app, shipped):
    app.run()
    (suites,) = (widget for widget in app.multiselect if widget.label == "Suites")
    suites.set_value(["position"]).run()
    assert not app.exception
    results = shipped.results
    only = score(results[results["suite"] == "position"])
    best = next(entry for entry in only if entry.method == "kernel_regression")
    assert f"of {best.n:,} questions" in text_of(app)


def test_the_cases_behind_a_number_are_as_many_as_it_says(shipped):
    results = shipped.results
    scores = {entry.method: entry for entry in score(results) if entry.suite == ALL}
    for method in ("ngd", "kernel_regression"):
        assert len(select(results, method, "fixed")) == scores[method].fixed
        assert len(select(results, method, "broken")) == scores[method].broken
    table = case_table(select(results, "ngd", "broken").head(3))
    assert all(picture.startswith("data:image") for picture in table["picture"])


def test_japanese_has_no_english_sentence_left(app):
    app.session_state["language"] = "ja"
    app.run()
    assert not app.exception
    text = text_of(app)
    assert "戦略を比較する" in text
    for words in ("Accuracy", "fixed", "The numbers", "Compare"):
        assert words not in text, words


def test_titles_name_policy_and_parameters():
    titles = method_titles(["ngd", "ngd@correct_only:n_neighbours=5", "new_thing"])
    assert titles["ngd"] == "NGD"
    assert titles["ngd@correct_only:n_neighbours=5"] == "NGD, correct-only, k = 5"
    assert titles["new_thing"] == "new_thing"


def test_a_suite_of_ones_own_runs_from_a_zip(engine, tmp_path):
    """What the form starts, without the browser's upload."""
    source = shipped_suites(SAMPLE_DATA / "suites")["position"]
    suite = load_suite(source)
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        lines = ["image,question,answer"]
        for picture in {sample.image for sample in suite.samples[:12]}:
            archive.write(picture, f"pictures/{picture.name}")
        for sample in suite.samples[:12]:
            lines.append(f"pictures/{sample.image.name},{sample.question},{sample.answer}")
        archive.writestr("samples.csv", "\n".join(dict.fromkeys(lines)))
    path = tmp_path / "mine.zip"
    path.write_bytes(buffer.getvalue())
    own = load_suite(path, tmp_path / "files")
    methods = parse_methods(["ngd"], engine.defaults)
    run = evaluate(engine, [own], methods, tmp_path / "runs")
    assert len(run.results) == 2 * len(own)


def test_ablations_that_ship_are_shown_as_they_were_measured(app):
    ablation = Ablation.read(SAMPLE_DATA / "evaluation" / "ablations.json")
    published = Run.open(SAMPLE_DATA / "evaluation")
    assert ablation.about["model_fingerprint"] == published.about["model_fingerprint"]
    app.run()
    (axis,) = (widget for widget in app.selectbox if widget.key == "ablation.axis")
    axis.set_value("n_neighbours").run()
    assert not app.exception
    figure = ablation_curve(ablation.points, "n_neighbours", {}, "k")
    drawn = {
        (trace.name, x): y for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True)
    }
    told = {
        (point.strategy, float(point.value)): point.score.accuracy
        for point in ablation.points
        if point.axis == "n_neighbours"
    }
    assert drawn == told
    assert len(told) > 4
