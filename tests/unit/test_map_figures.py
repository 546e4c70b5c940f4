"""What is drawn of a reference set is what it holds."""

from __future__ import annotations

import json

import numpy as np

from pages.reference_view.chosen import rows_of_event
from r2t2_core.figures.reference_map import (
    Group,
    Marked,
    composition,
    groups_of,
    groups_of_experts,
    reference_map,
    routing_profile,
)


def points(count: int = 90) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)


def test_every_sample_is_drawn_once_where_it_is():
    places = points()
    values = ["where"] * 50 + ["count"] * 30 + ["colour"] * 10
    groups = groups_of(values, {"where": "where it is"})
    figure = reference_map(places, groups, [f"q{n}" for n in range(90)])
    assert [trace.type for trace in figure.data] == ["scattergl"] * 3
    assert [trace.name for trace in figure.data] == ["where it is", "count", "colour"]
    rows = np.concatenate([trace.customdata for trace in figure.data])
    np.testing.assert_array_equal(np.sort(rows), np.arange(90))
    for trace in figure.data:
        np.testing.assert_array_equal(np.stack([trace.x, trace.y], 1), places[trace.customdata])
        assert list(trace.text) == [f"q{n}" for n in trace.customdata]
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text


def test_many_groups_are_told_apart():
    groups = groups_of([str(n) for n in range(20)])
    assert len({(group.colour, group.symbol) for group in groups}) == 20


def test_experts_keep_their_own_colours():
    groups = groups_of_experts(np.array([2, 2, 0]), ["a", "b", "c"])
    all_of_them = groups_of_experts(np.array([0, 1, 2]), ["a", "b", "c"])
    assert [group.name for group in groups] == ["a", "c"]
    assert groups[1].colour == all_of_them[2].colour
    assert groups[1].rows.tolist() == [0, 1]


def test_a_selection_stands_out_in_each_group():
    places = points(6)
    groups = [
        Group("a", np.array([0, 2, 4]), "#111111"),
        Group("b", np.array([1, 3, 5]), "#222222"),
    ]
    figure = reference_map(places, groups, list("uvwxyz"), selected=np.array([2, 5]))
    assert list(figure.data[0].selectedpoints) == [1]
    assert list(figure.data[1].selectedpoints) == [2]
    free = reference_map(places, groups, list("uvwxyz"))
    assert free.data[0].selectedpoints is None


def test_a_query_is_drawn_in_with_its_neighbours():
    places = points()
    mark = Marked("where?", np.array([[0.0, 0.0], [1.0, 2.0]]), places[[4, 7]], ["n4", "n7"])
    figure = reference_map(places, [Group("all", np.arange(90), "#111111")], [""] * 90, marked=mark)
    star = figure.data[-1]
    assert (star.x[0], star.y[0], star.text[0]) == (1.0, 2.0, "where?")
    rings = next(trace for trace in figure.data if trace.marker.symbol == "circle-open")
    np.testing.assert_array_equal(np.stack([rings.x, rings.y], 1), places[[4, 7]])
    way = next(trace for trace in figure.data if trace.mode == "lines+markers")
    assert list(way.x) == [0.0, 1.0]


def test_a_shade_colours_points_by_their_number():
    places, shade = points(5), np.array([0.1, 0.2, 0.3, 0.4, 1.0])
    figure = reference_map(
        places, [Group("all", np.arange(5), "")], [""] * 5, shade=shade, shade_title="rank"
    )
    marker = figure.data[0].marker
    np.testing.assert_allclose(marker.color, shade, atol=1e-6)
    assert (marker.cmin, marker.cmax) == (0.1, 1.0)
    assert marker.colorbar.title.text == "rank"


def test_fifty_thousand_samples_are_a_small_message():
    """What the browser is sent: coordinates and rows as binary, one short text each."""
    count = 50_000
    groups = groups_of(np.random.default_rng(1).choice(list("abcdefgh"), count).tolist())
    figure = reference_map(points(count), groups, [f"ref-{n:05d}" for n in range(count)])
    assert {trace.type for trace in figure.data} == {"scattergl"}
    sent = figure.to_json()
    assert len(sent) < 3_000_000
    assert sum(len(trace["text"]) for trace in json.loads(sent)["data"]) == count


def test_the_profile_shows_means_of_selection_and_rest():
    selection = np.array([[0.8, 0.2], [0.6, 0.4]])
    rest = np.array([[0.1, 0.9], [0.3, 0.7], [0.2, 0.8]])
    bars = [trace for trace in routing_profile(["a", "b"], selection, rest).data
            if trace.type == "bar"]  # fmt: skip
    np.testing.assert_allclose(bars[0].x, rest.mean(0))
    np.testing.assert_allclose(bars[1].x, selection.mean(0))
    np.testing.assert_allclose(bars[1].error_x.array, 1.96 * selection.std(0) / np.sqrt(2))
    alone = routing_profile(["a", "b"], selection, rest[:0])
    assert len([trace for trace in alone.data if trace.type == "bar"]) == 1


def test_the_composition_shows_both_shares():
    figure = composition(["a", "b"], [0.75, 0.25], [0.5, 0.5])
    assert [list(trace.x) for trace in figure.data] == [[0.5, 0.5], [0.75, 0.25]]


def test_a_selection_of_the_chart_gives_rows_and_ignores_the_query():
    selection = {
        "points": [
            {"customdata": [7], "x": 0.0}, {"customdata": 3}, {"customdata": [7]}, {"x": 1.0},
        ]
    }  # fmt: skip
    assert rows_of_event(selection).tolist() == [3, 7]
    assert rows_of_event({"points": []}).tolist() == []
