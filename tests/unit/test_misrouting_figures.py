"""What is drawn of misrouted cases is what was counted."""

from __future__ import annotations

import numpy as np

from r2t2_core.evaluation.misrouting import Repair
from r2t2_core.evaluation.slices import Slice
from r2t2_core.figures.misrouting import (
    case_routing,
    change_bars,
    misrouting_matrix,
    misrouting_sankey,
    pale,
    repair_bars,
    slice_forest,
)

COUNTS = np.array([[0, 3, 0], [0, 1, 0], [5, 0, 0]])
NAMES = ["colour", "position", "language"]


def test_the_sankey_holds_every_flow_with_its_number():
    trace = misrouting_sankey(COUNTS, NAMES).data[0]
    flows = {
        (trace.node.label[source].split(" · ")[0], trace.node.label[target].split(" · ")[0]): value
        for source, target, value in zip(
            trace.link.source, trace.link.target, trace.link.value, strict=True
        )
    }
    assert flows == {
        ("colour", "position"): 3,
        ("position", "position"): 1,
        ("language", "colour"): 5,
    }
    # Left the router's experts, right the right ones, each with its sum.
    assert list(trace.node.label) == [
        "colour · 3", "position · 1", "language · 5", "colour · 5", "position · 4",
    ]  # fmt: skip
    assert trace.node.color[0] == trace.node.color[3]


def test_the_matrix_is_the_counts():
    trace = misrouting_matrix(COUNTS, NAMES).data[0]
    np.testing.assert_array_equal(trace.z, COUNTS)
    assert list(trace.text[0]) == ["", "3", ""]


def test_repairs_are_shares_with_intervals():
    entries = [Repair("ngd", 10, 8, 0.5, 0.95, 20, 1), Repair("x", 10, 2, 0.05, 0.5, 20, 3)]
    trace = repair_bars(entries, {"ngd": "NGD"}).data[0]
    assert list(trace.y) == ["x", "NGD"]
    assert list(trace.x) == [0.2, 0.8]
    np.testing.assert_allclose(trace.error_x.array, [0.3, 0.15])
    np.testing.assert_allclose(trace.error_x.arrayminus, [0.15, 0.3])


def test_slices_stand_in_order_and_certain_ones_are_coloured():
    def entry(events: int, adjusted: float) -> Slice:
        return Slice((("family", "x"),), 10, events, 0.1, 0.9, 0.1, 1.0, 0.01, adjusted)

    figure = slice_forest([entry(6, 0.01), entry(3, 0.5)], ["first", "second"], 0.2)
    trace = figure.data[0]
    assert list(figure.layout.yaxis.ticktext) == ["second", "first"]
    assert list(trace.x) == [0.3, 0.6]
    assert trace.marker.color[0] != trace.marker.color[1]
    assert figure.layout.shapes[0].x0 == 0.2


def test_changes_go_both_ways():
    figure = change_bars(["where", "count"], [4, 0], [1, 2])
    assert list(figure.data[0].x) == [4, 0]
    assert list(figure.data[1].x) == [-1, -2]
    assert list(figure.data[1].text) == ["1", "2"]


def test_a_cases_routing_is_drawn_for_each_method():
    figure = case_routing(NAMES, [("router", [0.1, 0.1, 0.8]), ("oracle", [0.0, 1.0, 0.0])])
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [list(trace.x) for trace in bars] == [[0.1, 0.1, 0.8], [0.0, 1.0, 0.0]]
    assert bars[0].marker.opacity < bars[1].marker.opacity == 1


def test_pale_keeps_the_colour():
    assert pale("#0a1420", 0.5) == "rgba(10,20,32,0.5)"
