"""Ablations as data, and the curves that are drawn from them."""

from __future__ import annotations

import pytest

from r2t2_core.errors import RunError
from r2t2_core.evaluation.ablations import Ablation, Point
from r2t2_core.evaluation.metrics import Score
from r2t2_core.figures.ablations import ablation_curve, number_of
from r2t2_core.figures.evaluation import pareto_front


def point(axis: str, value: str, accuracy: float, strategy: str = "ngd") -> Point:
    score = Score("all", strategy, 100, accuracy, accuracy - 0.1, accuracy + 0.05, 7, 2, 91, 0.01,
                  None, None, None, 0.1, accuracy, 5, 1, 2.0)  # fmt: skip
    return Point(strategy, axis, value, score)


def test_what_is_written_is_read(tmp_path):
    ablation = Ablation({"questions": 100}, (point("steps", "5", 0.5), point("kernel", "a", 0.6)))
    path = tmp_path / "deep" / "ablations.json"
    ablation.write(path)
    assert Ablation.read(path) == ablation


@pytest.mark.parametrize("text", ["", "{}", '{"about": {}, "points": [{}]}', "[1]"])
def test_a_damaged_file_is_an_error_with_a_remedy(tmp_path, text):
    path = tmp_path / "ablations.json"
    path.write_text(text)
    with pytest.raises(RunError, match="Restore the file"):
        Ablation.read(path)


@pytest.mark.parametrize(
    ("value", "number"), [("5", 5.0), ("0.3", 0.3), ("40%", 0.4), ("gaussian", None)]
)
def test_values_are_read_as_numbers_where_they_are(value, number):
    assert number_of(value) == number


def test_a_curve_draws_each_strategys_points_of_one_axis_with_their_intervals():
    points = [point("steps", "5", 0.5), point("steps", "10", 0.7), point("kernel", "a", 0.9),
              point("steps", "5", 0.4, "kernel_regression")]  # fmt: skip
    figure = ablation_curve(points, "steps", {"ngd": "NGD"}, "steps")
    first, second = figure.data
    assert (first.name, list(first.x), list(first.y)) == ("NGD", [5.0, 10.0], [0.5, 0.7])
    assert (second.name, list(second.y)) == ("kernel_regression", [0.4])
    assert list(first.error_y.array) == pytest.approx([0.05, 0.05])
    assert list(first.error_y.arrayminus) == pytest.approx([0.1, 0.1])
    assert figure.layout.xaxis.type != "log"


def test_words_are_categories_and_decades_are_logarithmic():
    words = ablation_curve([point("kernel", "a", 0.5), point("kernel", "b", 0.6)], "kernel", {}, "")
    assert list(words.data[0].x) == ["a", "b"]
    sizes = [point("reference size", value, 0.5) for value in ("20", "300", "3000")]
    assert ablation_curve(sizes, "reference size", {}, "").layout.xaxis.type == "log"
    shares = [point("alpha", value, 0.5) for value in ("0", "0.25", "0.75")]
    assert ablation_curve(shares, "alpha", {}, "").layout.xaxis.type != "log"


def test_nothing_on_the_front_is_beaten_for_less():
    points = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.8), (3.0, 0.7), (9.0, 0.8), (0.0, 0.9)]
    assert pareto_front(points) == [(1.0, 0.5), (3.0, 0.8)]
